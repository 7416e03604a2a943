"""Lists the entities that come first by a figure, and those that changed last.

Reads the table's indexes, never its items.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from functions.entities.item import CALL_METRICS, SESSION_METRICS
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.model import EntityType
from ops import table_indexes
from ops.aws import UserError
from ops.table_indexes import Indexes, Row

_SUPPLY: Final = ("available_tutors", "active_students")
RANKED: Final[Mapping[EntityType, tuple[str, ...]]] = {
    "student": SESSION_METRICS + CALL_METRICS,
    "tutor": SESSION_METRICS + TOTALS_ATTRIBUTES["tutor"],
    "subject": (*_SUPPLY, "demand_score", "supply_score", *TOTALS_ATTRIBUTES["subject"]),
    "region": (*_SUPPLY, "high_demand_subjects"),
}
"""The attributes that are numbers, by entity type."""

_SHOWN: Final[Mapping[EntityType, tuple[str, ...]]] = {
    "student": ("sessions_7d", "sessions_14d", "sessions_30d", "ib_calls_14d", "avg_rating", "health_score"),
    "tutor": ("sessions_7d", "sessions_14d", "sessions_30d", "session_velocity", "avg_rating", "ratings_30d"),
    "subject": ("region", *_SUPPLY, "demand_score", "supply_score", "balance_status", "sessions_7d"),
    "region": (*_SUPPLY, "high_demand_subjects"),
}
_SHOWN_OF_ALL: Final = ("sessions_7d", "ib_calls_14d", "health_score", *_SUPPLY, "balance_status")
_ALWAYS: Final = ("alerts", "last_updated")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of entities."""

    index: str
    """The index that they were read from."""
    columns: Sequence[str]
    """The attributes to show, the one that the list is sorted by first."""
    rows: Sequence[Row]
    """Each has entity_type, entity_id, and the columns that its item has."""
    read: int
    """How many entities were read for the list."""


def ranked(
    indexes: Indexes, entity_type: EntityType, attribute: str, *, ascending: bool = False, limit: int = 20
) -> Listed:
    """Lists the entities of a type with the greatest, or least, values of an attribute; equal ones by their ids.

    An index is sorted by health_score, so no more is read than is listed. For other attributes the whole type is read.

    Raises
    ------
    UserError
        When such entities do not have the figure, or no index projects it.
    """
    if attribute not in RANKED[entity_type]:
        raise UserError(
            f"a {entity_type} has no figure {attribute!r}: choose one of {', '.join(RANKED[entity_type])}", 2
        )
    index = indexes.with_attribute(entity_type, attribute)
    columns = (attribute, *(name for name in _SHOWN[entity_type] if name != attribute), *_ALWAYS)
    if table_indexes.sorted_by(index) == attribute:
        rows = list(indexes.rows(index, entity_type, columns, descending=not ascending, limit=limit))
        return Listed(index.name, columns, rows, len(rows))
    read = 0

    def rows_with_the_attribute() -> Iterator[Row]:
        nonlocal read
        for row in indexes.rows(index, entity_type, columns):
            read += 1
            if attribute in row:
                yield row

    sign = 1 if ascending else -1
    best = heapq.nsmallest(limit, rows_with_the_attribute(), key=lambda row: (sign * row[attribute], row["entity_id"]))
    return Listed(index.name, columns, best, read)


def recent(indexes: Indexes, entity_types: Sequence[EntityType], *, limit: int = 20) -> Listed:
    """Lists the entities that changed last, the newest first.

    Raises
    ------
    UserError
        When the stack does not have the index.
    """
    index = indexes.get(table_indexes.LAST_UPDATED)
    shown = _SHOWN[entity_types[0]] if len(entity_types) == 1 else _SHOWN_OF_ALL
    columns = ("last_updated", *shown, "alerts")
    rows = [
        row
        for entity_type in entity_types
        for row in indexes.rows(index, entity_type, columns, descending=True, limit=limit)
    ]
    rows.sort(key=lambda row: row["last_updated"], reverse=True)
    return Listed(index.name, columns, rows[:limit], len(rows))
