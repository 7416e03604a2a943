"""Every policy of the program before a policy linter, and what no linter knows: who is shut out of what."""

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.alert_bus import AlertBus
from components.event_stream import EventStream
from components.metrics_store import MetricsStore
from tests.helpers.recorded_program import ACCOUNT, Recorded, Registered, arn, record, record_program

with warnings.catch_warnings():
    # It leaves its own files to the garbage collector, and asks for them by way of pkg_resources.
    for category in (ResourceWarning, DeprecationWarning, UserWarning):
        warnings.simplefilter("ignore", category)
    import parliament  # type: ignore[import-untyped]
    from parliament.statement import GLOBAL_CONDITION_KEYS  # type: ignore[import-untyped]

Run = Callable[[str], Recorded]

# Of each type of a resource's own policy: the input that names the resource, and the resource's type.
ATTACHED = {
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": ("eventBusName", "aws:cloudwatch/eventBus:EventBus"),
    "aws:s3/bucketPolicy:BucketPolicy": ("bucket", "aws:s3/bucket:Bucket"),
    "aws:sns/topicPolicy:TopicPolicy": ("arn", "aws:sns/topic:Topic"),
    "aws:sqs/queuePolicy:QueuePolicy": ("queueUrl", "aws:sqs/queue:Queue"),
}


# What a state machine's role must be allowed before it may log at all (Step Functions developer guide, "Logging in
# CloudWatch Logs").
ACCEPTED = {("rollup-steps-policy", "PERMISSIONS_MANAGEMENT_ACTIONS")}


@dataclass(frozen=True)
class Policy:
    """One policy document of a recorded run."""

    of: str
    """Logical name of the resource that declares it."""
    type: str
    statements: list[dict[str, Any]]


def policies(recorded: Recorded) -> Iterator[Policy]:
    """Every policy document that the run declares, whichever resource it is in."""
    for resource in recorded.resources:
        for value in resource.inputs.values():
            if isinstance(value, str) and value.startswith("{") and "Statement" in json.loads(value):
                yield Policy(resource.name, resource.type, json.loads(value)["Statement"])


def findings(policy: Policy) -> list[str]:
    """What the linter finds. It knows neither trust policies nor key policies, which leave out or generalise what they
    are about, so it gets them with that."""
    statements = policy.statements
    if policy.type == "aws:iam/role:Role":
        statements = [{**each, "Resource": f"arn:aws:iam::{ACCOUNT}:role/own"} for each in statements]
    elif policy.type == "aws:kms/key:Key":
        # In a key policy * is the key itself (AWS KMS developer guide, key policies), and its owner's hold on it is
        # the one statement that allows everything.
        owner, *statements = statements
        assert owner["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert all(each["Resource"] == ["*"] for each in statements)
        statements = [{**each, "Resource": arn("kms", "key/own")} for each in statements]
    analyzed = parliament.analyze_policy_string(
        json.dumps({"Version": "2012-10-17", "Statement": statements}),
        # Its community's auditors look for what an identity could do: more than a resource's own policy can say.
        include_community_auditors=policy.type == "aws:iam/rolePolicy:RolePolicy",
    )
    return sorted(
        f"{finding.issue}: {finding.detail}"
        for finding in analyzed.findings
        if (policy.of, finding.issue) not in ACCEPTED
    )


@pytest.fixture(scope="session", autouse=True)
def _source_function_is_known() -> None:
    """The linter knows this key for Lambda's own actions only; it is in every call of a function's code (Lambda
    developer guide, source function ARN)."""
    GLOBAL_CONDITION_KEYS["lambda:SourceFunctionArn"] = "Arn"


@pytest.fixture(scope="session", autouse=True)
def _one_resource_is_enough() -> None:
    """The linter takes each resource that an action is about for required; these are about one of two: executions and
    state machines, or those of express workflows and of maps (Service Authorization Reference, Step Functions)."""
    (states,) = [each for each in parliament.iam_definition if each["prefix"] == "states"]
    others = {"DescribeExecution": "express*", "ListExecutions": "maprun*"}
    for privilege in states["privileges"]:
        other = others.get(privilege["privilege"])
        privilege["resource_types"] = [r for r in privilege["resource_types"] if r["resource_type"] != other]


@pytest.fixture(scope="session")
def everything_on(built_layer: Path) -> Recorded:
    """Production with every option that brings a permission, on what a team already has."""
    key = arn("kms", "key/11111111-2222-3333-4444-555555555555")
    return record_program(
        "prod",
        layerDirectory=str(built_layer),
        existingStreamArn=arn("kinesis", "stream/theirs"),
        existingStreamKeyArn=key,
        existingTableArn=arn("dynamodb", "table/theirs"),
        existingTableKeyArn=key,
        existingBusArn=arn("events", "event-bus/theirs"),
        topicKeyEnabled=True,
        tracingEnabled=True,
        simulatorEnabled=True,
        alertEmailsCritical=["ops@example.org"],
    )


@pytest.fixture(scope="session")
def granted() -> Recorded:
    """Everything that the components grant to others."""

    def program() -> None:
        key = arn("kms", "key/11111111-2222-3333-4444-555555555555")
        stream: dict[str, Any] = {"existing_arn": arn("kinesis", "stream/theirs"), "existing_key_arn": key}
        table: dict[str, Any] = {"existing_arn": arn("dynamodb", "table/theirs"), "existing_key_arn": key}
        EventStream("events", {"name_prefix": "p", **stream}).grant_write("ai", "their-role")  # type: ignore[typeddict-item]
        MetricsStore("metrics", {"name_prefix": "p", **table}).grant_read("ai", "their-role")  # type: ignore[typeddict-item]
        bus = AlertBus("alerts", {"name_prefix": "p"})
        bus.grant_publish("ai", "their-role")
        bus.subscribe("ai", arn("lambda", "function:ai"), ["critical"])

    return record(program)


@pytest.fixture(params=["dev", "prod", "everything on", "granted"])
def recorded(request: pytest.FixtureRequest, program: Run, everything_on: Recorded, granted: Recorded) -> Recorded:
    """Each run whose policies are looked at."""
    return {"everything on": everything_on, "granted": granted}.get(request.param) or program(request.param)


def test_the_linter_finds_nothing(recorded: Recorded) -> None:
    found = {policy.of: findings(policy) for policy in policies(recorded)}
    assert len(found) >= 8
    assert {name: issues for name, issues in found.items() if issues} == {}


TABLE = arn("dynamodb", "table/t")
BAD: list[tuple[dict[str, Any], str]] = [
    ({"Action": "dynamodb:PartiQLUpsert", "Resource": TABLE}, "UNKNOWN_ACTION"),
    ({"Action": "dynamodb:Query", "Resource": "*"}, "RESOURCE_STAR"),
    ({"Action": "dynamodb:Query", "Resource": arn("kinesis", "stream/s")}, "RESOURCE_MISMATCH"),
    (
        {"Action": "dynamodb:Query", "Resource": TABLE, "Condition": {"StringEquals": {"events:source": "a"}}},
        "UNKNOWN_CONDITION_FOR_ACTION",
    ),
    (
        {"Action": "dynamodb:Query", "Resource": TABLE, "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": "f"}}},
        "MISMATCHED_TYPE",
    ),
    ({"Action": "dynamodb:Query", "Resource": TABLE, "Condition": {"Equals": {"aws:SourceIp": "a"}}}, "OPERATOR"),
]


