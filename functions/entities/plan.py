"""From stored items and arrivals to the items' new states: the whole core, in one query over all entities.

Pure: `now_ms` is an argument, and nothing is read or written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from functions.entities import alerts, fact_frames, registers, totals
from functions.entities.absorb import absorb
from functions.entities.alerts import AlertRules, EntityFigures
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import Attributes, differs
from functions.entities.facts import SESSION, Fact
from functions.entities.item import WHEN_WRITTEN, State, attributes_of, public_metrics, with_outbox
from functions.entities.registers import REPORTED, FirstSession, Register, high_demand
from functions.entities.windows import STANDING, measure, run
from functions.model import SECOND_MS, EntityKey, Rejection, ceil_div, to_iso


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide what an item contains."""

    alerts: AlertRules = field(default_factory=AlertRules)
    due_partitions: int = 16


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional write: the item is `before.version` in the table and becomes `after`."""

    before: State
    after: State
    changes: Attributes
    """The attributes to set."""
    removals: Sequence[str]
    """The attributes to remove."""

    @property
    def changes_more_than_its_time(self) -> bool:
        """Whether the item changes in anything but when it was written, which alone is no reason to write it."""
        return bool(self.removals) or not WHEN_WRITTEN.issuperset(self.changes)

    @classmethod
    def of(cls, before: State, after: State) -> "Write":
        """Return the write that turns `before` into `after`."""
        known = before.stored
        changes = {
            name: value
            for name, value in after.stored.items()
            if (old := known.get(name)) != value and differs(old, value)
        }
        return cls(before, after, changes, [name for name in known if name not in after.stored])


@dataclass(frozen=True, slots=True)
class Plan:
    """What the entities become, by position."""

    after: Sequence[State]
    """Each entity's state after the writes; the state before where there is no write."""
    writes: Mapping[int, Write]
    rejections: Mapping[int, Sequence[Rejection]]
    """What an entity had to refuse: `too_late`, `too_many`."""
    repeated: Mapping[int, int]
    """How many of an entity's arriving facts said nothing new."""
    unreadable: Mapping[int, str]
    """Entities whose stored facts are damaged, with what is wrong. They stay as they are."""
    next_change: Sequence[int | None]
    """When time alone next changes a figure of each entity, epoch ms; None when it does not."""

    def cleared(self, entity: int, sent: frozenset[str], rules: Rules) -> Write | None:
        """Return the write that removes these notifications from an entity's outbox, after the planned write.

        Nothing else changes, so nothing is computed again. None when the outbox is full: alerts were not judged then,
        and the entity must be planned again.
        """
        state = self.after[entity]
        if len(state.alerts.outbox) >= alerts.MOST_IN_OUTBOX:
            return None
        after = replace(state, version=state.version + 1, alerts=alerts.without(state.alerts, sent))
        due_at = _due_at(after, self.next_change[entity], rules.alerts)
        return Write.of(state, replace(after, stored=with_outbox(after, due_at, rules.due_partitions)))


def plan(
    states: Sequence[State],
    arrivals: Arrivals,
    now_ms: int,
    rules: Rules,
    sent: frozenset[str] = frozenset(),
) -> Plan:
    """Bring entities up to date with what arrived and with the time.

    Parameters
    ----------
    states
        As stored, one for each of `arrivals.keys`, in their order.
    arrivals
        The new facts, register updates and totals.
    now_ms
        The clock, epoch ms. An entity's `as_of` is the later of this and its own.
    rules
        Thresholds and partitions.
    sent
        The ids of notifications that the bus has accepted; they leave the outboxes.

    Returns
    -------
    Plan
        With a write for each entity that changes in more than its time: a merge that changes nothing writes nothing.
    """
    as_of = [max(now_ms, state.as_of) for state in states]
    edges = {entity: edge for entity, state in enumerate(states) if (edge := state.folded_before) is not None}
    merged = absorb([state.facts for state in states], edges, arrivals.facts, as_of)
    registers_now, rejections = _merge_registers(states, arrivals)
    for entity, record in merged.too_late:
        rejections.setdefault(entity, []).append(_too_late(record, arrivals.keys[entity], merged.folded_before[entity]))
    measured = run(measure(fact_frames.things(merged.facts), _standing(states, registers_now, as_of)))

    after, writes = [], {}
    for entity, (before, figures) in enumerate(zip(states, measured.iter_rows(named=True), strict=True)):
        if entity in merged.unreadable:
            after.append(before)
            continue
        state = State(
            key=before.key,
            version=before.version + 1,
            as_of=as_of[entity],
            facts=merged.facts[entity],
            folded_before=merged.folded_before.get(entity),
            registers=registers_now[entity],
            first_session=_first_session(before, merged.news.get(entity, ())),
            totals=totals.newest(before.totals, arrivals.totals.get(entity)),
            alerts=alerts.without(before.alerts, sent) if sent else before.alerts,
        )
        write = Write.of(before, _finish(before, state, figures, rules))
        # Do not recreate an item that was deleted after the roll found it due.
        exists = before.version or arrivals.has_news_of(entity)
        if exists and write.changes_more_than_its_time:
            writes[entity] = write
            after.append(write.after)
        else:
            after.append(before)
    return Plan(after, writes, rejections, merged.repeated, merged.unreadable, measured["next_change"].to_list())


