"""The dashboard's body: from top to bottom, is it keeping up, is it right, what does it cost, what did it alert.

It only lays out metrics that others emit (CloudWatch API reference, "Dashboard Body Structure and Syntax"); which
figure is alarming is decided by the alarms, not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

COLUMNS = 24
_Text = pulumi.Input[str]
_Widget = dict[str, Any]


@dataclass(frozen=True)
class Subjects:
    """What the dashboard shows, by the names under which AWS keeps its metrics."""

    namespace: _Text
    """Namespace of the functions' own metrics."""
    region: _Text
    alarm_arns: Sequence[_Text]
    stream: _Text
    mapping: _Text
    """The event source mapping's UUID."""
    processor: _Text
    roll: _Text
    rollup: _Text
    rollup_steps: Sequence[_Text]
    """The functions that a rollup over many has beside it; with none, it has no state machine."""
    rollup_state_machine: _Text
    notifier: _Text
    memory_mb: int
    """Of the processor and the roll."""
    rollup_memory_mb: int
    """Of the rollup and its steps."""
    table: _Text
    indexes: Sequence[str]
    bus: _Text
    rules: Sequence[_Text]
    topics: Sequence[_Text]
    queue: _Text
    iterator_age_limit_ms: int
    duration_limit_ms: int
    unsent_limit_seconds: int


def body(subjects: Subjects) -> pulumi.Output[str]:
    """The body as JSON: each section is a row with its question, followed by rows of widgets of equal width."""
    sections = [make(subjects) for make in (_keeping_up, _right, _cost, _sessions, _alerts)]
    alarms = {"type": "alarm", "properties": {"title": "Alarms", "alarms": list(subjects.alarm_arns)}}
    rows: list[tuple[int, Sequence[_Widget]]] = [(4, [alarms])]
    for question, hint, *widgets in sections:
        rows.append((2, [{"type": "text", "properties": {"markdown": f"## {question}\n{hint}"}}]))
        rows.extend((6, row) for row in widgets)
    placed, y = [], 0
    for height, row in rows:
        width = COLUMNS // len(row)
        for column, widget in enumerate(row):
            placed.append({**widget, "x": column * width, "y": y, "width": width, "height": height})
        y += height
    return pulumi.Output.json_dumps({"start": "-PT12H", "periodOverride": "inherit", "widgets": placed})


def _keeping_up(of: Subjects) -> tuple[Any, ...]:
    stream = ("AWS/Kinesis", {"StreamName": of.stream})
    processor, roll = _function(of.processor), _function(of.roll)
    own, own_roll = _own(of, "processor"), _own(of, "roll")
    return (
        "Is it keeping up?",
        "Records should be taken in within seconds, and every roll should find nothing that was due long ago.",
        [
            _graph(
                of,
                "Age of the records taken in (ms)",
                [_metric(*processor, "IteratorAge"), _metric(*own, "BatchLag")],
                stat="Maximum",
                limit=of.iterator_age_limit_ms,
            ),
            _graph(
                of,
                "Records arriving and taken in",
                [_metric(*stream, "IncomingRecords"), _metric(*own, "Records")],
            ),
            _graph(
                of,
                "Refused for want of throughput",
                [
                    _metric(*stream, "WriteProvisionedThroughputExceeded"),
                    _metric(*stream, "ReadProvisionedThroughputExceeded"),
                    _metric(*processor, "Throttles", label="processor Throttles"),
                    _metric(*roll, "Throttles", label="roll Throttles"),
                    _metric(*_function(of.notifier), "Throttles", label="notifier Throttles"),
                ],
            ),
        ],
        [
            _graph(
                of,
                "Duration (ms)",
                [
                    _metric(*processor, "Duration", label="processor, longest"),
                    _metric(*processor, "Duration", label="processor, median", stat="p50"),
                    _metric(*roll, "Duration", label="roll, longest"),
                ],
                stat="Maximum",
                limit=of.duration_limit_ms,
            ),
            _graph(
                of,
                "Rolls and what they found",
                [
                    _metric(*roll, "Invocations"),
                    _metric(*own_roll, "Due"),
                    _metric(*own_roll, "Rolled"),
                    _metric(*own_roll, "RollFailed"),
                ],
            ),
            _graph(
                of,
                "Oldest of what is due and of what is untold (s)",
                [_metric(*own_roll, "OldestDue"), _metric(*own_roll, "OldestUnsent")],
                stat="Maximum",
                limit=of.unsent_limit_seconds,
            ),
        ],
        _rollups(of),
    )


def _rollups(of: Subjects) -> list[_Widget]:
    own = _own(of, "rollup")
    widgets = [
        _graph(of, "Rollups, from their moment to their end (s)", [_metric(*own, "RollupSeconds")], stat="Maximum"),
        _graph(of, "Items that a rollup read", [_metric(*own, "RollupItems")], stat="Maximum"),
        _graph(
            of,
            "Rollups complete, and what they wrote",
            [
                _metric(*own, "RolledUp"),
                _metric(*own, "RollupWritten"),
                _metric(*own, "RollupFailed"),
            ],
        ),
    ]
    if of.rollup_steps:
        runs = ("AWS/States", {"StateMachineArn": of.rollup_state_machine})
        names = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
        widgets.append(_graph(of, "Rollups over many functions", [_metric(*runs, name) for name in names]))
    return widgets


