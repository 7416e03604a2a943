"""Reads CloudWatch for the checks: metrics of the last minutes, and the newest line of a function's log."""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from ops import function_logs
from ops.function_logs import Line
from ops.target import Target

Metric = tuple[str, str, Mapping[str, str], str]
"""Namespace, name, dimensions, statistic."""

_PERIOD_SECONDS: Final = 60
_SPANS_MS: Final = (5 * MINUTE_MS, HOUR_MS, DAY_MS)
"""CloudWatch returns log lines from the oldest on, so the newest is searched for in a short span first."""


def metrics(target: Target, wanted: Mapping[str, Metric], since_ms: int, until_ms: int) -> dict[str, list[float]]:
    """Returns each metric's values by the names given, one a minute, the newest first."""
    answer = target.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": name,
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": [{"Name": dimension, "Value": value} for dimension, value in dimensions.items()],
                    },
                    "Period": _PERIOD_SECONDS,
                    "Stat": statistic,
                },
            }
            for name, (namespace, metric, dimensions, statistic) in wanted.items()
        ],
        StartTime=_datetime(since_ms),
        EndTime=_datetime(until_ms),
        ScanBy="TimestampDescending",
    )
    values: dict[str, list[float]] = {name: [] for name in wanted}
    for result in answer["MetricDataResults"]:
        values[result["Id"]] += result["Values"]
    return values


def is_local(target: Target) -> bool:
    """Whether CloudWatch is a local one, which has no metrics of functions and of what they log."""
    return "amazonaws" not in target.client("cloudwatch").meta.endpoint_url


def newest_line(target: Target, function: str, words: str, now_ms: int) -> Line | None:
    """Returns the newest line of the last day that contains these words in a function's log."""
    logs = target.client("logs")
    for span in _SPANS_MS:
        if last := deque(function_logs.lines(logs, function, words, now_ms - span), maxlen=1):
            return last[0]
    return None


def logged_number(document: Mapping[str, Any], name: str) -> int:
    """Returns a metric of a line in the embedded metric format, which writes values as lists; 0 when it is missing."""
    value = document.get(name, 0)
    return int(value[0] if isinstance(value, list) else value)


def _datetime(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / SECOND_MS, UTC)
