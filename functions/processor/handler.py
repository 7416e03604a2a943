"""What Lambda calls with a batch of Kinesis records."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from functions.aws import clock
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import count, count_by, describe, logger, metrics
from functions.aws.quarantine import Quarantine
from functions.aws.update import Processor
from functions.aws.warm import keep_what_is_there
from functions.entities.arrivals import gather
from functions.events.decode import decode, read_records
from functions.model import HOUR_MS, Event, Rejection, to_iso

_LATE_MS: Final = HOUR_MS
"""An event that arrives more than this after its own time counts as late; it is taken in like any other."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Takes in one batch.

    Parameters
    ----------
    event
        `Records` as the event source mapping sends them (AWS Lambda developer guide, "Using Lambda with Kinesis").
    context
        The invocation's context; only its remaining time is used.

    Returns
    -------
    dict
        `batchItemFailures`: the sequence numbers of the records that are neither committed for every entity that they
        name nor quarantined. The mapping delivers from the lowest of them again.
    """
    deadline = Deadline.of(context)
    began_ms = clock.now_ms()
    records = read_records(event["Records"])
    logger.info(f"Processing {len(records)} records from Kinesis")
    batch = decode(records, config().future_tolerance_ms)
    if logger.log_level <= logging.DEBUG:
        for taken in batch.events:
            logger.debug("Processing event: %s", taken.event_type)

    arrivals = gather(batch.events)
    outcome = Processor(config()).run(arrivals, deadline)
    rejections = [*batch.rejections, *outcome.rejections]
    failed = Quarantine(config().quarantine_bucket).put(records, rejections)
    for entity, key in enumerate(arrivals.keys):
        if reason := outcome.failed.get(key):
            failed.update(arrivals.records(entity))
            logger.error("An entity could not be brought up to date", **key._asdict(), reason=reason)

    quarantined = _reasons(rejections, failed)
    metrics.add_metric(name="Records", unit=MetricUnit.Count, value=len(records))  # a document has one metric at least
    count(
        Duplicates=outcome.duplicates,
        Late=sum(records[event.record].arrival_ms - event.time_ms > _LATE_MS for event in batch.events),
        Quarantined=quarantined.total(),
        FailedRecords=len(failed),
        EntitiesWritten=outcome.written,
        Conflicts=outcome.conflicts,
        TransactionsCancelled=outcome.cancelled,
        AlertsSent=outcome.alerts_sent.total(),
    )
    count_by("Quarantined", "reason", quarantined)
    count_by("AlertsSent", "alert_type", outcome.alerts_sent)
    if records:
        lag_ms = clock.now_ms() - min(record.arrival_ms for record in records)
        metrics.add_metric(name="BatchLag", unit=MetricUnit.Milliseconds, value=max(0, lag_ms))
    describe(EventsByHour=_events_by_hour(batch.events), BatchMilliseconds=clock.now_ms() - began_ms)
    logger.info(
        "Batch processing complete",
        records=len(records),
        entities=len(arrivals.keys),
        written=outcome.written,
        quarantined=quarantined.total(),
        failed=len(failed),
        alerts_sent=outcome.alerts_sent.total(),
    )
    keep_what_is_there()
    return {"batchItemFailures": [{"itemIdentifier": number} for number in batch.sequence_numbers(failed)]}


def _events_by_hour(events: Iterable[Event]) -> dict[str, dict[str, int]]:
    """How many events of each type there were in each hour of event time: `{"ib_call_logged": {"2026-11-23T10": 2}}`.

    A batch takes at most 10,000 records (AWS Lambda API, `BatchSize`) and an hour some 20 bytes, so that this stays
    within the 256 KB of a log event even when every record is of an hour of its own.
    """
    found: dict[str, dict[str, int]] = {}
    for (event_type, hour), number in Counter((event.event_type, event.time_ms // HOUR_MS) for event in events).items():
        found.setdefault(event_type, {})[to_iso(hour * HOUR_MS)[:13]] = number
    return found


def _reasons(rejections: Iterable[Rejection], failed: set[int]) -> Counter[str]:
    """How many records are in the quarantine for which reason; of a record's several, the first, as its object says."""
    first: dict[int, str] = {}
    for rejection in rejections:
        first.setdefault(rejection.record, rejection.reason)
    return Counter(reason for record, reason in first.items() if record not in failed)
