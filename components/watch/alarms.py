"""The operators' alarms as data: what each watches, when it rings, what it says.

Every alarm says in its description what it means and where to read on, and has the name under which docs/operations.md
describes it. `all_alarms` lists them; nothing is created here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from components.watch.arguments import ObservabilityArgs, duration_limit_ms, index_names, last_part
from components.watch.widgets import rule_dimensions

# What the functions call: DynamoDB counts SystemErrors by table and operation (developer guide, metrics, dimensions).
_OPERATIONS: Final = ("BatchGetItem", "BatchExecuteStatement", "Scan", "TransactWriteItems")
_STATE_OPERATIONS: Final = ("BatchGetItem", "BatchWriteItem", "Query")
# What has not run yet looks like what no longer runs: no expression tells the two apart.
_ONCE_WHEN_NEW: Final = "On a new stack it rings once, and ends by itself with the first run."
# The roll looks at what failed again in the next roll, and then in every second, fourth and eighth: three of twelve see
# one entity that always fails.
_ROLLS: Final = 12
_FAILED_ROLLS: Final = 3
_MINUTE: Final = 60
_FIVE_MINUTES: Final = 300


@dataclass(frozen=True)
class Metric:
    """A CloudWatch metric and its statistic."""

    namespace: pulumi.Input[str]
    name: str
    dimensions: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    stat: str = "Sum"


@dataclass(frozen=True)
class Alarm:
    """One alarm. It rings when its figure is `at_least` so much in `of_them` (default: all) of `periods` periods.

    The figure is one metric, the sum of several, or an expression over named ones.
    """

    key: str
    """Its name behind the prefix, and its section in docs/operations.md."""
    description: str
    metric: Metric | None = None
    sum_of: Sequence[Metric] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    expression: str = ""
    at_least: int = 1
    period: int = _FIVE_MINUTES
    """Seconds."""
    periods: int = 1
    of_them: int | None = None
    missing: str = "notBreaching"
    """What missing data means (CloudWatch API, `TreatMissingData`)."""

    def figure(self) -> dict[str, Any]:
        """Return the arguments of MetricAlarm that say what it watches."""
        if self.metric is not None:
            return {
                "namespace": self.metric.namespace,
                "metric_name": self.metric.name,
                "dimensions": self.metric.dimensions,
                "statistic": self.metric.stat,
                "period": self.period,
            }
        metrics, expression = self.metrics, self.expression
        if self.sum_of:
            metrics = {f"m{number}": metric for number, metric in enumerate(self.sum_of)}
            expression = " + ".join(f"FILL({id_}, 0)" for id_ in metrics)
        queries: list[dict[str, Any]] = [
            {
                "id": id_,
                "metric": {
                    "namespace": metric.namespace,
                    "metric_name": metric.name,
                    "dimensions": metric.dimensions,
                    "stat": metric.stat,
                    "period": self.period,
                },
            }
            for id_, metric in metrics.items()
        ]
        queries.append({"id": "figure", "expression": expression, "label": self.key, "return_data": True})
        return {"metric_queries": queries}


def function_metric(function: pulumi.Input[str], name: str, stat: str = "Sum") -> Metric:
    """Return a metric that Lambda keeps of a function."""
    return Metric("AWS/Lambda", name, {"FunctionName": function}, stat)


def all_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield every alarm of a stack. A rollup whose schedule does not run has none."""
    yield from stream_alarms(args)
    yield from outcome_alarms(args)
    yield from roll_alarms(args)
    if args.get("rollup_enabled", True):
        yield from rollup_alarms(args)
    yield from delivery_alarms(args)
    yield from table_alarms(args)


def stream_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on reading the stream: is it read, and fast enough?"""
    function, minutes = args["function_name"], args.get("iterator_age_minutes", 10)
    # An iterator that nobody moves has no age, so only this alarm sees a mapping that stands still.
    yield Alarm(
        "stream-unread",
        "For 15 minutes records have arrived on the stream and the processor has not been called. "
        "First see whether the event source mapping is enabled and what its last result was.",
        metrics={
            "arrived": Metric("AWS/Kinesis", "IncomingRecords", {"StreamName": args["stream_name"]}),
            "called": function_metric(function, "Invocations"),
        },
        expression="IF(FILL(arrived, 0) > 0 AND FILL(called, 0) < 1, 1, 0)",
        periods=3,
        missing="ignore",
    )
    # Without records there is no age.
    yield Alarm(
        "iterator-age",
        f"Records have waited longer than {minutes} minutes to be taken in. "
        "First see on the dashboard whether the processor fails, is throttled, or is called and too slow.",
        metric=function_metric(function, "IteratorAge", "Maximum"),
        at_least=minutes * 60_000,
        period=_MINUTE,
        periods=5,
        of_them=3,
    )
    yield from _function_alarms("processor", function, _FIVE_MINUTES, args)
    yield from _duration_alarm("processor", function, _FIVE_MINUTES, args)


def _function_alarms(key: str, function: pulumi.Input[str], period: int, args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on a function's errors and throttles. A function that is not called has no data."""
    yield Alarm(
        f"{key}-errors",
        f"The {key} raised, ran out of memory or ran out of time. First read its log of that time.",
        metric=function_metric(function, "Errors"),
        at_least=args.get("function_errors", 1),
        period=period,
    )
    # Throttled invocations come again by themselves: what counts is that it goes on.
    yield Alarm(
        f"{key}-throttles",
        f"Lambda refuses to run the {key} for want of concurrency. "
        "First compare the account's concurrent executions with its limit.",
        metric=function_metric(function, "Throttles"),
        at_least=args.get("function_throttles", 10),
        period=period,
        periods=3,
        of_them=2,
    )


