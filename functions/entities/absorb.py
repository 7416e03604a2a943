"""Takes arriving facts into the stored ones: retention, what comes too late for a folded entity, the join, the fold.

`facts.join` defines a join, `folding` a fold, `fact_columns` the stored form. Pure: `as_of` is an argument.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from functions.entities.fact_columns import FactColumns, UnreadableFacts
from functions.entities.facts import RETENTION_MS, Fact, join
from functions.entities.folding import fold, is_too_much
from functions.entities.open_facts import OpenFacts

Arrived = tuple[int, Fact]
"""A record's position in the batch, and what it says of one thing of the entity."""


@dataclass(slots=True)
class Merged:
    """Stored and arriving facts of a batch's entities, merged. Entities are numbered as they were given."""

    facts: list[FactColumns]
    """The facts of every entity now; the same object where nothing has changed."""
    folded_before: dict[int, int]
    """By entity: facts before this moment (epoch ms) have lost their identities."""
    news: dict[int, list[Fact]] = field(default_factory=dict)
    """By entity: facts that are new or have changed, before any fold."""
    too_late: list[tuple[int, int]] = field(default_factory=list)
    """Entity and record of what a folded entity cannot take."""
    repeated: Counter[int] = field(default_factory=Counter)
    """By entity: how many arriving facts say only what is stored or what another of them says."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Entities whose stored facts are damaged, with what is wrong; they are left as they are."""


def absorb(
    stored: Sequence[FactColumns],
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
        By entity, in any order; several of one thing where several events tell of it.
    as_of
        Epoch ms, of each entity.
    """
    merged = Merged(list(stored), dict(folded_before))
    for entity, columns in enumerate(stored):
        cutoff = as_of[entity] - RETENTION_MS
        arrived = arriving.get(entity, ())
        if not arrived and not columns.may_expire(cutoff):
            continue
        try:
            taken = _take(columns, arrived, folded_before.get(entity), cutoff)
            facts = taken.facts.close()
            if is_too_much(facts):
                facts, merged.folded_before[entity] = fold(facts)
        except UnreadableFacts as error:
            merged.unreadable[entity] = str(error)
            continue
        merged.facts[entity] = facts
        if taken.news:
            merged.news[entity] = taken.news
        merged.repeated[entity] += taken.repeated
        merged.too_late += [(entity, record) for record in taken.too_late]
    return merged


@dataclass(slots=True)
class _Taken:
    """One entity's facts with what arrived taken in."""

    facts: OpenFacts
    news: list[Fact] = field(default_factory=list)
    too_late: list[int] = field(default_factory=list)
    repeated: int = 0


def _take(stored: FactColumns, arrived: Sequence[Arrived], edge: int | None, cutoff: int) -> _Taken:
    """Takes in what arrived of one entity; `edge` is where it has been folded."""
    taken = _Taken(OpenFacts(stored))
    taken.facts.drop(cutoff)
    taken.facts.drop_hours(cutoff)
    by_thing: dict[tuple[int, int], list[Arrived]] = {}
    for record, fact in arrived:
        if fact.last > cutoff:
            by_thing.setdefault((fact.kind, fact.id), []).append((record, fact))
    rows = taken.facts.find({identity for _, identity in by_thing})
    for thing, tellings in by_thing.items():
        row = rows.get(thing)
        known = [] if row is None else [taken.facts.fact(row)]
        facts = [fact for _, fact in tellings]
        if not known and edge is not None and all(fact.time < edge for fact in facts):
            # An unknown thing this old cannot be told from one that has been folded.
            taken.too_late += [record for record, _ in tellings]
            continue
        fact = reduce(join, known + facts)
        if known == [fact]:
            taken.repeated += len(facts)
            continue
        taken.repeated += len(facts) - len(set(facts)) if len(facts) > 1 else 0
        taken.news.append(fact)
        taken.facts.put(fact, row)
    return taken
