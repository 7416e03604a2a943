"""Reads the stream again from a time and sends its records through the processor, as the event source mapping would.

Harmless by design: facts merge, so what is known already changes nothing. Nothing here looks at what records say.
"""

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from functions.model import from_datetime, to_iso
from ops.aws import SERVICE, UserError
from ops.function_logs import log_group

BYTES_A_CALL: Final = 6_000_000
"""Lambda takes 6 MB of a synchronous call (Lambda quotas, "Invocation payload")."""
RECORDS_A_READ: Final = 10_000  # GetRecords
_PAUSE_SECONDS: Final = 0.25
"""A shard answers five reads a second, for all that read it (Kinesis Data Streams quotas): this leaves the mapping its
part."""
_WAIT_SECONDS: Final = 0.5
"""Doubled before each further attempt."""
_ATTEMPTS: Final = 6
_FRUITLESS_BATCHES: Final = 3
"""So many batches in a row may fail as a whole before the replay stops: that is an outage."""
_LOOKS: Final = 10
"""How many pages are looked through for a shard's first record by what only looks."""
_THROTTLED: Final = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException"})
_BUSY: Final = frozenset({"TooManyRequestsException", "ServiceException", "ResourceConflictException"})


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the stream."""

    shard_id: str
    parents: tuple[str, ...]
    closed: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A stream to read from."""

    name: str
    arn: str
    retention_hours: int
    shards: Sequence[Shard]
    """Parents before children."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that the processor did not take in."""

    shard_id: str
    sequence_number: str
    why: str


@dataclass(frozen=True, slots=True)
class Rest:
    """What a replay has not done: these shards, from this moment."""

    shard_ids: Sequence[str]
    since_ms: int


@dataclass(slots=True)
class Progress:
    """How far a replay has come; right at any moment at which it may be interrupted."""

    records: int = 0
    """Sent through the processor."""
    calls: int = 0
    written: int | None = 0
    """Entities whose items changed, and ..."""
    quarantined: int | None = 0
    """... records quarantined, as the processor's log says; None as soon as it did not."""
    failed: list[Failed] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """Shards that were read to the end."""
    shard_id: str = ""
    """The shard that is being read."""
    since_ms: int = 0
    """From when on it is still to be done, epoch ms."""

    def rest(self, shard_ids: Sequence[str], since_ms: int) -> list[Rest]:
        """What is left of these shards, which were to be replayed from `since_ms`."""
        left = [each for each in shard_ids if each not in self.done]
        if not left:
            return []
        if left[0] != self.shard_id or self.since_ms == since_ms:
            return [Rest(left, since_ms)]
        return [Rest(left[:1], self.since_ms), *([Rest(left[1:], since_ms)] if left[1:] else [])]


def source(kinesis: Any, stream: str) -> Source:
    """The stream and all its shards, closed ones that still hold records included.

    Raises
    ------
    ClientError, BotoCoreError
        When a call fails after the client's own retries.
    """
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    shards: dict[str, Shard] = {}
    page: dict[str, Any] = {"StreamName": stream}
    while page:
        answer = kinesis.list_shards(**page)
        for each in answer["Shards"]:
            parents = (each.get("ParentShardId"), each.get("AdjacentParentShardId"))
            closed = "EndingSequenceNumber" in each["SequenceNumberRange"]
            shards[each["ShardId"]] = Shard(each["ShardId"], tuple(filter(None, parents)), closed)
        page = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
    return Source(stream, summary["StreamARN"], summary["RetentionPeriodHours"], _parents_first(shards))


def _parents_first(shards: Mapping[str, Shard]) -> list[Shard]:
    ordered: dict[str, Shard] = {}

    def add(shard: Shard) -> None:
        for parent in shard.parents:
            if parent in shards and parent not in ordered:  # a parent that has expired is gone
                add(shards[parent])
        ordered[shard.shard_id] = shard

    for shard_id in sorted(shards):
        if shard_id not in ordered:
            add(shards[shard_id])
    return list(ordered.values())


def chosen(stream: Source, shard_ids: Sequence[str]) -> list[Shard]:
    """These shards of the stream, or all, parents before children.

    Raises
    ------
    UserError
        When one is not there.
    """
    known = {shard.shard_id for shard in stream.shards}
    if unknown := [shard_id for shard_id in shard_ids if shard_id not in known]:
        names = ", ".join(sorted(known)[:10]) + (", ..." if len(known) > 10 else "")
        raise UserError(f"the stream {stream.name} has no shard {unknown[0]}: choose from {names}", 2)
    return [shard for shard in stream.shards if not shard_ids or shard.shard_id in shard_ids]


def first_arrival(kinesis: Any, stream: str, shard_id: str, since_ms: int, until_ms: int) -> int | None:
    """When a shard's first record arrived in that time, epoch ms; reads next to nothing. None where none is seen."""
    reader = _Reader(kinesis, stream, shard_id, since_ms, time.sleep)
    for _ in range(_LOOKS):
        records = reader.read(1)
        if records:
            arrival_ms = _arrival_ms(records[0])
            return arrival_ms if arrival_ms < until_ms else None
        if reader.at_end:
            break
    return None


