"""The report page in a real browser: it draws, sorts, filters, stays silent, and asks the network for nothing."""

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from ops.report.data import Report
from ops.report.page import render
from tests.helpers import chromium
from tests.helpers.report_sample import HOSTILE, TYPES, empty, report

CHARTS = ("timeline", "traffic", "sessions", "subjects", "health", "balance", "quarantine", "throughput", "latency")
DESKTOP = (1280, 900)
PHONE = (390, 844)
SHOWN = "#entities-table tbody tr:not([hidden])"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium.executable() is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"REQUIRE_BROWSER is 1, but {chromium.NONE}")
        pytest.skip(chromium.NONE)
    with chromium.browser() as started:
        yield started


@cache
def html(shown: Callable[[], Report]) -> str:
    """The page of one of the samples."""
    return render(shown())


class Opened:
    """A page that is open, and what it has said and asked for since."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.route("**/*", self._count)

    def _count(self, route: Route) -> None:
        self.asked.append(route.request.url)
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            route.abort()

    def ids(self) -> list[str]:
        """The entities that the table shows, in its order."""
        return self.page.locator(f"{SHOWN} .id").all_inner_texts()

    def heading(self, name: str) -> Any:
        return self.page.locator("#entities-table thead th", has=self.page.get_by_role("button", name=name, exact=True))

    def sort(self, name: str) -> None:
        self.heading(name).get_by_role("button").click()


class Opening:
    """Opens pages of a browser, each with a context of its own."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        self._browser = browser
        self._directory = directory
        self.opened: list[Opened] = []

    def __call__(self, shown: Callable[[], Report] = report, size: tuple[int, int] = DESKTOP, **context: Any) -> Opened:
        path = self._directory / "report.html"
        path.write_text(html(shown), encoding="utf-8")
        width, height = size
        made = self._browser.new_context(
            viewport={"width": width, "height": height}, timezone_id="America/New_York", **context
        )
        made.set_default_timeout(10_000)
        opened = Opened(made.new_page())
        self.opened.append(opened)
        opened.page.goto(path.as_uri())
        if context.get("java_script_enabled", True):
            opened.page.wait_for_selector("html[data-ready]", state="attached")
        return opened

    def close(self) -> None:
        """Closes all; whatever was done with them, they must have said nothing and asked for nothing but themselves."""
        for opened in self.opened:
            opened.page.wait_for_timeout(50)  # for what comes late
            assert opened.said == []
            assert [url for url in opened.asked if not url.startswith(("data:", "file:"))] == []
            assert len([url for url in opened.asked if url.startswith("file:")]) == 1
            opened.page.context.close()


