"""The stored form of facts: facts come back as they were, and the same facts are the same bytes for ever."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.entities.fact_columns import FACTS, NOTHING, UnreadableFacts, facts_of, read
from functions.entities.fact_frames import SESSIONS, sessions
from functions.entities.fact_frames import things as packed_things
from functions.entities.facts import CALL, FAILURE, RETENTION_MS, SESSION, SUCCESS
from functions.entities.open_facts import OpenFacts
from functions.entities.windows import THINGS
from functions.model import DAY_MS, HOUR_MS
from tests.helpers.deployment import NOW
from tests.helpers.frames import NO_HOURS, NO_ROWS, Row, fact, hours, naive, pack, rows, things, things_of, told, unpack

HOUR = NOW // HOUR_MS * HOUR_MS
NEVER = -1
"""A moment at or before which no session was."""

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
    unpacked, unfolded = unpack((entity, read(packed[entity].blob)) for entity in (0, 1, 2))
    assert_frame_equal(unpacked, facts)
    assert_frame_equal(unfolded, folded)


@given(states, folds)
def test_packing_what_was_unpacked_gives_the_same_bytes(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    again = pack(*unpack(packed.items()), [0, 1, 2])
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
def test_a_row_is_read_and_found_alone_as_among_all(facts: pl.DataFrame) -> None:
    packed = pack(facts, NO_HOURS, [0])[0]
    opened = OpenFacts(packed)
    all_facts = list(facts_of(packed))
    assert all_facts == [fact(row) for row in facts.filter(pl.col("entity") == 0).iter_rows(named=True)]
    assert [opened.fact(row) for row in range(len(all_facts))] == all_facts
    assert opened.find({each.id for each in all_facts}) == {
        (each.kind, each.id): row for row, each in enumerate(all_facts)
    }
    assert opened.close() is packed


@given(states)
def test_columns_are_as_narrow_as_their_values_and_rows_are_sorted(facts: pl.DataFrame) -> None:
    packed = pack(facts, NO_HOURS, [0])[0]
    columns = packed.facts.columns()
    assert tuple(columns) == FACTS
    for name, column in columns.items():
        needed = max((value.bit_length() + 7) // 8 for value in column) if column else 0
        before, after, _ = packed.facts.layout.places[name]
        assert after - before == min(fits for fits in (0, 1, 2, 4, 8) if fits >= needed)
    keys = list(zip(columns["time"], columns["kind"], columns["id"], strict=True))
    assert all(one < other for one, other in pairwise(keys))
    assert not keys or keys[0][0] == 0


@given(states, folds)
def test_what_windows_are_made_of_is_read_from_the_bytes(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    read_back = packed_things(list(packed.items()))
    assert read_back.schema == THINGS
    assert_frame_equal(read_back, things_of(facts, folded), check_row_order=False)


@given(states, folds)
def test_sessions_are_read_from_the_bytes_of_many(facts: pl.DataFrame, folded: pl.DataFrame) -> None:
    packed = pack(facts, folded, [0, 1, 2])
    read_back, damaged = sessions(list(packed.items()), NEVER)
    assert (read_back.schema, damaged) == (SESSIONS, [])
    said = facts.filter(pl.col("kind") == SESSION).select(pl.col(name).cast(dtype) for name, dtype in SESSIONS.items())
    assert_frame_equal(read_back.sort("entity", "time", "id"), said.sort("entity", "time", "id"))


def test_sessions_that_have_expired_are_left_out_though_they_are_still_stored() -> None:
    expired = NOW - RETENTION_MS
    kept, gone = told(expired - DAY_MS, 1) | {"last": expired + 1}, told(expired - DAY_MS, 2) | {"last": expired}
    packed = pack(rows(kept, gone), NO_HOURS, [0])[0]
    assert sessions([(0, packed)], expired)[0]["id"].to_list() == [1]
    assert sessions([(0, packed)], expired - 1)[0]["id"].to_list() == [1, 2]


@given(states, folds, st.data())
def test_an_entity_has_as_many_parts_as_it_is_given(facts: pl.DataFrame, folded: pl.DataFrame, data: Any) -> None:
    """Windows and rollups see an entity's facts alike, however they are divided between its head and its tail."""
    first = pl.Series(data.draw(st.lists(st.booleans(), min_size=len(facts), max_size=len(facts))), dtype=pl.Boolean)
    heads, tails = pack(facts.filter(first), NO_HOURS, [0, 1, 2]), pack(facts.filter(~first), folded, [0, 1, 2])
    divided, whole = [*heads.items(), *tails.items()], list(pack(facts, folded, [0, 1, 2]).items())
    assert_frame_equal(packed_things(divided), packed_things(whole), check_row_order=False)
    assert_frame_equal(sessions(divided, NEVER)[0], sessions(whole, NEVER)[0], check_row_order=False)


def test_who_has_a_damaged_part_keeps_the_other() -> None:
    sound = pack(rows(*REGULAR), NO_HOURS, [0])[0]
    torn = read(sound.blob.replace("Ökologie".encode() + b"\xff", b""))
    read_back, damaged = sessions([(7, sound), (3, sound), (7, torn)], NEVER)
    assert damaged == [7]
    assert read_back["entity"].value_counts().sort("entity").rows() == [(3, 3), (7, 3)]


