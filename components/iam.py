"""IAM documents and roles as every component writes them. Wildcard actions have no place here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

Statement = Mapping[str, Any]


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    *,
    service: str | None = None,
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """One statement; `service` names the principal where the document is a resource's own policy."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions)}
    if service is not None:
        statement["Principal"] = {"Service": service}
    if resources:
        statement["Resource"] = list(resources)
    if condition is not None:
        statement["Condition"] = condition
    return statement


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """The policy document of these statements as JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def service_role(
    name: str,
    *,
    role_name: pulumi.Input[str],
    service: str,
    opts: pulumi.ResourceOptions,
    condition: Mapping[str, Any] | None = None,
) -> aws.iam.Role:
    """A role that one AWS service may assume."""
    trust = document([allow(["sts:AssumeRole"], [], service=service, condition=condition)])
    return aws.iam.Role(name, name=role_name, assume_role_policy=trust, opts=opts)


def grant(
    name: str, role: pulumi.Input[str], statements: Sequence[Statement], opts: pulumi.ResourceOptions
) -> aws.iam.RolePolicy:
    """An inline policy of these statements on the role of this name."""
    return aws.iam.RolePolicy(name, role=role, policy=document(statements), opts=opts)


def account_condition(arn: pulumi.Input[str]) -> dict[str, Any]:
    """The condition that a service acts for the account that owns this ARN, and for no other."""
    account = pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[4])
    return {"StringEquals": {"aws:SourceAccount": account}}
