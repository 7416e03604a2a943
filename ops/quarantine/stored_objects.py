"""The objects in the quarantine bucket: records that the processor quarantined, and batches that the event source
mapping gave up.

Lists and parses them. This module must not write, remove or judge anything.
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
"""Where the processor writes records that it rejects: `<shard>/<sequence number>.json`."""

_LONGEST_PARTITION_KEY: Final = 256

Kind = Literal["failed", "quarantined"]


class Unreadable(ValueError):
    """An object that neither the processor nor Lambda wrote."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record in an object."""

    data: bytes
    """The record's data, as it was on the stream."""
    partition_key: str
    arrival_ms: int
    """When the record first arrived on the stream, epoch ms."""
    shard_id: str = ""
    sequence_number: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object, parsed."""

    key: str
    kind: Kind
    reason: str
    """A quarantined record's reason, or why the mapping gave up (`RetryAttemptsExhausted`, ...)."""
    records: Sequence[StoredRecord]
    detail: str = ""
    """The processor's detail of a quarantined record."""


def kind_of(key: str) -> Kind:
    """Returns the kind of the object with this key."""
    return "quarantined" if key.startswith(QUARANTINED) else "failed"


def prefixes(prefix: str) -> Iterator[str]:
    """Yields the S3 prefixes to list for all objects whose keys start with `prefix`."""
    for kind_prefix in (ON_FAILURE, QUARANTINED):
        if kind_prefix.startswith(prefix) or prefix.startswith(kind_prefix):
            yield max(kind_prefix, prefix, key=len)


def keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Yields the keys of all objects of both kinds that start with `prefix`."""
    for listed_prefix in prefixes(prefix):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=listed_prefix):
            yield from (listed["Key"] for listed in page.get("Contents", ()))


def parse(key: str, body: bytes) -> StoredObject:
    """Parses an object that the processor or Lambda has written.

    Raises
    ------
    ValueError, RecursionError
        When the object is anything else.
    """
    kind = kind_of(key)
    content = _object("the object", json.loads(body))
    if kind == "quarantined":
        record = _quarantined_record(content)
        return StoredObject(key, kind, _text(content, "reason"), [record], _optional_text(content, "detail"))
    payload = content.get("payload")
    if payload is None:
        raise Unreadable("it has no payload, which Lambda writes to S3 destinations only")
    event = _object("the payload", json.loads(payload) if isinstance(payload, str) else payload)
    delivered = event.get("Records")
    if not isinstance(delivered, list) or not delivered:
        raise Unreadable("its payload has no Records")
    context = content.get("requestContext")
    condition = _optional_text(context, "condition") if isinstance(context, dict) else ""
    return StoredObject(key, kind, condition, [_delivered_record(record) for record in delivered])


def _quarantined_record(content: Mapping[str, Any]) -> StoredRecord:
    return _record(
        content,
        "data",
        "partition_key",
        _arrival_of_quarantined(content),
        _optional_text(content, "shard_id"),
        _optional_text(content, "sequence_number"),
    )


def _delivered_record(value: Any) -> StoredRecord:
    record = _object("a record", value)
    kinesis = _object("a record's kinesis", record.get("kinesis"))
    shard_id = _optional_text(record, "eventID").partition(":")[0]
    arrival_ms = _arrival_of_delivered(kinesis)
    return _record(kinesis, "data", "partitionKey", arrival_ms, shard_id, _optional_text(kinesis, "sequenceNumber"))


def _object(what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is no JSON object")
    return value


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"{name} is missing or no text")
    return value


def _optional_text(content: Mapping[str, Any], name: str) -> str:
    """Returns a field that the object can do without; empty when it is missing."""
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


def _record(
    content: Mapping[str, Any], data_name: str, key_name: str, arrival_ms: int, shard_id: str, sequence_number: str
) -> StoredRecord:
    partition_key = _text(content, key_name)
    if not 1 <= len(partition_key) <= _LONGEST_PARTITION_KEY:
        raise Unreadable(f"{key_name} has {len(partition_key)} characters, allowed: 1 to {_LONGEST_PARTITION_KEY}")
    partition_key.encode()
    try:
        data = binascii.a2b_base64(_text(content, data_name), strict_mode=True)
    except ValueError as error:
        raise Unreadable(f"{data_name} is not base64: {error}") from None
    return StoredRecord(data, partition_key, arrival_ms, shard_id, sequence_number)
