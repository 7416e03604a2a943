"""Folding: the oldest facts of an entity that has too many become one row an hour and kind, without identities.

It bounds an item's size (contract section 5: under 100 KB). Counts stay exact but for the hour at a window's edge.
Pure.
"""

from typing import Final

from functions.entities.fact_columns import FactColumns, Hour, facts_of, hours_of, name_bytes
from functions.entities.open_facts import OpenFacts
from functions.model import HOUR_MS

MOST_ROWS: Final = 1_000
"""Above this many rows an entity's oldest are folded ..."""
ROWS_AFTER_FOLD: Final = 700
"""... until this many are left."""
MOST_BYTES: Final = 48_000
"""Above this many bytes of rows and of the names that they refer to they are folded too ..."""
BYTES_AFTER_FOLD: Final = 33_600
"""... until this many are left."""


def is_too_much(stored: FactColumns) -> bool:
    """Whether an entity's facts must be folded. `absorb` asks after it has taken in what arrived."""
    return stored.facts.rows > MOST_ROWS or stored.fact_bytes > MOST_BYTES


def fold(stored: FactColumns) -> tuple[FactColumns, int]:
    """Folds the oldest facts of an entity that has too many.

    Returns
    -------
    tuple
        What is left, and the edge (epoch ms): facts whose latest event is before it have been folded, now or earlier.

    The edge is between latest events, so that no event of a folded thing, delivered again, looks like a new thing.
    It does not part facts of the same millisecond: where they straddle it they stay, unless too many would stay.

    Raises
    ------
    UnreadableFacts
        When a fact refers to a missing name.
    """
    facts = list(facts_of(stored))
    size = edge = 0
    crowded = False
    names_bytes = sum(map(name_bytes, stored.subjects + stored.tutors))
    fact_bytes = -(-(stored.fact_bytes - names_bytes) // stored.facts.rows)
    named: set[tuple[str, str | None]] = {("subject", None), ("tutor", None)}
    # From the newest to the oldest: a name is stored once, so its newest fact pays for it.
    newest_first = sorted(facts, key=lambda fact: (fact.last, fact.kind, fact.id), reverse=True)
    for rows, fact in enumerate(newest_first, 1):
        size += fact_bytes
        for name in (("subject", fact.subject), ("tutor", fact.tutor)):
            if name not in named:
                named.add(name)
                size += name_bytes(name[1] or "")
        if rows <= ROWS_AFTER_FOLD and size <= BYTES_AFTER_FOLD:
            edge = fact.last
        elif rows > MOST_ROWS or size > MOST_BYTES:
            crowded = crowded or fact.last >= edge
    edge += crowded
    sums = {(hour.time, hour.kind): [hour.weight, hour.rating_sum, hour.rating_count] for hour in hours_of(stored)}
    for fact in facts:
        if fact.last < edge:
            sum_ = sums.setdefault((fact.time // HOUR_MS * HOUR_MS, fact.kind), [0, 0, 0])
            sum_[0] += 1
            if fact.rating is not None:
                sum_[1] += fact.rating
                sum_[2] += 1
    folded = OpenFacts(stored)
    folded.drop(edge - 1)
    folded.put_hours(Hour(time, kind, *sum_) for (time, kind), sum_ in sums.items())
    return folded.close(), edge
