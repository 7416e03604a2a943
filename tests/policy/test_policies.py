"""Each policy with resources that it passes and resources that it refuses, and the words in which it does."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from policy.checks import POLICIES
from policy.checks.schedules import shortest_interval
from tests.helpers.judging import ABSENT, UNKNOWN, changed, judge
from tests.helpers.recorded_program import ROOT, Registered

ACCOUNT = "arn:aws:iam::123456789012:root"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:dead"


def declared(
    type_: str,
    name: str,
    inputs: Mapping[str, Any],
    *,
    stack: str = "dev",
    of: Mapping[str, Sequence[Registered]] | None = None,
) -> Registered:
    """A resource of the given inputs; `of` says which resources' outputs are in which of them."""
    sources = {key: frozenset(r.urn for r in resources) for key, resources in (of or {}).items()}
    return Registered(
        type=type_,
        name=name,
        urn=f"urn:pulumi:{stack}::any::{type_}::{name}",
        inputs=dict(inputs),
        parent="",
        dependencies=frozenset().union(*sources.values()),
        property_dependencies=sources,
        protect=stack == "prod",
        retain_on_delete=False,
        custom=True,
    )


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def key_policy(*, action: str = "kms:*", principal: Any = None) -> str:
    return document(Action=action, Resource="*", Principal=principal or {"AWS": ACCOUNT})


def good(stack: str) -> list[Registered]:
    """A stack with which no policy finds fault: every type that one looks at."""
    bucket = declared("aws:s3/bucket:Bucket", "bucket", {"bucketPrefix": "b-"}, stack=stack)
    logs = declared(
        "aws:cloudwatch/logGroup:LogGroup", "logs", {"name": "/aws/lambda/f", "retentionInDays": 14.0}, stack=stack
    )
    sse = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    blocked = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
    table = {
        "name": "t",
        "serverSideEncryption": {"enabled": True},
        "deletionProtectionEnabled": stack == "prod",
        "pointInTimeRecovery": {"enabled": stack == "prod"},
    }
    state = {**table, "name": "s", "ttl": {"enabled": True, "attributeName": "expires"}}
    metrics = document(Action="cloudwatch:PutMetricData", Resource="*")
    return [
        declared("aws:kinesis/stream:Stream", "stream", {"encryptionType": "KMS", "kmsKeyId": "alias/k"}, stack=stack),
        declared("aws:dynamodb/table:Table", "table", table, stack=stack),
        declared("aws:dynamodb/table:Table", "state", state, stack=stack),
        declared("aws:sqs/queue:Queue", "queue", {"sqsManagedSseEnabled": True}, stack=stack),
        declared("aws:sqs/queue:Queue", "queue-with-key", {"kmsMasterKeyId": "alias/k"}, stack=stack),
        declared("aws:sns/topic:Topic", "topic", {"kmsMasterKeyId": "alias/k"}, stack=stack),
        bucket,
        declared(
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "bucket-encryption",
            {"bucket": "b-1", "rules": [sse]},
            stack=stack,
            of={"bucket": [bucket]},
        ),
        declared(
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
            "bucket-access",
            {"bucket": "b-1", **blocked},
            stack=stack,
            of={"bucket": [bucket]},
        ),
        declared(
            "aws:iam/role:Role",
            "role",
            {
                "assumeRolePolicy": document(Action="sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"}),
                "tags": {"a.b": "no policy"},
            },
            stack=stack,
        ),
        declared("aws:iam/rolePolicy:RolePolicy", "role-policy", {"role": "r", "policy": metrics}, stack=stack),
        declared(
            "aws:sqs/queuePolicy:QueuePolicy",
            "queue-policy",
            {"policy": document(Action="sqs:SendMessage", Resource=QUEUE, Principal={"AWS": ACCOUNT})},
            stack=stack,
        ),
        declared(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "attachment",
            {"policyArn": "arn:aws:iam::123456789012:policy/own"},
            stack=stack,
        ),
        declared("aws:kms/key:Key", "key", {"policy": key_policy()}, stack=stack),
        logs,
        declared("aws:lambda/function:Function", "function", {"name": "f"}, stack=stack),
        declared(
            "aws:lambda/function:Function",
            "function-with-state",
            {"name": "f", "environment": {"variables": {"DYNAMODB_TABLE_NAME": "t", "STATE_TABLE_NAME": "s"}}},
            stack=stack,
        ),
        declared(
            "aws:lambda/function:Function",
            "function-with-group",
            {"name": "g", "loggingConfig": {"logGroup": "/aws/lambda/f"}},
            stack=stack,
            of={"loggingConfig": [logs]},
        ),
        declared(
            "aws:sfn/stateMachine:StateMachine",
            "machine",
            {"loggingConfiguration": {"level": "ERROR", "logDestination": "arn:aws:logs:us-east-1:1:log-group:g:*"}},
            stack=stack,
        ),
        declared("aws:lambda/permission:Permission", "permission", {"principal": "events.amazonaws.com"}, stack=stack),
        declared("aws:lambda/functionUrl:FunctionUrl", "url", {"authorizationType": "AWS_IAM"}, stack=stack),
        declared("aws:cloudwatch/eventTarget:EventTarget", "target", {"deadLetterConfig": {"arn": QUEUE}}, stack=stack),
        declared(
            "aws:lambda/eventSourceMapping:EventSourceMapping",
            "mapping",
            {"destinationConfig": {"onFailure": {"destinationArn": "arn:aws:s3:::b-1"}}},
            stack=stack,
        ),
        declared(
            "aws:scheduler/schedule:Schedule",
            "schedule",
            {
                "scheduleExpression": "rate(5 minutes)",
                "target": {"retryPolicy": {"maximumEventAgeInSeconds": 300.0}},
            },
            stack=stack,
        ),
        declared(
            "aws:scheduler/schedule:Schedule",
            "schedule-on-the-clock",
            {
                "scheduleExpression": "cron(0/5 * * * ? *)",
                "target": {"retryPolicy": {"maximumEventAgeInSeconds": 300.0}},
            },
            stack=stack,
        ),
        declared(
            "aws:scheduler/schedule:Schedule",
            "schedule-with-queue",
            {"scheduleExpression": "cron(0 6 ? * MON *)", "target": {"deadLetterConfig": {"arn": QUEUE}}},
            stack=stack,
        ),
    ]


