"""The stored form of an entity's facts: named columns in one binary attribute. No other module knows its bytes.

    blob     version u8 | facts | hours | exceptions | the subjects' names | 0xFE | the tutors' names
    table    (the first three) rows u16 | where there are any: base u48 | widths, a hexadecimal digit a column | columns
    names    sorted, each in UTF-8 and followed by a byte 0xFF

Numbers are unsigned and little-endian. A column takes 1, 2, 4 or 8 bytes a row, the fewest that hold its largest value,
and none where all values are 0. The first column counts from `base`, which is the first row's value. Facts are sorted
by time, kind and id, hours by hour and kind, exceptions by row. So the same facts give the same bytes.

The form outlives every release: a change takes a new version. Pure.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from functions.entities.facts import Fact
from functions.model import HOUR_MS

VERSION: Final = 1

FACTS: Final[tuple[str, ...]] = (
    "time",  # ms after `base`
    "kind",
    "id",
    "lasted",  # last - time
    "rating",  # ten-thousandths, plus 1; 0 without a rating
    "outcome",
    "subject",  # position among the subjects' names, from 1; 0 without a subject
    "tutor",  # likewise
)
"""The columns of facts."""

EXCEPTIONS: Final[tuple[str, ...]] = (
    "row",  # of the fact, from 0
    "rating_time",  # epoch ms, as are the others; 0 where the fact has none
    "outcome_time",
    "subject_time",
    "tutor_time",
)
"""The columns of exceptions: facts whose rating or outcome is not of their latest event, or whose subject or tutor is
not of their earliest. There are nearly none."""

HOURS: Final[tuple[str, ...]] = ("hour", "kind", "weight", "rating_sum", "rating_count")
"""The columns of folded hours; `hour` counts hours after `base`, and `base` hours since 1970."""

Columns = dict[str, "array[int]"]
"""Columns of one length, by name."""
Names = tuple[tuple[str, ...], tuple[str, ...]]
"""Sorted subjects and sorted tutors."""

_VERSION_BYTE: Final = bytes([VERSION])
_ROWS_BYTES: Final = 2
_BASE_BYTES: Final = 6
_NO_ROWS: Final = bytes(_ROWS_BYTES)
_END_OF_NAME: Final = b"\xff"  # no byte of UTF-8
_END_READ: Final = _END_OF_NAME.decode(errors="surrogateescape")
_END_OF_SUBJECTS: Final = b"\xfe"  # neither
_TYPECODES: Final = {0: "B", 1: "B", 2: "H", 4: "I", 8: "Q"}
"""Of arrays in memory, by bytes a row in the blob."""
_TOO_LARGE: Final = 1 << 54
"""No time and no sum is so large: Polars can add a few of them."""


class UnreadableFacts(ValueError):
    """A stored blob whose version this code does not know, or whose parts do not fit each other."""


class Hour(NamedTuple):
    """The facts of an hour that have been folded; hours sort as they are stored."""

    time: int
    """The hour's start, epoch ms."""
    kind: int
    weight: int
    """How many facts."""
    rating_sum: int
    """Ten-thousandths."""
    rating_count: int


class _Layout(NamedTuple):
    """Where a table has its columns."""

    begin: int
    """Where the first begins."""
    places: Mapping[str, tuple[int, int, str]]
    """Of each: the bytes a row of those before it, the same with its own, and its typecode in memory."""
    row_bytes: int
    bounded: Sequence[str]
    """Those that are wide enough for what is no time and no sum."""


class Table(NamedTuple):
    """Sorted rows as they are stored."""

    stored: bytes
    rows: int
    base: int
    """What the first column counts from."""
    layout: _Layout

    def columns(self) -> Columns:
        """All columns, which the caller may change."""
        stored, rows, begin = self.stored, self.rows, self.layout.begin
        return {
            name: array(
                typecode, stored[begin + rows * before : begin + rows * after] if before < after else bytes(rows)
            )
            for name, (before, after, typecode) in self.layout.places.items()
        }

    def column(self, name: str) -> "array[int]":
        """A column, which the caller may change."""
        before, after, typecode = self.layout.places[name]
        begin = self.layout.begin + self.rows * before
        end = begin + self.rows * (after - before)
        return array(typecode, self.stored[begin:end] if before < after else bytes(self.rows))


