"""Structured logs and metrics. What a record carries is never logged above debug level."""

import os

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "iops-dashboard"))


def count(**figures: int) -> None:
    """Adds counters to the invocation's metrics, named as given."""
    for name, value in figures.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
