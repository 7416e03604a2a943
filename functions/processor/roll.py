"""What Lambda calls every few minutes: brings items up to date that time alone has changed.

Windows fall, alerts end, reminders are sent, and what a crash left unpublished is published: all by sending the items
that are due through the same path as events, with nothing new of them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from functions.aws import clock
from functions.aws.clients import client
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import count, count_by, logger, metrics
from functions.aws.parallel import chunks
from functions.aws.update import Processor
from functions.aws.warm import keep_what_is_there
from functions.entities.arrivals import Arrivals
from functions.model import SECOND_MS, EntityKey

DUE_INDEX: Final = "DueIndex"
_ENTITIES_AT_ONCE: Final = 500


class RollIncomplete(RuntimeError):
    """Some items that were due could not be brought up to date; they stay due."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int | bool]:  # noqa: ARG001 - Lambda's signature
    """Rolls everything that is due.

    Parameters
    ----------
    event
        Ignored.
    context
        The invocation's context; only its remaining time is used.

    Returns
    -------
    dict
        `due` and `written` items, `alerts_sent`, and whether all that was due is done (`complete`); when time runs out
        the next roll goes on.

    Raises
    ------
    RollIncomplete
        When items failed, after all others are done.
    """
    deadline = Deadline.of(context)
    due = written = 0
    alerts_sent: Counter[str] = Counter()
    failed: dict[EntityKey, str] = {}
    complete = True
    now = clock.now_ms()
    oldest_due, oldest_unsent = now // SECOND_MS, now
    for keys, due_since in _due(now // SECOND_MS):
        oldest_due = min(oldest_due, due_since)
        if deadline.passed():
            complete = False
            break
        outcome = Processor(config()).run(Arrivals.none(keys), deadline)
        due += len(keys)
        written += outcome.written
        alerts_sent += outcome.alerts_sent
        if outcome.unsent_since is not None:
            oldest_unsent = min(oldest_unsent, outcome.unsent_since)
        if deadline.passed():  # what failed may have failed for want of time; it stays due
            complete = False
            break
        failed |= outcome.failed
    count(Due=due, Rolled=written, RollFailed=len(failed), AlertsSent=alerts_sent.total())
    count_by("AlertsSent", "alert_type", alerts_sent)
    for name, seconds in (
        ("OldestDue", now // SECOND_MS - oldest_due),
        ("OldestUnsent", (now - oldest_unsent) // SECOND_MS),
    ):
        metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)
    logger.info(
        "Roll complete",
        due=due,
        written=written,
        failed=len(failed),
        alerts_sent=alerts_sent.total(),
        complete=complete,
    )
    keep_what_is_there()
    if failed:
        raise RollIncomplete(f"{len(failed)} of {due} due items failed, the first: {next(iter(failed.values()))}")
    return {"due": due, "written": written, "alerts_sent": alerts_sent.total(), "complete": complete}


def due_query(table: str, partition: int, now: int) -> dict[str, Any]:
    """The query for what is due in a partition of the index at `now` (epoch seconds), longest overdue first."""
    return {
        "TableName": table,
        "IndexName": DUE_INDEX,
        "KeyConditionExpression": "due_partition = :partition AND due_at <= :now",
        "ExpressionAttributeValues": {":partition": {"S": str(partition)}, ":now": {"N": str(now)}},
    }


def _due(now: int) -> Iterator[tuple[list[EntityKey], int]]:
    """The keys of items that are due, in parts, and since when (epoch seconds) the longest overdue of a part is.

    Each partition of the index is read in pages, another one first each time.
    """
    partitions = config().rules.due_partitions
    pages = client("dynamodb").get_paginator("query")
    seen: set[EntityKey] = set()
    for step in range(partitions):
        for page in pages.paginate(**due_query(config().table_name, (now + step) % partitions, now)):
            found = {
                EntityKey(item["entity_type"]["S"], item["entity_id"]["S"]): int(item["due_at"]["N"])
                for item in page["Items"]
            }
            fresh = [key for key in found if key not in seen]
            seen.update(fresh)
            for part in chunks(fresh, _ENTITIES_AT_ONCE):
                yield list(part), min(found[key] for key in part)
