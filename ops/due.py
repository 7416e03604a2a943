"""When the roll must look at an entity, by what is stored of it: the moments for which the processor writes wakes.

The processor's core computes what an entity is at another moment. Nothing is read or written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from functions.aws.parallel import chunks
from functions.entities import alerts, wakes
from functions.entities.arrivals import Arrivals
from functions.entities.facts import NewFact, told
from functions.entities.item import State
from functions.entities.plan import Rules, plan
from functions.entities.registers import REPORTED
from functions.model import HOUR_MS, SECOND_MS
from ops import items

FIGURES_CHANGE: Final = "the next fact leaves a window, or a health report grows older than one"
REMINDER: Final = "an alert is told again"
UNSENT: Final = "notifications wait to be published"
_AT_ONCE: Final = 50
"""How many moments of one entity are computed together."""


class Due(NamedTuple):
    """What happens to an entity without an event."""

    at: int
    """The roll that does it, epoch seconds."""
    because: str


def moments(state: State) -> list[int]:
    """Returns the moments (epoch ms) after an entity's `as_of` at which a fact leaves a window or a report is too old.

    A folded hour leaves with its first fact, when the roll looks at that; the moment here is the hour's start.
    """
    facts = [NewFact(fact, None) for part in items.parts_of(state) for fact in items.facts_of(part, state.as_of)]
    hours = [NewFact(told(hour.kind, 0, hour.time), None) for hour in items.hours_of(state)]
    found = set(wakes.of_facts([*facts, *hours], state.as_of))
    report = state.registers.get(REPORTED) if state.key.entity_type == "student" else None
    if report is not None:
        found.update(wakes.of_report(report, state.as_of))
    return sorted(found)


def first_due(state: State, rules: Rules) -> Due | None:
    """Returns what happens first to an entity after its `as_of` when no event arrives; None when nothing does.

    A fact that leaves a window changes nothing where a health report says more. Such a moment is passed over.
    """
    rhythm = rules.rhythm
    if state.alerts.outbox:
        return Due(rhythm.next_roll(state.as_of), UNSENT)
    ways = []
    reminder = alerts.next_reminder(state.alerts, rules.alerts)
    if reminder is not None:
        ways.append(Due(rhythm.next_roll(max(reminder, state.as_of)), REMINDER))
    if (change := _first_change(state, rules)) is not None:
        ways.append(Due(rhythm.next_roll(change), FIGURES_CHANGE))
    return min(ways, default=None, key=lambda due: due.at)


def _first_change(state: State, rules: Rules) -> int | None:
    now = figures_at([state], [state.as_of], rules)[0]
    for part in chunks(moments(state), _AT_ONCE):
        later = figures_at([state] * len(part), part, rules)
        for moment, figures in zip(part, later, strict=True):
            if figures != now:
                return moment
    return None


def overdue(states: Sequence[State], latest_ms: int, rules: Rules) -> Iterator[tuple[State, Due]]:
    """Yields the entities that the roll should have changed at `latest_ms` (epoch ms) or before, with what is due.

    Figures that have changed and are by then what they were are not missed. Folded hours may leave an hour late.
    """
    late = [latest_ms - (HOUR_MS if items.hours_of(state) else 0) for state in states]
    behind = [(state, moment) for state, moment in zip(states, late, strict=True) if moment > state.as_of]
    if not behind:
        return
    older = [state for state, _ in behind]
    was = figures_at(older, [state.as_of for state in older], rules)
    should_be = figures_at(older, [moment for _, moment in behind], rules)
    for (state, moment), before, after in zip(behind, was, should_be, strict=True):
        if before != after or state.alerts.outbox or _reminder_is_late(state, moment, rules):
            due = first_due(state, rules)
            if due is not None and due.at * SECOND_MS <= moment:
                yield state, due


def _reminder_is_late(state: State, moment: int, rules: Rules) -> bool:
    reminder = alerts.next_reminder(state.alerts, rules.alerts)
    return reminder is not None and reminder <= moment


def computed_at(states: Sequence[State], moments_ms: Sequence[int], rules: Rules) -> Sequence[State]:
    """Computes each entity at a moment (epoch ms, not before its `as_of`), if no event arrives until then."""
    later = [replace(state, as_of=moment) for state, moment in zip(states, moments_ms, strict=True)]
    return plan(later, Arrivals.none([state.key for state in states]), 0, 0, rules).after


def figures_at(states: Sequence[State], moments_ms: Sequence[int], rules: Rules) -> list[Mapping[str, Any]]:
    """Returns each entity's public attributes at a moment but `alerts` and `last_updated`."""
    return [figures_of(after) for after in computed_at(states, moments_ms, rules)]


def figures_of(state: State) -> dict[str, Any]:
    """Returns an entity's public attributes as plain values, without its key, `alerts` and `last_updated`."""
    hidden = ("entity_id", "entity_type", "alerts", "last_updated")
    return {name: value for name, value in sorted(items.public_values(state.stored).items()) if name not in hidden}


def all_wakes(states: Iterable[State], now_ms: int, earliest_ms: int, rules: Rules) -> list[wakes.Wake]:
    """Returns a wake for everything that will happen to these entities without an event, known to a wake or not.

    None is for a moment before `earliest_ms` (epoch ms).
    """
    dues = {}
    for state in states:
        when = [*moments(state), *wakes.of_alerts(alerts.NO_ALERTS, state.alerts, rules.alerts, now_ms)]
        dues[state.key] = {rules.rhythm.next_roll(max(moment, earliest_ms)) for moment in when}
    return wakes.bundle(dues, rules.rhythm)
