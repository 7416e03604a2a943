"""The example makes what its README says, passes the policies, and delivers an alert on the local AWS."""

import json
import re
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.deploy import deploy
from local.ministack import LocalAws
from local.readback import read_back
from tests.helpers.judging import judge
from tests.helpers.recorded_program import ROOT, Recorded, arn, record

EXAMPLE = ROOT / "examples" / "metrics-and-alerts"


def program() -> None:
    runpy.run_path(str(EXAMPLE / "__main__.py"))


def run(stack: str, **config: Any) -> Recorded:
    return record(program, config, stack)


def test_it_is_the_two_components_a_role_and_a_queue() -> None:
    recorded = run("dev")
    components = {resource.urn: resource.type for resource in recorded.resources if not resource.custom}
    assert sorted(components.values()) == ["iops:index:AlertBus", "iops:index:MetricsStore"]
    own = [resource for resource in recorded.resources if resource.custom and resource.parent not in components]
    assert Counter(resource.type for resource in own) == {
        "aws:iam/role:Role": 1,
        "aws:sqs/queue:Queue": 1,
        "aws:sqs/queuePolicy:QueuePolicy": 1,
    }
    assert recorded.calls == []
    assert recorded.outputs == {
        "MetricsTableName": "tutoring-metrics",
        "AlertBusName": "tutoring-alerts",
        "CriticalTopicArn": arn("sns", "tutoring-alerts-critical"),
        "ScorerRoleName": "tutoring-scorer",
        "TicketsQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/tutoring-tickets",
    }


def test_the_job_may_read_and_publish_and_no_more() -> None:
    statements = run("dev").policy_of("tutoring-scorer")
    assert sorted(action for statement in statements for action in statement["Action"]) == [
        "dynamodb:BatchGetItem",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "events:PutEvents",
    ]


def test_the_queue_gets_critical_alerts_from_its_rule_alone() -> None:
    recorded = run("dev")
    rule = recorded.one("aws:cloudwatch/eventRule:EventRule", "alerts-tickets-rule").inputs
    assert json.loads(rule["eventPattern"])["detail"] == {"severity": ["critical"], "status": ["firing", "reminder"]}
    policy = json.loads(recorded.one("aws:sqs/queuePolicy:QueuePolicy", "tickets-policy").inputs["policy"])
    assert policy["Statement"][0]["Condition"] == {
        "ArnEquals": {"aws:SourceArn": arn("events", "rule/tutoring-alerts/tutoring-alerts-tickets")}
    }


def test_its_settings_arrive_and_are_all_declared() -> None:
    recorded = run("dev", namePrefix="other", emailsCritical=["a@b.org"])
    assert recorded.outputs["MetricsTableName"] == "other-metrics"
    assert recorded.one("aws:sns/topicSubscription:TopicSubscription").inputs["endpoint"] == "a@b.org"
    project = yaml.safe_load((EXAMPLE / "Pulumi.yaml").read_text(encoding="utf-8"))
    source = (EXAMPLE / "__main__.py").read_text(encoding="utf-8")
    assert set(re.findall(r'config\.get\w*\("(\w+)"\)', source)) == project["config"].keys()


@pytest.mark.parametrize(("stack", "production"), [("dev", False), ("prod", True)])
def test_it_passes_the_policies(stack: str, production: bool) -> None:
    assert judge(run(stack, production=production).resources) == []


def test_production_without_its_setting_is_refused() -> None:
    assert {finding.policy for finding in judge(run("prod").resources)} == {
        "deletion-protection",
        "encryption-at-rest",
    }


def test_it_needs_what_the_repositorys_program_needs() -> None:
    def pins(path: Path) -> set[str]:
        return {line for line in path.read_text(encoding="utf-8").splitlines() if "==" in line}

    assert pins(EXAMPLE / "requirements.txt") == pins(ROOT / "requirements.txt")


def test_on_the_local_aws_a_critical_alert_arrives_in_the_queue(ministack: LocalAws) -> None:
    deployment = deploy(ministack, overrides={"namePrefix": "example"}, program=program)
    assert read_back(ministack, deployment).differences == []
    detail = {"alert_id": "1", "severity": "critical", "status": "firing", "message": "stu_1 is leaving"}
    for severity in ("critical", "info"):
        entry = {
            "EventBusName": deployment.outputs["AlertBusName"],
            "Source": "iops-dashboard.ai",
            "DetailType": "low_health_score",
            "Detail": json.dumps({**detail, "severity": severity}),
        }
        assert ministack.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
    sqs, queue = ministack.client("sqs"), deployment.outputs["TicketsQueueUrl"]
    messages: list[Any] = []
    for _ in range(10):
        messages += sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        if messages:
            break
    assert [json.loads(message["Body"])["detail"] for message in messages] == [detail]
