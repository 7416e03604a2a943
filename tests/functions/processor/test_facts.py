"""Facts: `merge` is a join, `absorb` is indifferent to how things arrive, and folding keeps what it promises."""

import random
from collections import defaultdict
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.processor.facts import (
    CALL,
    FAILURE,
    KEY,
    MOST_ROWS,
    RETENTION_MS,
    ROWS_AFTER_FOLD,
    SESSION,
    SUCCESS,
    Merged,
    fact_id,
    merge,
)
from functions.processor.model import DAY_MS, HOUR_MS
from functions.processor.packing import pack

from .deployment import NOW
from .frames import Row, rows, take, things, told

HALF_HOUR = HOUR_MS // 2
events = st.lists(things, max_size=12)
frames = events.map(lambda made: merge(rows(*made)))


def naive(made: list[Row]) -> list[Row]:
    """state.md's table of merges, one thing after the other."""
    by_key: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in made:
        by_key[tuple(row[name] for name in KEY)].append(row)
    merged = []
    for same in by_key.values():
        rated = max(((row["rating_time"], row["rating"]) for row in same if row["rating"] is not None), default=None)
        ended = max(((row["outcome_time"], row["outcome"]) for row in same if row["outcome"]), default=None)
        named = min(((row["subject_time"], row["subject"]) for row in same if row["subject"]), default=None)
        merged.append(
            {
                **{name: same[0][name] for name in KEY},
                "time": min(row["time"] for row in same),
                "last": max(row["last"] for row in same),
                "rating": rated and rated[1],
                "rating_time": rated and rated[0],
                "outcome": ended[1] if ended else 0,
                "outcome_time": ended and ended[0],
                "subject": named and named[1],
                "subject_time": named and named[0],
            }
        )
    return sorted(merged, key=lambda row: [row[name] for name in ("entity", "time", "kind", "id")])


@given(events)
def test_merge_is_what_the_table_of_merges_says(made: list[Row]) -> None:
    assert_frame_equal(merge(rows(*made)), rows(*naive(made)))


@given(frames)
def test_merge_is_idempotent(one: pl.DataFrame) -> None:
    assert_frame_equal(merge(one, one), one)


