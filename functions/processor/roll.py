"""What Lambda calls every few minutes: brings items up to date that time alone has changed.

Windows fall, alerts end, reminders are sent, and notifications that a crash left unsent are sent. The roll sends the
items that are due through the same path as events, with nothing new.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from functions.aws import clock
from functions.aws.clients import client
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.due_index import DueItem, due_items
from functions.aws.observability import count, count_by, logger, metrics
from functions.aws.parallel import chunks
from functions.aws.update import Outcome, Processor
from functions.aws.warm import keep_what_is_there
from functions.entities.arrivals import Arrivals
from functions.model import SECOND_MS, EntityKey

_ENTITIES_AT_ONCE: Final = 500


class RollIncomplete(RuntimeError):
    """Some items that were due could not be brought up to date; they stay due."""


@dataclass(slots=True)
class _Progress:
    """What a roll has done so far."""

    now_ms: int
    due: int = 0
    written: int = 0
    alerts_sent: Counter[str] = field(default_factory=Counter)
    failed: dict[EntityKey, str] = field(default_factory=dict)
    complete: bool = True
    """Whether all items that were due have been looked at."""
    oldest_due: int = 0
    """Since when the longest overdue item was due, epoch seconds."""
    oldest_unsent_ms: int = 0
    """When the oldest notification was made that is still to be sent, epoch ms."""

    def __post_init__(self) -> None:
        self.oldest_due, self.oldest_unsent_ms = self.now_ms // SECOND_MS, self.now_ms

    def add(self, items: Sequence[DueItem], outcome: Outcome) -> None:
        self.due += len(items)
        self.written += outcome.written
        self.alerts_sent += outcome.alerts_sent
        if outcome.unsent_since is not None:
            self.oldest_unsent_ms = min(self.oldest_unsent_ms, outcome.unsent_since)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int | bool]:  # noqa: ARG001 - Lambda's signature
    """Roll everything that is due.

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
    progress = _roll(Deadline.of(context))
    _emit(progress)
    keep_what_is_there()
    if progress.failed:
        first = next(iter(progress.failed.values()))
        raise RollIncomplete(f"{len(progress.failed)} of {progress.due} due items failed, the first: {first}")
    return {
        "due": progress.due,
        "written": progress.written,
        "alerts_sent": progress.alerts_sent.total(),
        "complete": progress.complete,
    }


def _roll(deadline: Deadline) -> _Progress:
    progress = _Progress(clock.now_ms())
    for items in _due(progress.now_ms // SECOND_MS):
        progress.oldest_due = min(progress.oldest_due, *(item.due_at for item in items))
        if deadline.passed():
            progress.complete = False
            break
        outcome = Processor(config()).run(Arrivals.none([item.key for item in items]), deadline)
        progress.add(items, outcome)
        if deadline.passed():  # what failed may have failed for want of time, and stays due
            progress.complete = False
            break
        progress.failed |= outcome.failed
    return progress


def _due(now: int) -> Iterator[list[DueItem]]:
    """Yield the items that are due at `now` (epoch seconds), each once, in parts of `_ENTITIES_AT_ONCE`.

    Each roll begins with another partition of the index, so that none is always last.
    """
    index_partitions = config().rules.due_partitions
    seen: set[EntityKey] = set()
    for step in range(index_partitions):
        for page in due_items(client("dynamodb"), config().table_name, (now + step) % index_partitions, now):
            fresh = list({item.key: item for item in page if item.key not in seen}.values())
            seen.update(item.key for item in fresh)
            yield from (list(part) for part in chunks(fresh, _ENTITIES_AT_ONCE))


def _emit(progress: _Progress) -> None:
    """Write the roll's metrics and its line of the log."""
    failed, alerts_sent = len(progress.failed), progress.alerts_sent.total()
    count(Due=progress.due, Rolled=progress.written, RollFailed=failed, AlertsSent=alerts_sent)
    count_by("AlertsSent", "alert_type", progress.alerts_sent)
    for name, seconds in (
        ("OldestDue", progress.now_ms // SECOND_MS - progress.oldest_due),
        ("OldestUnsent", (progress.now_ms - progress.oldest_unsent_ms) // SECOND_MS),
    ):
        metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)
    logger.info(
        "Roll complete",
        due=progress.due,
        written=progress.written,
        failed=failed,
        alerts_sent=alerts_sent,
        complete=progress.complete,
    )
