"""Takes arriving facts into the stored ones: retention, what comes too late for a folded entity, the join, the fold.

Only rows that are touched are looked at: stored rows are sorted and of one width, so that a row is found by its
identity's bytes and a new one is spliced in where it belongs. What a join itself is says `facts.join`. Pure: `as_of` is
an argument.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from functions.entities import folding, packing
from functions.entities.facts import RETENTION_MS, Fact, join
from functions.entities.packing import (
    FOLDED_BYTES,
    NARROW_BYTES,
    SUBJECT_CODES,
    TUTOR_CODES,
    TUTOR_SHIFT,
    Packed,
    UnreadableFacts,
)
from functions.model import HOUR_MS

Arrived = tuple[int, Fact]
"""A record's position in the batch, and what it says of one thing of the entity."""

_SEARCHED: Final = 16
"""Up to so many identities are each searched for; for more all stored ones are indexed first."""
_SPLICED: Final = 4_000
"""More new rows than this at once could need more codes for names than a row has room for, before any fold."""


@dataclass(slots=True)
class Merged:
    """What became of stored and arriving facts, by entity."""

    facts: list[Packed]
    """The stored facts of every entity, in the order given; the same object where nothing has changed."""
    folded_before: dict[int, int]
    """Facts before this moment (epoch ms) have lost their identities."""
    news: dict[int, list[Fact]] = field(default_factory=dict)
    """Facts that are new or not what they were, before any fold."""
    too_late: list[tuple[int, int]] = field(default_factory=list)
    """What a folded entity cannot take: entity and record."""
    repeated: Counter[int] = field(default_factory=Counter)
    """How many of the arriving facts said what was known or what another of them says."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Entities whose stored facts turned out to be damaged, with what is wrong; they are left as they are."""


def absorb(
    stored: Sequence[Packed],
    folded_before: Mapping[int, int],
    arriving: Mapping[int, Sequence[Arrived]],
    as_of: Sequence[int],
) -> Merged:
    """Joins arriving facts with the stored ones, drops what is past retention, and folds what is too much.

    Parameters
    ----------
    stored
        The facts of each entity.
    folded_before
        By entity, where it has been folded.
    arriving
        By entity, what arrived, in any order; several of one thing where several events tell of it.
    as_of
        Epoch ms, of each entity.
    """
    merged = Merged(list(stored), dict(folded_before))
    for entity, packed in enumerate(stored):
        cutoff = as_of[entity] - RETENTION_MS
        arrived = arriving.get(entity, ())
        if not arrived and not _has_expired(packed, cutoff):
            continue
        work = EntityFacts(packed, folded_before.get(entity), cutoff)
        try:
            work.take(arrived)
            facts = work.spliced()
            if work.irregular or folding.is_too_much(facts):
                known = work.all_facts() if work.irregular else list(packing.facts_of(facts))
                folded = folding.fold(known, list(packing.hours_of(facts.folded)))
                facts = packing.pack(folded.facts, folded.hours)
                if folded.edge is not None:
                    merged.folded_before[entity] = folded.edge
        except UnreadableFacts as error:
            merged.unreadable[entity] = str(error)
            continue
        merged.facts[entity] = facts
        if work.news:
            merged.news[entity] = work.news
        merged.repeated[entity] += work.repeated
        merged.too_late += [(entity, record) for record in work.too_late]
    return merged


def _has_expired(packed: Packed, cutoff: int) -> bool:
    """Whether a row may be past retention; rows are sorted by their earliest event, which is no later than the last."""
    return (
        (packed.narrow != b"" and _words(packed.narrow)[1] >> 16 <= cutoff)
        or (packed.wide != b"" and min(_words(packed.wide)[3::8]) <= cutoff)
        or (packed.folded != b"" and _hour(packed.folded, 0) <= cutoff)
    )


