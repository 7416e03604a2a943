"""Puts the records of objects in the quarantine bucket back on the stream, then removes the objects.

An object is removed only after the stream has accepted all of its records, so a run may be interrupted and repeated at
any point: a repeat makes duplicates at most, which the processor drops. This module must not judge records.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from botocore.exceptions import ClientError

from functions.aws import parallel, retry
from functions.aws.parallel import chunks, in_parallel
from functions.model import to_iso
from ops.quarantine import stored_objects
from ops.quarantine.stored_objects import Kind, StoredObject, StoredRecord

TOO_LATE: Final = "too_late"

_RECORDS_A_CALL: Final = 500  # PutRecords
_BYTES_A_CALL: Final = 5 * 1024 * 1024  # PutRecords, partition keys included
_FRUITLESS_ATTEMPTS: Final = 10
"""The rest of a call is given up after so many attempts in a row of which nothing was accepted."""
READS_AT_ONCE: Final = 2 * parallel.PARALLEL_CALLS
_INVALID: Final = frozenset({"InvalidArgumentException", "ValidationException"})

Status = Literal["selected", "removed", "left", "skipped", "unmatched"]


@dataclass(frozen=True)
class Selection:
    """Which objects to redrive. A field with its default selects all."""

    prefix: str = ""
    """S3 key prefix."""
    reasons: frozenset[str] = frozenset()
    """Reasons of quarantined records, and conditions under which the mapping gave up (`RetryAttemptsExhausted`, ...).
    Empty: any."""
    since_ms: int | None = None
    """Epoch ms; an object is selected when one of its records arrived then or later ..."""
    until_ms: int | None = None
    """... and before this."""
    force: bool = False
    """Include `too_late` records, which the processor refuses again as long as their entity is folded."""

    def matches(self, found: StoredObject) -> bool:
        """Whether an object is selected. `force` is not considered: it concerns only who redrives the object."""
        if self.reasons and found.reason not in self.reasons:
            return False
        return any(
            (self.since_ms is None or record.arrival_ms >= self.since_ms)
            and (self.until_ms is None or record.arrival_ms < self.until_ms)
            for record in found.records
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with one object."""

    key: str
    kind: Kind
    status: Status
    """`selected`: a dry run would redrive it. `removed`: put on the stream and removed. `left`: stays, see `detail`.
    `skipped`: needs force, or is gone already. `unmatched`: not selected."""
    reason: str = ""
    records: int = 0
    """How many records the object holds."""
    put: int = 0
    """How many of them the stream has accepted."""
    first_arrival_ms: int | None = None
    last_arrival_ms: int | None = None
    detail: str = ""


@dataclass(slots=True)
class Report:
    """The outcomes of all objects, in the order in which they became known."""

    outcomes: list[Outcome] = field(default_factory=list)

    def objects(self, *statuses: Status) -> list[Outcome]:
        """Returns the outcomes with one of these statuses."""
        return [outcome for outcome in self.outcomes if outcome.status in statuses]

    @property
    def put(self) -> int:
        """How many records the stream has accepted."""
        return sum(outcome.put for outcome in self.outcomes)


def redrive(
    s3: Any,
    kinesis: Any,
    bucket: str,
    stream: str,
    selection: Selection,
    *,
    execute: bool,
    report: Callable[[Outcome, int], None] = lambda _outcome, _total: None,
) -> Report:
    """Puts the records of the selected objects on the stream and removes the objects.

    All keys are listed before anything is put: a record that the processor refuses again returns under a new key,
    which this run must not find.

    Parameters
    ----------
    s3, kinesis
        Clients of boto3's kind.
    bucket, stream
        Names.
    selection
        Which objects.
    execute
        False only reads and reports.
    report
        Called with each object's outcome and the number of all objects.

    Returns
    -------
    Report
        The outcome of every object under the prefix.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the clients' own retries. Objects that are not removed by then stay.
    """
    redriven = Report()
    keys = list(stored_objects.keys(s3, bucket, selection.prefix))

    def settled(outcome: Outcome) -> None:
        redriven.outcomes.append(outcome)
        report(outcome, len(keys))

    calls = Calls(s3, kinesis, bucket, stream, settled)
    for part in chunks(keys, READS_AT_ONCE):
        for result in in_parallel(lambda key: read(s3, bucket, key), part):
            outcome = result if isinstance(result, Outcome) else _without_redriving(result, selection, execute=execute)
            if outcome is not None:
                settled(outcome)
            elif isinstance(result, StoredObject):
                calls.add(result)
    calls.flush()
    return redriven


def _without_redriving(stored: StoredObject, selection: Selection, *, execute: bool) -> Outcome | None:
    """Returns the outcome of an object that is not to be redriven; None for one that is."""
    if not selection.matches(stored):
        return outcome_of(stored, "unmatched")
    if stored.kind == "quarantined" and stored.reason == TOO_LATE and not selection.force:
        return outcome_of(stored, "skipped", detail="too_late records would be refused again; force includes them")
    return None if execute else outcome_of(stored, "selected")


