"""Events files: one record a line (NDJSON), read as the bytes to put on the stream.

A line may be anything, for a poison record is a record too; only a file that cannot be read, or a line that no stream
would take, is refused. It must not judge events: that is the processor's.
"""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

from proof.oracle import EPOCH, own_time, time_ms

MAX_LINE_BYTES = 1024 * 1024 - 256
"""Kinesis takes 1 MiB for data and partition key together, and a partition key has up to 256 characters."""
FUTURE_TOLERANCE_MS = 600_000

_TIME_FIELD = re.compile(r'("(?:timestamp|ingested_at)"\s*:\s*")([^"\\]*)(")')
_TIME_SHAPE = re.compile(
    r"(?P<wall>[0-9-]{10}[T ][0-9]{2}:[0-9]{2})(?P<seconds>:[0-9]{2})?(?P<rest>(?:\.[0-9]+)?(?:Z|[+-][0-9:]+)?)"
)


class EventsFileError(Exception):
    """An events file that cannot be used; the message names the file, the line where there is one, and why."""


def read(path: Path | str, rebase_to: datetime | None = None) -> list[bytes]:
    """The records of an events file, in order; blank lines are skipped.

    Parameters
    ----------
    path
        The file, one record a line.
    rebase_to
        An aware time, usually now: each ISO time in `timestamp`, `payload.timestamp` and `ingested_at` is shifted by
        one whole number of seconds, such that the newest event time becomes it, to the second. Left out of this are
        event times more than ten minutes after the same line's `ingested_at` (or `rebase_to`, without one): they stand
        for events from the future, and stay as far ahead as they are. Each time keeps its shape (naive, Z, offset,
        fraction); lines that are no JSON objects stay as they are.

    Raises
    ------
    EventsFileError
        When the file is missing, unreadable or without a record, or a line is longer than Kinesis takes.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise EventsFileError(f"{path}: there is no such file; give one with a JSON event a line") from None
    except OSError as error:
        raise EventsFileError(f"{path}: cannot be read: {error.strerror or error}; give a file that can") from error
    lines: list[bytes] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise EventsFileError(
                f"{path}, line {number}: {len(line):,} bytes, allowed in a Kinesis record: {MAX_LINE_BYTES:,}"
                " (1 MiB with its partition key)"
            )
        if line.strip():
            lines.append(line.removesuffix(b"\r"))
    if not lines:
        raise EventsFileError(f"{path}: there is no record in it; give a file with a JSON event a line")
    return lines if rebase_to is None else _rebased(lines, rebase_to)


def _rebased(lines: list[bytes], rebase_to: datetime) -> list[bytes]:
    if rebase_to.tzinfo is None:
        raise ValueError(f"rebase_to is {rebase_to.isoformat()}, but must have a time zone")
    goal = (rebase_to.replace(tzinfo=None) - (rebase_to.utcoffset() or timedelta()) - EPOCH) // timedelta(
        milliseconds=1
    )
    times = (_event_time(line, goal) for line in lines)
    newest = max((time for time in times if time is not None), default=None)
    if newest is None:
        return lines
    # Whole seconds, so that times without a fraction move exactly as far as those with one.
    shift = timedelta(seconds=(goal - newest) // 1000)
    return [_shifted(line, shift) for line in lines]


def _object(line: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _event_time(line: bytes, arrival_ms: int) -> int | None:
    """The line's event time in ms; None when it has none, or one from the future."""
    event = _object(line)
    time = None if event is None else time_ms(own_time(event))
    if event is None or time is None:
        return None
    arrival = time_ms(event.get("ingested_at"))
    if arrival is None:
        arrival = arrival_ms
    return time if time <= arrival + FUTURE_TOLERANCE_MS else None


def _shifted(line: bytes, shift: timedelta) -> bytes:
    """The line with its times moved and every other byte as it was."""
    if _object(line) is None:
        return line
    return _TIME_FIELD.sub(
        lambda found: found[1] + _shifted_time(found[2], shift) + found[3], line.decode("utf-8")
    ).encode("utf-8")


def _shifted_time(text: str, shift: timedelta) -> str:
    shape = _TIME_SHAPE.fullmatch(text)
    if shape is None or time_ms(text) is None:
        return text
    try:
        wall = datetime.fromisoformat(shape["wall"] + (shape["seconds"] or ":00")) + shift
    except OverflowError:
        return text
    # A time without seconds gets them only where the shift needs them.
    precision = "minutes" if shape["seconds"] is None and wall.second == 0 else "seconds"
    return wall.isoformat(sep=text[10], timespec=precision) + shape["rest"]
