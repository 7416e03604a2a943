"""The bus of alerts, created or already there: a topic a severity, a function that writes for them what people read, a
dead-letter queue behind every target, further consumers in one call.

Alerts are raised and numbered by whoever puts them on the bus; nothing here changes one, and rules tell them apart by
severity, status and source alone.
"""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import iam, notifier
from components.emails import subscribe
from components.functions import Function, without_archives
from components.plain import check_plain

SEVERITIES = ("critical", "warning", "info")
PROCESSOR_SOURCE = "iops-dashboard.processor"
AI_SOURCE = "iops-dashboard.ai"
SOURCES = (PROCESSOR_SOURCE, AI_SOURCE)


class AlertBusArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the names: bus `{name_prefix}-alerts`, topics and rules `{name_prefix}-alerts-{severity}`, dead-letter
    queue `{name_prefix}-alerts-dlq`, function `{name_prefix}-notifier`."""
    code: NotRequired[pulumi.Archive]
    """The notifier's code, with functions/notifier/handler.py. Default: the one that lies beside the components."""
    existing_bus_arn: NotRequired[str]
    """ARN of a bus to use instead of creating one, in the stack's own account and region; its policy stays as it is.
    Default: create it."""
    critical_emails: NotRequired[list[str]]
    """Addresses subscribed to the topic of critical alerts. Default none."""
    warning_emails: NotRequired[list[str]]
    """Addresses subscribed to the topic of warnings. Default none."""
    info_emails: NotRequired[list[str]]
    """Addresses subscribed to the topic of informational alerts. Default none."""
    dlq_retention_days: NotRequired[int]
    """How long undelivered alerts are kept, 1 to 14 days. Default 14."""
    topic_key: NotRequired[bool]
    """Encrypt the topics with a customer managed key made for them. Default False: no key, since CloudWatch, whose
    alarms may share it, can't publish to a topic under the AWS managed one."""
    architecture: NotRequired[pulumi.Input[str]]
    """The notifier's: x86_64 or arm64. Default x86_64."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long the notifier's log is kept, which is the journal of alerts. Default 14."""
    log_key_arn: NotRequired[pulumi.Input[str]]
    """ARN of the customer managed key that encrypts the log, which CloudWatch Logs must be allowed to use. Default:
    none, CloudWatch's own key."""
    tracing: NotRequired[bool]
    """Whether the notifier's invocations are traced with X-Ray. Default False."""
    protect: NotRequired[bool]
    """Protect what is made: the bus, on which others' rules are, the topics with their confirmed subscriptions, the
    queue, and the key, which is retained as well. Default False."""


