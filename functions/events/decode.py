"""Decodes the mapping's batch into events: base64, UTF-8, JSON, validation. Pure.

Each record becomes an `Event` or a `Rejection`. A bad record never stops its neighbours.
"""

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from functions.events.validate import validate
from functions.model import Event, InvalidRecord, Record, Rejection, excerpt

_json: Final = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Batch:
    """A decoded batch: every record is in exactly one of `events` and `rejections`."""

    records: Sequence[Record]
    events: Sequence[Event]
    rejections: Sequence[Rejection]

    def sequence_numbers(self, positions: set[int]) -> list[str]:
        """Return the sequence numbers of the records at these positions, in stream order."""
        return [self.records[position].sequence_number for position in sorted(positions)]


def read_records(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Read the mapping's list `Records` (AWS Lambda developer guide, "Using Lambda with Kinesis")."""
    return [
        Record(
            (kinesis := record["kinesis"])["sequenceNumber"],
            record["eventID"].partition(":")[0],
            kinesis["partitionKey"],
            round(kinesis["approximateArrivalTimestamp"] * 1000),
            kinesis["data"],
            record["eventSourceARN"],
        )
        for record in records
    ]


def decode(records: Sequence[Record], future_tolerance_ms: int) -> Batch:
    """Decode and validate a whole batch."""
    events: list[Event] = []
    rejections: list[Rejection] = []
    for position, record in enumerate(records):
        try:
            events.append(validate(_parse(record.data), position, record.arrival_ms, future_tolerance_ms))
        except InvalidRecord as invalid:
            rejections.append(Rejection(position, invalid.reason, invalid.detail))
        except RecursionError:
            rejections.append(Rejection(position, "not_json", "the data is nested too deeply to be read"))
    return Batch(records, events, rejections)


def _parse(data: str) -> object:
    # msgspec reads base64 in half of binascii's time, accepts nothing that binascii refuses, and checks UTF-8.
    try:
        return _json(msgspec.convert(data, bytes))
    except (msgspec.DecodeError, UnicodeError):
        return _parse_strictly(data)


def _parse_strictly(data: str) -> object:
    """Parse step by step, to find out what is wrong. Only this way accepts more padding than base64 needs."""
    try:
        raw = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:  # binascii.Error, or characters beyond ASCII
        raise InvalidRecord("not_base64", f"the data is {excerpt(data)}: {error}") from None
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord("not_utf8", f"the data is {excerpt(raw)}: {error.reason}") from None
    try:
        return _json(raw)
    except msgspec.DecodeError as error:
        raise InvalidRecord("not_json", f"the data is {excerpt(raw)}: {error}") from None