class FactColumns(NamedTuple):
    """The facts of one entity."""

    blob: bytes
    """As stored; empty when there are none."""
    facts: Table
    hours: Table
    exceptions: Mapping[int, Sequence[int]]
    """By row of `facts`: the values of `EXCEPTIONS` but the first."""
    subjects: tuple[str, ...]
    """The subjects that facts refer to, sorted."""
    tutors: tuple[str, ...]
    """The tutors likewise."""
    names: bytes
    """Both as stored."""

    @property
    def fact_bytes(self) -> int:
        """How many bytes all takes but the folded hours."""
        return len(self.blob) - len(self.hours.stored)

    def may_expire(self, cutoff: int) -> bool:
        """Whether a fact or an hour may have its latest event at `cutoff` (epoch ms) or before."""
        facts, hours = self.facts, self.hours
        return (facts.rows > 0 and facts.base <= cutoff) or (hours.rows > 0 and hours.base * HOUR_MS <= cutoff)


def read(blob: bytes) -> FactColumns:
    """The facts in a stored blob.

    Raises
    ------
    UnreadableFacts
        For a version that this release does not know, and for parts that do not fit each other. A fact that refers to
        a missing name is noticed only when it is read.
    """
    if not blob:
        return NOTHING
    if blob[0] != VERSION:
        raise UnreadableFacts(f"facts are stored in format version {blob[0]}, this release reads up to {VERSION}")
    facts, end = _read_table(FACTS, blob, len(_VERSION_BYTE))
    if facts.column("kind").tobytes().strip(b"\0\1") or facts.column("outcome").tobytes().strip(b"\0\1\2"):
        raise UnreadableFacts("facts have a kind or an outcome that there is not")
    hours, end = _read_table(HOURS, blob, end)
    table, end = _read_table(EXCEPTIONS, blob, end)
    exceptions = {}
    if table.rows:
        exceptions = {table.base + row: tuple(values) for row, *values in zip(*table.columns().values(), strict=True)}
    names = blob[end:]
    subjects, separator, tutors = names.partition(_END_OF_SUBJECTS)
    if not separator:
        raise UnreadableFacts("facts end before the tutors' names")
    return FactColumns(blob, facts, hours, exceptions, _read_names(subjects), _read_names(tutors), names)


def _read_table(names: tuple[str, ...], blob: bytes, at: int) -> tuple[Table, int]:
    """A table, and where it ends."""
    base_at = at + _ROWS_BYTES
    widths_at = base_at + _BASE_BYTES
    rows = int.from_bytes(blob[at:base_at], "little")
    if not rows and base_at <= len(blob):
        return _EMPTY[names], base_at
    begin = widths_at + (len(names) + 1) // 2
    if begin > len(blob):
        raise UnreadableFacts(f"facts of {len(blob)} bytes are shorter than their header")
    layout = _layout(names, blob[widths_at:begin])
    end = begin + rows * layout.row_bytes
    if end > len(blob):
        raise UnreadableFacts(f"facts of {len(blob)} bytes end within a table of {rows} rows")
    table = Table(blob[at:end], rows, int.from_bytes(blob[base_at:widths_at], "little"), layout)
    for name in layout.bounded:
        if (most := max(table.column(name))) >= _TOO_LARGE:
            raise UnreadableFacts(f"facts have {most:#x} where a time or a sum is expected")
    return table, end


@lru_cache(4_096)
def _layout(names: tuple[str, ...], widths: bytes) -> _Layout:
    places, row_bytes = {}, 0
    for name, digit in zip(names, widths.hex(), strict=False):
        if digit not in ("01" if name in ("kind", "outcome") else "01248"):
            raise UnreadableFacts(f"facts have a column {name} of {digit} bytes a row")
        places[name] = (row_bytes, row_bytes + int(digit), _TYPECODES[int(digit)])
        row_bytes += int(digit)
    bounded = [name for name, (before, after, _) in places.items() if after - before == 8 and name != "id"]
    return _Layout(_ROWS_BYTES + _BASE_BYTES + len(widths), places, row_bytes, bounded)


def _read_names(section: bytes) -> tuple[str, ...]:
    # The ends of names are not UTF-8, and become surrogates. Any other surrogate is a byte that should not be there.
    *names, rest = section.decode(errors="surrogateescape").split(_END_READ)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise UnreadableFacts(f"facts refer to a name that is not UTF-8: {section!r}") from None
    if rest:
        raise UnreadableFacts("facts end within a name")
    return tuple(names)


