"""Reads the functions' logs: the notifications that the notifier has logged, and any other lines by their words.

Reads with FilterLogEvents, page by page.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_ALERT: Final = "Alert"
"""The message of the notifier's line for one alert."""


@dataclass(frozen=True, slots=True)
class Line:
    """One log event."""

    event_id: str
    """CloudWatch's id: the same whenever the line is read again."""
    at_ms: int
    """When it was logged, epoch ms."""
    text: str


@dataclass(frozen=True, slots=True)
class LoggedAlert:
    """One notification of an alert, as the notifier logged it."""

    event_id: str
    """The line's, as `Line.event_id`."""
    at_ms: int
    """When it was logged, epoch ms."""
    source: str
    """The EventBridge source, such as `iops-dashboard.processor`."""
    alert: Mapping[str, Any]
    """The event's Detail (contract section 3). Sources other than the processor may write anything there."""


def log_group(function_name: str) -> str:
    """Returns the name of a function's log group."""
    return f"/aws/lambda/{function_name}"


def lines(logs: Any, function_name: str, words: str, since_ms: int, until_ms: int | None = None) -> Iterator[Line]:
    """Yields the lines of a function's log that contain these words, in the order of time.

    Parameters
    ----------
    logs
        A client of boto3's kind.
    function_name
        The function.
    words
        What a line must contain, word for word (CloudWatch Logs user guide, "Filter pattern syntax": a quoted term).
    since_ms, until_ms
        Epoch ms: lines from `since_ms` on, and before `until_ms`.

    Raises
    ------
    ClientError, BotoCoreError
        When the log group does not exist or cannot be read.
    """
    span = {"startTime": since_ms} if until_ms is None else {"startTime": since_ms, "endTime": until_ms - 1}
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group(function_name), filterPattern=f'"{words}"', **span
    )
    for page in pages:
        for event in page["events"]:
            yield Line(event.get("eventId", ""), event["timestamp"], event["message"])


def alerts(logs: Any, function_name: str, since_ms: int) -> Iterator[LoggedAlert]:
    """Yields the notifications that the notifier has logged from `since_ms` (epoch ms) on, in the order of time.

    A notification that was delivered twice comes twice, with the same `alert_id`.

    Raises
    ------
    ClientError, BotoCoreError
        When the log group does not exist or cannot be read.
    """
    for line in lines(logs, function_name, _ALERT, since_ms):
        document = json_object(line.text)
        if document.get("message") == _ALERT and isinstance(alert := document.get("alert"), dict):
            yield LoggedAlert(line.event_id, line.at_ms, str(document.get("source", "")), alert)


def json_object(text: str) -> Mapping[str, Any]:
    """Parses a line's JSON object; empty for a line that is not one, such as Lambda's own lines."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
