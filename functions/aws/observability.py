"""Structured logs and metrics. What a record carries is never logged above debug level."""

import os
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

_SERVICE: Final = os.environ.get("POWERTOOLS_SERVICE_NAME", "processor")

logger = Logger(service=_SERVICE)
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "iops-dashboard"), service=_SERVICE)


def count(**figures: int) -> None:
    """Adds counters to the invocation's metrics, named as given. A counter of zero is not sent.

    CloudWatch bills a metric for each hour in which it is sent, and the alarms take missing data for zero.
    """
    for name, value in figures.items():
        if value:
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def describe(**properties: Any) -> None:
    """Writes properties into the metrics document: read from the log alone, they are no metrics and cost none."""
    for name, value in properties.items():
        metrics.add_metadata(key=name, value=value)


def count_by(name: str, dimension: str, figures: Mapping[str, int]) -> None:
    """Emits a counter once for each value of a dimension that it has beside the service.

    A metrics document has one set of dimensions (CloudWatch, embedded metric format), so each is one of its own.
    """
    for value, figure in figures.items():
        with single_metric(
            name=name,
            unit=MetricUnit.Count,
            value=figure,
            namespace=metrics.namespace,
            default_dimensions={"service": _SERVICE},
        ) as metric:
            metric.add_dimension(dimension, value)
