"""Reads `DueIndex`: the keys of items that time alone changes, by the moment at which it does.

The roll and the operators' commands read it here and nowhere else. Nothing is written.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from functions.entities.attribute_values import from_attribute
from functions.entities.item import entity_key
from functions.model import EntityKey

DUE_INDEX: Final = "DueIndex"


class DueItem(NamedTuple):
    """An item that the roll must look at."""

    key: EntityKey
    due_at: int
    """Since when, epoch seconds."""


def due_items(
    dynamodb: Any, table: str, index_partition: int, now: int, most: int | None = None
) -> Iterator[list[DueItem]]:
    """Yield the items of one partition of the index that are due, page by page, longest overdue first.

    Parameters
    ----------
    dynamodb
        A client.
    table
        The metrics table's name.
    index_partition
        Which of the index's partitions.
    now
        Epoch seconds. Items that are due later are left out.
    most
        The most items to read; None for all.

    Raises
    ------
    ClientError, BotoCoreError
        When DynamoDB refuses or cannot be reached.
    """
    query: dict[str, Any] = {
        "TableName": table,
        "IndexName": DUE_INDEX,
        "KeyConditionExpression": "due_partition = :partition AND due_at <= :now",
        "ExpressionAttributeValues": {":partition": {"S": str(index_partition)}, ":now": {"N": str(now)}},
    }
    if most is not None:
        query["PaginationConfig"] = {"MaxItems": most}
    for page in dynamodb.get_paginator("query").paginate(**query):
        yield [DueItem(entity_key(item), from_attribute(item["due_at"])) for item in page["Items"]]
