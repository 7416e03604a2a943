"""The entities that come first by a figure, and those that changed last: what lists are made of.

Reads the table's indexes; computes nothing that is not in them.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from functions.entities.item import CALL_METRICS, SESSION_METRICS
from functions.entities.totals import FIGURES
from functions.model import EntityType
from ops import table_indexes
from ops.aws import UserError
from ops.table_indexes import Indexes, Row

_SUPPLY: Final = ("available_tutors", "active_students")
RANKED: Final[Mapping[EntityType, tuple[str, ...]]] = {
    "student": SESSION_METRICS + CALL_METRICS,
    "tutor": SESSION_METRICS + FIGURES["tutor"],
    "subject": (*_SUPPLY, "demand_score", "supply_score", *FIGURES["subject"]),
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
    """Entities in an order."""

    index: str
    """What they were read from."""
    columns: Sequence[str]
    """The attributes that lists show, the one that they are sorted by first."""
    rows: Sequence[Row]
    """Each with entity_type, entity_id and those of the columns that it has."""
    read: int
    """How many entities were looked at for it."""


def ranked(
    indexes: Indexes, entity_type: EntityType, attribute: str, *, ascending: bool = False, limit: int = 20
) -> Listed:
    """The entities of a type with the greatest, or least, values of an attribute; equals in the order of their ids.

    By health_score no more is read than is listed, since an index is sorted by it; by others the whole type is read.

    Raises
    ------
    UserError
        When such entities have no such figure, or no index has it.
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

    def having() -> Iterator[Row]:
        nonlocal read
        for row in indexes.rows(index, entity_type, columns):
            read += 1
            if attribute in row:
                yield row

    sign = 1 if ascending else -1
    best = heapq.nsmallest(limit, having(), key=lambda row: (sign * row[attribute], row["entity_id"]))
    return Listed(index.name, columns, best, read)


def recent(indexes: Indexes, entity_types: Sequence[EntityType], *, limit: int = 20) -> Listed:
    """The entities that changed last, the newest first.

    Raises
    ------
    UserError
        When the index is switched off.
    """
    index = indexes.get(table_indexes.LAST_UPDATED)
    shown = _SHOWN[entity_types[0]] if len(entity_types) == 1 else _SHOWN_OF_ALL
    columns = ("last_updated", *shown, "alerts")
    found = [
        row
        for entity_type in entity_types
        for row in indexes.rows(index, entity_type, columns, descending=True, limit=limit)
    ]
    found.sort(key=lambda row: row["last_updated"], reverse=True)
    return Listed(index.name, columns, found[:limit], len(found))
