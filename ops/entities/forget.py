"""Erases a person: item, tail, wakes, quarantined records, and their records in batches that the mapping gave up.

An object is removed only after the stream has accepted all records of other people in it, so a run may be interrupted
and repeated at any point. Data elsewhere is not touched; `REMAINS` says what it is.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

from botocore.exceptions import ClientError

from functions.aws.parallel import chunks, in_parallel
from functions.entities.attribute_values import Attributes
from functions.entities.item import key_attributes
from functions.entities.wakes import Rhythm
from functions.model import EntityKey
from ops.entities import forget_state
from ops.items import plain_values
from ops.quarantine import stored_objects
from ops.quarantine.browse import event_of
from ops.quarantine.redrive import READS_AT_ONCE, Calls, Outcome
from ops.quarantine.stored_objects import StoredObject, StoredRecord

PEOPLE: Final[Mapping[str, str]] = {"student": "student_id", "tutor": "tutor_id"}
"""The entity types that are people, with the field of a payload that holds their id."""

REMAINS: Final = (
    (
        "the stream keeps the records until its retention ends; a replay, or a batch that is delivered again, brings "
        "the item back: forget once more after that"
    ),
    (
        "point-in-time recovery holds the tables' former states, for up to 35 days, and the metrics table's own stream "
        "its changes for 24 hours; backups that were made on demand stay until somebody deletes them"
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
"""The data of any person that stays elsewhere, and for how long."""
REMAINS_OF: Final[Mapping[str, str]] = {
    "student": "tutors' items keep the sessions (time, rating, outcome, subject) under a hash of the session's id, for "
    "32 days; nothing in them names the student",
    "tutor": "students' items name the tutor: their facts for 32 days, from which a rollup may write the tutor's item "
    "anew, and first_session for as long as that student's item is there",
}
"""The same, for one type of person."""

Status = Literal["found", "removed", "left", "mentioned"]


class Places(NamedTuple):
    """The tables."""

    table: str
    """The name of the metrics table."""
    state_table: str
    """The name of the internal table."""
    rhythm: Rhythm
    """Of the deployed processor: how many lanes it writes wakes to."""


@dataclass(frozen=True, slots=True)
class Item:
    """The person's item."""

    last_updated: str
    alerts: Sequence[str]
    """Types of the alerts that were firing. Nobody is notified of their end."""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """An object, or a former version of one, that holds records of the person or mentions them."""

    key: str
    version_id: str | None
    """None for an object in a bucket without versions."""
    latest: bool
    named: Sequence[int] = ()
    """The positions of records that name the person."""
    mentioned: Sequence[int] = ()
    """The positions of other records that hold the id: they cannot be read, or hold it in another field."""
    holds: StoredObject | None = None
    """The object, parsed; None when neither the processor nor Lambda wrote it."""
    status: Status = "found"
    """`mentioned` objects are removed only on request."""
    put: int = 0
    """How many records of other people the stream has accepted."""
    detail: str = ""

    @property
    def others(self) -> list[StoredRecord]:
        """The records of other people."""
        if self.holds is None:
            return []
        return [record for position, record in enumerate(self.holds.records) if position not in self.named]


@dataclass(slots=True)
class Report:
    """What was found of a person, and what was done with it."""

    item: Item | None = None
    state: forget_state.Traces = field(default_factory=forget_state.Traces)
    """What the internal table holds."""
    state_removed: bool = False
    traces: list[Trace] = field(default_factory=list)

    def only(self, *statuses: Status) -> list[Trace]:
        """Returns the objects with one of these statuses."""
        return [trace for trace in self.traces if trace.status in statuses]


