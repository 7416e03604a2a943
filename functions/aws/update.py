"""Brings entities up to date: reads items, plans, writes wakes and items, publishes notifications, clears outboxes.

The handler, the roll and the rollup all call `Processor.run`; they differ only in what arrived. Every step may be lost
or repeated: after a lost race everything is read, planned and written again, and the next delivery or roll completes
what a crash left undone.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from functions.aws import clock
from functions.aws.bus import AlertBus
from functions.aws.config import Config
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.retry import back_off
from functions.aws.state_table import StateTable
from functions.aws.table import STATEMENTS_A_WRITE, MetricsTable
from functions.entities.arrivals import Arrivals
from functions.entities.item import State
from functions.entities.plan import Plan, Rules, Write, plan
from functions.model import EntityKey, Rejection, ceil_div

_RACES: Final = 10
_PUBLISHING_ROUNDS: Final = 3
_UNREADABLE: Final = "the stored item is not readable and is left as it is: "


@dataclass(slots=True)
class Outcome:
    """What became of the entities."""

    failed: dict[EntityKey, str] = field(default_factory=dict)
    """Entities that are not up to date, with the reason."""
    rejections: list[Rejection] = field(default_factory=list)
    written: int = 0
    conflicts: int = 0
    cancelled: int = 0
    """Transactions that DynamoDB cancelled."""
    duplicates: int = 0
    """Facts that said nothing new. A session delivered again counts once for its student and once for its tutor."""
    sent: dict[str, str] = field(default_factory=dict)
    """The notifications that the bus accepted: `alert_id` to alert type."""
    unsent_since: int | None = None
    """When the oldest notification was made that is still to be sent, epoch ms."""
    uncleared: set[EntityKey] = field(default_factory=set)
    """Entities whose outboxes are not empty. A later roll must send or clear them."""

    @property
    def alerts_sent(self) -> Counter[str]:
        """How many notifications the bus accepted, by alert type."""
        return Counter(self.sent.values())


class Processor:
    """The path of a batch behind decoding, over one table and one bus."""

    def __init__(self, config: Config) -> None:
        self._state_table = StateTable(config.state_table_name)
        self._table = MetricsTable(config.table_name, self._state_table)
        self._bus = AlertBus(config.event_bus_name)
        self._rules = config.rules

    def run(self, arrivals: Arrivals, deadline: Deadline) -> Outcome:
        """Merge what arrived, bring every named entity up to date and publish its notifications."""
        outcome = Outcome()
        states = self._settle(arrivals, deadline, outcome)
        outcome.uncleared = {state.key for state in states if state.alerts.outbox}
        for _ in range(_PUBLISHING_ROUNDS - 1):
            accepted = len(outcome.sent)
            waiting = [state.key for state in states if state.alerts.outbox]
            if not waiting or not accepted:
                break
            states = self._clear_again(waiting, deadline, outcome)
            outcome.uncleared -= {state.key for state in states if not state.alerts.outbox}
            if len(outcome.sent) == accepted:
                break
        outcome.unsent_since = _oldest_unsent(states, outcome.sent)
        if outcome.sent:
            logger.info(f"Sent {len(outcome.sent)} alerts to EventBridge")
        return outcome

    def _clear_again(self, keys: Sequence[EntityKey], deadline: Deadline, outcome: Outcome) -> list[State]:
        """Bring entities up to date whose outboxes were not cleared, or filled up again.

        A failure here is no failure of the entity: the next roll sends the notification again, under the same id.
        """
        clearing = Outcome(sent=outcome.sent)
        states = self._settle(Arrivals.none(keys), deadline, clearing)
        outcome.written += clearing.written
        outcome.conflicts += clearing.conflicts
        outcome.cancelled += clearing.cancelled
        for key, reason in clearing.failed.items():
            logger.warning("An outbox was not cleared; the roll will do it", **key._asdict(), reason=reason)
        return states

    def _settle(self, arrivals: Arrivals, deadline: Deadline, outcome: Outcome) -> list[State]:
        """Read, plan and commit until no race is lost.

        Returns
        -------
        list of State
            The entities that are up to date, as they now are in the table.
        """
        settled: list[State] = []
        pending = arrivals
        for attempt in range(_RACES):
            if deadline.passed():
                break
            pending, states = self._read(pending, deadline, outcome)
            if not states:
                return settled
            now_ms = clock.now_ms()
            ends_ms = now_ms + deadline.remaining_ms()
            planned = plan(states, pending, now_ms, ends_ms, self._rules, frozenset(outcome.sent))
            commit = _Commit(planned, self._table, self._state_table, self._bus, self._rules, deadline, outcome)
            commit.run()
            outcome.failed |= {pending.keys[entity]: reason for entity, reason in commit.failed.items()}
            for entity, state in enumerate(commit.after):
                if commit.is_settled(entity):
                    settled.append(state)
                    outcome.rejections.extend(planned.rejections.get(entity, ()))
                    outcome.duplicates += planned.repeated.get(entity, 0)
            if not commit.lost:
                return settled
            pending = pending.only(sorted(commit.lost))
            back_off(attempt)
        reason = "no time is left" if deadline.passed() else f"{_RACES} races in a row were lost"
        outcome.failed |= dict.fromkeys(pending.keys, reason)
        return settled

    def _read(self, arrivals: Arrivals, deadline: Deadline, outcome: Outcome) -> tuple[Arrivals, list[State]]:
        read = self._table.read(arrivals.keys, clock.now_ms(), deadline)
        outcome.failed |= read.failed
        if read.failed:
            arrivals = arrivals.only([entity for entity, key in enumerate(arrivals.keys) if key in read.states])
        return arrivals, [read.states[key] for key in arrivals.keys]


class _Commit:
    """One attempt to commit a plan: write wakes, write items, publish, clear.

    Wakes come first: an item without its wakes would not change when time passes. Of the items, those with
    notifications are written first, in as few calls as that takes. The writes that clear their outboxes then share
    their calls with the writes of all other items.
    """

    def __init__(
        self,
        planned: Plan,
        table: MetricsTable,
        state_table: StateTable,
        bus: AlertBus,
        rules: Rules,
        deadline: Deadline,
        outcome: Outcome,
    ) -> None:
        self._planned = planned
        self._table = table
        self._state_table = state_table
        self._bus = bus
        self._rules = rules
        self._deadline = deadline
        self._outcome = outcome
        self.after = list(planned.after)
        """The entities' states after this attempt, by position."""
        self.failed = {entity: _UNREADABLE + reason for entity, reason in planned.unreadable.items()}
        """Entities that could not be written, with the reason."""
        self.lost: set[int] = set()
        """Entities that lost a race."""

    def is_settled(self, entity: int) -> bool:
        """Whether the entity is in the table as `after` has it."""
        return entity not in self.lost and entity not in self.failed

    def run(self) -> None:
        """Write what is planned, and publish notifications as soon as they are committed."""
        self._write_wakes()
        notifying = [
            entity for entity, state in enumerate(self.after) if state.alerts.outbox and self.is_settled(entity)
        ]
        first, rest = self._in_order(notifying)
        self._write(first)
        clears = self._publish([entity for entity in notifying if self.is_settled(entity)])
        # No entity is in both: those with notifications are all in `first`.
        self._write(rest, clears)

    def _write_wakes(self) -> None:
        """Write the wakes. The items of entities whose wakes could not be written are not written either."""
        refused = self._state_table.put_wakes(self._planned.wakes(self._rules.rhythm), self._deadline)
        reasons = {key: reason for wake, reason in refused.items() for key in wake.entities}
        self.failed |= {
            entity: reasons[self.after[entity].key] for entity in self._planned.due if self.after[entity].key in reasons
        }

    def _in_order(self, notifying: Sequence[int]) -> tuple[dict[int, Write], dict[int, Write]]:
        """Part the planned writes: whole calls that hold all entities with notifications, and the rest.

        Moves come last in each part, so that most batches make them in one transaction.
        """
        writes = {entity: write for entity, write in self._planned.writes.items() if entity not in self.failed}
        order = sorted(writes, key=lambda entity: (not self.after[entity].alerts.outbox, writes[entity].moves))
        first = len(order)
        if notifying:
            first = ceil_div(sum(entity in writes for entity in notifying), STATEMENTS_A_WRITE) * STATEMENTS_A_WRITE
        return {entity: writes[entity] for entity in order[:first]}, {
            entity: writes[entity] for entity in order[first:]
        }

    def _write(self, writes: dict[int, Write], clears: dict[int, Write] | None = None) -> None:
        """Make planned writes, and beside them those that clear outboxes.

        An outbox that is not cleared is no failure of its entity: `run` of the processor tries again, then the roll.
        """
        clears = clears or {}
        every = writes | clears
        positions = list(every)
        written = self._table.write(list(every.values()), self._deadline)
        lost = {positions[number] for number in written.lost}
        failed = {positions[number]: reason for number, reason in written.failed.items()}
        self._outcome.conflicts += len(lost)
        self._outcome.cancelled += written.cancelled
        self._outcome.written += len(positions) - len(lost) - len(failed)
        self.lost |= lost & writes.keys()
        self.failed |= {entity: reason for entity, reason in failed.items() if entity in writes}
        for entity, write in clears.items():
            if entity not in lost and entity not in failed:
                self.after[entity] = write.after

    def _publish(self, entities: Sequence[int]) -> dict[int, Write]:
        """Publish these entities' outboxes. Return the writes that clear them of what the bus accepted."""
        if not entities:
            return {}
        outboxes = [self.after[entity].alerts.outbox for entity in entities]
        accepted = self._bus.send([notification for outbox in outboxes for notification in outbox], self._deadline)
        if not accepted:
            return {}
        self._outcome.sent |= accepted
        ids = frozenset(accepted)
        clears = {entity: self._planned.cleared(entity, ids) for entity in entities}
        return {entity: write for entity, write in clears.items() if write is not None}


def _oldest_unsent(states: Iterable[State], sent: dict[str, str]) -> int | None:
    waiting = (notification for state in states for notification in state.alerts.outbox)
    return min((notification.made_at for notification in waiting if notification.alert_id not in sent), default=None)
