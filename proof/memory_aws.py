"""A few calls of AWS's services in memory: just those that the processor and the operators' commands make.

Fast enough for property tests. `tests/e2e` runs the same store against an emulator, so that this stays honest.
"""

import io
import threading
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from functions.entities.attribute_values import size_of
from proof import partiql

Attributes = dict[str, dict[str, Any]]
Key = tuple[str, str]

_ITEMS_A_PAGE = 7
_MOST_TRANSACTION_BYTES = 4 << 20


class FakeAws:
    """Stands where `clients.make` does: `FakeAws().client("dynamodb")`."""

    def __init__(self) -> None:
        self.items: dict[Key, Attributes] = {}
        """The metrics table, by entity type and id."""
        self.state: dict[Key, Attributes] = {}
        """The internal table, by partition key and sort key."""
        self.just_written: deque[tuple[Key, Attributes | None]] = deque(maxlen=3)
        """The items of the metrics table that were written last, each as it was before."""
        self.tokens: set[str] = set()
        """Of transactions that were carried out."""
        self.events: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()
        self.refuse_entries = 0
        """How many EventBridge entries to refuse from now on."""
        self.put_record: Callable[[str, bytes], str] | None = None
        """Where Kinesis puts a record (partition key, data); gives its sequence number."""
        self.lock = threading.RLock()

    def client(self, service: str, **_: Any) -> Any:
        return {"dynamodb": _DynamoDb, "events": _Events, "kinesis": _Kinesis, "s3": _S3}[service](self)

    def writes(self) -> int:
        """How many items, tails and wakes were written, and wakes deleted."""
        return sum(self.calls[name] for name in ("statement", "move", "wake", "wake deleted"))

    @contextmanager
    def as_before_the_last_writes(self) -> Iterator[None]:
        """The metrics table as an eventually consistent read may see it."""
        now = self.items
        self.items = dict(now)
        for key, before in reversed(self.just_written):
            if before is None:
                self.items.pop(key, None)
            else:
                self.items[key] = before
        try:
            yield
        finally:
            self.items = now

    def put(self, item: Attributes) -> None:
        """Write an item of the metrics table."""
        key = _key(item)
        self.just_written.append((key, self.items.get(key)))
        self.items[key] = item


class _Service:
    def __init__(self, aws: FakeAws) -> None:
        self.aws = aws


