"""Puts a corrected record in the place of a quarantined one: checks the new data, then redrives it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from functions.entities.arrivals import gather
from functions.events.decode import decode
from functions.model import EntityKey, Record
from ops.quarantine.redrive import Calls, Outcome, with_time
from ops.quarantine.stored_objects import StoredObject, StoredRecord


@dataclass(frozen=True, slots=True)
class Check:
    """What the processor would do with a record."""

    reason: str = ""
    """Why the processor would quarantine it again; empty when it would accept the record."""
    detail: str = ""
    event_type: str = ""
    entities: Sequence[EntityKey] = ()
    """The entities that the record counts for."""


def check(record: StoredRecord, data: bytes, now_ms: int, future_tolerance_ms: int) -> Check:
    """Runs the processor's validation on the new data of a record that arrives now.

    Only the entity itself can decide `too_late` and `too_many`; they stay open.

    Parameters
    ----------
    record
        The quarantined record, which gives its partition key and its first arrival.
    data
        The corrected data.
    now_ms
        The clock, epoch ms.
    future_tolerance_ms
        The processor's setting.
    """
    sent = base64.b64encode(with_time(data, record.arrival_ms)).decode()
    arriving = Record(record.sequence_number, record.shard_id, record.partition_key, now_ms, sent, "")
    batch = decode([arriving], future_tolerance_ms)
    if batch.rejections:
        (rejection,) = batch.rejections
        return Check(rejection.reason, rejection.detail)
    (event,) = batch.events
    return Check(event_type=event.event_type, entities=gather([event]).keys)


def mend(s3: Any, kinesis: Any, bucket: str, stream: str, quarantined: StoredObject, data: bytes) -> Outcome:
    """Puts the corrected data on the stream, then removes the object of the quarantined record.

    The record keeps its partition key and its first arrival.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the clients' own retries.
    """
    (record,) = quarantined.records
    outcomes: list[Outcome] = []
    calls = Calls(s3, kinesis, bucket, stream, outcomes.append)
    calls.add(quarantined, [StoredRecord(data, record.partition_key, record.arrival_ms)])
    calls.flush()
    (outcome,) = outcomes
    return outcome
