"""Puts records that were kept in S3 back on the stream: what the processor quarantined, what the mapping gave up.

An object is removed only after the stream has accepted every record of it, so a run may be interrupted and repeated at
any point: the worst that follows are duplicates, which the processor drops. Nothing here decides whether a record is
good.
"""

import binascii
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from botocore.exceptions import ClientError

from functions.processor import clients
from functions.processor.clients import chunks, in_parallel
from functions.processor.model import from_iso, to_iso
from functions.processor.quarantine import PREFIX

ON_FAILURE: Final = "aws/lambda/"
"""Where Lambda writes what the event source mapping gave up (AWS Lambda developer guide, "Retain discarded batch
records for a Kinesis Data Streams event source"): `<mapping's id>/<shard>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<UUID>`."""
QUARANTINED: Final = PREFIX
"""Where the processor keeps what it cannot take in: `<shard>/<sequence number>.json`."""

TOO_LATE: Final = "too_late"

_RECORDS_A_CALL: Final = 500  # PutRecords
_BYTES_A_CALL: Final = 5 * 1024 * 1024  # PutRecords, partition keys included
_LONGEST_PARTITION_KEY: Final = 256
_FRUITLESS_ATTEMPTS: Final = 10
"""So often in a row nothing of a call may be accepted before the rest of it is given up."""
_READS_AT_ONCE: Final = 2 * clients.PARALLEL_CALLS
_INVALID: Final = frozenset({"InvalidArgumentException", "ValidationException"})

Kind = Literal["failed", "quarantined"]
Status = Literal["selected", "removed", "left", "skipped", "unmatched"]


@dataclass(frozen=True)
class Selection:
    """Which objects to redrive; what is not said selects all."""

    prefix: str = ""
    """S3 key prefix."""
    reasons: frozenset[str] = frozenset()
    """Why an object is there: a quarantined record's reason, or the condition under which the mapping gave up
    (`RetryAttemptsExhausted`, ...). Empty: any."""
    since_ms: int | None = None
    """Epoch ms; an object is selected when one of its records arrived then or later ..."""
    until_ms: int | None = None
    """... and before this."""
    force: bool = False
    """Include `too_late` records, which their entity still cannot tell from duplicates."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object."""

    key: str
    kind: Kind
    status: Status
    """`selected`: a dry run would redrive it. `removed`: put and removed. `left`: stays, see `detail`. `skipped`: wants
    force, or is gone already. `unmatched`: not selected."""
    reason: str = ""
    records: int = 0
    """How many it holds."""
    put: int = 0
    """How many of them the stream has accepted."""
    first_arrival_ms: int | None = None
    last_arrival_ms: int | None = None
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What became of all objects, in the order in which that was known."""

    outcomes: list[Outcome] = field(default_factory=list)

    def objects(self, *statuses: Status) -> list[Outcome]:
        """The objects that ended so."""
        return [outcome for outcome in self.outcomes if outcome.status in statuses]

    @property
    def put(self) -> int:
        """How many records the stream has accepted."""
        return sum(outcome.put for outcome in self.outcomes)


class Unreadable(ValueError):
    """An object that is not what the processor or Lambda writes."""


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    partition_key: str
    arrival_ms: int
    size: int
    """As PutRecords counts it, bytes."""


@dataclass(slots=True)
class _Kept:
    """An object as read, and how far it has come."""

    key: str
    kind: Kind
    reason: str
    entries: Sequence[_Entry]
    waiting: int = 0
    """How many of its entries have not been answered yet."""
    refused: Counter[str] = field(default_factory=Counter)

    def outcome(self, status: Status, put: int = 0, detail: str = "") -> Outcome:
        arrivals = [entry.arrival_ms for entry in self.entries]
        return Outcome(
            self.key, self.kind, status, self.reason, len(self.entries), put, min(arrivals), max(arrivals), detail
        )


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

    What there is is listed before anything is put: what the processor refuses again comes back under a new key, which
    this run must not find.

    Parameters
    ----------
    s3, kinesis
        Clients of boto3's kind.
    bucket, stream
        Names.
    selection
        Which objects.
    execute
        False reads and reports only.
    report
        Called with each object's outcome, once it is known, and the number of all objects.

    Returns
    -------
    Report
        Of every object under the prefix.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the clients' own retries. Whatever is not removed by then is still there.
    """
    made = Report()
    keys = list(_list(s3, bucket, selection.prefix))

    def settled(outcome: Outcome) -> None:
        made.outcomes.append(outcome)
        report(outcome, len(keys))

    calls = _Calls(s3, kinesis, bucket, stream, settled)
    for part in chunks(keys, _READS_AT_ONCE):
        for kept in in_parallel(lambda key: _read(s3, bucket, key), part):
            if isinstance(kept, Outcome):
                settled(kept)
            elif (outcome := _left_out(kept, selection)) is not None:
                settled(outcome)
            elif execute:
                calls.add(kept)
            else:
                settled(kept.outcome("selected"))
    calls.flush()
    return made