def delivered(record: Mapping[str, Any], shard_id: str, stream_arn: str) -> dict[str, Any]:
    """A record of GetRecords as the mapping hands it to the function (Lambda developer guide, "Using Lambda with
    Kinesis")."""
    return {
        "eventID": f"{shard_id}:{record['SequenceNumber']}",
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventName": "aws:kinesis:record",
        "awsRegion": stream_arn.split(":")[3],
        "eventSourceARN": stream_arn,
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": _arrival_ms(record) / 1000,
        },
    }


def _arrival_ms(record: Mapping[str, Any]) -> int:
    return from_datetime(record["ApproximateArrivalTimestamp"])


class _Reader:
    """Reads one shard, page after page."""

    def __init__(self, kinesis: Any, stream: str, shard_id: str, since_ms: int, sleep: Callable[[float], None]) -> None:
        self._kinesis, self._stream, self._shard_id = kinesis, stream, shard_id
        self._since_ms, self._sleep = since_ms, sleep
        self._last: str | None = None
        self._iterator: str | None = self._begin()
        self.at_end = False
        """Whether nothing more is there now."""

    def _begin(self) -> str:
        where: dict[str, Any] = {
            "ShardIteratorType": "AT_TIMESTAMP",
            "Timestamp": datetime.fromtimestamp(self._since_ms / 1000, UTC),
        }
        if self._last is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._last}
        answer = self._kinesis.get_shard_iterator(StreamName=self._stream, ShardId=self._shard_id, **where)
        iterator: str = answer["ShardIterator"]
        return iterator

    def read(self, most: int) -> list[Mapping[str, Any]]:
        """The next records; none does not mean that it is the end."""
        if self._iterator is None:
            self.at_end = True
            return []
        answer = self._get(most)
        self._iterator = answer.get("NextShardIterator")
        records: list[Mapping[str, Any]] = answer["Records"]
        if records:
            self._last = records[-1]["SequenceNumber"]
        self.at_end = self._iterator is None or (not records and answer.get("MillisBehindLatest", 0) == 0)
        return records

    def _get(self, most: int) -> dict[str, Any]:
        for attempt in range(_ATTEMPTS):
            try:
                answer: dict[str, Any] = self._kinesis.get_records(ShardIterator=self._iterator, Limit=most)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ExpiredIteratorException":  # it lives five minutes, and a page of records may take longer
                    self._iterator = self._begin()
                elif code not in _THROTTLED or attempt == _ATTEMPTS - 1:
                    raise
                else:
                    self._sleep(_WAIT_SECONDS * 2**attempt)
            else:
                return answer
        raise UserError(
            f"the shard {self._shard_id} of the stream {self._stream} cannot be read: its iterators expire at once; "
            "check this machine's clock, then run the command again",
            SERVICE,
        )


