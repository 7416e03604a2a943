"""A model of a Kinesis stream and of the event source mapping that delivers it, with all of their ways to fail.

What AWS documents of the mapping ("How Lambda processes records from stream and queue-based event sources" and "Using
Lambda with Kinesis" in the Lambda developer guide), which no emulator implements: batches a shard, lanes by partition
key, partial batch responses, bisecting, retries, record age, on-failure payloads, parents before children, and replay.

Nothing here is random or timed: whoever drives the model says which lane goes next and what time it is.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

STREAM_ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/iops-dashboard-events"

_HASH_KEYS = 1 << 128

Invoke = Callable[[dict[str, Any]], Any]
"""Calls the function with an event; whatever it raises is an error of the function, a death included."""


@dataclass(frozen=True)
class StreamRecord:
    """A record as the stream keeps it."""

    sequence_number: str
    shard_id: str
    partition_key: str
    data: bytes
    arrival_ms: int

    def as_delivered(self) -> dict[str, Any]:
        """The record as the function gets it."""
        return {
            "eventID": f"{self.shard_id}:{self.sequence_number}",
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "awsRegion": "us-east-1",
            "eventSourceARN": STREAM_ARN,
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": self.partition_key,
                "sequenceNumber": self.sequence_number,
                "data": base64.b64encode(self.data).decode(),
                "approximateArrivalTimestamp": self.arrival_ms / 1000,
            },
        }


@dataclass
class Shard:
    """A range of hash keys, and what was put into it while it was open."""

    shard_id: str
    first_key: int
    last_key: int
    parents: tuple[str, ...] = ()
    open: bool = True
    records: list[StreamRecord] = field(default_factory=list)


class Stream:
    """A Kinesis stream."""

    def __init__(self, shards: int = 1) -> None:
        self.shards: dict[str, Shard] = {}
        self._sequence = 0
        for part in range(shards):
            self._open(part * _HASH_KEYS // shards, (part + 1) * _HASH_KEYS // shards - 1, ())

    def put(self, partition_key: str, data: bytes, arrival_ms: int) -> StreamRecord:
        """Adds a record to the open shard that its partition key's hash falls into."""
        key = int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest())
        (shard,) = (each for each in self.shards.values() if each.open and each.first_key <= key <= each.last_key)
        self._sequence += 1
        record = StreamRecord(f"{self._sequence:056d}", shard.shard_id, partition_key, data, arrival_ms)
        shard.records.append(record)
        return record

    def split(self, shard_id: str) -> None:
        """Closes a shard and opens two in its place."""
        shard = self.shards[shard_id]
        shard.open = False
        middle = (shard.first_key + shard.last_key) // 2
        self._open(shard.first_key, middle, (shard_id,))
        self._open(middle + 1, shard.last_key, (shard_id,))

    def merge(self, one: str, other: str) -> None:
        """Closes two neighbouring shards and opens one in their place."""
        lower, upper = sorted((self.shards[one], self.shards[other]), key=lambda shard: shard.first_key)
        if lower.last_key + 1 != upper.first_key:
            raise ValueError(f"shards {one} and {other} are not neighbours")
        lower.open = upper.open = False
        self._open(lower.first_key, upper.last_key, (lower.shard_id, upper.shard_id))

    def records(self) -> list[StreamRecord]:
        """Everything ever put, in order."""
        every = [record for shard in self.shards.values() for record in shard.records]
        return sorted(every, key=lambda record: record.sequence_number)

    def _open(self, first_key: int, last_key: int, parents: tuple[str, ...]) -> None:
        shard_id = f"shardId-{len(self.shards):012d}"
        self.shards[shard_id] = Shard(shard_id, first_key, last_key, parents)


@dataclass
class _Part:
    """A run of records that is delivered and retried together."""

    records: Sequence[StreamRecord]
    attempts: int = 0


@dataclass
class Lane:
    """One of a shard's concurrent batches: the records of the partition keys that fall to it, in order."""

    shard_id: str
    number: int
    read: int = 0
    """How many of the shard's records this lane has looked at."""
    parts: list[_Part] = field(default_factory=list)
    """What comes next: the first is delivered next, the others were cut off it."""
    under_way: Sequence[StreamRecord] = ()
    """What the function has at the moment. A lane has one invocation at a time."""


