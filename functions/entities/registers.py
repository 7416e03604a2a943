"""Registers: the latest health report, availability, supply and demand per region or subject; the first session.

Each merge here is a join like that of facts: the latest event time wins, equal times by the greater canonical JSON, and
of sessions the earliest is the first. The order of arrival matters in one place only, the limit on how many regions a
subject (and subjects a region) may have. Pure.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from functions.entities.facts import UNKNOWN
from functions.model import HIGH_DEMAND, EntityKey, Rejection

MOST_SLOTS: Final = 200
"""Regions of a subject, subjects of a region."""

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
    """A value as JSON that is the same wherever and in whatever order it was made."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def later(one: Register, other: Register) -> Register:
    """The join of two values of a slot."""
    if one.time != other.time:
        return max(one, other, key=lambda register: register.time)
    return max(one, other, key=lambda register: canonical(register.value))


def merge(
    key: EntityKey, stored: Mapping[str, Register], updates: Iterable[Update]
) -> tuple[dict[str, Register], list[Rejection]]:
    """The registers of an entity after these updates, in order of arrival, and those that found no room."""
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
    """What is known of a session, and the register of a student's first one; what is not known has time 0."""

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
    """The join of two sightings: of two sessions the earlier; of one session what is known of it together.

    Subject and tutor are those of the earliest event that named one (the smaller name), the outcome that of the latest
    completion that said one (success over failure).
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