def replay(
    kinesis: Any,
    function: Any,
    stream: Source,
    shards: Sequence[Shard],
    name: str,
    since_ms: int,
    until_ms: int,
    progress: Progress,
    *,
    batch_size: int = 100,
    report: Callable[[int], None] = lambda _records: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Sends what arrived in that time through the processor, shard after shard.

    Parameters
    ----------
    kinesis, function
        Clients of boto3's kind, of Kinesis and of Lambda.
    stream, shards
        What to read, in this order.
    name
        The processor's function.
    since_ms, until_ms
        Epoch ms: what arrived then or later, and before that.
    progress
        StoredObject up to date.
    batch_size
        How many records a call has at most.
    report
        Called after each call with the number of its records.
    sleep
        How to wait some seconds.

    Raises
    ------
    UserError
        When the function raises again and again, or takes in nothing.
    ClientError, BotoCoreError
        When another call fails after the client's own retries.
    """
    calls = _Invocations(function, name, progress, sleep)
    for shard in shards:
        progress.shard_id, progress.since_ms = shard.shard_id, since_ms
        for batch in _batches(kinesis, stream, shard, since_ms, until_ms, batch_size, sleep):
            calls.send(shard.shard_id, [record for record, _ in batch])
            if not calls.fruitless:  # after an outage what failed in it is to be done too
                progress.since_ms = batch[-1][1]
            report(len(batch))
        progress.done.append(shard.shard_id)


def _batches(
    kinesis: Any,
    stream: Source,
    shard: Shard,
    since_ms: int,
    until_ms: int,
    batch_size: int,
    sleep: Callable[[float], None],
) -> Iterator[list[tuple[dict[str, Any], int]]]:
    """A shard's records as the function gets them, with their arrivals, in parts that one call takes."""
    reader = _Reader(kinesis, stream.name, shard.shard_id, since_ms, sleep)
    while not reader.at_end:
        records = reader.read(RECORDS_A_READ)
        batch: list[tuple[dict[str, Any], int]] = []
        size = 0
        for record in records:
            arrival_ms = _arrival_ms(record)
            if arrival_ms >= until_ms:
                continue
            made = delivered(record, shard.shard_id, stream.arn)
            more = len(json.dumps(made)) + 1
            if batch and (len(batch) == batch_size or size + more > BYTES_A_CALL):
                yield batch
                batch, size = [], 0
            batch.append((made, arrival_ms))
            size += more
        if batch:
            yield batch
        # Arrivals are approximate: one that is too late does not say that all after it are.
        if records and all(_arrival_ms(record) >= until_ms for record in records):
            return
        sleep(_PAUSE_SECONDS)


class _Invocations:
    """Calls the processor until it has taken in what it can."""

    def __init__(self, function: Any, name: str, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._function, self._name, self._progress, self._sleep = function, name, progress, sleep
        self.fruitless = 0
        """How many batches in a row have failed as a whole."""

    def send(self, shard_id: str, records: Sequence[dict[str, Any]]) -> None:
        """Sends a batch; of what is reported as failed, those records again, and what stays failed is noted."""
        pending = list(records)
        if len(pending) == 1 and len(json.dumps(pending[0])) > BYTES_A_CALL:
            self._note(shard_id, pending, f"it is larger than the {BYTES_A_CALL:,} bytes that Lambda takes")
            return
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(_WAIT_SECONDS * 2**attempt)
            failures = self._invoke(pending)
            pending = [each for each in pending if each["kinesis"]["sequenceNumber"] in failures]
            if not pending:
                break
        self._progress.records += len(records)
        self.fruitless = self.fruitless + 1 if len(pending) == len(records) else 0
        self._note(shard_id, pending, f"the processor reported it as failed {_ATTEMPTS} times")
        if self.fruitless == _FRUITLESS_BATCHES:
            raise UserError(
                f"the function {self._name} reported all of {_FRUITLESS_BATCHES} batches in a row as failed: see why "
                f"in its log ({log_group(self._name)}), and go on when that is mended",
                SERVICE,
            )

    def _note(self, shard_id: str, records: Sequence[dict[str, Any]], why: str) -> None:
        self._progress.failed += [Failed(shard_id, each["kinesis"]["sequenceNumber"], why) for each in records]

    def _invoke(self, records: Sequence[dict[str, Any]]) -> set[str]:
        """The sequence numbers that the function reports as failed; an answer of no use means all of them."""
        payload = json.dumps({"Records": records}).encode()
        error = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(_WAIT_SECONDS * 2**attempt)
            try:
                answer = self._function.invoke(FunctionName=self._name, LogType="Tail", Payload=payload)
            except ClientError as refused:
                if refused.response["Error"]["Code"] not in _BUSY or attempt == _ATTEMPTS - 1:
                    raise
                continue
            self._progress.calls += 1
            said = answer["Payload"].read()
            if answer.get("FunctionError"):
                error = _error(said)
                continue
            self._count(answer.get("LogResult", ""))
            known = {each["kinesis"]["sequenceNumber"] for each in records}
            failures = _failures(said)
            return failures if failures.issubset(known) else known
        raise UserError(
            f"the function {self._name} ends with an error, {_ATTEMPTS} times in a row: {error}; see its log "
            f"({log_group(self._name)}); where it ran out of time or memory, give a smaller --batch-size",
            SERVICE,
        )

    def _count(self, tail: str) -> None:
        """Adds what the processor's log says of a call; its last 4 KB come with the answer."""
        for line in reversed(base64.b64decode(tail).decode(errors="replace").splitlines()):
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict) and said.get("message") == "Batch processing complete":
                    if self._progress.written is not None:
                        self._progress.written += said["written"]
                    if self._progress.quarantined is not None:
                        self._progress.quarantined += said["quarantined"]
                    return
        self._progress.written = self._progress.quarantined = None


def _failures(said: bytes) -> set[str]:
    """The identifiers of a partial batch response; null, an empty object and an empty list are success."""
    answer = json.loads(said) or {}
    return {str(failure.get("itemIdentifier")) for failure in answer.get("batchItemFailures") or []}


def _error(said: bytes) -> str:
    """What a function's error is, in short (Lambda developer guide, "Python function errors")."""
    try:
        error = json.loads(said)
        return f"{error.get('errorType', 'an error')}: {error['errorMessage']}"
    except (ValueError, KeyError, AttributeError):
        return said[:200].decode(errors="replace")


def until(since_ms: int, until_ms: int | None, now_ms: int) -> int:
    """The end of a replay: what was asked for, or now.

    Raises
    ------
    UserError
        When nothing can have arrived in that time.
    """
    end = now_ms if until_ms is None else until_ms
    if since_ms >= now_ms:
        raise UserError(f"--since is {to_iso(since_ms)}, which is yet to come: give an earlier one", 2)
    if since_ms >= end:
        raise UserError("--since is not before --until, so nothing can be selected: give an earlier --since", 2)
    return end
