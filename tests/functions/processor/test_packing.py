"""Packing: the stored form of facts comes back as it was, and its bytes are the same for ever."""

import struct
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.processor.facts import CALL, FAILURE, SESSION, SUCCESS, merge
from functions.processor.model import DAY_MS, HOUR_MS
from functions.processor.packing import NOTHING, Packed, UnreadableFacts, check, pack, unpack

from .deployment import NOW
from .frames import NO_HOURS, NO_ROWS, Row, hours, rows, things, told

HOUR = NOW // HOUR_MS * HOUR_MS

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
full_range = st.builds(
    told,
    st.integers(0, 2**48 - 1),
    st.integers(0, 2**64 - 1),
    entity=st.integers(0, 2),
    kind=st.sampled_from([SESSION, CALL]),
    rating=st.none() | st.integers(0, 50_000),
    outcome=st.sampled_from([0, FAILURE, SUCCESS]),
    subject=st.none() | names,
    tutor=st.none() | names,
)
states = st.lists(full_range | things, max_size=12).map(lambda made: merge(rows(*made)))
folds = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([SESSION, CALL]),
        st.integers(0, 2**40).map(lambda hour: hour * HOUR_MS),
        st.integers(1, 2**32 - 1),
        st.integers(0, 2**53),
        st.integers(0, 2**32 - 1),
    ),
    unique_by=lambda row: row[:3],
    max_size=8,
).map(lambda made: pl.DataFrame(sorted(made), schema=NO_HOURS.schema, orient="row").sort("entity", "time", "kind"))


