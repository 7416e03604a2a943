"""What docs/deploying.md gives the roles: what the provider asks, and to a preview nothing that changes anything."""

import json
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from tests.helpers.recorded_program import ROOT, Recorded

Run = Callable[[str], Recorded]
PAGE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")

ASKED_WHILE_PLANNING = {
    "aws:kinesis/stream:Stream": {"kinesis:DescribeLimits"},
    "aws:sfn/stateMachine:StateMachine": {"states:ValidateStateMachineDefinition"},
}
"""What the AWS provider calls when it plans a resource of a type (its source, CustomizeDiff)."""
ASKED_NOTHING = {
    "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/eventBus:EventBus",
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy",
    "aws:cloudwatch/eventRule:EventRule",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:dynamodb/table:Table",
    "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy",
    "aws:kms/alias:Alias",
    "aws:kms/key:Key",
    "aws:lambda/eventSourceMapping:EventSourceMapping",
    "aws:lambda/function:Function",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    "aws:lambda/layerVersion:LayerVersion",
    "aws:lambda/permission:Permission",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:scheduler/schedule:Schedule",
    "aws:sns/topic:Topic",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sns/topicSubscription:TopicSubscription",
    "aws:sqs/queue:Queue",
    "aws:sqs/queuePolicy:QueuePolicy",
}
"""The types that it plans without a call."""


def statements(containing: str) -> list[dict[str, Any]]:
    """The statements of the one policy document of the page that has this text."""
    (found,) = [text for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if containing in text]
    document: dict[str, Any] = json.loads(found)
    listed = document["Statement"]
    return [
        {**each, "Action": [each["Action"]] if isinstance(each["Action"], str) else each["Action"]} for each in listed
    ]


def test_a_preview_may_ask_what_the_provider_asks_while_planning_and_no_more(program: Run) -> None:
    types = {r.type for r in program("prod").resources if r.custom}
    new = types - ASKED_NOTHING - ASKED_WHILE_PLANNING.keys()
    assert new == set(), "look up in the provider's source what it calls when it plans these"
    state, objects, key, questions = statements("kinesis:DescribeLimits")
    assert set(questions["Action"]) == set().union(*(ASKED_WHILE_PLANNING[type_] for type_ in types - ASKED_NOTHING))
    assert questions["Resource"] == "*"  # neither action knows resources (Service Authorization Reference)
    assert [each["Action"] for each in (state, objects, key)] == [["s3:ListBucket"], ["s3:GetObject"], ["kms:Decrypt"]]


def test_the_key_of_the_logs_may_be_used_for_every_log_group(program: Run) -> None:
    (text,) = re.findall(r'```json\n(\{"Sid": "Logs".*?)```', PAGE, re.DOTALL)
    (groups,) = json.loads(text)["Condition"]["ArnLike"].values()
    names = [r.inputs["name"] for r in program("prod").of_type("aws:cloudwatch/logGroup:LogGroup")]
    assert len(names) == 8
    for name in names:
        assert any(fnmatchcase(f"arn:aws:logs:REGION:ACCOUNT:log-group:{name}", group) for group in groups), name
