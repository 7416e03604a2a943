"""Lists the entities that come first by a figure, and those that changed last.

Where the table has no index in that order, it is scanned, and no more entities are held than are listed.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from functions.entities.item import CALL_METRICS, SESSION_METRICS
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.model import ENTITY_TYPES, EntityType
from ops.aws import UserError
from ops.metrics_table import HEALTH, LAST_UPDATED, MetricsTable, Row

SCAN: Final = "a scan of the table"

_SUPPLY: Final = ("available_tutors", "active_students")
RANKED: Final[Mapping[EntityType, tuple[str, ...]]] = {
    "student": SESSION_METRICS + CALL_METRICS,
    "tutor": (*SESSION_METRICS, "available_hours_this_week", *TOTALS_ATTRIBUTES["tutor"]),
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

    source: str
    """What they were read from: an index's name, or `SCAN`."""
    columns: Sequence[str]
    """The attributes to show, the one that the list is sorted by first."""
    rows: Sequence[Row]
    """Each has entity_type, entity_id, and the columns that its item has."""
    read: int
    """How many entities were read for the list."""


def ranked(
    table: MetricsTable, entity_type: EntityType, attribute: str, *, ascending: bool = False, limit: int = 20
) -> Listed:
    """Lists the entities of a type with the greatest, or least, values of an attribute; equal ones by their ids.

    Where an index has that order, its order is kept and no more is read than is listed.

    Raises
    ------
    UserError
        When such entities do not have the figure; and as `MetricsTable.in_order` does.
    """
    if attribute not in RANKED[entity_type]:
        raise UserError(
            f"a {entity_type} has no figure {attribute!r}: choose one of {', '.join(RANKED[entity_type])}", 2
        )
    columns = (attribute, *(name for name in _SHOWN[entity_type] if name != attribute), *_ALWAYS)
    if attribute == "health_score" and HEALTH in table.indexes:
        rows = list(table.in_order(HEALTH, entity_type, columns, descending=not ascending, limit=limit))
        return Listed(HEALTH, columns, rows, len(rows))
    sign = 1 if ascending else -1

    def order(row: Row) -> tuple[Any, ...]:
        return sign * row[attribute], row["entity_id"]

    return _scanned(table, entity_type, columns, lambda rows: heapq.nsmallest(limit, rows, key=order))


def recent(table: MetricsTable, entity_type: EntityType | None, *, limit: int = 20) -> Listed:
    """Lists the entities of a type, or of all for None, that changed last, the newest first.

    Raises
    ------
    UserError
        As `MetricsTable.in_order` does.
    """
    columns = ("last_updated", *(_SHOWN[entity_type] if entity_type else _SHOWN_OF_ALL), "alerts")

    def newest(rows: Iterable[Row]) -> list[Row]:
        return heapq.nlargest(limit, rows, key=lambda row: row["last_updated"])

    if LAST_UPDATED not in table.indexes:
        return _scanned(table, entity_type, columns, newest)
    rows = [
        row
        for kind in ([entity_type] if entity_type else ENTITY_TYPES)
        for row in table.in_order(LAST_UPDATED, kind, columns, descending=True, limit=limit)
    ]
    return Listed(LAST_UPDATED, columns, newest(rows), len(rows))


def _scanned(
    table: MetricsTable,
    entity_type: EntityType | None,
    columns: Sequence[str],
    choose: Callable[[Iterable[Row]], list[Row]],
) -> Listed:
    """Lists what `choose` takes of the entities that have the first of these columns."""
    read = 0

    def rows() -> Iterator[Row]:
        nonlocal read
        for row in table.scan(entity_type, columns):
            read += 1
            if columns[0] in row:
                yield row

    chosen = choose(rows())
    return Listed(SCAN, columns, chosen, read)
