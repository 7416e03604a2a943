"""Times as events write them: ISO-8601 calendar dates and times of day. Pure."""

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
