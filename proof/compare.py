"""What the deployed system made of records, compared with the oracle's plain recomputation from the same records.

Every message says one difference; an empty list means that all is as it must be. Reads nothing but its arguments.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

from local.flow import Item, Topic
from proof.oracle import (
    EntityKey,
    Event,
    Identity,
    Record,
    Rejected,
    Rules,
    Totals,
    accept,
    canonical_json,
    recompute,
    roll_up,
)

ROLLED_ATTRIBUTES = {
    "subject": (
        "sessions_7d",
        "sessions_14d",
        "sessions_30d",
        "session_velocity",
        "avg_rating",
        "ratings_30d",
        "active_students_30d",
        "first_sessions_30d",
        "first_session_success_rate",
    ),
    "tutor": ("first_sessions_30d", "first_session_success_rate"),
}
"""Public attributes that a rollup writes."""
KEPT_BESIDE_THEM = ("first_outcomes", "usual_daily", "surge_score")
"""What it keeps in `rolled_up`, since alerts are judged by it."""
PUBLIC_ATTRIBUTES = {
    "student": (
        "sessions_7d",
        "sessions_14d",
        "sessions_30d",
        "session_velocity",
        "avg_rating",
        "ratings_30d",
        "ib_calls_7d",
        "ib_calls_14d",
        "health_score",
        "reported",
        "alerts",
    ),
    "tutor": (
        "sessions_7d",
        "sessions_14d",
        "sessions_30d",
        "session_velocity",
        "avg_rating",
        "ratings_30d",
        "health_score",
        "available_hours_this_week",
        "subjects",
        "timezone",
        "accepts_instant_book",
        "alerts",
        *ROLLED_ATTRIBUTES["tutor"],
    ),
    "subject": (
        *ROLLED_ATTRIBUTES["subject"],
        "region",
        "regions",
        "available_tutors",
        "active_students",
        "demand_score",
        "supply_score",
        "balance_status",
        "alerts",
    ),
    "region": ("subjects", "available_tutors", "active_students", "high_demand_subjects", "alerts"),
}
_BLURRED = {*ROLLED_ATTRIBUTES["subject"], *(f"rolled_up.{name}" for name in KEPT_BESIDE_THEM), "alerts"}
"""What may not be compared of a subject of whose sessions some are folded."""
_NAMING_FIELDS = {"student": "student_id", "tutor": "tutor_id", "subject": "subject", "region": "region"}


class Reading(NamedTuple):
    """The whole table at once. Where a rollup has run, it is read before anything else is processed."""

    items: Mapping[EntityKey, Item]
    rolled_up_ms: int | None = None
    """The moment of the last rollup, as it returned it; None where none has run."""


class History:
    """All records of a run, ready to be recomputed for one entity at a time."""

    def __init__(self, records: Iterable[Record], rules: Rules) -> None:
        self._rules = rules
        self._naming: dict[EntityKey, list[Record]] = defaultdict(list)
        self._things: dict[EntityKey, set[Identity]] = defaultdict(set)
        self._subjects: dict[Identity, set[str]] = defaultdict(set)
        self._rolled: dict[int, dict[EntityKey, Totals]] = {}
        for record, event in _accepted(records, rules).items():
            if event.subject is not None:
                self._subjects[event.identity].add(event.subject)
            for entity_type, field in _NAMING_FIELDS.items():
                if (entity_id := getattr(event, field)) is not None:
                    self._naming[entity_type, entity_id].append(record)
                    self._things[entity_type, entity_id].add(event.identity)

    def at(self, entity: EntityKey, as_of_ms: int, rolled_up_ms: int | None = None) -> dict[str, Any] | None:
        """Return what must be in the entity's item at a moment, the last rollup having been at another.

        None where nothing but old facts is left of it.
        """
        totals = self.totals(entity, rolled_up_ms)
        found = recompute(
            self._naming.get(entity, []), as_of_ms, self._rules, None if totals is None else {entity: totals}
        )
        return found.entities.get(entity, found.outlived.get(entity))

    def totals(self, entity: EntityKey, rolled_up_ms: int | None) -> Totals | None:
        """Return what a rollup at a moment must find out about an entity, if it is one of whom it finds out any."""
        return None if rolled_up_ms is None else self._rolled_up(rolled_up_ms).get(entity)

    def entities(self, as_of_ms: int, rolled_up_ms: int | None = None) -> set[EntityKey]:
        """Return the entities that must have an item at a moment, the last rollup having been at another."""
        totals = None if rolled_up_ms is None else self._rolled_up(rolled_up_ms)
        return set(recompute(self._records(), as_of_ms, self._rules, totals).entities)

    def subjects_of(self, entities: Iterable[EntityKey]) -> set[EntityKey]:
        """Return the subjects that anything says that any of these entities' sessions had."""
        identities = chain.from_iterable(self._things.get(entity, ()) for entity in entities)
        return {("subject", subject) for identity in identities for subject in self._subjects.get(identity, ())}

    def _rolled_up(self, moment_ms: int) -> dict[EntityKey, Totals]:
        if moment_ms not in self._rolled:
            self._rolled[moment_ms] = roll_up(self._records(), moment_ms, self._rules)
        return self._rolled[moment_ms]

    def _records(self) -> list[Record]:
        return list(dict.fromkeys(chain.from_iterable(self._naming.values())))


def new_when_repeated(first: Iterable[Record], again: Iterable[Record], rules: Rules) -> list[Record]:
    """Return which records are other events when they are sent again.

    These are the ones without a time of their own, and those that were from the future and no longer are.
    """
    known = {(event.event_type, event.time, event.payload) for event in _accepted(first, rules).values()}
    return [
        record
        for record, event in _accepted(again, rules).items()
        if (event.event_type, event.time, event.payload) not in known
    ]


