"""What the commands read of an item, beside `functions.entities.item`: plain values, and its facts.

The only module of `ops` that knows in what form facts are stored. Nothing is read from AWS or written.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from functions.entities import fact_columns, fact_frames
from functions.entities.attribute_values import Attributes, from_attribute
from functions.entities.fact_columns import UnreadableFacts
from functions.entities.facts import Fact
from functions.entities.item import INTERNAL, State
from functions.entities.open_facts import pack

Hour = fact_columns.Hour


def plain_values(attributes: Attributes) -> dict[str, Any]:
    """Returns the values of these attributes by name."""
    return {name: from_attribute(value) for name, value in attributes.items()}


def public_values(attributes: Attributes) -> dict[str, Any]:
    """Returns the values of an item's public attributes by name."""
    return plain_values({name: value for name, value in attributes.items() if name not in INTERNAL})


def facts_of(state: State) -> list[Fact]:
    """Returns an item's facts that have an identity."""
    return list(fact_columns.facts_of(state.facts))


def hours_of(state: State) -> list[Hour]:
    """Returns the hours into which an item's older facts were folded."""
    return list(fact_columns.hours_of(state.facts))


def rows_of_facts(state: State) -> pl.DataFrame:
    """Returns an item's facts and folded hours, one row each: the columns of `windows.THINGS`."""
    return fact_frames.things([state.facts])


def rows_of_stored_facts(items: Sequence[Attributes], unreadable: tuple[type[Exception], ...]) -> pl.DataFrame:
    """Returns the facts of many items, one row each; leaves out items without facts and those that cannot be read.

    Parameters
    ----------
    items
        As a scan returns them.
    unreadable
        The errors that mean that an item's facts cannot be read.

    Returns
    -------
    pl.DataFrame
        The columns of `windows.THINGS`; `entity` is the item's position.
    """
    positions, stored = [], []
    for position, attributes in enumerate(items):
        if "facts" not in attributes:
            continue
        try:
            stored.append(fact_columns.read(bytes(attributes["facts"]["B"])))
        except unreadable:
            continue
        positions.append(position)
    rows = fact_frames.things(stored)
    return rows.with_columns(entity=pl.Series(positions, dtype=rows.schema["entity"]).gather(rows["entity"]))


def facts_are_intact(state: State) -> bool:
    """Whether an item's facts, written again, are the same bytes."""
    try:
        again = pack(fact_columns.facts_of(state.facts), fact_columns.hours_of(state.facts))
    except UnreadableFacts:
        return False
    return again.blob == state.facts.blob


def damaged_facts(reason: str) -> Exception:
    """Returns the error for facts that do not fit together."""
    return UnreadableFacts(reason)
