"""What operators are told of the system itself: a topic, the alarms that use it, and a dashboard.

Every alarm tells of its beginning and its end, says in its description what it means and where to read on, and carries
the name under which docs/operations.md has it. Alerts about students and subjects are the bus's, not these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import dashboard, iam

# CloudWatch user guide, "Create an alarm based on a metric math expression": so many metrics at most.
_METRICS_AN_ALARM = 10
# What the functions call: DynamoDB counts SystemErrors by table and operation (developer guide, metrics, dimensions).
_OPERATIONS = ("BatchGetItem", "BatchExecuteStatement", "Query", "Scan")
# AWS's three partitions have consoles of their own.
_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
_MINUTE, _FIVE_MINUTES = 60, 300


class ObservabilityArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the names: topic `{name_prefix}-operations`, alarms `{name_prefix}-{alarm}`, dashboard `{name_prefix}`.
    It is also the namespace of the functions' own metrics."""
    stream_name: pulumi.Input[str]
    """The stream of events."""
    mapping_uuid: pulumi.Input[str]
    """The event source mapping that reads it, with its event counts enabled."""
    function_name: pulumi.Input[str]
    """The processor."""
    roll_function_name: pulumi.Input[str]
    """The roll."""
    rollup_function_name: pulumi.Input[str]
    """The rollup."""
    table_name: pulumi.Input[str]
    """The table of metrics."""
    bus_name: pulumi.Input[str]
    """The bus of alerts."""
    rule_names: list[pulumi.Input[str]]
    """Its rules, 1 to 9."""
    notifier_function_name: pulumi.Input[str]
    """The function by which alerts come to the topics."""
    alert_topic_arns: list[pulumi.Input[str]]
    """Those topics."""
    dead_letter_queue_arn: pulumi.Input[str]
    """The queue of what the rules or the notifier could not deliver."""
    index_names: NotRequired[list[str]]
    """The table's indexes, up to 4. Default all three of MetricsStore."""
    emails: NotRequired[list[str]]
    """Addresses subscribed to the topic. Default none."""
    topic_key_arn: NotRequired[pulumi.Input[str]]
    """A customer managed key for the topic, which lets CloudWatch use it; empty for none. Default none: CloudWatch
    can't publish to a topic under the AWS managed key."""
    memory_mb: NotRequired[int]
    """Memory of the processor and the roll. Default 1024."""
    timeout_seconds: NotRequired[int]
    """Timeout of the processor and the roll. Default 120."""
    roll_interval_minutes: NotRequired[int]
    """Minutes between two rolls. Default 5."""
    roll_enabled: NotRequired[bool]
    """Whether the roll's schedule runs; without it the roll has no alarms. Default True."""
    rollup_step_names: NotRequired[list[pulumi.Input[str]]]
    """The functions that a rollup over many has beside it. Default none."""
    rollup_state_machine_arn: NotRequired[pulumi.Input[str]]
    """What calls them; watched where there are such functions. Default none."""
    rollup_memory_mb: NotRequired[int]
    """Memory of the rollup and of those functions. Default 1024."""
    rollup_timeout_seconds: NotRequired[int]
    """Their timeout. Default 900."""
    rollup_interval_minutes: NotRequired[int]
    """Minutes between two rollups. Default 15."""
    rollup_enabled: NotRequired[bool]
    """Whether the rollup's schedule runs; without it the rollup has no alarms. Default True."""
    iterator_age_minutes: NotRequired[int]
    """How long records may wait to be taken in. Default 10."""
    function_errors: NotRequired[int]
    """Failed invocations of a function that are too many, in five minutes or, of the roll, an interval. Default 1."""
    function_throttles: NotRequired[int]
    """Refused invocations of a function that are too many in the same times. Default 10."""
    duration_percent: NotRequired[int]
    """Share of the timeout that is too long. Default 75."""
    quarantined_records: NotRequired[int]
    """Quarantined records that are too many in five minutes. Default 1."""
    table_failures: NotRequired[int]
    """Failed, and throttled, requests to the table that are too many in five minutes. Default 10."""
    roll_intervals: NotRequired[int]
    """How many roll intervals may pass without a roll, and how many may what is due be late. Default 3."""
    rollup_intervals: NotRequired[int]
    """How many rollup intervals may pass without a rollup that came to its end. Default 3."""
    unsent_minutes: NotRequired[int]
    """How long a notification may stay unsent. Default 15."""
    protect: NotRequired[bool]
    """Protect the topic with its confirmed subscriptions. Default False."""


