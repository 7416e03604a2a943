"""What the dashboard is made of: the names that it watches, metrics, graphs and log tables.

CloudWatch API reference, "Dashboard Body Structure and Syntax".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

Text = pulumi.Input[str]
Widget = dict[str, Any]
Section = tuple[Any, ...]
"""A question, a hint, and rows of widgets."""


@dataclass(frozen=True)
class Watched:
    """What the dashboard shows, by the names under which AWS keeps its metrics."""

    namespace: Text
    """Namespace of the functions' own metrics."""
    region: Text
    alarm_arns: Sequence[Text]
    stream: Text
    mapping: Text
    """The event source mapping's UUID."""
    processor: Text
    roll: Text
    rollup: Text
    rollup_steps: Sequence[Text]
    """The functions that a rollup over many has beside it; with none, it has no state machine."""
    rollup_state_machine: Text
    notifier: Text
    memory_mb: int
    """Of the processor and the roll."""
    rollup_memory_mb: int
    """Of the rollup and its steps."""
    table: Text
    state_table: Text
    indexes: Sequence[str]
    bus: Text
    rules: Sequence[Text]
    topics: Sequence[Text]
    queue: Text
    iterator_age_limit_ms: int
    duration_limit_ms: int
    unsent_limit_seconds: int


def rule_dimensions(bus: Text, rule: Text) -> pulumi.Output[dict[str, str]]:
    """Under which dimensions AWS/Events keeps a rule's metrics: on the default bus, the rule alone (EventBridge user
    guide, "EventBridge metrics")."""
    return pulumi.Output.all(bus, rule).apply(
        lambda names: {**({} if names[0] == "default" else {"EventBusName": names[0]}), "RuleName": names[1]}
    )


def function_dimensions(name: Text) -> tuple[str, dict[str, Text]]:
    return "AWS/Lambda", {"FunctionName": name}


def own_dimensions(watched: Watched, service: str) -> tuple[Text, dict[str, Text]]:
    return watched.namespace, {"service": service}


def index_dimensions(watched: Watched, index: str) -> tuple[str, dict[str, Text]]:
    return "AWS/DynamoDB", {"TableName": watched.table, "GlobalSecondaryIndexName": index}


def log_group(function: Text) -> pulumi.Output[str]:
    return pulumi.Output.concat("/aws/lambda/", function)


def metric(namespace: Text, dimensions: dict[str, Text], name: str, **rendering: Any) -> list[Any]:
    flat = [part for dimension in dimensions.items() for part in dimension]
    return [namespace, name, *flat, *([rendering] if rendering else [])]


def rule_metric(dimensions: pulumi.Output[dict[str, str]], name: str) -> pulumi.Output[list[Any]]:
    return dimensions.apply(lambda known: metric("AWS/Events", {**known}, name))


def by(watched: Watched, dimension: str, name: str) -> list[Any]:
    """A counter of the functions, a line for each value of its further dimension."""
    search = pulumi.Output.concat(
        "SEARCH('{\"", watched.namespace, f"\",service,{dimension}}} MetricName=\"{name}\"', 'Sum', 300)"
    )
    return [{"expression": search, "id": "found", "label": f"${{PROP('Dim.service')}} ${{PROP('Dim.{dimension}')}}"}]


def graph(
    watched: Watched,
    title: str,
    metrics: Sequence[pulumi.Input[list[Any]]],
    *,
    stat: str = "Sum",
    period: int = 300,
    stacked: bool = False,
    limit: int | None = None,
) -> Widget:
    properties: dict[str, Any] = {
        "title": title,
        "region": watched.region,
        "view": "timeSeries",
        "stacked": stacked,
        "stat": stat,
        "period": period,
        "metrics": list(metrics),
        "yAxis": {"left": {"min": 0}},
    }
    if limit is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": limit}]}
    return {"type": "metric", "properties": properties}


def logs(watched: Watched, title: str, query: str) -> Widget:
    functions = (watched.processor, watched.roll, watched.rollup)
    sources = [pulumi.Output.concat("SOURCE '", log_group(function), "' | ") for function in functions]
    text = pulumi.Output.concat(*sources, query)
    return {"type": "log", "properties": {"title": title, "region": watched.region, "query": text, "view": "table"}}
