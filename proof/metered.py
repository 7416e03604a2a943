"""AWS in memory that counts the request units which DynamoDB would bill, by table and index.

Sizes and units follow the developer guide; nothing here knows a price.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from functions.entities.attribute_values import size_of
from functions.model import ceil_div
from proof.memory_aws import Attributes, FakeAws

KB: Final = 1 << 10
TABLE: Final = "table"
STATE: Final = "state"
READ: Final = "read"

INDEXES: Final[Mapping[str, Sequence[str]]] = {"EntityTypeHealthIndex": ("entity_type", "health_score")}
"""The keys of each index that a stack has by default; it projects nothing else (a test compares)."""
_TABLE_KEYS: Final = ("entity_id", "entity_type")


def write_units(before: Attributes | None, after: Attributes) -> Counter[str]:
    """Write request units of one write, by table and index.

    The table bills the larger of the two sizes. An index of keys bills nothing when its key stays as it is, and two
    writes (a delete and a put) when it changes (developer guide, "Provisioned throughput considerations for global
    secondary indexes").
    """
    units = Counter({TABLE: _write(max(size_of(before or {}), size_of(after)))})
    for name, keys in INDEXES.items():
        old, new = (_entry(item or {}, keys) for item in (before, after))
        if old != new:
            units[name] += sum(_write(size_of(entry)) for entry in (old, new) if entry)
    return units


def _entry(item: Attributes, keys: Sequence[str]) -> Attributes:
    """An item as an index has it; nothing when it lacks the index's key."""
    if not all(key in item for key in keys):
        return {}
    return {name: item[name] for name in (*_TABLE_KEYS, *keys)}


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
        with self._aws.lock:
            before = dict(self._aws.items)
            answer = self._inner.transact_write_items(TransactItems=TransactItems)
            for key, item in self._aws.items.items():
                if item is not before.get(key):
                    units = write_units(before.get(key), item)
                    self._aws.units += units
                    self._aws.units[TABLE] += units[TABLE]
                    self._aws.written += 1
            tails = [action["Put"]["Item"] for action in TransactItems if "pk" in action["Put"]["Item"]]
            self._aws.units[STATE] += sum(2 * _write(size_of(tail)) for tail in tails)
            return answer

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> Any:
        """A put or a delete is billed for the larger of the item before and after it."""
        with self._aws.lock:
            before = dict(self._aws.state)
            answer = self._inner.batch_write_item(RequestItems=RequestItems)
            for key in before.keys() | self._aws.state.keys():
                old, new = before.get(key), self._aws.state.get(key)
                if old is not new:
                    self._aws.units[STATE] += _write(max(size_of(old or {}), size_of(new or {})))
            return answer

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
        """Half a unit for each 4 KB of a page that is read eventually consistently; a whole one is counted here."""
        for page in self._inner.paginate(**query):
            self._aws.units[READ] += _read(sum(map(size_of, page["Items"])))
            yield page
