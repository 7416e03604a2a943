"""What operators are told of the system itself: a topic, the alarms that use it, and a dashboard.

Every alarm tells of its beginning and its end. Alerts about students and subjects are the bus's, not these.
"""

from typing import Final

import pulumi
import pulumi_aws as aws

from components import iam
from components.emails import subscribe
from components.plain import check_plain
from components.watch import dashboard
from components.watch.alarms import Alarm, all_alarms
from components.watch.arguments import ObservabilityArgs, check, duration_limit_ms, index_names, last_part
from components.watch.widgets import Watched

# AWS's three partitions have consoles of their own.
_CONSOLES: Final = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}


class Observability(pulumi.ComponentResource):
    """What operators are told: iops:index:Observability.

    Children: `{name}-topic` with `-topic-policy` and one `-email-...` an address; `{name}-{alarm}-alarm` for each
    alarm that docs/operations.md lists, and `{name}-dashboard`, unless they are switched off.
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
    """The dashboard; empty without one."""
    dashboard_url: pulumi.Output[str]
    """Where it is in the console; empty without one."""

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, ObservabilityArgs, args)
        super().__init__("iops:index:Observability", name, dict(args), opts)
        check(args)
        self._name, self._prefix = name, args["name_prefix"]
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic_arn = self._make_topic(args)
        self._alarms = [self._make_alarm(alarm) for alarm in all_alarms(args)] if args.get("alarms", True) else []
        if args.get("dashboard", True):
            self.dashboard_name, self.dashboard_url = self._make_dashboard(args)
        else:
            self.dashboard_name = self.dashboard_url = pulumi.Output.from_input("")
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
        subscribe(self._name, topic, args.get("emails", []), self._child)
        return topic.arn

    def _make_alarm(self, alarm: Alarm) -> aws.cloudwatch.MetricAlarm:
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{alarm.key}-alarm",
            name=pulumi.Output.concat(self._prefix, f"-{alarm.key}"),
            alarm_description=f"{alarm.description} What to do: docs/operations.md, {alarm.key}.",
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=alarm.at_least,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.of_them or alarm.periods,
            treat_missing_data=alarm.missing,
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
            **alarm.figure(),
        )

    def _make_dashboard(self, args: ObservabilityArgs) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        region = self.topic_arn.apply(lambda arn: arn.split(":")[3])
        body = dashboard.body(
            Watched(
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
                state_table=args["state_table_name"],
                indexes=index_names(args),
                bus=args["bus_name"],
                rules=args["rule_names"],
                topics=[last_part(arn) for arn in args["alert_topic_arns"]],
                queue=last_part(args["dead_letter_queue_arn"]),
                iterator_age_limit_ms=args.get("iterator_age_minutes", 10) * 60_000,
                duration_limit_ms=duration_limit_ms(args),
                unsent_limit_seconds=args.get("unsent_minutes", 15) * 60,
            )
        )
        made = aws.cloudwatch.Dashboard(
            f"{self._name}-dashboard", dashboard_name=self._prefix, dashboard_body=body, opts=self._child
        )
        url = pulumi.Output.all(self.topic_arn, made.dashboard_name).apply(lambda both: _console_url(*both))
        return made.dashboard_name, url


def _console_url(arn: str, dashboard_name: str) -> str:
    """Where a browser finds the dashboard, in the partition and region of a resource of this ARN."""
    _, partition, _, region, *_ = arn.split(":")
    host = _CONSOLES.get(partition, f"{region}.console.aws.amazon.com")
    return f"https://{host}/cloudwatch/home?region={region}#dashboards/dashboard/{dashboard_name}"
