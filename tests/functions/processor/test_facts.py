"""Facts: `merge` is a join, and what identifies a thing never changes."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.processor.facts import CALL, FAILURE, SESSION, SUCCESS, fact_id, merge

from .frames import Row, naive, rows, things, told

events = st.lists(things, max_size=12)
frames = events.map(lambda made: merge(rows(*made)))


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