PATH = "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"
AGE = "target.retryPolicy.maximumEventAgeInSeconds"
TWO = "it must be at most the 300 seconds between two runs without a dead-letter queue"
EXACT = "it must be the names of actions"
SOMEBODY = "it must be a service or an account, or have a Condition"

# The policy; which property of which resource of `good` is changed, in production, to what; the message.
REFUSED: list[tuple[str, str, str, Any, str]] = [
    ("encryption-at-rest", "stream", "encryptionType", "NONE", "encryptionType is 'NONE': it must be 'KMS'"),
    (
        "encryption-at-rest",
        "stream",
        "kmsKeyId",
        ABSENT,
        "kmsKeyId is not set: it must be a KMS key, such as 'alias/aws/kinesis'",
    ),
    (
        "encryption-at-rest",
        "table",
        "serverSideEncryption",
        ABSENT,
        "serverSideEncryption.enabled is not set: it must be True",
    ),
    (
        "encryption-at-rest",
        "table",
        "serverSideEncryption.enabled",
        False,
        "serverSideEncryption.enabled is False: it must be True",
    ),
    (
        "encryption-at-rest",
        "queue",
        "sqsManagedSseEnabled",
        False,
        "sqsManagedSseEnabled is False: it must be True, or kmsMasterKeyId a KMS key",
    ),
    (
        "encryption-at-rest",
        "queue-with-key",
        "kmsMasterKeyId",
        "",
        "sqsManagedSseEnabled is not set: it must be True, or kmsMasterKeyId a KMS key",
    ),
    (
        "encryption-at-rest",
        "topic",
        "kmsMasterKeyId",
        ABSENT,
        "kmsMasterKeyId is not set: it must be a customer managed KMS key",
    ),
    (
        "encryption-at-rest",
        "topic",
        "kmsMasterKeyId",
        "alias/aws/sns",
        "kmsMasterKeyId is 'alias/aws/sns': it must be a customer managed KMS key",
    ),
    (
        "encryption-at-rest",
        "bucket-encryption",
        PATH,
        "none",
        f"{PATH} is 'none': it must be 'AES256', 'aws:kms' or 'aws:kms:dsse'",
    ),
    ("public-access-blocked", "bucket-access", "blockPublicAcls", False, "blockPublicAcls is False: it must be True"),
    (
        "public-access-blocked",
        "bucket-access",
        "restrictPublicBuckets",
        ABSENT,
        "restrictPublicBuckets is not set: it must be True",
    ),
    (
        "no-wildcard-actions",
        "role-policy",
        "policy",
        document(Action=["s3:GetObject", "s3:*"], Resource=QUEUE),
        f"policy: Action is s3:*: {EXACT}",
    ),
    (
        "no-wildcard-actions",
        "role-policy",
        "policy",
        document(Action="dynamodb:Get?tem", Resource=QUEUE),
        f"policy: Action is dynamodb:Get?tem: {EXACT}",
    ),
    (
        "no-wildcard-actions",
        "role-policy",
        "policy",
        document(NotAction="iam:*", Resource=QUEUE),
        "policy: NotAction allows all other actions: it must be Action, with their names",
    ),
    (
        "no-wildcard-actions",
        "role",
        "inlinePolicies",
        [{"policy": document(Action="*", Resource=QUEUE)}],
        f"inlinePolicies.0.policy: Action is *: {EXACT}",
    ),
    (
        "no-wildcard-actions",
        "queue-policy",
        "policy",
        document(Action="sqs:*", Resource=QUEUE, Principal={"AWS": ACCOUNT}),
        f"policy: Action is sqs:*: {EXACT}",
    ),
    (
        "no-wildcard-actions",
        "key",
        "policy",
        key_policy(principal={"Service": "events.amazonaws.com"}),
        f"policy: Action is kms:*: {EXACT}",
    ),
    ("no-wildcard-actions", "key", "policy", key_policy(action="kms:Re*"), f"policy: Action is kms:Re*: {EXACT}"),
    (
        "no-wildcard-resources",
        "role-policy",
        "policy",
        document(Action="s3:GetObject", Resource="*"),
        "policy: Resource of s3:GetObject is *: it must be ARNs",
    ),
    (
        "no-wildcard-resources",
        "role-policy",
        "policy",
        document(Action=["xray:PutTraceSegments", "s3:PutObject"], Resource=["*"]),
        "policy: Resource of s3:PutObject is *: it must be ARNs",
    ),
    (
        "no-wildcard-resources",
        "role-policy",
        "policy",
        document(Action="s3:GetObject", NotResource=QUEUE),
        "policy: NotResource allows all other resources: it must be Resource, with their ARNs",
    ),
    (
        "no-public-principals",
        "queue-policy",
        "policy",
        document(Action="sqs:SendMessage", Resource=QUEUE, Principal="*"),
        f"policy: Principal is *: {SOMEBODY}",
    ),
    (
        "no-public-principals",
        "queue-policy",
        "policy",
        document(Action="sqs:SendMessage", Resource=QUEUE, Principal={"AWS": ["*"]}),
        f"policy: Principal is *: {SOMEBODY}",
    ),
    (
        "no-public-principals",
        "queue-policy",
        "policy",
        document(Action="sqs:SendMessage", Resource=QUEUE, NotPrincipal={"AWS": ACCOUNT}),
        "policy: NotPrincipal allows everybody else: it must be Principal",
    ),
    ("no-public-principals", "permission", "principal", "*", "principal is '*': it must be a service or an account"),
    ("no-public-principals", "url", "authorizationType", "NONE", "authorizationType is 'NONE': it must be 'AWS_IAM'"),
    (
        "no-aws-managed-policies",
        "attachment",
        "policyArn",
        ADMIN,
        f"policyArn is {ADMIN!r}: it must be a policy of the stack, not one that AWS manages",
    ),
    (
        "no-aws-managed-policies",
        "role",
        "managedPolicyArns",
        [ADMIN],
        f"managedPolicyArns is {ADMIN!r}: it must be policies of the stack, not ones that AWS manages",
    ),
    (
        "log-retention",
        "logs",
        "retentionInDays",
        ABSENT,
        "retentionInDays is not set: it must be a number of days that CloudWatch Logs offers",
    ),
    (
        "log-retention",
        "logs",
        "retentionInDays",
        0.0,
        "retentionInDays is 0: it must be a number of days that CloudWatch Logs offers",
    ),
    (
        "state-machines-log",
        "machine",
        "loggingConfiguration.level",
        "OFF",
        "loggingConfiguration.level is 'OFF': it must be 'ALL', 'ERROR' or 'FATAL'",
    ),
    (
        "state-machines-log",
        "machine",
        "loggingConfiguration.logDestination",
        ABSENT,
        "loggingConfiguration.logDestination is not set: it must be a log group's ARN, followed by :*",
    ),
    (
        "functions-have-log-groups",
        "function",
        "name",
        "h",
        "its log group is '/aws/lambda/h': it must be one that the stack declares, with a retention",
    ),
    (
        "targets-have-dead-letter-queues",
        "target",
        "deadLetterConfig",
        ABSENT,
        "deadLetterConfig.arn is not set: it must be a queue's ARN",
    ),
    (
        "targets-have-dead-letter-queues",
        "target",
        "deadLetterConfig.arn",
        "",
        "deadLetterConfig.arn is '': it must be a queue's ARN",
    ),
    (
        "mappings-keep-failed-batches",
        "mapping",
        "destinationConfig",
        ABSENT,
        "destinationConfig.onFailure.destinationArn is not set: it must be the ARN of a bucket, queue or topic",
    ),
    ("schedules-lose-nothing", "schedule", AGE, 301.0, f"{AGE} is 301: {TWO}"),
    ("schedules-lose-nothing", "schedule", "target", {}, f"{AGE} is not set: {TWO}"),
    ("schedules-lose-nothing", "schedule-on-the-clock", AGE, 301.0, f"{AGE} is 301: {TWO}"),
    ("schedules-lose-nothing", "schedule-on-the-clock", "target", {}, f"{AGE} is not set: {TWO}"),
    (
        "schedules-lose-nothing",
        "schedule-with-queue",
        "target",
        {},
        "target.deadLetterConfig.arn is not set: it must be a queue's ARN unless the schedule runs every day",
    ),
    ("state-expires", "state", "ttl.enabled", ABSENT, "ttl.enabled is not set: it must be True"),
    ("state-expires", "state", "ttl.enabled", False, "ttl.enabled is False: it must be True"),
    ("state-expires", "state", "ttl.attributeName", "ttl", "ttl.attributeName is 'ttl': it must be 'expires'"),
    (
        "deletion-protection",
        "table",
        "deletionProtectionEnabled",
        False,
        "deletionProtectionEnabled is False: it must be True in production",
    ),
    (
        "deletion-protection",
        "table",
        "pointInTimeRecovery",
        ABSENT,
        "pointInTimeRecovery.enabled is not set: it must be True in production",
    ),
    (
        "deletion-protection",
        "bucket",
        "forceDestroy",
        True,
        "forceDestroy is True: it must be False in production, or not set",
    ),
    *(
        ("deletion-protection", name, "protect", False, "protect is False: it must be True in production")
        for name in ("table", "state", "stream", "key", "mapping")
    ),
]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_resources_as_they_should_be_pass_every_policy(stack: str) -> None:
    assert judge(good(stack)) == []


