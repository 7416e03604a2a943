"""The dashboard's body: from top to bottom, is it keeping up, is it right, what does it cost, what did it alert.

It only lays out metrics that others emit (CloudWatch API reference, "Dashboard Body Structure and Syntax"); which
figure is alarming is decided by the alarms, not here.
"""

from collections.abc import Sequence

import pulumi

from components.watch.dashboard_cost import cost
from components.watch.widgets import (
    Section,
    Watched,
    Widget,
    by,
    function_dimensions,
    graph,
    index_dimensions,
    logs,
    metric,
    own_dimensions,
    rule_dimensions,
    rule_metric,
)

COLUMNS = 24


def body(watched: Watched) -> pulumi.Output[str]:
    """The body as JSON: each section is a row with its question, followed by rows of widgets of equal width."""
    sections = [make(watched) for make in (_keeping_up, _right, cost, _sessions, _alerts)]
    alarms = {"type": "alarm", "properties": {"title": "Alarms", "alarms": list(watched.alarm_arns)}}
    rows: list[tuple[int, Sequence[Widget]]] = [(4, [alarms])] if watched.alarm_arns else []
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


def _keeping_up(watched: Watched) -> Section:
    return (
        "Is it keeping up?",
        "Records should be taken in within seconds, and every roll should find nothing that was due long ago.",
        _records(watched),
        _rolls(watched),
        _rollups(watched),
    )


def _records(watched: Watched) -> list[Widget]:
    stream = ("AWS/Kinesis", {"StreamName": watched.stream})
    processor, roll = function_dimensions(watched.processor), function_dimensions(watched.roll)
    own = own_dimensions(watched, "processor")
    return [
        graph(
            watched,
            "Age of the records taken in (ms)",
            [metric(*processor, "IteratorAge"), metric(*own, "BatchLag")],
            stat="Maximum",
            limit=watched.iterator_age_limit_ms,
        ),
        graph(
            watched,
            "Records arriving and taken in",
            [metric(*stream, "IncomingRecords"), metric(*own, "Records")],
        ),
        graph(
            watched,
            "Refused for want of throughput",
            [
                metric(*stream, "WriteProvisionedThroughputExceeded"),
                metric(*stream, "ReadProvisionedThroughputExceeded"),
                metric(*processor, "Throttles", label="processor Throttles"),
                metric(*roll, "Throttles", label="roll Throttles"),
                metric(*function_dimensions(watched.notifier), "Throttles", label="notifier Throttles"),
            ],
        ),
    ]


def _rolls(watched: Watched) -> list[Widget]:
    processor, roll = function_dimensions(watched.processor), function_dimensions(watched.roll)
    own_roll = own_dimensions(watched, "roll")
    return [
        graph(
            watched,
            "Duration (ms)",
            [
                metric(*processor, "Duration", label="processor, longest"),
                metric(*processor, "Duration", label="processor, median", stat="p50"),
                metric(*roll, "Duration", label="roll, longest"),
            ],
            stat="Maximum",
            limit=watched.duration_limit_ms,
        ),
        graph(
            watched,
            "Rolls and what they found",
            [
                metric(*roll, "Invocations"),
                metric(*own_roll, "Due"),
                metric(*own_roll, "Rolled"),
                metric(*own_roll, "RollFailed"),
                metric(*own_roll, "PutOff"),
            ],
        ),
        graph(
            watched,
            "Oldest of what is due and of what is untold (s)",
            [metric(*own_roll, "OldestWake"), metric(*own_roll, "OldestUnsent")],
            stat="Maximum",
            limit=watched.unsent_limit_seconds,
        ),
    ]


def _rollups(watched: Watched) -> list[Widget]:
    own = own_dimensions(watched, "rollup")
    widgets = [
        graph(watched, "Rollups, from their moment to their end (s)", [metric(*own, "RollupSeconds")], stat="Maximum"),
        graph(watched, "Items that a rollup read", [metric(*own, "RollupItems")], stat="Maximum"),
        graph(
            watched,
            "Rollups complete, and what they wrote",
            [
                metric(*own, "RolledUp"),
                metric(*own, "RollupWritten"),
                metric(*own, "RollupFailed"),
            ],
        ),
    ]
    if watched.rollup_steps:
        runs = ("AWS/States", {"StateMachineArn": watched.rollup_state_machine})
        names = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
        widgets.append(graph(watched, "Rollups over many functions", [metric(*runs, name) for name in names]))
    return widgets


