"""Puts records that were kept in S3 back on the stream: what the processor quarantined, what the mapping gave up.

An object is removed only after the stream has accepted every record of it, so a run may be interrupted and repeated at
any point: the worst that follows are duplicates, which the processor drops. Nothing here decides whether a record is
good.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from botocore.exceptions import ClientError

from functions.aws import clients
from functions.aws.clients import chunks, in_parallel
from functions.model import to_iso
from ops.quarantine import kept
from ops.quarantine.kept import Entry, Kept, Kind

TOO_LATE: Final = "too_late"

_RECORDS_A_CALL: Final = 500  # PutRecords
_BYTES_A_CALL: Final = 5 * 1024 * 1024  # PutRecords, partition keys included
_FRUITLESS_ATTEMPTS: Final = 10
"""So often in a row nothing of a call may be accepted before the rest of it is given up."""
READS_AT_ONCE: Final = 2 * clients.PARALLEL_CALLS
_INVALID: Final = frozenset({"InvalidArgumentException", "ValidationException"})

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

    def matches(self, found: Kept) -> bool:
        """Whether an object is selected; `force` apart, which is for those who put it on the stream."""
        if self.reasons and found.reason not in self.reasons:
            return False
        return any(
            (self.since_ms is None or entry.arrival_ms >= self.since_ms)
            and (self.until_ms is None or entry.arrival_ms < self.until_ms)
            for entry in found.entries
        )


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
    keys = list(kept.keys(s3, bucket, selection.prefix))

    def settled(outcome: Outcome) -> None:
        made.outcomes.append(outcome)
        report(outcome, len(keys))

    calls = Calls(s3, kinesis, bucket, stream, settled)
    for part in chunks(keys, READS_AT_ONCE):
        for found in in_parallel(lambda key: read(s3, bucket, key), part):
            if isinstance(found, Outcome):
                settled(found)
            elif not selection.matches(found):
                settled(outcome_of(found, "unmatched"))
            elif found.kind == "quarantined" and found.reason == TOO_LATE and not selection.force:
                detail = "too_late records would be refused again; force includes them"
                settled(outcome_of(found, "skipped", detail=detail))
            elif execute:
                calls.add(found)
            else:
                settled(outcome_of(found, "selected"))
    calls.flush()
    return made


def read(s3: Any, bucket: str, key: str) -> Kept | Outcome:
    """An object, or what becomes of one that is gone or cannot be read."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        detail = "it is no longer there: someone else has removed it"
        return Outcome(key, kept.kind_of(key), "skipped", detail=detail)
    try:
        return kept.parse(key, body)
    except (ValueError, RecursionError) as error:
        return Outcome(key, kept.kind_of(key), "left", detail=f"it cannot be read: {error}")


def outcome_of(found: Kept, status: Status, put: int = 0, detail: str = "") -> Outcome:
    """What has become of an object that could be read."""
    arrivals = [entry.arrival_ms for entry in found.entries]
    first, last = min(arrivals), max(arrivals)
    return Outcome(found.key, found.kind, status, found.reason, len(found.entries), put, first, last, detail)


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


@dataclass(slots=True)
class _InHand:
    """An object whose records are being put, and how far that has come."""

    found: Kept
    entries: Sequence[Entry]
    waiting: int
    """How many of its entries have not been answered yet."""
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A record as it is put."""

    data: bytes
    partition_key: str
    size: int
    """As PutRecords counts it, bytes."""

    @staticmethod
    def of(entry: Entry) -> "_Outgoing":
        data = with_time(entry.data, entry.arrival_ms)
        return _Outgoing(data, entry.partition_key, len(data) + len(entry.partition_key.encode()))


class Calls:
    """Fills PutRecords calls with the records of object after object, and removes the objects that are through.

    Parameters
    ----------
    s3, kinesis
        Clients of boto3's kind.
    bucket, stream
        Names.
    settled
        Called with each object's outcome, once it is known.
    """

    def __init__(self, s3: Any, kinesis: Any, bucket: str, stream: str, settled: Callable[[Outcome], None]) -> None:
        self._s3, self._kinesis = s3, kinesis
        self._bucket, self._stream = bucket, stream
        self._settled = settled
        self._call: list[tuple[_InHand, _Outgoing]] = []
        self._size = 0

    def add(self, found: Kept, entries: Sequence[Entry] | None = None) -> None:
        """Takes in hand an object, to be removed once its records, or these instead, are put; none means at once."""
        entries = found.entries if entries is None else entries
        hand = _InHand(found, entries, len(entries))
        if not entries:
            self._settle(hand)
        for entry in entries:
            outgoing = _Outgoing.of(entry)
            if len(self._call) == _RECORDS_A_CALL or (self._call and self._size + outgoing.size > _BYTES_A_CALL):
                self.flush()
            self._call.append((hand, outgoing))
            self._size += outgoing.size

    def flush(self) -> None:
        """Puts what is in hand."""
        if not self._call:
            return
        call, self._call, self._size = self._call, [], 0
        refused = self._put([outgoing for _, outgoing in call])
        for position, (hand, _) in enumerate(call):
            hand.waiting -= 1
            if position in refused:
                hand.refused[refused[position]] += 1
            if not hand.waiting:
                self._settle(hand)

    def _settle(self, hand: _InHand) -> None:
        put = len(hand.entries) - hand.refused.total()
        if hand.refused:
            why = ", ".join(f"{code} ({count})" for code, count in hand.refused.items())
            detail = f"the stream refused {hand.refused.total()} of its records: {why}"
            self._settled(outcome_of(hand.found, "left", put, detail))
            return
        self._s3.delete_object(Bucket=self._bucket, Key=hand.found.key)
        self._settled(outcome_of(hand.found, "removed", put))

    def _put(self, entries: Sequence[_Outgoing]) -> dict[int, str]:
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

    def _put_apart(self, entries: Sequence[_Outgoing], pending: Sequence[int], error: ClientError) -> dict[int, str]:
        """After the whole call was refused for something in it: halves, down to the record that is the reason."""
        if len(pending) == 1:
            return {pending[0]: error.response["Error"].get("Message") or error.response["Error"]["Code"]}
        middle = len(pending) // 2
        return {
            half[position]: why
            for half in (pending[:middle], pending[middle:])
            for position, why in self._put([entries[each] for each in half]).items()
        }
