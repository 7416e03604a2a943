"""The stored form of facts: one binary attribute an item, version 1. It outlives every release; extend it only.

A blob is a header of 8 bytes and three sections of little-endian unsigned 64-bit words:

    header   version u8 | 0 u8 | number of wide rows u16 | number of folded rows u32
    narrow   3 words a row:  id
                             time << 16 | tutor << 3 | outcome << 1 | kind
                             (last - time) << 32 | rating << 16 | subject
    wide     8 words a row:  id; time, tutor, outcome, kind as above; rating << 16 | subject;
                             last; rating_time; outcome_time; subject_time; tutor_time
    folded   3 words a row:  hours since 1970 << 8 | kind; weight << 32 | rating_count; rating_sum

`rating` is in ten-thousandths, 65535 for none. `subject` and `tutor` are positions, counted from 1, in the item's
sorted lists of names, 0 for none. A row is narrow when its rating and outcome are of its latest event and its subject
and tutor of its earliest (nearly all are); otherwise it is wide. Rows are sorted by time, kind, id, so that the same
facts are the same bytes.

Entities are packed and unpacked together: their sections joined and read as one column, or one column written and cut.
Pure.
"""

import io
import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import polars as pl

from .facts import FOLDED, ROWS
from .model import HOUR_MS

VERSION: Final = 1
_HEADER: Final = struct.Struct("<BBHI")
_WORD: Final = 8
_NARROW: Final = 3
_WIDE: Final = 8
_FOLDED: Final = 3
_NO_RATING: Final = 0xFFFF
_U16: Final = 1 << 16
_U32: Final = 1 << 32


NARROW_BYTES: Final = _NARROW * _WORD
WIDE_BYTES: Final = _WIDE * _WORD


class UnreadableFacts(ValueError):
    """A stored blob whose version this code does not know, or whose length does not fit its header."""


class Packed(NamedTuple):
    """One item's facts as stored."""

    blob: bytes
    """Empty when there are none."""
    subjects: list[str]
    """The subjects that rows refer to, sorted."""
    tutors: list[str]
    """The tutors likewise."""


NOTHING: Final = Packed(b"", [], [])


class _Sections(NamedTuple):
    narrow: bytes
    wide: bytes
    folded: bytes


def check(packed: Packed) -> None:
    """Raises `UnreadableFacts` when `unpack` could not read this blob."""
    sections = _split(packed.blob)
    for section, width in ((sections.wide, _WIDE), (sections.folded, _FOLDED)):
        for position, (word,) in enumerate(struct.iter_unpack("<Q", section)):
            if position % width and word >= 1 << 63:  # the first word is an id, the others are times and sums
                raise UnreadableFacts(f"facts have {word:#x} where a time or a sum is expected")


def _split(blob: bytes) -> _Sections:
    if not blob:
        return _Sections(b"", b"", b"")
    if blob[0] != VERSION:
        raise UnreadableFacts(f"facts are stored in format version {blob[0]}, this release reads up to {VERSION}")
    if len(blob) < _HEADER.size:
        raise UnreadableFacts(f"facts of {len(blob)} bytes are shorter than their header of {_HEADER.size}")
    _, _, wide, folded = _HEADER.unpack_from(blob)
    end = len(blob)
    folded_start = end - folded * _FOLDED * _WORD
    wide_start = folded_start - wide * _WIDE * _WORD
    if wide_start < _HEADER.size or (wide_start - _HEADER.size) % (_NARROW * _WORD):
        raise UnreadableFacts(f"facts of {end} bytes do not fit their header: {wide} wide, {folded} folded rows")
    return _Sections(blob[_HEADER.size : wide_start], blob[wide_start:folded_start], blob[folded_start:])