def with_time(data: bytes, arrival_ms: int) -> bytes:
    """A record's data, given its first arrival as `ingested_at` where the event has no time of its own (contract
    section 1); anything else, also what is no JSON object, as it is.

    The rest of the bytes stays what it was: an event without an identity is known by its content.
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
    # At the end: of a name given twice (here with null before) the last value counts.
    head = data.rstrip()[:-1]
    return head + (b"," if event else b"") + b'"ingested_at":"%s"}' % to_iso(arrival_ms).encode()


def _list(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for place in (ON_FAILURE, QUARANTINED):
        if not (place.startswith(prefix) or prefix.startswith(place)):
            continue
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=max(place, prefix, key=len))
        for page in pages:
            yield from (found["Key"] for found in page.get("Contents", ()))


def _read(s3: Any, bucket: str, key: str) -> _Kept | Outcome:
    kind: Kind = "quarantined" if key.startswith(QUARANTINED) else "failed"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return Outcome(key, kind, "skipped", detail="it is no longer there: someone else has removed it")
    try:
        return _parse(key, kind, body)
    except (ValueError, RecursionError) as error:
        return Outcome(key, kind, "left", detail=f"it cannot be read: {error}")


def _parse(key: str, kind: Kind, body: bytes) -> _Kept:
    content = _object("the object", json.loads(body))
    if kind == "quarantined":
        entry = _entry(content, "data", "partition_key", _arrival_of_quarantined(content))
        return _Kept(key, kind, _text(content, "reason"), [entry])
    payload = content.get("payload")
    if payload is None:
        raise Unreadable("it has no payload, which Lambda writes to S3 destinations only")
    event = _object("the payload", json.loads(payload) if isinstance(payload, str) else payload)
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise Unreadable("its payload has no Records")
    entries = []
    for record in records:
        kinesis = _object("a record's kinesis", _object("a record", record).get("kinesis"))
        entries.append(_entry(kinesis, "data", "partitionKey", _arrival_of_delivered(kinesis)))
    context = content.get("requestContext")
    condition = context.get("condition") if isinstance(context, dict) else None
    return _Kept(key, kind, condition if isinstance(condition, str) else "", entries)


def _object(what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is no JSON object")
    return value


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"{name} is missing or no text")
    return value


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


def _entry(content: Mapping[str, Any], data_name: str, key_name: str, arrival_ms: int) -> _Entry:
    partition_key = _text(content, key_name)
    if not 1 <= len(partition_key) <= _LONGEST_PARTITION_KEY:
        raise Unreadable(f"{key_name} has {len(partition_key)} characters, allowed: 1 to {_LONGEST_PARTITION_KEY}")
    try:
        data = binascii.a2b_base64(_text(content, data_name), strict_mode=True)
    except ValueError as error:
        raise Unreadable(f"{data_name} is not base64: {error}") from None
    data = with_time(data, arrival_ms)
    return _Entry(data, partition_key, arrival_ms, len(data) + len(partition_key.encode()))


def _left_out(kept: _Kept, selection: Selection) -> Outcome | None:
    """The outcome of an object that is not to be redriven."""
    if selection.reasons and kept.reason not in selection.reasons:
        return kept.outcome("unmatched")
    since, until = selection.since_ms, selection.until_ms
    if not any(
        (since is None or entry.arrival_ms >= since) and (until is None or entry.arrival_ms < until)
        for entry in kept.entries
    ):
        return kept.outcome("unmatched")
    if kept.kind == "quarantined" and kept.reason == TOO_LATE and not selection.force:
        return kept.outcome("skipped", detail="too_late records would be refused again; force includes them")
    return None


class _Calls:
    """Fills PutRecords calls with the records of object after object, and removes the objects that are through."""

    def __init__(self, s3: Any, kinesis: Any, bucket: str, stream: str, settled: Callable[[Outcome], None]) -> None:
        self._s3, self._kinesis = s3, kinesis
        self._bucket, self._stream = bucket, stream
        self._settled = settled
        self._call: list[tuple[_Kept, _Entry]] = []
        self._size = 0

    def add(self, kept: _Kept) -> None:
        """Takes an object's records in hand."""
        kept.waiting = len(kept.entries)
        for entry in kept.entries:
            if len(self._call) == _RECORDS_A_CALL or (self._call and self._size + entry.size > _BYTES_A_CALL):
                self.flush()
            self._call.append((kept, entry))
            self._size += entry.size

    def flush(self) -> None:
        """Puts what is in hand."""
        if not self._call:
            return
        call, self._call, self._size = self._call, [], 0
        refused = self._put([entry for _, entry in call])
        for position, (kept, _) in enumerate(call):
            kept.waiting -= 1
            if position in refused:
                kept.refused[refused[position]] += 1
            if not kept.waiting:
                self._settle(kept)

    def _settle(self, kept: _Kept) -> None:
        put = len(kept.entries) - kept.refused.total()
        if kept.refused:
            why = ", ".join(f"{code} ({count})" for code, count in kept.refused.items())
            self._settled(kept.outcome("left", put, f"the stream refused {kept.refused.total()} of its records: {why}"))
            return
        self._s3.delete_object(Bucket=self._bucket, Key=kept.key)
        self._settled(kept.outcome("removed", put))

    def _put(self, entries: Sequence[_Entry]) -> dict[int, str]:
        """Puts one call's entries, those that are refused alone again; gives by position why an entry was not taken."""
        pending = list(range(len(entries)))
        fruitless = 0
        while True:
            records = [{"Data": entries[each].data, "PartitionKey": entries[each].partition_key} for each in pending]
            try:
                answers = self._kinesis.put_records(StreamName=self._stream, Records=records)["Records"]
            except ClientError as error:
                if error.response["Error"]["Code"] not in _INVALID:
                    raise
                return self._put_apart(entries, pending, error)
            refused = {
                position: answer["ErrorCode"]
                for position, answer in zip(pending, answers, strict=True)
                if answer.get("ErrorCode")
            }
            # A hot shard takes its share of a call each second: that is slow, but no reason to give up.
            fruitless = fruitless + 1 if len(refused) == len(pending) else 0
            if not refused or fruitless == _FRUITLESS_ATTEMPTS:
                return refused
            pending = list(refused)
            clients.back_off(fruitless + 1)

    def _put_apart(self, entries: Sequence[_Entry], pending: Sequence[int], error: ClientError) -> dict[int, str]:
        """After the whole call was refused for something in it: halves, down to the record that is the reason."""
        if len(pending) == 1:
            return {pending[0]: error.response["Error"].get("Message") or error.response["Error"]["Code"]}
        middle = len(pending) // 2
        return {
            half[position]: why
            for half in (pending[:middle], pending[middle:])
            for position, why in self._put([entries[each] for each in half]).items()
        }
