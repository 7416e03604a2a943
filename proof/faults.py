"""What can go wrong between the functions and AWS, one call at a time: chosen by whoever drives the test.

A fault stands in for one call to one of AWS's services. It is asked for by the call's index, so that every call of a
run can be hit in turn, and a seed is enough to repeat what happened.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from uuid import uuid4

from botocore.exceptions import ClientError, ReadTimeoutError

from proof.memory_aws import FakeAws, cancelled

Call = Callable[..., Any]
Fault = Callable[[Call, dict[str, Any]], Any]
"""Gets the real call and its arguments; gives the answer or raises."""


class Killed(BaseException):
    """The process dies at this point. Nothing may catch it."""


def _refused(code: str) -> Fault:
    def fault(_: Call, arguments: dict[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "injected"}}, "Injected")

    return fault


def _lost(call: Call, arguments: dict[str, Any]) -> Any:
    call(**arguments)
    raise ReadTimeoutError(endpoint_url="https://aws.example")


def _repeated(call: Call, arguments: dict[str, Any]) -> Any:
    """The answer is lost, and the SDK's own retry makes the call again."""
    call(**arguments)
    return call(**arguments)


def _repeated_with_its_token(call: Call, arguments: dict[str, Any]) -> Any:
    """The SDK's own retry of a transaction has the same token."""
    return _repeated(call, {**arguments, "ClientRequestToken": uuid4().hex})


def _stale(call: Any, arguments: dict[str, Any]) -> Any:
    """An eventually consistent read has not seen the last writes."""
    with call.__self__.aws.as_before_the_last_writes():
        return call(**arguments)


def _killed_before(_: Call, arguments: dict[str, Any]) -> Any:
    raise Killed


def _killed_after(call: Call, arguments: dict[str, Any]) -> Any:
    call(**arguments)
    raise Killed


def _some_keys_unprocessed(call: Call, arguments: dict[str, Any]) -> Any:
    """BatchGetItem answers for every other key."""
    ((table, request),) = arguments["RequestItems"].items()
    answered, left = request["Keys"][::2], request["Keys"][1::2]
    answer = call(RequestItems={table: {**request, "Keys": answered}})
    return answer | {"UnprocessedKeys": {table: {**request, "Keys": left}} if left else {}}


def _some_requests_unprocessed(call: Call, arguments: dict[str, Any]) -> Any:
    """BatchWriteItem carries out every other request."""
    ((table, requests),) = arguments["RequestItems"].items()
    if requests[1:]:
        call(RequestItems={table: requests[1::2]})
    return {"UnprocessedItems": {table: requests[::2]}}


def _some_statements_fail(code: str) -> Fault:
    """BatchExecuteStatement carries out every other statement."""

    def fault(call: Call, arguments: dict[str, Any]) -> Any:
        done = iter(call(Statements=arguments["Statements"][1::2])["Responses"] if arguments["Statements"][1:] else [])
        refused = {"Error": {"Code": code, "Message": "injected"}}
        return {"Responses": [next(done) if each % 2 else refused for each in range(len(arguments["Statements"]))]}

    return fault


def _cancelled(code: str, action: int) -> Fault:
    """TransactWriteItems is cancelled because of one action of its first move: 0 the item's, 1 the tail's."""

    def fault(_: Call, arguments: dict[str, Any]) -> Any:
        reasons = [{"Code": "None"}] * len(arguments["TransactItems"])
        reasons[action] = {"Code": code, "Message": "injected"}
        raise cancelled(reasons)

    return fault


def _some_entries_fail(call: Call, arguments: dict[str, Any]) -> Any:
    """PutEvents accepts every other entry."""
    entries = arguments["Entries"]
    done = iter(call(Entries=entries[1::2])["Entries"] if entries[1:] else [])
    refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "injected"}
    results = [next(done) if each % 2 else refused for each in range(len(entries))]
    return {"FailedEntryCount": (len(entries) + 1) // 2, "Entries": results}


_ANY_CALL: Final[Mapping[str, Fault]] = {
    "refused": _refused("ServiceUnavailable"),
    "throttled": _refused("ThrottlingException"),
    "answer lost": _lost,
    "repeated by the SDK": _repeated,
    "died before": _killed_before,
    "died after": _killed_after,
}

_ANY_READ: Final = {name: _ANY_CALL[name] for name in ("refused", "throttled", "died before")}
"""A read whose answer is lost is as one that was refused."""

KINDS: Final[Mapping[str, Mapping[str, Fault]]] = {
    "batch_get_item": {**_ANY_CALL, "keys unprocessed": _some_keys_unprocessed},
    "batch_execute_statement": {
        **_ANY_CALL,
        "statements throttled": _some_statements_fail("ThrottlingError"),
        "statements failed": _some_statements_fail("InternalServerError"),
        "statements refused": _some_statements_fail("AccessDenied"),
    },
    "transact_write_items": {
        **_ANY_CALL,
        "repeated by the SDK": _repeated_with_its_token,
        "transaction in conflict": _cancelled("TransactionConflict", 0),
        "transaction throttled": _cancelled("ThrottlingError", 1),
        "transaction refused": _cancelled("AccessDenied", 1),
    },
    "batch_write_item": {**_ANY_CALL, "requests unprocessed": _some_requests_unprocessed},
    "put_events": {**_ANY_CALL, "entries refused": _some_entries_fail},
    "put_object": _ANY_CALL,
    "put_item": _ANY_CALL,
    "scan": {**_ANY_READ, "stale": _stale},
    **dict.fromkeys(("query", "describe_table", "get_item"), _ANY_READ),
}
"""The faults that each operation can meet, by name."""

Choose = Callable[[str, int], str | None]
"""Given an operation and the index of the call, the name of its fault; None lets it through."""


class FaultyAws:
    """Stands where `clients.make` does, before AWS in memory."""

    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws
        self.choose: Choose = lambda _operation, _index: None
        self.calls: list[str] = []
        """The operations called, in order."""
        self.injected: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _operation: None
        """Called before each call: what other processes do meanwhile."""

    def client(self, service: str, **_: Any) -> "_Client":
        return _Client(self, self.aws.client(service))


class _Client:
    def __init__(self, faulty: FaultyAws, service: Any) -> None:
        self._faulty = faulty
        self._service = service

    def __getattr__(self, operation: str) -> Call:
        call: Call = getattr(self._service, operation)
        if operation == "get_paginator":
            return lambda name: _Paginator(self._faulty, call(name), name)
        return lambda **arguments: _meet(self._faulty, operation, call, arguments)


class _Paginator:
    def __init__(self, faulty: FaultyAws, paginator: Any, operation: str) -> None:
        self._faulty, self._paginator, self._operation = faulty, paginator, operation

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        """Each page is a call of its own."""
        pages = self._paginator.paginate(**arguments)
        page: Any = {"LastEvaluatedKey": None}
        while "LastEvaluatedKey" in page:
            page = _meet(self._faulty, self._operation, partial(next, pages), {})
            yield page


def _meet(faulty: FaultyAws, operation: str, call: Call, arguments: dict[str, Any]) -> Any:
    faulty.before(operation)
    index = len(faulty.calls)
    faulty.calls.append(operation)
    kind = faulty.choose(operation, index)
    if kind is None:
        return call(**arguments)
    faulty.injected[kind] += 1
    return KINDS[operation][kind](call, arguments)
