"""Reads the stream again from a time and sends its records through the processor, as the event source mapping would.

A replay is harmless: facts merge, so records that the processor already knows change nothing.
"""

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import ClientError

from functions.model import to_iso
from ops.aws import SERVICE, UserError
from ops.function_logs import log_group
from ops.quarantine.stream_reader import Shard, ShardReader, Source, arrival_ms, delivered

BYTES_A_CALL: Final = 6_000_000
"""Lambda accepts 6 MB in a synchronous call (Lambda quotas, "Invocation payload")."""
RECORDS_A_READ: Final = 10_000  # GetRecords
_PAUSE_SECONDS: Final = 0.25
"""A shard answers five reads a second, for all its readers together (Kinesis Data Streams quotas). The pause leaves
some of them to the processor's mapping."""
_WAIT_SECONDS: Final = 0.5
"""Doubled before each further attempt."""
_ATTEMPTS: Final = 6
_FRUITLESS_BATCHES: Final = 3
"""After so many batches in a row that fail as a whole the replay stops: that is an outage."""
_BUSY: Final = frozenset({"TooManyRequestsException", "ServiceException", "ResourceConflictException"})


@dataclass(frozen=True, slots=True)
class Failed:
    """A record that the processor did not accept."""

    shard_id: str
    sequence_number: str
    why: str


@dataclass(frozen=True, slots=True)
class Rest:
    """What a replay has not done: these shards from this moment on."""

    shard_ids: Sequence[str]
    since_ms: int


@dataclass(slots=True)
class Progress:
    """How far a replay has come; correct at any moment at which it may be interrupted."""

    records: int = 0
    """How many records were sent through the processor."""
    calls: int = 0
    written: int | None = 0
    """How many items were written, as the processor's log says; None as soon as a call's log did not say it."""
    quarantined: int | None = 0
    """How many records were quarantined; None likewise."""
    failed: list[Failed] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """Shards that were read to the end."""
    shard_id: str = ""
    """The shard that is being read."""
    since_ms: int = 0
    """From when on this shard is still to be replayed, epoch ms."""

    def rest(self, shard_ids: Sequence[str], since_ms: int) -> list[Rest]:
        """Returns what is left of these shards, which were to be replayed from `since_ms` on."""
        left = [shard_id for shard_id in shard_ids if shard_id not in self.done]
        if not left:
            return []
        if left[0] != self.shard_id or self.since_ms == since_ms:
            return [Rest(left, since_ms)]
        return [Rest(left[:1], self.since_ms), *([Rest(left[1:], since_ms)] if left[1:] else [])]


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
    """Sends the records that arrived in that time through the processor, shard after shard.

    Parameters
    ----------
    kinesis, function
        Clients of boto3's kind, of Kinesis and of Lambda.
    stream, shards
        What to read, in this order.
    name
        The name of the processor's function.
    since_ms, until_ms
        Epoch ms: records that arrived at `since_ms` or later, and before `until_ms`.
    progress
        Is kept up to date.
    batch_size
        How many records a call has at most.
    report
        Called after each call with the number of its records.
    sleep
        How to wait some seconds.

    Raises
    ------
    UserError
        When the function fails again and again, or accepts nothing.
    ClientError, BotoCoreError
        When another call fails after the client's own retries.
    """
    calls = _Invocations(function, name, progress, sleep)
    for shard in shards:
        progress.shard_id, progress.since_ms = shard.shard_id, since_ms
        for batch in _batches(kinesis, stream, shard, since_ms, until_ms, batch_size, sleep):
            calls.send(shard.shard_id, [record for record, _ in batch])
            if not calls.fruitless:  # batches that failed as a whole are still to be done
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
    """Yields a shard's records as the function gets them, with their arrivals (epoch ms), in batches for one call."""
    reader = ShardReader(kinesis, stream.name, shard.shard_id, since_ms, sleep)
    while not reader.at_end:
        records = reader.read(RECORDS_A_READ)
        batch: list[tuple[dict[str, Any], int]] = []
        size = 0
        for record in records:
            arrived_ms = arrival_ms(record)
            if arrived_ms >= until_ms:
                continue
            event = delivered(record, shard.shard_id, stream.arn)
            event_size = len(json.dumps(event)) + 1
            if batch and (len(batch) == batch_size or size + event_size > BYTES_A_CALL):
                yield batch
                batch, size = [], 0
            batch.append((event, arrived_ms))
            size += event_size
        if batch:
            yield batch
        # Arrivals are approximate: after a record that is too late, one may come that is not.
        if records and all(arrival_ms(record) >= until_ms for record in records):
            return
        sleep(_PAUSE_SECONDS)