@pytest.mark.parametrize(("policy", "name", "path", "value", "message"), REFUSED)
def test_one_wrong_property_is_refused_by_its_policy_alone(
    policy: str, name: str, path: str, value: Any, message: str
) -> None:
    (finding,) = judge(changed(good("prod"), name, path, value))
    assert finding.policy == policy
    assert finding.message.removeprefix(f"{name}: ") == message
    assert finding.urn.endswith(f"::{name}")


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86_400),
        ("cron(0/5 * * * ? *)", 300),
        ("cron(*/20 * * * ? *)", 1200),
        ("cron(* * * * ? *)", 60),
        ("cron(0 * * * ? *)", 3600),
        ("cron(0/45 * * * ? *)", 900),
        ("cron(0,10,25 * ? * * *)", 600),
        ("cron(30-59/10 6 * * ? *)", 600),
        ("cron(0 6 * * ? *)", 86_400),
        ("cron(50 0,23 * * ? *)", 3600),
        ("cron(0 6 ? * MON *)", None),
        ("cron(0 6 1 * ? *)", None),
        ("cron(0 L * * ? *)", None),
        ("cron(75 * * * ? *)", None),
        ("at(2026-11-23T10:00:00)", None),
        ("every minute", None),
    ],
)
def test_how_often_a_schedule_runs(expression: str, seconds: int | None) -> None:
    assert shortest_interval(expression) == seconds


