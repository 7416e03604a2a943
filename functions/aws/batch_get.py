"""BatchGetItem of one table: consistent reads of up to 100 keys, repeated for keys that DynamoDB has not processed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.aws.retry import attempts
from functions.entities.attribute_values import Attributes

KEYS_A_CALL: Final = 100
_ATTEMPTS: Final = 6


@dataclass(slots=True)
class Got:
    """What a read brought."""

    items: list[Attributes] = field(default_factory=list)
    unread: list[Attributes] = field(default_factory=list)
    """Keys for which there is no answer."""
    reason: str = ""
    """Why."""


def batch_get(table: str, keys: Sequence[Attributes], deadline: Deadline) -> Got:
    """Read up to `KEYS_A_CALL` items by their keys. Those that do not exist are in neither list."""
    got = Got(unread=list(keys), reason=f"{table} did not answer in time")
    for _ in attempts(_ATTEMPTS, deadline):
        try:
            answer = client("dynamodb").batch_get_item(
                RequestItems={table: {"Keys": got.unread, "ConsistentRead": True}}
            )
        except (ClientError, BotoCoreError) as error:
            got.reason = f"reading from {table}: {error}"
            return got
        got.items += answer["Responses"].get(table, [])
        got.unread = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        if not got.unread:
            break
    return got
