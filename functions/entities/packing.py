"""The stored form of facts: one binary attribute an item, version 1. It outlives every release; extend it only.

A blob is a header of 16 bytes, three sections of little-endian unsigned 64-bit words, and the names that rows refer to:

    header   version u8 | 0 u8 | wide rows u16 | folded rows u32 | subjects u16 | tutors u16 | bytes of names u32
    narrow   3 words a row:  id
                             time << 16 | tutor << 3 | outcome << 1 | kind
                             (last - time) << 32 | rating << 16 | subject
    wide     8 words a row:  id; time, tutor, outcome, kind as above; rating << 16 | subject;
                             last; rating_time; outcome_time; subject_time; tutor_time
    folded   3 words a row:  hours since 1970 << 8 | kind; weight << 32 | rating_count; rating_sum
    names    the subjects, then the tutors, each list sorted, each name in UTF-8 and followed by a byte 0xFF

`rating` is in ten-thousandths, 65535 for none. `subject` and `tutor` are positions, counted from 1, in the lists of
names, 0 for none. A row is narrow when its rating and outcome are of its latest event and its subject and tutor of its
earliest (nearly all are); otherwise it is wide. Rows are sorted by time, kind, id, so that the same facts are the same
bytes.

Rows are written one by one, and read so where few are looked at (`pack`, `narrow_row`, `facts_of`); all rows of many
entities are read as columns (`things`, `sessions`). Pure.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import polars as pl

from functions.entities.facts import SESSION, Fact
from functions.model import HOUR_MS

VERSION: Final = 1
_HEADER: Final = struct.Struct("<BBHIHHI")
_WORD: Final = 8
_NARROW: Final = 3
_WIDE: Final = 8
_FOLDED: Final = 3
_NO_RATING: Final = 0xFFFF
_U16: Final = 1 << 16
_U32: Final = 1 << 32
HEADER_BYTES: Final = _HEADER.size
_END_OF_NAME: Final = b"\xff"  # no byte of UTF-8

NARROW_BYTES: Final = _NARROW * _WORD
WIDE_BYTES: Final = _WIDE * _WORD
FOLDED_BYTES: Final = _FOLDED * _WORD

NARROW_ROW: Final = struct.Struct("<QQQ")
_WIDE_ROW: Final = struct.Struct("<8Q")
TUTOR_SHIFT: Final = 3
TUTOR_CODES: Final = 0x1FFF
"""The bits of a tutor's position in a row's second word, where `TUTOR_SHIFT` has moved them."""
SUBJECT_CODES: Final = 0xFFFF
"""Those of a subject's in a narrow row's third word."""


class UnreadableFacts(ValueError):
    """A stored blob whose version this code does not know, or whose parts do not fit each other."""


class Packed(NamedTuple):
    """One item's facts as stored: the blob, empty when there are none, and its parts."""

    blob: bytes
    narrow: bytes
    wide: bytes
    folded: bytes
    subjects: tuple[bytes, ...]
    """The subjects that rows refer to, in UTF-8, sorted."""
    tutors: tuple[bytes, ...]
    """The tutors likewise."""


class Hour(NamedTuple):
    """What became of the facts of an hour without identities; hours sort as they are stored."""

    time: int
    """The hour's start, epoch ms."""
    kind: int
    weight: int
    """How many things."""
    rating_sum: int
    """Ten-thousandths."""
    rating_count: int


NOTHING: Final = Packed(b"", b"", b"", b"", (), ())

SESSIONS: Final = pl.Schema(
    {
        "entity": pl.UInt32,
        "id": pl.UInt64,
        "time": pl.Int64,  # epoch ms, as are the others
        "subject": pl.String,
        "subject_time": pl.Int64,  # null without a subject
        "rating": pl.UInt16,  # ten-thousandths
        "rating_time": pl.Int64,  # null without a rating
    }
)
"""One row a session of an entity."""


def assemble(narrow: bytes, wide: bytes, folded: bytes, subjects: Sequence[bytes], tutors: Sequence[bytes]) -> Packed:
    """Facts of these sections and sorted names; `NOTHING` without any row."""
    if not (narrow or wide or folded):
        return NOTHING
    names = _END_OF_NAME.join((*subjects, *tutors, b"")) if subjects or tutors else b""
    header = _HEADER.pack(
        VERSION, 0, len(wide) // WIDE_BYTES, len(folded) // FOLDED_BYTES, len(subjects), len(tutors), len(names)
    )
    blob = b"".join((header, narrow, wide, folded, names))
    return Packed(blob, narrow, wide, folded, tuple(subjects), tuple(tutors))