@dataclass(frozen=True)
class _Metric:
    namespace: pulumi.Input[str]
    name: str
    dimensions: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    stat: str = "Sum"


class Observability(pulumi.ComponentResource):
    """What operators are told: iops:index:Observability.

    Children: `{name}-topic` with `-topic-policy` and one `-email-{address}` an address; `{name}-{alarm}-alarm` for each
    alarm that docs/operations.md lists; `{name}-dashboard`.
    It has the alarm of the dead-letter queue too, since an alarm of which nobody is told is none: a bus without an
    Observability has a queue and no alarm.
    Arguments: see ObservabilityArgs. Outputs: topic_arn, dashboard_name, dashboard_url.

    Raises
    ------
    ValueError
        When there are more rules or indexes than one alarm can watch, or no rule.
    """

    topic_arn: pulumi.Output[str]
    """The topic that operators subscribe to."""
    dashboard_name: pulumi.Output[str]
    """The dashboard."""
    dashboard_url: pulumi.Output[str]
    """Where it is in the console."""

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iops:index:Observability", name, dict(args), opts)
        self._name, self._prefix = name, args["name_prefix"]
        self._child = pulumi.ResourceOptions(parent=self)
        self._alarms: list[aws.cloudwatch.MetricAlarm] = []
        self._indexes = args.get("index_names", ["EntityTypeHealthIndex", "LastUpdatedIndex", "DueIndex"])
        # One metric is the notifier's.
        _check_number("rule_names", args["rule_names"], 1, _METRICS_AN_ALARM - 1)
        _check_number("index_names", self._indexes, 0, _METRICS_AN_ALARM // 2 - 1)
        self.topic_arn = self._make_topic(args)
        self._make_stream_alarms(args)
        self._make_outcome_alarms(args)
        if args.get("roll_enabled", True):
            self._make_roll_alarms(args)
        if args.get("rollup_enabled", True):
            self._make_rollup_alarms(args)
        self._make_delivery_alarms(args)
        self._make_table_alarms(args)
        self.dashboard_name, self.dashboard_url = self._make_dashboard(args)
        self.register_outputs(
            {
                "topic_arn": self.topic_arn,
                "dashboard_name": self.dashboard_name,
                "dashboard_url": self.dashboard_url,
            }
        )

    def _make_topic(self, args: ObservabilityArgs) -> pulumi.Output[str]:
        topic = aws.sns.Topic(
            f"{self._name}-topic",
            name=pulumi.Output.concat(self._prefix, "-operations"),
            kms_master_key_id=pulumi.Output.from_input(args.get("topic_key_arn", "")).apply(lambda arn: arn or None),
            opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect", False)),
        )
        # The topic's own ARN tells partition, region and account, without a call.
        account = topic.arn.apply(lambda arn: ":".join(["arn", arn.split(":")[1], "cloudwatch", *arn.split(":")[3:5]]))
        alarms = pulumi.Output.concat(account, ":alarm:", self._prefix, "-*")
        publish = iam.allow(
            ["sns:Publish"],
            [topic.arn],
            service="cloudwatch.amazonaws.com",
            condition={
                "StringEquals": {"aws:SourceAccount": iam.account(topic.arn)},
                "ArnLike": {"aws:SourceArn": alarms},
            },
        )
        others = iam.deny("OwnAlarmsOnly", ["sns:Publish"], [topic.arn], {"ArnNotLike": {"aws:SourceArn": alarms}})
        aws.sns.TopicPolicy(
            f"{self._name}-topic-policy",
            arn=topic.arn,
            policy=iam.document([publish, others, iam.tls_only(["sns:Publish"], [topic.arn])]),
            opts=self._child,
        )
        for address in args.get("emails", []):
            aws.sns.TopicSubscription(
                f"{self._name}-email-{address}",
                topic=topic.arn,
                protocol="email",
                endpoint=address,
                opts=self._child,
            )
        return topic.arn

    def _make_stream_alarms(self, args: ObservabilityArgs) -> None:
        """Is the stream read, and fast enough?"""
        function, minutes = args["function_name"], args.get("iterator_age_minutes", 10)
        # An iterator that nobody moves has no age, so only this alarm sees a mapping that stands still.
        self._alarm(
            "stream-unread",
            "For 15 minutes records have arrived on the stream and the processor has not been called. "
            "First see whether the event source mapping is enabled and what its last result was.",
            metrics={
                "arrived": _Metric("AWS/Kinesis", "IncomingRecords", {"StreamName": args["stream_name"]}),
                "called": _function_metric(function, "Invocations"),
            },
            expression="IF(FILL(arrived, 0) > 0 AND FILL(called, 0) < 1, 1, 0)",
            periods=3,
            missing="ignore",
        )
        # Without records there is no age.
        self._alarm(
            "iterator-age",
            f"Records have waited longer than {minutes} minutes to be taken in. "
            "First see on the dashboard whether the processor fails, is throttled, or is called and too slow.",
            metric=_function_metric(function, "IteratorAge", "Maximum"),
            at_least=minutes * 60_000,
            period=_MINUTE,
            periods=5,
            of_them=3,
        )
        self._make_function_alarms("processor", function, _FIVE_MINUTES, args)
        self._make_duration_alarm("processor", function, _FIVE_MINUTES, args)

    def _make_function_alarms(
        self, key: str, function: pulumi.Input[str], period: int, args: ObservabilityArgs
    ) -> None:
        """Does the function run and end whenever it is called?  A function that is not called has no data."""
        self._alarm(
            f"{key}-errors",
            f"The {key} raised, ran out of memory or ran out of time. First read its log of that time.",
            metric=_function_metric(function, "Errors"),
            at_least=args.get("function_errors", 1),
            period=period,
        )
        # Throttled invocations come again by themselves: what counts is that it goes on.
        self._alarm(
            f"{key}-throttles",
            f"Lambda refuses to run the {key} for want of concurrency. "
            "First compare the account's concurrent executions with its limit.",
            metric=_function_metric(function, "Throttles"),
            at_least=args.get("function_throttles", 10),
            period=period,
            periods=3,
            of_them=2,
        )

    def _make_duration_alarm(self, key: str, function: pulumi.Input[str], period: int, args: ObservabilityArgs) -> None:
        """Does it end in time?"""
        percent = args.get("duration_percent", 75)
        self._alarm(
            f"{key}-duration",
            f"Invocations of the {key} take {percent} % of their timeout or more, and so may leave work undone. "
            "First see whether the table throttles.",
            metric=_function_metric(function, "Duration", "Maximum"),
            at_least=_duration_limit_ms(args),
            period=period,
            periods=3,
            of_them=2,
        )

    def _make_outcome_alarms(self, args: ObservabilityArgs) -> None:
        """What became of the records: the counts are of events, not of objects in the bucket."""
        own = {"service": "processor"}
        mapping = {"EventSourceMappingUUID": args["mapping_uuid"]}
        # What is reported as failed once comes again at once: an outage is what lasts.
        self._alarm(
            "failed-records",
            "The processor keeps reporting records as failed, so they come again and hold up their shards. "
            "First read the reasons in its log.",
            metric=_Metric(self._prefix, "FailedRecords", own),
            periods=3,
            of_them=2,
        )
        self._alarm(
            "quarantined-records",
            "Records that the processor can't take wait in the quarantine bucket. "
            "First see on the dashboard for which reason.",
            metric=_Metric(self._prefix, "Quarantined", own),
            at_least=args.get("quarantined_records", 1),
        )
        self._alarm(
            "failed-batches",
            "The event source mapping gave up records and put their batches into the quarantine bucket, "
            "where they wait to be redriven. First see what failed before.",
            metric=_Metric("AWS/Lambda", "OnFailureDestinationDeliveredEventCount", mapping),
        )
        self._alarm(
            "lost-records",
            "The event source mapping gave up records and could not put them into the quarantine bucket. "
            "They are still on the stream: read them from there before its retention ends.",
            metric=_Metric("AWS/Lambda", "DroppedEventCount", mapping),
        )

    def _make_roll_alarms(self, args: ObservabilityArgs) -> None:
        """Does the roll keep up?  Its own figures keep their alarm's state while there is no roll to tell new ones."""
        function, own = args["roll_function_name"], {"service": "roll"}
        interval, intervals = args.get("roll_interval_minutes", 5), args.get("roll_intervals", 3)
        unsent, period = args.get("unsent_minutes", 15), interval * 60
        # FILL, because CloudWatch looks further back than it is told to before it calls data missing.
        self._alarm(
            "roll-missing",
            f"The roll has not run for {intervals * interval} minutes: counts do not fall and reminders are not sent. "
            "First see whether its schedule is enabled and may call it.",
            metrics={"rolls": _function_metric(function, "Invocations")},
            expression="IF(FILL(rolls, 0) < 1, 1, 0)",
            period=period,
            periods=intervals,
            missing="breaching",
        )
        self._make_function_alarms("roll", function, period, args)
        self._make_duration_alarm("roll", function, period, args)
        self._alarm(
            "roll-failures",
            "Items have failed in three rolls in a row, so it is not chance. "
            "First read in the roll's log which, and why.",
            metric=_Metric(self._prefix, "RollFailed", own, "Maximum"),
            period=period,
            periods=3,
            missing="ignore",
        )
        self._alarm(
            "overdue-items",
            f"The roll found items that were due more than {intervals * interval} minutes before. "
            "First see whether it ends in time and whether the same items fail again and again.",
            metric=_Metric(self._prefix, "OldestDue", own, "Maximum"),
            at_least=intervals * period,
            period=period,
            missing="ignore",
        )
        self._alarm(
            "unsent-alerts",
            f"Alerts have waited for more than {unsent} minutes to be put on the bus. "
            "First read in the roll's log what the bus answered.",
            metric=_Metric(self._prefix, "OldestUnsent", own, "Maximum"),
            at_least=unsent * 60,
            period=period,
            missing="ignore",
        )

    def _make_rollup_alarms(self, args: ObservabilityArgs) -> None:
        """Are the figures over all items new?  Whichever functions make them, one of them says that they are made."""
        function, percent = args["rollup_function_name"], args.get("duration_percent", 75)
        interval, intervals = args.get("rollup_interval_minutes", 15), args.get("rollup_intervals", 3)
        period = interval * 60
        self._alarm(
            "rollup-missing",
            f"No rollup has come to its end for {intervals * interval} minutes: the figures of subjects and of first "
            "sessions are as old. First see whether rollups fail, last too long, or are not called.",
            metrics={"complete": _Metric(self._prefix, "RolledUp", {"service": "rollup"})},
            expression="IF(FILL(complete, 0) < 1, 1, 0)",
            period=period,
            periods=intervals,
            missing="breaching",
        )
        self._alarm(
            "rollup-errors",
            "The rollup raised, ran out of memory or ran out of time. First read its log of that time.",
            metric=_function_metric(function, "Errors"),
            at_least=args.get("function_errors", 1),
            period=period,
        )
        self._alarm(
            "rollup-duration",
            f"Rollups take {percent} % of the rollup's timeout or more: the table outgrows one function. "
            "First see on the dashboard how the number of items has grown.",
            metric=_function_metric(function, "Duration", "Maximum"),
            at_least=args.get("rollup_timeout_seconds", 900) * percent * 10,
            period=period,
            periods=3,
            of_them=2,
        )
        if args.get("rollup_step_names"):
            machine = {"StateMachineArn": args.get("rollup_state_machine_arn", "")}
            self._alarm(
                "rollup-runs",
                "A rollup over many functions failed, was stopped or took hours. "
                "First see in its execution which step it was.",
                sum_of=[
                    _Metric("AWS/States", name, machine)
                    for name in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
                ],
                period=period,
            )

    def _make_delivery_alarms(self, args: ObservabilityArgs) -> None:
        """Do alerts arrive?  EventBridge tells of failures only when there are some."""
        rules = [dashboard.rule_dimensions(args["bus_name"], rule) for rule in args["rule_names"]]
        notifier = args["notifier_function_name"]
        self._make_function_alarms("notifier", notifier, _FIVE_MINUTES, args)
        self._alarm(
            "failed-deliveries",
            "Alerts could not be delivered by a rule's target; they should be in the dead-letter queue. "
            "First see on the dashboard which rule it is.",
            sum_of=[_Metric("AWS/Events", "FailedInvocations", rule) for rule in rules],
        )
        self._alarm(
            "lost-alerts",
            "Alerts could neither be delivered nor put into the dead-letter queue. "
            "First see whether the queue is there and its policy lets EventBridge and the notifier send.",
            sum_of=[
                *(_Metric("AWS/Events", "InvocationsFailedToBeSentToDlq", rule) for rule in rules),
                _function_metric(notifier, "DeadLetterErrors"),
            ],
        )
        # A queue with messages in it always has data.
        self._alarm(
            "dead-letters",
            "Alerts that could not be delivered are waiting in the dead-letter queue. "
            "First read the error in their attributes.",
            metric=_Metric(
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                {"QueueName": _last_part(args["dead_letter_queue_arn"])},
                "Maximum",
            ),
            period=_MINUTE,
        )

    def _make_table_alarms(self, args: ObservabilityArgs) -> None:
        """Does the table serve?  Single failures are retried, and are DynamoDB's daily life."""
        table, limit = {"TableName": args["table_name"]}, args.get("table_failures", 10)
        tables = [table, *({**table, "GlobalSecondaryIndexName": index} for index in self._indexes)]
        self._alarm(
            "table-errors",
            "DynamoDB fails to answer requests to the table. First look at the AWS Health Dashboard.",
            sum_of=[_Metric("AWS/DynamoDB", "SystemErrors", {**table, "Operation": each}) for each in _OPERATIONS],
            at_least=limit,
            periods=2,
        )
        # ThrottledRequests counts a batch only when all of it is throttled; the events count every item.
        self._alarm(
            "table-throttles",
            "DynamoDB throttles reads or writes of the table or an index. First see on the dashboard which of them.",
            sum_of=[
                _Metric("AWS/DynamoDB", name, each)
                for each in tables
                for name in ("ReadThrottleEvents", "WriteThrottleEvents")
            ],
            at_least=limit,
            periods=2,
        )

    def _make_dashboard(self, args: ObservabilityArgs) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        region = self.topic_arn.apply(lambda arn: arn.split(":")[3])
        body = dashboard.body(
            dashboard.Subjects(
                namespace=self._prefix,
                region=region,
                alarm_arns=[alarm.arn for alarm in self._alarms],
                stream=args["stream_name"],
                mapping=args["mapping_uuid"],
                processor=args["function_name"],
                roll=args["roll_function_name"],
                rollup=args["rollup_function_name"],
                rollup_steps=args.get("rollup_step_names", []),
                rollup_state_machine=args.get("rollup_state_machine_arn", ""),
                rollup_memory_mb=args.get("rollup_memory_mb", 1024),
                notifier=args["notifier_function_name"],
                memory_mb=args.get("memory_mb", 1024),
                table=args["table_name"],
                indexes=self._indexes,
                bus=args["bus_name"],
                rules=args["rule_names"],
                topics=[_last_part(arn) for arn in args["alert_topic_arns"]],
                queue=_last_part(args["dead_letter_queue_arn"]),
                iterator_age_limit_ms=args.get("iterator_age_minutes", 10) * 60_000,
                duration_limit_ms=_duration_limit_ms(args),
                unsent_limit_seconds=args.get("unsent_minutes", 15) * 60,
            )
        )
        made = aws.cloudwatch.Dashboard(
            f"{self._name}-dashboard", dashboard_name=self._prefix, dashboard_body=body, opts=self._child
        )
        url = pulumi.Output.all(self.topic_arn, made.dashboard_name).apply(lambda both: _console_url(*both))
        return made.dashboard_name, url

    def _alarm(
        self,
        key: str,
        description: str,
        *,
        metric: _Metric | None = None,
        sum_of: Sequence[_Metric] = (),
        metrics: Mapping[str, _Metric] | None = None,
        expression: str = "",
        at_least: int = 1,
        period: int = _FIVE_MINUTES,
        periods: int = 1,
        of_them: int | None = None,
        missing: str = "notBreaching",
    ) -> None:
        """An alarm that rings when a figure is `at_least` so much in `of_them` (default: all) of `periods` periods.

        The figure is one metric, the sum of several, or an expression over named ones.
        """
        if sum_of:
            metrics = {f"m{number}": each for number, each in enumerate(sum_of)}
            expression = " + ".join(f"FILL({each}, 0)" for each in metrics)
        figure: dict[str, Any]
        if metric is not None:
            figure = {
                "namespace": metric.namespace,
                "metric_name": metric.name,
                "dimensions": metric.dimensions,
                "statistic": metric.stat,
                "period": period,
            }
        else:
            figure = {"metric_queries": _queries(metrics or {}, expression, key, period)}
        alarm = aws.cloudwatch.MetricAlarm(
            f"{self._name}-{key}-alarm",
            name=pulumi.Output.concat(self._prefix, f"-{key}"),
            alarm_description=f"{description} What to do: docs/operations.md, {key}.",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=at_least,
            evaluation_periods=periods,
            datapoints_to_alarm=of_them or periods,
            treat_missing_data=missing,
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
            **figure,
        )
        self._alarms.append(alarm)


def _check_number(name: str, values: Sequence[object], low: int, high: int) -> None:
    if not low <= len(values) <= high:
        raise ValueError(
            f"{name} has {len(values)} names: it must have {low} to {high}, since one alarm watches them all"
        )


def _function_metric(function: pulumi.Input[str], name: str, stat: str = "Sum") -> _Metric:
    return _Metric("AWS/Lambda", name, {"FunctionName": function}, stat)


def _duration_limit_ms(args: ObservabilityArgs) -> int:
    return args.get("timeout_seconds", 120) * args.get("duration_percent", 75) * 10


def _queries(metrics: Mapping[str, _Metric], expression: str, label: str, period: int) -> list[dict[str, Any]]:
    queries: list[dict[str, Any]] = [
        {
            "id": id_,
            "metric": {
                "namespace": each.namespace,
                "metric_name": each.name,
                "dimensions": each.dimensions,
                "stat": each.stat,
                "period": period,
            },
        }
        for id_, each in metrics.items()
    ]
    return [*queries, {"id": "figure", "expression": expression, "label": label, "return_data": True}]


def _last_part(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The name at the end of a topic's or queue's ARN, by which their metrics go."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.rpartition(":")[2])


def _console_url(arn: str, dashboard_name: str) -> str:
    """Where a browser finds the dashboard, in the partition and region of a resource of this ARN."""
    _, partition, _, region, *_ = arn.split(":")
    host = _CONSOLES.get(partition, f"{region}.console.aws.amazon.com")
    return f"https://{host}/cloudwatch/home?region={region}#dashboards/dashboard/{dashboard_name}"
