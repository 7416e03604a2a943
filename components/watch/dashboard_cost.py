"""The dashboard's section on cost: the units that AWS bills."""

from typing import Final

import pulumi

from components.watch.widgets import (
    Section,
    Watched,
    Widget,
    function_dimensions,
    graph,
    index_dimensions,
    log_group,
    metric,
    own_dimensions,
)

_HOUR: Final = 3600


def cost(watched: Watched) -> Section:
    """Return the section: what the table, the functions, the stream, the bus and the logs are billed for."""
    functions = {"processor": watched.processor, "roll": watched.roll, "rollup": watched.rollup}
    stream = ("AWS/Kinesis", {"StreamName": watched.stream})
    return (
        "What does it cost?",
        "Units an hour, as AWS bills them: multiply by your region's prices. Alarms and dashboard are a fixed sum.",
        [
            _units(watched, "Write units", "ConsumedWriteCapacityUnits"),
            _units(watched, "Read units", "ConsumedReadCapacityUnits"),
            _computing(watched),
        ],
        [
            graph(
                watched,
                "Stream: bytes in and out, records in",
                [
                    metric(*stream, "IncomingBytes"),
                    metric(*stream, "GetRecords.Bytes"),
                    metric(*stream, "IncomingRecords", yAxis="right"),
                ],
                period=_HOUR,
            ),
            graph(
                watched,
                "Alerts put on the bus",
                [metric(*own_dimensions(watched, service), "AlertsSent", label=service) for service in functions],
                period=_HOUR,
                stacked=True,
            ),
            graph(
                watched,
                "Log bytes",
                [
                    metric("AWS/Logs", {"LogGroupName": log_group(function)}, "IncomingBytes", label=name)
                    for name, function in {**functions, "notifier": watched.notifier}.items()
                ],
                period=_HOUR,
                stacked=True,
            ),
        ],
    )


def _units(watched: Watched, title: str, name: str) -> Widget:
    """Return a graph of the units that the table and each of its indexes consume."""
    table = metric("AWS/DynamoDB", {"TableName": watched.table}, name, label="table")
    indexes = [metric(*index_dimensions(watched, index), name, label=index) for index in watched.indexes]
    return graph(watched, title, [table, *indexes], period=_HOUR, stacked=True)


def _computing(watched: Watched) -> Widget:
    """Return a graph of the functions' GB-seconds, by an expression over durations, and of their requests."""
    functions = {"processor": watched.processor, "roll": watched.roll, "rollup": watched.rollup}
    # The steps of a rollup over many functions have the names that they are given.
    steps = {f"step{number}": step for number, step in enumerate(watched.rollup_steps)}
    computing = {**functions, **steps}
    memory_mb = {
        **dict.fromkeys(functions, watched.memory_mb),
        **dict.fromkeys(["rollup", *steps], watched.rollup_memory_mb),
    }
    label = {**{key: key for key in functions}, **steps}
    durations = [
        metric(*function_dimensions(function), "Duration", id=f"{key}_ms", visible=False)
        for key, function in computing.items()
    ]
    gb_seconds = [
        [{"expression": f"{key}_ms / 1000 * {memory_mb[key]} / 1024", "label": label[key], "id": key}]
        for key in computing
    ]
    requests = [
        metric(
            *function_dimensions(function),
            "Invocations",
            label=pulumi.Output.concat(label[key], " requests"),
            yAxis="right",
        )
        for key, function in computing.items()
    ]
    return graph(watched, "Lambda: GB-seconds, and requests", [*durations, *gb_seconds, *requests], period=_HOUR)
