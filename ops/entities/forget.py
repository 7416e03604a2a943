"""Erases what is kept of a person: the item, quarantined records, and their records in batches that were given up.

An object is removed only after the stream has accepted every record in it that is somebody else's, so a run may be
interrupted and repeated at any point. What is kept elsewhere is told, not touched: `REMAINS`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from functions.aws.clients import chunks, in_parallel
from functions.model import EntityKey
from ops.quarantine import stored_objects
from ops.quarantine.browse import event_of
from ops.quarantine.redrive import READS_AT_ONCE, Calls, Outcome
from ops.quarantine.stored_objects import StoredObject, StoredRecord

PEOPLE: Final[Mapping[str, str]] = {"student": "student_id", "tutor": "tutor_id"}
"""The types of entities that are people, with the field of a payload that names one."""

REMAINS: Final = (
    (
        "the stream keeps the records until its retention ends; a replay, or a batch that is delivered again, brings "
        "the item back: forget once more after that"
    ),
    (
        "point-in-time recovery holds the table's former states, for up to 35 days, and the table's own stream its "
        "changes for 24 hours; backups that were made on demand stay until somebody deletes them"
    ),
    (
        "the functions' logs name whoever something failed for, and the notifier's whoever an alert was about, until "
        "logRetentionDays are over"
    ),
    (
        "notifications that were sent are where they were sent: in mailboxes, with subscribers, and until "
        "dlqRetentionDays are over in the dead-letter queue"
    ),
)
"""What is kept of anybody elsewhere, and for how long."""
REMAINS_OF: Final[Mapping[str, str]] = {
    "student": "tutors' items keep the sessions (time, rating, outcome, subject) under a hash of the session's id, for "
    "32 days; nothing in them names the student",
    "tutor": "students' items name the tutor: their facts for 32 days, from which a rollup may write the tutor's item "
    "anew, and first_session for as long as that student's item is there",
}
"""The same of a type."""

Status = Literal["found", "removed", "left", "mentioned"]


@dataclass(frozen=True, slots=True)
class Item:
    """What the person's item was."""

    last_updated: str
    alerts: Sequence[str]
    """Types of the alerts that were firing: nobody will be told that they have ended."""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """An object, or a former version of one, in which the person is."""

    key: str
    version_id: str | None
    """None for the only or latest version of a bucket that keeps none."""
    latest: bool
    named: Sequence[int] = ()
    """The positions of records that name the person."""
    mentioned: Sequence[int] = ()
    """The positions of others that cannot be read and hold the id, or hold it where it means something else."""
    holds: StoredObject | None = None
    """What the object holds; None when it is not what the processor or Lambda writes, but holds the id."""
    status: Status = "found"
    """`mentioned` objects are removed only if that is asked for."""
    put: int = 0
    """How many records of others the stream has accepted."""
    detail: str = ""

    @property
    def others(self) -> list[StoredRecord]:
        """The records that do not name the person."""
        if self.holds is None:
            return []
        return [entry for position, entry in enumerate(self.holds.records) if position not in self.named]


@dataclass(slots=True)
class Report:
    """What was found of a person, and what became of it."""

    item: Item | None = None
    traces: list[Trace] = field(default_factory=list)

    def only(self, *statuses: Status) -> list[Trace]:
        """The objects that ended so."""
        return [trace for trace in self.traces if trace.status in statuses]


def find(
    s3: Any,
    dynamodb: Any,
    bucket: str,
    table: str,
    person: EntityKey,
    *,
    mentions: bool = False,
    report: Callable[[int, int], None] = lambda _objects, _all: None,
) -> Report:
    """Looks for a person in the table and in every version of every object of the quarantine; changes nothing.

    Parameters
    ----------
    s3, dynamodb
        Clients of boto3's kind.
    bucket, table
        Names.
    person
        A student or a tutor.
    mentions
        Whether a record that only mentions the person counts as one that names them.
    report
        Called with how many versions were read, each time, and the number of all.

    Raises
    ------
    ClientError, BotoCoreError
        When a call fails after the client's own retries.
    """
    found = Report(_item(dynamodb.get_item(TableName=table, Key=_key(person), ConsistentRead=True).get("Item")))
    versions = list(_versions(s3, bucket))
    for part in chunks(versions, READS_AT_ONCE):
        for version, body in zip(part, in_parallel(lambda each: _read(s3, bucket, each), part), strict=True):
            if body is not None and (trace := _trace(version, body, person, mentions=mentions)) is not None:
                found.traces.append(trace)
        report(len(part), len(versions))
    return found


