"""What Lambda calls every few minutes: brings items up to date that time alone has changed.

Windows fall, alerts end, reminders are sent, and notifications that a crash left unsent are sent. The roll reads the
wakes that are due, sends their entities through the same path as events, with nothing new, and deletes the wakes.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from functions.aws import clock
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import count, count_by, logger, metrics
from functions.aws.state_table import StateTable
from functions.aws.update import Outcome, Processor
from functions.aws.warm import keep_what_is_there
from functions.entities import wakes
from functions.entities.arrivals import Arrivals
from functions.entities.item import UNREADABLE
from functions.entities.wakes import Rhythm, Wake
from functions.model import HOUR_MS, SECOND_MS, EntityKey

_ENTITIES_AT_ONCE: Final = 500
_MOST_DOUBLINGS: Final = 6
"""As many as make an hour of the shortest interval, a minute."""


class RollIncomplete(RuntimeError):
    """Some entities could not be brought up to date. They are woken again."""


@dataclass(slots=True)
class _Progress:
    """What a roll has done so far."""

    now_ms: int
    seen: set[EntityKey] = field(default_factory=set)
    """Entities that are up to date or woken again: later wakes need not look at them."""
    due: int = 0
    written: int = 0
    alerts_sent: Counter[str] = field(default_factory=Counter)
    failed: dict[EntityKey, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    """Wakes that cannot be parsed. They stay where they are."""
    put_off: int = 0
    """Entities that are woken again."""
    complete: bool = True
    """Whether all wakes that were due have been looked at."""
    oldest_due: int = 0
    """When the oldest wake was due, epoch seconds."""
    oldest_unsent_ms: int = 0
    """When the oldest notification was made that is still to be sent, epoch ms."""

    def __post_init__(self) -> None:
        self.oldest_due, self.oldest_unsent_ms = self.now_ms // SECOND_MS, self.now_ms

    def add(self, outcome: Outcome) -> None:
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
        `due` entities, `written` items, `alerts_sent`, and whether all that was due is done (`complete`); when time
        runs out the next roll goes on.

    Raises
    ------
    RollIncomplete
        When entities failed or wakes could not be parsed, after all others are done.
    """
    progress = _roll(Deadline.of(context))
    _emit(progress)
    keep_what_is_there()
    if reasons := [*progress.failed.values(), *progress.unreadable]:
        raise RollIncomplete(f"{len(reasons)} of {progress.due} due entities failed, the first: {reasons[0]}")
    return {
        "due": progress.due,
        "written": progress.written,
        "alerts_sent": progress.alerts_sent.total(),
        "complete": progress.complete,
    }


def _roll(deadline: Deadline) -> _Progress:
    progress = _Progress(clock.now_ms())
    state_table = StateTable(config().state_table_name)
    for group in _groups(state_table, progress):
        if deadline.passed():
            progress.complete = False
            break
        outcome = _bring_up_to_date(group, progress, deadline)
        if deadline.passed():  # what failed may have failed for want of time: its wakes stay
            waiting = outcome.failed.keys() | outcome.uncleared
            done = [wake for wake in group if waiting.isdisjoint(wake.entities)]
            state_table.delete_wakes(done, deadline.without_reserve())
            progress.complete = False
            break
        progress.failed |= outcome.failed
        _finish(group, outcome, progress, state_table, deadline)
    return progress


def _groups(state_table: StateTable, progress: _Progress) -> Iterator[list[Wake]]:
    """Yield the wakes that are due, the oldest first, in groups of about `_ENTITIES_AT_ONCE` entities."""
    lanes = state_table.lanes_ever(config().rules.rhythm.lanes)
    now = progress.now_ms // SECOND_MS
    in_order = heapq.merge(
        *(state_table.due_wakes(lane, now) for lane in range(lanes)), key=lambda stored: str(stored["sk"]["S"])
    )
    group: list[Wake] = []
    entities = 0
    for stored in in_order:
        try:
            wake = wakes.parse(stored)
        except UNREADABLE as error:
            progress.unreadable.append(f"the wake {stored['pk']['S']} {stored['sk']['S']} is not readable: {error!r}")
            continue
        progress.oldest_due = min(progress.oldest_due, wake.due)
        group.append(wake)
        entities += len(wake.entities)
        if entities >= _ENTITIES_AT_ONCE:
            yield group
            group, entities = [], 0
    if group:
        yield group


def _bring_up_to_date(group: Sequence[Wake], progress: _Progress, deadline: Deadline) -> Outcome:
    """Bring the entities of these wakes up to date, each once a roll."""
    keys = list(dict.fromkeys(key for wake in group for key in wake.entities if key not in progress.seen))
    progress.seen.update(keys)
    progress.due += len(keys)
    outcome = Processor(config()).run(Arrivals.none(keys), deadline) if keys else Outcome()
    progress.add(outcome)
    return outcome


def _finish(
    group: Sequence[Wake], outcome: Outcome, progress: _Progress, state_table: StateTable, deadline: Deadline
) -> None:
    """Wake again what could not be done, and then delete the wakes of the group.

    A wake that cannot be deleted does no harm: the next roll looks at its entities again.
    """
    waiting = outcome.failed.keys() | outcome.uncleared
    times: dict[EntityKey, int] = {}
    for wake in group:
        times |= {key: max(times.get(key, 0), wake.put_off) for key in wake.entities if key in waiting}
    refused: set[EntityKey] = set()
    for put_off in sorted(set(times.values())):
        due = _put_off_until(progress.now_ms, put_off, config().rules.rhythm)
        again = {key: [due] for key, number in times.items() if number == put_off}
        new = wakes.bundle(again, config().rules.rhythm, put_off + 1)
        refused.update(key for wake in state_table.put_wakes(new, deadline) for key in wake.entities)
    progress.put_off += len(times) - len(refused)
    done = [wake for wake in group if refused.isdisjoint(wake.entities)]
    for wake, reason in state_table.delete_wakes(done, deadline).items():
        logger.warning("A wake was not deleted; the next roll looks at it again", due=wake.due, reason=reason)


def _put_off_until(now_ms: int, put_off: int, rhythm: Rhythm) -> int:
    """Return the roll (epoch seconds) that looks again at what could not be done: later each time, up to an hour."""
    delay_ms = rhythm.interval_ms * (2 ** min(put_off, _MOST_DOUBLINGS) - 1)
    return rhythm.next_roll(now_ms + 1 + min(HOUR_MS, delay_ms))


def _emit(progress: _Progress) -> None:
    """Write the roll's metrics and its line of the log."""
    failed, alerts_sent = len(progress.failed) + len(progress.unreadable), progress.alerts_sent.total()
    metrics.add_metric(name="Due", unit=MetricUnit.Count, value=progress.due)  # a document has one metric at least
    count(
        Rolled=progress.written,
        RollFailed=failed,
        PutOff=progress.put_off,
        AlertsSent=alerts_sent,
    )
    count_by("AlertsSent", "alert_type", progress.alerts_sent)
    for name, seconds in (
        ("OldestWake", progress.now_ms // SECOND_MS - progress.oldest_due),
        ("OldestUnsent", (progress.now_ms - progress.oldest_unsent_ms) // SECOND_MS),
    ):
        if seconds:
            metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)
    logger.info(
        "Roll complete",
        due=progress.due,
        written=progress.written,
        failed=failed,
        put_off=progress.put_off,
        alerts_sent=alerts_sent,
        complete=progress.complete,
    )
