"""Finds objects in the quarantine bucket and shows what their records say.

A record may hold anything that somebody put on the stream. Never trust it, and never show it unescaped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from functions.aws.parallel import chunks, in_parallel
from functions.model import EntityKey
from ops.aws import SERVICE, UserError
from ops.quarantine import stored_objects
from ops.quarantine.redrive import READS_AT_ONCE, Outcome, Selection, read
from ops.quarantine.stored_objects import StoredObject

_IDS: Final[Mapping[str, str]] = {
    "student_id": "student",
    "tutor_id": "tutor",
    "subject": "subject",
    "region": "region",
}
"""The fields of a payload that name an entity, with the entity's type."""
_LONGEST_ID: Final = 1_024


@dataclass(slots=True)
class Found:
    """The selected objects of the quarantine."""

    objects: list[StoredObject] = field(default_factory=list)
    """The latest arrival first."""
    unreadable: list[Outcome] = field(default_factory=list)
    """Objects that are not what the processor or Lambda writes, whether they are selected or not."""


def find(s3: Any, bucket: str, selection: Selection, report: Callable[[int, int], None] = lambda *_: None) -> Found:
    """Reads the selected objects.

    Parameters
    ----------
    s3
        A client of boto3's kind.
    bucket
        Its name.
    selection
        Which objects; `force` is ignored.
    report
        Called after each read with the number of objects just read and the number of all objects.

    Raises
    ------
    ClientError, BotoCoreError
        When a call fails after the client's own retries.
    """
    found = Found()
    keys = list(stored_objects.keys(s3, bucket, selection.prefix))
    for part in chunks(keys, READS_AT_ONCE):
        for result in in_parallel(lambda key: read(s3, bucket, key), part):
            if isinstance(result, StoredObject):
                if selection.matches(result):
                    found.objects.append(result)
            elif result.status == "left":
                found.unreadable.append(result)
        report(len(part), len(keys))
    found.objects.sort(key=lambda stored: max(record.arrival_ms for record in stored.records), reverse=True)
    return found


def get(s3: Any, bucket: str, key: str) -> StoredObject:
    """Reads one object.

    Raises
    ------
    UserError
        When there is no such object, or it is not what the processor or Lambda writes.
    """
    if not key.startswith((stored_objects.QUARANTINED, stored_objects.ON_FAILURE)):
        raise UserError(
            f"{key!r} is no key of the quarantine: keys start with {stored_objects.QUARANTINED} or "
            f"{stored_objects.ON_FAILURE}, see `iops quarantine list`",
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
        return stored_objects.parse(key, body)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"the object {key} cannot be read: {error}; see it with `aws s3 cp s3://{bucket}/{key} -`", SERVICE
        ) from None


def event_of(data: bytes) -> Any:
    """Decodes a record's data as JSON; None when it is not JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def named(data: bytes) -> list[EntityKey]:
    """Returns the entities that a record names, whether it is valid or not."""
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
    """Formats JSON over several lines and keeps numbers and names as written; None when the data is not JSON."""
    try:
        text = data.decode()
        msgspec.json.decode(data)
        return msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def dump(data: bytes, most: int) -> Iterable[str]:
    """Yields the first `most` bytes in hexadecimal and ASCII, sixteen bytes a line."""
    for start in range(0, min(len(data), most), 16):
        part = data[start : min(start + 16, most)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:08x}  {part.hex(' '):<47}  {shown}"


def by_reason(objects: Sequence[StoredObject]) -> list[dict[str, Any]]:
    """Sums objects by kind and reason: kind, reason, objects, records, first and last arrival (epoch ms)."""
    groups: dict[tuple[str, str], list[StoredObject]] = {}
    for stored in objects:
        groups.setdefault((stored.kind, stored.reason), []).append(stored)
    summary = []
    for (kind, reason), members in groups.items():
        arrivals = [record.arrival_ms for stored in members for record in stored.records]
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
