"""The bus of alerts: a topic a severity, a dead-letter queue behind every target, further consumers in one call.

Alerts are raised and numbered by whoever puts them on the bus; nothing here changes one, and rules tell them apart by
severity, status and source alone.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import iam

SEVERITIES = ("critical", "warning", "info")
PROCESSOR_SOURCE = "iops-dashboard.processor"
AI_SOURCE = "iops-dashboard.ai"
SOURCES = (PROCESSOR_SOURCE, AI_SOURCE)


class AlertBusArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the names: bus `{name_prefix}-alerts`, topics and rules `{name_prefix}-alerts-{severity}`, dead-letter
    queue `{name_prefix}-alerts-dlq`."""
    critical_emails: NotRequired[list[str]]
    """Addresses subscribed to the topic of critical alerts. Default none."""
    warning_emails: NotRequired[list[str]]
    """Addresses subscribed to the topic of warnings. Default none."""
    info_emails: NotRequired[list[str]]
    """Addresses subscribed to the topic of informational alerts. Default none."""
    dlq_retention_days: NotRequired[int]
    """How long undelivered alerts are kept, 1 to 14 days. Default 14."""
    topic_key: NotRequired[bool]
    """Encrypt the topics with a customer managed key made for them. Default False: no key, since EventBridge can't
    publish to a topic under the AWS managed one."""
    protect: NotRequired[bool]
    """Protect and retain the key. Default False."""