def _sessions(of: Subjects) -> tuple[Any, ...]:
    own = _own(of, "rollup")
    shown = {
        "Sessions of all subjects, each counted once": ("Sessions7d", "Sessions30d", "FirstSessions30d"),
        "Ratings of tutors, 0 to 5": ("AvgRating",),
        "First sessions that succeed, 0 to 1": ("FirstSessionSuccessRate",),
    }
    return (
        "How do the sessions go?",
        "All subjects together, as the last rollup found them; `iops top subjects --by sessions_7d` has each.",
        [
            _graph(of, title, [_metric(*own, name) for name in names], stat="Maximum", period=900)
            for title, names in shown.items()
        ],
    )


def _right(of: Subjects) -> tuple[Any, ...]:
    own, mapping = _own(of, "processor"), ("AWS/Lambda", {"EventSourceMappingUUID": of.mapping})
    table = ("AWS/DynamoDB", {"TableName": of.table})
    tables = [table, *(("AWS/DynamoDB", {"TableName": of.table, "GlobalSecondaryIndexName": i}) for i in of.indexes)]
    return (
        "Is it right?",
        "Nothing may be lost. What is quarantined or given up waits in the quarantine bucket and can be redriven.",
        [
            _graph(of, "Quarantined records by reason", [_by(of, "reason", "Quarantined")], stacked=True),
            _graph(
                of,
                "Records not taken in at once",
                [
                    _metric(*own, "FailedRecords", label="to come again"),
                    _metric(*mapping, "OnFailureDestinationDeliveredEventCount", label="given up, in the quarantine"),
                    _metric(*mapping, "DroppedEventCount", label="lost"),
                ],
            ),
            _graph(
                of,
                "Delivered twice, late, in a race",
                [_metric(*own, "Duplicates"), _metric(*own, "Late"), _metric(*own, "Conflicts")],
            ),
        ],
        [
            _graph(
                of,
                "Function errors",
                [
                    _metric(*_function(of.processor), "Errors", label="processor"),
                    _metric(*_function(of.roll), "Errors", label="roll"),
                    _metric(*_function(of.rollup), "Errors", label="rollup"),
                    _metric(*_function(of.notifier), "Errors", label="notifier"),
                ],
            ),
            _graph(
                of,
                "Throttled by the table and its indexes",
                [
                    _metric(*each, name, label=f"{index} {name}")
                    for each, index in zip(tables, ["table", *of.indexes], strict=True)
                    for name in ("ReadThrottleEvents", "WriteThrottleEvents")
                ],
            ),
            _logs(
                of,
                "Latest warnings and errors",
                "filter level in ['WARNING', 'ERROR', 'CRITICAL'] or @message like /Task timed out|Runtime exited/"
                "\n| fields @timestamp, service, level, message, reason\n| sort @timestamp desc\n| limit 20",
            ),
        ],
    )


def _cost(of: Subjects) -> tuple[Any, ...]:
    hour = 3600
    index_units = [
        _metric(
            "AWS/DynamoDB",
            {"TableName": of.table, "GlobalSecondaryIndexName": index},
            "ConsumedWriteCapacityUnits",
            label=index,
        )
        for index in of.indexes
    ]
    table = ("AWS/DynamoDB", {"TableName": of.table})
    stream = ("AWS/Kinesis", {"StreamName": of.stream})
    functions = {"processor": of.processor, "roll": of.roll, "rollup": of.rollup}
    # Those of a rollup over many go by the names that they are given.
    steps = {f"step{number}": step for number, step in enumerate(of.rollup_steps)}
    computing = {**functions, **steps}
    memory_mb = {**dict.fromkeys(functions, of.memory_mb), **dict.fromkeys(["rollup", *steps], of.rollup_memory_mb)}
    label = {**{key: key for key in functions}, **steps}
    return (
        "What does it cost?",
        "Units an hour, as AWS bills them: multiply by your region's prices. Alarms and dashboard are a fixed sum.",
        [
            _graph(
                of,
                "Write units",
                [_metric(*table, "ConsumedWriteCapacityUnits", label="table"), *index_units],
                period=hour,
                stacked=True,
            ),
            _graph(
                of,
                "Read units",
                [_metric(*table, "ConsumedReadCapacityUnits", label="table")]
                + [
                    _metric(
                        "AWS/DynamoDB",
                        {"TableName": of.table, "GlobalSecondaryIndexName": index},
                        "ConsumedReadCapacityUnits",
                        label=index,
                    )
                    for index in of.indexes
                ],
                period=hour,
                stacked=True,
            ),
            _graph(
                of,
                "Lambda: GB-seconds, and requests",
                [
                    *(
                        _metric(*_function(f), "Duration", id=f"{key}_ms", visible=False)
                        for key, f in computing.items()
                    ),
                    *(
                        [{"expression": f"{key}_ms / 1000 * {memory_mb[key]} / 1024", "label": label[key], "id": key}]
                        for key in computing
                    ),
                    *(
                        _metric(
                            *_function(f),
                            "Invocations",
                            label=pulumi.Output.concat(label[key], " requests"),
                            yAxis="right",
                        )
                        for key, f in computing.items()
                    ),
                ],
                period=hour,
            ),
        ],
        [
            _graph(
                of,
                "Stream: bytes in and out, records in",
                [
                    _metric(*stream, "IncomingBytes"),
                    _metric(*stream, "GetRecords.Bytes"),
                    _metric(*stream, "IncomingRecords", yAxis="right"),
                ],
                period=hour,
            ),
            _graph(
                of,
                "Alerts put on the bus",
                [_metric(*_own(of, service), "AlertsSent", label=service) for service in functions],
                period=hour,
                stacked=True,
            ),
            _graph(
                of,
                "Log bytes",
                [
                    _metric("AWS/Logs", {"LogGroupName": _log_group(f)}, "IncomingBytes", label=key)
                    for key, f in {**functions, "notifier": of.notifier}.items()
                ],
                period=hour,
                stacked=True,
            ),
        ],
    )


