"""Registers: the latest value wins however it comes, the first session is found, and there is room for 200."""

from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities.facts import FAILURE, SUCCESS, UNKNOWN
from functions.entities.registers import FirstSession, Register, Update, canonical, first, later, merge
from functions.model import EntityKey, Rejection

SUBJECT, REGION = EntityKey("subject", "algebra"), EntityKey("region", "eu")

registers = st.builds(
    Register,
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["a", "ä", "b"]), st.sampled_from([0, 1, 10, 1.5, "x", "ö", "€"]), max_size=2),
)


def sighting(
    time: int, session: int, subject: str | None = None, tutor_id: str | None = None, outcome: int = UNKNOWN
) -> FirstSession:
    """What one event says of a student's session."""
    times = (time if known else 0 for known in (subject, tutor_id, outcome))
    subject_time, tutor_time, outcome_time = times
    return FirstSession(time, session, subject, subject_time, tutor_id, tutor_time, outcome, outcome_time)


sightings = st.builds(
    sighting,
    st.integers(1, 4),
    st.just(1),
    st.sampled_from([None, "algebra", "biology"]),
    st.sampled_from([None, "tut_1", "tut_2"]),
    st.sampled_from([UNKNOWN, FAILURE, SUCCESS]),
)


@given(registers, registers, registers)
def test_later_is_a_join(one: Register, other: Register, third: Register) -> None:
    assert later(one, one) == one
    assert later(one, other) == later(other, one)
    assert later(later(one, other), third) == later(one, later(other, third))
    assert later(one, other).time == max(one.time, other.time)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 10}, {"a": 2}),
        ({"a": 1, "b": 1}, {"b": 1}),
        ({}, {"a": 1}),
        ({"a": "z"}, {"a": "ä"}),
    ],
)
def test_of_equal_times_the_greater_canonical_json_wins(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(one) != canonical(other)
    greater = max(one, other, key=canonical)
    assert later(Register(5, one), Register(5, other)).value == greater
    assert later(Register(5, one), Register(4, other)).value == one


def test_canonical_json_knows_no_order_and_no_spaces() -> None:
    assert canonical({"b": [1, "ö"], "a": 1.5}) == canonical({"a": 1.5, "b": [1, "ö"]}) == '{"a":1.5,"b":[1,"ö"]}'


@given(sightings, sightings, sightings)
def test_what_is_known_of_one_session_is_a_join(one: FirstSession, other: FirstSession, third: FirstSession) -> None:
    assert first(one, one) == one
    assert first(one, other) == first(other, one)
    assert first(first(one, other), third) == first(one, first(other, third))


@pytest.mark.parametrize(
    ("one", "other", "known"),
    [
        (sighting(1, 7, "b", "t2"), sighting(2, 7, "a", "t1"), (1, "b", "t2", UNKNOWN)),
        (sighting(1, 7), sighting(2, 7, "a", "t1"), (1, "a", "t1", UNKNOWN)),
        (sighting(1, 7, "b", "t2"), sighting(1, 7, "a", "t1"), (1, "a", "t1", UNKNOWN)),
        (sighting(1, 7, outcome=SUCCESS), sighting(2, 7, outcome=FAILURE), (1, None, None, FAILURE)),
        (sighting(1, 7, outcome=SUCCESS), sighting(2, 7), (1, None, None, SUCCESS)),
        (sighting(1, 7, outcome=SUCCESS), sighting(1, 7, outcome=FAILURE), (1, None, None, SUCCESS)),
    ],
)
def test_of_one_session_the_earliest_names_and_the_latest_outcome_are_kept(
    one: FirstSession, other: FirstSession, known: tuple[object, ...]
) -> None:
    kept = first(one, other)
    assert (kept.time, kept.subject, kept.tutor_id, kept.outcome) == known


def test_what_no_sighting_says_has_time_zero() -> None:
    assert first(FirstSession(1, 7), FirstSession(2, 7)) == sighting(1, 7)


def test_of_two_sessions_the_earlier_is_the_first_and_of_equal_times_the_smaller_id() -> None:
    sessions = [sighting(2, 1, "a"), sighting(1, 9, "b"), sighting(1, 8, "c")]
    assert {reduce(first, order) for order in permutations(sessions)} == {sighting(1, 8, "c")}


# -- slots ------------------------------------------------------------------------------------------------------------


def update(record: int, slot: str, time: int = 0) -> Update:
    return Update(record, slot, Register(time, {"record": record}))


updates = st.lists(
    st.builds(update, st.integers(0, 9), st.sampled_from(["eu", "us", "asia"]), st.integers(0, 3)), max_size=10
)


@given(updates, updates, st.randoms(use_true_random=False))
def test_slots_are_the_same_in_whatever_order_and_parts_updates_come(
    one: list[Update], other: list[Update], rng: Any
) -> None:
    at_once, rejections = merge(SUBJECT, {}, [*one, *other])
    assert rejections == []
    shuffled = [*one, *other, *one]
    rng.shuffle(shuffled)
    assert merge(SUBJECT, merge(SUBJECT, {}, other)[0], shuffled)[0] == at_once


def test_the_201st_slot_finds_no_room_and_those_that_are_there_go_on() -> None:
    stored, rejections = merge(SUBJECT, {}, [update(each, f"region_{each}") for each in range(200)])
    assert (len(stored), rejections) == (200, [])
    arriving = [update(0, "one_more", 9), update(1, "region_7", 9), update(2, "another", 9), update(3, "one_more", 9)]
    merged, rejections = merge(SUBJECT, stored, arriving)
    assert merged == stored | {"region_7": Register(9, {"record": 1})}
    detail = "subject algebra has 200 regions, the most allowed"
    assert rejections == [Rejection(record, "too_many", detail) for record in (0, 2, 3)]


def test_who_comes_first_finds_the_room_that_is_left() -> None:
    stored, _ = merge(REGION, {}, [update(each, f"subject_{each}") for each in range(199)])
    merged, (rejection,) = merge(REGION, stored, [update(0, "late", 1), update(1, "later", 2), update(2, "late", 3)])
    assert set(merged) - set(stored) == {"late"}
    assert rejection == Rejection(1, "too_many", "region eu has 200 subjects, the most allowed")
