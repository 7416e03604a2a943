"""Reads the times that events carry: ISO-8601 calendar dates and times of day. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

from functions.model import SECOND_MS, InvalidRecord, excerpt, from_datetime

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)?"
)
_FIRST_MS: Final = from_datetime(datetime.min.replace(tzinfo=UTC))
_LAST_MS: Final = from_datetime(datetime.max.replace(tzinfo=UTC))


def parse_time(name: str, value: object) -> int:
    """Read an ISO-8601 calendar date and time of day as epoch milliseconds. A time without an offset is UTC.

    Raises
    ------
    InvalidRecord
        `bad_timestamp` when the value is anything else.
    """
    if isinstance(value, str) and value[4:20:3] == "--T::." and value[23:] == "Z":
        # Nearly all times have this form. A float holds three decimals, and rounding finds them again.
        try:
            return round(datetime.fromisoformat(value).timestamp() * SECOND_MS)
        except ValueError:
            pass
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
