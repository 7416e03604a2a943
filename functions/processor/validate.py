"""Checks one decoded JSON object against the contract's table of fields and turns it into an `Event`.

Pure. Only fields that the system uses are looked at; whatever else a payload carries is ignored.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .model import Event, InvalidRecord, excerpt, from_datetime, to_iso

MAX_COUNT = 1_000_000_000

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)?"
)
_FIRST_MS = from_datetime(datetime.min.replace(tzinfo=UTC))
_LAST_MS = from_datetime(datetime.max.replace(tzinfo=UTC))
# DynamoDB keeps magnitudes from 1e-130 to 1e126 (Amazon DynamoDB developer guide, "Data types: Number").
_SMALLEST, _LARGEST = 1e-100, 10**100

Number = int | float
Check = Callable[[str, Any], Any]


def parse_time(name: str, value: object) -> int:
    """An ISO-8601 calendar date and time of day as epoch milliseconds; without an offset it is UTC.

    Raises
    ------
    InvalidRecord
        `bad_timestamp` when the value is anything else.
    """
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise InvalidRecord("bad_timestamp", f"{name} is {excerpt(value)}, not an ISO-8601 date and time")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidRecord("bad_timestamp", f"{name} is {excerpt(value)}: {error}") from None
    ms = from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if not _FIRST_MS <= ms <= _LAST_MS:
        raise InvalidRecord("bad_timestamp", f"{name} is {excerpt(value)}, in UTC not of the years 1 to 9999")
    return ms


def parse_number(value: object) -> Number | None:
    """A finite JSON number, or a string that is exactly one; `None` for anything else, booleans included.

    Whole numbers come back as `int`, so that 45, 45.0 and "45" are one value; magnitudes below what DynamoDB can
    hold come back as 0.
    """
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if abs(value) < _SMALLEST:
            return 0
        if not value.is_integer():
            return value
    # As it is written in decimal, since that is what is stored: 1e23 is not 99999999999999991611392.
    return int(value) if abs(value) < 2**53 else int(Decimal(repr(value)))


def _invalid(name: str, value: object, allowed: str) -> InvalidRecord:
    return InvalidRecord("invalid_field", f"{name} is {excerpt(value)}, allowed: {allowed}")


def _name(max_bytes: int) -> Check:
    """An identifier: a string of 1 to `max_bytes` bytes; an integer is its digits; empty is missing."""

    def check(name: str, value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value.encode()) > max_bytes:
            raise _invalid(name, value, f"a string of 1 to {max_bytes} bytes or an integer")
        return value or None

    return check


def _string(max_bytes: int) -> Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= max_bytes:
            raise _invalid(name, value, f"a string of 1 to {max_bytes} bytes")
        return value

    return check


def _range(high: int, *, whole: bool = False) -> Check:
    def check(name: str, value: Any) -> Number:
        number = parse_number(value)
        if number is None or not 0 <= number <= high or (whole and not isinstance(number, int)):
            raise _invalid(name, value, f"a {'whole ' if whole else ''}number from 0 to {high:,}")
        return number

    return check


def _rating(name: str, value: Any) -> int:
    """A rating from 0 to 5, in ten-thousandths, so that sums are exact."""
    number: Number = _range(5)(name, value)
    return round(Decimal(repr(number)) * 10_000)


def _boolean(_: str, value: Any) -> bool | None:
    """The value when it is a boolean; anything else says nothing (the contract does not check these)."""
    return value if isinstance(value, bool) else None


def _names(name: str, value: Any) -> list[str]:
    if (
        not isinstance(value, list)
        or len(value) > 100
        or not all(isinstance(each, str) and len(each.encode()) <= 256 for each in value)
    ):
        raise _invalid(name, value, "a list of up to 100 strings of up to 256 bytes")
    return value


def _kept(_: str, value: Any) -> Number | str | None:
    """An unchecked figure: kept when it is a number that DynamoDB can hold or a string of up to 64 bytes."""
    if isinstance(value, str):
        return value if len(value.encode()) <= 64 else None
    number = parse_number(value)
    if number is None or abs(number) >= _LARGEST:
        return None
    # DynamoDB keeps 38 digits.
    return number if abs(number) < 10**38 else parse_number(float(number))


@dataclass(frozen=True, slots=True)
class EventRule:
    """What one event type's payload must and may carry."""

    checks: Mapping[str, Check]
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """At least one of these must be given."""
    identity: str | None = None
    """The field that identifies the thing; without a value the event's content does."""


_ID = _name(1024)
_LABEL = _name(128)
_NAMES = (_ID, _LABEL)
_COUNT = _range(MAX_COUNT, whole=True)
_SCORE = _range(MAX_COUNT)
_SESSION: dict[str, Check] = {"session_id": _ID, "student_id": _ID, "tutor_id": _ID, "subject": _LABEL}

