"""Packing: the stored form of facts comes back as it was, and its bytes are the same for ever."""

import struct
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.entities.facts import CALL, FAILURE, SESSION, SUCCESS
from functions.entities.packing import (
    NOTHING,
    SESSIONS,
    UnreadableFacts,
    assemble,
    facts_of,
    is_plain,
    narrow_row,
    read,
    sessions,
)
from functions.entities.packing import things as packing_things
from functions.entities.windows import THINGS
from functions.model import DAY_MS, HOUR_MS
from tests.helpers.deployment import NOW
from tests.helpers.frames import NO_HOURS, NO_ROWS, Row, fact, hours, naive, pack, rows, things, things_of, told, unpack

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
states = st.lists(full_range | things, max_size=12).map(lambda made: rows(*naive(made)))
folds = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([SESSION, CALL]),
        st.integers(0, 2**40).map(lambda hour: hour * HOUR_MS),
        st.integers(1, 2**31 - 1),
        st.integers(0, 2**53),
        st.integers(0, 2**32 - 1),
    ),
    unique_by=lambda row: row[:3],
    max_size=8,
).map(lambda made: pl.DataFrame(sorted(made), schema=NO_HOURS.schema, orient="row").sort("entity", "time", "kind"))


@given(states, folds)
def test_what_is_packed_comes_back_as_it_was(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    unpacked, unfolded = unpack([read(packed[entity].blob) for entity in (0, 1, 2)])
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
    assert pack(rows(*naive(shuffled)), NO_HOURS, [0, 1, 2]) == pack(rows(*naive(made)), NO_HOURS, [0, 1, 2])


@given(states)
def test_an_entity_is_packed_the_same_alone_and_among_others(facts: pl.DataFrame) -> None:
    together = pack(facts, NO_HOURS, [2, 0, 1])
    for entity in (0, 1, 2):
        assert pack(facts, NO_HOURS, [entity]) == {entity: together[entity]}


@given(states)
def test_a_row_is_read_and_written_alone_as_among_all(facts: pl.DataFrame) -> None:
    packed = pack(facts, NO_HOURS, [0])[0]
    read_back = list(facts_of(packed))
    made = facts.filter(pl.col("entity") == 0).iter_rows(named=True)
    assert sorted(read_back, key=lambda each: each[:3]) == sorted(map(fact, made), key=lambda each: each[:3])
    codes: dict[str | None, int] = {name.decode(): code for code, name in enumerate(packed.subjects, 1)} | {None: 0}
    taught: dict[str | None, int] = {name.decode(): code for code, name in enumerate(packed.tutors, 1)} | {None: 0}
    plain = [each for each in read_back if is_plain(each)]
    assert packed.narrow == b"".join(narrow_row(each, codes[each.subject], taught[each.tutor]) for each in plain)


@given(states, folds)
def test_what_windows_are_made_of_is_read_from_the_bytes(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    read_back = packing_things([packed[0], packed[1], packed[2]])
    assert read_back.schema == THINGS
    assert_frame_equal(read_back, things_of(facts, folded), check_row_order=False)


@given(states, folds)
def test_sessions_are_read_from_the_bytes_of_many(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    read_back, damaged = sessions([packed[0], packed[1], packed[2]])
    assert (read_back.schema, damaged) == (SESSIONS, [])
    said = facts.filter(pl.col("kind") == SESSION).select(pl.col(name).cast(dtype) for name, dtype in SESSIONS.items())
    assert_frame_equal(read_back.sort("entity", "time", "id"), said.sort("entity", "time", "id"))


def test_sessions_of_nobody_are_none() -> None:
    assert_frame_equal(sessions([])[0], SESSIONS.to_frame())
    assert_frame_equal(sessions([NOTHING, NOTHING])[0], SESSIONS.to_frame())


@pytest.mark.parametrize("entity", [0, 1, 2])
def test_who_refers_to_a_subject_that_there_is_not_is_left_out_alone(entity: int) -> None:
    sound = pack(rows(*NARROW, *WIDE), NO_HOURS, [0])[0]
    beyond = fact(told(NOW))
    torn = assemble(sound.narrow + narrow_row(beyond, len(sound.subjects) + 1, 0), b"", b"", sound.subjects, ())
    stored = [sound, sound]
    stored.insert(entity, torn)
    read_back, damaged = sessions(stored)
    assert damaged == [entity]
    others = [each for each in range(3) if each != entity]
    alone, _ = sessions([NOTHING if each == entity else sound for each in range(3)])
    assert read_back["entity"].unique().sort().to_list() == others
    assert_frame_equal(read_back, alone)


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

NAMES = "616c6765627261ff c3966b6f6c6f676965ff 7475745f31ff"  # algebra, Ökologie, tut_1
GOLDEN = {
    "narrow": (
        rows(*NARROW),
        NO_HOURS,
        """
        0100000000000000 0200010018000000
        efcdab8967452301 00000021d907a201 0000ffff00000000
        0200000000000000 01000121d907a201 0000ffff00000000
        0300000000000000 0c000221d907a201 0100c8af00000000
        0400000000000000 02000321d907a201 0200000006000000
        """
        + NAMES,
    ),
    "wide": (
        rows(*WIDE),
        NO_HOURS,
        """
        0100020000000000 010001000e000000
        0500000000000000 08000421d907a201 010050c300000000
        0921d907a2010000 0421d907a2010000 0000000000000000 0521d907a2010000 0621d907a2010000
        0600000000000000 00000521d907a201 0000ffff00000000
        00195709a3010000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
        616c6765627261ff 7475745f31ff
        """,
    ),
    "folded": (
        NO_ROWS,
        hours(*FOLDED),
        """
        0100000002000000 0000000000000000
        002a9c0700000000 2b0100002c010000 60fecd0000000000
        012b9c0700000000 0000000001000000 0000000000000000
        """,
    ),
}
"""State and its stored bytes. Tables are full of them: when one of these fails, the code is wrong, not the literal."""


@pytest.mark.parametrize(("facts", "folded", "stored"), GOLDEN.values(), ids=GOLDEN)
def test_stored_bytes_never_change(facts: pl.DataFrame, folded: pl.DataFrame, stored: str) -> None:
    blob = bytes.fromhex(stored)
    assert pack(facts, folded, [0])[0].blob == blob
    unpacked, unfolded = unpack([read(blob)])
    assert_frame_equal(unpacked, facts)
    assert_frame_equal(unfolded, folded)


def test_sections_are_stored_one_after_the_other() -> None:
    packed = pack(rows(*NARROW, *WIDE), hours(*FOLDED), [0])[0]
    narrow, wide, folded = (
        bytes.fromhex(stored)[16:].removesuffix(names)
        for (_, _, stored), names in zip(
            GOLDEN.values(), (bytes.fromhex(NAMES), b"algebra\xfftut_1\xff", b""), strict=True
        )
    )
    assert (packed.narrow, packed.wide, packed.folded) == (narrow, wide, folded)
    header = struct.pack("<BBHIHHI", 1, 0, 2, 2, 2, 1, 24)
    assert packed.blob == header + narrow + wide + folded + bytes.fromhex(NAMES)


def test_names_are_stored_once_and_sorted() -> None:
    packed = pack(rows(*NARROW, *WIDE), NO_HOURS, [0])[0]
    assert (packed.subjects, packed.tutors) == ((b"algebra", "Ökologie".encode()), (b"tut_1",))


SOUND = pack(rows(*NARROW, *WIDE), hours(*FOLDED), [0])[0].blob


def header(wide: int = 0, folded: int = 0, subjects: int = 0, tutors: int = 0, names: int = 0) -> bytes:
    return struct.pack("<BBHIHHI", 1, 0, wide, folded, subjects, tutors, names)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\x02" + SOUND[1:], "facts are stored in format version 2, this release reads up to 1"),
        (b"\x00", "facts are stored in format version 0, this release reads up to 1"),
        (SOUND[:15], "facts of 15 bytes are shorter than their header of 16"),
        (SOUND[:-1], f"facts of {len(SOUND) - 1} bytes do not fit their header: 2 wide, 2 folded rows, 24 of names"),
        (SOUND + b"\0" * 8, f"facts of {len(SOUND) + 8} bytes do not fit their header: 2 wide, 2 folded rows"),
        (header(wide=3), "facts of 16 bytes do not fit their header: 3 wide, 0 folded rows"),
        (header(folded=2**32 - 1), "facts of 16 bytes do not fit their header: 0 wide, 4294967295"),
        (header(names=2**32 - 1), "facts of 16 bytes do not fit their header: 0 wide, 0 folded rows, 4294967295"),
        (header(subjects=2, names=2) + b"a\xff", "facts have 1 names, their header says 2 subjects, 0 tutors"),
        (header(subjects=1, names=1) + b"a", "facts end within a name"),
        (header(subjects=1, names=2) + b"\xc3\xff", "facts refer to a name that is not UTF-8"),
        (header(wide=1) + b"\xff" * 64, "facts have 0xffffffffffffffff where a time or a sum is expected"),
        (header(folded=1) + b"\xff" * 24, "facts have 0xffffffffffffffff where a time or a sum is expected"),
    ],
)
def test_unreadable_facts_say_what_is_wrong_with_them(blob: bytes, message: str) -> None:
    with pytest.raises(UnreadableFacts, match=message):
        read(blob)
