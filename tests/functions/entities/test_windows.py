"""Windows: to the millisecond at every edge."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities.facts import CALL, SESSION
from functions.entities.windows import MEASURED, STANDING, measure
from functions.model import DAY_MS, HOUR_MS
from tests.helpers.deployment import NOW
from tests.helpers.frames import NO_HOURS, NO_ROWS, hours, moments, rows, take, things, things_of, told

REPORTS = {
    "sessions_last_7_days": ("sessions_7d", 7),
    "ib_calls_last_14_days": ("ib_calls_14d", 14),
    "sessions_last_30_days": ("sessions_30d", 30),
}
"""A health report's figures, the count that each speaks of, and its window."""


def measured(facts: pl.DataFrame = NO_ROWS, folded: pl.DataFrame = NO_HOURS, **standing: Any) -> dict[str, Any]:
    """Entity 0's metrics."""
    known = pl.DataFrame([{"as_of": NOW} | standing], schema=STANDING)
    return measure(things_of(facts, folded), known).collect().row(0, named=True)


@pytest.mark.parametrize(
    ("name", "kind", "days"),
    [
        ("sessions_7d", SESSION, 7),
        ("sessions_14d", SESSION, 14),
        ("sessions_30d", SESSION, 30),
        ("ib_calls_7d", CALL, 7),
        ("ib_calls_14d", CALL, 14),
    ],
)
def test_a_window_holds_what_is_later_than_so_many_days_ago(name: str, kind: int, days: int) -> None:
    edge = NOW - days * DAY_MS
    assert measured(rows(told(edge + 1, kind=kind)))[name] == 1
    assert measured(rows(told(edge, kind=kind)))[name] == 0
    assert measured(rows(told(edge + 1, kind=SESSION + CALL - kind)))[name] == 0
    assert measured(NO_ROWS, hours((kind, edge + 1, 5, 0, 0)))[name] == 5
    assert measured(NO_ROWS, hours((kind, edge, 5, 0, 0)))[name] == 0


def test_what_happens_after_as_of_is_counted() -> None:
    counts = measured(rows(told(NOW + 5 * 60_000), told(NOW + 1, kind=CALL)))
    assert [counts[name] for name in ("sessions_7d", "sessions_14d", "sessions_30d")] == [1, 1, 1]
    assert [counts[name] for name in ("ib_calls_7d", "ib_calls_14d")] == [1, 1]


def test_a_session_is_counted_by_its_earliest_event() -> None:
    assert measured(rows(told(NOW - 7 * DAY_MS) | {"last": NOW}))["sessions_7d"] == 0


def test_velocity_is_this_week_minus_the_week_before() -> None:
    ages = [0, 1, 6, 7, 8, 9, 13, 13, 14, 20]
    assert measured(rows(*(told(NOW - days * DAY_MS, days) for days in ages)))["session_velocity"] == 3 - 5


def test_velocity_and_counted_sessions_know_nothing_of_reports() -> None:
    report: dict[str, Any] = {"reported_at": NOW, "sessions_last_7_days": 9, "sessions_last_30_days": 9}
    figures = measured(rows(told(NOW, 1), told(NOW - 7 * DAY_MS, 2), told(NOW, 3, kind=CALL)), **report)
    assert (figures["session_velocity"], figures["counted_7"], figures["sessions_7d"]) == (0, 1, 9)


@pytest.mark.parametrize(
    ("ratings", "mean"),
    [
        ([], 0),
        ([None], 0),
        ([0], 0),
        ([50_000, None], 50_000),
        ([10_000, 10_001], 10_000),  # 1.00005 is as near to 1.0000 as to 1.0001: the even one
        ([10_001, 10_002], 10_002),
        ([10_000, 10_000, 10_001], 10_000),
        ([10_000, 10_001, 10_001], 10_001),
    ],
)
def test_the_mean_rating_is_exact_and_rounded_half_to_even(ratings: list[int | None], mean: int) -> None:
    figures = measured(rows(*(told(NOW, each, rating=rating) for each, rating in enumerate(ratings))))
    assert (figures["avg_rating"], figures["ratings_30d"]) == (mean, sum(each is not None for each in ratings))


