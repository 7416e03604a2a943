"""The plain handler of `bench.baseline` under the meter that the processor is under."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boto3.dynamodb.types import TypeSerializer

from bench import baseline
from bench.marketplace import Happened
from functions.entities.attribute_values import size_of
from functions.model import ceil_div, to_iso
from proof.memory_aws import Attributes
from proof.metered import INDEXES, KB, write_units

ALL_ATTRIBUTES: Final = "all attributes"
KEYS_ONLY: Final = "keys only"
_ORIGINAL_INDEXES: Final[Mapping[str, Sequence[str]]] = {
    **INDEXES,
    "LastUpdatedIndex": ("entity_type", "last_updated"),
}


@dataclass
class BaselineUsage:
    """What the plain handler took."""

    write_units: Counter[str] = field(default_factory=Counter)
    """Of the table and its indexes: with the two that the original asks for, which project all attributes, and with
    those that the processor's table has."""
    read_units: float = 0
    """It reads eventually consistently, as boto3 does unless it is told otherwise."""
    calls: int = 0


def measure(before: Iterable[Happened], events: Iterable[Happened]) -> BaselineUsage:
    """Return what the plain handler takes for events that come after others."""
    used = BaselineUsage()
    items = {
        (item["entity_type"], item["entity_id"]): item
        for item in baseline.warmed((event.kind, event.payload) for event in before)
    }

    def load(*key: str) -> Any:
        used.calls += 1
        item = items.get((key[0], key[1]))
        used.read_units += max(1, ceil_div(size_of(_attributes(item or {})), 4 * KB)) / 2
        return None if item is None else dict(item)

    def save(item: Any) -> None:
        used.calls += 1
        key = item["entity_type"], item["entity_id"]
        old, new = items.get(key), item | {"last_updated": to_iso(event.time_ms)}
        items[key] = new
        before_it, after_it = None if old is None else _attributes(old), _attributes(new)
        units = write_units(before_it, after_it, _ORIGINAL_INDEXES, keys_only=False)
        used.write_units[ALL_ATTRIBUTES] += units.total()
        used.write_units[KEYS_ONLY] += write_units(before_it, after_it).total()

    def tell(*_: Any) -> None:
        used.calls += 1

    for event in events:
        baseline.process(event.kind, event.payload, load, save, tell)
    return used


_serialize: Final = TypeSerializer().serialize


def _attributes(item: Mapping[str, Any]) -> Attributes:
    return {name: _serialize(value) for name, value in item.items()}