def unpack(stored: Sequence[Packed]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The facts of several entities as one frame of `ROWS` and one of `FOLDED`; `entity` is the position in `stored`.

    Raises
    ------
    UnreadableFacts
        As `check` does, for the first blob that cannot be read.
    """
    sections = [_split(packed.blob) for packed in stored]
    narrow = _words([each.narrow for each in sections], _NARROW)
    wide = _words([each.wide for each in sections], _WIDE)
    folded = _words([each.folded for each in sections], _FOLDED)

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
    hours = folded.select(
        "entity",
        kind=pl.col("w0") % 256,
        time=(pl.col("w0") // 256).cast(pl.Int64) * HOUR_MS,
        weight=(pl.col("w1") // _U32).cast(pl.Int64),
        rating_sum=pl.col("w2").cast(pl.Int64),
        rating_count=(pl.col("w1") % _U32).cast(pl.Int64),
    )
    return pl.concat([each.select(ROWS.names()) for each in rows]), hours.select(FOLDED.names())


def _names(lists: Sequence[Sequence[str]], code: pl.Expr) -> pl.Expr:
    """Codes as names: code 1 of an entity is the first name of its own list."""
    every = pl.Series([name for names in lists for name in names], dtype=pl.String)
    if every.is_empty():
        return pl.lit(None, pl.String)
    before = pl.Series([0, *accumulate(len(names) for names in lists)], dtype=pl.Int64)
    position = pl.lit(before).gather(pl.col("entity")) + code.cast(pl.Int64) - 1
    return pl.lit(every).gather(pl.when(code > 0).then(position))


def _words(sections: Sequence[bytes], width: int) -> pl.DataFrame:
    """Sections of fixed-width rows as a frame: entity (UInt32), w0 ... (UInt64)."""
    counts = [len(section) // (width * _WORD) for section in sections]
    total = sum(counts)
    columns = {f"w{position}": pl.UInt64 for position in range(width)}
    if not total:
        return pl.DataFrame(schema={"entity": pl.UInt32, **columns})
    joined = pl.Series([b"".join(sections)], dtype=pl.Binary)
    words = joined.bin.reinterpret(dtype=pl.Array(pl.UInt64, total * width), endianness="little").explode()
    entities = pl.select(
        pl.int_range(len(counts), dtype=pl.UInt32).repeat_by(pl.Series(counts, dtype=pl.UInt32)).explode()
    ).to_series()
    present = entities.drop_nulls()
    return pl.DataFrame(
        {
            "entity": present,
            **{name: words.gather_every(width, position) for position, name in enumerate(columns)},
        }
    )


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
        plain=_is_plain(),
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
        header = _HEADER.pack(VERSION, 0, len(wide_bytes) // (_WIDE * _WORD), len(folded_bytes) // (_FOLDED * _WORD))
        body = narrow_bytes + wide_bytes + folded_bytes
        packed[entity] = Packed(header + body, *names.get(entity, ([], []))) if body else NOTHING
    return packed


def _code(name: str) -> pl.Expr:
    return pl.col(name).rank("dense").over("entity").fill_null(0).cast(pl.UInt64)


def _is_plain() -> pl.Expr:
    """Whether a row's times are those of its earliest and its latest event alone, so that it is stored narrow."""
    first, last = pl.col("time"), pl.col("last")
    of_last = (pl.col(name).fill_null(last) == last for name in ("rating_time", "outcome_time"))
    of_first = (pl.col(name).fill_null(first) == first for name in ("subject_time", "tutor_time"))
    return pl.all_horizontal(*of_last, *of_first, last - first < _U32)


def stored_bytes() -> pl.Expr:
    """What each row takes, with the names that no row of its entity above it has, over a frame sorted by entity."""
    size = pl.when(_is_plain()).then(NARROW_BYTES).otherwise(WIDE_BYTES).cast(pl.Int64)
    for name in ("subject", "tutor"):
        fresh = pl.struct("entity", name).is_first_distinct() & pl.col(name).is_not_null()
        size += pl.when(fresh).then(pl.col(name).str.len_bytes().cast(pl.Int64)).otherwise(0)
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
    "Encapsulated message format"): after the schema, one record batch whose only buffer is the column.
    """
    stream = io.BytesIO()
    words.rechunk().to_frame().write_ipc_stream(stream, compression="uncompressed")
    raw = stream.getvalue()
    body = 0
    for _ in ("schema", "record batch"):
        _, metadata = struct.unpack_from("<Ii", raw, body)
        body += 8 + metadata
    return raw[body : body + words.len() * _WORD]
