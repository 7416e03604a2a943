"""The HTML of the report page: whole, alone, and deaf to whatever the data says."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from functions.model import DAY_MS
from ops.report.data import DAYS, Table
from ops.report.page import render
from ops.report.sparks import spark
from tests.helpers.report_sample import HOSTILE, empty, entity, report, student

VOID = frozenset({"meta", "link", "input", "img", "br", "hr"})


class Page(HTMLParser):
    """The page as a browser would take it apart."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs).get("type") or "", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self.open:
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return render(report())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_it_is_whole(page: Page) -> None:
    assert page.open == []
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in page.elements}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_refers_to_something_of_the_page_finds_it(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(name) or "").split()) <= ids
        if (href := attributes.get("href")) and href.startswith("#"):
            assert href[1:] in ids


def test_it_loads_nothing(page: Page) -> None:
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:"))
        assert not any(name.startswith("on") for name in attributes)
    style = "".join(text for tag, text in page.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_its_policy_lets_its_own_scripts_run_and_nothing_else(page: Page) -> None:
    (policy,) = (each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    running = [text for kind, text in page.scripts if kind != "application/json"]
    assert [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running] == allowed
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy


def test_what_data_says_is_text_to_it(page: Page, html: str) -> None:
    assert len(page.scripts) == 3  # as many as for any other data
    assert page.all("img") == []
    assert HOSTILE not in html
    assert HOSTILE in [text for tag, text in page.texts if tag == "span"]
    assert HOSTILE in [attributes.get("title") for attributes in page.all("span")]


def test_the_charts_are_json_that_says_what_the_data_says(page: Page) -> None:
    (text,) = (text for kind, text in page.scripts if kind == "application/json")
    specs: dict[str, Any] = json.loads(text)["specs"]
    assert set(specs) == {name.removesuffix("-chart") for name in _ids(page) if name.endswith("-chart")}
    assert HOSTILE in {each["region"] for each in specs["balance"]["data"]["values"]}
    assert "<" not in text


def _ids(page: Page) -> list[str]:
    return [attributes["id"] or "" for _, attributes in page.elements if "id" in attributes]


def test_every_chart_has_a_name_and_a_description_in_words(page: Page) -> None:
    charts = [attributes for attributes in page.all("div") if attributes.get("class") == "chart"]
    assert len(charts) == 9
    for chart in charts:
        assert (chart["role"], bool(chart["aria-labelledby"]), bool(chart["aria-describedby"])) == ("img", True, True)
    assert len(page.all("details")) == 9


def test_every_heading_of_a_table_says_of_what(page: Page) -> None:
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}
    assert page.all("caption") != []


def test_rows_have_what_they_are_sorted_and_filtered_by(page: Page) -> None:
    rows = [attributes for attributes in page.all("tr") if "data-type" in attributes]
    assert len(rows) == 43
    assert rows[0] == {"data-type": "student", "data-severities": "critical warning"}
    cells = [attributes for attributes in page.all("td") if "data-value" in attributes]
    assert len(cells) == 43 * 12


def test_of_many_entities_it_says_how_many_are_left_out() -> None:
    table = replace(report().table, counts={"student": 100_000, "subject": 1, "region": 1})
    text = " ".join(render(replace(report(), table=table)).split())
    assert "Those with most to say: 43 of 100,002; 99,959 are left out." in text
    assert "All 43 of them" in " ".join(render(report()).split())


def test_a_full_page_is_a_few_megabytes() -> None:
    entities = [student(number % 40, f"student with a rather long name, number {number}") for number in range(500)]
    table: Table = replace(report().table, entities=entities, counts={"student": 500})
    assert len(render(replace(report(), table=table)).encode()) < 3_000_000


def test_a_stack_without_anything_has_a_page(tmp_path: Path) -> None:
    page = Page(render(empty()))
    assert page.open == []
    text = " ".join(text for _, text in page.texts)
    assert "This stack has no notifier." in text
    assert "The quarantine is empty." in text


def test_a_small_chart_says_what_it_shows() -> None:
    busy = [0] * DAYS
    busy[-1], busy[0] = 4, 2
    drawn = spark(entity("student", "stu_1", {}, daily=busy))
    assert 'aria-label="6 sessions in 32 days, 4 in the last 7, at most 4 a day"' in drawn
    assert 'class="recent" d="M75 22h2v-1h-2z' in drawn
    assert drawn.endswith('M93 22v-22h2v22z"/></svg>')
    pair = spark(entity("subject", "algebra", {"demand_score": 90, "supply_score": 45}))
    assert 'aria-label="demand score 90, supply score 45"' in pair
    assert "h96v8h-96z" in pair
    assert "h48v8h-48z" in pair
    assert spark(entity("tutor", "tut_1", {"available_tutors": 3})) == ""


def test_when_it_was_made_is_in_its_title() -> None:
    made = render(replace(empty(), made_ms=5 * DAY_MS))
    assert "<title>iops-dashboard-metrics: report of 1970-01-06 00:00 UTC</title>" in made