@pytest.fixture
def opening(browser: Browser, tmp_path: Path) -> Iterator[Opening]:
    """Opens the page anew, for a test that changes what it shows."""
    made = Opening(browser, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def seen(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """The page as it opens, one for all tests that only look at it."""
    made = Opening(browser, tmp_path_factory.mktemp("seen"))
    yield made()
    made.close()


# -- charts -----------------------------------------------------------------------------------------------------------


def test_every_chart_is_drawn(seen: Opened) -> None:
    page = seen.page
    for name in CHARTS:
        drawn = page.locator(f"#{name}-chart svg")
        box = drawn.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 60
        assert drawn.locator(".mark-rect path, .mark-symbol path, .mark-line path").count() > 0
    assert page.locator("#traffic-chart .mark-rect path").count() == 24 * len(TYPES)


def test_times_are_utc_wherever_one_is(seen: Opened) -> None:
    """The browser's own time zone is New York's."""
    labels = seen.page.locator("#traffic-chart .role-axis-label text").all_text_contents()
    assert {"12:00", "23 Nov"} <= set(labels)


def test_a_mark_says_more_when_it_is_pointed_at(opening: Opening) -> None:
    page = opening().page
    page.locator("#balance-chart .mark-text text").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "available tutors" in tooltip.inner_text()
    assert tooltip.locator("img").count() == 0


def test_nothing_that_data_says_is_run(seen: Opened) -> None:
    page = seen.page
    assert page.locator(f"{SHOWN} .id").first.inner_text() == HOSTILE
    assert page.evaluate("window.harmed") is None


def test_a_script_that_is_put_into_the_page_does_not_run(browser: Browser, tmp_path: Path) -> None:
    """Should escaping ever fail, the page's policy still holds."""
    path = tmp_path / "report.html"
    path.write_text(html(empty).replace("</footer>", "</footer><script>window.harmed = true</script>"))
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.evaluate("window.harmed") is None
    page.close()


def test_a_stack_without_anything_has_a_page(opening: Opening) -> None:
    page = opening(empty).page
    assert page.get_by_text("No alert fires, and none has.").is_visible()
    assert page.locator("#shown").inner_text() == "0 of 0 shown"


# -- the table --------------------------------------------------------------------------------------------------------


def test_a_click_sorts_and_another_turns_it_round(opening: Opening) -> None:
    opened = opening()
    heading = opened.heading("30 d")
    assert heading.get_attribute("aria-sort") == "none"
    opened.sort("30 d")
    assert heading.get_attribute("aria-sort") == "descending"
    assert opened.ids()[:3] == ["stu_40", "algebra", "stu_39"]
    opened.sort("30 d")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert opened.ids()[:3] == ["stu_01", "stu_02", "stu_03"]
    opened.sort("Entity")
    assert heading.get_attribute("aria-sort") == "none"
    assert opened.heading("Entity").get_attribute("aria-sort") == "ascending"
    assert opened.ids()[1:4] == ["algebra", "north", "stu_01"]


def test_what_has_no_number_is_last_either_way(opening: Opening) -> None:
    opened = opening()
    opened.page.get_by_role("combobox", name="Type").select_option("subject")
    opened.page.get_by_role("combobox", name="Type").select_option("")
    opened.page.get_by_role("button", name="more").click()
    for _ in range(2):
        opened.sort("Health")
        assert set(opened.ids()[-2:]) == {"algebra", "north"}


def test_the_keyboard_alone_sorts(opening: Opening) -> None:
    opened = opening()
    opened.heading("Entity").get_by_role("button").focus()
    opened.page.keyboard.press("Enter")
    assert opened.heading("Entity").get_attribute("aria-sort") == "ascending"
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Space")
    assert opened.heading("7 d").get_attribute("aria-sort") == "descending"


def test_the_keyboard_comes_to_everything_that_can_be_done(opening: Opening) -> None:
    page = opening().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"filter-id", "filter-type", "filter-severity", "more", "SUMMARY"} <= reached


def test_filters_narrow_the_table_and_say_how_far(opening: Opening) -> None:
    opened = opening()
    page, shown = opened.page, opened.page.locator("#shown")
    assert shown.inner_text() == "25 of 43 shown"
    page.get_by_label("Id contains").fill("STU_0")
    assert opened.ids() == [f"stu_{number:02d}" for number in range(1, 10)]
    assert shown.inner_text() == "9 of 9 shown"
    page.get_by_label("Id contains").fill("")
    page.get_by_role("combobox", name="Type").select_option("region")
    assert opened.ids() == ["north"]
    page.get_by_role("combobox", name="Type").select_option("")
    page.get_by_role("combobox", name="Alerts").select_option("warning")
    assert opened.ids() == [HOSTILE]
    page.get_by_role("combobox", name="Alerts").select_option("info")
    assert opened.ids() == []
    page.get_by_label("Id contains").press("Enter")  # which must not leave the page
    assert shown.inner_text() == "0 of 0 shown"


def test_columns_without_anything_to_show_are_hidden(opening: Opening) -> None:
    opened = opening()
    assert opened.heading("Rating").is_visible()
    assert opened.page.locator("th", has_text="Tutors").first.is_hidden()
    opened.page.get_by_role("combobox", name="Type").select_option("region")
    assert opened.heading("Tutors").is_visible()
    assert opened.page.locator("th", has_text="Rating").first.is_hidden()


def test_more_is_shown_on_request(opening: Opening) -> None:
    opened = opening()
    opened.page.get_by_role("button", name="Show 18 more").click()
    assert len(opened.ids()) == 43
    assert opened.page.locator("#more").is_hidden()


# -- for everyone, everywhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_fault(opening: Opening, scheme: str, size: tuple[int, int]) -> None:
    page = opening(size=size, color_scheme=scheme, bypass_csp=True).page
    page.locator("#balance summary").click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_dark_page_is_dark_and_its_charts_with_it(seen: Opened, opening: Opening) -> None:
    def colours(page: Page) -> tuple[int, str]:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        bar = page.evaluate("getComputedStyle(document.querySelector('#traffic-chart .mark-rect path')).fill")
        return sum(background), bar

    light, dark = colours(seen.page), colours(opening(color_scheme="dark").page)
    assert light[0] > 600 > 150 > dark[0]
    assert light[1] != dark[1]
    assert "rgb" in light[1]


def test_a_phone_needs_no_scrolling_to_the_side(opening: Opening) -> None:
    page = opening(size=PHONE).page
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    for name in CHARTS:
        box = page.locator(f"#{name}-chart").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]


def test_charts_follow_the_width_of_the_window(opening: Opening) -> None:
    page = opening().page
    wide = page.locator("#traffic-chart svg").bounding_box()
    page.set_viewport_size({"width": 700, "height": 900})
    expect(page.locator("#traffic-chart svg")).to_have_attribute("width", re.compile(r"^6\d\d$"))
    assert wide is not None
    assert wide["width"] > 1_000


def test_charts_and_controls_have_names(seen: Opened) -> None:
    page = seen.page
    for title in ("Alerts from firing to resolved", "Traffic by type", "Health of students", "Batch latency"):
        assert page.get_by_role("img", name=title, exact=True).count() == 1
        assert page.get_by_role("region", name=title, exact=True).count() == 1
    for role, name in (
        ("search", "Entities"),
        ("searchbox", "Id contains"),
        ("combobox", "Type"),
        ("region", "Table of entities"),
        ("navigation", "Parts of the report"),
        ("table", "Entities with their alerts and figures. The buttons in the headings sort it."),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1  # type: ignore[arg-type]


def test_nothing_moves_for_those_who_want_no_motion(opening: Opening) -> None:
    moving = "getComputedStyle(document.documentElement).scrollBehavior"
    assert opening(reduced_motion="no-preference").page.evaluate(moving) == "smooth"
    assert opening(reduced_motion="reduce").page.evaluate(moving) == "auto"


def test_without_scripts_the_numbers_are_there(opening: Opening) -> None:
    page = opening(java_script_enabled=False).page
    assert page.locator(SHOWN).count() == 43
    assert page.get_by_text("Charts, sorting and filtering need JavaScript").is_visible()
    page.locator("#traffic summary").click()
    assert page.locator("#traffic table").is_visible()


def test_paper_has_no_controls(opening: Opening) -> None:
    page = opening().page
    page.emulate_media(media="print")
    assert page.locator("#filters").is_hidden()
    assert page.locator("nav").is_hidden()
    assert page.locator("#traffic-chart svg").is_visible()
