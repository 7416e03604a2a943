"""The figures of the report page: what they say in words and numbers, and that Vega can draw them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import vl_convert

from functions.model import DAY_MS, HOUR_MS, SECOND_MS
from ops.report.charts import figures
from ops.report.charts.figure import CONFIG, Figure
from ops.report.data import DAYS, Balance, Batch, Report, Throughput, Timeline, Traffic
from ops.report.wording import NONE, duration, listed
from tests.helpers.deployment import NOW
from tests.helpers.report_sample import HOSTILE, batch, empty, entity, episode, report

NAMES = (
    "timeline",
    "traffic",
    "sessions",
    "subjects",
    "health",
    "balance",
    "quarantine",
    "throughput",
    "latency",
)


def figure(name: str, made: Report) -> Figure:
    return figures(made)[name]


def with_timeline(timeline: Timeline) -> Report:
    return replace(report(), timeline=timeline)


def with_batches(*batches: Batch) -> Report:
    return replace(report(), throughput=replace(report().throughput, batches=batches))


def values(spec: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    assert spec is not None
    found: list[dict[str, Any]] = spec["data"]["values"]
    return found


# -- all of them ------------------------------------------------------------------------------------------------------


def test_every_figure_has_words_and_of_everything_a_chart_and_numbers() -> None:
    made = figures(report())
    assert tuple(made) == NAMES
    for name, each in made.items():
        assert (each.name, bool(each.summary), bool(each.spec), bool(each.rows)) == (name, True, True, True)
        assert {len(row) for row in each.rows} == {len(each.columns)}


@pytest.mark.parametrize("name", NAMES)
def test_vega_draws_it(name: str) -> None:
    spec = figure(name, report()).spec
    assert spec is not None
    drawn = vl_convert.vegalite_to_svg({**spec, "width": 400, "config": CONFIG}, vl_version="6.4")
    assert drawn.count("<path") > 5
    assert "NaN" not in drawn


def test_colours_are_the_pages_own_and_the_legend_names_them() -> None:
    drawn = vl_convert.vegalite_to_svg({**(figure("traffic", report()).spec or {}), "width": 400}, vl_version="6.4")
    for _, colour in figure("traffic", report()).legend:
        assert f'fill="var(--{colour})"' in drawn


def test_of_a_stack_without_anything_it_says_so_in_place_of_each_chart() -> None:
    made = figures(empty())
    assert {name: each.summary for name, each in made.items() if each.spec is None} == {
        "timeline": "No alert fires, and none has.",
        "traffic": "The processor has not logged anything yet.",
        "subjects": "No subject has sessions in 30 days, or the rollup, which counts them, has not run yet.",
        "health": "No student's health was reported yet.",
        "balance": "No supply and demand was reported yet.",
        "quarantine": "The quarantine is empty.",
        "throughput": "The processor has not logged anything yet.",
        "latency": "The processor has not logged anything yet.",
    }
    assert made["timeline"].note == "This stack has no notifier."


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (1_999, "1,999 ms"),
        (2_000, "2 s"),
        (119_000, "119 s"),
        (180_000, "3 min"),
        (3 * HOUR_MS, "3 h"),
        (47 * HOUR_MS, "47 h"),
        (5 * DAY_MS, "5 days"),
    ],
)
def test_durations_are_in_the_largest_unit_that_fits(ms: float, text: str) -> None:
    assert duration(ms) == text


def test_names_are_listed_as_one_would_say_them() -> None:
    assert [listed(["a", "b", "c"][:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_the_timeline_says_what_fires_and_for_how_long() -> None:
    made = figure("timeline", report())
    assert made.summary == (
        "2 alerts fire now: 1 critical and 1 warning. 1 alert ended in the time shown. The longest has fired for 30 h."
    )
    assert [row[2:6] for row in made.rows] == [
        ("critical", "firing", "2026-11-23 07:00:00", NONE),
        ("warning", "firing", "2026-11-22 04:00:00", NONE),
        ("warning", "resolved", "2026-11-22 14:00:00", "2026-11-22 18:00:00"),
    ]
    assert [(each["start"], each["end"]) for each in values(made.spec)] == [
        (NOW - 3 * HOUR_MS, NOW),
        (NOW - 30 * HOUR_MS, NOW),
        (NOW - 20 * HOUR_MS, NOW - 16 * HOUR_MS),
    ]


def test_what_is_over_has_its_part_of_a_crowded_timeline() -> None:
    firing = [episode(f"stu_{number}", "warning", number) for number in range(1, 50)]
    over = [episode(f"old_{number}", "warning", 100, number) for number in range(1, 50)]
    crowded = with_timeline(Timeline([*firing, *over], 7, {"warning": 49}, 49, NOW - DAY_MS, ""))
    made = figure("timeline", crowded)
    drawn = [each["row"].split(" ")[0] for each in values(made.spec)]
    assert drawn == [f"stu_{number}" for number in range(1, 17)] + [f"old_{number}" for number in range(1, 9)]
    assert made.note == "Told since 2026-11-22 10:00:00 UTC. The chart leaves out 81 episodes."
    assert len(made.rows) == 98


def test_episodes_of_one_alert_share_a_row() -> None:
    again = [episode("stu_1", "warning", 10 * number, 2) for number in range(1, 40)]
    made = figure("timeline", with_timeline(Timeline(again, 0, {}, 39, NOW - DAY_MS, "")))
    assert len(values(made.spec)) == 39
    assert made.summary.startswith("0 alerts fire now. 39 alerts ended")


# -- what came --------------------------------------------------------------------------------------------------------


def test_traffic_is_by_hour_and_of_a_longer_time_by_day() -> None:
    made = figure("traffic", report())
    assert len(made.rows) == 24
    assert made.rows[-1][0] == "2026-11-23 10:00"
    assert "The busiest hour began at 2026-11-22 11:00 UTC with 198." in made.summary
    longer = [Traffic("ib_call_logged", NOW - days * DAY_MS, 5) for days in range(20)]
    throughput = replace(report().throughput, traffic=longer, older_events=3)
    made = figure("traffic", replace(report(), throughput=throughput))
    assert len(made.rows) == 20
    assert made.summary.startswith("100 events of 1 type, the most of them ib call logged (100). The busiest day")
    assert made.note.endswith("3 events from before the last 32 days are not drawn.")


def test_a_type_that_the_page_does_not_know_is_drawn_too() -> None:
    throughput = replace(report().throughput, traffic=[Traffic("session_moved", NOW, 5)])
    assert figure("traffic", replace(report(), throughput=throughput)).legend == [("session moved", "line-strong")]


def test_throughput_is_by_second() -> None:
    made = figure("throughput", with_batches(batch(3, records=50), batch(3, records=70), batch(1, records=80)))
    assert [row[1:] for row in made.rows] == [("2", "120", "120.0"), ("1", "80", "80.0")]
    assert made.summary == (
        "200 records in 3 batches; 6 facts said nothing new, 0 records failed and came again. "
        "At most 120.0 records a second, at 2026-11-23 09:59:57 UTC."
    )


def test_a_day_of_batches_is_in_steps_of_half_an_hour() -> None:
    made = figure("throughput", with_batches(*(batch(seconds) for seconds in range(86_399, 0, -600))))
    assert made.note.startswith("In steps of 30 min, ")
    assert len(made.rows) == 48
    assert {row[3] for row in made.rows} == {"0.2"}


def test_a_page_that_does_not_have_all_batches_says_since_when_it_has() -> None:
    throughput: Throughput = replace(report().throughput, since_ms=NOW - HOUR_MS)
    made = figure("throughput", replace(report(), throughput=throughput))
    assert "since 2026-11-23 09:00:00 UTC (asked for since 2026-11-22 10:00:00, but there are more" in made.note


def test_latency_has_median_and_95th_percentile() -> None:
    batches = [batch(1, took_ms=number, lag_ms=10 * number) for number in range(1, 101)]
    made = figure("latency", with_batches(*batches))
    assert [row[1:] for row in made.rows] == [("950", "95", "50")]
    assert made.summary == (
        "A batch takes 50 ms by the median, and 95 ms at the 95th percentile. "
        "Its oldest record has then waited 950 ms at the 95th percentile."
    )
    empty_batch = figure("latency", with_batches(batch(1, lag_ms=None, records=0)))
    assert empty_batch.rows[0][1:] == (NONE, "100", "100")
    assert len(values(empty_batch.spec)) == 2


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_days_are_coloured_by_the_smallest_window_that_they_are_in() -> None:
    made = figure("sessions", report())
    windows = [row[2] for row in made.rows]
    assert [windows.count(window) for window, _ in made.legend] == [7, 7, 16, 2]
    assert windows[-7:] == ["last 7 days"] * 7
    assert made.rows[-1][:2] == ("2026-11-22 10:00", str(DAYS - 1))
    assert made.summary == (
        "All students together: 196 sessions in 7 days, 343 in 14 and 495 in 30. "
        "The last 7 days have 49 more than the 7 before."
    )


def test_a_subjects_windows_are_parts_of_its_month() -> None:
    physics = entity(
        "subject", "physics", {"sessions_7d": 9, "sessions_14d": 9, "sessions_30d": 9, "session_velocity": 9}
    )
    table = report().table
    made = figure("subjects", replace(report(), table=replace(table, subjects=[*table.subjects, physics])))
    assert [each["sessions"] for each in values(made.spec)] == [10, 15, 15, 9, 0, 0]
    assert made.summary == (
        "algebra has the most: 40 sessions in 30 days. physics rises most, by 9 in the last 7 days over the 7 before. "
        "algebra falls most, by 5."
    )
    assert made.rows[1] == ("physics", "9", "9", "9", "9", NONE, NONE, NONE)


def test_health_is_coloured_by_the_thresholds_of_the_alerts() -> None:
    made = figure("health", report())
    assert made.summary == (
        "Of 36 students with a report, 1 are below 50 (critical), 2 below 70 (warning), 33 are healthy."
    )
    assert [row for row in made.rows if row[1] != "0"] == [
        ("45 to 50", "1", "critical"),
        ("60 to 65", "2", "warning"),
        ("70 to 75", "3", "healthy"),
        ("95 to 100", "30", "healthy"),
    ]
    assert "5 students without a report" in made.note


def test_supply_and_demand_leave_out_what_is_most_in_balance() -> None:
    balances = [
        Balance(f"subject {subject:02d}", f"region {region}", "balanced", subject + region + 1, 1, 1, 1, NOW)
        for subject in range(30)
        for region in range(10)
    ]
    made = figure("balance", replace(report(), table=replace(report().table, balances=balances)))
    drawn = values(made.spec)
    assert len(drawn) == 24 * 8
    assert {each["subject"] for each in drawn} == {f"subject {number:02d}" for number in range(6, 30)}
    assert "leaves out 108 pairs" in made.note
    assert len(made.rows) == 300


def test_a_cell_says_who_has_more_and_what_was_reported() -> None:
    cells = {(each["subject"], each["region"]): each for each in values(figure("balance", report()).spec)}
    assert (cells["algebra", "north"]["text"], cells["algebra", "north"]["level"]) == ("▲90/20", "much more demand")
    assert (cells["algebra", HOSTILE]["text"], cells["algebra", HOSTILE]["level"]) == ("▼10/60", "much more supply")
    assert cells["physics", "north"]["level"] == "in balance"
    assert figure("balance", report()).summary == (
        "3 pairs of subject and region: 1 in high demand (algebra in north)."
    )


def test_the_quarantine_says_what_was_not_read() -> None:
    made = figure("quarantine", report())
    assert made.summary == "103 records for 2 reasons, most often not json (3)."
    assert made.note == ""
    quarantine = replace(report().quarantine, objects=20_000, read=1_000, unreadable=1, more=True)
    made = figure("quarantine", replace(report(), quarantine=quarantine))
    assert made.note == "Of at least 20,000 objects the latest 1,000 were read. 1 object could not be read."


def test_numbers_of_seconds_are_the_words_smallest_step() -> None:
    """A batch alone is drawn as well."""
    made = figure("latency", with_batches(batch(1)))
    assert made.note.startswith(f"In steps of {duration(SECOND_MS)}, ")
