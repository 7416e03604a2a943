"""From stored items and arrivals to the items' new states: the whole core, in one query over all entities.

Pure: `now_ms` is an argument, and nothing is read or written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from functions.entities import alerts, fact_frames, registers, totals, wakes
from functions.entities.absorb import Merged, Stored, absorb
from functions.entities.alerts import AlertRules, EntityFigures
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import Attributes, differs
from functions.entities.facts import SESSION, NewFact
from functions.entities.item import WHEN_WRITTEN, State, attributes_of, public_metrics, with_outbox
from functions.entities.registers import REPORTED, FirstSession, Register
from functions.entities.tails import Head
from functions.entities.totals import Totals
from functions.entities.wakes import Rhythm, Wake
from functions.entities.windows import STANDING, measure, run
from functions.model import EntityKey, Rejection, to_iso


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide what an item contains and when it is looked at."""

    alerts: AlertRules = field(default_factory=AlertRules)
    rhythm: Rhythm = field(default_factory=Rhythm)


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
    def moves(self) -> bool:
        """Whether the tail changes too, so that both are written in one transaction."""
        return self.after.tail.generation != self.before.tail.generation

    def changes_more_than(self, names: frozenset[str]) -> bool:
        """Whether an attribute other than these changes or goes."""
        return not (names.issuperset(self.changes) and names.issuperset(self.removals))

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
    due: Mapping[int, frozenset[int]]
    """The rolls (epoch seconds) that must look at an entity because of what its write changes."""

    def wakes(self, rhythm: Rhythm) -> list[Wake]:
        """Return the wakes to write before the items."""
        return wakes.bundle({self.after[entity].key: dues for entity, dues in self.due.items()}, rhythm)

    def cleared(self, entity: int, sent: frozenset[str]) -> Write | None:
        """Return the write that removes these notifications from an entity's outbox, after the planned write.

        Nothing else changes, so nothing is computed again. None when the outbox is full: alerts were not judged then,
        and the entity must be planned again.
        """
        state = self.after[entity]
        if len(state.alerts.outbox) >= alerts.MOST_IN_OUTBOX:
            return None
        after = replace(state, version=state.version + 1, alerts=alerts.without(state.alerts, sent))
        return Write.of(state, replace(after, stored=with_outbox(after)))


