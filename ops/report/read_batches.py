"""Reads the processor's log for the report page: what each batch was, and which events it brought."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from functions.model import DAY_MS, HOUR_MS, from_iso
from ops import aws, function_logs
from ops.report.data import DAYS, Batch, Throughput, Traffic
from ops.report.read_table import NOT_READABLE

_EVENTS: Final = "EventsByHour"
"""A field that only the metrics document of a batch has."""


def read_throughput(logs: Any, processor: str, asked_ms: int, now_ms: int, most: int) -> Throughput:
    """Reads batches hour by hour back from now, until all that is asked for is read, or as many as the page takes.

    Parameters
    ----------
    logs
        A client of boto3's kind.
    processor
        The processor's function.
    asked_ms
        From when on batches are asked for, epoch ms.
    now_ms
        The moment of the page, epoch ms.
    most
        After how many batches to stop, at the end of an hour.
    """
    batches: list[Batch] = []
    events: Counter[tuple[str, int]] = Counter()
    until_ms = now_ms + 1
    note = ""
    try:
        while until_ms > asked_ms and len(batches) < most:
            since_ms = max(asked_ms, until_ms - HOUR_MS)
            for line in function_logs.lines(logs, processor, _EVENTS, since_ms, until_ms):
                document = function_logs.json_object(line.text)
                try:
                    batches.append(_batch(document))
                    events.update(_events(document))
                except NOT_READABLE:  # another line that contains the word
                    continue
            until_ms = since_ms
    except ClientError as error:
        if not aws.is_missing(error):
            raise
        note = "The processor has not logged anything yet."
    else:
        if not batches:
            note = "The processor has taken in no batch in this time."
    oldest_ms = now_ms - DAYS * DAY_MS
    return Throughput(
        sorted(batches, key=lambda batch: batch.at_ms),
        [Traffic(kind, hour, count) for (kind, hour), count in sorted(events.items()) if hour >= oldest_ms],
        sum(count for (_, hour), count in events.items() if hour < oldest_ms),
        until_ms,
        asked_ms,
        note,
    )


def _batch(document: Mapping[str, Any]) -> Batch:
    """Reads a batch from its metrics document (CloudWatch, embedded metric format: each metric is a list of values).

    A counter of zero is not in it.
    """
    lag = document.get("BatchLag")
    duplicates, quarantined, failed = (
        int(sum(document.get(name, ()))) for name in ("Duplicates", "Quarantined", "FailedRecords")
    )
    return Batch(
        int(document["_aws"]["Timestamp"]),
        int(sum(document["Records"])),
        duplicates,
        quarantined,
        failed,
        None if lag is None else float(max(lag)),
        float(document["BatchMilliseconds"]),
    )


def _events(document: Mapping[str, Any]) -> dict[tuple[str, int], int]:
    """Returns the events of a batch by type and hour (epoch ms)."""
    return {
        (event_type, from_iso(f"{hour}:00:00.000Z")): count
        for event_type, hours in document[_EVENTS].items()
        for hour, count in hours.items()
    }
