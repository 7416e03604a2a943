"""Checks one decoded JSON object against the contract's table of fields and turns it into an `Event`.

Pure. Only fields that the system uses are looked at; whatever else a payload carries is ignored. `RULES` says what is
valid. What nearly every event looks like is taken on a shorter way, which must lead to the same event, see `_Usual`.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from types import GenericAlias
from typing import Annotated, Any, Final, NamedTuple, Required, TypedDict

import msgspec

from functions.model import SECOND_MS, Event, InvalidRecord, excerpt, from_datetime, to_iso

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


class Check(NamedTuple):
    """How a field's value is checked."""

    normalised: Callable[[str, Any], Any]
    """Name and value to the normalised value, `None` when it says nothing.

    Raises
    ------
    InvalidRecord
        `invalid_field`.
    """
    as_is: Any = None
    """A type, as msgspec knows them, all of whose values are normalised already; `None` where no type says that."""


def parse_time(name: str, value: object) -> int:
    """An ISO-8601 calendar date and time of day as epoch milliseconds; without an offset it is UTC.

    Raises
    ------
    InvalidRecord
        `bad_timestamp` when the value is anything else.
    """
    if isinstance(value, str) and value[4:20:3] == "--T::." and value[23:] == "Z":
        try:  # three decimals are within what a float holds, and are found again by rounding
            return round(datetime.fromisoformat(value).timestamp() * SECOND_MS)
        except ValueError:
            pass
    if not isinstance(value, str) or not (_is_usual_time(value) or _TIME.fullmatch(value)):
        raise InvalidRecord("bad_timestamp", f"{name} is {excerpt(value)}, not an ISO-8601 date and time")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        wrong = f": {error}" if _TIME.fullmatch(value) else ", not an ISO-8601 date and time"
        raise InvalidRecord("bad_timestamp", f"{name} is {excerpt(value)}{wrong}") from None
    ms = from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if not _FIRST_MS <= ms <= _LAST_MS:
        raise InvalidRecord("bad_timestamp", f"{name} is {excerpt(value)}, in UTC not of the years 1 to 9999")
    return ms


def _is_usual_time(text: str) -> bool:
    """Whether a time is surely of the contract's form if only `fromisoformat` takes it; a regular expression is slow.

    So are times with seconds and any or no fraction, with `Z`, an offset `+HH:MM` or none.
    """
    if text[4:17:3] != "--T::" or not text[17:19].isdigit() or not text.isascii():
        return False
    end = -1 if text[-1] == "Z" else -6 if text[-6] in "+-" and text[-3] == ":" and text[-2] < "6" else len(text)
    fraction = text[19:end]
    return not fraction or (fraction[0] == "." and fraction[1:].isdigit())


def parse_number(value: object) -> Number | None:
    """A finite JSON number, or a string that is exactly one; `None` for anything else, booleans included.

    Whole numbers come back as `int`, so that 45, 45.0 and "45" are one value; magnitudes below what DynamoDB can
    hold come back as 0.
    """
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if abs(value) < _SMALLEST:
            return 0
        if not value.is_integer():
            return value
    elif isinstance(value, bool) or not isinstance(value, int):
        return None
    # As it is written in decimal, since that is what is stored: 1e23 is not 99999999999999991611392.
    return int(value) if abs(value) < 2**53 else int(Decimal(repr(value)))


def _invalid(name: str, value: object, allowed: str) -> InvalidRecord:
    return InvalidRecord("invalid_field", f"{name} is {excerpt(value)}, allowed: {allowed}")


