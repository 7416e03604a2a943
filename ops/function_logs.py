"""Reads what the functions have logged: the alerts that the notifier was told of, and any other lines by a pattern.

Everything is read with FilterLogEvents, page by page, and nothing is kept. What a line says is not judged here.
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
    """CloudWatch's: the same whenever the line is read again."""
    at_ms: int
    """When it was logged, epoch ms."""
    text: str


@dataclass(frozen=True, slots=True)
class LoggedAlert:
    """One alert as the notifier logged it."""

    event_id: str
    """Of its line."""
    at_ms: int
    source: str
    """The EventBridge source, such as `iops-dashboard.processor`."""
    alert: Mapping[str, Any]
    """The event's Detail (contract section 3); other sources than the processor may put anything there."""


def log_group(function_name: str) -> str:
    """Where a function logs."""
    return f"/aws/lambda/{function_name}"


def lines(logs: Any, function_name: str, words: str, since_ms: int, until_ms: int | None = None) -> Iterator[Line]:
    """The lines of a function that contain these words, in the order of time.

    Parameters
    ----------
    logs
        A client of boto3's kind.
    function_name
        Whose log group is read.
    words
        What a line must contain, as it stands (CloudWatch Logs user guide, "Filter pattern syntax": a quoted term).
    since_ms, until_ms
        Epoch ms; from the first on, and before the second.

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
    """The alerts that the notifier was told of from `since_ms` (epoch ms) on, in the order in which it logged them.

    A repeat of a notification comes again, under the same `alert_id`.

    Raises
    ------
    ClientError, BotoCoreError
        When the log group does not exist or cannot be read.
    """
    for line in lines(logs, function_name, _ALERT, since_ms):
        told = json_object(line.text)
        if told.get("message") == _ALERT and isinstance(alert := told.get("alert"), dict):
            yield LoggedAlert(line.event_id, line.at_ms, str(told.get("source", "")), alert)


def json_object(text: str) -> Mapping[str, Any]:
    """A line's JSON object; empty for a line that is none, as Lambda's own are."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