def plan(
    states: Sequence[State],
    arrivals: Arrivals,
    now_ms: int,
    earliest_wake_ms: int,
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
    earliest_wake_ms
        When this process will certainly have ended, epoch ms. No wake is for an earlier moment: the roll that finds a
        wake must find the item that it was written for.
    rules
        Thresholds and the roll's rhythm.
    sent
        The ids of notifications that the bus has accepted; they leave the outboxes.

    Returns
    -------
    Plan
        With a write for each entity that changes in more than its time: a merge that changes nothing writes nothing.
    """
    as_of = [max(now_ms, state.as_of) for state in states]
    merged, registers_now, rejections = _merge(states, arrivals, as_of)
    measured = _measure(states, merged.facts, registers_now, as_of)

    writes: dict[int, Write] = {}
    due: dict[int, frozenset[int]] = {}
    for entity, (before, figures) in enumerate(zip(states, measured, strict=True)):
        if entity in merged.unreadable:
            continue
        news = merged.news.get(entity, ())
        arrived = arrivals.totals.get(entity)
        state = _merged_state(before, merged.facts[entity], news, registers_now[entity], arrived, as_of[entity], sent)
        write = Write.of(before, _finish(before, state, figures, rules, has_news=bool(news)))
        moments: Iterable[int] = ()
        # Do not recreate an item that was deleted after a wake named it.
        exists = before.version or arrivals.has_news_of(entity)
        if exists and write.changes_more_than(WHEN_WRITTEN if news else _NO_REASON_WITHOUT_NEWS):
            writes[entity] = write
            moments = _moments(before, write.after, news, now_ms, rules)
        elif not arrivals.has_news_of(entity):
            moments = _later_reminder(before, now_ms, rules)
        if dues := rules.rhythm.rolls(moments, earliest_wake_ms):
            due[entity] = dues
    after = [writes[entity].after if entity in writes else state for entity, state in enumerate(states)]
    return Plan(after, writes, rejections, merged.repeated, merged.unreadable, due)


_NO_REASON_WITHOUT_NEWS: Final = WHEN_WRITTEN | {"facts", "tail", "moved"}
"""Attributes that are no reason to write an item when no fact is news: some facts have expired, and count nowhere, or
would move to the tail, which can wait."""


def _merge(
    states: Sequence[State], arrivals: Arrivals, as_of: Sequence[int]
) -> tuple[Merged, list[Mapping[str, Register]], dict[int, list[Rejection]]]:
    """Merge what arrived with the states. Return the facts, each entity's registers, and what had to be refused."""
    stored = [Stored(state.facts, state.tail) for state in states]
    heads = [Head(state.stored, state.version + 1 - state.moved) for state in states]
    merged = absorb(stored, arrivals.facts, as_of, heads)
    registers_now, rejections = _merge_registers(states, arrivals)
    for entity, record in merged.too_late:
        rejection = _too_late(record, arrivals.keys[entity], states[entity].tail.folded_before or 0)
        rejections.setdefault(entity, []).append(rejection)
    return merged, registers_now, rejections


def _measure(
    states: Sequence[State],
    facts: Sequence[Stored],
    registers_now: Sequence[Mapping[str, Register]],
    as_of: Sequence[int],
) -> Iterator[dict[str, Any]]:
    """Yield each entity's figures, named as in `windows.MEASURED`."""
    parts = [(entity, part) for entity, (recent, tail) in enumerate(facts) for part in (recent, tail.facts)]
    return run(measure(fact_frames.things(parts), _standing(states, registers_now, as_of))).iter_rows(named=True)


def _merged_state(
    before: State,
    facts: Stored,
    news: Sequence[NewFact],
    slots: Mapping[str, Register],
    arrived: Totals | None,
    as_of: int,
    sent: frozenset[str],
) -> State:
    """Return the entity's next state, before its alerts are judged and its attributes made."""
    return State(
        key=before.key,
        version=before.version + 1,
        as_of=as_of,
        facts=facts.recent,
        tail=facts.tail,
        moved=before.moved if facts.tail is before.tail else before.version + 1,
        registers=slots,
        first_session=_first_session(before, news),
        totals=totals.newest(before.totals, arrived),
        alerts=alerts.without(before.alerts, sent) if sent else before.alerts,
    )


def _moments(before: State, after: State, news: Sequence[NewFact], now_ms: int, rules: Rules) -> Iterator[int]:
    """Yield the moments (epoch ms) at which an entity changes by time alone because of what is new in it."""
    yield from wakes.of_facts(news, after.as_of)
    report = after.registers.get(REPORTED) if after.key.entity_type == "student" else None
    if report is not None and report != before.registers.get(REPORTED):
        yield from wakes.of_report(report, after.as_of)
    yield from wakes.of_alerts(before.alerts, after.alerts, rules.alerts, now_ms)


def _later_reminder(state: State, now_ms: int, rules: Rules) -> Iterator[int]:
    """Yield when the next reminder is due if a roll has come too early for it: `renotify_hours` has become longer."""
    reminder = alerts.next_reminder(state.alerts, rules.alerts)
    if reminder is not None and reminder > now_ms:
        yield reminder


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


def _finish(before: State, state: State, figures: Mapping[str, Any], rules: Rules, *, has_news: bool) -> State:
    """Judge the alerts of a merged state and make its attributes."""
    public = public_metrics(state, figures)
    entity = EntityFigures(state.key, public, state.registers, state.totals, figures["counted_7"])
    levels = alerts.levels_of(entity, rules.alerts)
    state = replace(state, alerts=alerts.judge(state.alerts, entity, levels, state.as_of, rules.alerts))
    changed_by_time_alone = not (
        has_news or state.registers != before.registers or state.alerts.episodes != before.alerts.episodes
    )
    attributes = attributes_of(state, public, before, changed_by_time_alone=changed_by_time_alone)
    return replace(state, stored=attributes)


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
            )
        )
    return pl.DataFrame(rows, schema=STANDING, orient="row")


def _first_session(state: State, news: Iterable[NewFact]) -> FirstSession | None:
    """Return a student's first session after these facts."""
    first = state.first_session
    if state.key.entity_type != "student":
        return first
    for fact, _ in news:
        if fact.kind != SESSION:
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
