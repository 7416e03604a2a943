"""The repository's own program passes every policy, in both stacks, and none of them passes it unseen."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from policy.checks import POLICIES
from tests.helpers.judging import ABSENT, changed, judge
from tests.helpers.recorded_program import Recorded, Registered


def wider(action: str, **more: Any) -> Callable[[str], str]:
    """A change of a policy document: one more statement."""

    def change(text: str) -> str:
        document = json.loads(text)
        statement = {"Effect": "Allow", "Action": action, **more}
        return json.dumps({**document, "Statement": [*document["Statement"], statement]})

    return change


# Of each policy about single resources, properties of the program on which it depends: the resource, the path, a wrong
# value (or a change of the right one), and whether the policy holds in production alone.
BREAKS: list[tuple[str, str, str, Any, bool]] = [
    ("encryption-at-rest", "events-stream", "encryptionType", "NONE", False),
    ("encryption-at-rest", "events-stream", "kmsKeyId", ABSENT, False),
    ("encryption-at-rest", "metrics-table", "serverSideEncryption", ABSENT, False),
    ("encryption-at-rest", "metrics-state", "serverSideEncryption", ABSENT, False),
    ("encryption-at-rest", "alerts-dlq", "sqsManagedSseEnabled", ABSENT, False),
    ("encryption-at-rest", "alerts-critical-topic", "kmsMasterKeyId", ABSENT, True),
    (
        "encryption-at-rest",
        "processor-quarantine-encryption",
        "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm",
        ABSENT,
        False,
    ),
    ("public-access-blocked", "processor-artifacts-access", "ignorePublicAcls", False, False),
    ("no-wildcard-actions", "processor-policy", "policy", wider("s3:*", Resource="arn:aws:s3:::b"), False),
    ("no-wildcard-actions", "processor-roll-role", "assumeRolePolicy", wider("sts:*"), False),
    ("no-wildcard-actions", "alerts-key", "policy", wider("kms:*", Resource="*"), True),
    ("no-wildcard-resources", "simulator-policy", "policy", wider("s3:GetObject", Resource="*"), False),
    (
        "no-public-principals",
        "alerts-info-policy",
        "policy",
        wider("sns:Publish", Resource="arn:aws:sns:eu-west-1:123456789012:t", Principal="*"),
        False,
    ),
    (
        "no-aws-managed-policies",
        "processor-role",
        "managedPolicyArns",
        ["arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole"],
        False,
    ),
    ("log-retention", "simulator-logs", "retentionInDays", ABSENT, False),
    ("state-machines-log", "rollup-steps", "loggingConfiguration.level", "OFF", False),
    ("state-machines-log", "rollup-steps", "loggingConfiguration.logDestination", ABSENT, False),
    ("targets-have-dead-letter-queues", "alerts-warning-target", "deadLetterConfig", ABSENT, False),
    ("mappings-keep-failed-batches", "processor-mapping", "destinationConfig", ABSENT, False),
    ("schedules-lose-nothing", "processor-roll-schedule", "target.retryPolicy", ABSENT, False),
    ("schedules-lose-nothing", "rollup-schedule", "target.retryPolicy", ABSENT, False),
    ("state-expires", "metrics-state", "ttl.enabled", False, False),
    ("state-expires", "metrics-state", "ttl.attributeName", "expiry", False),
    *(
        ("deletion-protection", table, path, False, True)
        for table in ("metrics-table", "metrics-state")
        for path in ("deletionProtectionEnabled", "pointInTimeRecovery.enabled", "protect")
    ),
    ("deletion-protection", "events-stream", "protect", False, True),
    ("deletion-protection", "alerts-key", "protect", False, True),
    ("deletion-protection", "processor-mapping", "protect", False, True),
    ("deletion-protection", "processor-quarantine-bucket", "forceDestroy", True, True),
    ("deletion-protection", "rollup-runs-bucket", "forceDestroy", True, True),
]

# Of each policy about resources that belong together: what is taken away, and who then lacks it.
LACKS = [
    ("buckets-say-their-encryption", "processor-quarantine-encryption", "processor-quarantine-bucket"),
    ("buckets-block-public-access", "processor-artifacts-access", "processor-artifacts-bucket"),
    ("functions-have-log-groups", "processor-roll-logs", "processor-roll-function"),
]


def test_the_program_passes_every_policy(either: Recorded) -> None:
    assert judge(either.resources) == []


@pytest.mark.parametrize(("policy", "name", "path", "value", "only_production"), BREAKS)
def test_a_broken_property_of_the_program_is_reported_by_its_policy_alone(
    program: Callable[[str], Recorded], policy: str, name: str, path: str, value: Any, only_production: bool
) -> None:
    for stack in ("prod",) if only_production else ("dev", "prod"):
        resources = program(stack).resources
        resource = named(resources, name)
        wrong = value(resource.inputs[path]) if callable(value) else value
        findings = judge(changed(resources, name, path, wrong))
        assert [(f.policy, f.urn) for f in findings] == [(policy, resource.urn)]


@pytest.mark.parametrize(("policy", "removed", "lacking"), LACKS)
def test_what_is_taken_away_is_reported_by_its_policy_alone(
    either: Recorded, policy: str, removed: str, lacking: str
) -> None:
    rest = [resource for resource in either.resources if resource is not named(either.resources, removed)]
    assert [(f.policy, f.urn) for f in judge(rest)] == [(policy, named(rest, lacking).urn)]


def test_every_policy_finds_something_in_the_program() -> None:
    assert {policy.name for policy in POLICIES} == {policy for policy, *_ in [*BREAKS, *LACKS]}


def named(resources: list[Registered], name: str) -> Registered:
    (found,) = [resource for resource in resources if resource.name == name and resource.custom]
    return found