def _alerts(of: Subjects) -> tuple[Any, ...]:
    rules = [rule_dimensions(of.bus, rule) for rule in of.rules]
    topics = [("AWS/SNS", {"TopicName": topic}) for topic in of.topics]
    queue = ("AWS/SQS", {"QueueName": of.queue})
    return (
        "What did it alert?",
        "An alert goes by a rule and the notifier to a topic; what could not be delivered is in the dead-letter queue.",
        [
            _graph(of, "Alerts by type", [_by(of, "alert_type", "AlertsSent")], stacked=True),
            _graph(
                of,
                "Taken by the notifier and published by the topics",
                [
                    _metric(*_function(of.notifier), "Invocations", label="notifier"),
                    *(_metric(*each, "NumberOfMessagesPublished") for each in topics),
                ],
            ),
            _graph(
                of,
                "Not delivered",
                [
                    *(_rule_metric(each, "FailedInvocations") for each in rules),
                    *(_rule_metric(each, "InvocationsFailedToBeSentToDlq") for each in rules),
                    _metric(*_function(of.notifier), "DeadLetterErrors"),
                    *(_metric(*each, "NumberOfNotificationsFailed") for each in topics),
                    _metric(*queue, "ApproximateNumberOfMessagesVisible", label="dead letters", stat="Maximum"),
                ],
            ),
        ],
    )


def rule_dimensions(bus: _Text, rule: _Text) -> pulumi.Output[dict[str, str]]:
    """Under which dimensions AWS/Events keeps a rule's metrics: on the default bus, the rule alone (EventBridge user
    guide, "EventBridge metrics")."""
    return pulumi.Output.all(bus, rule).apply(
        lambda names: {**({} if names[0] == "default" else {"EventBusName": names[0]}), "RuleName": names[1]}
    )


def _function(name: _Text) -> tuple[str, dict[str, _Text]]:
    return "AWS/Lambda", {"FunctionName": name}


def _own(of: Subjects, service: str) -> tuple[_Text, dict[str, _Text]]:
    return of.namespace, {"service": service}


def _log_group(function: _Text) -> pulumi.Output[str]:
    return pulumi.Output.concat("/aws/lambda/", function)


def _metric(namespace: _Text, dimensions: dict[str, _Text], name: str, **rendering: Any) -> list[Any]:
    flat = [part for dimension in dimensions.items() for part in dimension]
    return [namespace, name, *flat, *([rendering] if rendering else [])]


def _rule_metric(dimensions: pulumi.Output[dict[str, str]], name: str) -> pulumi.Output[list[Any]]:
    return dimensions.apply(lambda known: _metric("AWS/Events", {**known}, name))


def _by(of: Subjects, dimension: str, name: str) -> list[Any]:
    """A counter of the functions, a line for each value of its further dimension."""
    search = pulumi.Output.concat(
        "SEARCH('{\"", of.namespace, f"\",service,{dimension}}} MetricName=\"{name}\"', 'Sum', 300)"
    )
    return [{"expression": search, "id": "found", "label": f"${{PROP('Dim.service')}} ${{PROP('Dim.{dimension}')}}"}]


def _graph(
    of: Subjects,
    title: str,
    metrics: Sequence[pulumi.Input[list[Any]]],
    *,
    stat: str = "Sum",
    period: int = 300,
    stacked: bool = False,
    limit: int | None = None,
) -> _Widget:
    properties: dict[str, Any] = {
        "title": title,
        "region": of.region,
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


def _logs(of: Subjects, title: str, query: str) -> _Widget:
    sources = [
        pulumi.Output.concat("SOURCE '", _log_group(each), "' | ") for each in (of.processor, of.roll, of.rollup)
    ]
    text = pulumi.Output.concat(*sources, query)
    return {"type": "log", "properties": {"title": title, "region": of.region, "query": text, "view": "table"}}
