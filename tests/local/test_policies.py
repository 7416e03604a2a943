"""What ministack gets in place of a policy: nothing wider but what is named, and each change with its reason."""

import json
from typing import Any

import pytest

from local.policies import for_ministack
from local.readback import NOT_KEPT
from local.resources import KINDS

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/t"


def given(*statements: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    policy, reasons = for_ministack(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return json.loads(policy)["Statement"], reasons


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": [TABLE], **more}


def test_a_policy_that_ministack_judges_rightly_stays_as_it_is() -> None:
    text = json.dumps({"Statement": [allow("dynamodb:Query")], "Version": "2012-10-17"}, indent=3)
    assert for_ministack(text) == (text, [])


@pytest.mark.parametrize("key", ["lambda:SourceFunctionArn", "events:source"])
def test_a_condition_that_it_does_not_know_is_left_out_of_what_is_allowed(key: str) -> None:
    known = {"s3:ResourceAccount": "123456789012"}
    both = {"StringEquals": {key: "x", **known}, "Null": {key: "false"}}
    statements, (reason,) = given(allow("dynamodb:Query", Condition=both))
    assert statements == [allow("dynamodb:Query", Condition={"StringEquals": known})]
    assert reason.startswith(f"the condition {key} is left out: ")
    statements, _ = given(allow("dynamodb:Query", Condition={"StringEquals": {key: "x"}}))
    assert statements == [allow("dynamodb:Query")]


def test_a_refusal_keeps_its_conditions() -> None:
    refusal = {**allow("events:PutEvents"), "Effect": "Deny", "Condition": {"StringEquals": {"events:source": "x"}}}
    assert given(refusal) == ([refusal], [])


def test_plain_text_is_let_through_and_the_other_refusals_stay() -> None:
    plain = {**allow("s3:*"), "Effect": "Deny", "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}}}
    other = {**allow("s3:PutObject"), "Effect": "Deny", "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "1"}}}
    statements, (reason,) = given(plain, other)
    assert statements == [other]
    assert "plain HTTP" in reason


def test_a_role_is_also_its_sessions() -> None:
    role = "arn:aws:iam::123456789012:role/writer"
    refusal = {**allow("s3:PutObject"), "Effect": "Deny", "Condition": {"ArnNotEquals": {"aws:PrincipalArn": role}}}
    (statement,), (reason,) = given(refusal)
    session = "arn:aws:sts::123456789012:assumed-role/writer/*"
    assert statement["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [role, session]}}
    assert "aws:PrincipalArn" in reason


def test_statements_may_be_run_in_batches_by_whoever_may_run_them() -> None:
    statements, (reason,) = given(allow("dynamodb:PartiQLUpdate"))
    assert statements[0] == allow("dynamodb:PartiQLUpdate")
    assert [each["Action"] for each in statements[1:]] == ["dynamodb:BatchExecuteStatement"]
    assert "BatchExecuteStatement" in reason


def test_what_is_not_kept_is_named_after_handled_types() -> None:
    assert {token for token, _ in NOT_KEPT} <= KINDS.keys()