def find(
    s3: Any,
    dynamodb: Any,
    bucket: str,
    places: Places,
    person: EntityKey,
    *,
    mentions: bool = False,
    report: Callable[[int, int], None] = lambda _objects, _all: None,
) -> Report:
    """Searches the tables and every version of every object of the quarantine for a person. Changes nothing.

    Parameters
    ----------
    s3, dynamodb
        Clients of boto3's kind.
    bucket
        Its name.
    places
        The tables.
    person
        A student or a tutor.
    mentions
        Whether a record that only mentions the person counts as theirs.
    report
        Called after each read with the number of versions just read and the number of all versions.

    Raises
    ------
    ClientError, BotoCoreError
        When a call fails after the client's own retries.
    """
    answer = dynamodb.get_item(TableName=places.table, Key=key_attributes(person), ConsistentRead=True)
    found = Report(_item(answer.get("Item")), forget_state.find(dynamodb, places.state_table, places.rhythm, person))
    versions = list(_versions(s3, bucket))
    for part in chunks(versions, READS_AT_ONCE):
        for version, body in zip(part, in_parallel(lambda version: _read(s3, bucket, version), part), strict=True):
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
    places: Places,
    person: EntityKey,
    found: Report,
    *,
    report: Callable[[int, int], None] = lambda _objects, _all: None,
) -> None:
    """Removes what was found.

    The item is deleted after the records, and without a condition, because a condition on its version would fail for a
    person with many events. An event that arrives later makes a new item. The tail and the wakes come after the item:
    without it no move writes the tail anew, no roll writes wakes anew, and nobody meets an item whose tail is gone.

    Parameters
    ----------
    s3, kinesis, dynamodb
        Clients of boto3's kind.
    bucket, stream
        Names.
    places
        The tables.
    person
        The person that was passed to `find`.
    found
        What `find` has returned; it is kept up to date.
    report
        Called for each object with 1 and the number of all.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the clients' own retries.
    UserError
        When a wake could not be written or deleted.
    """
    positions = [position for position, trace in enumerate(found.traces) if trace.status == "found"]
    for position in positions:
        trace = found.traces[position]
        if trace.latest and trace.others and trace.holds is not None:
            trace = _put_others(s3, kinesis, bucket, stream, trace, trace.holds)
        if trace.status == "found":
            if trace.version_id is not None or not trace.put:  # otherwise `Calls` has removed the object
                _delete(s3, bucket, trace)
            trace = replace(trace, status="removed")
        found.traces[position] = trace
        report(1, len(positions))
    old = dynamodb.delete_item(TableName=places.table, Key=key_attributes(person), ReturnValues="ALL_OLD")
    if (item := _item(old.get("Attributes"))) is not None:
        found.item = replace(item, removed=True)
    # Searched again: until the item was gone the processor may have written a tail and wakes.
    latest = forget_state.find(dynamodb, places.state_table, places.rhythm, person)
    removed = forget_state.forget(dynamodb, places.state_table, person, latest)
    if removed:
        found.state, found.state_removed = removed, True


def _item(attributes: Attributes | None) -> Item | None:
    if not attributes:
        return None
    values = plain_values({name: attributes[name] for name in ("last_updated", "alerts") if name in attributes})
    return Item(values.get("last_updated", ""), sorted(values.get("alerts", ())))


def _versions(s3: Any, bucket: str) -> Iterator[Trace]:
    """Yields every version of every object; in a bucket without versions, the objects."""
    for prefix in stored_objects.prefixes(""):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for version in page.get("Versions", ()):
                latest = bool(version.get("IsLatest", True))
                version_id = version.get("VersionId", "null")
                yield Trace(version["Key"], None if latest and version_id == "null" else version_id, latest)


def _which(trace: Trace) -> dict[str, str]:
    return {"Key": trace.key} | ({"VersionId": trace.version_id} if trace.version_id is not None else {})


def _read(s3: Any, bucket: str, trace: Trace) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket=bucket, **_which(trace))["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchVersion"):
            raise
        return None  # someone else has removed the object
    return body


def _trace(version: Trace, body: bytes, person: EntityKey, *, mentions: bool) -> Trace | None:
    """Returns what an object holds of the person; None when it holds nothing."""
    try:
        holds = stored_objects.parse(version.key, body)
    except (ValueError, RecursionError) as error:
        if not _holds(body, person.entity_id):
            return None
        detail = f"it cannot be read ({error}), but holds the id"
        return replace(version, status="found" if mentions else "mentioned", detail=detail)
    named: list[int] = []
    mentioned: list[int] = []
    for position, record in enumerate(holds.records):
        if _names(record, person):
            named.append(position)
        elif _mentions(record.data, person.entity_id):
            (named if mentions else mentioned).append(position)
    if not named and not mentioned:
        return None
    return replace(version, named=named, mentioned=mentioned, holds=holds, status="found" if named else "mentioned")


def _names(record: StoredRecord, person: EntityKey) -> bool:
    """Whether a record has the person's id in the field for it, or as its partition key."""
    event = event_of(record.data)
    payload = event.get("payload") if isinstance(event, dict) else None
    value = payload.get(PEOPLE[person.entity_type]) if isinstance(payload, dict) else None
    return _is(value, person.entity_id) or record.partition_key == person.entity_id


def _is(value: Any, entity_id: str) -> bool:
    return value == entity_id or (type(value) is int and str(value) == entity_id)


def _mentions(data: bytes, entity_id: str) -> bool:
    return _holds(data, entity_id) or _somewhere(event_of(data), entity_id)


def _holds(data: bytes, entity_id: str) -> bool:
    """Whether the data holds the id, as text or as JSON writes it, and not as a part of another word."""
    return any(
        re.search(rb"(?<![\w-])" + re.escape(spelled.encode()) + rb"(?![\w-])", data)
        for spelled in {entity_id, json.dumps(entity_id)[1:-1]}
    )


def _somewhere(value: Any, entity_id: str) -> bool:
    """Whether a JSON value is the id or holds it at any depth."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            pending += [*current.keys(), *current.values()]
        elif isinstance(current, list):
            pending += current
        elif _is(current, entity_id):
            return True
    return False


def _put_others(s3: Any, kinesis: Any, bucket: str, stream: str, trace: Trace, holds: StoredObject) -> Trace:
    """Puts the records of other people back on the stream and removes the object. It stays if one is refused."""
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
