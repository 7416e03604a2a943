"""Taking in facts: indifferent to how they arrive, kept to the millisecond; and what a folded entity cannot take."""

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.entities.absorb import Stored, absorb
from functions.entities.fact_columns import NOTHING, facts_of, hours_of, read
from functions.entities.facts import RETENTION_MS, SUCCESS
from functions.entities.folding import MOST_ROWS
from functions.entities.open_facts import pack
from functions.entities.tails import NO_TAIL, Tail
from functions.model import DAY_MS, HOUR_MS
from tests.helpers.deployment import NOW
from tests.helpers.frames import KEEPS, MOVES, Row, Taken, fact, many, naive, rows, take, things, told


@given(st.lists(things, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_absorbing_in_any_order_parts_and_repetition_gives_the_same_rows(made: list[Row], rng: random.Random) -> None:
    at_once = take(None, made, entities=2)
    somehow = made * 2
    rng.shuffle(somehow)
    state: Taken | None = None
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


@pytest.fixture(scope="module")
def folded() -> Taken:
    """An entity whose tail has been folded at `folded_before[0]`."""
    return take(None, many(MOST_ROWS + 1), head=MOVES)


@pytest.mark.parametrize(("off", "late"), [(-1, True), (0, False), (1, False)])
def test_an_unknown_thing_is_too_late_exactly_when_older_than_the_fold(folded: Taken, off: int, late: bool) -> None:
    edge = folded.folded_before[0]
    state = take(folded, [told(NOW, 70_000), told(edge + off, 80_000)])
    assert state.too_late == ([(0, 1)] if late else [])
    assert set(state.rows["id"]) - set(folded.rows["id"]) == ({70_000} if late else {70_000, 80_000})
    assert_frame_equal(state.folded, folded.folded)


def test_an_older_event_of_a_kept_thing_is_not_too_late(folded: Taken) -> None:
    kept = folded.rows["id"][0]
    state = take(folded, [told(folded.folded_before[0] - HOUR_MS, kept)])
    assert state.too_late == []
    assert state.rows.filter(pl.col("id") == kept)["time"].to_list() == [folded.folded_before[0] - HOUR_MS]


def test_an_older_event_that_comes_with_a_newer_one_is_not_too_late(folded: Taken) -> None:
    state = take(folded, [told(folded.folded_before[0] - 1, 70_000), told(NOW, 70_000)])
    assert state.too_late == []
    assert state.rows.filter(pl.col("id") == 70_000)["time"].to_list() == [folded.folded_before[0] - 1]


def test_too_late_is_said_of_the_folded_entity_alone(folded: Taken) -> None:
    old = folded.folded_before[0] - 1
    state = take(folded, [told(old, 70_000), told(old, 70_000, entity=1)], entities=2)
    assert state.too_late == [(0, 0)]
    assert state.rows.filter(pl.col("entity") == 1)["id"].to_list() == [70_000]


def test_what_is_past_retention_is_no_longer_too_late(folded: Taken) -> None:
    assert take(folded, [told(NOW - RETENTION_MS, 70_000)]).too_late == []


def test_a_replay_counts_nothing_twice_and_says_of_what_was_folded_that_it_is_too_late(folded: Taken) -> None:
    made = many(MOST_ROWS + 1)
    state = take(folded, made)
    assert_frame_equal(state.rows, folded.rows)
    assert_frame_equal(state.folded, folded.folded)
    assert state.changed == set()
    old = {(0, number) for number, row in enumerate(made) if row["time"] < folded.folded_before[0]}
    assert set(state.too_late) == old
    assert len(old) == 301


def test_damaged_facts_are_left_and_said_and_their_neighbours_go_on() -> None:
    sound = take(None, [told(NOW - HOUR_MS, 1, subject="algebra")]).stored[0].recent
    nameless = read(sound.blob.replace(b"algebra\xff", b""))
    again = [(0, fact(told(NOW, 1)))]
    stored = [Stored(nameless, NO_TAIL), Stored(sound, NO_TAIL), Stored(NOTHING, Tail(1, nameless))]
    merged = absorb(stored, dict.fromkeys(range(3), again), [NOW] * 3, [KEEPS] * 3)
    assert merged.unreadable == dict.fromkeys((0, 2), "facts refer to name 1 of 0")
    assert [merged.facts[entity] is stored[entity] for entity in range(3)] == [True, False, True]
    assert next(facts_of(merged.facts[1].recent)).last == NOW


@given(st.lists(things, min_size=1, max_size=20), st.lists(things, max_size=40))
def test_splicing_gives_the_bytes_that_packing_all_anew_gives(old: list[Row], new: list[Row]) -> None:
    """Whichever way is taken, by search or by index, with names that come, move and go."""
    before = take(None, old, entities=2)
    after = take(before, new, NOW + DAY_MS, entities=2)
    for _, packed in after.parts:
        assert pack(facts_of(packed), hours_of(packed)).blob == packed.blob


def test_an_event_of_a_thing_that_left_counts_anew() -> None:
    stored = take(None, [told(NOW - 31 * DAY_MS, rating=10_000)])
    later = take(stored, [told(NOW + DAY_MS)], NOW + 2 * DAY_MS)
    assert later.rows.select("time", "rating").rows() == [(NOW + DAY_MS, None)]
    assert len(later.news[0]) == 1


def test_what_is_told_twice_is_said_to_be_repeated() -> None:
    begun, ended = told(NOW - HOUR_MS), told(NOW, outcome=SUCCESS)
    first = take(None, [begun, ended, ended])
    assert first.repeated == {0: 1}
    assert take(first, [begun, told(NOW, 2)]).repeated == {0: 1}


def test_an_exception_that_a_later_event_makes_regular_is_stored_as_regular() -> None:
    rated, seen = told(NOW - 2 * HOUR_MS, rating=10_000), told(NOW - HOUR_MS)
    odd = take(None, [rated, seen])
    assert len(odd.stored[0].recent.exceptions) == 1
    regular = take(odd, [told(NOW, rating=20_000)])
    assert not regular.stored[0].recent.exceptions
    assert regular.stored == take(None, [rated, seen, told(NOW, rating=20_000)]).stored
