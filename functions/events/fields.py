"""Holds the contract's table of events and fields, `RULES`, and the checks of the fields. Pure.

The table has only the fields that the system uses. All other fields of a payload are ignored.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import GenericAlias
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from functions.model import InvalidRecord, excerpt

MAX_COUNT: Final = 1_000_000_000

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# DynamoDB keeps magnitudes from 1e-130 to 1e126 (Amazon DynamoDB developer guide, "Data types: Number").
_SMALLEST, _LARGEST = 1e-100, 10**100

Number = int | float


class Check(NamedTuple):
    """How a field's value is checked."""

    normalised: Callable[[str, Any], Any]
    """Returns the normalised value for a field's name and value. Returns `None` when the value counts as not given.

    Raises
    ------
    InvalidRecord
        `invalid_field`.
    """
    as_is: Any = None
    """A type for msgspec. Each value of this type is already normalised. `None` when there is no such type."""


def parse_number(value: object) -> Number | None:
    """Return a finite JSON number, or the number that a string holds. Return `None` for anything else, also booleans.

    Whole numbers become `int`, so that 45, 45.0 and "45" are the same value. Numbers that are too small for DynamoDB
    become 0.
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
    # The table stores the decimal notation: 1e23 must not become 99999999999999991611392.
    return int(value) if abs(value) < 2**53 else int(Decimal(repr(value)))


def invalid(name: str, value: object, allowed: str) -> InvalidRecord:
    """Return the error of a field whose value is not allowed."""
    return InvalidRecord("invalid_field", f"{name} is {excerpt(value)}, allowed: {allowed}")


def _text(shortest: int, max_bytes: int) -> Any:
    """Return the type of strings that have at most `max_bytes` bytes in UTF-8, whichever characters they have."""
    return Annotated[str, msgspec.Meta(min_length=shortest, max_length=max_bytes // 4)]


def _name(max_bytes: int) -> Check:
    """Check an identifier: a string of up to `max_bytes` bytes or an integer. An empty string counts as missing."""

    def check(name: str, value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value.encode()) > max_bytes:
            raise invalid(name, value, f"a string of 1 to {max_bytes} bytes or an integer")
        return value or None

    return Check(check, _text(1, max_bytes))


def _string(max_bytes: int) -> Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value.encode()) <= max_bytes:
            raise invalid(name, value, f"a string of 1 to {max_bytes} bytes")
        return value

    return Check(check)


def _range(high: int, *, whole: bool = False) -> Check:
    def check(name: str, value: Any) -> Number:
        if type(value) is int and 0 <= value <= high:
            return value
        number = parse_number(value)
        if number is None or not 0 <= number <= high or (whole and not isinstance(number, int)):
            raise invalid(name, value, f"a {'whole ' if whole else ''}number from 0 to {high:,}")
        return number

    return Check(check, Annotated[int, msgspec.Meta(ge=0, le=high)] if whole else None)


def _rating(name: str, value: Any) -> int:
    """Return a rating from 0 to 5 in ten-thousandths, so that sums are exact."""
    if type(value) in (int, float) and 0 <= value <= 5:
        return _ten_thousandths(value)
    number: Number = _UP_TO_FIVE.normalised(name, value)
    return _ten_thousandths(number)


@lru_cache(maxsize=1024)
def _ten_thousandths(number: Number) -> int:
    return round(Decimal(repr(number)) * 10_000)


def _boolean(_: str, value: Any) -> bool | None:
    """Return a boolean. Anything else counts as not given: the contract does not check flags."""
    return value if isinstance(value, bool) else None


def _names(name: str, value: Any) -> list[str]:
    if (
        not isinstance(value, list)
        or len(value) > 100
        or not all(isinstance(text, str) and len(text.encode()) <= 256 for text in value)
    ):
        raise invalid(name, value, "a list of up to 100 strings of up to 256 bytes")
    return value


def _kept(_: str, value: Any) -> Number | str | None:
    """Keep an unchecked figure when it is a number that DynamoDB can hold or a string of up to 64 bytes."""
    if isinstance(value, str):
        return value if len(value.encode()) <= 64 else None
    number = parse_number(value)
    if number is None or abs(number) >= _LARGEST:
        return None
    # DynamoDB keeps 38 digits.
    return number if abs(number) < 10**38 else parse_number(float(number))


@dataclass(frozen=True, slots=True)
class EventRule:
    """Says what the payload of one event type must and may carry."""

    checks: Mapping[str, Check]
    """By field."""
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    """At least one of these must be given."""
    identity: str | None = None
    """The field that identifies the session or call. Without a value, the event's content identifies it."""


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


def is_missing(rule: EventRule, payload: Mapping[str, Any], name: str) -> bool:
    """Whether a payload does not have a field. An empty id or name is missing."""
    value = payload.get(name)
    return value is None or (value == "" and rule.checks[name] in _NAMES)
