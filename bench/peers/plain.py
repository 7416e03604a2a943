"""A batch decoded and aggregated with the standard library: json, datetime, dicts, and checks of what is used."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bench.peers.stream import Metrics
from bench.workload import DAY_MS

_TYPES: Final = frozenset(
    {
        "session_started",
        "session_completed",
        "ib_call_logged",
        "customer_health_update",
        "tutor_availability_updated",
        "supply_demand_update",
    }
)


def aggregate(records: Sequence[dict[str, Any]], as_of: int) -> dict[str, Metrics]:
    """Kinesis records of a Lambda event to each entity's windows (`Metrics.entity` is 0 here), by the entity's id."""
    sessions: dict[str, dict[str, list[Any]]] = {}
    calls: dict[str, dict[str, int]] = {}
    for record in records:
        event = json.loads(base64.b64decode(record["kinesis"]["data"], validate=True).decode())
        event_type, payload = event.get("event_type"), event.get("payload")
        if event_type not in _TYPES or not isinstance(payload, dict):
            raise ValueError(f"unknown event {event_type!r}")
        time = _time(str(event.get("timestamp") or payload.get("timestamp")))
        if time > record["kinesis"]["approximateArrivalTimestamp"] * 1000 + 600_000:
            raise ValueError(f"{time} is in the future")
        if event_type == "ib_call_logged":
            known = calls.setdefault(_name(payload, "student_id"), {})
            call = _name(payload, "call_id")
            known[call] = min(time, known.get(call, time))
        elif event_type in ("session_started", "session_completed"):
            session = _name(payload, "session_id")
            _name(payload, "subject")
            for who, stars in (("student_id", "student_rating"), ("tutor_id", "tutor_rating")):
                thing = sessions.setdefault(_name(payload, who), {}).setdefault(session, [time, None, 0])
                thing[0] = min(time, thing[0])
                rating = _number(payload, stars, 0, 5)
                if rating is not None and (thing[1] is None or (time, rating) > (thing[2], thing[1])):
                    thing[1], thing[2] = round(rating * 10_000), time
        elif event_type == "customer_health_update":
            calls.setdefault(_name(payload, "student_id"), {})
            _number(payload, "health_score", 0, 100)
            for name in ("sessions_last_7_days", "sessions_last_30_days", "ib_calls_last_14_days"):
                _number(payload, name, 0, 1_000_000_000)
        elif event_type == "tutor_availability_updated":
            sessions.setdefault(_name(payload, "tutor_id"), {})
            _number(payload, "available_hours_this_week", 0, 1_000_000_000)
            subjects = payload.get("subjects", [])
            if not isinstance(subjects, list) or len(subjects) > 100 or not all(isinstance(e, str) for e in subjects):
                raise ValueError(f"subjects is {subjects!r}")
        else:
            for name in ("subject", "region", "balance_status"):
                _name(payload, name)
            for name in ("available_tutors", "active_students", "demand_score", "supply_score"):
                _number(payload, name, 0, 1_000_000_000)
    return {
        entity: _measure(sessions.get(entity, {}), calls.get(entity, {}), as_of)
        for entity in sessions.keys() | calls.keys()
    }


def _measure(sessions: dict[str, list[Any]], calls: dict[str, int], as_of: int) -> Metrics:
    in_7 = in_14 = in_30 = calls_7 = calls_14 = rating_sum = ratings = 0
    for time, rating, _ in sessions.values():
        age = as_of - time
        if age < 30 * DAY_MS:
            in_30 += 1
            if rating is not None:
                rating_sum += rating
                ratings += 1
            if age < 14 * DAY_MS:
                in_14 += 1
                if age < 7 * DAY_MS:
                    in_7 += 1
    for time in calls.values():
        age = as_of - time
        calls_7 += age < 7 * DAY_MS
        calls_14 += age < 14 * DAY_MS
    return Metrics(0, in_7, in_14, in_30, calls_7, calls_14, round(rating_sum / ratings) if ratings else 0, ratings)


def _time(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _name(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= 1024:
        raise ValueError(f"{name} is {value!r}")
    return value


def _number(payload: dict[str, Any], name: str, low: float, high: float) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}")
    return value
