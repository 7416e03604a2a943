"""Objects of the quarantine as the processor and Lambda write them, and a bucket and a stream in memory."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from functions.model import from_iso, to_iso

BUCKET, STREAM = "quarantine", "events"
ARRIVAL = from_iso("2026-11-23T10:00:00.125Z")
MAPPING = "aws/lambda/0a1b2c3d-0000-4000-8000-000000000000/"


class Died(BaseException):
    """The process ends here."""


def quarantined(data: bytes, number: int = 1, reason: str = "not_json", arrival_ms: int = ARRIVAL) -> tuple[str, bytes]:
    """An object as the processor writes it, with its key."""
    body = {
        "reason": reason,
        "detail": "said by a test",
        "data": base64.b64encode(data).decode(),
        "partition_key": f"key {number}",
        "sequence_number": f"{number:021d}",
        "shard_id": "shardId-000000000000",
        "arrival_time": to_iso(arrival_ms),
        "event_source_arn": "arn:aws:kinesis:us-east-1:123456789012:stream/events",
    }
    return f"records/shardId-000000000000/{number:021d}.json", json.dumps(body).encode()


def delivered(data: bytes, number: int, arrival_ms: int = ARRIVAL) -> dict[str, Any]:
    """A record as the mapping delivers it."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": f"key {number}",
            "sequenceNumber": f"{number:056d}",
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": arrival_ms / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventID": f"shardId-000000000006:{number:056d}",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/events",
    }


def given_up(*records: dict[str, Any], number: int = 1) -> tuple[str, bytes]:
    """An object as Lambda writes it for a mapping whose destination is S3."""
    body = {
        "requestContext": {"requestId": "r", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4},
        "version": "1.0",
        "timestamp": "2026-11-23T10:05:00.000Z",
        "KinesisBatchInfo": {"shardId": "shardId-000000000006", "batchSize": len(records)},
        "payload": json.dumps({"Records": records}),
    }
    place = "shardId-000000000006/2026/11/23/2026-11-23T10.05.00"
    return f"{MAPPING}{place}-{number:08d}-0000-4000-8000-000000000000", json.dumps(body).encode()


def data(number: int) -> bytes:
    """An event with a time of its own, so that it is put as it is."""
    return b'{"event_type": "ib_call_logged", "timestamp": "2026-11-23T09:00:00Z", "number": %d}' % number


@dataclass
class Aws:
    """A bucket and a stream in memory, which a test may interrupt, and which count their calls."""

    objects: dict[str, bytes] = field(default_factory=dict)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """How many records each call to the stream had."""
    dies_at: int | None = None
    dies_after: bool = False
    """Whether the fatal call is carried out first."""
    refuse: Callable[[dict[str, Any]], str | None] = lambda _: None
    """The error code for an entry."""
    raise_for: Callable[[list[dict[str, Any]]], None] = lambda _: None
    """Raises for a whole call to the stream."""

    def _count(self, operation: str, call: Callable[[], Any]) -> Any:
        index = len(self.calls)
        self.calls.append(operation)
        if index == self.dies_at:
            if self.dies_after:
                call()
            raise Died
        return call()

    def get_paginator(self, operation: str) -> "Aws":
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        assert Bucket == BUCKET
        found = sorted(key for key in self.objects if key.startswith(Prefix))
        yield {"KeyCount": 0}  # as S3 answers for a page without objects
        for start in range(0, len(found), 2):
            self._count("list", lambda: None)
            yield {"Contents": [{"Key": key} for key in found[start : start + 2]]}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._count("get", lambda: self.objects[Key]))}

    def delete_object(self, *, Bucket: str, Key: str) -> None:
        self._count("delete", lambda: self.objects.pop(Key, None))

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert StreamName == STREAM
        assert 1 <= len(Records) <= 500
        size = sum(len(record["Data"]) + len(record["PartitionKey"].encode()) for record in Records)
        assert size <= 5 * 1024 * 1024 or len(Records) == 1
        self.sizes.append(len(Records))
        self.raise_for(Records)
        answer: dict[str, Any] = self._count("put", lambda: self._put(Records))
        return answer

    def _put(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        answers: list[dict[str, str]] = []
        for record in records:
            if code := self.refuse(record):
                answers.append({"ErrorCode": code, "ErrorMessage": "refused by a test"})
            else:
                self.accepted.append(record)
                answers.append({"SequenceNumber": str(len(self.accepted)), "ShardId": "shardId-000000000000"})
        return {"FailedRecordCount": sum("ErrorCode" in each for each in answers), "Records": answers}

    @property
    def data(self) -> list[bytes]:
        return [record["Data"] for record in self.accepted]
