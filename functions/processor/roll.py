"""What Lambda calls every few minutes: brings items up to date that time alone has changed.

Windows fall, alerts end, reminders are sent, and what a crash left unpublished is published: all by sending the items
that are due through the same path as events, with nothing new of them.
"""

from collections.abc import Iterator
from typing import Any, Final

from . import clock
from .arrivals import Arrivals
from .clients import chunks, client
from .config import config
from .deadline import Deadline
from .model import SECOND_MS, EntityKey
from .observability import count, logger, metrics
from .process import Processor

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
    due = written = alerts_sent = 0
    failed: dict[EntityKey, str] = {}
    complete = True
    for keys in _due(clock.now_ms() // SECOND_MS):
        if deadline.passed():
            complete = False
            break
        outcome = Processor(config()).run(Arrivals.none(keys), deadline)
        due += len(keys)
        written += outcome.written
        alerts_sent += outcome.alerts_sent
        if deadline.passed():  # what failed may have failed for want of time; it stays due
            complete = False
            break
        failed |= outcome.failed
    count(Due=due, Rolled=written, RollFailed=len(failed), AlertsSent=alerts_sent)
    logger.info(
        "Roll complete",
        due=due,
        written=written,
        failed=len(failed),
        alerts_sent=alerts_sent,
        complete=complete,
    )
    if failed:
        raise RollIncomplete(f"{len(failed)} of {due} due items failed, the first: {next(iter(failed.values()))}")
    return {"due": due, "written": written, "alerts_sent": alerts_sent, "complete": complete}


def _due(now: int) -> Iterator[list[EntityKey]]:
    """The keys of items that are due, in parts; each partition of the index in pages, another one first each time."""
    partitions = config().rules.due_partitions
    pages = client("dynamodb").get_paginator("query")
    seen: set[EntityKey] = set()
    for step in range(partitions):
        for page in pages.paginate(
            TableName=config().table_name,
            IndexName=DUE_INDEX,
            KeyConditionExpression="due_partition = :partition AND due_at <= :now",
            ExpressionAttributeValues={
                ":partition": {"S": str((now + step) % partitions)},
                ":now": {"N": str(now)},
            },
        ):
            keys = [EntityKey(item["entity_type"]["S"], item["entity_id"]["S"]) for item in page["Items"]]
            fresh = [key for key in keys if key not in seen]
            seen.update(fresh)
            for part in chunks(fresh, _ENTITIES_AT_ONCE):
                yield list(part)
