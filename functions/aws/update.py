"""Runs entities through read, plan, write, publish and clear: the way that events and the roll have in common.

A lost race means read again, merge again, write again; harmless, since merging is idempotent. What could not be
committed is said, entity by entity; whoever called reports its records as failed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from functions.aws import clock
from functions.aws.bus import AlertBus
from functions.aws.clients import back_off
from functions.aws.config import Config
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.table import STATEMENTS_A_WRITE, MetricsTable
from functions.entities.arrivals import Arrivals
from functions.entities.item import State
from functions.entities.plan import Plan, Write, plan
from functions.model import EntityKey, Rejection

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
    duplicates: int = 0
    """Facts that said nothing new: a session delivered again is one of its student and one of its tutor."""
    alerts_sent: Counter[str] = field(default_factory=Counter)
    """How many notifications the bus accepted, by alert type."""
    unsent_since: int | None = None
    """When the oldest notification was made that is still to be sent, epoch ms."""


class Processor:
    """The path of a batch behind decoding, over one table and one bus."""

    def __init__(self, config: Config) -> None:
        self._table = MetricsTable(config.table_name)
        self._bus = AlertBus(config.event_bus_name)
        self._rules = config.rules

    def run(self, arrivals: Arrivals, deadline: Deadline) -> Outcome:
        """Takes in what arrived, brings every named entity up to date and publishes what there is to tell."""
        outcome = Outcome()
        sent: dict[str, str] = {}
        states = self._settle(arrivals, deadline, outcome, sent)
        for _ in range(_PUBLISHING_ROUNDS - 1):
            left = [state.key for state in states if state.alerts.outbox]
            if not left or not sent:
                break
            # What fails here is told again by the next roll, under the same ids.
            clearing, told = Outcome(), len(sent)
            states = self._settle(Arrivals.none(left), deadline, clearing, sent)
            outcome.written += clearing.written
            outcome.conflicts += clearing.conflicts
            for key, reason in clearing.failed.items():
                logger.warning("An outbox was not cleared; the roll will do it", **key._asdict(), reason=reason)
            if len(sent) == told:
                break
        outcome.alerts_sent.update(sent.values())
        waiting = (notification for state in states for notification in state.alerts.outbox)
        outcome.unsent_since = min(
            (notification.made_at for notification in waiting if notification.alert_id not in sent), default=None
        )
        if outcome.alerts_sent:
            logger.info(f"Sent {outcome.alerts_sent.total()} alerts to EventBridge")
        return outcome

    def _settle(self, arrivals: Arrivals, deadline: Deadline, outcome: Outcome, sent: dict[str, str]) -> list[State]:
        """Reads, plans, writes and tells until no race is lost; adds to `sent` what the bus accepts.

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
            planned = plan(states, pending, clock.now_ms(), self._rules, frozenset(sent))
            failed = {entity: _UNREADABLE + why for entity, why in planned.unreadable.items()}
            after, lost = self._commit(planned, failed, deadline, outcome, sent)
            outcome.failed |= {pending.keys[entity]: reason for entity, reason in failed.items()}
            for entity, state in enumerate(after):
                if entity not in lost and entity not in failed:
                    settled.append(state)
                    outcome.rejections.extend(planned.rejections.get(entity, ()))
                    outcome.duplicates += planned.repeated.get(entity, 0)
            if not lost:
                return settled
            pending = pending.only(sorted(lost))
            back_off(attempt)
        reason = "no time is left" if deadline.passed() else f"{_RACES} races in a row were lost"
        outcome.failed |= dict.fromkeys(pending.keys, reason)
        return settled

    def _commit(
        self, planned: Plan, failed: dict[int, str], deadline: Deadline, outcome: Outcome, sent: dict[str, str]
    ) -> tuple[list[State], set[int]]:
        """Writes what is planned, and tells what there is to tell as soon as it is committed.

        Who has something to tell is written first, in as few calls as that takes; clearing their outboxes then shares
        its calls with everybody else's writes. Adds to `failed`; returns the states after it, by position, and the
        positions of those that lost a race.
        """
        after = list(planned.after)
        telling = [entity for entity, state in enumerate(after) if state.alerts.outbox and entity not in failed]
        order = sorted(planned.writes, key=lambda entity: not after[entity].alerts.outbox)
        first = len(order)
        if telling:
            first = -(-sum(entity in planned.writes for entity in telling) // STATEMENTS_A_WRITE) * STATEMENTS_A_WRITE
        lost = self._write({entity: planned.writes[entity] for entity in order[:first]}, failed, deadline, outcome)
        told = [entity for entity in telling if entity not in lost and entity not in failed]
        clears = self._tell(planned, told, deadline, sent) if told else {}
        # Nobody is in both: who had something to tell was written before.
        rest = {entity: planned.writes[entity] for entity in order[first:]}
        unwritten: dict[int, str] = {}
        lost_then = self._write(rest | clears, unwritten, deadline, outcome)
        for entity, write in clears.items():
            if entity not in lost_then and entity not in unwritten:
                after[entity] = write.after
        failed |= {entity: reason for entity, reason in unwritten.items() if entity in rest}
        return after, lost | (lost_then & rest.keys())

    def _tell(
        self, planned: Plan, entities: Sequence[int], deadline: Deadline, sent: dict[str, str]
    ) -> dict[int, Write]:
        """Publishes these entities' outboxes; gives the writes that clear them of what was accepted."""
        outboxes = [planned.after[entity].alerts.outbox for entity in entities]
        accepted = self._bus.send([each for outbox in outboxes for each in outbox], deadline)
        if not accepted:
            return {}
        sent |= accepted
        ids = frozenset(accepted)
        clears = {entity: planned.cleared(entity, ids, self._rules) for entity in entities}
        return {entity: write for entity, write in clears.items() if write is not None}

    def _write(
        self, writes: Mapping[int, Write], failed: dict[int, str], deadline: Deadline, outcome: Outcome
    ) -> set[int]:
        """Makes these writes; adds to `failed`, and returns who lost a race."""
        positions = list(writes)
        written = self._table.write(list(writes.values()), deadline)
        failed |= {positions[each]: reason for each, reason in written.failed.items()}
        outcome.conflicts += len(written.lost)
        outcome.written += len(positions) - len(written.lost) - len(written.failed)
        return {positions[each] for each in written.lost}

    def _read(self, arrivals: Arrivals, deadline: Deadline, outcome: Outcome) -> tuple[Arrivals, list[State]]:
        read = self._table.read(arrivals.keys, deadline)
        outcome.failed |= read.failed
        if read.failed:
            arrivals = arrivals.only([each for each, key in enumerate(arrivals.keys) if key in read.states])
        return arrivals, [read.states[key] for key in arrivals.keys]
