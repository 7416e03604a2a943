"""The facts of one entity while they change: opened, changed row by row, and closed again. Pure.

Rows stay where they are in their columns; what is new is put where it belongs, which is nearly always the end.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count

from functions.entities.fact_columns import (
    HOURS,
    NOTHING,
    FactColumns,
    Hour,
    UnreadableFacts,
    assemble,
    column_of,
    fact_of,
    table,
    typecode_of,
)
from functions.entities.facts import Fact
from functions.model import HOUR_MS


def pack(facts: Iterable[Fact], hours: Iterable[Hour]) -> FactColumns:
    """Facts of different things, and folded hours, in stored form.

    The inverse of `fact_columns.facts_of` and `fact_columns.hours_of`.
    """
    packed = OpenFacts(NOTHING)
    for fact in facts:
        packed.put(fact, None)
    packed.put_hours(hours)
    return packed.close()


class _Names:
    """The names that a column refers to by position. New ones follow the sorted ones, until all are sorted again."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._new: dict[str, int] = {}

    def position(self, name: str | None) -> int:
        """The position of a name, from 1; 0 for none."""
        if name is None:
            return 0
        place = bisect_left(self.names, name)
        if place < len(self.names) and self.names[place] == name:
            return place + 1
        return self._new.setdefault(name, len(self.names) + len(self._new) + 1)

    def sort(self, column: "array[int]", left: set[int]) -> "array[int]":
        """Sorts the names, drops those that no row refers to any more, and returns the column with new positions.

        `left` are the positions that removed rows referred to.
        """
        unused = {position for position in left if position not in column}
        if not unused and not self._new:
            return column
        names = (*self.names, *self._new)
        kept = tuple(sorted(name for position, name in enumerate(names, 1) if position not in unused))
        positions = dict(zip(kept, count(1), strict=False))
        moved = [0, *(positions.get(name, 0) for name in names)]
        try:
            column = array(typecode_of(len(kept)), [moved[position] for position in column])
        except IndexError:
            raise self._missing(column) from None
        self.names = kept
        return column

    def check(self, column: "array[int]") -> None:
        """Raises UnreadableFacts when a row refers to a missing name, before new names take its position."""
        if self._new and column and max(column) > len(self.names):
            raise self._missing(column)

    def _missing(self, column: "array[int]") -> UnreadableFacts:
        return UnreadableFacts(f"facts refer to name {max(column)} of {len(self.names)}")


class OpenFacts:
    """The facts of one entity while they change: `absorb` opens them, takes in what arrived, and closes them."""

    def __init__(self, stored: FactColumns) -> None:
        self._stored = stored
        self._base = stored.facts.base
        self._columns = stored.facts.columns()
        self._subjects, self._tutors = _Names(stored.subjects), _Names(stored.tutors)
        self._gone: set[int] = set()
        self._added: list[Fact] = []
        self._hours = stored.hours
        kinds, identities = self._columns["kind"], self._columns["id"]
        self._exceptions = {(kinds[row], identities[row]): values for row, values in stored.exceptions.items()}

    def drop(self, latest: int) -> None:
        """Drops the facts whose latest event is at a moment (epoch ms) or before."""
        time, lasted, until = self._columns["time"], self._columns["lasted"], latest - self._base
        # Rows are sorted by their earliest event, which is no later than the latest.
        self._gone.update(row for row in range(bisect_right(time, until)) if time[row] + lasted[row] <= until)

    def drop_hours(self, latest: int) -> None:
        """Drops the folded hours that begin at a moment (epoch ms) or before."""
        base = self._hours.base
        if self._hours.rows and base * HOUR_MS <= latest:
            columns = self._hours.columns()
            gone = bisect_right(columns["hour"], latest // HOUR_MS - base)
            self._hours = table(base, {name: column[gone:] for name, column in columns.items()})

    def put_hours(self, hours: Iterable[Hour]) -> None:
        """Puts these folded hours in the place of all others."""
        rows = [(hour.time // HOUR_MS, *hour[1:]) for hour in sorted(hours)]
        columns = zip(*rows, strict=True) if rows else [()] * len(HOURS)
        self._hours = table(0, dict(zip(HOURS, map(column_of, columns), strict=True)))

    def find(self, ids: Collection[int]) -> dict[tuple[int, int], int]:
        """The rows of facts with these ids, by kind and id."""
        kinds, identities = self._columns["kind"], self._columns["id"]
        found = [row for row, identity in enumerate(identities) if identity in ids and row not in self._gone]
        return {(kinds[row], identities[row]): row for row in found}

    def fact(self, row: int) -> Fact:
        """The fact of a row; raises UnreadableFacts when it refers to a missing name."""
        values = [column[row] for column in self._columns.values()]
        exception = self._exceptions.get((values[1], values[2]))
        return fact_of(self._base, values, exception, self._subjects.names, self._tutors.names)

    def put(self, fact: Fact, row: int | None) -> None:
        """Adds a fact, in the place of a row where the fact has one."""
        self._added.append(fact)
        if row is not None:
            self._gone.add(row)

    def close(self) -> FactColumns:
        """The facts as they now are; the same object where nothing has changed."""
        columns, stored = self._columns, self._stored
        if not self._added and not self._gone and self._hours is stored.hours:
            return stored
        subjects, tutors = ({columns[name][row] for row in self._gone} - {0} for name in ("subject", "tutor"))
        for row in sorted(self._gone, reverse=True):
            for column in columns.values():
                del column[row]
        if self._added:
            self._insert()
        columns["subject"] = self._subjects.sort(columns["subject"], subjects)
        columns["tutor"] = self._tutors.sort(columns["tutor"], tutors)
        exceptions: Mapping[int, Sequence[int]] = {}
        if self._exceptions:
            things = enumerate(zip(columns["kind"], columns["id"], strict=True))
            exceptions = {row: self._exceptions[thing] for row, thing in things if thing in self._exceptions}
        names = (self._subjects.names, self._tutors.names)
        return assemble(table(self._base, columns), self._hours, exceptions, names, stored)

    def _insert(self) -> None:
        """Puts the added facts where they belong: nearly always behind all others."""
        columns, base = self._columns, min([fact.time for fact in self._added])
        if base < self._base:
            columns["time"] = column_of(time + self._base - base for time in columns["time"])
            self._base = base
        rows = sorted(map(self._row, self._added))
        self._subjects.check(columns["subject"])
        self._tutors.check(columns["tutor"])
        begin = bisect_left(columns["time"], rows[0][0])
        if begin < len(columns["time"]):
            later = zip(*[column[begin:] for column in columns.values()], strict=True)
            rows = sorted([*later, *rows])
        for (name, column), values in zip(columns.items(), zip(*rows, strict=True), strict=True):
            del column[begin:]
            try:
                column.extend(values)
            except OverflowError:
                columns[name] = column_of([*column[:begin], *values])

    def _row(self, fact: Fact) -> tuple[int, ...]:
        """A fact as a row of `FACTS`; notes its exception, if there is one."""
        kind, identity, time, last, rating, rated, outcome, ended, subject, named, tutor, taught = fact
        of_latest, of_earliest = (None, last), (None, time)
        if rated in of_latest and ended in of_latest and named in of_earliest and taught in of_earliest:
            self._exceptions.pop((kind, identity), None)
        else:
            self._exceptions[kind, identity] = (rated or 0, ended or 0, named or 0, taught or 0)
        positions = (self._subjects.position(subject), self._tutors.position(tutor))
        return (
            time - self._base,
            kind,
            identity,
            last - time,
            0 if rating is None else rating + 1,
            outcome,
            *positions,
        )
