"""Events of a small world, drawn from a random source: few ids, so that everything meets; times at every boundary."""

import json
from random import Random
from typing import Any, Final

from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, to_iso

STUDENTS: Final = ("stu_1", "stu_2", "stu_3")
TUTORS: Final = ("tut_1", "tut_2")
SUBJECTS: Final = ("algebra", "biology")
REGIONS: Final = ("eu", "us", None)
_RATINGS: Final = (None, 0, 1, 2.5, 3.3333, 4.12345, 5, "4.5")
_COUNTS: Final = (None, 0, 1, 4, 9)
_SCORES: Final = (None, 0, 20, 90, 55.5, "70")


def any_event(rng: Random, now_ms: int) -> bytes:
    """A record's data as some producer might put it at `now_ms`; about one in eight is refused by the contract."""
    if rng.random() < 0.12:
        return _poison(rng, now_ms)
    event_type, payload = _payload(rng)
    event: dict[str, Any] = {"event_type": event_type, "payload": payload}
    if rng.random() < 0.95:
        event["timestamp"] = _written(rng, now_ms - _age(rng))
    return json.dumps(event).encode()


def _age(rng: Random) -> int:
    """How long ago an event happened, ms: mostly lately, often at a window's edge, now and then ahead of its arrival.

    None between 29 and 34 days: what is on the brink of being forgotten may be so by the time it is delivered.
    """
    kind = rng.randrange(6)
    if kind <= 1:
        return rng.randrange(2 * HOUR_MS)
    if kind == 2:
        return rng.choice((7, 14)) * DAY_MS + rng.choice((rng.randint(-2, 2), -rng.randrange(10 * MINUTE_MS)))
    if kind == 3:
        return -rng.randrange(10 * 60_000)
    if kind == 4:
        return rng.randint(34, 60) * DAY_MS
    return rng.randrange(29 * DAY_MS)


def _written(rng: Random, time_ms: int) -> str:
    """One of the ways to write a moment."""
    text = to_iso(time_ms)
    return rng.choice((text, text.replace("T", " "), text.removesuffix("Z"), text.replace("Z", "+00:00")))


def _payload(rng: Random) -> tuple[str, dict[str, Any]]:
    session = {
        "session_id": rng.choice(("s1", "s2", "s3", "s4", 5, None)),
        "student_id": rng.choice(STUDENTS),
        "tutor_id": rng.choice((*TUTORS, None)),
        "subject": rng.choice((*SUBJECTS, None)),
    }
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("session_started", session),
        (
            "session_completed",
            {
                **session,
                "student_rating": rng.choice(_RATINGS),
                "tutor_rating": rng.choice(_RATINGS),
                "completed_successfully": rng.choice((True, False, None)),
            },
        ),
        ("ib_call_logged", {"call_id": rng.choice(("c1", "c2", "c3", None)), "student_id": rng.choice(STUDENTS)}),
        (
            "customer_health_update",
            {
                "student_id": rng.choice(STUDENTS),
                "health_score": rng.choice((0, 49.9, 50, 69.5, 70, "45", 100)),
                "sessions_last_7_days": rng.choice(_COUNTS),
                "sessions_last_30_days": rng.choice(_COUNTS),
                "ib_calls_last_14_days": rng.choice(_COUNTS),
                "churn_risk": rng.choice(("low", 0.7, None)),
            },
        ),
        (
            "tutor_availability_updated",
            {
                "tutor_id": rng.choice(TUTORS),
                "available_hours_this_week": rng.choice(_SCORES),
                "subjects": rng.choice((None, [], ["algebra"])),
                "timezone": rng.choice((None, "Europe/Berlin")),
                "accepts_instant_book": rng.choice((True, False, None)),
            },
        ),
        (
            "supply_demand_update",
            {
                "subject": rng.choice(SUBJECTS),
                "region": rng.choice(REGIONS),
                "available_tutors": rng.choice(_COUNTS),
                "active_students": rng.choice(_COUNTS),
                "demand_score": rng.choice(_SCORES),
                "supply_score": rng.choice(_SCORES),
                "balance_status": rng.choice(("balanced", "high_demand", "high_demand", "oversupplied")),
            },
        ),
    ]
    return rng.choice(kinds)


def _poison(rng: Random, now_ms: int) -> bytes:
    call = {"event_type": "ib_call_logged", "payload": {"student_id": "stu_1"}}
    return rng.choice(
        (
            b"not json",
            b"\xff\xfe",
            b"[1]",
            b'{"event_type": "coffee_break", "payload": {}}',
            b'{"event_type": "ib_call_logged", "payload": {"call_id": "c9"}}',
            b'{"event_type": "customer_health_update", "payload": {"student_id": "stu_1", "health_score": 101}}',
            json.dumps(call | {"timestamp": "yesterday"}).encode(),
            json.dumps(call | {"timestamp": to_iso(now_ms + HOUR_MS)}).encode(),
        )
    )