def _sessions(watched: Watched) -> Section:
    own = own_dimensions(watched, "rollup")
    shown = {
        "Sessions of all subjects, each counted once": ("Sessions7d", "Sessions30d", "FirstSessions30d"),
        "Ratings of tutors, 0 to 5": ("AvgRating",),
        "First sessions that succeed, 0 to 1": ("FirstSessionSuccessRate",),
    }
    return (
        "How do the sessions go?",
        "All subjects together, as the last rollup found them; `iops top subjects --by sessions_7d` has each.",
        [
            graph(watched, title, [metric(*own, name) for name in names], stat="Maximum", period=900)
            for title, names in shown.items()
        ],
    )


def _right(watched: Watched) -> Section:
    own, mapping = own_dimensions(watched, "processor"), ("AWS/Lambda", {"EventSourceMappingUUID": watched.mapping})
    table = ("AWS/DynamoDB", {"TableName": watched.table})
    state_table = ("AWS/DynamoDB", {"TableName": watched.state_table})
    tables = [table, state_table, *(index_dimensions(watched, index) for index in watched.indexes)]
    return (
        "Is it right?",
        "Nothing may be lost. What is quarantined or given up waits in the quarantine bucket and can be redriven.",
        [
            graph(watched, "Quarantined records by reason", [by(watched, "reason", "Quarantined")], stacked=True),
            graph(
                watched,
                "Records not taken in at once",
                [
                    metric(*own, "FailedRecords", label="to come again"),
                    metric(*mapping, "OnFailureDestinationDeliveredEventCount", label="given up, in the quarantine"),
                    metric(*mapping, "DroppedEventCount", label="lost"),
                ],
            ),
            graph(
                watched,
                "Delivered twice, late, in a race",
                [
                    metric(*own, "Duplicates"),
                    metric(*own, "Late"),
                    metric(*own, "Conflicts"),
                    metric(*own, "TransactionsCancelled"),
                ],
            ),
        ],
        [
            graph(
                watched,
                "Function errors",
                [
                    metric(*function_dimensions(watched.processor), "Errors", label="processor"),
                    metric(*function_dimensions(watched.roll), "Errors", label="roll"),
                    metric(*function_dimensions(watched.rollup), "Errors", label="rollup"),
                    metric(*function_dimensions(watched.notifier), "Errors", label="notifier"),
                ],
            ),
            graph(
                watched,
                "Throttled by the tables and indexes",
                [
                    metric(*each, name, label=f"{index} {name}")
                    for each, index in zip(tables, ["table", "state", *watched.indexes], strict=True)
                    for name in ("ReadThrottleEvents", "WriteThrottleEvents")
                ],
            ),
            logs(
                watched,
                "Latest warnings and errors",
                "filter level in ['WARNING', 'ERROR', 'CRITICAL'] or @message like /Task timed out|Runtime exited/"
                "\n| fields @timestamp, service, level, message, reason\n| sort @timestamp desc\n| limit 20",
            ),
        ],
    )


def _alerts(watched: Watched) -> Section:
    rules = [rule_dimensions(watched.bus, rule) for rule in watched.rules]
    topics = [("AWS/SNS", {"TopicName": topic}) for topic in watched.topics]
    queue = ("AWS/SQS", {"QueueName": watched.queue})
    return (
        "What did it alert?",
        "An alert goes by a rule and the notifier to a topic; what could not be delivered is in the dead-letter queue.",
        [
            graph(watched, "Alerts by type", [by(watched, "alert_type", "AlertsSent")], stacked=True),
            graph(
                watched,
                "Taken by the notifier and published by the topics",
                [
                    metric(*function_dimensions(watched.notifier), "Invocations", label="notifier"),
                    *(metric(*each, "NumberOfMessagesPublished") for each in topics),
                ],
            ),
            graph(
                watched,
                "Not delivered",
                [
                    *(rule_metric(each, "FailedInvocations") for each in rules),
                    *(rule_metric(each, "InvocationsFailedToBeSentToDlq") for each in rules),
                    metric(*function_dimensions(watched.notifier), "DeadLetterErrors"),
                    *(metric(*each, "NumberOfNotificationsFailed") for each in topics),
                    metric(*queue, "ApproximateNumberOfMessagesVisible", label="dead letters", stat="Maximum"),
                ],
            ),
        ],
    )