def forget(
    s3: Any,
    kinesis: Any,
    dynamodb: Any,
    bucket: str,
    stream: str,
    table: str,
    person: EntityKey,
    found: Report,
    *,
    report: Callable[[int, int], None] = lambda _objects, _all: None,
) -> None:
    """Removes what was found.

    The item goes last, whatever it says by then: a condition on what was read would fail for those of whom much
    arrives. An event that comes meanwhile, or later, makes a new one.

    Parameters
    ----------
    s3, kinesis, dynamodb
        Clients of boto3's kind.
    bucket, stream, table
        Names.
    person
        Whom `find` was asked for.
    found
        What it has found; kept up to date.
    report
        Called for each object with 1 and the number of all.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the clients' own retries.
    """
    positions = [position for position, trace in enumerate(found.traces) if trace.status == "found"]
    for position in positions:
        trace = found.traces[position]
        if trace.latest and trace.others and trace.holds is not None:
            trace = _put_others(s3, kinesis, bucket, stream, trace, trace.holds)
        if trace.status == "found":
            if trace.version_id is not None or not trace.put:  # else it went with its last record
                _delete(s3, bucket, trace)
            trace = replace(trace, status="removed")
        found.traces[position] = trace
        report(1, len(positions))
    old = dynamodb.delete_item(TableName=table, Key=_key(person), ReturnValues="ALL_OLD").get("Attributes")
    if (item := _item(old)) is not None:
        found.item = replace(item, removed=True)


def _key(person: EntityKey) -> dict[str, dict[str, str]]:
    return {"entity_id": {"S": person.entity_id}, "entity_type": {"S": person.entity_type}}


def _item(attributes: Mapping[str, Any] | None) -> Item | None:
    if not attributes:
        return None
    firing = attributes.get("alerts", {}).get("M", {})
    return Item(attributes.get("last_updated", {}).get("S", ""), sorted(firing))


def _versions(s3: Any, bucket: str) -> Iterator[Trace]:
    """Every version of every object; of a bucket that keeps none, the objects."""
    for place in stored_objects.prefixes(""):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=place):
            for each in page.get("Versions", ()):
                latest = bool(each.get("IsLatest", True))
                version_id = each.get("VersionId", "null")
                yield Trace(each["Key"], None if latest and version_id == "null" else version_id, latest)


def _which(trace: Trace) -> dict[str, str]:
    return {"Key": trace.key} | ({"VersionId": trace.version_id} if trace.version_id is not None else {})


def _read(s3: Any, bucket: str, trace: Trace) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket=bucket, **_which(trace))["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchVersion"):
            raise
        return None  # someone else has removed it
    return body


def _trace(version: Trace, body: bytes, person: EntityKey, *, mentions: bool) -> Trace | None:
    """What an object has of the person; None for nothing."""
    try:
        holds = stored_objects.parse(version.key, body)
    except (ValueError, RecursionError) as error:
        if not _holds(body, person.entity_id):
            return None
        detail = f"it cannot be read ({error}), but holds the id"
        return replace(version, status="found" if mentions else "mentioned", detail=detail)
    named: list[int] = []
    mentioned: list[int] = []
    for position, entry in enumerate(holds.records):
        if _names(entry, person):
            named.append(position)
        elif _mentions(entry.data, person.entity_id):
            (named if mentions else mentioned).append(position)
    if not named and not mentioned:
        return None
    return replace(version, named=named, mentioned=mentioned, holds=holds, status="found" if named else "mentioned")


def _names(entry: StoredRecord, person: EntityKey) -> bool:
    """Whether a record names the person where an event does, or was put under their id."""
    event = event_of(entry.data)
    payload = event.get("payload") if isinstance(event, dict) else None
    value = payload.get(PEOPLE[person.entity_type]) if isinstance(payload, dict) else None
    return _is(value, person.entity_id) or entry.partition_key == person.entity_id


def _is(value: Any, entity_id: str) -> bool:
    return value == entity_id or (type(value) is int and str(value) == entity_id)


def _mentions(data: bytes, entity_id: str) -> bool:
    return _holds(data, entity_id) or _somewhere(event_of(data), entity_id)


def _holds(data: bytes, entity_id: str) -> bool:
    """Whether the id's bytes are in there, and not as a part of another word; as text or as JSON writes it."""
    return any(
        re.search(rb"(?<![\w-])" + re.escape(spelled.encode()) + rb"(?![\w-])", data)
        for spelled in {entity_id, json.dumps(entity_id)[1:-1]}
    )


def _somewhere(value: Any, entity_id: str) -> bool:
    """Whether a JSON value is the id or has it somewhere inside."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            pending += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            pending += each
        elif _is(each, entity_id):
            return True
    return False


def _put_others(s3: Any, kinesis: Any, bucket: str, stream: str, trace: Trace, holds: StoredObject) -> Trace:
    """Puts everybody else's records of a batch back on the stream and removes the object, or says why it is left."""
    outcomes: list[Outcome] = []
    calls = Calls(s3, kinesis, bucket, stream, outcomes.append)
    calls.add(holds, trace.others)
    calls.flush()
    (outcome,) = outcomes
    if outcome.status == "left":
        return replace(trace, status="left", put=outcome.put, detail=outcome.detail)
    return replace(trace, put=outcome.put)


def _delete(s3: Any, bucket: str, trace: Trace) -> None:
    s3.delete_object(Bucket=bucket, **_which(trace))
