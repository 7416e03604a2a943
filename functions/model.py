"""The words that the processor's modules share: keys, records, events, rejections, and the units of time.

Pure data. Nothing here reads a clock, the environment or the network.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 3_600 * SECOND_MS
DAY_MS = 24 * HOUR_MS

EntityType = Literal["student", "tutor", "subject", "region"]
ENTITY_TYPES: Final[tuple[EntityType, ...]] = get_args(EntityType)

UNSPECIFIED_REGION = "unspecified"
"""Where a supply/demand update without a region belongs; it makes no region item."""

HIGH_DEMAND = "high_demand"
"""The balance_status that fires `supply_demand_imbalance`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class EntityKey(NamedTuple):
    """The primary key of a metrics item."""

    entity_type: EntityType
    entity_id: str


# These are made by the thousand: structs are made in C, and the garbage collector need not look at them.


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kinesis record as the event source mapping delivers it."""

    sequence_number: str
    shard_id: str
    partition_key: str
    arrival_ms: int
    """Approximate arrival, epoch milliseconds."""
    data: str
    """The payload, base64 as it came."""
    event_source_arn: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """One valid event."""

    record: int
    """Its record's position in the batch; also the order of arrival."""
    event_type: str
    time_ms: int
    """Event time, epoch milliseconds."""
    fields: Mapping[str, Any]
    """The checked fields that were given, normalised."""
    identity: str
    """What makes two deliveries the same thing; only used for sessions and calls."""


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why one record, or one record's part for one entity, is quarantined."""

    record: int
    reason: str
    detail: str


class InvalidRecord(ValueError):
    """A record that breaks the contract: `reason` is a code, `detail` says what was wrong with which value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def to_iso(ms: int) -> str:
    """Epoch milliseconds as ISO-8601 UTC: `2026-11-23T10:00:00.000Z`."""
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_datetime(moment: datetime) -> int:
    """An aware datetime as epoch milliseconds, the rest cut off."""
    return (moment - _EPOCH) // _MILLISECOND


def from_iso(text: str) -> int:
    """The inverse of `to_iso`, for times that the processor itself has written."""
    return from_datetime(datetime.fromisoformat(text))


def excerpt(value: object, limit: int = 80) -> str:
    """`repr` of a value for an error message, cut to `limit` characters however large the value is."""
    text = repr(value[: limit + 1] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def ceil_div(dividend: int, divisor: int) -> int:
    """Divide and round up.

    >>> ceil_div(7, 2)
    4
    """
    return -(-dividend // divisor)
