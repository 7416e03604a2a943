"""AWS in memory that counts the request units which DynamoDB would bill, by table and index.

Sizes and units follow the developer guide; nothing here knows a price.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from proof.memory_aws import Attributes, FakeAws

KB: Final = 1 << 10
TABLE: Final = "table"
READ: Final = "read"

_WINDOWS: Final = (
    "sessions_7d",
    "sessions_14d",
    "sessions_30d",
    "ib_calls_7d",
    "ib_calls_14d",
    "avg_rating",
    "ratings_30d",
    "session_velocity",
    "alerts",
    "first_sessions_30d",
    "first_session_success_rate",
)
INDEXES: Final[Mapping[str, tuple[Sequence[str], Sequence[str]]]] = {
    "EntityTypeHealthIndex": (("entity_type", "health_score"), (*_WINDOWS, "last_updated")),
    "LastUpdatedIndex": (
        ("entity_type", "last_updated"),
        (
            *(*_WINDOWS, "health_score", "region", "available_tutors", "active_students", "demand_score"),
            "supply_score",
            "balance_status",
            "high_demand_subjects",
        ),
    ),
    "DueIndex": (("due_partition", "due_at"), ()),
}
"""Keys and projected attributes of each index, as components/metrics_store.py declares them (a test compares)."""
_TABLE_KEYS: Final = ("entity_id", "entity_type")


def item_size(attributes: Attributes) -> int:
    """Bytes of an item (DynamoDB developer guide, "item sizes and formats"; numbers are approximate there too)."""
    return sum(len(name.encode()) + _value_size(value) for name, value in attributes.items())


def _value_size(attribute: Mapping[str, Any]) -> int:
    value: Any
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(value)
        case "N":
            digits = value.strip("-").replace(".", "").strip("0")
            return math.ceil(len(digits) / 2) + 1 + ("-" in value)
        case "L":
            return 3 + sum(1 + _value_size(each) for each in value)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in value.items())
        case _:
            return 1


def write_units(before: Attributes | None, after: Attributes) -> Counter[str]:
    """Write request units of one write, by table and index.

    The table bills the larger of the two sizes. An index bills nothing when no attribute that it has changed, one write
    when one of the others did, two (a delete and a put) when its key did (developer guide, "Provisioned throughput
    considerations for global secondary indexes").
    """
    units = Counter({TABLE: _write(max(item_size(before or {}), item_size(after)))})
    for name, (keys, projected) in INDEXES.items():
        old, new = (_entry(item or {}, keys, projected) for item in (before, after))
        if old == new:
            continue
        if old and new and all(old[key] == new[key] for key in keys):
            units[name] += _write(max(item_size(old), item_size(new)))
        else:
            units[name] += sum(_write(item_size(entry)) for entry in (old, new) if entry)
    return units


def _entry(item: Attributes, keys: Sequence[str], projected: Sequence[str]) -> Attributes:
    """An item as an index has it; nothing when it lacks the index's key."""
    if not all(key in item for key in keys):
        return {}
    return {name: item[name] for name in (*_TABLE_KEYS, *keys, *projected) if name in item}


def _write(size: int) -> int:
    return max(1, math.ceil(size / KB))


def _read(size: int) -> int:
    return max(1, math.ceil(size / (4 * KB)))


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
            keys = [(key["entity_type"]["S"], key["entity_id"]["S"]) for key in request["Keys"]]
            self._aws.units[READ] += sum(_read(item_size(self._aws.items.get(key, {}))) for key in keys)
            return self._inner.batch_get_item(RequestItems=RequestItems)

    def batch_execute_statement(self, *, Statements: list[dict[str, Any]]) -> Any:
        with self._aws.lock:
            before = dict(self._aws.items)
            answer = self._inner.batch_execute_statement(Statements=Statements)
            for key, item in self._aws.items.items():
                if item is not before.get(key):
                    self._aws.units += write_units(before.get(key), item)
                    self._aws.written += 1
            return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
