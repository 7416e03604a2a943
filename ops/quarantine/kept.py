"""What is kept in the quarantine bucket: records that the processor quarantined, batches that the mapping gave up.

Finds and reads the objects. Nothing here puts, removes or judges anything.
"""

import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from functions.aws.quarantine import PREFIX
from functions.model import from_iso

ON_FAILURE: Final = "aws/lambda/"
"""Where Lambda writes what the event source mapping gave up (AWS Lambda developer guide, "Retain discarded batch
records for a Kinesis Data Streams event source"): `<mapping's id>/<shard>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<UUID>`."""
QUARANTINED: Final = PREFIX
"""Where the processor keeps what it cannot take in: `<shard>/<sequence number>.json`."""

_LONGEST_PARTITION_KEY: Final = 256

Kind = Literal["failed", "quarantined"]


class Unreadable(ValueError):
    """An object that is not what the processor or Lambda writes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that an object holds."""

    data: bytes
    """As it was on the stream."""
    partition_key: str
    arrival_ms: int
    """When it first arrived on the stream, epoch ms."""
    shard_id: str = ""
    sequence_number: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """An object as read."""

    key: str
    kind: Kind
    reason: str
    """A quarantined record's, or the condition under which the mapping gave up (`RetryAttemptsExhausted`, ...)."""
    entries: Sequence[Entry]
    detail: str = ""
    """What the processor said of a quarantined record."""


def kind_of(key: str) -> Kind:
    """What kind of object has this key."""
    return "quarantined" if key.startswith(QUARANTINED) else "failed"


def prefixes(prefix: str) -> Iterator[str]:
    """The S3 prefixes under which the objects are whose keys start with `prefix`."""
    for place in (ON_FAILURE, QUARANTINED):
        if place.startswith(prefix) or prefix.startswith(place):
            yield max(place, prefix, key=len)


def keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The keys of all objects of both kinds that start with `prefix`."""
    for place in prefixes(prefix):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=place):
            yield from (found["Key"] for found in page.get("Contents", ()))


def parse(key: str, body: bytes) -> Kept:
    """An object as the processor or Lambda has written it.

    Raises
    ------
    ValueError, RecursionError
        When it is anything else.
    """
    kind = kind_of(key)
    content = _object("the object", json.loads(body))
    if kind == "quarantined":
        entry = _entry(
            content,
            "data",
            "partition_key",
            _arrival_of_quarantined(content),
            _said(content, "shard_id"),
            _said(content, "sequence_number"),
        )
        return Kept(key, kind, _text(content, "reason"), [entry], _said(content, "detail"))
    payload = content.get("payload")
    if payload is None:
        raise Unreadable("it has no payload, which Lambda writes to S3 destinations only")
    event = _object("the payload", json.loads(payload) if isinstance(payload, str) else payload)
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise Unreadable("its payload has no Records")
    entries = []
    for each in records:
        record = _object("a record", each)
        kinesis = _object("a record's kinesis", record.get("kinesis"))
        shard_id = _said(record, "eventID").partition(":")[0]
        arrival_ms = _arrival_of_delivered(kinesis)
        entries.append(_entry(kinesis, "data", "partitionKey", arrival_ms, shard_id, _said(kinesis, "sequenceNumber")))
    context = content.get("requestContext")
    return Kept(key, kind, _said(context, "condition") if isinstance(context, dict) else "", entries)


def _object(what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is no JSON object")
    return value


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"{name} is missing or no text")
    return value


def _said(content: Mapping[str, Any], name: str) -> str:
    """What is nice to know; empty where it is not said."""
    value = content.get(name)
    return value if isinstance(value, str) else ""


def _arrival_of_quarantined(content: Mapping[str, Any]) -> int:
    text = _text(content, "arrival_time")
    try:
        return from_iso(text)
    except (ValueError, TypeError):  # TypeError: without an offset
        raise Unreadable(f"arrival_time is {text!r}, not as the processor writes it") from None


def _arrival_of_delivered(kinesis: Mapping[str, Any]) -> int:
    seconds = kinesis.get("approximateArrivalTimestamp")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e11:
        raise Unreadable(f"approximateArrivalTimestamp is {seconds!r}, not seconds since 1970")
    return round(float(seconds) * 1000)  # as the processor reads it


def _entry(
    content: Mapping[str, Any], data_name: str, key_name: str, arrival_ms: int, shard_id: str, sequence_number: str
) -> Entry:
    partition_key = _text(content, key_name)
    if not 1 <= len(partition_key) <= _LONGEST_PARTITION_KEY:
        raise Unreadable(f"{key_name} has {len(partition_key)} characters, allowed: 1 to {_LONGEST_PARTITION_KEY}")
    partition_key.encode()
    try:
        data = binascii.a2b_base64(_text(content, data_name), strict_mode=True)
    except ValueError as error:
        raise Unreadable(f"{data_name} is not base64: {error}") from None
    return Entry(data, partition_key, arrival_ms, shard_id, sequence_number)