@given(frames, frames)
def test_merge_is_commutative(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert_frame_equal(merge(one, other), merge(other, one))


@given(frames, frames, frames)
def test_merge_is_associative(one: pl.DataFrame, other: pl.DataFrame, third: pl.DataFrame) -> None:
    assert_frame_equal(merge(merge(one, other), third), merge(one, merge(other, third)))


@pytest.mark.parametrize(
    ("column", "one", "other", "kept"),
    [
        ("time", told(5), told(4), 4),
        ("last", told(5), told(4), 5),
        ("rating", told(4, rating=50_000), told(5, rating=10_000), 10_000),
        ("rating", told(5, rating=50_000), told(5, rating=10_000), 50_000),
        ("rating", told(4, rating=50_000), told(5), 50_000),
        ("rating", told(4, rating=0), told(5), 0),
        ("outcome", told(4, outcome=SUCCESS), told(5, outcome=FAILURE), FAILURE),
        ("outcome", told(5, outcome=SUCCESS), told(5, outcome=FAILURE), SUCCESS),
        ("outcome", told(4, outcome=FAILURE), told(5), FAILURE),
        ("subject", told(4, subject="b"), told(5, subject="a"), "b"),
        ("subject", told(5, subject="b"), told(5, subject="a"), "a"),
        ("subject", told(4), told(5, subject="a"), "a"),
    ],
)
def test_of_two_events_of_a_thing_one_wins(column: str, one: Row, other: Row, kept: object) -> None:
    assert merge(rows(one, other))[column].to_list() == [kept]
    assert merge(rows(other), rows(one))[column].to_list() == [kept]


def test_a_session_and_a_call_of_one_identity_are_two_things() -> None:
    assert merge(rows(told(1, kind=SESSION), told(1, kind=CALL))).height == 2
    assert fact_id(SESSION, "id:1") != fact_id(CALL, "id:1")


def test_a_facts_name_never_changes() -> None:
    assert fact_id(SESSION, "id:sess_1") == 0xA20C_714D_7EC3_6AD9
    assert fact_id(CALL, "id:call_1") == 0xD65A_75C4_A3C8_D65F


@given(st.lists(things, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_absorbing_in_any_order_parts_and_repetition_gives_the_same_rows(made: list[Row], rng: random.Random) -> None:
    at_once = take(None, made, entities=2)
    somehow = made * 2
    rng.shuffle(somehow)
    state: Merged | None = None
    while somehow:
        size = rng.randint(1, 7)
        state, somehow = take(state, somehow[:size], entities=2), somehow[size:]
    assert state is not None
    assert_frame_equal(state.rows, at_once.rows)
    assert_frame_equal(at_once.rows, rows(*naive([row for row in made if row["last"] > NOW - RETENTION_MS])))


@given(st.lists(things, max_size=12), st.lists(things, max_size=12))
def test_exactly_those_entities_are_changed_whose_rows_are_others_than_before(old: list[Row], new: list[Row]) -> None:
    before = take(None, old, entities=2)
    after = take(before, new, NOW + DAY_MS, entities=2)
    assert after.changed == {
        entity
        for entity in (0, 1)
        if not before.rows.filter(pl.col("entity") == entity).equals(after.rows.filter(pl.col("entity") == entity))
    }


def test_facts_are_kept_until_32_days_after_their_latest_event_to_the_millisecond() -> None:
    edge = NOW - 32 * DAY_MS
    made = [told(edge, 1), told(edge + 1, 2), told(edge - 1, 3), told(edge + 1, 3)]
    kept = take(None, made)
    assert kept.rows.select("id", "time").rows() == [(2, edge + 1), (3, edge + 1)]
    assert take(kept, [], NOW + 1).rows.is_empty()


def test_a_stored_fact_whose_events_lie_apart_leaves_by_the_later() -> None:
    stored = take(None, [told(NOW - 31 * DAY_MS), told(NOW)])
    later = take(stored, [], NOW + 31 * DAY_MS)
    assert later.rows.select("time", "last").rows() == [(NOW - 31 * DAY_MS, NOW)]
    assert later.changed == set()
    gone = take(stored, [], NOW + 32 * DAY_MS)
    assert gone.rows.is_empty()
    assert gone.changed == {0}


def test_an_entity_that_loses_a_fact_does_not_change_its_neighbour() -> None:
    stored = take(None, [told(NOW - 31 * DAY_MS), told(NOW, entity=1)], entities=2)
    assert take(stored, [], NOW + DAY_MS, entities=2).changed == {0}


# -- folding ----------------------------------------------------------------------------------------------------------


def many(count: int, *, step: int = HALF_HOUR, first: int = 1, latest: int = NOW - HOUR_MS, **given: Any) -> list[Row]:
    """Rated sessions, one each `step` back from `latest`."""
    return [told(latest - number * step, first + number, rating=number % 50_001, **given) for number in range(count)]


def test_a_thousand_rows_are_not_folded() -> None:
    state = take(None, many(MOST_ROWS))
    assert (state.rows.height, state.folded.height, state.folded_before) == (1_000, 0, {})


def test_above_a_thousand_rows_the_oldest_are_folded_into_hours_until_700_are_left() -> None:
    made = many(MOST_ROWS + 1)
    state = take(None, made)
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
    state = take(take(None, made), many(600, first=5_000, latest=NOW))
    rated = [row["rating"] for row in made + many(600) if row["rating"] is not None]
    weight, rating_sum, rating_count = state.folded.select("weight", "rating_sum", "rating_count").sum().row(0)
    assert state.rows.height + weight == len(made) + 600
    assert sum(state.rows["rating"].drop_nulls()) + rating_sum == sum(rated)
    assert state.rows["rating"].count() + rating_count == len(rated)


def test_sessions_and_calls_are_folded_apart() -> None:
    state = take(None, many(600) + many(600, kind=CALL))
    weights = dict(state.folded.group_by("kind").agg(pl.col("weight").sum()).rows())
    kept = dict(state.rows.group_by("kind").len().rows())
    assert {kind: weights[kind] + kept[kind] for kind in (SESSION, CALL)} == {SESSION: 600, CALL: 600}


def test_only_entities_above_the_cap_are_folded() -> None:
    state = take(None, many(MOST_ROWS + 1) + many(MOST_ROWS, entity=1), entities=2)
    assert dict(state.rows.group_by("entity").len().rows()) == {0: 700, 1: 1_000}
    assert list(state.folded_before) == [0]


def test_things_of_one_millisecond_are_kept_together_at_the_edge() -> None:
    tied = [told(NOW - DAY_MS, 10_000 + number) for number in range(200)]
    state = take(None, many(600, latest=NOW, step=1000) + tied + many(300, first=2_000, latest=NOW - 2 * DAY_MS))
    assert state.rows.height == 800
    assert state.folded_before == {0: NOW - DAY_MS}


def test_things_of_one_millisecond_are_folded_together_where_they_are_too_many() -> None:
    tied = [told(NOW - DAY_MS, 10_000 + number) for number in range(1_200)]
    state = take(None, many(10, latest=NOW) + tied)
    assert state.rows.height == 10
    assert state.folded["weight"].to_list() == [1_200]
    assert state.folded_before == {0: NOW - DAY_MS + 1}


def test_the_edge_of_a_fold_never_goes_back() -> None:
    folded = take(None, many(MOST_ROWS + 1))
    edge = folded.folded_before[0]
    older = [told(edge - HOUR_MS, identity) for identity in folded.rows["id"][:350]]
    again = take(folded, older + many(301, first=5_000, latest=NOW, step=1_000))
    assert again.rows.height < 700
    assert again.folded_before == {0: edge}


def test_folded_hours_leave_at_32_days() -> None:
    state = take(None, many(MOST_ROWS + 1))
    last = state.folded["time"].max()
    assert isinstance(last, int)
    assert take(state, [], last + RETENTION_MS - 1).folded["time"].to_list() == [last]
    assert take(state, [], last + RETENTION_MS).folded.is_empty()


# -- too late ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folded() -> Merged:
    """An entity that has been folded at `folded_before[0]`."""
    return take(None, many(MOST_ROWS + 1))


@pytest.mark.parametrize(("off", "late"), [(-1, True), (0, False), (1, False)])
def test_an_unknown_thing_is_too_late_exactly_when_older_than_the_fold(folded: Merged, off: int, late: bool) -> None:
    edge = folded.folded_before[0]
    state = take(folded, [told(NOW, 70_000), told(edge + off, 80_000)])
    assert state.too_late.rows() == ([(0, 1)] if late else [])
    assert set(state.rows["id"]) - set(folded.rows["id"]) == ({70_000} if late else {70_000, 80_000})
    assert_frame_equal(state.folded, folded.folded)


def test_an_older_event_of_a_kept_thing_is_not_too_late(folded: Merged) -> None:
    kept = folded.rows["id"][0]
    state = take(folded, [told(folded.folded_before[0] - HOUR_MS, kept)])
    assert state.too_late.is_empty()
    assert state.rows.filter(pl.col("id") == kept)["time"].to_list() == [folded.folded_before[0] - HOUR_MS]


def test_an_older_event_that_comes_with_a_newer_one_is_not_too_late(folded: Merged) -> None:
    state = take(folded, [told(folded.folded_before[0] - 1, 70_000), told(NOW, 70_000)])
    assert state.too_late.is_empty()
    assert state.rows.filter(pl.col("id") == 70_000)["time"].to_list() == [folded.folded_before[0] - 1]


def test_too_late_is_said_of_the_folded_entity_alone(folded: Merged) -> None:
    old = folded.folded_before[0] - 1
    state = take(folded, [told(old, 70_000), told(old, 70_000, entity=1)], entities=2)
    assert state.too_late.rows() == [(0, 0)]
    assert state.rows.filter(pl.col("entity") == 1)["id"].to_list() == [70_000]


def test_what_is_past_retention_is_no_longer_too_late(folded: Merged) -> None:
    assert take(folded, [told(NOW - RETENTION_MS, 70_000)]).too_late.is_empty()


def test_a_replay_counts_nothing_twice_and_says_of_what_was_folded_that_it_is_too_late(folded: Merged) -> None:
    made = many(MOST_ROWS + 1)
    state = take(folded, made)
    assert_frame_equal(state.rows, folded.rows)
    assert_frame_equal(state.folded, folded.folded)
    assert state.changed == set()
    old = {(0, number) for number, row in enumerate(made) if row["time"] < folded.folded_before[0]}
    assert set(state.too_late.rows()) == old
    assert len(old) == 301


# -- a giant ----------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_sessions_in_30_days_stay_small_and_right_to_the_hour() -> None:
    times = sorted(NOW - number * 2_654_435_761 % (30 * DAY_MS) for number in range(100_000))
    made = [told(time, number, rating=40_000, subject=f"subject {number % 50}") for number, time in enumerate(times)]
    state: Merged | None = None
    for start in range(0, len(made), 20_000):
        state = take(state, made[start : start + 20_000])
    assert state is not None
    assert state.rows.height <= MOST_ROWS
    packed = pack(state.rows, state.folded, [0])[0]
    assert len(packed.blob) + sum(map(len, packed.subjects)) < 100_000

    counted = [*state.rows["time"], *state.folded.select(pl.col("time").repeat_by("weight").explode()).to_series()]
    assert len(counted) == 100_000
    for edge in (NOW - days * DAY_MS + off for days in (7, 14, 30) for off in (0, 1, HALF_HOUR, HOUR_MS - 1)):
        count = sum(time > edge for time in counted)
        assert sum(time >= edge + HOUR_MS for time in times) <= count <= sum(time > edge for time in times)