def test_a_table_that_no_function_keeps_state_in_need_not_expire() -> None:
    resources = good("dev")
    theirs = [
        *changed(resources, "function-with-state", "environment.variables", {"STATE_TABLE_NAME": "elsewhere"}),
        declared("aws:lambda/function:Function", "other", {"name": "f"}),
    ]
    assert judge(changed(theirs, "state", "ttl", ABSENT)) == []


def test_a_state_table_without_expiry_is_refused_twice() -> None:
    messages = [f.message for f in judge(changed(good("dev"), "state", "ttl", ABSENT))]
    assert messages == [
        "state: ttl.enabled is not set: it must be True",
        "state: ttl.attributeName is not set: it must be 'expires'",
    ]


@pytest.mark.parametrize(
    ("policy", "completion", "what"),
    [
        ("buckets-say-their-encryption", "bucket-encryption", "BucketServerSideEncryptionConfiguration"),
        ("buckets-block-public-access", "bucket-access", "BucketPublicAccessBlock"),
    ],
)
def test_a_bucket_without_its_completion_is_refused(policy: str, completion: str, what: str) -> None:
    (finding,) = judge([resource for resource in good("dev") if resource.name != completion])
    assert (finding.policy, finding.urn.split("::")[-1]) == (policy, "bucket")
    assert finding.message.startswith(f"bucket: its {what} is not set: it must be one ")


