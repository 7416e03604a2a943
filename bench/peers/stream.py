"""What all engines are given: which session or call names which entity when, decoded, in batches; with duplicates.

Entities are named less unevenly than elsewhere in the benchmark (skew 0.5 of 5,000 students and 1,000 tutors): none
exceeds the 1,000 facts above which the processor folds the oldest by the hour, so that results are equal to the last
digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bench.workload import DAY_MS, NOW, Population, Told, Workload
from functions.entities.facts import CALL, SESSION, fact_id

POPULATION: Final = Population(students=5_000, tutors=1_000, skew=0.5)
WARM: Final = 60_000
"""Events of the 30 days before those that are measured."""
_DUPLICATE_EVERY: Final = 50
_DUPLICATE_AFTER: Final = 400


class Touch(NamedTuple):
    """One thing that one event tells of one entity."""

    entity: int
    kind: int
    id: int
    time: int
    """Epoch ms."""
    rating: int | None
    """Ten-thousandths."""


class Metrics(NamedTuple):
    """An entity's windows at the moment of a batch that names it."""

    entity: int
    sessions_7d: int
    sessions_14d: int
    sessions_30d: int
    ib_calls_7d: int
    ib_calls_14d: int
    avg_rating: int
    """Ten-thousandths, of the sessions of 30 days; halves to even."""
    ratings_30d: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch."""

    touches: Sequence[Touch]
    as_of: int
    """The moment of its last event, epoch ms."""
    events: int


def stream(events: int, size: int) -> tuple[list[Batch], list[Batch]]:
    """Batches of 10,000 events that fill 30 days; then so many events, over ten days, in batches of `size`."""
    workload = Workload(POPULATION)
    warm = workload.take(WARM, NOW - 30 * DAY_MS, 30 * DAY_MS / WARM)
    measured = workload.take(events, NOW, 10 * DAY_MS / events)
    told = _with_duplicates([*warm, *measured])
    entities: dict[str, int] = {}
    cut = len(told) - events
    return _batches(told[:cut], 10_000, entities), _batches(told[cut:], size, entities)


def _with_duplicates(events: list[Told]) -> list[Told]:
    """Every fiftieth event comes in the place of another one that far later, a second time."""
    for position in range(_DUPLICATE_AFTER, len(events), _DUPLICATE_EVERY):
        events[position] = events[position - _DUPLICATE_AFTER]
    return events


def _batches(events: Sequence[Told], size: int, entities: dict[str, int]) -> list[Batch]:
    made = []
    for start in range(0, len(events), size):
        part = events[start : start + size]
        touches = [touch for event in part for touch in _touches(event, entities)]
        made.append(Batch(touches, max(event.time_ms for event in part), len(part)))
    return made


def _touches(event: Told, entities: dict[str, int]) -> list[Touch]:
    payload = event.body["payload"]
    if event.event_type == "ib_call_logged":
        entity = entities.setdefault(payload["student_id"], len(entities))
        return [Touch(entity, CALL, fact_id(CALL, payload["call_id"]), event.time_ms, None)]
    if "session_id" not in payload:
        return []
    session = fact_id(SESSION, payload["session_id"])
    touches = []
    for name, given in (("student_id", "student_rating"), ("tutor_id", "tutor_rating")):
        stars = payload.get(given)
        entity = entities.setdefault(payload[name], len(entities))
        touches.append(Touch(entity, SESSION, session, event.time_ms, None if stars is None else round(stars * 10_000)))
    return touches