def _merge_registers(
    states: Sequence[State], arrivals: Arrivals
) -> tuple[list[Mapping[str, Register]], dict[int, list[Rejection]]]:
    """Merge the arriving updates. Return each entity's registers, and the rejections of entities that had no room."""
    registers_now: list[Mapping[str, Register]] = []
    rejections: dict[int, list[Rejection]] = {}
    for entity, state in enumerate(states):
        slots: Mapping[str, Register] = state.registers
        if updates := arrivals.updates.get(entity):
            slots, no_room = registers.merge(state.key, state.registers, updates)
            if no_room:
                rejections[entity] = no_room
        registers_now.append(slots)
    return registers_now, rejections


def _finish(before: State, state: State, figures: Mapping[str, Any], rules: Rules) -> State:
    """Judge the alerts of a merged state and make its attributes."""
    public = public_metrics(state, figures)
    entity = EntityFigures(state.key, public, state.registers, state.totals, figures["counted_7"])
    levels = alerts.levels_of(entity, rules.alerts)
    state = replace(state, alerts=alerts.judge(state.alerts, entity, levels, state.as_of, rules.alerts))
    due_at = _due_at(state, figures["next_change"], rules.alerts)
    return replace(state, stored=attributes_of(state, public, due_at, rules.due_partitions, before))


def _due_at(state: State, next_change: int | None, rules: AlertRules) -> int | None:
    """Return when the roll must look at the item, epoch seconds: at once while a notification is unsent."""
    moments = [next_change, alerts.next_reminder(state.alerts, rules)]
    if state.alerts.outbox:
        moments.append(state.alerts.outbox[0].made_at)
    due = min((moment for moment in moments if moment is not None), default=None)
    return None if due is None else ceil_div(due, SECOND_MS)


def _standing(
    states: Sequence[State], registers_now: Sequence[Mapping[str, Register]], as_of: Sequence[int]
) -> pl.DataFrame:
    nothing: Mapping[str, Any] = {}
    rows = []
    for state, slots, moment in zip(states, registers_now, as_of, strict=True):
        report = slots.get(REPORTED) if state.key.entity_type == "student" else None
        value = report.value if report else nothing
        rows.append(
            (
                moment,
                report.time if report else None,
                value.get("health_score"),
                value.get("sessions_last_7_days"),
                value.get("sessions_last_30_days"),
                value.get("ib_calls_last_14_days"),
                high_demand(slots) if state.key.entity_type == "subject" else 0,
            )
        )
    return pl.DataFrame(rows, schema=STANDING, orient="row")


def _first_session(state: State, news: Iterable[Fact]) -> FirstSession | None:
    """Return a student's first session after these facts."""
    first = state.first_session
    if state.key.entity_type != "student":
        return first
    for fact in news:
        if fact.kind != SESSION:
            continue
        if first is not None and fact.id != first.session and (fact.time, fact.id) > (first.time, first.session):
            continue
        sighting = FirstSession(
            time=fact.time,
            session=fact.id,
            subject=fact.subject,
            subject_time=fact.subject_time or 0,
            tutor_id=fact.tutor,
            tutor_time=fact.tutor_time or 0,
            outcome=fact.outcome,
            outcome_time=fact.outcome_time or 0,
        )
        first = sighting if first is None else registers.first(first, sighting)
    return first


def _too_late(record: int, key: EntityKey, edge: int) -> Rejection:
    return Rejection(
        record,
        "too_late",
        f"{key.entity_type} {key.entity_id} keeps no identities of facts before {to_iso(edge)}, "
        "so this one cannot be told from a duplicate",
    )