@given(states, folds)
def test_what_is_packed_comes_back_as_it_was(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    unpacked, unfolded = unpack([packed[0], packed[1], packed[2]])
    # Narrow rows come before wide ones; `absorb` sorts what it changes.
    assert_frame_equal(unpacked.sort("entity", "time", "kind", "id"), facts)
    assert_frame_equal(unfolded, folded)


@given(states, folds)
def test_packing_what_was_unpacked_gives_the_same_bytes(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    again = pack(*unpack([packed[0], packed[1], packed[2]]), [0, 1, 2])
    assert again == packed


@given(st.lists(full_range | things, max_size=12), st.randoms(use_true_random=False))
def test_the_same_facts_are_the_same_bytes_in_whatever_order_they_came(made: list[Row], rng: Any) -> None:
    shuffled = made * 2
    rng.shuffle(shuffled)
    assert pack(merge(rows(*shuffled)), NO_HOURS, [0, 1, 2]) == pack(merge(rows(*made)), NO_HOURS, [0, 1, 2])


@given(states)
def test_an_entity_is_packed_the_same_alone_and_among_others(facts: pl.DataFrame) -> None:
    together = pack(facts, NO_HOURS, [2, 0, 1])
    for entity in (0, 1, 2):
        assert pack(facts, NO_HOURS, [entity]) == {entity: together[entity]}


def test_no_facts_are_no_bytes() -> None:
    assert pack(NO_ROWS, NO_HOURS, [0]) == {0: NOTHING}
    facts, folded = unpack([NOTHING, NOTHING])
    assert_frame_equal(facts, NO_ROWS)
    assert_frame_equal(folded, NO_HOURS)


def test_entities_without_facts_keep_the_places_of_the_others() -> None:
    packed = pack(rows(told(NOW, subject="algebra")), NO_HOURS, [0])[0]
    facts, _ = unpack([NOTHING, packed, NOTHING, packed])
    assert facts["entity"].to_list() == [1, 3]
    assert facts["subject"].to_list() == ["algebra", "algebra"]


NARROW = [
    told(NOW, 0x0123456789ABCDEF),
    told(NOW + 1, 2, kind=CALL),
    told(NOW + 2, 3, rating=45_000, outcome=SUCCESS, subject="algebra", tutor="tut_1"),
    # Started, then completed: subject of the earliest event, rating and outcome of the latest.
    {**told(NOW + 3, 4, subject="Ökologie"), "last": NOW + 9}
    | {"rating": 0, "rating_time": NOW + 9, "outcome": FAILURE, "outcome_time": NOW + 9},
]
WIDE = [
    # Rated by an event that was not its latest, its subject and tutor named by ones that were not its earliest.
    {**told(NOW + 4, 5, rating=50_000), "last": NOW + 9, "subject": "algebra", "subject_time": NOW + 5}
    | {"tutor": "tut_1", "tutor_time": NOW + 6},
    # Told of over more than 49 days.
    {**told(NOW + 5, 6), "last": NOW + 50 * DAY_MS},
]
FOLDED = [(SESSION, HOUR, 300, 13_500_000, 299), (CALL, HOUR + HOUR_MS, 1, 0, 0)]

GOLDEN = {
    "narrow": (
        rows(*NARROW),
        NO_HOURS,
        """
        0100000000000000
        efcdab8967452301 00000021d907a201 0000ffff00000000
        0200000000000000 01000121d907a201 0000ffff00000000
        0300000000000000 0c000221d907a201 0100c8af00000000
        0400000000000000 02000321d907a201 0200000006000000
        """,
    ),
    "wide": (
        rows(*WIDE),
        NO_HOURS,
        """
        0100020000000000
        0500000000000000 08000421d907a201 010050c300000000
        0921d907a2010000 0421d907a2010000 0000000000000000 0521d907a2010000 0621d907a2010000
        0600000000000000 00000521d907a201 0000ffff00000000
        00195709a3010000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
        """,
    ),
    "folded": (
        NO_ROWS,
        hours(*FOLDED),
        """
        0100000002000000
        002a9c0700000000 2b0100002c010000 60fecd0000000000
        012b9c0700000000 0000000001000000 0000000000000000
        """,
    ),
}
"""State and its stored bytes. Tables are full of them: when one of these fails, the code is wrong, not the literal."""


@pytest.mark.parametrize(("facts", "folded", "stored"), GOLDEN.values(), ids=GOLDEN)
def test_stored_bytes_never_change(facts: pl.DataFrame, folded: pl.DataFrame, stored: str) -> None:
    packed = pack(facts, folded, [0])[0]
    assert packed.blob == bytes.fromhex(stored)
    unpacked, unfolded = unpack([Packed(bytes.fromhex(stored), packed.subjects, packed.tutors)])
    assert_frame_equal(unpacked, facts)
    assert_frame_equal(unfolded, folded)


def test_sections_are_stored_one_after_the_other() -> None:
    facts = rows(*NARROW, *WIDE)
    blob = pack(facts, hours(*FOLDED), [0])[0].blob
    sections = [bytes.fromhex(stored)[8:] for _, _, stored in GOLDEN.values()]
    assert blob == struct.pack("<BBHI", 1, 0, 2, 2) + b"".join(sections)


def test_names_are_stored_once_and_sorted() -> None:
    packed = pack(rows(*NARROW, *WIDE), NO_HOURS, [0])[0]
    assert (packed.subjects, packed.tutors) == (["algebra", "Ökologie"], ["tut_1"])


SOUND = pack(rows(*NARROW, *WIDE), hours(*FOLDED), [0])[0].blob


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\x02" + SOUND[1:], "facts are stored in format version 2, this release reads up to 1"),
        (b"\x00", "facts are stored in format version 0, this release reads up to 1"),
        (SOUND[:7], "facts of 7 bytes are shorter than their header of 8"),
        (SOUND[:-1], f"facts of {len(SOUND) - 1} bytes do not fit their header: 2 wide, 2 folded rows"),
        (SOUND + b"\0" * 8, f"facts of {len(SOUND) + 8} bytes do not fit their header: 2 wide, 2 folded rows"),
        (struct.pack("<BBHI", 1, 0, 3, 0), "facts of 8 bytes do not fit their header: 3 wide, 0 folded rows"),
        (struct.pack("<BBHI", 1, 0, 0, 2**32 - 1), "facts of 8 bytes do not fit their header: 0 wide, 4294967295"),
    ],
)
def test_unreadable_facts_say_what_is_wrong_with_them(blob: bytes, message: str) -> None:
    packed = Packed(blob, ["algebra", "Ökologie"], ["tut_1"])
    with pytest.raises(UnreadableFacts, match=message):
        check(packed)
    with pytest.raises(UnreadableFacts, match=message):
        unpack([NOTHING, packed])
