"""IAM documents and roles as every component writes them.

What is allowed names its actions; of a topic key's policy alone, `kms:GenerateDataKey*`. Its resources are ARNs, which
end in a wildcard only where AWS or a later caller makes the rest: objects under a prefix, log streams, executions,
indexes, rules and alarms. `*` alone stands where AWS knows no resources, and for the key itself in its own policy.
"""

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


def deny(
    sid: str, actions: Sequence[str], resources: Sequence[pulumi.Input[str]], condition: Mapping[str, Any]
) -> Statement:
    """One statement of a resource's own policy that refuses everybody for whom the condition holds."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": condition,
    }


def tls_only(actions: Sequence[str], resources: Sequence[pulumi.Input[str]]) -> Statement:
    """One statement of a resource's own policy that refuses every call that is not known to be over TLS."""
    return deny("TlsOnly", actions, resources, {"BoolIfExists": {"aws:SecureTransport": "false"}})


def only_when(statement: Statement, operator: str, key: str, value: pulumi.Input[str]) -> Statement:
    """The statement with one more condition."""
    conditions = statement.get("Condition", {})
    return {**statement, "Condition": {**conditions, operator: {**conditions.get(operator, {}), key: value}}}


def use_key(actions: Sequence[str], key_arn: pulumi.Input[str], service: str) -> Statement:
    """What using a customer managed key through an AWS service needs, and through no other (AWS KMS developer guide,
    kms:ViaService)."""
    # In China the service's name goes on with .cn.
    via = pulumi.Output.from_input(key_arn).apply(lambda arn: f"{service}.{arn.split(':')[3]}.amazonaws.com*")
    return allow(actions, [key_arn], condition={"StringLike": {"kms:ViaService": via}})


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


def own_place(own: pulumi.Input[str], **given: pulumi.Input[str]) -> pulumi.Output[str]:
    """The ARN of something of the stack's own, once it is known that all that was given is in its account and region.

    Raises
    ------
    ValueError
        When something is not, in the program's run that knows both ARNs: naming the argument, its ARN and the place.
    """

    def check(known: dict[str, str]) -> str:
        place = known["own"].split(":")
        for argument, arn in known.items():
            parts = arn.split(":")
            if (parts[1], *parts[3:5]) != (place[1], *place[3:5]):
                raise ValueError(
                    f"{argument} is {arn}: it must be in the stack's own account and region, "
                    f"{place[4]} and {place[3]} of {place[1]}"
                )
        return known["own"]

    return pulumi.Output.all(own=own, **given).apply(check)


def account(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """The account that owns what has this ARN."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.split(":")[4])