@pytest.mark.parametrize(("statement", "issue"), BAD)
def test_the_linter_would_find_it(statement: dict[str, Any], issue: str) -> None:
    bad = Policy("bad", "aws:iam/rolePolicy:RolePolicy", [{"Effect": "Allow", **statement}])
    assert any(issue in found for found in findings(bad))


def test_nothing_allows_by_wildcard(recorded: Recorded) -> None:
    """But for the account's hold on its own key, without which nobody could ever change the key's policy."""
    for policy in policies(recorded):
        for statement in policy.statements:
            if statement["Effect"] != "Allow" or statement["Action"] == "kms:*":
                continue
            assert all("*" not in action or action == "kms:GenerateDataKey*" for action in statement["Action"])
            # A key's policy speaks of its key; X-Ray and deliveries of logs have no resources to name (Service
            # Authorization Reference).
            without = ("xray:", "logs:CreateLogDelivery")
            if policy.type != "aws:kms/key:Key" and not statement["Action"][0].startswith(without):
                assert "*" not in statement.get("Resource", [])
            assert statement.get("Principal", {}).keys() <= {"Service"}, "nobody else's identity is allowed anything"


def attached(recorded: Recorded, type_: str) -> dict[str, list[dict[str, Any]]]:
    """The statements of each resource's own policy, by what names the resource."""
    name, _ = ATTACHED[type_]
    found = [(r.inputs[name], json.loads(r.inputs["policy"])["Statement"]) for r in recorded.of_type(type_)]
    assert len(dict(found)) == len(found), "a resource has one policy: of two, the last one written counts"
    return dict(found)


def named(resource: Registered) -> str:
    """What a policy calls the resource of a recorded run."""
    match resource.type:
        case "aws:s3/bucket:Bucket":
            return f"{resource.inputs['bucketPrefix']}0001"
        case "aws:sns/topic:Topic":
            return arn("sns", resource.inputs["name"])
        case "aws:sqs/queue:Queue":
            return f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/{resource.inputs['name']}"
        case _:
            return str(resource.inputs["name"])


@pytest.mark.parametrize("type_", ATTACHED)
def test_whatever_takes_data_refuses_plain_text(recorded: Recorded, type_: str) -> None:
    policies_found = attached(recorded, type_)
    assert policies_found.keys() == {named(r) for r in recorded.of_type(ATTACHED[type_][1])}
    for name, statements in policies_found.items():
        (refusal,) = [
            s for s in statements if s.get("Condition", {}).get("BoolIfExists", {}).get("aws:SecureTransport")
        ]
        assert (refusal["Effect"], refusal["Principal"]) == ("Deny", {"AWS": "*"}), name
        assert refusal["Condition"] == {"BoolIfExists": {"aws:SecureTransport": "false"}}


def test_nobody_is_shut_out_of_managing_anything(recorded: Recorded) -> None:
    """A Deny for everybody, over TLS, within the account, is of putting data there alone: not of reading, deleting,
    configuring or changing the policy itself."""
    data = {"events:PutEvents", "s3:PutObject", "sns:Publish", "sqs:SendMessage"}
    refusals = [s for policy in policies(recorded) for s in policy.statements if s["Effect"] == "Deny"]
    assert len(refusals) >= 4
    for refusal in refusals:
        if refusal["Sid"] not in ("TlsOnly", "OwnAccountOnly"):
            assert set(refusal["Action"]) <= data, refusal["Sid"]