@dataclass
class EventSourceMapping:
    """Delivers a stream to a function.

    Attributes
    ----------
    on_failure
        What was given up: by S3 key, the records whose payload Lambda would write there.
    """

    stream: Stream
    invoke: Invoke
    now_ms: Callable[[], int]
    batch_size: int = 100
    parallelization_factor: int = 1
    bisect: bool = True
    max_retry_attempts: int = -1
    max_record_age_ms: int = -1
    on_failure: dict[str, list[StreamRecord]] = field(default_factory=dict)
    invocations: int = 0
    _lanes: dict[tuple[str, int], Lane] = field(default_factory=dict)

    def ready(self) -> list[Lane]:
        """The lanes that have something to deliver now, in a fixed order."""
        return [lane for lane in self._all_lanes() if not lane.under_way and self._has_more(lane)]

    def deliver(self, lane: Lane) -> None:
        """Delivers one batch of a lane, and does with it what the answer asks for.

        Another lane may deliver while the function is called.
        """
        if not lane.parts:
            lane.parts.append(_Part(self._next_batch(lane)))
        part = lane.parts.pop(0)
        fresh = [record for record in part.records if not self._too_old(record)]
        if len(fresh) < len(part.records):
            self._give_up([record for record in part.records if self._too_old(record)])
            if not fresh:
                return
            part.records = fresh
        self.invocations += 1
        lane.under_way = part.records
        try:
            answer = self.invoke({"Records": [record.as_delivered() for record in part.records]})
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | AssertionError):
                raise
            lane.parts[:0] = self._after_error(part)
            return
        finally:
            lane.under_way = ()
        failed = _first_failed(answer, part.records)
        if failed is None:
            return
        if failed < 0:
            lane.parts[:0] = self._after_error(part)
        elif failed and self.bisect:
            lane.parts.insert(0, _Part(part.records[failed:], part.attempts))
        else:
            lane.parts[:0] = self._again(_Part(part.records[failed:], part.attempts))

    def drain(self, limit: int = 100_000) -> None:
        """Delivers, always the first lane, until nothing is left."""
        for _ in range(limit):
            if not (lanes := self.ready()):
                return
            self.deliver(lanes[0])
        if self.ready():
            raise RuntimeError(f"the mapping was not done after {limit} deliveries")

    def replay(self) -> None:
        """Begins at the horizon again, as a mapping that was replaced does."""
        self._lanes.clear()

    def pending(self) -> list[StreamRecord]:
        """The records that are neither done nor given up."""
        left = []
        for lane in self._all_lanes():
            left += [*lane.under_way, *(record for part in lane.parts for record in part.records)]
            shard = self.stream.shards[lane.shard_id]
            left += [record for record in shard.records[lane.read :] if self._lane_of(record) == lane.number]
        return left

    def _all_lanes(self) -> list[Lane]:
        return [
            self._lanes.setdefault((shard_id, number), Lane(shard_id, number))
            for shard_id in self.stream.shards
            for number in range(self.parallelization_factor)
        ]

    def _has_more(self, lane: Lane) -> bool:
        return all(self._done(parent) for parent in self.stream.shards[lane.shard_id].parents) and self._has_unread(
            lane
        )

    def _has_unread(self, lane: Lane) -> bool:
        unread = self.stream.shards[lane.shard_id].records[lane.read :]
        return bool(lane.parts or lane.under_way) or any(self._lane_of(record) == lane.number for record in unread)

    def _done(self, shard_id: str) -> bool:
        """Whether nothing is left of a shard, nor of those that it came from."""
        lanes = [lane for lane in self._all_lanes() if lane.shard_id == shard_id]
        parents = self.stream.shards[shard_id].parents
        return not any(self._has_unread(lane) for lane in lanes) and all(self._done(parent) for parent in parents)

    def _lane_of(self, record: StreamRecord) -> int:
        digest = hashlib.blake2b(record.partition_key.encode(), digest_size=8).digest()
        return int.from_bytes(digest) % self.parallelization_factor

    def _next_batch(self, lane: Lane) -> list[StreamRecord]:
        batch: list[StreamRecord] = []
        records = self.stream.shards[lane.shard_id].records
        while lane.read < len(records) and len(batch) < self.batch_size:
            record = records[lane.read]
            lane.read += 1
            if self._lane_of(record) == lane.number:
                batch.append(record)
        return batch

    def _after_error(self, part: _Part) -> list[_Part]:
        """The whole batch failed: two halves where it may be bisected, which uses up no retry."""
        if self.bisect and len(part.records) > 1:
            middle = len(part.records) // 2
            return [_Part(part.records[:middle], part.attempts), _Part(part.records[middle:], part.attempts)]
        return self._again(part)

    def _again(self, part: _Part) -> list[_Part]:
        part.attempts += 1
        if 0 <= self.max_retry_attempts < part.attempts:
            self._give_up(part.records)
            return []
        return [part]

    def _too_old(self, record: StreamRecord) -> bool:
        return 0 <= self.max_record_age_ms < self.now_ms() - record.arrival_ms

    def _give_up(self, records: Sequence[StreamRecord]) -> None:
        key = f"aws/lambda/mapping/{records[0].shard_id}/{len(self.on_failure):06d}"
        self.on_failure[key] = list(records)


def _first_failed(answer: Any, records: Sequence[StreamRecord]) -> int | None:
    """The position of the checkpoint that a partial batch response names; None for success, -1 for the whole batch.

    Null, an empty object and an empty list are success; an identifier that is null, empty or not of the batch fails
    the whole batch (Lambda developer guide, "Configuring partial batch response").
    """
    failures = (answer or {}).get("batchItemFailures") or []
    positions = {record.sequence_number: position for position, record in enumerate(records)}
    named = [positions.get(failure.get("itemIdentifier"), -1) for failure in failures]
    return min(named, default=None)