def _text(shortest: int, max_bytes: int) -> Any:
    """Strings of so many characters that are surely not more than `max_bytes` bytes of UTF-8."""
    return Annotated[str, msgspec.Meta(min_length=shortest, max_length=max_bytes // 4)]


def _name(max_bytes: int) -> Check:
    """An identifier: a string of 1 to `max_bytes` bytes; an integer is its digits; empty is missing."""

    def check(name: str, value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value.encode()) > max_bytes:
            raise _invalid(name, value, f"a string of 1 to {max_bytes} bytes or an integer")
        return value or None

    return Check(check, _text(1, max_bytes))


def _string(max_bytes: int) -> Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= max_bytes:
            raise _invalid(name, value, f"a string of 1 to {max_bytes} bytes")
        return value

    return Check(check)


def _range(high: int, *, whole: bool = False) -> Check:
    def check(name: str, value: Any) -> Number:
        if type(value) is int and 0 <= value <= high:
            return value
        number = parse_number(value)
        if number is None or not 0 <= number <= high or (whole and not isinstance(number, int)):
            raise _invalid(name, value, f"a {'whole ' if whole else ''}number from 0 to {high:,}")
        return number

    return Check(check, Annotated[int, msgspec.Meta(ge=0, le=high)] if whole else None)


def _rating(name: str, value: Any) -> int:
    """A rating from 0 to 5, in ten-thousandths, so that sums are exact."""
    if type(value) in (int, float) and 0 <= value <= 5:
        return _ten_thousandths(value)
    number: Number = _UP_TO_FIVE.normalised(name, value)
    return _ten_thousandths(number)


@lru_cache(maxsize=1024)
def _ten_thousandths(number: Number) -> int:
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
    """By field."""
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
_UP_TO_FIVE = _range(5)
_RATING = Check(_rating)
_FLAG = Check(_boolean, bool)
_KEPT = Check(_kept)
_SESSION: dict[str, Check] = {"session_id": _ID, "student_id": _ID, "tutor_id": _ID, "subject": _LABEL}

RULES: Mapping[str, EventRule] = {
    "session_started": EventRule(_SESSION, one_of=("student_id", "tutor_id"), identity="session_id"),
    "session_completed": EventRule(
        {
            **_SESSION,
            "student_rating": _RATING,
            "tutor_rating": _RATING,
            "completed_successfully": _FLAG,
        },
        one_of=("student_id", "tutor_id"),
        identity="session_id",
    ),
    "ib_call_logged": EventRule({"call_id": _ID, "student_id": _ID}, required=("student_id",), identity="call_id"),
    "tutor_availability_updated": EventRule(
        {
            "tutor_id": _ID,
            "available_hours_this_week": _SCORE,
            "subjects": Check(_names, Annotated[GenericAlias(list, (_text(0, 256),)), msgspec.Meta(max_length=100)]),
            "timezone": _string(64),
            "accepts_instant_book": _FLAG,
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
            "avg_session_rating": _KEPT,
            "churn_risk": _KEPT,
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


@dataclass(frozen=True, slots=True)
class _Usual:
    """The shorter way for an event type's usual payload: types are checked in C, and few checks are called.

    It may only take a payload whose missing and mistyped fields it has all noticed, and then gives what the longer way
    gives. Everything else it leaves to the longer way, which also knows how to say what is wrong.
    """

    shape: type[msgspec.Struct]
    """Of a whole event; each field of its payload has a type whose values stay as they are, or any."""
    left: Sequence[tuple[str, Callable[[str, Any], Any]]]
    """The fields of any type, with their checks."""
    one_of: frozenset[str]

    @staticmethod
    def of(event_type: str, rule: EventRule) -> "_Usual":
        fields: dict[str, Any] = {}
        for name, check in rule.checks.items():
            if name in rule.required:
                fields[name] = Required[str | int | float if check.as_is is None else check.as_is]
            else:
                fields[name] = Any if check.as_is is None else check.as_is | None
        typed_dict: Any = TypedDict
        payload = typed_dict(event_type, fields, total=False)
        return _Usual(
            msgspec.defstruct(event_type, [("payload", payload)]),
            [(name, check.normalised) for name, check in rule.checks.items() if check.as_is is None],
            frozenset(rule.one_of),
        )

    def fields(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The normalised fields that are given; `None` when the longer way must be gone."""
        try:
            event: Any = msgspec.convert(body, self.shape)
        except msgspec.ValidationError:
            return None
        fields: dict[str, Any] = event.payload
        if None in fields.values():
            fields = {name: value for name, value in fields.items() if value is not None}
        if self.one_of and self.one_of.isdisjoint(fields):
            return None
        for name, normalised in self.left:
            if name in fields:
                value = normalised(name, fields[name])
                if value is not None:
                    fields[name] = value
                else:
                    del fields[name]
        return fields


_USUAL: Final = {event_type: _Usual.of(event_type, rule) for event_type, rule in RULES.items()}


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
    fields = _USUAL[event_type].fields(body)
    if fields is None:
        fields = _fields(event_type, rule, payload)
    time_ms = _event_time(body, payload, arrival_ms)
    if time_ms > arrival_ms + future_tolerance_ms:
        raise InvalidRecord(
            "future_timestamp",
            f"the event's time {to_iso(time_ms)} is more than {future_tolerance_ms // 1000} seconds "
            f"after its arrival {to_iso(arrival_ms)}",
        )
    return Event(record, event_type, time_ms, fields, _identity(rule, event_type, time_ms, fields, payload))


def _fields(event_type: str, rule: EventRule, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The normalised fields that are given, whatever they look like."""
    missing = [name for name in rule.required if _missing(rule, payload, name)]
    if missing:
        raise InvalidRecord("missing_field", f"{event_type} has no {', '.join(missing)}")
    if rule.one_of and all(_missing(rule, payload, name) for name in rule.one_of):
        raise InvalidRecord("missing_field", f"{event_type} has none of {', '.join(rule.one_of)}")
    fields = {}
    for name, check in rule.checks.items():
        if (given := payload.get(name)) is not None and (value := check.normalised(name, given)) is not None:
            fields[name] = value
    return fields


def _missing(rule: EventRule, payload: Mapping[str, Any], name: str) -> bool:
    value = payload.get(name)
    return value is None or (value == "" and rule.checks[name] in _NAMES)


def _event_time(body: Mapping[str, Any], payload: Mapping[str, Any], arrival_ms: int) -> int:
    if (value := body.get("timestamp")) is not None:
        return parse_time("timestamp", value)
    if (value := payload.get("timestamp")) is not None:
        return parse_time("payload.timestamp", value)
    if (value := body.get("ingested_at")) is not None:
        return parse_time("ingested_at", value)
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
