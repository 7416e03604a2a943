"""Takes arriving facts into the stored ones: retention, what comes too late for a folded entity, the join, the move.

`facts.join` defines a join, `tails` a move, `fact_columns` the stored form. Pure: `as_of` is an argument.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final, NamedTuple

from functions.entities.fact_columns import FactColumns, UnreadableFacts
from functions.entities.facts import RETENTION_MS, Fact, NewFact, join
from functions.entities.open_facts import OpenFacts
from functions.entities.tails import Head, Tail, move, pays

Arrived = tuple[int, Fact]
"""A record's position in the batch, and what it says of one thing of the entity."""


_LEAST_TO_MOVE: Final = 200
"""Facts of fewer bytes are never worth a move, and seldom add a unit to an item."""


class Stored(NamedTuple):
    """The facts of an entity."""

    recent: FactColumns
    """In its item, the head."""
    tail: Tail


@dataclass(slots=True)
class Merged:
    """Stored and arriving facts of a batch's entities, merged. Entities are numbered as they were given."""

    facts: list[Stored]
    """The facts of every entity now; the same objects where nothing has changed."""
    news: dict[int, list[NewFact]] = field(default_factory=dict)
    """By entity, before any fold. Without news the facts are the same but for what has expired."""
    too_late: list[tuple[int, int]] = field(default_factory=list)
    """Entity and record of what a folded entity cannot take."""
    repeated: Counter[int] = field(default_factory=Counter)
    """By entity: how many arriving facts say only what is stored or what another of them says."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Entities whose stored facts are damaged, with what is wrong; they are left as they are."""


def absorb(
    stored: Sequence[Stored],
    arriving: Mapping[int, Sequence[Arrived]],
    as_of: Sequence[int],
    heads: Sequence[Head],
) -> Merged:
    """Join arriving facts with the stored ones, drop what is past retention, and move facts to the tail where it pays.

    Parameters
    ----------
    stored
        The facts of each entity.
    arriving
        By entity, in any order; several of one thing where several events tell of it.
    as_of
        Epoch ms, of each entity.
    heads
        Of each entity: what decides whether its facts move.
    """
    merged = Merged(list(stored))
    for entity, facts in enumerate(stored):
        cutoff = as_of[entity] - RETENTION_MS
        arrived = arriving.get(entity, ())
        if not arrived and len(facts.recent.blob) < _LEAST_TO_MOVE and not facts.recent.may_expire(cutoff):
            continue
        try:
            taken = _take(facts, arrived, cutoff)
            recent, tail = taken.recent.close(), facts.tail
            changed = taken.changed_in_tail
            if changed is not None or (len(recent.blob) >= _LEAST_TO_MOVE and pays(recent, tail, heads[entity])):
                older = tail.facts if changed is None else changed.close()
                recent, tail = move(recent, tail._replace(facts=older), as_of[entity])
        except UnreadableFacts as error:
            merged.unreadable[entity] = str(error)
            continue
        merged.facts[entity] = Stored(recent, tail)
        if taken.news:
            merged.news[entity] = taken.news
        merged.repeated[entity] += taken.repeated
        merged.too_late += [(entity, record) for record in taken.too_late]
    return merged


@dataclass(slots=True)
class _Taken:
    """One entity's facts with what arrived taken in."""

    recent: OpenFacts
    changed_in_tail: OpenFacts | None = None
    """The tail's facts, opened, if an event has changed one of them."""
    news: list[NewFact] = field(default_factory=list)
    too_late: list[int] = field(default_factory=list)
    repeated: int = 0


def _take(stored: Stored, arrived: Sequence[Arrived], cutoff: int) -> _Taken:
    """Take in what arrived of one entity. An expired fact counts as unknown, whether it has left its part or not."""
    taken = _Taken(OpenFacts(stored.recent))
    taken.recent.drop(cutoff)
    by_thing: dict[tuple[int, int], list[Arrived]] = {}
    for record, fact in arrived:
        if fact.last > cutoff:
            by_thing.setdefault((fact.kind, fact.id), []).append((record, fact))
    rows = taken.recent.find({identity for _, identity in by_thing})
    elsewhere = {identity for kind, identity in by_thing if (kind, identity) not in rows}
    in_tail = _find_in_tail(stored.tail, elsewhere, cutoff)
    edge = stored.tail.folded_before
    for thing, tellings in by_thing.items():
        row = rows.get(thing)
        known = in_tail.get(thing) if row is None else taken.recent.fact(row)
        facts = [fact for _, fact in tellings]
        if known is None and edge is not None and all(fact.time < edge for fact in facts):
            # An unknown thing this old cannot be told from one that has been folded.
            taken.too_late += [record for record, _ in tellings]
            continue
        fact = reduce(join, facts if known is None else [known, *facts])
        if known == fact:
            taken.repeated += len(facts)
            continue
        taken.repeated += len(facts) - len(set(facts)) if len(facts) > 1 else 0
        taken.news.append(NewFact(fact, known))
        if thing in in_tail:
            _change_in_tail(taken, stored.tail, fact)
        else:
            taken.recent.put(fact, row)
    return taken


def _find_in_tail(tail: Tail, ids: set[int], cutoff: int) -> dict[tuple[int, int], Fact]:
    """Return the facts of a tail that have these ids and have not expired, by kind and id."""
    found = ids.intersection(tail.facts.facts.column("id")) if ids else ids
    if not found:
        return {}
    opened = OpenFacts(tail.facts)
    facts = {thing: opened.fact(row) for thing, row in opened.find(found).items()}
    return {thing: fact for thing, fact in facts.items() if fact.last > cutoff}


def _change_in_tail(taken: _Taken, tail: Tail, fact: Fact) -> None:
    if taken.changed_in_tail is None:
        taken.changed_in_tail = OpenFacts(tail.facts)
    taken.changed_in_tail.put(fact, taken.changed_in_tail.find({fact.id})[fact.kind, fact.id])
