"""Folding keeps a tail small and its counts right to the hour."""

from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest

from functions.entities.facts import CALL, RETENTION_MS, SESSION
from functions.entities.folding import BYTES_AFTER_FOLD, MOST_BYTES, MOST_ROWS, ROWS_AFTER_FOLD
from functions.model import DAY_MS, HOUR_MS
from tests.helpers.deployment import NOW
from tests.helpers.frames import HALF_HOUR, MOVES, Row, Taken, many, take, told


def fill(before: Taken | None, made: Iterable[Row], as_of: int = NOW, entities: int = 1) -> Taken:
    """What `take` gives when all facts move to the tail, where they are folded."""
    return take(before, made, as_of, entities, head=MOVES)


def stored_size(state: Taken) -> int:
    """What the first entity's facts take in its tail, the names that they refer to included."""
    return len(state.stored[0].tail.facts.blob)


def test_a_thousand_rows_are_not_folded() -> None:
    state = fill(None, many(MOST_ROWS))
    assert (state.rows.height, state.folded.height, state.folded_before) == (1_000, 0, {})


def test_above_a_thousand_rows_the_oldest_are_folded_into_hours_until_700_are_left() -> None:
    made = many(MOST_ROWS + 1)
    state = fill(None, made)
    oldest_kept = made[ROWS_AFTER_FOLD - 1]["time"]
    assert state.rows.height == 700
    assert state.rows["time"].min() == oldest_kept
    assert state.folded_before == {0: oldest_kept}
    assert state.changed == {0}
    assert (state.folded["time"] % HOUR_MS).unique().to_list() == [0]
    assert state.folded["time"].is_sorted()
    assert state.folded["time"].is_unique().all()


def test_folding_keeps_weights_and_the_sums_of_ratings() -> None:
    made = many(MOST_ROWS + 1)
    made[-1] |= {"rating": None, "rating_time": None}
    made[-2] |= {"rating": 0}
    state = fill(fill(None, made), many(600, first=5_000, latest=NOW))
    rated = [row["rating"] for row in made + many(600) if row["rating"] is not None]
    weight, rating_sum, rating_count = state.folded.select("weight", "rating_sum", "rating_count").sum().row(0)
    assert state.rows.height + weight == len(made) + 600
    assert sum(state.rows["rating"].drop_nulls()) + rating_sum == sum(rated)
    assert state.rows["rating"].count() + rating_count == len(rated)


def test_sessions_and_calls_are_folded_apart() -> None:
    state = fill(None, many(600) + many(600, kind=CALL))
    weights = dict(state.folded.group_by("kind").agg(pl.col("weight").sum()).rows())
    kept = dict(state.rows.group_by("kind").len().rows())
    assert {kind: weights[kind] + kept[kind] for kind in (SESSION, CALL)} == {SESSION: 600, CALL: 600}


def test_only_entities_above_the_cap_are_folded() -> None:
    state = fill(None, many(MOST_ROWS + 1) + many(MOST_ROWS, entity=1), entities=2)
    assert dict(state.rows.group_by("entity").len().rows()) == {0: 700, 1: 1_000}
    assert list(state.folded_before) == [0]


def test_things_of_one_millisecond_are_kept_together_at_the_edge() -> None:
    tied = [told(NOW - DAY_MS, 10_000 + number) for number in range(200)]
    state = fill(None, many(600, latest=NOW, step=1000) + tied + many(300, first=2_000, latest=NOW - 2 * DAY_MS))
    assert state.rows.height == 800
    assert state.folded_before == {0: NOW - DAY_MS}


def test_things_of_one_millisecond_are_folded_together_where_they_are_too_many() -> None:
    tied = [told(NOW - DAY_MS, 10_000 + number) for number in range(1_200)]
    state = fill(None, many(10, latest=NOW) + tied)
    assert state.rows.height == 10
    assert state.folded["weight"].to_list() == [1_200]
    assert state.folded_before == {0: NOW - DAY_MS + 1}


def test_the_edge_of_a_fold_never_goes_back() -> None:
    folded = fill(None, many(MOST_ROWS + 1))
    edge = folded.folded_before[0]
    older = [told(edge - HOUR_MS, identity) for identity in folded.rows["id"][:350]]
    again = fill(folded, older + many(301, first=5_000, latest=NOW, step=1_000))
    assert again.rows.height == 700
    assert again.folded_before[0] > edge
    assert again.rows["last"].min() == again.folded_before[0]


def test_folded_hours_leave_at_32_days() -> None:
    state = fill(None, many(MOST_ROWS + 1))
    last = state.folded["time"].max()
    assert isinstance(last, int)

    def hours_at(as_of: int) -> list[int]:
        return fill(state, many(30, first=5_000, latest=as_of), as_of).folded["time"].to_list()

    assert hours_at(last + RETENTION_MS - 1) == [last]
    assert hours_at(last + RETENTION_MS) == []


def test_folded_hours_stay_as_they_are_until_their_tail_is_written() -> None:
    state = fill(None, many(MOST_ROWS + 1))
    assert fill(state, [], NOW + 2 * RETENTION_MS).changed == set()


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (900, lambda number: {"subject": f"{number:04d}".ljust(128, "x")}),
        (900, lambda number: {"tutor": f"{number:04d}".ljust(1024, "x")}),
        (400, lambda number: {"subject": "Ö" * 64, "tutor": f"{number:04d}".ljust(128, "x")}),
    ],
)
def test_long_names_are_folded_away_before_an_item_grows_beyond_its_budget(count: int, names: Any) -> None:
    made = [told(NOW - number * HOUR_MS // 2, number, rating=0, **names(number)) for number in range(count)]
    state = fill(None, made)
    assert 0 < state.rows.height < ROWS_AFTER_FOLD
    assert BYTES_AFTER_FOLD - 2_000 < state.stored[0].tail.facts.fact_bytes <= BYTES_AFTER_FOLD + 8
    assert state.rows.height + int(state.folded["weight"].sum()) == count


def test_a_name_counts_once_however_many_rows_it_has() -> None:
    made = [told(NOW - number, number, rating=0, subject="x" * 128, tutor="y" * 1024) for number in range(MOST_ROWS)]
    state = fill(None, made)
    assert (state.rows.height, state.folded.height) == (MOST_ROWS, 0)
    assert stored_size(state) <= MOST_BYTES


def test_a_hundred_thousand_sessions_in_30_days_stay_small_and_right_to_the_hour() -> None:
    times = sorted(NOW - number * 2_654_435_761 % (30 * DAY_MS) for number in range(100_000))
    made = [told(time, number, rating=40_000, subject=f"subject {number % 50}") for number, time in enumerate(times)]
    state: Taken | None = None
    for start in range(0, len(made), 20_000):
        state = fill(state, made[start : start + 20_000])
    assert state is not None
    assert state.rows.height <= MOST_ROWS
    assert stored_size(state) < 100_000

    counted = [*state.rows["time"], *state.folded.select(pl.col("time").repeat_by("weight").explode()).to_series()]
    assert len(counted) == 100_000
    for edge in (NOW - days * DAY_MS + off for days in (7, 14, 30) for off in (0, 1, HALF_HOUR, HOUR_MS - 1)):
        count = sum(time > edge for time in counted)
        assert sum(time >= edge + HOUR_MS for time in times) <= count <= sum(time > edge for time in times)