class AlertBus(pulumi.ComponentResource):
    """The bus of alerts: iops:index:AlertBus.

    Children: `{name}-bus` with `-bus-policy`, unless the bus exists; `{name}-dlq` with `-dlq-policy`; with topic_key
    `{name}-key` and `{name}-key-alias`; `{name}-notifier-function` with `-role`, `-policy`, `-logs`, `-retries`; for
    each severity `{name}-{severity}-topic`, `-rule`, `-permission`, `-target`, `-policy` and one `-email-...` an
    address.
    Arguments: see AlertBusArgs. Outputs: bus_arn, bus_name, critical_topic_arn, warning_topic_arn, info_topic_arn,
    dead_letter_queue_arn, dead_letter_queue_url, notifier_function_name, topic_key_arn (empty without a key;
    CloudWatch may use the key to publish to `{name_prefix}-operations`).
    """

    bus_arn: pulumi.Output[str]
    """The bus's ARN."""
    bus_name: pulumi.Output[str]
    """Its name."""
    critical_topic_arn: pulumi.Output[str]
    """The topic of critical alerts."""
    warning_topic_arn: pulumi.Output[str]
    """The topic of warnings."""
    info_topic_arn: pulumi.Output[str]
    """The topic of informational alerts."""
    dead_letter_queue_arn: pulumi.Output[str]
    """The queue of what could not be delivered."""
    dead_letter_queue_url: pulumi.Output[str]
    """Its URL."""
    notifier_function_name: pulumi.Output[str]
    """The function that publishes to the topics; its log is the journal of alerts."""
    topic_key_arn: pulumi.Output[str]
    """The key that encrypts the topics; empty without one."""

    def __init__(self, name: str, args: AlertBusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, AlertBusArgs, args)
        super().__init__("iops:index:AlertBus", name, without_archives(args), opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._prefix = pulumi.Output.concat(args["name_prefix"], "-alerts")
        # Those of subscribers too, as they come.
        self.rule_names: list[pulumi.Output[str]] = []
        self._protected = pulumi.ResourceOptions(parent=self, protect=args.get("protect", False))
        if existing_bus_arn := args.get("existing_bus_arn", ""):
            self.bus_arn = pulumi.Output.from_input(existing_bus_arn)
            self.bus_name = pulumi.Output.from_input(existing_bus_arn.partition("/")[2])
        else:
            bus = self._make_bus()
            self.bus_arn, self.bus_name = bus.arn, bus.name
        queue = self._make_dead_letter_queue(args.get("dlq_retention_days", 14))
        key = self._make_key(args) if args.get("topic_key", False) else None
        self.topic_key_arn = key.arn if key else pulumi.Output.from_input("")
        topics = {severity: self._make_topic(severity, key) for severity in SEVERITIES}
        self.critical_topic_arn, self.warning_topic_arn, self.info_topic_arn = (topics[s].arn for s in SEVERITIES)
        publisher = notifier.make_notifier(
            f"{name}-notifier",
            function_name=pulumi.Output.concat(args["name_prefix"], "-notifier"),
            code=args.get("code") or notifier.own_code(),
            topics=topics,
            topic_key=key,
            dead_letter_queue_arn=queue.arn,
            architecture=args.get("architecture", "x86_64"),
            log_key_arn=args.get("log_key_arn", ""),
            log_retention_days=args.get("log_retention_days", 14),
            tracing=args.get("tracing", False),
            opts=self._child,
        )
        self.notifier_function_name = publisher.resource.name
        self._queue_policy = self._make_queue_policy(queue, publisher.role)
        emails = {
            "critical": args.get("critical_emails", []),
            "warning": args.get("warning_emails", []),
            "info": args.get("info_emails", []),
        }
        for severity, topic in topics.items():
            self._route(severity, topic, publisher)
            subscribe(f"{name}-{severity}", topic, emails[severity], self._child)
        self.register_outputs(
            {
                "bus_arn": self.bus_arn,
                "bus_name": self.bus_name,
                "critical_topic_arn": self.critical_topic_arn,
                "warning_topic_arn": self.warning_topic_arn,
                "info_topic_arn": self.info_topic_arn,
                "dead_letter_queue_arn": self.dead_letter_queue_arn,
                "dead_letter_queue_url": self.dead_letter_queue_url,
                "notifier_function_name": self.notifier_function_name,
                "topic_key_arn": self.topic_key_arn,
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
        self._make_target(name, rule, target_arn, is_function)
        return rule

    def grant_publish(self, name: str, role: pulumi.Input[str], source: str = AI_SOURCE) -> aws.iam.RolePolicy:
        """Let the role of this name put alerts on the bus, under this source.

        Raises
        ------
        ValueError
            When the source is unknown: no rule would see the alerts, and a bus made here refuses them.
        """
        if source not in SOURCES:
            raise ValueError(f"{name}: source is {source!r}: it must be one of {', '.join(SOURCES)}")
        return iam.grant(f"{self._name}-{name}-publish", role, publish_statements(self.bus_arn, source), self._child)

    def _make_bus(self) -> aws.cloudwatch.EventBus:
        bus = aws.cloudwatch.EventBus(f"{self._name}-bus", name=self._prefix, opts=self._protected)
        # events:source has a value for each entry of a call.
        others = {"ForAnyValue:StringNotEquals": {"events:source": list(SOURCES)}}
        put = ["events:PutEvents"]
        statements = [iam.tls_only(put, [bus.arn]), iam.deny("OwnSourcesOnly", put, [bus.arn], others)]
        aws.cloudwatch.EventBusPolicy(
            f"{self._name}-bus-policy", event_bus_name=bus.name, policy=iam.document(statements), opts=self._child
        )
        return bus

    def _make_dead_letter_queue(self, retention_days: int) -> aws.sqs.Queue:
        name = f"{self._name}-dlq"
        queue = aws.sqs.Queue(
            name,
            name=pulumi.Output.concat(self._prefix, "-dlq"),
            message_retention_seconds=retention_days * 86_400,
            sqs_managed_sse_enabled=True,
            opts=self._protected,
        )
        self.dead_letter_queue_arn, self.dead_letter_queue_url = queue.arn, queue.url
        return queue

    def _make_queue_policy(self, queue: aws.sqs.Queue, publisher: aws.iam.Role) -> aws.sqs.QueuePolicy:
        # A queue has one policy, so it names all rules made here, those of later subscribers included. A rule on the
        # default bus has no bus in its ARN.
        on_bus = self.bus_arn.apply(lambda arn: arn.replace(":event-bus/", ":rule/").removesuffix("/default"))
        rules = pulumi.Output.concat(on_bus, "/", self._prefix, "-*")
        send = iam.allow(
            ["sqs:SendMessage"],
            [queue.arn],
            service="events.amazonaws.com",
            condition={"ArnLike": {"aws:SourceArn": rules}},
        )
        # Lambda sends what the notifier gives up with the notifier's role, which its own policy lets send.
        others = iam.deny(
            "RulesAndNotifierOnly",
            ["sqs:SendMessage"],
            [queue.arn],
            {"ArnNotLike": {"aws:SourceArn": rules}, "ArnNotEquals": {"aws:PrincipalArn": publisher.arn}},
        )
        return aws.sqs.QueuePolicy(
            f"{self._name}-dlq-policy",
            queue_url=queue.url,
            policy=iam.document([send, others, iam.tls_only(["sqs:*"], [queue.arn])]),
            opts=self._child,
        )

    def _make_key(self, args: AlertBusArgs) -> aws.kms.Key:
        protect = args.get("protect", False)
        # The queue's ARN tells the stack's own partition, region and account, without a call; the bus may be another's.
        place = iam.own_place(self.dead_letter_queue_arn, bus_arn=self.bus_arn)
        parts = place.apply(lambda arn: arn.split(":"))
        root = parts.apply(lambda p: f"arn:{p[1]}:iam::{p[4]}:root")
        topic = parts.apply(lambda p: f"arn:{p[1]}:sns:{p[3]}:{p[4]}:")
        owner = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
        # The notifier's own policy lets it use the key: the account's hold on it hands that on (KMS developer guide,
        # default key policy). SNS sets the encryption context.
        alarms = iam.allow(
            ["kms:Decrypt", "kms:GenerateDataKey*"],
            ["*"],
            service="cloudwatch.amazonaws.com",
            condition={
                "StringLike": {
                    "kms:EncryptionContext:aws:sns:topicArn": pulumi.Output.concat(
                        topic, args["name_prefix"], "-operations"
                    )
                }
            },
        )
        key = aws.kms.Key(
            f"{self._name}-key",
            description=pulumi.Output.concat("Encrypts the topics ", self._prefix),
            enable_key_rotation=True,
            policy=iam.document([owner, alarms]),
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect),
        )
        aws.kms.Alias(
            f"{self._name}-key-alias",
            name=pulumi.Output.concat("alias/", self._prefix),
            target_key_id=key.key_id,
            opts=self._child,
        )
        return key

    def _make_topic(self, severity: str, key: aws.kms.Key | None) -> aws.sns.Topic:
        return aws.sns.Topic(
            f"{self._name}-{severity}-topic",
            name=pulumi.Output.concat(self._prefix, "-", severity),
            kms_master_key_id=key.arn if key else None,
            opts=self._protected,
        )

    def _route(self, severity: str, topic: aws.sns.Topic, publisher: Function) -> None:
        """From the rule of a severity by the notifier to its topic, which is closed to everybody else."""
        rule = self._make_rule(severity, {"source": list(SOURCES), "detail": {"severity": [severity]}})
        target = self._make_target(severity, rule, publisher.resource.arn, is_function=True)
        # The notifier's own policy lets it publish. Without the Deny, whatever identity of the account may publish to
        # every topic could send a false alert.
        others = iam.deny(
            "NotifierOnly", ["sns:Publish"], [topic.arn], {"ArnNotEquals": {"aws:PrincipalArn": publisher.role.arn}}
        )
        aws.sns.TopicPolicy(
            f"{self._name}-{severity}-policy",
            arn=topic.arn,
            # A topic's policy knows no sns:*.
            policy=iam.document([others, iam.tls_only(["sns:Publish"], [topic.arn])]),
            # A stack whose rule still publishes to the topic itself loses nothing while it is updated.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[target]),
        )

    def _make_rule(self, name: str, pattern: dict[str, Any]) -> aws.cloudwatch.EventRule:
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-{name}-rule",
            name=pulumi.Output.concat(self._prefix, "-", name),
            event_bus_name=self.bus_name,
            event_pattern=pulumi.Output.json_dumps(pattern),
            opts=self._child,
        )
        self.rule_names.append(rule.name)
        return rule

    def _make_target(
        self, name: str, rule: aws.cloudwatch.EventRule, target_arn: pulumi.Input[str], is_function: bool
    ) -> aws.cloudwatch.EventTarget:
        """The rule's target, made after what allows the delivery, so that the first alert already arrives."""
        allowed: list[pulumi.Resource] = [self._queue_policy]
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
        return aws.cloudwatch.EventTarget(
            f"{self._name}-{name}-target",
            rule=rule.name,
            event_bus_name=self.bus_name,
            target_id=name,
            arn=target_arn,
            dead_letter_config={"arn": self.dead_letter_queue_arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )


def publish_statements(bus_arn: pulumi.Input[str], source: str) -> Sequence[iam.Statement]:
    """What putting alerts on the bus under this source needs."""
    # events:source has a value for each entry of a call; that all of none are right must not count.
    condition = {
        "ForAllValues:StringEquals": {"events:source": source},
        "Null": {"events:source": "false"},
    }
    return [iam.allow(["events:PutEvents"], [bus_arn], condition=condition)]
