"""The processor as tests run it: records, a clock that stands still, and AWS in memory."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from functions.entities.attribute_values import from_attribute
from functions.entities.wakes import Rhythm
from functions.environment import written
from functions.model import SECOND_MS, Record, from_iso
from functions.processor import handler, roll
from functions.rollup import handler as rollup
from proof.invocation import context, process
from proof.memory_aws import FakeAws

NOW = from_iso("2026-11-23T10:00:00.000Z")

ENVIRONMENT = {
    **written(
        {
            "DYNAMODB_TABLE_NAME": "iops-dashboard-metrics",
            "STATE_TABLE_NAME": "iops-dashboard-state",
            "EVENT_BUS_NAME": "iops-dashboard-alerts",
            "QUARANTINE_BUCKET_NAME": "iops-dashboard-quarantine",
            "WAKE_LANES": "4",
            "POWERTOOLS_METRICS_NAMESPACE": "iops-dashboard",
            "POWERTOOLS_SERVICE_NAME": "processor",
        }
    ),
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}


def event_json(event_type: str, payload: dict[str, Any], **envelope: Any) -> bytes:
    """An event as a producer writes it."""
    return json.dumps({"event_type": event_type, "payload": payload, **envelope}).encode()


def record(data: bytes, position: int = 0, arrival_ms: int = NOW) -> Record:
    """A record as the decoder takes it."""
    return Record(
        sequence_number=f"{position:021d}",
        shard_id="shardId-000000000000",
        partition_key="session_started",
        arrival_ms=arrival_ms,
        data=base64.b64encode(data).decode(),
        event_source_arn="arn:aws:kinesis:us-east-1:123456789012:stream/iops-dashboard-events",
    )


def delivery(records: list[Record]) -> dict[str, Any]:
    """Records as the event source mapping delivers them."""
    return {
        "Records": [
            {
                "eventID": f"{each.shard_id}:{each.sequence_number}",
                "eventSourceARN": each.event_source_arn,
                "kinesis": {
                    "sequenceNumber": each.sequence_number,
                    "partitionKey": each.partition_key,
                    "approximateArrivalTimestamp": each.arrival_ms / 1000,
                    "data": each.data,
                },
            }
            for each in records
        ]
    }


@dataclass
class Clock:
    """Processing time, as the test sets it."""

    ms: int = NOW


@dataclass
class Deployment:
    """The handler, the roll and the rollup over AWS in memory."""

    aws: FakeAws = field(default_factory=FakeAws)
    clock: Clock = field(default_factory=Clock)
    remaining_ms: int = 120_000

    @property
    def context(self) -> Any:
        return context(lambda: self.remaining_ms)

    def deliver(self, *payloads: bytes | Record) -> list[str]:
        """Delivers records (bytes get positions as sequence numbers); returns the identifiers reported as failed."""
        records = [
            each if isinstance(each, Record) else record(each, position) for position, each in enumerate(payloads)
        ]
        answer = handler.lambda_handler(delivery(records), self.context)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def roll(self) -> dict[str, int | bool]:
        rolled: dict[str, int | bool] = roll.lambda_handler({}, self.context)
        return rolled

    def next_roll(self) -> dict[str, int | bool]:
        """Lets the clock go on to the first roll that finds all that is due now and what was just written; calls it."""
        self.clock.ms = Rhythm().next_roll(self.clock.ms + self.remaining_ms) * SECOND_MS
        return self.roll()

    def rollup(self) -> dict[str, int]:
        rolled_up: dict[str, int] = rollup.lambda_handler({}, self.context)
        return rolled_up

    def item(self, entity_type: str, entity_id: str) -> dict[str, Any]:
        stored = self.aws.items[entity_type, entity_id]
        return {name: from_attribute(value) for name, value in stored.items()}

    def told(self) -> list[dict[str, Any]]:
        """The alerts on the bus, in order."""
        return [json.loads(entry["Detail"]) for entry in self.aws.events]


@contextmanager
def deployed(changes: Mapping[str, str] | None = None) -> Iterator[Deployment]:
    """The functions over AWS in memory, with a clock that stands still and nothing kept from elsewhere; with what
    `changes` has other than `ENVIRONMENT`."""
    made = Deployment()
    with process(ENVIRONMENT | dict(changes or {}), made.aws.client, lambda: made.clock.ms):
        yield made
