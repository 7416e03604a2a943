"""Reads the table through its indexes: which there are, what each projects, and their items page by page.

Nothing is written, and no item is read as a whole: what an index does not project is read by key, elsewhere.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from functions.entities.item import from_attribute, to_attribute
from functions.model import EntityType
from functions.processor.roll import DUE_INDEX
from ops.aws import UserError

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
"""The entity types that have a health_score, so that they are in `HEALTH`."""
_KEYS: Final = frozenset({"entity_id", "entity_type"})

Row = dict[str, Any]
"""An index's item: plain values by attribute."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index as it is in the account."""

    name: str
    projects: frozenset[str] | None
    """The attributes in it; None for all."""

    def has(self, attribute: str) -> bool:
        """Whether an attribute can be read from it."""
        return self.projects is None or attribute in self.projects


class Indexes:
    """The indexes of one table, which is asked for them when they are needed.

    Whatever is asked of them may raise ClientError and BotoCoreError.
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    @cached_property
    def _found(self) -> Mapping[str, Index]:
        described = self._dynamodb.describe_table(TableName=self._table)["Table"]
        return {made["IndexName"]: _index(made) for made in described.get("GlobalSecondaryIndexes", ())}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def get(self, name: str) -> Index:
        """An index.

        Raises
        ------
        UserError
            When it is switched off in the stack.
        """
        if name not in self._found:
            raise UserError(
                f"the table {self._table} has no {name}, which this is read from: set {SETTINGS[name]} to true and "
                "run `pulumi up`",
                1,
            )
        return self._found[name]

    def with_attribute(self, entity_type: EntityType, attribute: str) -> Index:
        """An index from which an attribute of all entities of a type can be read.

        Raises
        ------
        UserError
            When there is none.
        """
        fitting = (HEALTH, LAST_UPDATED) if entity_type in SCORED else (LAST_UPDATED,)
        there = [self._found[name] for name in fitting if name in self._found]
        for index in there:
            if index.has(attribute):
                return index
        if missing := [name for name in fitting if name not in self._found]:
            settings = " or ".join(SETTINGS[name] for name in missing)
            raise UserError(
                f"{attribute} of a {entity_type} is in no index of the table {self._table}, and "
                f"{' and '.join(missing)} is switched off: set {settings} to true and run `pulumi up`",
                1,
            )
        projected = sorted(set().union(*(index.projects or () for index in there)) - _KEYS)
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
        """The items of a type in the index's order; a page is read when the one before is used up.

        Parameters
        ----------
        index
            `HEALTH`, sorted by health_score, or `LAST_UPDATED`.
        entity_type
            Whose.
        attributes
            Which, beside the key; those that the index does not project are left out. Default all that it has.
        descending
            From the greatest on.
        limit
            At most so many, so that no more is read than is wanted.
        firing
            Only those with an alert now firing; DynamoDB reads, and bills, the others too.
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
            # Named by number: region and others are words of DynamoDB's own.
            wanted = sorted(_KEYS | {each for each in attributes if index.has(each)})
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
            for item in page["Items"]:
                yield {name: from_attribute(value) for name, value in item.items()}


def sorted_by(index: Index) -> str:
    """The attribute that an index is sorted by."""
    return _SORTED_BY[index.name]


def _index(described: Mapping[str, Any]) -> Index:
    projection = described.get("Projection", {})
    if projection.get("ProjectionType") == "ALL":
        return Index(described["IndexName"], None)
    keys = {each["AttributeName"] for each in described["KeySchema"]}
    return Index(described["IndexName"], _KEYS | keys | set(projection.get("NonKeyAttributes", ())))