class _Invocations:
    """Calls the processor with batches, and again with the records that it reports as failed."""

    def __init__(self, function: Any, name: str, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._function, self._name, self._progress, self._sleep = function, name, progress, sleep
        self.fruitless = 0
        """How many batches in a row have failed as a whole."""

    def send(self, shard_id: str, records: Sequence[dict[str, Any]]) -> None:
        """Sends a batch, and again the records that are reported as failed; notes the records that stay failed."""
        pending = list(records)
        if len(pending) == 1 and len(json.dumps(pending[0])) > BYTES_A_CALL:
            self._note(shard_id, pending, f"it is larger than the {BYTES_A_CALL:,} bytes that Lambda takes")
            return
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(_WAIT_SECONDS * 2**attempt)
            failures = self._invoke(pending)
            pending = [record for record in pending if record["kinesis"]["sequenceNumber"] in failures]
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
        self._progress.failed += [Failed(shard_id, record["kinesis"]["sequenceNumber"], why) for record in records]

    def _invoke(self, records: Sequence[dict[str, Any]]) -> set[str]:
        """Returns the sequence numbers that the function reports as failed; all when it reports unknown ones."""
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
            payload_returned = answer["Payload"].read()
            if answer.get("FunctionError"):
                error = _error(payload_returned)
                continue
            self._count(answer.get("LogResult", ""))
            known = {record["kinesis"]["sequenceNumber"] for record in records}
            failures = _failures(payload_returned)
            return failures if failures.issubset(known) else known
        raise UserError(
            f"the function {self._name} ends with an error, {_ATTEMPTS} times in a row: {error}; see its log "
            f"({log_group(self._name)}); where it ran out of time or memory, give a smaller --batch-size",
            SERVICE,
        )

    def _count(self, tail: str) -> None:
        """Adds what the processor has logged about a call; the answer includes the last 4 KB of its log."""
        for line in reversed(base64.b64decode(tail).decode(errors="replace").splitlines()):
            with contextlib.suppress(ValueError):
                document = json.loads(line)
                if isinstance(document, dict) and document.get("message") == "Batch processing complete":
                    if self._progress.written is not None:
                        self._progress.written += document["written"]
                    if self._progress.quarantined is not None:
                        self._progress.quarantined += document["quarantined"]
                    return
        self._progress.written = self._progress.quarantined = None


def _failures(response: bytes) -> set[str]:
    """Returns the identifiers in a partial batch response; null, an empty object and an empty list are success."""
    answer = json.loads(response) or {}
    return {str(failure.get("itemIdentifier")) for failure in answer.get("batchItemFailures") or []}


def _error(response: bytes) -> str:
    """Returns a function's error in short (Lambda developer guide, "Python function errors")."""
    try:
        error = json.loads(response)
        return f"{error.get('errorType', 'an error')}: {error['errorMessage']}"
    except (ValueError, KeyError, AttributeError):
        return response[:200].decode(errors="replace")


def until(since_ms: int, until_ms: int | None, now_ms: int) -> int:
    """Returns the end of a replay: what was asked for, or now.

    Raises
    ------
    UserError
        When no record can have arrived in that time.
    """
    end = now_ms if until_ms is None else until_ms
    if since_ms >= now_ms:
        raise UserError(f"--since is {to_iso(since_ms)}, which is yet to come: give an earlier one", 2)
    if since_ms >= end:
        raise UserError("--since is not before --until, so nothing can be selected: give an earlier --since", 2)
    return end