RULES: Mapping[str, EventRule] = {
    "session_started": EventRule(_SESSION, one_of=("student_id", "tutor_id"), identity="session_id"),
    "session_completed": EventRule(
        {
            **_SESSION,
            "student_rating": _rating,
            "tutor_rating": _rating,
            "completed_successfully": _boolean,
        },
        one_of=("student_id", "tutor_id"),
        identity="session_id",
    ),
    "ib_call_logged": EventRule({"call_id": _ID, "student_id": _ID}, required=("student_id",), identity="call_id"),
    "tutor_availability_updated": EventRule(
        {
            "tutor_id": _ID,
            "available_hours_this_week": _SCORE,
            "subjects": _names,
            "timezone": _string(64),
            "accepts_instant_book": _boolean,
        },
        required=("tutor_id",),
    ),
    "customer_health_update": EventRule(
        {
            "student_id": _ID,
            "health_score": _range(100),
            "sessions_last_7_days": _COUNT,
            "sessions_last_30_days": _COUNT,
            "ib_calls_last_14_days": _COUNT,
            "avg_session_rating": _kept,
            "churn_risk": _kept,
        },
        required=("student_id", "health_score"),
    ),
    "supply_demand_update": EventRule(
        {
            "subject": _LABEL,
            "region": _LABEL,
            "available_tutors": _COUNT,
            "active_students": _COUNT,
            "demand_score": _SCORE,
            "supply_score": _SCORE,
            "balance_status": _string(64),
        },
        required=("subject", "balance_status"),
    ),
}
"""The contract's table of events and fields."""


def validate(body: object, record: int, arrival_ms: int, future_tolerance_ms: int) -> Event:
    """One decoded record as an `Event`.

    Parameters
    ----------
    body
        The decoded JSON value.
    record
        The record's position in the batch.
    arrival_ms
        Approximate arrival, epoch milliseconds: the event time of last resort.
    future_tolerance_ms
        How far after its arrival an event's time may lie.

    Raises
    ------
    InvalidRecord
        Reasons: not_object, unknown_event_type, missing_field, invalid_field, bad_timestamp, future_timestamp.
    """
    if not isinstance(body, dict):
        raise InvalidRecord("not_object", f"the record is {excerpt(body)}, allowed: a JSON object")
    event_type = body.get("event_type")
    if event_type is None:
        raise InvalidRecord("missing_field", "event_type is missing")
    rule = RULES.get(event_type) if isinstance(event_type, str) else None
    if rule is None:
        raise InvalidRecord("unknown_event_type", f"event_type is {excerpt(event_type)}, allowed: {', '.join(RULES)}")
    payload = body.get("payload")
    if payload is None:
        raise InvalidRecord("missing_field", "payload is missing")
    if not isinstance(payload, dict):
        raise _invalid("payload", payload, "an object")

    missing = [name for name in rule.required if _missing(rule, payload, name)]
    if missing:
        raise InvalidRecord("missing_field", f"{event_type} has no {', '.join(missing)}")
    if rule.one_of and all(_missing(rule, payload, name) for name in rule.one_of):
        raise InvalidRecord("missing_field", f"{event_type} has none of {', '.join(rule.one_of)}")
    fields = {}
    for name, check in rule.checks.items():
        if (given := payload.get(name)) is not None and (value := check(name, given)) is not None:
            fields[name] = value
    time_ms = _event_time(body, payload, arrival_ms)
    if time_ms > arrival_ms + future_tolerance_ms:
        raise InvalidRecord(
            "future_timestamp",
            f"the event's time {to_iso(time_ms)} is more than {future_tolerance_ms // 1000} seconds "
            f"after its arrival {to_iso(arrival_ms)}",
        )
    return Event(record, event_type, time_ms, fields, _identity(rule, event_type, time_ms, fields, payload))


def _missing(rule: EventRule, payload: Mapping[str, Any], name: str) -> bool:
    value = payload.get(name)
    return value is None or (value == "" and rule.checks[name] in _NAMES)


def _event_time(body: Mapping[str, Any], payload: Mapping[str, Any], arrival_ms: int) -> int:
    for name, source in (("timestamp", body), ("payload.timestamp", payload), ("ingested_at", body)):
        if (value := source.get(name.removeprefix("payload."))) is not None:
            return parse_time(name, value)
    return arrival_ms


def _identity(
    rule: EventRule, event_type: str, time_ms: int, fields: Mapping[str, Any], payload: Mapping[str, Any]
) -> str:
    """The thing's own id, or a hash of event type, event time and canonical payload; the two never coincide."""
    if rule.identity is None:
        return ""
    if own := fields.get(rule.identity):
        return f"id:{own}"
    canonical = json.dumps([event_type, time_ms, payload], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"content:{hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()}"