class EntityFacts:
    """One entity's facts while something is taken into them."""

    def __init__(self, packed: Packed, folded_before: int | None, cutoff: int) -> None:
        self.packed = packed
        self.folded_before = folded_before
        self.cutoff = cutoff
        self.words = _words(packed.narrow)
        self.irregular = packed.wide != b""
        """Whether rows can't be spliced, since some are or become wide."""
        self.removed = self._expired()
        """Narrow rows that go or are replaced."""
        self.names_may_go = bool(self.removed)
        """Whether a name may have lost the last row that refers to it."""
        self.news: list[Fact] = []
        self.too_late: list[int] = []
        self.repeated = 0
        self._index: dict[int, int] | None = None
        self._wide: dict[tuple[int, int], Fact] = {}
        if packed.wide:
            self._wide = {
                (fact.kind, fact.id): fact
                for fact in packing.facts_of(packed._replace(narrow=b""))
                if fact.last > cutoff
            }

    def _expired(self) -> set[int]:
        expired, words = set(), self.words
        rows, first_kept = len(words) // 3, (self.cutoff + 1) << 16
        for row in range(rows):
            head = words[3 * row + 1]
            if head >= first_kept:
                break
            if (head >> 16) + (words[3 * row + 2] >> 32) <= self.cutoff:
                expired.add(row)
        return expired

    def take(self, arrived: Iterable[Arrived]) -> None:
        by_thing: dict[tuple[int, int], list[Arrived]] = {}
        for each in arrived:
            fact = each[1]
            if fact.last > self.cutoff:
                by_thing.setdefault((fact.kind, fact.id), []).append(each)
        if len(by_thing) > _SEARCHED:
            words = self.words
            self._index = {words[3 * row] << 1 | words[3 * row + 1] & 1: row for row in range(len(words) // 3)}
        if len(by_thing) > _SPLICED:
            self.irregular = True
        for (kind, identity), telling in by_thing.items():
            row = self._find(kind, identity)
            stored = self._wide.get((kind, identity)) if row is None else packing.narrow_fact(self.packed, row)
            if stored is None and self._is_too_late(telling):
                self.too_late += [record for record, _ in telling]
                continue
            facts = [fact for _, fact in telling]
            fact = reduce(join, facts) if stored is None else reduce(join, facts, stored)
            if fact == stored:
                self.repeated += len(facts)
                continue
            self.repeated += len(facts) - len(set(facts)) if len(facts) > 1 else 0
            self.news.append(fact)
            if stored is not None:
                self.names_may_go |= stored.subject != fact.subject or stored.tutor != fact.tutor
            if row is not None:
                self.removed.add(row)
            self.irregular = self.irregular or not packing.is_plain(fact)

    def _find(self, kind: int, identity: int) -> int | None:
        """The narrow row of a thing; one that is past retention is forgotten, as if it were gone already."""
        if self._index is not None:
            row = self._index.get(identity << 1 | kind)
            return None if row is None or row in self.removed else row
        needle = identity.to_bytes(8, "little")
        at = self.packed.narrow.find(needle)
        while at >= 0:
            row, off = divmod(at, NARROW_BYTES)
            if not off and self.words[3 * row + 1] & 1 == kind and row not in self.removed:
                return row
            at = self.packed.narrow.find(needle, at + 1)
        return None

    def _is_too_late(self, arrived: Iterable[Arrived]) -> bool:
        """Whether an unknown thing can't be told from one that was folded."""
        edge = self.folded_before
        return edge is not None and all(fact.time < edge for _, fact in arrived)

    def all_facts(self) -> list[Fact]:
        """All facts with identities as they are now."""
        facts = {
            (fact.kind, fact.id): fact
            for row, fact in enumerate(packing.facts_of(self.packed._replace(wide=b"")))
            if row not in self.removed
        }
        return list((facts | self._wide | {(fact.kind, fact.id): fact for fact in self.news}).values())

    def spliced(self) -> Packed:
        """The facts as they are now, in stored form; of irregular ones only what was folded is right."""
        folded = self._folded()
        if self.irregular:
            return self.packed._replace(folded=folded)
        if not self.removed and not self.news:
            if folded is self.packed.folded:
                return self.packed
            return packing.assemble(self.packed.narrow, b"", folded, self.packed.subjects, self.packed.tutors)
        subjects, tutors = list(self.packed.subjects), list(self.packed.tutors)
        narrow = self._splice(subjects, tutors)
        more = len(subjects) > len(self.packed.subjects) or len(tutors) > len(self.packed.tutors)
        if self.names_may_go or more:
            words, prune = array("Q", narrow), self.names_may_go
            subjects = _rename(words, 2, 0, SUBJECT_CODES, subjects, prune=prune)
            tutors = _rename(words, 1, TUTOR_SHIFT, TUTOR_CODES, tutors, prune=prune)
            narrow = words.tobytes()
        return packing.assemble(narrow, b"", folded, subjects, tutors)

    def _folded(self) -> bytes:
        folded, gone = self.packed.folded, 0
        while gone < len(folded) and _hour(folded, gone) <= self.cutoff:
            gone += FOLDED_BYTES
        return folded[gone:] if gone else folded

    def _splice(self, subjects: list[bytes], tutors: list[bytes]) -> bytes:
        """The narrow rows without those removed and with the new ones; unknown names are added at the lists' ends."""
        subject_codes = {name: code for code, name in enumerate(subjects, 1)}
        tutor_codes = {name: code for code, name in enumerate(tutors, 1)}
        cuts: list[tuple[int, int, int, int, bytes]] = [(row, 1, 0, 0, b"") for row in self.removed]
        for fact in self.news:
            row = packing.narrow_row(
                fact, _code(fact.subject, subjects, subject_codes), _code(fact.tutor, tutors, tutor_codes)
            )
            # Before the row at its place: of several there, in the order of time, kind and id.
            cuts.append((self._place(fact), 0, fact.time, fact.kind << 64 | fact.id, row))
        cuts.sort()
        narrow, start = self.packed.narrow, 0
        pieces: list[bytes] = []
        for place, is_removal, _, _, row in cuts:
            at = place * NARROW_BYTES
            pieces += (narrow[start:at], row)
            start = at + NARROW_BYTES * is_removal
        pieces.append(narrow[start:])
        return b"".join(pieces)

    def _place(self, fact: Fact) -> int:
        """Before which row a fact belongs."""
        words = self.words
        rows = len(words) // 3
        if not rows or words[3 * rows - 2] >> 16 < fact.time:  # as nearly always: newer than all
            return rows
        heads = words[1::3]
        place = bisect_left(heads, fact.time << 16)
        while place < rows and heads[place] >> 16 == fact.time:
            if (heads[place] & 1, words[3 * place]) >= (fact.kind, fact.id):
                break
            place += 1
        return place


def _words(section: bytes) -> "memoryview[int]":
    # Native words: every machine that Lambda or the local run knows is little-endian.
    return memoryview(section).cast("Q")


def _hour(folded: bytes, at: int) -> int:
    return int.from_bytes(folded[at + 1 : at + 8], "little") * HOUR_MS


def _code(name: str | None, names: list[bytes], codes: dict[bytes, int]) -> int:
    if name is None:
        return 0
    stored = name.encode()
    code = codes.get(stored)
    if code is None:
        names.append(stored)
        code = codes[stored] = len(names)
    return code


def _rename(words: "array[int]", column: int, shift: int, mask: int, names: list[bytes], *, prune: bool) -> list[bytes]:
    """Sorts the names, with `prune` drops those that no row refers to any more, and rewrites the rows' codes."""
    column_words = words[column::3]
    used: Iterable[bytes] = names
    if prune:
        used = [names[code - 1] for code in {word >> shift & mask for word in column_words} if code]
    kept = sorted(used)
    if kept == names:
        return names
    codes = {name: code for code, name in enumerate(kept, 1)}
    moved = [0, *(codes.get(name, 0) for name in names)]
    keep = ~(mask << shift)
    words[column::3] = array("Q", [word & keep | moved[word >> shift & mask] << shift for word in column_words])
    return kept
