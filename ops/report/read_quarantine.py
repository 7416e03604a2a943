"""Reads the quarantine bucket for the report page."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from functions.aws.parallel import in_parallel
from functions.model import from_datetime
from ops.quarantine import redrive, stored_objects
from ops.quarantine.stored_objects import StoredObject
from ops.report.data import Quarantine, Reason


def read_quarantine(s3: Any, bucket: str, most_listed: int, most_read: int) -> Quarantine:
    """Lists the bucket and reads the latest objects.

    Parameters
    ----------
    s3
        A client of boto3's kind.
    bucket
        Its name.
    most_listed
        How many objects of each kind to list, up to a page more.
    most_read
        How many objects to read.
    """
    listed, more = _list(s3, bucket, most_listed)
    latest = [key for _, key in sorted(listed, reverse=True)[:most_read]]
    results = in_parallel(lambda key: redrive.read(s3, bucket, key), latest)
    read = [result for result in results if isinstance(result, StoredObject)]
    return Quarantine(_by_reason(read), len(listed), len(latest), len(latest) - len(read), more)


def _list(s3: Any, bucket: str, most: int) -> tuple[list[tuple[int, str]], bool]:
    """Returns when each object was written (epoch ms) and its key, and whether there are more objects."""
    listed: list[tuple[int, str]] = []
    more = False
    for prefix in stored_objects.prefixes(""):
        count = 0
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            contents = page.get("Contents", ())
            listed += ((from_datetime(stored["LastModified"]), stored["Key"]) for stored in contents)
            count += len(contents)
            if count >= most:
                more = more or page["IsTruncated"]
                break
    return listed, more


def _by_reason(read: Sequence[StoredObject]) -> list[Reason]:
    """Sums the objects by kind and reason, the most records first; the objects come the latest first."""
    groups: dict[tuple[str, str], list[StoredObject]] = defaultdict(list)
    for stored in read:
        groups[stored.kind, stored.reason].append(stored)
    reasons = []
    for (kind, reason), members in groups.items():
        arrivals = [record.arrival_ms for stored in members for record in stored.records]
        detail = members[0].detail
        reasons.append(Reason(reason, kind, len(members), len(arrivals), min(arrivals), max(arrivals), detail))
    return sorted(reasons, key=lambda summed: (-summed.records, summed.kind, summed.reason))
