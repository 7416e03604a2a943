"""What Lambda calls with a batch of Kinesis records."""

from typing import Any

from . import clock
from .arrivals import gather
from .config import config
from .deadline import Deadline
from .decode import decode, read_records
from .observability import count, logger, metrics
from .process import Processor
from .quarantine import Quarantine


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
    records = read_records(event["Records"])
    logger.info(f"Processing {len(records)} records from Kinesis")
    batch = decode(records, config().future_tolerance_ms)
    for taken in batch.events:
        logger.debug("Processing event: %s", taken.event_type)

    arrivals = gather(batch.events)
    outcome = Processor(config()).run(arrivals, deadline)
    rejections = [*batch.rejections, *outcome.rejections]
    failed = Quarantine(config().quarantine_bucket).put(records, rejections)
    for entity, key in enumerate(arrivals.keys):
        if reason := outcome.failed.get(key):
            failed.update(arrivals.records[entity])
            logger.error("An entity could not be brought up to date", **key._asdict(), reason=reason)

    count(
        Records=len(records),
        Quarantined=len({rejection.record for rejection in rejections} - failed),
        FailedRecords=len(failed),
        EntitiesWritten=outcome.written,
        Conflicts=outcome.conflicts,
        AlertsSent=outcome.alerts_sent,
    )
    if records:
        lag_ms = clock.now_ms() - min(record.arrival_ms for record in records)
        metrics.add_metric(name="BatchLag", unit="Milliseconds", value=max(0, lag_ms))
    logger.info(
        "Batch processing complete",
        records=len(records),
        entities=len(arrivals.keys),
        written=outcome.written,
        quarantined=len({rejection.record for rejection in rejections} - failed),
        failed=len(failed),
        alerts_sent=outcome.alerts_sent,
    )
    return {"batchItemFailures": [{"itemIdentifier": number} for number in batch.sequence_numbers(failed)]}
