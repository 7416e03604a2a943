"""How the oracle reads an event's time."""

import re
from datetime import datetime, timedelta
from typing import Any

from proof.oracle.model import MINUTE_MS

ISO_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
EPOCH = datetime(1970, 1, 1)
FIRST_MS = (datetime.min - EPOCH) // timedelta(milliseconds=1)
LAST_MS = (datetime.max - EPOCH) // timedelta(milliseconds=1)


def time_ms(value: Any) -> int | None:
    """The instant that an ISO-8601 time names, in ms since the epoch; None for anything else."""
    match = ISO_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    try:
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    except ValueError:
        return None
    ahead_hours, ahead_minutes = int(offset_hour or 0), int(offset_minute or 0)
    if ahead_hours > 23 or ahead_minutes > 59:
        return None
    ahead_ms = (ahead_hours * 60 + ahead_minutes) * MINUTE_MS * (-1 if sign == "-" else 1)
    milliseconds = int(((fraction or "") + "000")[:3])
    instant = (wall - EPOCH) // timedelta(milliseconds=1) + milliseconds - ahead_ms
    return instant if FIRST_MS <= instant <= LAST_MS else None


def iso(ms: int) -> str:
    """A time as it is stored: 2026-11-23T10:00:00.000Z."""
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"


def present(value: Any) -> bool:
    """Whether an optional field is there: neither missing nor null."""
    return value is not None


def own_time(event: dict[str, Any]) -> Any:
    """The first present of the three fields that may tell an event's time, unparsed; None without any."""
    payload = event.get("payload")
    inner = payload.get("timestamp") if isinstance(payload, dict) else None
    return next(filter(present, (event.get("timestamp"), inner, event.get("ingested_at"))), None)
