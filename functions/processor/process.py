"""Runs entities through read, plan, write, publish and clear: the way that events and the roll have in common.

A lost race means read again, merge again, write again; harmless, since merging is idempotent. What could not be
committed is said, entity by entity; whoever called reports its records as failed.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from . import clock
from .arrivals import Arrivals
from .clients import back_off
from .config import Config
from .deadline import Deadline
from .item import State
from .model import EntityKey, Rejection, from_iso
from .observability import logger
from .plan import plan
from .publish import AlertBus
from .store import MetricsTable

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
        states = self._settle(arrivals, deadline, outcome)
        for _ in range(_PUBLISHING_ROUNDS):
            telling = [state for state in states if state.alerts.outbox]
            if not telling:
                break
            sent = self._bus.send([each for state in telling for each in state.alerts.outbox], deadline)
            if not sent:
                break
            outcome.alerts_sent.update(sent.values())
            # What fails here is told again by the next roll, under the same ids.
            clearing = Outcome()
            states = self._settle(
                Arrivals.none([state.key for state in telling]),
                deadline,
                clearing,
                states=telling,
                sent=frozenset(sent),
            )
            outcome.written += clearing.written
            outcome.conflicts += clearing.conflicts
            for key, reason in clearing.failed.items():
                logger.warning("An outbox was not cleared; the roll will do it", **key._asdict(), reason=reason)
        unsent = [json.loads(state.alerts.outbox[0]) for state in states if state.alerts.outbox]
        outcome.unsent_since = min((from_iso(oldest["timestamp"]) for oldest in unsent), default=None)
        if outcome.alerts_sent:
            logger.info(f"Sent {outcome.alerts_sent.total()} alerts to EventBridge")
        return outcome

    def _settle(
        self,
        arrivals: Arrivals,
        deadline: Deadline,
        outcome: Outcome,
        *,
        states: Sequence[State] | None = None,
        sent: frozenset[str] = frozenset(),
    ) -> list[State]:
        """Reads (unless the states are at hand), plans and writes until no race is lost.

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
            if states is None or attempt:
                pending, states = self._read(pending, deadline, outcome)
            if not states:
                return settled
            planned = plan(states, pending, clock.now_ms(), self._rules, sent)
            positions = list(planned.writes)
            written = self._table.write(list(planned.writes.values()), deadline)
            lost = {positions[each] for each in written.lost}
            failed = {positions[each]: reason for each, reason in written.failed.items()}
            outcome.failed |= {pending.keys[entity]: reason for entity, reason in failed.items()}
            outcome.conflicts += len(lost)
            outcome.written += len(positions) - len(lost) - len(failed)
            outcome.failed |= {pending.keys[entity]: _UNREADABLE + why for entity, why in planned.unreadable.items()}
            failed |= planned.unreadable
            for entity, state in enumerate(planned.after):
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

    def _read(self, arrivals: Arrivals, deadline: Deadline, outcome: Outcome) -> tuple[Arrivals, list[State]]:
        read = self._table.read(arrivals.keys, deadline)
        outcome.failed |= read.failed
        if read.failed:
            arrivals = arrivals.only([each for each, key in enumerate(arrivals.keys) if key in read.states])
        return arrivals, [read.states[key] for key in arrivals.keys]