def test_another_buckets_completion_does_not_count() -> None:
    resources = good("dev")
    (bucket,) = [resource for resource in resources if resource.name == "bucket"]
    other = declared(bucket.type, "other", {"bucketPrefix": "o-"})
    assert sorted((f.policy, f.urn.split("::")[-1]) for f in judge([*resources, other])) == [
        ("buckets-block-public-access", "other"),
        ("buckets-say-their-encryption", "other"),
    ]


def test_a_bucket_may_be_completed_by_its_name_alone() -> None:
    named = declared("aws:s3/bucket:Bucket", "named", {"bucket": "given"})
    resources = good("dev")
    found = {f.policy for f in judge([*resources, named])}
    copies = [
        declared(r.type, f"{r.name}-2", {**r.inputs, "bucket": "given"}) for r in resources if "bucket" in r.inputs
    ]
    assert found == {"buckets-block-public-access", "buckets-say-their-encryption"}
    assert judge([*resources, named, *copies]) == []


def test_a_bucket_under_its_other_type_is_one_too() -> None:
    bucket = declared("aws:s3/bucketV2:BucketV2", "old", {"forceDestroy": True}, stack="prod")
    assert sorted((f.policy, f.urn.split("::")[-1]) for f in judge([*good("prod"), bucket])) == [
        ("buckets-block-public-access", "old"),
        ("buckets-say-their-encryption", "old"),
        ("deletion-protection", "old"),
    ]