class _DynamoDb(_Service):
    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, request),) = RequestItems.items()
        assert len(request["Keys"]) <= 100
        with self.aws.lock:
            self.aws.calls["batch_get_item"] += 1
            keys = [
                (self.aws.state, _state_key({"Key": key})) if "pk" in key else (self.aws.items, _key(key))
                for key in request["Keys"]
            ]
            found = [items[key] for items, key in keys if key in items]
            return {"Responses": {table: [dict(item) for item in found]}, "UnprocessedKeys": {}}

    def batch_execute_statement(self, *, Statements: list[dict[str, Any]]) -> dict[str, Any]:
        assert 1 <= len(Statements) <= 25
        with self.aws.lock:
            self.aws.calls["batch_execute_statement"] += 1
            return {"Responses": [self._execute(each["Statement"], each["Parameters"]) for each in Statements]}

    def _execute(self, statement: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        self.aws.calls["statement"] += 1
        parameters = [_normalised(parameter) for parameter in parameters]
        parsed = partiql.parse(statement)
        values = parameters[: len(parsed.sets)]
        if parsed.inserts:
            item = dict(zip(parsed.sets, parameters, strict=True))
            if _key(item) in self.aws.items:
                return {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}}
            self.aws.put(item)
            return {"TableName": parsed.table}
        assert parsed.where == ("entity_id", "entity_type", "version"), statement
        entity_id, entity_type, version = parameters[len(parsed.sets) :]
        item = dict(self.aws.items.get((entity_type["S"], entity_id["S"]), {}))
        if item.get("version") != version:
            return {"Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}}
        item |= dict(zip(parsed.sets, values, strict=True))
        for name in parsed.removes:
            del item[name]
        self.aws.put(item)
        return {"TableName": parsed.table}

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        with self.aws.lock:
            self.aws.calls["describe_table"] += 1
            return {"Table": {"ItemCount": len(self.aws.items), "TableSizeBytes": 2_000 * len(self.aws.items)}}

    def scan(
        self,
        *,
        TableName: str,
        Segment: int,
        TotalSegments: int,
        ProjectionExpression: str,
        ExpressionAttributeNames: dict[str, str],
        ExclusiveStartKey: Attributes | None = None,
    ) -> dict[str, Any]:
        """A page of a segment. A full one may be the last, which only an empty one after it then says."""
        assert 0 <= Segment < TotalSegments
        paths = [
            [ExpressionAttributeNames[name] for name in path.split(".")] for path in ProjectionExpression.split(", ")
        ]
        with self.aws.lock:
            self.aws.calls["scan"] += 1
            after = _place(_key(ExclusiveStartKey)) if ExclusiveStartKey else (-1, ("", ""))
            left = sorted(
                place for place in map(_place, self.aws.items) if place[0] % TotalSegments == Segment and place > after
            )
            page = [self.aws.items[key] for _, key in left[:_ITEMS_A_PAGE]]
        answer: dict[str, Any] = {"Items": [_projected(item, paths) for item in page]}
        if len(page) == _ITEMS_A_PAGE:
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in ("entity_id", "entity_type")}
        return answer

    def transact_write_items(
        self, *, TransactItems: list[dict[str, Any]], ClientRequestToken: str | None = None
    ) -> dict[str, Any]:
        """Puts of both tables: all of them, or none and a reason for each. With a token that is known, nothing."""
        assert 1 <= len(TransactItems) <= 100
        puts = [action["Put"] for action in TransactItems]
        assert sum(size_of(put["Item"]) for put in puts) <= _MOST_TRANSACTION_BYTES
        with self.aws.lock:
            self.aws.calls["transact_write_items"] += 1
            if ClientRequestToken is not None and ClientRequestToken in self.aws.tokens:
                return {}
            sound = [self._holds(put) for put in puts]
            if not all(sound):
                reasons = [{"Code": "None"} if holds else {"Code": "ConditionalCheckFailed"} for holds in sound]
                raise cancelled(reasons)
            if ClientRequestToken is not None:
                self.aws.tokens.add(ClientRequestToken)
            for put in puts:
                item = _normalised_item(put["Item"])
                if "pk" in item:
                    self.aws.calls["move"] += 1
                    self.aws.state[_state_key({"Item": item})] = item
                else:
                    self.aws.calls["statement"] += 1
                    self.aws.put(item)
        return {}

    def _holds(self, put: dict[str, Any]) -> bool:
        """Whether the condition of a put holds."""
        condition = put.get("ConditionExpression")
        if condition is None:
            return True
        item = self.aws.items.get(_key(put["Item"]))
        if condition == "attribute_not_exists(entity_id)":
            return item is None
        assert condition == "version = :version", condition
        return item is not None and item["version"] == put["ExpressionAttributeValues"][":version"]

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Puts and deletes of the internal table, which alone is written so."""
        ((_, requests),) = RequestItems.items()
        assert 1 <= len(requests) <= 25
        with self.aws.lock:
            self.aws.calls["batch_write_item"] += 1
            keys = [_state_key(request.get("PutRequest") or request["DeleteRequest"]) for request in requests]
            assert len(set(keys)) == len(keys), "an item twice in one call"
            for key, request in zip(keys, requests, strict=True):
                if "PutRequest" in request:
                    self.aws.calls["wake"] += 1
                    self.aws.state[key] = _normalised_item(request["PutRequest"]["Item"])
                else:
                    self.aws.calls["wake deleted"] += 1
                    self.aws.state.pop(key, None)
        return {"UnprocessedItems": {}}

    def get_item(self, *, TableName: str, Key: Attributes, ConsistentRead: bool) -> dict[str, Any]:
        with self.aws.lock:
            self.aws.calls["get_item"] += 1
            item = self.aws.state.get((Key["pk"]["S"], Key["sk"]["S"]))
        return {"Item": item} if item else {}

    def put_item(self, *, TableName: str, Item: Attributes) -> dict[str, Any]:
        with self.aws.lock:
            self.aws.calls["put_item"] += 1
            self.aws.state[Item["pk"]["S"], Item["sk"]["S"]] = Item
        return {}

    def get_paginator(self, operation: str) -> "_DynamoDb":
        assert operation == "query"
        return self

    def paginate(
        self, *, KeyConditionExpression: str, ExpressionAttributeValues: Attributes, **_: Any
    ) -> Iterator[Any]:
        assert KeyConditionExpression == "pk = :lane AND sk < :after"
        lane, after = (ExpressionAttributeValues[name]["S"] for name in (":lane", ":after"))
        first = ""
        while True:
            with self.aws.lock:
                self.aws.calls["query"] += 1
                found = sorted(sk for pk, sk in self.aws.state if pk == lane and first < sk < after)
                page = [dict(self.aws.state[lane, sk]) for sk in found[:_ITEMS_A_PAGE]]
            if len(found) <= _ITEMS_A_PAGE:
                yield {"Items": page}
                return
            yield {"Items": page, "LastEvaluatedKey": {name: page[-1][name] for name in ("pk", "sk")}}
            first = page[-1]["sk"]["S"]


class _Events(_Service):
    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert 1 <= len(Entries) <= 10
        results = []
        with self.aws.lock:
            self.aws.calls["put_events"] += 1
            for entry in Entries:
                if self.aws.refuse_entries:
                    self.aws.refuse_entries -= 1
                    results.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"})
                else:
                    self.aws.events.append(entry)
                    results.append({"EventId": str(len(self.aws.events))})
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}


class _S3(_Service):
    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> dict[str, Any]:
        with self.aws.lock:
            self.aws.calls["put_object"] += 1
            self.aws.objects[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.aws.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.aws.objects.pop(Key, None)
        return {}

    def get_paginator(self, operation: str) -> "_S3":
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str = "") -> Iterator[dict[str, Any]]:
        for key in sorted(self.aws.objects):
            if key.startswith(Prefix):
                yield {"Contents": [{"Key": key, "Size": len(self.aws.objects[key])}]}


class _Kinesis(_Service):
    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert 1 <= len(Records) <= 500
        assert self.aws.put_record is not None, "this AWS has no stream"
        numbers = [self.aws.put_record(record["PartitionKey"], record["Data"]) for record in Records]
        return {"FailedRecordCount": 0, "Records": [{"SequenceNumber": number} for number in numbers]}


def _key(attributes: Attributes) -> Key:
    return attributes["entity_type"]["S"], attributes["entity_id"]["S"]


def cancelled(reasons: list[dict[str, str]]) -> ClientError:
    """Return the error of a transaction that DynamoDB has cancelled, with a reason for each action."""
    error = {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"}
    return ClientError({"Error": error, "CancellationReasons": reasons}, "TransactWriteItems")


def _state_key(request: dict[str, Any]) -> Key:
    """The key of a put or a delete of the internal table."""
    attributes = request.get("Item") or request["Key"]
    return attributes["pk"]["S"], attributes["sk"]["S"]


def _normalised_item(item: Attributes) -> Attributes:
    return {name: _normalised(value) for name, value in item.items()}


def _place(key: Key) -> tuple[int, Key]:
    """Where an item lies in the table: by a hash of its partition key, then by its key."""
    return zlib.crc32(key[1].encode()), key


def _projected(item: Attributes, paths: list[list[str]]) -> Attributes:
    """Of an item what these paths name, maps within maps; what is not there is left out."""
    projected: Attributes = {}
    for *maps, name in paths:
        source = item
        for each in maps:
            source = source.get(each, {"M": {}})["M"]
        if name in source:
            target = projected
            for each in maps:
                target = target.setdefault(each, {"M": {}})["M"]
            target[name] = source[name]
    return projected


def _normalised(value: dict[str, Any]) -> dict[str, Any]:
    """Numbers as DynamoDB gives them back: plain digits without trailing zeros."""
    ((kind, content),) = value.items()
    if kind == "N":
        number = Decimal(content)
        assert number == 0 or Decimal("1e-130") <= abs(number) < Decimal("1e126"), content
        return {"N": format(number.normalize(), "f") if number else "0"}
    if kind == "M":
        return {"M": {name: _normalised(each) for name, each in content.items()}}
    if kind == "L":
        return {"L": [_normalised(each) for each in content]}
    return value
