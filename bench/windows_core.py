"""The processor's core from decoded facts to metrics and stored form, for what measures the core without AWS.

The one place in the benchmark that knows how absorb, fact_columns and windows are called.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from functions.entities import fact_frames
from functions.entities.absorb import Stored, absorb
from functions.entities.fact_columns import NOTHING
from functions.entities.facts import Fact, told
from functions.entities.tails import NO_TAIL, Head
from functions.entities.windows import STANDING, measure, run

COLUMNS: Final = (
    "sessions_7d",
    "sessions_14d",
    "sessions_30d",
    "ib_calls_7d",
    "ib_calls_14d",
    "avg_rating",
    "ratings_30d",
)
"""What `measured` gives of each entity."""

_NOTHING_STANDS: Final = [
    pl.lit(0 if name == "high_demand" else None, dtype).alias(name)
    for name, dtype in STANDING.items()
    if name != "as_of"
]

Said = tuple[int, Fact]
"""An entity and what an event tells of it."""


def said(entity: int, kind: int, identity: int, time: int, rating: int | None) -> Said:
    """What one event tells of one thing of an entity."""
    return entity, told(kind, identity, time, rating=rating)


NO_FACTS: Final = Stored(NOTHING, NO_TAIL)
"""What is stored of an entity at first."""
_HEAD: Final = Head({"a": {"S": "x" * 499}}, writes=10)
"""Of each entity, so that facts move to its tail now and then."""


def measured(
    stored: Sequence[Stored], arriving: Mapping[int, Sequence[tuple[int, Fact]]], as_of: int
) -> tuple[list[Stored], list[tuple[Any, ...]]]:
    """Facts merged into the stored ones of these entities: what is then stored, and a row of `COLUMNS` of each."""
    merged = absorb(stored, arriving, [as_of] * len(stored), [_HEAD] * len(stored))
    if merged.unreadable or any(facts.tail.folded_before for facts in merged.facts):
        raise RuntimeError("an entity was folded or could not be read: what is compared must be exact")
    parts = [(entity, part) for entity, (recent, tail) in enumerate(merged.facts) for part in (recent, tail.facts)]
    things = fact_frames.things(parts)
    return merged.facts, run(measure(things, standing(as_of, len(stored))).select(COLUMNS)).rows()


class Kept:
    """Facts of many entities in their stored form, as they would be in the table."""

    def __init__(self) -> None:
        self._stored: dict[int, Stored] = {}

    def take(self, given: Iterable[Said], as_of: int) -> tuple[list[int], list[tuple[Any, ...]]]:
        """The entities named, and a row of `COLUMNS` of each."""
        positions: dict[int, int] = {}
        arriving: dict[int, list[tuple[int, Fact]]] = defaultdict(list)
        for record, (entity, fact) in enumerate(given):
            arriving[positions.setdefault(entity, len(positions))].append((record, fact))
        entities = list(positions)
        facts, rows = measured([self._stored.get(each, NO_FACTS) for each in entities], arriving, as_of)
        self._stored.update(zip(entities, facts, strict=True))
        return entities, rows


def standing(as_of: int, entities: int) -> pl.DataFrame:
    """That no entity has reports or registers."""
    return pl.select(pl.repeat(as_of, entities, dtype=pl.Int64).alias("as_of"), *_NOTHING_STANDS)
