"""Reads the metrics table for the commands: entities in the order of an index, or all of them by a scan.

Nothing is written. Reads are eventually consistent: what was written within the last second may not be there yet.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Final

from functions.aws.parallel import chunks
from functions.aws.retry import back_off
from functions.entities.attribute_values import to_attribute
from functions.entities.item import entity_key, key_attributes
from functions.model import EntityKey, EntityType
from ops import items
from ops.aws import SERVICE, UserError

HEALTH: Final = "EntityTypeHealthIndex"
"""Sorted by health_score, which only students and tutors have."""
LAST_UPDATED: Final = "LastUpdatedIndex"
"""Sorted by last_updated."""

_KEYS_A_PAGE: Final = 1_000
_KEYS_A_READ: Final = 100  # BatchGetItem
_READS: Final = 8

Row = dict[str, Any]
"""An entity: plain values by attribute, its key among them."""


class MetricsTable:
    """The metrics table under its name. Whatever reads it may raise ClientError and BotoCoreError."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        self._dynamodb, self._name = dynamodb, name

    @cached_property
    def indexes(self) -> frozenset[str]:
        """The names of the table's indexes that can be read; one that DynamoDB still fills cannot."""
        described = self._dynamodb.describe_table(TableName=self._name)["Table"]
        return frozenset(
            index["IndexName"]
            for index in described.get("GlobalSecondaryIndexes", ())
            if index.get("IndexStatus", "ACTIVE") in ("ACTIVE", "UPDATING")
        )

    def keys(
        self, index: str, entity_type: EntityType, *, descending: bool = False, page_size: int = _KEYS_A_PAGE
    ) -> Iterator[Sequence[EntityKey]]:
        """Yields the keys of a type's entities in an index's order. A page is read when the one before is used up.

        Parameters
        ----------
        index
            `HEALTH` or `LAST_UPDATED`; the table must have it.
        entity_type
            The type of the entities.
        descending
            Begin with the greatest.
        page_size
            The most keys of a page.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._name,
            IndexName=index,
            KeyConditionExpression="entity_type = :type",
            ExpressionAttributeValues={":type": to_attribute(entity_type)},
            ProjectionExpression="entity_type, entity_id",
            ScanIndexForward=not descending,
            PaginationConfig={"PageSize": page_size},
        )
        for page in pages:
            yield [entity_key(attributes) for attributes in page["Items"]]

    def in_order(
        self,
        index: str,
        entity_type: EntityType,
        attributes: Collection[str],
        *,
        descending: bool = False,
        limit: int,
    ) -> Iterator[Row]:
        """Yields a type's entities in an index's order, each once.

        The index gives the keys, and the items are read by them; those that are gone by then are left out.

        Parameters
        ----------
        index, entity_type, descending
            As for `keys`.
        attributes
            The attributes to read beside the key.
        limit
            The most entities.

        Raises
        ------
        UserError
            When DynamoDB leaves items out of its answers again and again.
        """
        pages = self.keys(index, entity_type, descending=descending, page_size=min(limit, _KEYS_A_PAGE))
        return islice(self._items(pages, attributes), limit)

    def _items(self, pages: Iterator[Sequence[EntityKey]], attributes: Collection[str]) -> Iterator[Row]:
        seen: set[EntityKey] = set()
        for page in pages:
            # An item whose place changes while the index is read may be met twice.
            new = [key for key in dict.fromkeys(page) if key not in seen]
            seen.update(new)
            for part in chunks(new, _KEYS_A_READ):
                found = self._read(part, attributes)
                yield from (found[key] for key in part if key in found)

    def _read(self, keys: Sequence[EntityKey], attributes: Collection[str]) -> Mapping[EntityKey, Row]:
        """Reads up to `_KEYS_A_READ` items; those that are not there are left out."""
        found: dict[EntityKey, Row] = {}
        wanted = [key_attributes(key) for key in keys]
        for attempt in range(_READS):
            if attempt:
                back_off(attempt)
            answer = self._dynamodb.batch_get_item(
                RequestItems={self._name: {"Keys": wanted, **_projection(attributes)}}
            )
            for item in answer["Responses"].get(self._name, ()):
                found[entity_key(item)] = items.plain_values(item)
            wanted = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            if not wanted:
                return found
        raise UserError(
            f"AWS throttles BatchGetItem on the table {self._name}: wait a minute, then run the same command again",
            SERVICE,
        )

    def scan(
        self, entity_type: EntityType | None, attributes: Collection[str], *, firing: bool = False
    ) -> Iterator[Row]:
        """Yields entities in no order. DynamoDB reads, and bills, the whole table, whatever is left out here.

        Parameters
        ----------
        entity_type
            The type of the entities; None for all.
        attributes
            The attributes to read beside the key.
        firing
            Yield only entities with an alert now firing.
        """
        conditions, values = [], {}
        if entity_type is not None:
            conditions.append("entity_type = :type")
            values[":type"] = to_attribute(entity_type)
        if firing:
            conditions.append("attribute_exists(alerts) AND size(alerts) > :none")
            values[":none"] = to_attribute(0)
        request: dict[str, Any] = {"TableName": self._name, **_projection(attributes)}
        if conditions:
            request |= {"FilterExpression": " AND ".join(conditions), "ExpressionAttributeValues": values}
        for page in self._dynamodb.get_paginator("scan").paginate(**request):
            yield from map(items.plain_values, page["Items"])


def _projection(attributes: Collection[str]) -> dict[str, Any]:
    """Returns the arguments of a read of these attributes and the key."""
    # Attributes get numbers for names, since region and others are reserved words of DynamoDB.
    names = {f"#a{number}": name for number, name in enumerate(sorted({"entity_id", "entity_type", *attributes}))}
    return {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