def read(blob: bytes) -> Packed:
    """A stored blob in its parts.

    Raises
    ------
    UnreadableFacts
        For a version that this release does not know, and for parts that do not fit each other.
    """
    if not blob:
        return NOTHING
    if blob[0] != VERSION:
        raise UnreadableFacts(f"facts are stored in format version {blob[0]}, this release reads up to {VERSION}")
    size = len(blob)
    if size < _HEADER.size:
        raise UnreadableFacts(f"facts of {size} bytes are shorter than their header of {_HEADER.size}")
    _, _, wide, folded, subjects, tutors, name_bytes = _HEADER.unpack_from(blob)
    names_at = size - name_bytes
    folded_at = names_at - folded * FOLDED_BYTES
    wide_at = folded_at - wide * WIDE_BYTES
    if wide_at < _HEADER.size or (wide_at - _HEADER.size) % NARROW_BYTES:
        raise UnreadableFacts(
            f"facts of {size} bytes do not fit their header: {wide} wide, {folded} folded rows, {name_bytes} of names"
        )
    names = _names_of(blob[names_at:])
    if len(names) != subjects + tutors:
        raise UnreadableFacts(f"facts have {len(names)} names, their header says {subjects} subjects, {tutors} tutors")
    packed = Packed(
        blob,
        blob[_HEADER.size : wide_at],
        blob[wide_at:folded_at],
        blob[folded_at:names_at],
        names[:subjects],
        names[subjects:],
    )
    for section, width in ((packed.wide, _WIDE), (packed.folded, _FOLDED)):
        _check_words(section, width)
    return packed


def name_bytes(name: str | None) -> int:
    """What a name takes in the blob."""
    return 0 if name is None else len(name.encode()) + len(_END_OF_NAME)


def _names_of(section: bytes) -> tuple[bytes, ...]:
    *names, rest = section.split(_END_OF_NAME)
    if rest:
        raise UnreadableFacts("facts end within a name")
    try:
        section.replace(_END_OF_NAME, b"\n").decode()
    except UnicodeDecodeError as error:
        raise UnreadableFacts(f"facts refer to a name that is not UTF-8: {error}") from None
    return tuple(names)


def _check_words(section: bytes, width: int) -> None:
    words = memoryview(section).cast("Q")
    for column in range(1, width if section else 0):  # the first word is an id, the others are times and sums
        if (most := max(words[column::width])) >= 1 << 63:
            raise UnreadableFacts(f"facts have {most:#x} where a time or a sum is expected")


# -- one entity, row by row -------------------------------------------------------------------------------------------


def is_plain(fact: Fact) -> bool:
    """Whether a fact's times are those of its earliest and its latest event alone, so that it is stored narrow."""
    return (
        (fact.rating_time is None or fact.rating_time == fact.last)
        and (fact.outcome_time is None or fact.outcome_time == fact.last)
        and (fact.subject_time is None or fact.subject_time == fact.time)
        and (fact.tutor_time is None or fact.tutor_time == fact.time)
        and fact.last - fact.time < _U32
    )


def narrow_row(fact: Fact, subject: int, tutor: int) -> bytes:
    """A plain fact as a narrow row, with the positions of its names."""
    rating = _NO_RATING if fact.rating is None else fact.rating
    return NARROW_ROW.pack(
        fact.id,
        fact.time << 16 | tutor << TUTOR_SHIFT | fact.outcome << 1 | fact.kind,
        (fact.last - fact.time) << 32 | rating << 16 | subject,
    )


def narrow_fact(packed: Packed, row: int) -> Fact:
    """The fact of a narrow row; raises UnreadableFacts when it refers to a name that there is not."""
    return _narrow_fact(packed, *NARROW_ROW.unpack_from(packed.narrow, row * NARROW_BYTES))


def _narrow_fact(packed: Packed, identity: int, head: int, tail: int) -> Fact:
    time = head >> 16
    last = time + (tail >> 32)
    rating = tail >> 16 & 0xFFFF
    outcome = head >> 1 & 3
    rated, subject, tutor = rating != _NO_RATING, tail & SUBJECT_CODES, head >> TUTOR_SHIFT & TUTOR_CODES
    return Fact(
        head & 1,
        identity,
        time,
        last,
        rating if rated else None,
        last if rated else None,
        outcome,
        last if outcome else None,
        _name(packed.subjects, subject),
        time if subject else None,
        _name(packed.tutors, tutor),
        time if tutor else None,
    )


