"""Facts: `join` is a join, and what identifies a thing never changes."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities.facts import CALL, FAILURE, SESSION, SUCCESS, Fact, fact_id, join
from tests.helpers.frames import Row, fact, naive, things, told

sightings = things.map(lambda row: fact(row | {"kind": SESSION, "id": 1}))
"""What events say of one thing."""
known = st.lists(sightings, min_size=1, max_size=6).map(lambda made: reduce(join, made))


@given(st.lists(sightings, min_size=1, max_size=12))
def test_join_is_what_the_table_of_merges_says(made: list[Fact]) -> None:
    (expected,) = naive([{"entity": 0, **each._asdict()} for each in made])
    assert reduce(join, made) == fact(expected)


@given(known)
def test_join_is_idempotent(one: Fact) -> None:
    assert join(one, one) == one


@given(known, known)
def test_join_is_commutative(one: Fact, other: Fact) -> None:
    assert join(one, other) == join(other, one)


@given(known, known, known)
def test_join_is_associative(one: Fact, other: Fact, third: Fact) -> None:
    assert join(join(one, other), third) == join(one, join(other, third))


@pytest.mark.parametrize(
    ("name", "one", "other", "kept"),
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
def test_of_two_events_of_a_thing_one_wins(name: str, one: Row, other: Row, kept: object) -> None:
    assert getattr(join(fact(one), fact(other)), name) == kept
    assert getattr(join(fact(other), fact(one)), name) == kept


def test_a_session_and_a_call_of_one_identity_are_two_things() -> None:
    assert fact_id(SESSION, "id:1") != fact_id(CALL, "id:1")


def test_a_facts_name_never_changes() -> None:
    assert fact_id(SESSION, "id:sess_1") == 0xA20C_714D_7EC3_6AD9
    assert fact_id(CALL, "id:call_1") == 0xD65A_75C4_A3C8_D65F
