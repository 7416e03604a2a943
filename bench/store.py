"""What the endpoint's AWS keeps and counts: items in memory, DynamoDB's conditions, request units.

Statements are parsed by `proof.partiql`, as those of AWS in memory are. Items are kept and scanned here, without that
one's locks and checks, since their time would be measured as the functions'. Units are computed when they are asked
for, not while a call waits.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.units import Attributes, page_units, read_units, refused_units, state_units, write_units
from proof import partiql

Item = dict[str, dict[str, Any]]
Key = tuple[str, str, str]
"""Table, type, id; of the internal table: table, partition key, sort key."""


@dataclass(slots=True)
class Usage:
    """What was asked of the endpoint since the last reset."""

    calls: dict[str, int] = field(default_factory=dict)
    """By operation."""
    bytes_received: int = 0
    """Requests as sent: lines, headers and bodies."""
    bytes_sent: int = 0
    body_bytes: int = 0
    """Of requests and answers; headers vary with the SDK's version."""
    statements: int = 0
    refused: int = 0
    """Statements whose condition did not hold."""
    entries: int = 0
    """EventBridge's."""
    read_units: float = 0
    write_units: int = 0
    """Of both tables and the indexes together."""
    index_write_units: int = 0
    state_write_units: int = 0
    """Of the internal table: wakes written and deleted."""
    move_write_units: int = 0
    """Of transactions: items with their tails."""
    items_written: int = 0
    """Without wakes and tails."""
    moves: int = 0
    """Items that were written with their tails."""
    wakes_written: int = 0
    """Or deleted."""

    @property
    def total_calls(self) -> int:
        """Calls to AWS of any kind."""
        return sum(self.calls.values())