def test_sessions_of_nobody_are_none() -> None:
    assert_frame_equal(sessions([], NEVER)[0], SESSIONS.to_frame())
    assert_frame_equal(sessions([(0, NOTHING), (1, NOTHING)], NEVER)[0], SESSIONS.to_frame())


@pytest.mark.parametrize("entity", [0, 1, 2])
def test_who_refers_to_a_subject_that_there_is_not_is_left_out_alone(entity: int) -> None:
    sound = pack(rows(*REGULAR, *EXCEPTIONS), NO_HOURS, [0])[0]
    torn = read(sound.blob.replace("Ökologie".encode() + b"\xff", b""))
    stored = [sound, sound]
    stored.insert(entity, torn)
    read_back, damaged = sessions(list(enumerate(stored)), NEVER)
    assert damaged == [entity]
    others = [each for each in range(3) if each != entity]
    alone, _ = sessions([(each, NOTHING if each == entity else sound) for each in range(3)], NEVER)
    assert read_back["entity"].unique().sort().to_list() == others
    assert_frame_equal(read_back, alone)
    with pytest.raises(UnreadableFacts, match="facts refer to name 2 of 1"):
        list(facts_of(torn))


@pytest.mark.parametrize("name", [lambda name: {"subject": name}, lambda name: {"tutor": name}])
def test_a_missing_name_does_not_become_a_new_one(name: Callable[[str], Any]) -> None:
    sound = pack(rows(told(NOW, 1, **name("x")), told(NOW, 2, **name("y"))), NO_HOURS, [0])[0]
    torn = OpenFacts(read(sound.blob.replace(b"y\xff", b"")))
    torn.put(fact(told(NOW, 3, **name("a"))), None)
    with pytest.raises(UnreadableFacts, match="facts refer to name 2 of 1"):
        torn.close()


def test_a_missing_name_is_noticed_when_another_goes() -> None:
    sound = pack(rows(told(NOW, 1, subject="x"), told(NOW + 1, 2, subject="y")), NO_HOURS, [0])[0]
    torn = OpenFacts(read(sound.blob.replace(b"y\xff", b"")))
    torn.drop(NOW)
    with pytest.raises(UnreadableFacts, match="facts refer to name 2 of 1"):
        torn.close()


def test_no_facts_are_no_bytes() -> None:
    assert pack(NO_ROWS, NO_HOURS, [0]) == {0: NOTHING}
    facts, folded = unpack([(0, NOTHING), (1, NOTHING)])
    assert_frame_equal(facts, NO_ROWS)
    assert_frame_equal(folded, NO_HOURS)


def test_entities_without_facts_keep_the_places_of_the_others() -> None:
    packed = pack(rows(told(NOW, subject="algebra")), NO_HOURS, [0])[0]
    facts, _ = unpack(enumerate([NOTHING, packed, NOTHING, packed]))
    assert facts["entity"].to_list() == [1, 3]
    assert facts["subject"].to_list() == ["algebra", "algebra"]


REGULAR = [
    told(NOW, 0x0123456789ABCDEF),
    told(NOW + 1, 2, kind=CALL),
    told(NOW + 2, 3, rating=45_000, outcome=SUCCESS, subject="algebra", tutor="tut_1"),
    # Started, then completed: subject of the earliest event, rating and outcome of the latest.
    {**told(NOW + 3, 4, subject="Ökologie"), "last": NOW + 9}
    | {"rating": 0, "rating_time": NOW + 9, "outcome": FAILURE, "outcome_time": NOW + 9},
]
EXCEPTIONS = [
    # Rated by an event that was not its latest, its subject and tutor named by ones that were not its earliest.
    {**told(NOW + 4, 5, rating=50_000), "last": NOW + 9, "subject": "algebra", "subject_time": NOW + 5}
    | {"tutor": "tut_1", "tutor_time": NOW + 6},
    # Told of over more than 49 days.
    {**told(NOW + 5, 6), "last": NOW + 50 * DAY_MS},
]
FOLDED = [(SESSION, HOUR, 300, 13_500_000, 299), (CALL, HOUR + HOUR_MS, 1, 0, 0)]

NAMES = "616c6765627261ff c3966b6f6c6f676965ff fe 7475745f31ff"  # algebra, Ökologie; tut_1
GOLDEN = {
    "regular": (
        rows(*REGULAR),
        NO_HOURS,
        """
        01
        0400 0021d907a201 11812111
        00010203 00010000
        efcdab8967452301 0200000000000000 0300000000000000 0400000000000000
        00000006 00000000c9af0100 00000201 00000102 00000100
        0000 0000
        """
        + NAMES,
    ),
    "exceptions": (
        rows(*EXCEPTIONS),
        NO_HOURS,
        """
        01
        0200 0421d907a201 10182011
        0001 0506 0500000000000000fbf77d0101000000 51c30000 0100 0100
        0000
        0100 000000000000 080880 0421d907a2010000 0521d907a2010000 0621d907a2010000
        616c6765627261ff fe 7475745f31ff
        """,
    ),
    "folded": (
        NO_ROWS,
        hours(*FOLDED),
        """
        01
        0000
        0200 2a9c07000000 112420
        0001 0001 2c010100 60fecd0000000000 2b010000
        0000
        fe
        """,
    ),
}
"""State and its stored bytes. Tables are full of them: when one of these fails, the code is wrong, not the literal."""