def read(s3: Any, bucket: str, key: str) -> StoredObject | Outcome:
    """Reads an object. Returns its outcome instead when it is gone or cannot be read."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        detail = "it is no longer there: someone else has removed it"
        return Outcome(key, stored_objects.kind_of(key), "skipped", detail=detail)
    try:
        return stored_objects.parse(key, body)
    except (ValueError, RecursionError) as error:
        return Outcome(key, stored_objects.kind_of(key), "left", detail=f"it cannot be read: {error}")


def outcome_of(found: StoredObject, status: Status, put: int = 0, detail: str = "") -> Outcome:
    """Returns the outcome of an object that was read."""
    arrivals = [record.arrival_ms for record in found.records]
    first, last = min(arrivals), max(arrivals)
    return Outcome(found.key, found.kind, status, found.reason, len(found.records), put, first, last, detail)


def with_time(data: bytes, arrival_ms: int) -> bytes:
    """Adds a record's first arrival as `ingested_at` when the event has no time of its own (contract section 1).

    All other data is returned as it is, also data that is not a JSON object. The other bytes never change, because an
    event without an identity is identified by its content.
    """
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if not isinstance(event, dict):
        return data
    payload = event.get("payload")
    nested = payload.get("timestamp") if isinstance(payload, dict) else None
    if any(time is not None for time in (event.get("timestamp"), nested, event.get("ingested_at"))):
        return data
    # At the end, because the last value of a repeated name counts; the event may already have the name with null.
    head = data.rstrip()[:-1]
    return head + (b"," if event else b"") + b'"ingested_at":"%s"}' % to_iso(arrival_ms).encode()


@dataclass(slots=True)
class _ObjectInProgress:
    """An object whose records are being put."""

    stored: StoredObject
    records: Sequence[StoredRecord]
    """The records to put; the object's own, or others in their place."""
    unanswered: int
    """How many of the records the stream has not answered yet."""
    refused: Counter[str] = field(default_factory=Counter)
    """How many records were refused, by the reason."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A record as PutRecords takes it."""

    data: bytes
    partition_key: str
    size: int
    """As PutRecords counts it, bytes."""

    @staticmethod
    def of(record: StoredRecord) -> "_Outgoing":
        data = with_time(record.data, record.arrival_ms)
        return _Outgoing(data, record.partition_key, len(data) + len(record.partition_key.encode()))


class Calls:
    """Puts the records of objects in full PutRecords calls, and removes each object once all its records are accepted.

    Whoever has added the last object calls `flush`.

    Parameters
    ----------
    s3, kinesis
        Clients of boto3's kind.
    bucket, stream
        Names.
    settled
        Called with each object's outcome.
    """

    def __init__(self, s3: Any, kinesis: Any, bucket: str, stream: str, settled: Callable[[Outcome], None]) -> None:
        self._s3, self._kinesis = s3, kinesis
        self._bucket, self._stream = bucket, stream
        self._settled = settled
        self._call: list[tuple[_ObjectInProgress, _Outgoing]] = []
        self._size = 0

    def add(self, stored: StoredObject, records: Sequence[StoredRecord] | None = None) -> None:
        """Adds an object, to be removed once its records are put.

        Parameters
        ----------
        stored
            The object.
        records
            Puts these records in place of the object's own. With an empty list the object is removed at once.
        """
        records = stored.records if records is None else records
        progress = _ObjectInProgress(stored, records, len(records))
        if not records:
            self._settle(progress)
        for record in records:
            outgoing = _Outgoing.of(record)
            if len(self._call) == _RECORDS_A_CALL or (self._call and self._size + outgoing.size > _BYTES_A_CALL):
                self.flush()
            self._call.append((progress, outgoing))
            self._size += outgoing.size

    def flush(self) -> None:
        """Puts the records that no call has taken yet."""
        if not self._call:
            return
        call, self._call, self._size = self._call, [], 0
        refused = self._put([outgoing for _, outgoing in call])
        for position, (progress, _) in enumerate(call):
            progress.unanswered -= 1
            if position in refused:
                progress.refused[refused[position]] += 1
            if not progress.unanswered:
                self._settle(progress)

    def _settle(self, progress: _ObjectInProgress) -> None:
        refused = progress.refused.total()
        put = len(progress.records) - refused
        if refused:
            why = ", ".join(f"{code} ({count})" for code, count in progress.refused.items())
            detail = f"the stream refused {refused} of its records: {why}"
            self._settled(outcome_of(progress.stored, "left", put, detail))
            return
        self._s3.delete_object(Bucket=self._bucket, Key=progress.stored.key)
        self._settled(outcome_of(progress.stored, "removed", put))

    def _put(self, outgoing: Sequence[_Outgoing]) -> dict[int, str]:
        """Puts the records of one call, and again those that are refused.

        Returns
        -------
        dict
            By position, why a record was not accepted.
        """
        pending = list(range(len(outgoing)))
        fruitless = 0
        while True:
            records = [
                {"Data": outgoing[position].data, "PartitionKey": outgoing[position].partition_key}
                for position in pending
            ]
            try:
                answers = self._kinesis.put_records(StreamName=self._stream, Records=records)["Records"]
            except ClientError as error:
                if error.response["Error"]["Code"] not in _INVALID:
                    raise
                return self._put_in_halves(outgoing, pending, error)
            refused = {
                position: answer["ErrorCode"]
                for position, answer in zip(pending, answers, strict=True)
                if answer.get("ErrorCode")
            }
            # A hot shard accepts a part of each call every second: that is slow, but no reason to give up.
            fruitless = fruitless + 1 if len(refused) == len(pending) else 0
            if not refused or fruitless == _FRUITLESS_ATTEMPTS:
                return refused
            pending = list(refused)
            retry.back_off(fruitless + 1)

    def _put_in_halves(
        self, outgoing: Sequence[_Outgoing], pending: Sequence[int], error: ClientError
    ) -> dict[int, str]:
        """Puts the halves of a call that was refused as a whole, down to the one record that is the reason."""
        if len(pending) == 1:
            return {pending[0]: error.response["Error"].get("Message") or error.response["Error"]["Code"]}
        middle = len(pending) // 2
        return {
            half[position]: why
            for half in (pending[:middle], pending[middle:])
            for position, why in self._put([outgoing[place] for place in half]).items()
        }
