"""Folding: the oldest facts of an entity that has too many become one row an hour and kind, without identities.

It bounds an item's size (contract section 5: under 100 KB). Counts stay exact but for the hour at a window's edge.
Pure.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from functions.entities.facts import Fact
from functions.entities.packing import HEADER_BYTES, NARROW_BYTES, WIDE_BYTES, Hour, Packed, is_plain, name_bytes
from functions.model import HOUR_MS

MOST_ROWS: Final = 1_000
"""Above this many rows an entity's oldest are folded ..."""
ROWS_AFTER_FOLD: Final = 700
"""... until this many are left."""
MOST_BYTES: Final = 48_000
"""Above this many bytes of rows and of the names that they refer to they are folded too ..."""
BYTES_AFTER_FOLD: Final = 33_600
"""... until this many are left."""


class Folded(NamedTuple):
    """What folding has left."""

    facts: Collection[Fact]
    hours: Collection[Hour]
    edge: int | None
    """What was told of last before it (epoch ms) has been folded, now or earlier; None when nothing was folded now."""


def is_too_much(packed: Packed) -> bool:
    """Whether these facts are to be folded."""
    rows = len(packed.narrow) // NARROW_BYTES + len(packed.wide) // WIDE_BYTES
    return rows > MOST_ROWS or len(packed.blob) - HEADER_BYTES - len(packed.folded) > MOST_BYTES


def fold(facts: Collection[Fact], hours: Collection[Hour]) -> Folded:
    """Folds what is too much of an entity's facts.

    The edge is between latest events, so that no event of a folded thing, delivered again, looks like a new thing.
    Things of the same millisecond are never parted by it: where they straddle it they stay, unless that would leave
    too many.
    """
    # From the newest to the oldest: a name is stored once, so its newest row pays for it.
    newest_first = sorted(facts, key=lambda fact: (fact.last, fact.kind, fact.id), reverse=True)
    size = edge = 0
    too_much = crowded = False
    named: set[tuple[str, str | None]] = {("subject", None), ("tutor", None)}
    for rows, fact in enumerate(newest_first, 1):
        size += NARROW_BYTES if is_plain(fact) else WIDE_BYTES
        for name in (("subject", fact.subject), ("tutor", fact.tutor)):
            if name not in named:
                named.add(name)
                size += name_bytes(name[1])
        if rows <= ROWS_AFTER_FOLD and size <= BYTES_AFTER_FOLD:
            edge = fact.last
        elif rows > MOST_ROWS or size > MOST_BYTES:
            too_much = True
            crowded = crowded or fact.last >= edge
    if not too_much:
        return Folded(facts, hours, None)
    edge += crowded
    sums = {(hour.time, hour.kind): [hour.weight, hour.rating_sum, hour.rating_count] for hour in hours}
    for fact in facts:
        if fact.last < edge:
            into = sums.setdefault((fact.time // HOUR_MS * HOUR_MS, fact.kind), [0, 0, 0])
            into[0] += 1
            if fact.rating is not None:
                into[1] += fact.rating
                into[2] += 1
    kept = [fact for fact in facts if fact.last >= edge]
    return Folded(kept, [Hour(time, kind, *sum_) for (time, kind), sum_ in sums.items()], edge)