def test_every_policy_is_refused_something_above() -> None:
    stacks = {"buckets-say-their-encryption", "buckets-block-public-access"}
    names = [policy.name for policy in POLICIES]
    assert sorted(names) == sorted({policy for policy, *_ in REFUSED} | stacks)


def test_the_docs_list_every_policy() -> None:
    text = (ROOT / "docs" / "reuse.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == [policy.name for policy in POLICIES]


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("topic", "kmsMasterKeyId", ABSENT),
        ("table", "deletionProtectionEnabled", False),
        ("bucket", "forceDestroy", True),
        ("stream", "protect", False),
    ],
)
def test_what_only_production_demands(name: str, path: str, value: Any) -> None:
    """Which stacks are production is configuration, of each policy that asks."""
    of_dev = changed(good("dev"), name, path, value)
    (found,) = judge(changed(good("prod"), name, path, value))
    assert judge(of_dev) == []
    config = {"productionStacks": ["dev", "live"]}
    configured = judge(of_dev, {"deletion-protection": config, "encryption-at-rest": config})
    assert (found.policy, name) in [(f.policy, f.urn.split("::")[-1]) for f in configured]


def test_the_aws_managed_key_is_no_key_for_a_topic_in_any_stack() -> None:
    (finding,) = judge(changed(good("dev"), "topic", "kmsMasterKeyId", "alias/aws/sns"))
    assert finding.message.endswith("it must be a customer managed KMS key, or not set outside production")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*"}}),
        document(Action="sqs:SendMessage", Resource=QUEUE, Principal="*", Condition={"Bool": {"a:b": "true"}}),
        '"Statement"',
        '{"Statement": ',
        '["Statement"]',
    ],
)
def test_what_denies_is_conditional_or_is_no_document_passes(text: str) -> None:
    assert judge(changed(good("dev"), "queue-policy", "policy", text)) == []


def test_several_statements_and_one_alone_are_read_alike() -> None:
    wild = {"Effect": "Allow", "Action": "s3:*", "Resource": QUEUE}
    for statements in (wild, [wild], [{"Effect": "Deny", "Action": "s3:*"}, wild]):
        text = json.dumps({"Statement": statements})
        (finding,) = judge(changed(good("dev"), "role-policy", "policy", text))
        assert finding.message == f"role-policy: policy: Action is s3:*: {EXACT}"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("stream", "kmsKeyId"),
        ("role-policy", "policy"),
        ("role", "inlinePolicies"),
        ("attachment", "policyArn"),
        ("function", "name"),
        ("machine", "loggingConfiguration.logDestination"),
        ("target", "deadLetterConfig"),
        ("mapping", "destinationConfig.onFailure.destinationArn"),
        ("schedule", AGE),
        ("schedule-on-the-clock", "scheduleExpression"),
        ("state", "ttl.attributeName"),
        ("function-with-state", "environment.variables.STATE_TABLE_NAME"),
        ("table", "pointInTimeRecovery.enabled"),
        ("bucket-access", "blockPublicAcls"),
        ("topic", "kmsMasterKeyId"),
    ],
)
def test_a_value_that_a_preview_does_not_know_passes_quietly(name: str, path: str) -> None:
    assert judge(changed(good("prod"), name, path, UNKNOWN)) == []


def test_what_is_known_to_be_wrong_is_reported_beside_what_is_unknown() -> None:
    resources = changed(good("prod"), "table", "deletionProtectionEnabled", UNKNOWN)
    resources = changed(resources, "table", "pointInTimeRecovery.enabled", False)
    assert [f.policy for f in judge(resources)] == ["deletion-protection"]
    # Of a stack policy too: one function's name is unknown, the other has no group.
    resources = changed(good("dev"), "function", "name", UNKNOWN)
    resources.append(declared("aws:lambda/function:Function", "late", {"name": "late"}))
    assert [f.policy for f in judge(resources)] == ["functions-have-log-groups"]


def test_an_unknown_text_that_can_be_no_policy_document_is_no_matter() -> None:
    assert judge(changed(good("dev"), "role", "tags", {"a.b": UNKNOWN})) == []