def _duration_alarm(key: str, function: pulumi.Input[str], period: int, args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarm on a function's duration."""
    percent = args.get("duration_percent", 75)
    yield Alarm(
        f"{key}-duration",
        f"Invocations of the {key} take {percent} % of their timeout or more, and so may leave work undone. "
        "First see whether the table throttles.",
        metric=function_metric(function, "Duration", "Maximum"),
        at_least=duration_limit_ms(args),
        period=period,
        periods=3,
        of_them=2,
    )


def outcome_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on what became of the records. They count events, not objects in the bucket."""
    own = {"service": "processor"}
    mapping = {"EventSourceMappingUUID": args["mapping_uuid"]}
    # What is reported as failed once comes again at once: an outage is what lasts.
    yield Alarm(
        "failed-records",
        "The processor keeps reporting records as failed, so they come again and hold up their shards. "
        "First read the reasons in its log.",
        metric=Metric(args["name_prefix"], "FailedRecords", own),
        periods=3,
        of_them=2,
    )
    yield Alarm(
        "quarantined-records",
        "Records that the processor can't take wait in the quarantine bucket. "
        "First see on the dashboard for which reason.",
        metric=Metric(args["name_prefix"], "Quarantined", own),
        at_least=args.get("quarantined_records", 1),
    )
    yield Alarm(
        "failed-batches",
        "The event source mapping gave up records and put their batches into the quarantine bucket, "
        "where they wait to be redriven. First see what failed before.",
        metric=Metric("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", mapping),
    )
    yield Alarm(
        "lost-records",
        "The event source mapping gave up records and could not put them into the quarantine bucket. "
        "They are still on the stream: read them from there before its retention ends.",
        metric=Metric("AWS/Lambda", "DroppedEventCount", mapping),
    )


def roll_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on the roll. It sends only what is not zero, so missing data is zero."""
    function, own = args["roll_function_name"], {"service": "roll"}
    interval, intervals = args.get("roll_interval_minutes", 5), args.get("roll_intervals", 3)
    unsent, period = args.get("unsent_minutes", 15), interval * 60
    # FILL, because CloudWatch looks further back than it is told to before it calls data missing.
    yield Alarm(
        "roll-missing",
        f"The roll has not run for {intervals * interval} minutes: counts do not fall and reminders are not sent. "
        f"First see whether its schedule is enabled and may call it. {_ONCE_WHEN_NEW}",
        metrics={"rolls": function_metric(function, "Invocations")},
        expression="IF(FILL(rolls, 0) < 1, 1, 0)",
        period=period,
        periods=intervals,
        missing="breaching",
    )
    yield from _function_alarms("roll", function, period, args)
    yield from _duration_alarm("roll", function, period, args)
    yield Alarm(
        "roll-failures",
        "Entities have failed in three of twelve rolls, so it is not chance. "
        "First read in the roll's log which, and why.",
        metric=Metric(args["name_prefix"], "RollFailed", own, "Maximum"),
        period=period,
        periods=_ROLLS,
        of_them=_FAILED_ROLLS,
    )
    yield Alarm(
        "overdue-wakes",
        f"The roll found wakes that were due more than {intervals * interval} minutes before. "
        "First see whether it ends in time.",
        metric=Metric(args["name_prefix"], "OldestWake", own, "Maximum"),
        at_least=intervals * period,
        period=period,
    )
    yield Alarm(
        "wakes-put-off",
        "Three of twelve rolls could not finish with some entities, and look at them again later. "
        "First read in the roll's log what failed, and see whether the bus takes alerts.",
        metric=Metric(args["name_prefix"], "PutOff", own, "Maximum"),
        period=period,
        periods=_ROLLS,
        of_them=_FAILED_ROLLS,
    )
    yield Alarm(
        "unsent-alerts",
        f"Alerts have waited for more than {unsent} minutes to be put on the bus. "
        "First read in the roll's log what the bus answered.",
        metric=Metric(args["name_prefix"], "OldestUnsent", own, "Maximum"),
        at_least=unsent * 60,
        period=period,
        # An entity that is put off is looked at once in an hour and one interval, at the least.
        periods=60 // interval + 1,
        of_them=1,
    )


def rollup_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on the rollup. Whichever functions take part, one of them counts the complete rollups."""
    function, percent = args["rollup_function_name"], args.get("duration_percent", 75)
    interval, intervals = args.get("rollup_interval_minutes", 15), args.get("rollup_intervals", 3)
    period = interval * 60
    yield Alarm(
        "rollup-missing",
        f"No rollup has come to its end for {intervals * interval} minutes: the figures of subjects and of first "
        f"sessions are as old. First see whether rollups fail, last too long, or are not called. {_ONCE_WHEN_NEW}",
        metrics={"complete": Metric(args["name_prefix"], "RolledUp", {"service": "rollup"})},
        expression="IF(FILL(complete, 0) < 1, 1, 0)",
        period=period,
        periods=intervals,
        missing="breaching",
    )
    yield Alarm(
        "rollup-errors",
        "The rollup raised, ran out of memory or ran out of time. First read its log of that time.",
        metric=function_metric(function, "Errors"),
        at_least=args.get("function_errors", 1),
        period=period,
    )
    yield Alarm(
        "rollup-duration",
        f"Rollups take {percent} % of the rollup's timeout or more: the table outgrows one function. "
        "First see on the dashboard how the number of items has grown.",
        metric=function_metric(function, "Duration", "Maximum"),
        at_least=args.get("rollup_timeout_seconds", 900) * percent * 10,
        period=period,
        periods=3,
        of_them=2,
    )
    if args.get("rollup_step_names"):
        machine = {"StateMachineArn": args.get("rollup_state_machine_arn", "")}
        yield Alarm(
            "rollup-runs",
            "A rollup over many functions failed, was stopped or took hours. "
            "First see in its execution which step it was.",
            sum_of=[
                Metric("AWS/States", name, machine)
                for name in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
            ],
            period=period,
        )


def delivery_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on delivery. EventBridge sends its metrics of failures only when there are some."""
    rules = [rule_dimensions(args["bus_name"], rule) for rule in args["rule_names"]]
    notifier = args["notifier_function_name"]
    yield from _function_alarms("notifier", notifier, _FIVE_MINUTES, args)
    yield Alarm(
        "failed-deliveries",
        "Alerts could not be delivered by a rule's target; they should be in the dead-letter queue. "
        "First see on the dashboard which rule it is.",
        sum_of=[Metric("AWS/Events", "FailedInvocations", rule) for rule in rules],
    )
    yield Alarm(
        "lost-alerts",
        "Alerts could neither be delivered nor put into the dead-letter queue. "
        "First see whether the queue is there and its policy lets EventBridge and the notifier send.",
        sum_of=[
            *(Metric("AWS/Events", "InvocationsFailedToBeSentToDlq", rule) for rule in rules),
            function_metric(notifier, "DeadLetterErrors"),
        ],
    )
    # A queue with messages in it always has data.
    yield Alarm(
        "dead-letters",
        "Alerts that could not be delivered are waiting in the dead-letter queue. "
        "First read the error in their attributes.",
        metric=Metric(
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": last_part(args["dead_letter_queue_arn"])},
            "Maximum",
        ),
        period=_MINUTE,
    )


def table_alarms(args: ObservabilityArgs) -> Iterator[Alarm]:
    """Yield the alarms on the tables. Single failures are normal for DynamoDB, and are retried."""
    table, limit = {"TableName": args["table_name"]}, args.get("table_failures", 10)
    state_table = {"TableName": args["state_table_name"]}
    indexes = [{**table, "GlobalSecondaryIndexName": index} for index in index_names(args)]
    yield Alarm(
        "table-errors",
        "DynamoDB fails to answer requests to the tables. First look at the AWS Health Dashboard.",
        sum_of=[
            Metric("AWS/DynamoDB", "SystemErrors", {**dimensions, "Operation": operation})
            for dimensions, operations in ((table, _OPERATIONS), (state_table, _STATE_OPERATIONS))
            for operation in operations
        ],
        at_least=limit,
        periods=2,
    )
    # ThrottledRequests counts a batch only when all of it is throttled; the events count every item.
    yield Alarm(
        "table-throttles",
        "DynamoDB throttles reads or writes of a table or an index. First see on the dashboard which of them.",
        sum_of=[
            Metric("AWS/DynamoDB", name, dimensions)
            for dimensions in (table, state_table, *indexes)
            for name in ("ReadThrottleEvents", "WriteThrottleEvents")
        ],
        at_least=limit,
        periods=2,
    )
    yield Alarm(
        "transactions-cancelled",
        "DynamoDB cancels transactions that move facts to tails again and again. "
        "First read in the processor's log for which reason.",
        metric=Metric(args["name_prefix"], "TransactionsCancelled", {"service": "processor"}),
        at_least=limit,
        periods=2,
    )
