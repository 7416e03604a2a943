"""Makes the AWS calls of a batch once more and nothing else: what they cost is the AWS client's share of a batch.

It runs in a worker, through the very clients that the processor uses, side by side as the processor makes them.
"""

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import groupby
from typing import Any, Final

from functions.aws.clients import client
from functions.aws.parallel import PARALLEL_CALLS

_SERVICES: Final = {
    "BatchGetItem": "dynamodb",
    "BatchExecuteStatement": "dynamodb",
    "PutEvents": "events",
    "PutObject": "s3",
}
_prepared: list[list[Callable[[], Any]]] = []


def lambda_handler(event: dict[str, Any], context: Any) -> None:  # noqa: ARG001 - as a worker calls it
    """With `calls`, gets them ready; without, makes them: those of one operation in a row side by side."""
    if "calls" in event:
        parts = groupby(event["calls"], key=lambda call: call[0])
        _prepared[:] = [[_call(*call) for call in calls] for _, calls in parts]
        return
    for together in _prepared:
        if len(together) == 1:
            together[0]()
        else:
            list(_pool().map(lambda call: call(), together))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PARALLEL_CALLS)


def _call(operation: str, path: str, body: str) -> Callable[[], Any]:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()
    method = getattr(client(_SERVICES[operation]), name)
    if operation == "PutObject":
        _, bucket, key = path.partition("?")[0].split("/", 2)
        return partial(method, Bucket=bucket, Key=key, Body=body.encode(), ContentType="application/json")
    return partial(method, **_arguments(json.loads(body)))


def _arguments(value: Any) -> Any:
    """As botocore takes them: binary attribute values as bytes."""
    if isinstance(value, dict):
        if value.keys() == {"B"}:
            return {"B": base64.b64decode(value["B"])}
        return {name: _arguments(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_arguments(each) for each in value]
    return value