def _accepted(records: Iterable[Record], rules: Rules) -> dict[Record, Event]:
    events = {}
    for record in records:
        with suppress(Rejected):
            events[record] = accept(record, rules)
    return events


def public(item: Item) -> dict[str, Any]:
    """Return an item's public attributes as the oracle gives them: without last_updated, alerts as type: severity."""
    attributes = {name: item[name] for name in PUBLIC_ATTRIBUTES[item["entity_type"]] if name in item}
    return {**attributes, "alerts": {name: alert["severity"] for name, alert in item["alerts"].items()}}


def is_folded(item: Item) -> bool:
    """Whether an item has forgotten identities: its counts are right to the hour only, and cannot be compared."""
    return "folded_before" in item


def differing_items(reading: Reading, history: History, now_ms: int) -> list[str]:
    """Compare every item that is not folded, as of its own `as_of`, and which items there are, as of now.

    What a rollup has written is compared as of that rollup; but for subjects of a folded item, since sessions may have
    lost their subject there.
    """
    items, rolled_up_ms = reading
    must_be = history.entities(now_ms, rolled_up_ms)
    blurred = history.subjects_of(entity for entity, item in items.items() if is_folded(item))
    differences = [f"{_name(entity)} is missing" for entity in sorted(must_be - items.keys())]
    for entity, item in sorted(items.items()):
        if is_folded(item):
            continue
        actual = public(item)
        expected = history.at(entity, item["as_of"], rolled_up_ms)
        if expected is None:  # an item outlives its facts, and then counts nothing
            expected = {name: 100 if name == "health_score" else 0 for name in actual} | {"alerts": {}}
        totals = history.totals(entity, rolled_up_ms)
        if totals is not None:
            kept = item.get("rolled_up", {})
            actual |= {f"rolled_up.{name}": kept.get(name) for name in KEPT_BESIDE_THEM}
            expected |= {f"rolled_up.{name}": getattr(totals, name) for name in KEPT_BESIDE_THEM}
        for name in sorted(expected.keys() | actual.keys()):
            if entity in blurred and name in _BLURRED:
                continue
            want, have = expected.get(name), actual.get(name)
            if canonical_json(want) != canonical_json(have):
                differences.append(f"{_name(entity)}.{name} is {have}, recomputed {want}")
    return differences


def differing_quarantine(
    quarantined: Iterable[Mapping[str, Any]], records: Iterable[Record], rules: Rules
) -> list[str]:
    """Compare which records are in the quarantine, and why, but for those too late for a folded item."""
    actual = {body["sequence_number"]: body["reason"] for body in quarantined if body["reason"] != "too_late"}
    records = list(records)
    expected = recompute(records, max(record.arrival_ms for record in records), rules).rejected
    return [
        f"record {sequence} is {_reason(actual.get(sequence))}, recomputed {_reason(expected.get(sequence))}"
        for sequence in sorted(expected.keys() | actual.keys())
        if actual.get(sequence) != expected.get(sequence)
    ]


def differing_alerts(
    items: Mapping[EntityKey, Item],
    told: Iterable[Mapping[str, Any]],
    delivered: Mapping[Topic, Iterable[Mapping[str, Any]]],
) -> list[str]:
    """Compare the firing alerts with what came last of each over the bus, and that with what the topics delivered."""
    told = list(told)
    last: dict[tuple[str, str, str], str | None] = {}
    for alert in told:
        key = (alert["entity_type"], alert["entity_id"], alert["alert_type"])
        last[key] = None if alert["status"] == "resolved" else alert["severity"]
    firing = {
        (*entity, alert_type): alert["severity"]
        for entity, item in items.items()
        for alert_type, alert in item["alerts"].items()
    }
    differences = [
        f"{key[2]} of {key[0]} {key[1]} is {firing.get(key) or 'over'}, last told as {last.get(key) or 'over'}"
        for key in sorted(firing.keys() | last.keys())
        if firing.get(key) != last.get(key)
    ]
    for topic, alerts in delivered.items():
        sent = {alert["alert_id"] for alert in alerts}
        wanted = {alert["alert_id"] for alert in told if alert["severity"] == topic}
        differences += [f"topic {topic} did not deliver {alert_id}" for alert_id in sorted(wanted - sent)]
        differences += [
            f"topic {topic} delivered {alert_id}, which is not its own" for alert_id in sorted(sent - wanted)
        ]
    return differences


def unexplained_alerts(
    told: Iterable[Mapping[str, Any]], before: Reading, after: Reading, history: History
) -> list[str]:
    """Return the alerts that nothing but new events could explain: no condition changed between two readings."""
    unexplained = []
    for alert in told:
        entity = (alert["entity_type"], alert["entity_id"])
        moments = [
            history.at(entity, items[entity]["as_of"], rolled_up_ms)
            for items, rolled_up_ms in (before, after)
            if entity in items
        ]
        severities = {moment and moment["alerts"].get(alert["alert_type"]) for moment in moments}
        if len(severities) == 1 and alert["status"] != "reminder":
            unexplained.append(f"{alert['status']} {alert['alert_type']} of {_name(entity)}: {alert['message']}")
    return unexplained


def _name(entity: EntityKey) -> str:
    return f"{entity[0]} {entity[1]}"


def _reason(reason: str | None) -> str:
    return f"quarantined as {reason}" if reason else "not quarantined"