def facts_of(packed: Packed) -> Iterator[Fact]:
    """All facts with identities; raises UnreadableFacts when one refers to a name that there is not."""
    for words in NARROW_ROW.iter_unpack(packed.narrow):
        yield _narrow_fact(packed, *words)
    for identity, head, tail, last, rating_time, outcome_time, subject_time, tutor_time in _WIDE_ROW.iter_unpack(
        packed.wide
    ):
        rating = tail >> 16
        yield Fact(
            head & 1,
            identity,
            head >> 16,
            last,
            None if rating == _NO_RATING else rating,
            rating_time or None,
            head >> 1 & 3,
            outcome_time or None,
            _name(packed.subjects, tail & SUBJECT_CODES),
            subject_time or None,
            _name(packed.tutors, head >> TUTOR_SHIFT & TUTOR_CODES),
            tutor_time or None,
        )


def pack(facts: Iterable[Fact], hours: Iterable[Hour]) -> Packed:
    """Facts with identities, and hours of those without, in stored form; the inverse of `facts_of` and `hours_of`."""
    ordered = sorted(facts, key=lambda fact: (fact.time, fact.kind, fact.id))
    subjects = sorted({fact.subject.encode() for fact in ordered if fact.subject is not None})
    tutors = sorted({fact.tutor.encode() for fact in ordered if fact.tutor is not None})
    subject_codes: dict[str | None, int] = {name.decode(): code for code, name in enumerate(subjects, 1)}
    tutor_codes: dict[str | None, int] = {name.decode(): code for code, name in enumerate(tutors, 1)}
    narrow, wide = [], []
    for fact in ordered:
        subject, tutor = subject_codes.get(fact.subject, 0), tutor_codes.get(fact.tutor, 0)
        if is_plain(fact):
            narrow.append(narrow_row(fact, subject, tutor))
        else:
            wide.append(_wide_row(fact, subject, tutor))
    folded = [
        NARROW_ROW.pack(hour.time // HOUR_MS << 8 | hour.kind, hour.weight << 32 | hour.rating_count, hour.rating_sum)
        for hour in sorted(hours)
    ]
    return assemble(b"".join(narrow), b"".join(wide), b"".join(folded), subjects, tutors)


def _wide_row(fact: Fact, subject: int, tutor: int) -> bytes:
    rating = _NO_RATING if fact.rating is None else fact.rating
    return _WIDE_ROW.pack(
        fact.id,
        fact.time << 16 | tutor << TUTOR_SHIFT | fact.outcome << 1 | fact.kind,
        rating << 16 | subject,
        fact.last,
        fact.rating_time or 0,
        fact.outcome_time or 0,
        fact.subject_time or 0,
        fact.tutor_time or 0,
    )


def hours_of(folded: bytes) -> Iterator[Hour]:
    """The folded rows."""
    for hour, weights, rating_sum in NARROW_ROW.iter_unpack(folded):
        yield Hour((hour >> 8) * HOUR_MS, hour & 0xFF, weights >> 32, rating_sum, weights & 0xFFFF_FFFF)


def _name(names: Sequence[bytes], code: int) -> str | None:
    if not code:
        return None
    if code > len(names):
        raise UnreadableFacts(f"facts refer to name {code} of {len(names)}")
    return names[code - 1].decode()


# -- many entities, column by column ----------------------------------------------------------------------------------


def things(stored: Sequence[Packed]) -> pl.DataFrame:
    """What windows are made of, `windows.THINGS`: every row of these entities, folded ones included."""
    head, tail = pl.col("w1"), pl.col("w2")
    shared = {"session": head % 2 == SESSION, "time": (head // _U16).cast(pl.Int64)}
    one = pl.lit(1, pl.Int64)
    frames = [
        _words([each.narrow for each in stored], _NARROW, "w1", "w2").select(
            "entity",
            **shared,
            last=shared["time"] + (tail // _U32).cast(pl.Int64),
            weight=one,
            **_rating(tail // _U16 % _U16),
        )
    ]
    if any(each.wide for each in stored):
        wide = _words([each.wide for each in stored], _WIDE, "w1", "w2", "w3")
        last = pl.col("w3").cast(pl.Int64)
        frames.append(wide.select("entity", **shared, last=last, weight=one, **_rating(tail // _U16)))
    if any(each.folded for each in stored):
        hour = (pl.col("w0") // 256).cast(pl.Int64) * HOUR_MS
        frames.append(
            _words([each.folded for each in stored], _FOLDED, "w0", "w1", "w2").select(
                "entity",
                session=pl.col("w0") % 256 == SESSION,
                time=hour,
                last=hour,
                weight=(head // _U32).cast(pl.Int64),
                rating_sum=tail.cast(pl.Int64),
                rating_count=(head % _U32).cast(pl.Int64),
            )
        )
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def sessions(stored: Sequence[Packed]) -> tuple[pl.DataFrame, list[int]]:
    """The sessions of these entities, as `SESSIONS`; folded ones have no identity and are left out.

    Beside them the positions of entities that refer to a subject that there is not: of these there is no row.
    """
    head, tail = pl.col("w1"), pl.col("w2")
    time = (head // _U16).cast(pl.Int64)
    frames = [
        _words([each.narrow for each in stored], _NARROW, "w0", "w1", "w2")
        .filter(head % 2 == SESSION)
        .select("entity", **_session(tail // _U16 % _U16, time + (tail // _U32).cast(pl.Int64), time))
    ]
    if any(each.wide for each in stored):
        wide = _words([each.wide for each in stored], _WIDE, "w0", "w1", "w2", "w4", "w6").filter(head % 2 == SESSION)
        rating_time, subject_time = (pl.col(name).cast(pl.Int64) for name in ("w4", "w6"))
        frames.append(wide.select("entity", **_session(tail // _U16, rating_time, subject_time)))
    rows = pl.concat(frames)
    # All entities' names in one list: an entity's begin where those of the entities before it end.
    counts = pl.Series([len(each.subjects) for each in stored], dtype=pl.UInt32)
    begins = counts.cum_sum() - counts
    names = pl.Series([name.decode() for each in stored for name in each.subjects], dtype=pl.String)
    of, code = rows["entity"], pl.col("subject")
    damaged = rows.filter(code > counts.gather(of))["entity"].unique().sort()
    if damaged.len():
        rows = rows.filter(~pl.col("entity").is_in(damaged.implode()))
        of = rows["entity"]
    place = rows.select(pl.when(code > 0).then(begins.gather(of) + code - 1)).to_series()
    return rows.with_columns(subject=names.gather(place)).select(SESSIONS.names()), damaged.to_list()


def _session(rating: pl.Expr, rating_time: pl.Expr, subject_time: pl.Expr) -> dict[str, pl.Expr]:
    """A session's columns; `subject` is still the position in the entity's own list."""
    rated, subject = rating != _NO_RATING, pl.col("w2") % _U16
    return {
        "id": pl.col("w0"),
        "time": (pl.col("w1") // _U16).cast(pl.Int64),
        "subject": subject.cast(pl.UInt32),
        "subject_time": pl.when(subject > 0).then(subject_time),
        "rating": pl.when(rated).then(rating).cast(pl.UInt16),
        "rating_time": pl.when(rated).then(rating_time),
    }


def _rating(rating: pl.Expr) -> dict[str, pl.Expr]:
    rated = rating != _NO_RATING
    return {
        "rating_sum": pl.when(rated).then(rating).otherwise(0).cast(pl.Int64),
        "rating_count": rated.cast(pl.Int64),
    }


def _words(sections: Sequence[bytes], width: int, *wanted: str) -> pl.DataFrame:
    """Fixed-width rows as a frame: entity (UInt32), and of the words `w0` to `w7` (UInt64) those that are wanted."""
    counts = [len(section) // (width * _WORD) for section in sections]
    words = _numbers(b"".join(sections), pl.UInt64)
    entities = _numbers(b"".join([each.to_bytes(4, "little") * count for each, count in enumerate(counts)]), pl.UInt32)
    return pl.DataFrame({"entity": entities, **{name: words.gather_every(width, int(name[1:])) for name in wanted}})


def _numbers(little_endian: bytes, dtype: type[pl.UInt32 | pl.UInt64]) -> pl.Series:
    size = 4 if dtype is pl.UInt32 else 8
    if not little_endian:
        return pl.Series(dtype=dtype)
    array = pl.Array(dtype, len(little_endian) // size)
    return pl.Series([little_endian], dtype=pl.Binary).bin.reinterpret(dtype=array).explode()