@pytest.mark.parametrize(("facts", "folded", "stored"), GOLDEN.values(), ids=GOLDEN)
def test_stored_bytes_never_change(facts: pl.DataFrame, folded: pl.DataFrame, stored: str) -> None:
    blob = bytes.fromhex(stored)
    assert pack(facts, folded, [0])[0].blob == blob
    unpacked, unfolded = unpack([(0, read(blob))])
    assert_frame_equal(unpacked, facts)
    assert_frame_equal(unfolded, folded)


def test_names_are_stored_once_and_sorted() -> None:
    packed = pack(rows(*REGULAR, *EXCEPTIONS), NO_HOURS, [0])[0]
    assert (packed.subjects, packed.tutors) == (("algebra", "Ökologie"), ("tut_1",))


def test_a_session_takes_20_bytes_and_a_call_13_in_items_that_have_nothing_else() -> None:
    start = NOW - 30 * DAY_MS
    taught = [
        fact(told(start + day * DAY_MS, 2**63 + day, subject="algebra", tutor="tut_1"))._replace(
            last=start + day * DAY_MS + HOUR_MS, rating=45_000, rating_time=start + day * DAY_MS + HOUR_MS
        )
        for day in range(30)
    ]
    called = [told(start + day * DAY_MS, 2**63 + day, kind=CALL) for day in range(30)]
    sessions_alone = pack(rows(*({"entity": 0, **each._asdict()} for each in taught)), NO_HOURS, [0])[0]
    assert len(sessions_alone.blob) == 13 + 30 * (4 + 8 + 4 + 2 + 1 + 1) + 4 + len("algebra_tut_1__")
    assert len(pack(rows(*called), NO_HOURS, [0])[0].blob) == 13 + 30 * (4 + 1 + 8) + 4 + 1


SOUND = pack(rows(*REGULAR, *EXCEPTIONS), hours(*FOLDED), [0])[0].blob


def head(*widths: str, rows: int = 1) -> bytes:
    """A blob up to the columns of the first table, of these widths."""
    return b"\x01" + rows.to_bytes(2, "little") + bytes(6) + bytes.fromhex("".join(widths))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"\x02" + SOUND[1:], "facts are stored in format version 2, this release reads up to 1"),
        (b"\x00", "facts are stored in format version 0, this release reads up to 1"),
        (b"\x01", "facts of 1 bytes are shorter than their header"),
        (b"\x01\0\0", "facts of 3 bytes are shorter than their header"),
        (b"\x01\x01\0" + bytes(6), "facts of 9 bytes are shorter than their header"),
        (head("00800000"), "facts of 13 bytes end within a table of 1 rows"),
        (head("00800000", rows=65_535) + bytes(80), "facts of 93 bytes end within a table of 65535 rows"),
        (head("30800000"), "facts have a column time of 3 bytes a row"),
        (head("0a800000"), "facts have a column kind of a bytes a row"),
        (head("02800000") + bytes(16), "facts have a column kind of 2 bytes a row"),
        (head("00800200") + bytes(16), "facts have a column outcome of 2 bytes a row"),
        (head("01000000") + b"\x02" + bytes(5), "facts have a kind or an outcome that there is not"),
        (head("00000100") + b"\x03" + bytes(5), "facts have a kind or an outcome that there is not"),
        (head("80000000") + b"\xff" * 8, "facts have 0xffffffffffffffff where a time or a sum is expected"),
        (SOUND[:-1], "facts end within a name"),
        (SOUND + b"a", "facts end within a name"),
        (pack(rows(*REGULAR), NO_HOURS, [0])[0].blob.replace(b"\xfe", b""), "facts end before the tutors' names"),
        (SOUND.replace(b"\xc3\x96", b"\xc3"), "facts refer to a name that is not UTF-8"),
        (SOUND[:50], "facts of 50 bytes end within a table of 6 rows"),
    ],
)
def test_unreadable_facts_say_what_is_wrong_with_them(blob: bytes, message: str) -> None:
    with pytest.raises(UnreadableFacts, match=message):
        read(blob)


@given(states, folds, st.data())
def test_a_damaged_blob_is_read_or_refused_and_never_stops_what_reads_it(
    facts: pl.DataFrame, folded: pl.DataFrame, data: st.DataObject
) -> None:
    blob = bytearray(pack(facts, folded, [0])[0].blob or SOUND)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        stored = read(bytes(blob[: data.draw(st.integers(0, len(blob)))]))
        packed_things([(0, stored), (1, read(SOUND))])
        sessions([(0, stored), (1, read(SOUND))], NEVER)
        list(facts_of(stored))
    except UnreadableFacts:
        pass
