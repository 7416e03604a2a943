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

Rows of one entity are read and written one by one where few of them are touched (`facts_of`, `narrow_row`); all rows of
many entities as one column, or one column written and cut (`unpack`, `things`, `pack`). Pure.
"""

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import polars as pl

from .facts import FOLDED, ROWS, SESSION, Fact
from .model import HOUR_MS

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
_WORDS_A_BATCH: Final = 1 << 16
_END_OF_NAME: Final = b"\xff"  # no byte of UTF-8

NARROW_BYTES: Final = _NARROW * _WORD
WIDE_BYTES: Final = _WIDE * _WORD
FOLDED_BYTES: Final = _FOLDED * _WORD

NARROW_ROW: Final = struct.Struct("<QQQ")
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


NOTHING: Final = Packed(b"", b"", b"", b"", (), ())


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
    identity, head, tail = NARROW_ROW.unpack_from(packed.narrow, row * NARROW_BYTES)
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
    for row in range(len(packed.narrow) // NARROW_BYTES):
        yield narrow_fact(packed, row)
    for words in struct.iter_unpack("<8Q", packed.wide):
        identity, head, tail, last, rating_time, outcome_time, subject_time, tutor_time = words
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
        hours = _hours(_words([each.folded for each in stored], _FOLDED, "w0", "w1", "w2"))
        session = (pl.col("kind") == SESSION).alias("session")
        last = pl.col("time").alias("last")
        frames.append(hours.select("entity", session, "time", last, "weight", "rating_sum", "rating_count"))
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _rating(rating: pl.Expr) -> dict[str, pl.Expr]:
    rated = rating != _NO_RATING
    return {
        "rating_sum": pl.when(rated).then(rating).otherwise(0).cast(pl.Int64),
        "rating_count": rated.cast(pl.Int64),
    }


def unpack(stored: Sequence[Packed]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The facts of several entities, frames of `ROWS` and of `FOLDED`; `entity` is the position in `stored`."""
    narrow = _words([each.narrow for each in stored], _NARROW, "w0", "w1", "w2")
    wide = _words([each.wide for each in stored], _WIDE, *(f"w{position}" for position in range(_WIDE)))

    time = (pl.col("w1") // _U16).cast(pl.Int64)
    rating = pl.col("w2") // _U16 % _U16
    shared = {
        "kind": pl.col("w1") % 2,
        "id": pl.col("w0"),
        "time": time,
        "rating": pl.when(rating != _NO_RATING).then(rating),
        "outcome": pl.col("w1") % 8 // 2,
        "subject": _names([packed.subjects for packed in stored], pl.col("w2") % _U16),
        "tutor": _names([packed.tutors for packed in stored], pl.col("w1") % _U16 // 8),
    }
    last = time + (pl.col("w2") // _U32).cast(pl.Int64)
    rows = [
        narrow.select("entity", last=last, **shared).with_columns(
            rating_time=pl.when(pl.col("rating").is_not_null()).then("last"),
            outcome_time=pl.when(pl.col("outcome") > 0).then("last"),
            subject_time=pl.when(pl.col("subject").is_not_null()).then("time"),
            tutor_time=pl.when(pl.col("tutor").is_not_null()).then("time"),
        )
    ]
    if wide.height:
        times = {"rating_time": "w4", "outcome_time": "w5", "subject_time": "w6", "tutor_time": "w7"}
        rows.append(
            wide.select(
                "entity",
                last=pl.col("w3").cast(pl.Int64),
                **shared,
                **{name: pl.when(pl.col(word) != 0).then(pl.col(word)).cast(pl.Int64) for name, word in times.items()},
            )
        )
    hours = _hours(_words([each.folded for each in stored], _FOLDED, "w0", "w1", "w2"))
    return pl.concat([each.select(ROWS.names()) for each in rows]), hours


def _hours(folded: pl.DataFrame) -> pl.DataFrame:
    return folded.select(
        "entity",
        kind=pl.col("w0") % 256,
        time=(pl.col("w0") // 256).cast(pl.Int64) * HOUR_MS,
        weight=(pl.col("w1") // _U32).cast(pl.Int64),
        rating_sum=pl.col("w2").cast(pl.Int64),
        rating_count=(pl.col("w1") % _U32).cast(pl.Int64),
    ).select(FOLDED.names())


def _names(lists: Sequence[Sequence[bytes]], code: pl.Expr) -> pl.Expr:
    """Codes as names: code 1 of an entity is the first name of its own list."""
    every = pl.Series([name.decode() for names in lists for name in names], dtype=pl.String)
    if every.is_empty():
        return pl.lit(None, pl.String)
    before = pl.Series([0, *accumulate(len(names) for names in lists)], dtype=pl.Int64)
    position = pl.lit(before).gather(pl.col("entity")) + code.cast(pl.Int64) - 1
    return pl.lit(every).gather(pl.when(code > 0).then(position))


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


def pack(rows: pl.DataFrame, folded: pl.DataFrame, entities: Sequence[int]) -> Mapping[int, Packed]:
    """The facts of these entities in stored form; the inverse of `unpack`.

    Parameters
    ----------
    rows, folded
        Frames of `ROWS` and `FOLDED`, sorted; rows of other entities are ignored.
    entities
        Which entities to pack.
    """
    wanted = pl.Series(entities, dtype=pl.UInt32).sort()
    rows = rows.filter(pl.col("entity").is_in(wanted.implode()))
    folded = folded.filter(pl.col("entity").is_in(wanted.implode()))
    names = {
        entity: (subjects, tutors)
        for entity, subjects, tutors in rows.group_by("entity")
        .agg(pl.col("subject", "tutor").drop_nulls().unique().sort())
        .iter_rows()
    }

    head = pl.col("time").cast(pl.UInt64) * _U16 + _code("tutor") * 8 + pl.col("outcome") * 2 + pl.col("kind")
    tail = pl.col("rating").fill_null(_NO_RATING) * _U16 + _code("subject")
    coded = rows.with_columns(
        w0=pl.col("id"),
        w1=head,
        w2=tail,
        span=(pl.col("last") - pl.col("time")).cast(pl.UInt64),
        plain=_are_plain(),
    )
    narrow = coded.filter("plain").select("entity", "w0", "w1", w2=pl.col("span") * _U32 + pl.col("w2"))
    wide = coded.filter(~pl.col("plain")).select(
        "entity",
        "w0",
        "w1",
        "w2",
        *(
            pl.col(name).fill_null(0).cast(pl.UInt64)
            for name in ("last", "rating_time", "outcome_time", "subject_time", "tutor_time")
        ),
    )
    hours = folded.select(
        "entity",
        w0=(pl.col("time") // HOUR_MS).cast(pl.UInt64) * 256 + pl.col("kind"),
        w1=pl.col("weight").cast(pl.UInt64) * _U32 + pl.col("rating_count").cast(pl.UInt64),
        w2=pl.col("rating_sum").cast(pl.UInt64),
    )
    sections = [_cut(narrow, _NARROW), _cut(wide, _WIDE), _cut(hours, _FOLDED)]
    packed = {}
    for entity in wanted:
        narrow_bytes, wide_bytes, folded_bytes = (section.get(entity, b"") for section in sections)
        subjects, tutors = ([name.encode() for name in each] for each in names.get(entity, ((), ())))
        packed[entity] = assemble(narrow_bytes, wide_bytes, folded_bytes, subjects, tutors)
    return packed


def _code(name: str) -> pl.Expr:
    return pl.col(name).rank("dense").over("entity").fill_null(0).cast(pl.UInt64)


def _are_plain() -> pl.Expr:
    """`is_plain` of rows."""
    first, last = pl.col("time"), pl.col("last")
    of_last = (pl.col(name).fill_null(last) == last for name in ("rating_time", "outcome_time"))
    of_first = (pl.col(name).fill_null(first) == first for name in ("subject_time", "tutor_time"))
    return pl.all_horizontal(*of_last, *of_first, last - first < _U32)


def stored_bytes() -> pl.Expr:
    """What each row takes, with the names that no row of its entity above it has, over a frame sorted by entity."""
    size = pl.when(_are_plain()).then(NARROW_BYTES).otherwise(WIDE_BYTES).cast(pl.Int64)
    for name in ("subject", "tutor"):
        fresh = pl.struct("entity", name).is_first_distinct() & pl.col(name).is_not_null()
        size += pl.when(fresh).then(pl.col(name).str.len_bytes().cast(pl.Int64) + len(_END_OF_NAME)).otherwise(0)
    return size


def _cut(words: pl.DataFrame, width: int) -> Mapping[int, bytes]:
    """A frame sorted by entity, of columns entity and `width` words, as one run of bytes an entity."""
    if words.is_empty():
        return {}
    run = _bytes_of(words.select(pl.concat_arr(pl.exclude("entity"))).to_series().explode())
    sizes = words.group_by("entity", maintain_order=True).len()
    cut, start = {}, 0
    for entity, count in sizes.iter_rows():
        end = start + count * width * _WORD
        cut[entity] = run[start:end]
        start = end
    return cut


def _bytes_of(words: pl.Series) -> bytes:
    """The memory of a UInt64 series without nulls.

    It is the body of the second message of an uncompressed Arrow IPC stream (Apache Arrow columnar format,
    "Encapsulated message format"): after the schema, one record batch whose only buffer is the column. Polars makes
    several batches of a long column, so a long one is written in slices.
    """
    return b"".join(_body(part) for part in words.to_frame().iter_slices(_WORDS_A_BATCH))


def _body(words: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    words.rechunk().write_ipc_stream(stream, compression="uncompressed")
    raw = stream.getvalue()
    body = 0
    for _ in ("schema", "record batch"):
        _, metadata = struct.unpack_from("<Ii", raw, body)
        body += 8 + metadata
    return raw[body : body + words.height * _WORD]