def test_ratings_are_those_of_sessions_of_30_days() -> None:
    edge = NOW - 30 * DAY_MS
    figures = measured(
        rows(told(edge, 1, rating=10_000), told(edge + 1, 2, rating=20_000)),
        hours((SESSION, edge, 2, 10_000, 2), (SESSION, edge + 1, 4, 130_000, 3)),
    )
    assert (figures["avg_rating"], figures["ratings_30d"]) == (37_500, 4)


@pytest.mark.parametrize(("figure", "name", "days"), [(figure, *of) for figure, of in REPORTS.items()])
def test_a_report_younger_than_its_window_raises_the_count(figure: str, name: str, days: int) -> None:
    age = days * DAY_MS
    facts = rows(*(told(NOW, each, kind=CALL if "calls" in name else SESSION) for each in range(3)))

    def count(reported_at: int, reported: int | None) -> Any:
        standing: dict[str, Any] = {"reported_at": reported_at, figure: reported}
        return measured(facts, **standing)[name]

    assert count(NOW - age + 1, 5) == 5
    assert count(NOW - age, 5) == 3
    assert count(NOW, 2) == 3
    assert count(NOW, None) == 3


def test_a_reported_count_raises_those_of_longer_windows() -> None:
    counts = measured(rows(told(NOW)), reported_at=NOW, sessions_last_7_days=5)
    assert [counts[name] for name in ("sessions_7d", "sessions_14d", "sessions_30d")] == [5, 5, 5]


def test_the_health_score_is_the_reported_one_however_old_and_100_before_that() -> None:
    assert measured()["health_score"] == 100
    assert measured(reported_at=0, health_score=45.5)["health_score"] == 45.5
    assert measured(reported_at=NOW, health_score=0)["health_score"] == 0


figures = st.none() | st.integers(0, 9)
standings = st.fixed_dictionaries(
    {
        "reported_at": st.none() | moments(7, 14, 30),
        "sessions_last_7_days": figures,
        "sessions_last_30_days": figures,
        "ib_calls_last_14_days": figures,
    }
).map(lambda known: known if known["reported_at"] else {})
facts_of_one = st.lists(things.map(lambda row: row | {"entity": 0}), max_size=10).map(
    lambda made: take(None, made).rows
)
folds_of_one = st.lists(
    st.tuples(
        st.sampled_from([SESSION, CALL]),
        st.integers(0, 32 * 24 - 1).map(lambda age: NOW - age * HOUR_MS),
        st.integers(1, 9),
        st.just(0),
        st.just(0),
    ),
    max_size=3,
).map(lambda made: hours(*made))


@given(facts_of_one, folds_of_one, standings)
def test_a_longer_window_is_never_below_a_shorter_one(
    facts: pl.DataFrame, folded: pl.DataFrame, standing: dict[str, Any]
) -> None:
    counts = measured(facts, folded, **standing)
    assert counts["sessions_7d"] <= counts["sessions_14d"] <= counts["sessions_30d"]
    assert counts["ib_calls_7d"] <= counts["ib_calls_14d"]


def test_entities_are_measured_apart_and_in_their_order() -> None:
    facts = rows(told(NOW, 1, entity=2), told(NOW - DAY_MS, 1, entity=0), told(NOW - DAY_MS, 2, entity=0))
    standing = pl.DataFrame([{"as_of": NOW + each} for each in range(4)], schema=STANDING)
    table = measure(things_of(facts), standing).collect()
    assert table["sessions_7d"].to_list() == [2, 0, 1, 0]
    assert table["as_of"].to_list() == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert {name: table.schema[name] for name in MEASURED} == dict(MEASURED)