def assemble(
    facts: Table, hours: Table, exceptions: Mapping[int, Sequence[int]], names: Names, before: FactColumns
) -> FactColumns:
    """Facts of tables, exceptions by row, and sorted subjects and tutors; `NOTHING` without a row.

    `before` are the entity's facts until now, whose names are taken as they are stored where they are the same.
    """
    if not facts.rows and not hours.rows:
        return NOTHING
    stored = before.names
    if names != (before.subjects, before.tutors):
        stored = _END_OF_SUBJECTS.join(
            [b"".join([name.encode() + _END_OF_NAME for name in sorted_names]) for sorted_names in names]
        )
    odd = _NO_ROWS
    if exceptions:
        columns = zip(*((row, *values) for row, values in exceptions.items()), strict=True)
        odd = table(0, dict(zip(EXCEPTIONS, map(column_of, columns), strict=True))).stored
    blob = b"".join((_VERSION_BYTE, facts.stored, hours.stored, odd, stored))
    return FactColumns(blob, facts, hours, exceptions, *names, stored)


def table(base: int, columns: Columns) -> Table:
    """Sorted rows as a table. Their first column counts from `base`, which need not be the first row's value.

    >>> table(495_000, {"hour": array("I", [1, 259]), "kind": array("B", [0, 0])}).stored.hex(" ")
    '02 00 99 8d 07 00 00 00 20 00 00 02 01'
    """
    names = tuple(columns)
    rows = len(columns[names[0]])
    if not rows:
        return _EMPTY[names]
    if shift := columns[names[0]][0]:
        columns[names[0]] = array(columns[names[0]].typecode, [value - shift for value in columns[names[0]]])
    widths, stored = "", []
    for column in columns.values():
        half = 4 * column.itemsize
        if half > 4 and not (column[-1] >> half or any(value >> half for value in column)):
            column = column_of(column)  # a narrower one will do
        values = column.tobytes()
        if column.itemsize == 1 and not values.strip(b"\0"):
            widths += "0"
        else:
            widths += str(column.itemsize)
            stored.append(values)
    digits = bytes.fromhex(widths + "0" * (len(widths) % 2))
    begin = (rows.to_bytes(_ROWS_BYTES, "little"), (base + shift).to_bytes(_BASE_BYTES, "little"), digits)
    return Table(b"".join((*begin, *stored)), rows, base + shift, _layout(names, digits))


def column_of(values: Iterable[int]) -> "array[int]":
    """Values as a column, in as few bytes a row as the largest needs.

    >>> column_of([1, 256])
    array('H', [1, 256])
    """
    values = list(values)
    return array(typecode_of(max(values, default=0)), values)


def typecode_of(most: int) -> str:
    """The typecode of the narrowest column that holds a value."""
    return next(typecode for width, typecode in _TYPECODES.items() if most >> 8 * width == 0)


_EMPTY: Final = {
    names: Table(_NO_ROWS, 0, 0, _layout(names, bytes(len(names)))) for names in (FACTS, HOURS, EXCEPTIONS)
}
NOTHING: Final = FactColumns(b"", _EMPTY[FACTS], _EMPTY[HOURS], {}, (), (), _END_OF_SUBJECTS)


def name_bytes(name: str) -> int:
    """How many bytes a name takes in a blob.

    >>> name_bytes("Ökologie")
    10
    """
    return len(name.encode()) + len(_END_OF_NAME)


def facts_of(stored: FactColumns) -> Iterator[Fact]:
    """All facts that have not been folded, by time, kind and id.

    Raises
    ------
    UnreadableFacts
        When one refers to a missing name.
    """
    base, subjects, tutors = stored.facts.base, stored.subjects, stored.tutors
    for row, values in enumerate(zip(*stored.facts.columns().values(), strict=True)):
        yield fact_of(base, values, stored.exceptions.get(row), subjects, tutors)


def hours_of(stored: FactColumns) -> Iterator[Hour]:
    """All folded hours."""
    for hour, *values in zip(*stored.hours.columns().values(), strict=True):
        yield Hour((stored.hours.base + hour) * HOUR_MS, *values)


def fact_of(
    base: int, values: Sequence[int], exception: Sequence[int] | None, subjects: Sequence[str], tutors: Sequence[str]
) -> Fact:
    """The fact of a row of `FACTS` and, where it has one, of `EXCEPTIONS`; raises as `facts_of` does."""
    time, kind, identity, lasted, rating, outcome, subject, tutor = values
    time += base
    last = time + lasted
    rating_time, outcome_time, subject_time, tutor_time = exception or (last, last, time, time)
    return Fact(
        kind,
        identity,
        time,
        last,
        rating - 1 if rating else None,
        rating_time if rating else None,
        outcome,
        outcome_time if outcome else None,
        _name(subjects, subject),
        subject_time if subject else None,
        _name(tutors, tutor),
        tutor_time if tutor else None,
    )


def _name(names: Sequence[str], position: int) -> str | None:
    if position > len(names):
        raise UnreadableFacts(f"facts refer to name {position} of {len(names)}")
    return names[position - 1] if position else None
