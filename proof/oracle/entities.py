"""`recompute`: every public attribute of every entity, from all records ever delivered (sections 1 to 3)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from proof.oracle.alerts import no_tutors, rollup_alerts, velocity_drop
from proof.oracle.events import Event, accept
from proof.oracle.model import (
    AS_SHIPPED,
    MAX_PAIRS,
    UNSPECIFIED_REGION,
    EntityKey,
    Recomputed,
    Record,
    Rejected,
    Rules,
    Totals,
    canonical_json,
)
from proof.oracle.times import iso
from proof.oracle.windows import count_in_window, grouped_by, occurrences, ratings_of, session_attributes, start_times


def recompute(
    records: Iterable[Record],
    as_of_ms: int,
    rules: Rules = AS_SHIPPED,
    totals: Mapping[EntityKey, Totals] | None = None,
) -> Recomputed:
    """Everything that users read, from all records ever delivered, at `as_of_ms`.

    Parameters
    ----------
    records
        In any order, with any repeats.
    as_of_ms
        The clock, in ms since the epoch.
    rules
        Thresholds and the tolerance for times ahead of arrival.
    totals
        What `roll_up` gives for the moment of the last rollup; None when none has run.
    """
    result = Recomputed()
    events, refused = _accepted(records, rules, result)
    for student, named in grouped_by(events, "student_id").items():
        result.entities["student", student] = _student(named, as_of_ms, rules)
    for tutor, named in grouped_by(events, "tutor_id").items():
        result.entities["tutor", tutor] = _tutor(named, as_of_ms)
    for subject, named in grouped_by(events, "subject", "supply_demand_update").items():
        taken = [event for event in named if (("subject", subject), event.region) not in refused]
        result.entities["subject", subject] = _subject(taken, rules)
    for region, named in grouped_by(events, "region", "supply_demand_update").items():
        taken = [event for event in named if (("region", region), event.subject) not in refused]
        if region != UNSPECIFIED_REGION:
            result.entities["region", region] = _region(taken, rules)
    _add_rollup(result, totals or {}, rules)
    return result


def _accepted(
    records: Iterable[Record], rules: Rules, result: Recomputed
) -> tuple[list[Event], set[tuple[EntityKey, str]]]:
    """Accept the records in order of arrival; note in `result` what was rejected and how much was accepted.

    The limit on pairs is the one rule that looks at the order of arrival. An event beyond it is rejected as
    `too_many`, but stays among the events for the other entity that it names.

    Returns
    -------
    tuple
        The events, and the pairs (entity, other name) that were refused.
    """
    events: list[Event] = []
    pairs: dict[EntityKey, set[str]] = defaultdict(set)
    refused: set[tuple[EntityKey, str]] = set()
    for record in sorted(records, key=lambda record: int(record.sequence)):
        try:
            event = accept(record, rules)
        except Rejected as rejected:
            result.rejected[record.sequence] = rejected.reason
            continue
        too_many = False
        for entity, other in _pairs(event):
            if other not in pairs[entity] and len(pairs[entity]) == MAX_PAIRS:
                too_many = True
                refused.add((entity, other))
            else:
                pairs[entity].add(other)
        events.append(event)
        if too_many:
            result.rejected[record.sequence] = "too_many"
        else:
            result.accepted += 1
    result.distinct = len(
        {
            (event.event_type, event.time, event.payload)
            for event in events
            if not any(pair in refused for pair in _pairs(event))
        }
    )
    result.duplicates = result.accepted - result.distinct
    return events, refused


def _add_rollup(result: Recomputed, totals: Mapping[EntityKey, Totals], rules: Rules) -> None:
    """Add a rollup's figures and the alerts that follow from them to the entities; they may be new entities."""
    for entity, figures in totals.items():
        if (item := result.entities.get(entity)) is None:
            item = {"regions": {}, "alerts": {}}
            items = result.entities if any(figures.attributes.values()) else result.outlived
            items[entity] = item
        item |= figures.attributes
        item["alerts"] |= rollup_alerts(figures, rules)


