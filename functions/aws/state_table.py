"""The internal table: reads tails; writes, reads and deletes wakes. Readers of metrics have no access to it.

It decides nothing about their content.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.batch_get import KEYS_A_CALL, batch_get
from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.aws.parallel import chunks, in_parallel
from functions.aws.retry import attempts
from functions.entities import tails, wakes
from functions.entities.attribute_values import Attributes, to_attribute
from functions.entities.item import UNREADABLE
from functions.entities.tails import Tail
from functions.entities.wakes import Wake
from functions.model import EntityKey

_REQUESTS_A_WRITE: Final = 25  # BatchWriteItem
_ATTEMPTS: Final = 6
_LANES_KEY: Final = {"pk": to_attribute("lanes"), "sk": to_attribute("most")}
"""The item that keeps how many lanes were ever in use."""


@dataclass(slots=True)
class Tails:
    """What a read of tails brought."""

    tails: dict[EntityKey, Tail] = field(default_factory=dict)
    unreadable: dict[EntityKey, str] = field(default_factory=dict)
    """Entities whose tails are damaged, with what is wrong."""
    failed: dict[EntityKey, str] = field(default_factory=dict)
    """Entities whose tails could not be read, with the reason."""


class StateTable:
    """The table under its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_tails(self, keys: Sequence[EntityKey], deadline: Deadline) -> Tails:
        """Read the tails of these entities consistently. Entities without one are in neither part of the answer."""
        read = Tails()
        wanted = [tails.tail_key(key) for key in keys]
        for got in in_parallel(lambda chunk: batch_get(self._name, chunk, deadline), chunks(wanted, KEYS_A_CALL)):
            for attributes in got.items:
                key = tails.entity_of(attributes)
                try:
                    read.tails[key] = tails.parse_tail(attributes)
                except UNREADABLE as error:
                    read.unreadable[key] = f"the stored tail is not readable and is left as it is: {error!r}"
            read.failed |= {tails.entity_of(key): got.reason for key in got.unread}
        return read

    def put_of_tail(self, key: EntityKey, tail: Tail) -> dict[str, Any]:
        """Return the action of a transaction that writes a tail. The version of its item guards it."""
        return {"Put": {"TableName": self._name, "Item": tails.tail_attributes(key, tail)}}

    def put_wakes(self, new: Sequence[Wake], deadline: Deadline) -> dict[Wake, str]:
        """Write wakes. Return those that could not be written, with the reason."""
        return self._batch_write(new, [{"PutRequest": {"Item": wakes.attributes_of(wake)}} for wake in new], deadline)

    def delete_wakes(self, old: Sequence[Wake], deadline: Deadline) -> dict[Wake, str]:
        """Delete wakes. Return those that may still be there, with the reason."""
        return self._batch_write(old, [{"DeleteRequest": {"Key": wakes.key_of(wake)}} for wake in old], deadline)

    def _batch_write(
        self, which: Sequence[Wake], requests: Sequence[dict[str, Any]], deadline: Deadline
    ) -> dict[Wake, str]:
        numbered = list(zip(which, requests, strict=True))
        failed: dict[Wake, str] = {}
        for part in in_parallel(lambda chunk: self._write(chunk, deadline), chunks(numbered, _REQUESTS_A_WRITE)):
            failed |= part
        return failed

    def _write(self, numbered: Sequence[tuple[Wake, dict[str, Any]]], deadline: Deadline) -> dict[Wake, str]:
        pending = [request for _, request in numbered]
        for _ in attempts(_ATTEMPTS, deadline):
            try:
                answer = client("dynamodb").batch_write_item(RequestItems={self._name: pending})
            except (ClientError, BotoCoreError) as error:
                return _of(pending, numbered, f"writing to {self._name}: {error}")
            pending = answer.get("UnprocessedItems", {}).get(self._name, [])
            if not pending:
                return {}
        return _of(pending, numbered, f"{self._name} did not take the write in time")

    def due_wakes(self, lane: int, now: int) -> Iterator[Attributes]:
        """Yield the stored wakes of a lane that are due at `now` (epoch seconds), oldest first.

        Raises
        ------
        ClientError, BotoCoreError
            When DynamoDB refuses or cannot be reached.
        """
        pages = (
            client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=self._name,
                KeyConditionExpression="pk = :lane AND sk < :after",
                ExpressionAttributeValues={
                    ":lane": to_attribute(wakes.lane_key(lane)),
                    ":after": to_attribute(wakes.first_after(now)),
                },
            )
        )
        for page in pages:
            yield from page["Items"]

    def lanes_ever(self, lanes: int) -> int:
        """Return how many lanes were ever in use, `lanes` among them.

        The number is kept, so that the wakes in a lane are read even after the setting was lowered.

        Raises
        ------
        ClientError, BotoCoreError
            When DynamoDB refuses or cannot be reached.
        """
        dynamodb = client("dynamodb")
        item = dynamodb.get_item(TableName=self._name, Key=_LANES_KEY, ConsistentRead=True).get("Item")
        most = int(item["lanes"]["N"]) if item else 0
        if lanes > most:
            dynamodb.put_item(TableName=self._name, Item=_LANES_KEY | {"lanes": to_attribute(lanes)})
        return max(lanes, most)


def _of(
    pending: Sequence[dict[str, Any]], numbered: Sequence[tuple[Wake, dict[str, Any]]], reason: str
) -> dict[Wake, str]:
    """Return the wakes of the requests that are pending, with the reason.

    DynamoDB may give a request back in another form, such as its numbers; its key is the same.
    """
    left = set(map(_key_of_request, pending))
    return {wake: reason for wake, request in numbered if _key_of_request(request) in left}


def _key_of_request(request: dict[str, Any]) -> tuple[str, str]:
    ((_, content),) = request.items()
    key = content.get("Item") or content["Key"]
    return key["pk"]["S"], key["sk"]["S"]