class AlertBus(pulumi.ComponentResource):
    """The bus of alerts: iops:index:AlertBus.

    Children: `{name}-bus`; `{name}-dlq` with `-dlq-policy` and `-dlq-alarm`; with topic_key `{name}-key` and
    `{name}-key-alias`; for each severity `{name}-{severity}-topic`, `-rule`, `-policy`, `-target` and one
    `-email-{address}` an address.
    Arguments: see AlertBusArgs. Outputs: bus_arn, bus_name, critical_topic_arn, warning_topic_arn, info_topic_arn,
    dead_letter_queue_arn, dead_letter_queue_url.
    """

    bus_arn: pulumi.Output[str]
    bus_name: pulumi.Output[str]
    critical_topic_arn: pulumi.Output[str]
    warning_topic_arn: pulumi.Output[str]
    info_topic_arn: pulumi.Output[str]
    dead_letter_queue_arn: pulumi.Output[str]
    dead_letter_queue_url: pulumi.Output[str]

    def __init__(self, name: str, args: AlertBusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iops:index:AlertBus", name, dict(args), opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._prefix = pulumi.Output.concat(args["name_prefix"], "-alerts")
        bus = aws.cloudwatch.EventBus(f"{name}-bus", name=self._prefix, opts=self._child)
        self.bus_arn, self.bus_name = bus.arn, bus.name
        self._make_dead_letter_queue(args.get("dlq_retention_days", 14))
        key = self._make_key(args.get("protect", False)) if args.get("topic_key", False) else None
        emails = {
            "critical": args.get("critical_emails", []),
            "warning": args.get("warning_emails", []),
            "info": args.get("info_emails", []),
        }
        topics = {severity: self._make_topic(severity, key, emails[severity]) for severity in SEVERITIES}
        self.critical_topic_arn, self.warning_topic_arn, self.info_topic_arn = (topics[s].arn for s in SEVERITIES)
        self.register_outputs(
            {
                "bus_arn": self.bus_arn,
                "bus_name": self.bus_name,
                "critical_topic_arn": self.critical_topic_arn,
                "warning_topic_arn": self.warning_topic_arn,
                "info_topic_arn": self.info_topic_arn,
                "dead_letter_queue_arn": self.dead_letter_queue_arn,
                "dead_letter_queue_url": self.dead_letter_queue_url,
            }
        )

    def subscribe(
        self,
        name: str,
        target_arn: pulumi.Input[str],
        severities: Sequence[str],
        include_resolved: bool = False,
        exclude_source: str | None = AI_SOURCE,
        is_function: bool = True,
    ) -> aws.cloudwatch.EventRule:
        """Attach a further consumer: a rule `{name_prefix}-alerts-{name}`, its target with the dead-letter queue, and
        the permission to call it.

        Parameters
        ----------
        target_arn
            A Lambda function's ARN, or with `is_function=False` that of another target, such as a queue, whose own
            policy must let EventBridge send.
        severities
            Which of critical, warning and info it gets.
        include_resolved
            Whether it is told of the end of alerts too, not only of firing and reminders.
        exclude_source
            The source under which the consumer itself puts alerts on the bus, of which it gets none. None for a
            consumer that puts nothing there.

        Raises
        ------
        ValueError
            When a severity or the excluded source is unknown, or no severity is given.
        """
        if not severities or set(severities) - set(SEVERITIES):
            raise ValueError(
                f"{name}: severities are {list(severities)!r}: they must be one or more of {', '.join(SEVERITIES)}"
            )
        if exclude_source is not None and exclude_source not in SOURCES:
            raise ValueError(
                f"{name}: exclude_source is {exclude_source!r}: it must be None or one of {', '.join(SOURCES)}"
            )
        pattern = {
            "source": [source for source in SOURCES if source != exclude_source],
            "detail": {
                "severity": list(severities),
                "status": ["firing", "reminder", *(["resolved"] if include_resolved else [])],
            },
        }
        rule = self._make_rule(name, pattern)
        allowed = []
        if is_function:
            permission = aws.lambda_.Permission(
                f"{self._name}-{name}-permission",
                action="lambda:InvokeFunction",
                function=target_arn,
                principal="events.amazonaws.com",
                source_arn=rule.arn,
                opts=self._child,
            )
            allowed.append(permission)
        self._make_target(name, rule, target_arn, allowed)
        return rule

    def grant_publish(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let the role of this name put alerts on the bus."""
        return iam.grant(f"{self._name}-{name}-publish", role, publish_statements(self.bus_arn), self._child)

    def _make_dead_letter_queue(self, retention_days: int) -> None:
        name, queue_name = f"{self._name}-dlq", pulumi.Output.concat(self._prefix, "-dlq")
        queue = aws.sqs.Queue(
            name,
            name=queue_name,
            message_retention_seconds=retention_days * 86_400,
            sqs_managed_sse_enabled=True,
            opts=self._child,
        )
        self.dead_letter_queue_arn, self.dead_letter_queue_url = queue.arn, queue.url
        # A queue has one policy, so it names all of this bus's rules, those of later subscribers included.
        rules = pulumi.Output.concat(self.bus_arn.apply(lambda arn: arn.replace(":event-bus/", ":rule/")), "/*")
        send = iam.allow(
            ["sqs:SendMessage"],
            [queue.arn],
            service="events.amazonaws.com",
            condition={"ArnLike": {"aws:SourceArn": rules}},
        )
        self._queue_policy = aws.sqs.QueuePolicy(
            f"{name}-policy", queue_url=queue.url, policy=iam.document([send]), opts=self._child
        )
        aws.cloudwatch.MetricAlarm(
            f"{name}-alarm",
            name=queue_name,
            alarm_description="Alerts that could not be delivered are waiting in the dead-letter queue.",
            namespace="AWS/SQS",
            metric_name="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": queue.name},
            statistic="Maximum",
            period=60,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            treat_missing_data="notBreaching",
            opts=self._child,
        )

    def _make_key(self, protect: bool) -> aws.kms.Key:
        # The bus's own ARN tells partition, region and account, without a call.
        parts = self.bus_arn.apply(lambda arn: arn.split(":"))
        root = parts.apply(lambda p: f"arn:{p[1]}:iam::{p[4]}:root")
        topics = pulumi.Output.concat(parts.apply(lambda p: f"arn:{p[1]}:sns:{p[3]}:{p[4]}:"), self._prefix, "-*")
        owner = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
        # aws:SourceArn and aws:SourceAccount don't work here (SNS developer guide, key management: not supported for
        # EventBridge to encrypted topics); the encryption context, which SNS sets, does.
        publish = iam.allow(
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            ["*"],
            service="events.amazonaws.com",
            condition={"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": topics}},
        )
        key = aws.kms.Key(
            f"{self._name}-key",
            description=pulumi.Output.concat("Encrypts the topics ", self._prefix),
            enable_key_rotation=True,
            policy=iam.document([owner, publish]),
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect),
        )
        aws.kms.Alias(
            f"{self._name}-key-alias",
            name=pulumi.Output.concat("alias/", self._prefix),
            target_key_id=key.key_id,
            opts=self._child,
        )
        return key

    def _make_topic(self, severity: str, key: aws.kms.Key | None, emails: Sequence[str]) -> aws.sns.Topic:
        name = f"{self._name}-{severity}"
        topic = aws.sns.Topic(
            f"{name}-topic",
            name=pulumi.Output.concat(self._prefix, "-", severity),
            kms_master_key_id=key.arn if key else None,
            opts=self._child,
        )
        rule = self._make_rule(severity, {"source": list(SOURCES), "detail": {"severity": [severity]}})
        publish = iam.allow(
            ["sns:Publish"],
            [topic.arn],
            service="events.amazonaws.com",
            condition={"ArnEquals": {"aws:SourceArn": rule.arn}},
        )
        policy = aws.sns.TopicPolicy(f"{name}-policy", arn=topic.arn, policy=iam.document([publish]), opts=self._child)
        self._make_target(severity, rule, topic.arn, [policy])
        for address in emails:
            aws.sns.TopicSubscription(
                f"{name}-email-{address}",
                topic=topic.arn,
                protocol="email",
                endpoint=address,
                opts=self._child,
            )
        return topic

    def _make_rule(self, name: str, pattern: dict[str, Any]) -> aws.cloudwatch.EventRule:
        return aws.cloudwatch.EventRule(
            f"{self._name}-{name}-rule",
            name=pulumi.Output.concat(self._prefix, "-", name),
            event_bus_name=self.bus_name,
            event_pattern=pulumi.Output.json_dumps(pattern),
            opts=self._child,
        )

    def _make_target(
        self,
        name: str,
        rule: aws.cloudwatch.EventRule,
        target_arn: pulumi.Input[str],
        allowed: Sequence[pulumi.Resource],
    ) -> None:
        """The rule's target, made after what allows the delivery, so that the first alert already arrives."""
        aws.cloudwatch.EventTarget(
            f"{self._name}-{name}-target",
            rule=rule.name,
            event_bus_name=self.bus_name,
            target_id=name,
            arn=target_arn,
            dead_letter_config={"arn": self.dead_letter_queue_arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._queue_policy, *allowed]),
        )


def publish_statements(bus_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What putting alerts on the bus needs."""
    return [iam.allow(["events:PutEvents"], [bus_arn])]
