"""From stored items and arrivals to the items' new states: the whole of the core, in two queries over all entities.

Pure: `now_ms` is an argument, and nothing is read or written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from . import alerts, facts, packing, registers
from .absorb import absorb
from .alerts import AlertRules, Subject
from .arrivals import Arrivals
from .item import WHEN_WRITTEN, Attributes, State, attributes_of, differs, high_demand, public_metrics
from .model import SECOND_MS, EntityKey, Rejection, from_iso, to_iso
from .registers import REPORTED, FirstSession
from .windows import STANDING, measure


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings on which an item's content depends."""

    alerts: AlertRules = field(default_factory=AlertRules)
    due_partitions: int = 16


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional write: the item is `before.version` in the table and becomes `after`."""

    before: State
    after: State

    @property
    def changes(self) -> Attributes:
        """The attributes to set."""
        return {
            name: value for name, value in self.after.stored.items() if differs(self.before.stored.get(name), value)
        }

    @property
    def removals(self) -> list[str]:
        """The attributes to remove."""
        return [name for name in self.before.stored if name not in self.after.stored]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of the entities, by position."""

    after: Sequence[State]
    """Each entity's state after the writes; where there is none to make, the one before."""
    writes: Mapping[int, Write]
    rejections: Mapping[int, Sequence[Rejection]]
    """What an entity could not take: `too_late`, `too_many`."""
    repeated: Mapping[int, int]
    """How many of an entity's arriving facts said nothing new."""


def plan(
    states: Sequence[State],
    arrivals: Arrivals,
    now_ms: int,
    rules: Rules,
    sent: frozenset[str] = frozenset(),
) -> Plan:
    """Brings entities up to date with what arrived and with the time.

    Parameters
    ----------
    states
        As stored, one for each of `arrivals.keys`, in their order.
    arrivals
        What is new of them.
    now_ms
        The clock, epoch ms. An entity's `as_of` is the later of this and its own.
    rules
        Thresholds and partitions.
    sent
        The ids of notifications that are known to be accepted and leave the outboxes.

    Returns
    -------
    Plan
        With a write for each entity of which anything changes but the moment of writing: a merge that changes nothing
        writes nothing.
    """
    as_of = [max(now_ms, state.as_of) for state in states]
    rows, folded = packing.unpack([state.facts for state in states])
    merged = absorb(
        rows,
        folded,
        {entity: edge for entity, state in enumerate(states) if (edge := state.folded_before) is not None},
        arrivals.facts,
        pl.Series(as_of, dtype=pl.Int64),
    )
    packed = packing.pack(merged.rows, merged.folded, sorted(merged.changed)) if merged.changed else {}
    rejections: dict[int, list[Rejection]] = {}
    for entity, record in merged.too_late.iter_rows():
        rejections.setdefault(entity, []).append(_too_late(record, arrivals.keys[entity], merged.folded_before[entity]))

    first_sessions = _first_sessions(states, merged.news)
    updated = []
    for entity, state in enumerate(states):
        slots, no_room = registers.merge(state.key, state.registers, arrivals.updates.get(entity, ()))
        if no_room:
            rejections.setdefault(entity, []).extend(no_room)
        updated.append(
            replace(
                state,
                as_of=as_of[entity],
                facts=packed.get(entity, state.facts),
                folded_before=merged.folded_before.get(entity),
                registers=slots,
                first_session=first_sessions.get(entity, state.first_session),
                alerts=alerts.without(state.alerts, sent) if sent else state.alerts,
            )
        )

    measured = (
        measure(merged.rows, merged.folded, _standing(updated))
        .with_columns(alerts.levels(rules.alerts))
        .collect()
        .iter_rows(named=True)
    )
    after, writes = [], {}
    for entity, (before, state, figures) in enumerate(zip(states, updated, measured, strict=True)):
        done = _finish(state, figures, rules)
        changed = any(
            differs(before.stored.get(name), done.stored.get(name))
            for name in before.stored.keys() | done.stored.keys()
            if name not in WHEN_WRITTEN
        )
        if changed:
            writes[entity] = Write(before, done)
        after.append(done if changed else before)
    return Plan(after, writes, rejections, merged.repeated)


def _finish(state: State, figures: Mapping[str, Any], rules: Rules) -> State:
    """The state with its alerts judged and its attributes made, as the next version."""
    public = public_metrics(state, figures)
    judged = alerts.judge(state.alerts, Subject(state.key, public, state.registers), figures, state.as_of, rules.alerts)
    state = replace(state, version=state.version + 1, alerts=judged)
    due_at = _due_at(state, figures["next_change"], rules.alerts)
    return replace(state, stored=attributes_of(state, public, due_at, rules.due_partitions))


def _due_at(state: State, next_change: int | None, rules: AlertRules) -> int | None:
    """When the roll must look at the item, epoch seconds; with unsent notifications, at once."""
    moments = [next_change, alerts.next_reminder(state.alerts, rules)]
    if state.alerts.outbox:
        moments.append(from_iso(json.loads(state.alerts.outbox[0])["timestamp"]))
    due = min((moment for moment in moments if moment is not None), default=None)
    return None if due is None else -(-due // SECOND_MS)


def _standing(states: Sequence[State]) -> pl.DataFrame:
    nothing: Mapping[str, Any] = {}
    rows = []
    for state in states:
        report = state.registers.get(REPORTED) if state.key.entity_type == "student" else None
        value = report.value if report else nothing
        rows.append(
            (
                state.as_of,
                report.time if report else None,
                value.get("health_score"),
                value.get("sessions_last_7_days"),
                value.get("sessions_last_30_days"),
                value.get("ib_calls_last_14_days"),
                high_demand(state.registers) if state.key.entity_type == "subject" else 0,
            )
        )
    return pl.DataFrame(rows, schema=STANDING, orient="row")


def _first_sessions(states: Sequence[State], news: pl.DataFrame) -> dict[int, FirstSession]:
    """The first sessions of the students of whom there is something new, by position."""
    found: dict[int, FirstSession] = {}
    for row in news.filter(pl.col("kind") == facts.SESSION).iter_rows(named=True):
        state = states[row["entity"]]
        if state.key.entity_type != "student":
            continue
        sighting = FirstSession(
            time=row["time"],
            session=row["id"],
            subject=row["subject"],
            subject_time=row["subject_time"] or 0,
            tutor_id=row["tutor"],
            tutor_time=row["tutor_time"] or 0,
            outcome=row["outcome"],
            outcome_time=row["outcome_time"] or 0,
        )
        known = found.get(row["entity"], state.first_session)
        found[row["entity"]] = sighting if known is None else registers.first(known, sighting)
    return found


def _too_late(record: int, key: EntityKey, edge: int) -> Rejection:
    return Rejection(
        record,
        "too_late",
        f"{key.entity_type} {key.entity_id} keeps no identities of facts before {to_iso(edge)}, "
        "so this one cannot be told from a duplicate",
    )
