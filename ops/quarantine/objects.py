"""Looks into the quarantine bucket: which records wait there and what they say; checks a mended one and puts it.

What records say is whatever somebody put on the stream: it is never trusted, and never shown unescaped.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from functions.aws.clients import chunks, in_parallel
from functions.entities.arrivals import gather
from functions.events.decode import decode
from functions.model import EntityKey, Record
from ops.aws import SERVICE, UserError
from ops.quarantine import kept
from ops.quarantine.kept import Entry, Kept
from ops.quarantine.redrive import READS_AT_ONCE, Calls, Outcome, Selection, read, with_time

_IDS: Final[Mapping[str, str]] = {
    "student_id": "student",
    "tutor_id": "tutor",
    "subject": "subject",
    "region": "region",
}
"""The fields of a payload that name an entity, and its type."""
_LONGEST_ID: Final = 1_024


@dataclass(slots=True)
class Found:
    """What is in the quarantine, as far as it is selected."""

    objects: list[Kept] = field(default_factory=list)
    """The latest arrival first."""
    unreadable: list[Outcome] = field(default_factory=list)
    """Objects that are not what the processor or Lambda writes, whatever was selected."""


def find(s3: Any, bucket: str, selection: Selection, report: Callable[[int, int], None] = lambda *_: None) -> Found:
    """Reads the selected objects.

    Parameters
    ----------
    s3
        A client of boto3's kind.
    bucket
        Its name.
    selection
        Which objects; `force` says nothing here.
    report
        Called with how many objects were read, each time, and the number of all.

    Raises
    ------
    ClientError, BotoCoreError
        When a call fails after the client's own retries.
    """
    found = Found()
    keys = list(kept.keys(s3, bucket, selection.prefix))
    for part in chunks(keys, READS_AT_ONCE):
        for each in in_parallel(lambda key: read(s3, bucket, key), part):
            if isinstance(each, Kept):
                if selection.matches(each):
                    found.objects.append(each)
            elif each.status == "left":
                found.unreadable.append(each)
        report(len(part), len(keys))
    found.objects.sort(key=lambda each: max(entry.arrival_ms for entry in each.entries), reverse=True)
    return found


def get(s3: Any, bucket: str, key: str) -> Kept:
    """One object.

    Raises
    ------
    UserError
        When it is not there, or is not what the processor or Lambda writes.
    """
    if not any(key.startswith(place) for place in (kept.QUARANTINED, kept.ON_FAILURE)):
        raise UserError(
            f"{key!r} is no key of the quarantine: keys start with {kept.QUARANTINED} or {kept.ON_FAILURE}, see "
            "`iops quarantine list`",
            2,
        )
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise UserError(
            f"there is no object {key} in the bucket {bucket}: see `iops quarantine list`", SERVICE
        ) from None
    try:
        return kept.parse(key, body)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"the object {key} cannot be read: {error}; see it with `aws s3 cp s3://{bucket}/{key} -`", SERVICE
        ) from None


def event_of(data: bytes) -> Any:
    """A record's data as JSON, or None where it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def named(data: bytes) -> list[EntityKey]:
    """The entities that a record names, valid or not, as far as they can be told."""
    event = event_of(data)
    payload = event.get("payload") if isinstance(event, dict) else None
    if not isinstance(payload, dict):
        return []
    return [
        EntityKey(kind, str(value))  # type: ignore[arg-type]
        for name, kind in _IDS.items()
        if (isinstance(value := payload.get(name), str) and 0 < len(value) <= _LONGEST_ID) or type(value) is int
    ]


def pretty(data: bytes) -> str | None:
    """JSON on several lines, numbers and names as they were written; None for what is none."""
    try:
        text = data.decode()
        msgspec.json.decode(data)
        return msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def dump(data: bytes, most: int) -> Iterable[str]:
    """The first bytes in hexadecimal, sixteen a line, and what of them is ASCII."""
    for start in range(0, min(len(data), most), 16):
        part = data[start : min(start + 16, most)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:08x}  {part.hex(' '):<47}  {shown}"


def by_reason(objects: Sequence[Kept]) -> list[dict[str, Any]]:
    """How much there is for which reason: kind, reason, objects, records, first and last arrival (epoch ms)."""
    groups: dict[tuple[str, str], list[Kept]] = {}
    for each in objects:
        groups.setdefault((each.kind, each.reason), []).append(each)
    summary = []
    for (kind, reason), members in groups.items():
        arrivals = [entry.arrival_ms for each in members for entry in each.entries]
        summary.append(
            {
                "kind": kind,
                "reason": reason,
                "objects": len(members),
                "records": len(arrivals),
                "first_arrival_ms": min(arrivals),
                "last_arrival_ms": max(arrivals),
            }
        )
    return sorted(summary, key=lambda group: (-group["objects"], group["kind"], group["reason"]))


@dataclass(frozen=True, slots=True)
class Check:
    """What the processor would say of a record."""

    reason: str = ""
    """Why it would be quarantined again; empty when it would be taken in."""
    detail: str = ""
    event_type: str = ""
    entities: Sequence[EntityKey] = ()
    """What it counts for."""


def check(entry: Entry, data: bytes, now_ms: int, future_tolerance_ms: int) -> Check:
    """Whether the processor's own validation takes this data in an entry's place, arriving now.

    What only the entity itself can tell (`too_late`, `too_many`) stays open.
    """
    sent = base64.b64encode(with_time(data, entry.arrival_ms)).decode()
    record = Record(entry.sequence_number, entry.shard_id, entry.partition_key, now_ms, sent, "")
    batch = decode([record], future_tolerance_ms)
    if batch.rejections:
        (rejection,) = batch.rejections
        return Check(rejection.reason, rejection.detail)
    (event,) = batch.events
    return Check(event_type=event.event_type, entities=gather([event]).keys)


def mend(
    s3: Any,
    kinesis: Any,
    bucket: str,
    stream: str,
    found: Kept,
    data: bytes,
) -> Outcome:
    """Puts this data on the stream in a quarantined record's place, then removes its object.

    The partition key and the first arrival stay the record's own.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the clients' own retries.
    """
    (entry,) = found.entries
    outcomes: list[Outcome] = []
    calls = Calls(s3, kinesis, bucket, stream, outcomes.append)
    calls.add(found, [Entry(data, entry.partition_key, entry.arrival_ms)])
    calls.flush()
    (outcome,) = outcomes
    return outcome
