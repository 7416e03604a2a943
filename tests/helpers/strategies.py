"""Events of a small world, for Hypothesis: few ids, so that everything meets; times at and around every boundary."""

import json
from typing import Any

from hypothesis import strategies as st

from functions.model import DAY_MS, HOUR_MS, to_iso
from tests.helpers.deployment import NOW, event_json

STUDENTS = ["stu_1", "stu_2"]
TUTORS = ["tut_1", "tut_2"]
SUBJECTS = ["algebra", "biology"]

ages = st.one_of(
    st.integers(0, 33 * DAY_MS),
    st.builds(lambda days, off: days * DAY_MS + off, st.sampled_from([0, 7, 14, 30, 32]), st.integers(-2, 2)),
    st.just(-5 * 60_000),
)
"""How long before `NOW` an event happened, ms; a few lie after it."""

times = ages.map(lambda age: to_iso(NOW - age))
ratings = st.sampled_from([None, 0, 1, 2.5, 3.3333, 4.12345, 5, "4.5"])


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def _event(event_type: str, **payload: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda time, fields: event_json(event_type, fields, timestamp=time), times, st.fixed_dictionaries(payload)
    )


_sessions = {
    "session_id": st.sampled_from(["s1", "s2", "s3", "s4", 5, "", None]),
    "student_id": st.sampled_from(STUDENTS),
    "tutor_id": optional(st.sampled_from(TUTORS)),
    "subject": optional(st.sampled_from(SUBJECTS)),
}
_scores = optional(st.sampled_from([0, 20, 90, 55.5, "70"]))
_counts = optional(st.integers(0, 9))

events = st.one_of(
    _event("session_started", **_sessions),
    _event(
        "session_completed",
        **_sessions,
        student_rating=ratings,
        tutor_rating=ratings,
        completed_successfully=optional(st.booleans()),
    ),
    _event(
        "ib_call_logged",
        call_id=optional(st.sampled_from(["c1", "c2", "c3", "c4"])),
        student_id=st.sampled_from(STUDENTS),
    ),
    _event(
        "tutor_availability_updated",
        tutor_id=st.sampled_from(TUTORS),
        available_hours_this_week=_scores,
        subjects=optional(st.lists(st.sampled_from(SUBJECTS), max_size=2)),
        timezone=optional(st.just("Europe/Berlin")),
        accepts_instant_book=optional(st.booleans()),
    ),
    _event(
        "customer_health_update",
        student_id=st.sampled_from(STUDENTS),
        health_score=st.sampled_from([0, 49.9, 50, 69.5, 70, "45", 100]),
        sessions_last_7_days=_counts,
        sessions_last_30_days=_counts,
        ib_calls_last_14_days=_counts,
        avg_session_rating=ratings,
        churn_risk=st.sampled_from(["low", "high", 0.7, None, True]),
    ),
    _event(
        "supply_demand_update",
        subject=st.sampled_from(SUBJECTS),
        region=st.sampled_from(["eu", "us", None, ""]),
        available_tutors=_counts,
        active_students=_counts,
        demand_score=_scores,
        supply_score=_scores,
        balance_status=st.sampled_from(["balanced", "high_demand", "oversupplied", "odd"]),
    ),
)
"""A valid event, as bytes."""

poison = st.sampled_from(
    [
        b"not json",
        b"\xff\xfe",
        b"[1]",
        event_json("coffee_break", {}),
        event_json("ib_call_logged", {"call_id": "c9"}),
        event_json("customer_health_update", {"student_id": "stu_1", "health_score": 101}),
        event_json("ib_call_logged", {"student_id": "stu_1"}, timestamp="yesterday"),
        event_json("ib_call_logged", {"student_id": "stu_1"}, timestamp=to_iso(NOW + HOUR_MS)),
    ]
)

streams = st.lists(st.one_of(events, events, events, poison), min_size=1, max_size=40)


def field(data: bytes, name: str) -> Any:
    """A field of an event's payload."""
    return json.loads(data)["payload"].get(name)
