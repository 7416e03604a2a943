"""Keeps registers: the latest health report, availability, supply and demand, and a student's first session. Pure.

Each merge here is a join like that of facts. The latest event time wins. Of equal times the greater canonical JSON
wins. Of two sessions, the earlier is the first. The order of arrival matters only for the limit of a subject's regions
and of a region's subjects.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from functions.entities.facts import UNKNOWN
from functions.model import HIGH_DEMAND, EntityKey, Rejection

MOST_SLOTS: Final = 200
"""How many regions a subject may have, and how many subjects a region may have."""

REPORTED: Final = "reported"
AVAILABILITY: Final = "availability"
"""The slots of a student and a tutor; a subject's slots are its regions, a region's its subjects."""


class Register(NamedTuple):
    """The latest value of a slot and its event time (epoch ms)."""

    time: int
    value: Mapping[str, Any]


class Update(NamedTuple):
    """One event's value for one slot of one entity."""

    record: int
    slot: str
    register: Register


def canonical(value: Mapping[str, Any]) -> str:
    """Return a value as JSON. Equal values give the same text, in whatever order their fields come."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def later(one: Register, other: Register) -> Register:
    """Return the join of two values of a slot."""
    if one.time != other.time:
        return max(one, other, key=lambda register: register.time)
    return max(one, other, key=lambda register: canonical(register.value))


def merge(
    key: EntityKey, stored: Mapping[str, Register], updates: Iterable[Update]
) -> tuple[dict[str, Register], list[Rejection]]:
    """Return an entity's registers after these updates (in order of arrival), and a rejection of each without room."""
    merged = dict(stored)
    rejections = []
    for record, slot, register in updates:
        if slot in merged:
            merged[slot] = later(merged[slot], register)
        elif len(merged) < MOST_SLOTS:
            merged[slot] = register
        else:
            kind = "regions" if key.entity_type == "subject" else "subjects"
            rejections.append(
                Rejection(
                    record,
                    "too_many",
                    f"{key.entity_type} {key.entity_id} has {MOST_SLOTS} {kind}, the most allowed",
                )
            )
    return merged, rejections


def high_demand(registers: Mapping[str, Register]) -> int:
    """Return how many of these supply/demand registers say that demand is high."""
    return sum(register.value.get("balance_status") == HIGH_DEMAND for register in registers.values())


class FirstSession(NamedTuple):
    """The facts known of one session, kept as the register of a student's first session. Unknown ones have time 0."""

    time: int
    """Of its earliest event, epoch ms."""
    session: int
    """Its `fact_id`."""
    subject: str | None = None
    subject_time: int = 0
    tutor_id: str | None = None
    tutor_time: int = 0
    outcome: int = UNKNOWN
    outcome_time: int = 0


def first(one: FirstSession, other: FirstSession) -> FirstSession:
    """Return the join of two sightings. Of two sessions it is the earlier; two sightings of one session add up.

    Subject and tutor come from the earliest event that names one; of equal times the smaller name wins. The outcome
    comes from the latest completion that has one; of equal times success wins.
    """
    if one.session != other.session:
        return min(one, other, key=lambda sighting: (sighting.time, sighting.session))
    subject = min(one, other, key=lambda seen: (seen.subject is None, seen.subject_time, seen.subject or ""))
    tutor = min(one, other, key=lambda seen: (seen.tutor_id is None, seen.tutor_time, seen.tutor_id or ""))
    outcome = max(one, other, key=lambda seen: (seen.outcome != UNKNOWN, seen.outcome_time, seen.outcome))
    return FirstSession(
        min(one.time, other.time),
        one.session,
        subject.subject,
        subject.subject_time,
        tutor.tutor_id,
        tutor.tutor_time,
        outcome.outcome,
        outcome.outcome_time,
    )