def _pairs(event: Event) -> list[tuple[EntityKey, str]]:
    """The entities that a supply/demand update names, each with the other name it brings them."""
    if event.event_type != "supply_demand_update" or event.subject is None or event.region is None:
        return []
    pairs = [(("subject", event.subject), event.region)]
    if event.region != UNSPECIFIED_REGION:
        pairs.append((("region", event.region), event.subject))
    return pairs


def _latest(events: list[Event]) -> Event:
    """The register: the latest event time wins, equal times by the greater canonical JSON."""
    return max(events, key=lambda event: (event.time, canonical_json(event.register)))


def _student(events: list[Event], as_of: int, rules: Rules) -> dict[str, Any]:
    sessions, calls = occurrences(events, "session"), occurrences(events, "call")
    reports = [event for event in events if event.event_type == "customer_health_update"]
    call_times = [min(event.time for event in same) for same in calls.values()]
    student = {
        **session_attributes(start_times(sessions), ratings_of(sessions, "student_rating"), as_of),
        "ib_calls_7d": count_in_window(call_times, 7, as_of),
        "ib_calls_14d": count_in_window(call_times, 14, as_of),
        "health_score": 100,
    }
    if reports:
        report = _latest(reports)
        student["health_score"] = report.register["health_score"]
        student["reported"] = {**report.register, "reported_at": iso(report.time)}
        for attribute, days, reported in (
            ("sessions_7d", 7, "sessions_last_7_days"),
            ("sessions_30d", 30, "sessions_last_30_days"),
            ("ib_calls_14d", 14, "ib_calls_last_14_days"),
        ):
            if count_in_window([report.time], days, as_of):
                student[attribute] = max(student[attribute], report.register.get(reported, 0))
    student["sessions_14d"] = max(student["sessions_14d"], student["sessions_7d"])
    student["sessions_30d"] = max(student["sessions_30d"], student["sessions_14d"])
    student["ib_calls_14d"] = max(student["ib_calls_14d"], student["ib_calls_7d"])

    counted_7, counted_14 = (count_in_window(start_times(sessions).values(), days, as_of) for days in (7, 14))
    alerts = velocity_drop(counted_7, counted_14, rules)
    if student["ib_calls_14d"] >= rules.ib_calls_warning:
        alerts["high_ib_call_frequency"] = "warning"
    if student["health_score"] < rules.health_critical:
        alerts["low_health_score"] = "critical"
    elif student["health_score"] < rules.health_warning:
        alerts["low_health_score"] = "warning"
    student["alerts"] = alerts
    return student


def _tutor(events: list[Event], as_of: int) -> dict[str, Any]:
    sessions = occurrences(events, "session")
    updates = [event for event in events if event.event_type == "tutor_availability_updated"]
    return {
        **session_attributes(start_times(sessions), ratings_of(sessions, "tutor_rating"), as_of),
        "health_score": 100,
        **(_latest(updates).register if updates else {}),
        "alerts": {},
    }


def _with_time(update: Event) -> dict[str, Any]:
    return {**update.register, "updated_at": iso(update.time)}


def _subject(updates: list[Event], rules: Rules) -> dict[str, Any]:
    regions = {region: _latest(same) for region, same in grouped_by(updates, "region").items()}
    # Of regions equally late the greater name is the latest.
    newest = max(regions, key=lambda region: (regions[region].time, region))
    high_demand = any(update.register["balance_status"] == "high_demand" for update in regions.values())
    return {
        "region": newest,
        **regions[newest].register,
        "regions": {region: _with_time(update) for region, update in regions.items()},
        "alerts": {
            **({"supply_demand_imbalance": "info"} if high_demand else {}),
            **no_tutors(regions[newest].register, rules),
        },
    }


def _region(updates: list[Event], rules: Rules) -> dict[str, Any]:
    subjects = {subject: _latest(same) for subject, same in grouped_by(updates, "subject").items()}
    registers = [update.register for update in subjects.values()]
    sums = {
        name: sum(register.get(name, 0) for register in registers) for name in ("available_tutors", "active_students")
    }
    return {
        "subjects": {subject: _with_time(update) for subject, update in subjects.items()},
        **sums,
        "high_demand_subjects": sum(register["balance_status"] == "high_demand" for register in registers),
        "alerts": no_tutors(sums, rules),
    }
