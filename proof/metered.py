"""AWS in memory that counts the request units which DynamoDB would bill, by table and index.

Sizes and units follow the developer guide; nothing here knows a price.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from functions.entities.attribute_values import size_of
from functions.model import ceil_div
from proof.memory_aws import Attributes, FakeAws, Key

KB: Final = 1 << 10
TABLE: Final = "table"
STATE: Final = "state"
"""Wakes that are written and deleted."""
MOVE: Final = "move"
"""Transactions that write an item and its tail, but for what they change in an index."""
READ: Final = "read"
QUERY: Final = "query"
"""4 KB steps of queries. They are eventually consistent: each is half a read unit."""

INDEXES: Final[Mapping[str, Sequence[str]]] = {"EntityTypeHealthIndex": ("entity_type", "health_score")}
"""The keys of each index that a stack has by default; it projects nothing else (a test compares)."""
_TABLE_KEYS: Final = ("entity_id", "entity_type")


def write_units(
    before: Attributes | None,
    after: Attributes,
    indexes: Mapping[str, Sequence[str]] = INDEXES,
    *,
    keys_only: bool = True,
) -> Counter[str]:
    """Write request units of one write, by table and index.

    The table bills the larger of the two sizes. An index bills nothing when what it projects stays as it is, two writes
    (a delete and a put) when its key changes, and one when only other attributes change (developer guide, "Provisioned
    throughput considerations for global secondary indexes"). It projects its keys alone, or all attributes.
    """
    units = Counter({TABLE: _write(max(size_of(before or {}), size_of(after)))})
    for name, keys in indexes.items():
        old, new = (_entry(item or {}, keys, keys_only=keys_only) for item in (before, after))
        if old == new:
            continue
        sizes = [size_of(entry) for entry in (old, new) if entry]
        stays = old and new and all(old[key] == new[key] for key in keys)
        units[name] += _write(max(sizes)) if stays else sum(map(_write, sizes))
    return units


def _entry(item: Attributes, keys: Sequence[str], *, keys_only: bool) -> Attributes:
    """An item as an index has it; nothing when it lacks the index's key."""
    if not all(key in item for key in keys):
        return {}
    return {name: item[name] for name in (*_TABLE_KEYS, *keys)} if keys_only else item


def _write(size: int) -> int:
    return max(1, ceil_div(size, KB))


def _read(size: int) -> int:
    return max(1, ceil_div(size, 4 * KB))


class MeteredAws(FakeAws):
    """AWS in memory that counts the units which DynamoDB would bill."""

    def __init__(self) -> None:
        super().__init__()
        self.units: Counter[str] = Counter()
        """Write request units by table and index, and what was read under READ."""
        self.written = 0
        """Items written."""

    def client(self, service: str, **options: Any) -> Any:
        client = super().client(service, **options)
        return _Metered(client, self) if service == "dynamodb" else client


class _Metered:
    def __init__(self, inner: Any, aws: MeteredAws) -> None:
        self._inner = inner
        self._aws = aws

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> Any:
        ((_, request),) = RequestItems.items()
        with self._aws.lock:
            answer = self._inner.batch_get_item(RequestItems=RequestItems)
            ((_, items),) = answer["Responses"].items()
            self._aws.units[READ] += sum(_read(size_of(item)) for item in items) + len(request["Keys"]) - len(items)
            return answer

    def batch_execute_statement(self, *, Statements: list[dict[str, Any]]) -> Any:
        with self._aws.lock:
            before = dict(self._aws.items)
            answer = self._inner.batch_execute_statement(Statements=Statements)
            for key, item in self._aws.items.items():
                if item is not before.get(key):
                    self._aws.units += write_units(before.get(key), item)
                    self._aws.written += 1
            return answer

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> Any:
        """A transaction is billed double (developer guide, "Managing complex workflows with transactions")."""
        puts = [action["Put"]["Item"] for action in TransactItems]
        with self._aws.lock:
            before, tails = dict(self._aws.items), self._stored([item for item in puts if "pk" in item])
            answer = self._inner.transact_write_items(TransactItems=TransactItems)
            for key, item in self._aws.items.items():
                if item is not before.get(key):
                    units = write_units(before.get(key), item)
                    units[MOVE] = 2 * units.pop(TABLE)
                    self._aws.units += units
                    self._aws.written += 1
            self._aws.units[MOVE] += sum(2 * units for units in self._written_over(tails))
            return answer

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> Any:
        """A put or a delete is billed for the larger of the item before and after it."""
        ((_, requests),) = RequestItems.items()
        with self._aws.lock:
            before = self._stored(
                [
                    each["PutRequest"]["Item"] if "PutRequest" in each else each["DeleteRequest"]["Key"]
                    for each in requests
                ]
            )
            answer = self._inner.batch_write_item(RequestItems=RequestItems)
            self._aws.units[STATE] += sum(self._written_over(before))
            return answer

    def _stored(self, keyed: Sequence[Attributes]) -> dict[Key, Attributes]:
        """What the internal table has under these keys."""
        keys = [(item["pk"]["S"], item["sk"]["S"]) for item in keyed]
        return {key: self._aws.state.get(key, {}) for key in keys}

    def _written_over(self, before: Mapping[Key, Attributes]) -> Iterator[int]:
        """The units of what was written to the internal table since."""
        for key, old in before.items():
            yield _write(max(size_of(old), size_of(self._aws.state.get(key, {}))))

    def get_paginator(self, operation: str) -> "_Pages":
        """Return a paginator whose pages are metered."""
        return _Pages(self._inner.get_paginator(operation), self._aws)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Pages:
    def __init__(self, inner: Any, aws: MeteredAws) -> None:
        self._inner = inner
        self._aws = aws

    def paginate(self, **query: Any) -> Iterator[Any]:
        """Bill the query as one page, which on AWS has 1 MB."""
        size = 0
        try:
            for page in self._inner.paginate(**query):
                size += sum(map(size_of, page["Items"]))
                yield page
        finally:
            with self._aws.lock:
                self._aws.units[QUERY] += _read(size)
