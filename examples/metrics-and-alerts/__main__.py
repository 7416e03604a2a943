"""MetricsStore and AlertBus without a stream: a scoring job of one's own reads the table and raises alerts, and the
critical ones also wait in a queue from which tickets are made."""

import sys
from pathlib import Path

import pulumi
import pulumi_aws as aws

# The components are in the repository's root; elsewhere, put that on the path or add the plugin (docs/reuse.md).
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from components import iam
from components.alert_bus import AlertBus
from components.metrics_store import MetricsStore

config = pulumi.Config()
prefix = config.get("namePrefix") or "tutoring"
production = config.get_bool("production") or False

store = MetricsStore("metrics", {"name_prefix": prefix, "protect": production})

bus = AlertBus(
    "alerts",
    {
        "name_prefix": prefix,
        "critical_emails": config.get_object("emailsCritical") or [],
        "topic_key": production,
        "protect": production,
    },
)

# The job's role, for a task on ECS; its alerts have the source iops-dashboard.ai.
scorer = iam.service_role(
    "scorer", role_name=f"{prefix}-scorer", service="ecs-tasks.amazonaws.com", opts=pulumi.ResourceOptions()
)
store.grant_read("scorer", scorer.name)
bus.grant_publish("scorer", scorer.name)

tickets = aws.sqs.Queue(
    "tickets", name=f"{prefix}-tickets", message_retention_seconds=14 * 86_400, sqs_managed_sse_enabled=True
)
rule = bus.subscribe("tickets", tickets.arn, ["critical"], exclude_source=None, is_function=False)
deliver = iam.allow(
    ["sqs:SendMessage"],
    [tickets.arn],
    service="events.amazonaws.com",
    condition={"ArnEquals": {"aws:SourceArn": rule.arn}},
)
aws.sqs.QueuePolicy("tickets-policy", queue_url=tickets.url, policy=iam.document([deliver]))

pulumi.export("MetricsTableName", store.table_name)
pulumi.export("AlertBusName", bus.bus_name)
pulumi.export("CriticalTopicArn", bus.critical_topic_arn)
pulumi.export("ScorerRoleName", scorer.name)
pulumi.export("TicketsQueueUrl", tickets.url)
