"""How the oracle reads a record's bytes as JSON, and checks single fields (section 1 of the contract)."""

import json
import re
import sys
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from proof.oracle.model import Rejected, canonical_json
from proof.oracle.times import present


def parse_json(data: bytes) -> Any:
    """JSON as its standard has it: no NaN, no fraction beyond a double, no lone surrogates, no byte order mark.

    Raises
    ------
    Rejected
        not_utf8 or not_json.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("not_utf8") from None
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        # Fails for a lone surrogate in any key or string, and for what is nested too deep.
        canonical_json(value).encode("utf-8")
    except (ValueError, RecursionError):
        raise Rejected("not_json") from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is beyond a double")
    return number


JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
SMALLEST = 1e-100
"""What is nearer to 0 than this is taken as 0: DynamoDB holds nothing smaller than 1e-130."""
LARGEST_KEPT = 1e100
BILLION = 1_000_000_000


def stored_number(number: int | float) -> int | float:
    """A number as it is stored: 0 when tiny, an int when whole.

    A double stands for its shortest decimal (1e23 is 10**23), as does an integer of more digits than DynamoDB's 38.
    """
    if abs(number) < SMALLEST:
        return 0
    if isinstance(number, int) and abs(number) < 10**38:
        return number
    decimal = Decimal(repr(float(number)))
    return int(decimal) if decimal == int(decimal) else float(number)


def _number(value: Any) -> int | float:
    """A JSON number, or a string that is exactly one; finite; never a boolean."""
    if isinstance(value, str) and JSON_NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise Rejected("invalid_field")
    return stored_number(value)


def number_within(value: Any, largest: int) -> int | float | None:
    if not present(value):
        return None
    number = _number(value)
    if not 0 <= number <= largest:
        raise Rejected("invalid_field")
    return number


def whole_count(value: Any) -> int | None:
    number = number_within(value, BILLION)
    if isinstance(number, float):
        raise Rejected("invalid_field")
    return number


def rating(value: Any) -> Decimal | None:
    number = number_within(value, 5)
    if number is None:
        return None
    return Decimal(repr(number)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


def identifier(value: Any, longest: int) -> str | None:
    """An id, subject or region: a string, or an integer taken as its digits; empty or null is missing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not present(value) or value == "":
        return None
    return short_text(value, longest)


def short_text(value: Any, longest: int) -> str | None:
    if not present(value):
        return None
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= longest:
        raise Rejected("invalid_field")
    return value


def subject_list(value: Any) -> list[str] | None:
    if not present(value):
        return None
    if not isinstance(value, list) or len(value) > 100:
        raise Rejected("invalid_field")
    if any(not isinstance(subject, str) or len(subject.encode()) > 256 for subject in value):
        raise Rejected("invalid_field")
    return value


def boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def unchecked(value: Any) -> int | float | str | None:
    """avg_session_rating and churn_risk: kept when a number or a short string, otherwise as if not given."""
    if isinstance(value, str):
        return value if len(value.encode()) <= 64 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= LARGEST_KEPT:
        return None
    return stored_number(value)


def without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
