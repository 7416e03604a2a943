"""Reads the metrics table through its indexes: which ones there are, what each projects, and their items page by page.

Nothing is written. Whoever needs an attribute that no index projects reads the item by its key.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from functions.aws.due_index import DUE_INDEX, DueItem, due_items
from functions.entities.attribute_values import to_attribute
from functions.model import EntityType
from ops import items
from ops.aws import UserError

__all__ = ["DUE_INDEX", "HEALTH", "LAST_UPDATED", "SCORED", "SETTINGS", "Index", "Indexes", "Row", "sorted_by"]

HEALTH: Final = "EntityTypeHealthIndex"
LAST_UPDATED: Final = "LastUpdatedIndex"
SETTINGS: Final[Mapping[str, str]] = {
    HEALTH: "entityTypeHealthIndexEnabled",
    LAST_UPDATED: "lastUpdatedIndexEnabled",
    DUE_INDEX: "dueIndexEnabled",
}
"""The setting that switches each index on."""

_SORTED_BY: Final = {HEALTH: "health_score", LAST_UPDATED: "last_updated"}
SCORED: Final = ("student", "tutor")
"""The entity types with a health_score, which alone are in `HEALTH`."""
_KEYS: Final = frozenset({"entity_id", "entity_type"})

Row = dict[str, Any]
"""An item of an index: plain values by attribute."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the deployed table."""

    name: str
    projects: frozenset[str] | None
    """The attributes that it projects; None for all."""

    def has(self, attribute: str) -> bool:
        """Whether the index projects an attribute."""
        return self.projects is None or attribute in self.projects


class Indexes:
    """The indexes of one table. They are described once, when one is first needed.

    Every method may raise ClientError and BotoCoreError.
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    @cached_property
    def _found(self) -> Mapping[str, Index]:
        described = self._dynamodb.describe_table(TableName=self._table)["Table"]
        return {index["IndexName"]: _index(index) for index in described.get("GlobalSecondaryIndexes", ())}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def get(self, name: str) -> Index:
        """Returns an index by its name.

        Raises
        ------
        UserError
            When the stack does not have it.
        """
        if name not in self._found:
            raise UserError(
                f"the table {self._table} has no {name}, which this is read from: set {SETTINGS[name]} to true and "
                "run `pulumi up`",
                1,
            )
        return self._found[name]

    def with_attribute(self, entity_type: EntityType, attribute: str) -> Index:
        """Returns an index from which an attribute of all entities of a type can be read.

        Raises
        ------
        UserError
            When there is none.
        """
        fitting = (HEALTH, LAST_UPDATED) if entity_type in SCORED else (LAST_UPDATED,)
        present = [self._found[name] for name in fitting if name in self._found]
        for index in present:
            if index.has(attribute):
                return index
        if missing := [name for name in fitting if name not in self._found]:
            settings = " or ".join(SETTINGS[name] for name in missing)
            raise UserError(
                f"{attribute} of a {entity_type} is in no index of the table {self._table}, and "
                f"{' and '.join(missing)} is switched off: set {settings} to true and run `pulumi up`",
                1,
            )
        projected = sorted(set().union(*(index.projects or () for index in present)) - _KEYS)
        raise UserError(
            f"{attribute} of a {entity_type} is not projected into {' or '.join(fitting)}, so it can be read only "
            f"entity by entity (`iops entity {entity_type} ID`); choose one of {', '.join(projected)}",
            1,
        )

    def rows(
        self,
        index: Index,
        entity_type: EntityType,
        attributes: Collection[str] | None = None,
        *,
        descending: bool = False,
        limit: int | None = None,
        firing: bool = False,
    ) -> Iterator[Row]:
        """Yields the items of a type in the index's order. A page is read when the one before is used up.

        Parameters
        ----------
        index
            `HEALTH`, sorted by health_score, or `LAST_UPDATED`.
        entity_type
            The type of the entities.
        attributes
            The attributes to read beside the key; those that the index does not project are left out. Default all.
        descending
            Begin with the greatest.
        limit
            The most items to read.
        firing
            Yield only items with an alert now firing. DynamoDB reads, and bills, the others too.
        """
        names = {"#type": "entity_type"}
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index.name,
            "KeyConditionExpression": "#type = :type",
            "ExpressionAttributeValues": {":type": to_attribute(entity_type)},
            "ScanIndexForward": not descending,
        }
        if attributes is not None:
            # Attributes get numbers for names, since region and others are reserved words of DynamoDB.
            wanted = sorted(_KEYS | {attribute for attribute in attributes if index.has(attribute)})
            names |= {f"#a{number}": name for number, name in enumerate(wanted)}
            request["ProjectionExpression"] = ", ".join(f"#a{number}" for number in range(len(wanted)))
        if firing:
            names["#alerts"] = "alerts"
            request["FilterExpression"] = "size(#alerts) > :none"
            request["ExpressionAttributeValues"][":none"] = to_attribute(0)
        if limit is not None and not firing:
            request["PaginationConfig"] = {"MaxItems": limit, "PageSize": min(limit, 1_000)}
        request["ExpressionAttributeNames"] = names
        for page in self._dynamodb.get_paginator("query").paginate(**request):
            yield from map(items.plain_values, page["Items"])

    def due(self, index_partition: int, now: int, most: int) -> Iterator[DueItem]:
        """Yields the items of a partition of the due index that are due, longest overdue first.

        Parameters
        ----------
        index_partition
            Of the due index.
        now
            Epoch seconds; items that are due later are left out.
        most
            The most items to read.
        """
        for page in due_items(self._dynamodb, self._table, index_partition, now, most):
            yield from page


def sorted_by(index: Index) -> str:
    """Returns the attribute that an index is sorted by."""
    return _SORTED_BY[index.name]


def _index(described: Mapping[str, Any]) -> Index:
    projection = described.get("Projection", {})
    if projection.get("ProjectionType") == "ALL":
        return Index(described["IndexName"], None)
    keys = {key["AttributeName"] for key in described["KeySchema"]}
    return Index(described["IndexName"], _KEYS | keys | set(projection.get("NonKeyAttributes", ())))
