"""What the commands read of an item, beside `functions.entities.item`: plain values, and its facts.

The only module of `ops` that knows in what form facts are stored. Nothing is read from AWS or written.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from functions.entities import fact_columns, fact_frames
from functions.entities.attribute_values import Attributes, from_attribute
from functions.entities.fact_columns import NOTHING, FactColumns, UnreadableFacts
from functions.entities.facts import RETENTION_MS, Fact
from functions.entities.item import INTERNAL, State
from functions.entities.open_facts import pack
from functions.entities.tails import Tail

Hour = fact_columns.Hour


def plain_values(attributes: Attributes) -> dict[str, Any]:
    """Returns the values of these attributes by name."""
    return {name: from_attribute(value) for name, value in attributes.items()}


def public_values(attributes: Attributes) -> dict[str, Any]:
    """Returns the values of an item's public attributes by name."""
    return plain_values({name: value for name, value in attributes.items() if name not in INTERNAL})


def parts_of(state: State) -> tuple[FactColumns, FactColumns]:
    """Returns an entity's facts as they are stored: those of the head, and those of the tail."""
    return state.facts, state.tail.facts


def facts_of(part: FactColumns, as_of: int) -> list[Fact]:
    """Returns the facts of a part that have an identity and have not expired at `as_of` (epoch ms)."""
    return [fact for fact in fact_columns.facts_of(part) if fact.last > as_of - RETENTION_MS]


def hours_of(state: State) -> list[Hour]:
    """Returns the hours into which an entity's older facts were folded and which have not expired at its `as_of`."""
    kept = state.as_of - RETENTION_MS
    return [hour for part in parts_of(state) for hour in fact_columns.hours_of(part) if hour.time > kept]


def rows_of_facts(state: State) -> pl.DataFrame:
    """Returns an entity's facts and folded hours, one row each: the columns of `windows.THINGS`."""
    return fact_frames.things([(0, part) for part in parts_of(state)])


def rows_of_stored_facts(
    items: Sequence[tuple[Attributes, Tail | None]], unreadable: tuple[type[Exception], ...]
) -> pl.DataFrame:
    """Returns the facts of many entities, one row each; leaves out those whose facts cannot be read.

    Parameters
    ----------
    items
        Each head as a scan returns it, and its tail; None for a tail that cannot be read.
    unreadable
        The errors that mean that a head's facts cannot be read.

    Returns
    -------
    pl.DataFrame
        The columns of `windows.THINGS`; `entity` is the position in `items`.
    """
    parts: list[tuple[int, FactColumns]] = []
    for position, (attributes, tail) in enumerate(items):
        if tail is None:
            continue
        try:
            recent = fact_columns.read(bytes(attributes["facts"]["B"])) if "facts" in attributes else NOTHING
        except unreadable:
            continue
        parts += [(position, part) for part in (recent, tail.facts)]
    return fact_frames.things(parts)


def facts_are_intact(state: State) -> bool:
    """Whether an entity's facts, written again, are the same bytes."""
    try:
        return all(
            pack(fact_columns.facts_of(part), fact_columns.hours_of(part)).blob == part.blob for part in parts_of(state)
        )
    except UnreadableFacts:
        return False


def damaged_facts(reason: str) -> Exception:
    """Returns the error for facts that do not fit together."""
    return UnreadableFacts(reason)