class Store:
    """Items, objects and entries, and what was done with them."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.usage = Usage()
        self.delay = 0.0
        """Seconds that each call waits."""
        self.recorded: list[tuple[str, str, str]] | None = None
        """Operation, path and body of each call, while they are recorded."""
        self._pages: list[Path] = []
        self._described: dict[str, Any] = {}
        self._kept: dict[Key, Item] = {}
        self._read: list[tuple[Attributes | None, bool]] = []
        self._written: list[tuple[Attributes | None, Attributes]] = []
        self._wakes_written: list[tuple[Attributes | None, Attributes | None]] = []
        self._moved: list[tuple[Attributes | None, Attributes]] = []
        self._tails_written: list[tuple[Attributes | None, Attributes]] = []
        self._refused: list[Attributes | None] = []
        self._pages_read: list[list[Item]] = []

    # What AWS offers.

    def batch_get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB BatchGetItem."""
        responses: dict[str, list[Item]] = {}
        for table, wanted in request["RequestItems"].items():
            found = responses[table] = []
            for key in wanted["Keys"]:
                item = self.items.get(_key(table, key))
                self._read.append((item, wanted.get("ConsistentRead", False)))
                if item is not None:
                    found.append(item)
        return {"Responses": responses, "UnprocessedKeys": {}}

    def get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB GetItem."""
        item = self.items.get(_key(request["TableName"], request["Key"]))
        self._read.append((item, request.get("ConsistentRead", False)))
        return {} if item is None else {"Item": item}

    def put_item(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB PutItem, unconditional."""
        if "ConditionExpression" in request:
            raise ValueError("this endpoint knows no ConditionExpression")
        self._write(_key(request["TableName"], request["Item"]), request["Item"])
        return {}

    def batch_execute_statement(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB BatchExecuteStatement: INSERT, and UPDATE on condition of equal attributes."""
        statements = request["Statements"]
        if not 1 <= len(statements) <= 25:
            raise ValueError(f"{len(statements)} statements in a call, allowed: 1 to 25")
        self.usage.statements += len(statements)
        return {"Responses": [self._execute(each["Statement"], each["Parameters"]) for each in statements]}

    def _execute(self, text: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        statement = partiql.parse(text)
        if statement.inserts:
            item = dict(zip(statement.sets, parameters, strict=True))
            key = _key(statement.table, item)
            if key in self.items:
                return self._refuse(self.items[key], "DuplicateItem", "Duplicate primary key exists in table")
            self._write(key, item)
            return {"TableName": statement.table}
        values = parameters[: len(statement.sets)]
        where = dict(zip(statement.where, parameters[len(statement.sets) :], strict=True))
        key = _key(statement.table, where)
        before = self.items.get(key)
        if before is None or any(before.get(name) != value for name, value in where.items()):
            return self._refuse(before, "ConditionalCheckFailed", "The conditional request failed")
        item = before | dict(zip(statement.sets, values, strict=True))
        for name in statement.removes:
            item.pop(name, None)
        self._write(key, item)
        return {"TableName": statement.table}

    def batch_write_item(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB BatchWriteItem."""
        requests = [(table, each) for table, wanted in request["RequestItems"].items() for each in wanted]
        if not 1 <= len(requests) <= 25:
            raise ValueError(f"{len(requests)} requests in a call, allowed: 1 to 25")
        for table, each in requests:
            if "PutRequest" in each:
                self._write(_key(table, item := each["PutRequest"]["Item"]), item)
            else:
                key = _key(table, each["DeleteRequest"]["Key"])
                self._wakes_written.append((self.items.pop(key, None), None))
        return {"UnprocessedItems": {}}

    def transact_write_items(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB TransactWriteItems: puts, all of them or none. An item's condition is that of the processor."""
        puts = [action["Put"] for action in request["TransactItems"]]
        if not 1 <= len(puts) <= 100:
            raise ValueError(f"{len(puts)} actions in a transaction, allowed: 1 to 100")
        sound = [self._holds(put) for put in puts]
        if not all(sound):
            reasons = [{"Code": "None" if holds else "ConditionalCheckFailed"} for holds in sound]
            raise Cancelled({"__type": "TransactionCanceledException", "CancellationReasons": reasons})
        for put in puts:
            written = self._tails_written if "pk" in put["Item"] else self._moved
            self._write(_key(put["TableName"], put["Item"]), put["Item"], written)
        return {}

    def _holds(self, put: dict[str, Any]) -> bool:
        before = self.items.get(_key(put["TableName"], put["Item"]))
        match put.get("ConditionExpression"):
            case None:
                return True
            case "attribute_not_exists(entity_id)":
                return before is None
            case "version = :version":
                return before is not None and before["version"] == put["ExpressionAttributeValues"][":version"]
            case other:
                raise ValueError(f"this endpoint knows no ConditionExpression {other}")

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB Query of the wakes of a lane, on one page."""
        if request["KeyConditionExpression"] != "pk = :lane AND sk < :after":
            raise ValueError("this endpoint knows no other KeyConditionExpression")
        lane, after = (request["ExpressionAttributeValues"][name]["S"] for name in (":lane", ":after"))
        found = [
            item
            for (table, pk, sk), item in sorted(self.items.items())
            if (table, pk) == (request["TableName"], lane) and sk < after
        ]
        self._pages_read.append(found)
        return {"Items": found}

    def describe_table(self, _: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB DescribeTable: what is said of the table that pages are of."""
        return {"Table": self._described}

    def scan(self, request: dict[str, Any]) -> dict[str, Any]:
        """DynamoDB Scan: pages made beforehand, to the segments by turns, whatever they are to be projected to."""
        key = request.get("ExclusiveStartKey")
        number = int(key["entity_id"]["S"]) if key else request["Segment"]
        answer: dict[str, Any] = {
            "Items": msgspec.Raw(self._pages[number].read_bytes() if number < len(self._pages) else b"[]")
        }
        if (number := number + request["TotalSegments"]) < len(self._pages):
            answer["LastEvaluatedKey"] = {"entity_id": {"S": str(number)}, "entity_type": {"S": "page"}}
        return answer

    def put_events(self, request: dict[str, Any]) -> dict[str, Any]:
        """EventBridge PutEvents; accepts every entry."""
        first = self.usage.entries
        self.usage.entries += len(request["Entries"])
        entries = [
            {"EventId": f"{number:08x}-0000-4000-8000-000000000000"} for number in range(first, self.usage.entries)
        ]
        return {"FailedEntryCount": 0, "Entries": entries}

    def _write(self, key: Key, item: Item, written: list[Any] | None = None) -> None:
        if written is None:
            written = self._wakes_written if "pk" in item else self._written
        written.append((self.items.get(key), item))
        self.items[key] = item

    def _refuse(self, before: Item | None, code: str, message: str) -> dict[str, Any]:
        self.usage.refused += 1
        self._refused.append(before)
        return {"Error": {"Code": code, "Message": message}}

    # What the benchmark asks.

    def load(self, body: bytes) -> None:
        """Puts items into a table at no cost."""
        given = msgspec.json.decode(body)
        self.items |= {_key(given["table"], item): item for item in given["items"]}

    def pages(self, body: bytes) -> None:
        """Takes a table's pages for Scan, each a file with a list of items, and what DescribeTable says of it."""
        given = msgspec.json.decode(body)
        self._pages = sorted(Path(given["directory"]).iterdir())
        self._described = given["described"]

    def keep(self, _: bytes) -> None:
        """Remembers the items as they are now."""
        self._kept = dict(self.items)

    def restore(self, body: bytes) -> None:
        """Makes these tables' items what they were when last kept."""
        tables = json.loads(body)
        others = {key: item for key, item in self.items.items() if key[0] not in tables}
        self.items = others | {key: item for key, item in self._kept.items() if key[0] in tables}

    def reset(self, _: bytes) -> None:
        """Counts from zero."""
        self.usage = Usage()
        self._clear()

    def wait(self, body: bytes) -> None:
        """Sets how long each call waits, in seconds."""
        self.delay = float(body)

    def record(self, body: bytes) -> list[tuple[str, str, str]] | None:
        """Begins (1) or ends (0) recording of calls; gives those recorded."""
        recorded, self.recorded = self.recorded, [] if body == b"1" else None
        return recorded

    def used(self, _: bytes) -> dict[str, Any]:
        """The usage since the last reset, request units computed."""
        usage = self.usage
        usage.read_units += sum(read_units(item, consistent=consistent) for item, consistent in self._read)
        for before, after in self._written:
            units = write_units(before, after)
            usage.write_units += units.table + units.indexes
            usage.index_write_units += units.indexes
        for before, after in self._moved:
            units = write_units(before, after)
            usage.move_write_units += 2 * units.table
            usage.write_units += units.indexes
            usage.index_write_units += units.indexes
        usage.move_write_units += sum(2 * state_units(before, after) for before, after in self._tails_written)
        usage.write_units += usage.move_write_units
        usage.moves += len(self._moved)
        usage.items_written += len(self._written) + len(self._moved)
        usage.write_units += sum(refused_units(before) for before in self._refused)
        wake_units = sum(state_units(before, after) for before, after in self._wakes_written)
        usage.state_write_units += wake_units
        usage.write_units += wake_units
        usage.wakes_written += len(self._wakes_written)
        usage.read_units += sum(page_units(page) for page in self._pages_read)
        self._clear()
        return asdict(usage)

    def _clear(self) -> None:
        """Forgets what was done."""
        for done in (self._read, self._written, self._refused, self._moved, self._pages_read):
            done.clear()
        self._wakes_written.clear()
        self._tails_written.clear()

    def items_of(self, body: bytes) -> list[Item]:
        """A table's items."""
        return [item for (table, _, _), item in self.items.items() if table == body.decode()]


class Cancelled(Exception):
    """A transaction was cancelled."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer)
        self.answer = answer


def _key(table: str, attributes: Mapping[str, Mapping[str, Any]]) -> Key:
    names = ("pk", "sk") if "pk" in attributes else ("entity_type", "entity_id")
    first, second = (attributes[name]["S"] for name in names)
    return table, first, second
