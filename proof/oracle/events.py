"""How the oracle accepts or rejects a record: `accept` gives an event with checked fields."""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from proof.oracle.fields import (
    BILLION,
    boolean,
    identifier,
    number_within,
    parse_json,
    rating,
    short_text,
    subject_list,
    unchecked,
    whole_count,
    without_none,
)
from proof.oracle.model import AS_SHIPPED, UNSPECIFIED_REGION, Record, Rejected, Rules, canonical_json
from proof.oracle.times import own_time, present, time_ms

SESSION_EVENTS = ("session_started", "session_completed")
REQUIRED = {
    "session_started": (),
    "session_completed": (),
    "ib_call_logged": ("student_id",),
    "customer_health_update": ("student_id", "health_score"),
    "tutor_availability_updated": ("tutor_id",),
    "supply_demand_update": ("subject", "balance_status"),
}
EMPTY_IS_MISSING = ("student_id", "tutor_id", "subject")


Identity = tuple[str, ...]
"""What a session or call is known by: its kind and its id, or what the event says."""


@dataclass(frozen=True)
class Event:
    """An accepted event: its type, its time, who it names, and the fields that the system uses, checked."""

    event_type: str
    time: int
    arrival: int
    payload: str
    identity: Identity
    student_id: str | None = None
    tutor_id: str | None = None
    subject: str | None = None
    region: str | None = None
    student_rating: Decimal | None = None
    tutor_rating: Decimal | None = None
    success: bool | None = None
    register: dict[str, Any] = field(default_factory=dict)


@lru_cache(16_384)
def accept(record: Record, rules: Rules = AS_SHIPPED) -> Event:
    """Parse and validate one record.

    Raises
    ------
    Rejected
        With the first reason that applies, in the contract's order: what it is, what kind, what is missing, what is
        out of range, and last its time.
    """
    value = parse_json(record.data)
    if not isinstance(value, dict):
        raise Rejected("not_object")
    event_type, payload = value.get("event_type"), value.get("payload")
    if not present(event_type):
        raise Rejected("missing_field")
    if not isinstance(event_type, str) or event_type not in REQUIRED:
        raise Rejected("unknown_event_type")
    if not present(payload):
        raise Rejected("missing_field")
    if not isinstance(payload, dict):
        raise Rejected("invalid_field")

    def missing(name: str) -> bool:
        return not present(payload.get(name)) or (name in EMPTY_IS_MISSING and payload[name] == "")

    if any(missing(name) for name in REQUIRED[event_type]):
        raise Rejected("missing_field")
    if event_type in SESSION_EVENTS and missing("student_id") and missing("tutor_id"):
        raise Rejected("missing_field")

    fields = _fields(event_type, payload)
    time = _event_time(value, record, rules)
    content = canonical_json(payload)
    own_id = fields.pop("own_id", None)
    kind = "session" if event_type in SESSION_EVENTS else event_type
    identity = (kind, own_id) if own_id is not None else (kind, event_type, str(time), content)
    return Event(
        event_type=event_type, time=time, arrival=record.arrival_ms, payload=content, identity=identity, **fields
    )


def _fields(event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The checked fields of an event that lacks nothing, as arguments of `Event`, and `own_id`."""
    get = payload.get
    if event_type in SESSION_EVENTS:
        completed = event_type == "session_completed"
        return without_none(
            own_id=identifier(get("session_id"), 1024),
            student_id=identifier(get("student_id"), 1024),
            tutor_id=identifier(get("tutor_id"), 1024),
            subject=identifier(get("subject"), 128),
            student_rating=rating(get("student_rating")) if completed else None,
            tutor_rating=rating(get("tutor_rating")) if completed else None,
            success=boolean(get("completed_successfully")) if completed else None,
        )
    if event_type == "ib_call_logged":
        return without_none(own_id=identifier(get("call_id"), 1024), student_id=identifier(get("student_id"), 1024))
    if event_type == "customer_health_update":
        register = without_none(
            health_score=number_within(get("health_score"), 100),
            sessions_last_7_days=whole_count(get("sessions_last_7_days")),
            sessions_last_30_days=whole_count(get("sessions_last_30_days")),
            ib_calls_last_14_days=whole_count(get("ib_calls_last_14_days")),
            avg_session_rating=unchecked(get("avg_session_rating")),
            churn_risk=unchecked(get("churn_risk")),
        )
        return without_none(student_id=identifier(get("student_id"), 1024), register=register)
    if event_type == "tutor_availability_updated":
        register = without_none(
            available_hours_this_week=number_within(get("available_hours_this_week"), BILLION),
            subjects=subject_list(get("subjects")),
            timezone=short_text(get("timezone"), 64),
            accepts_instant_book=boolean(get("accepts_instant_book")),
        )
        return without_none(tutor_id=identifier(get("tutor_id"), 1024), register=register)
    register = without_none(
        available_tutors=whole_count(get("available_tutors")),
        active_students=whole_count(get("active_students")),
        demand_score=number_within(get("demand_score"), BILLION),
        supply_score=number_within(get("supply_score"), BILLION),
        balance_status=short_text(get("balance_status"), 64),
    )
    region = identifier(get("region"), 128) or UNSPECIFIED_REGION
    return without_none(subject=identifier(get("subject"), 128), region=region, register=register)


def _event_time(event: dict[str, Any], record: Record, rules: Rules) -> int:
    value = own_time(event)
    if not present(value):
        return record.arrival_ms
    time = time_ms(value)
    if time is None:
        raise Rejected("bad_timestamp")
    if time > record.arrival_ms + rules.future_tolerance_seconds * 1000:
        raise Rejected("future_timestamp")
    return time
