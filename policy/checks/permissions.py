"""Policy documents say exactly what they allow, and to whom. They are found by their content, in any resource."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pulumi_policy import ResourceValidationArgs
from pulumi_policy.proxy import UnknownValueError

from .rules import Rule, Violations, read, read_steps, resource_policy, violation

Statement = Mapping[str, Any]
Steps = tuple[str, ...]

_KEYS = {"aws:kms/key:Key", "aws:kms/keyPolicy:KeyPolicy"}
# SNS developer guide, key management: what a service that publishes to an encrypted topic needs of the key.
_KEY_ACTIONS = {"kms:GenerateDataKey*"}
# Service authorization reference: these actions know no resources, so `*` is the only thing to write.
_WITHOUT_RESOURCES = {
    "cloudwatch:PutMetricData",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}

# Where the provider takes documents; those of a known value are found under any name.
_DOCUMENTS = {"accessPolicies", "assumeRolePolicy", "inlinePolicies", "policy", "policyDocument", "resourcePolicy"}


def _actions(args: ResourceValidationArgs, statement: Statement) -> str | None:
    if "NotAction" in statement:
        return "NotAction allows all other actions: it must be Action, with their names"
    wild = [action for action in _listed(statement.get("Action")) if "*" in action or "?" in action]
    if args.resource_type in _KEYS:
        wild = [action for action in wild if action not in _KEY_ACTIONS]
        # Without this statement nobody could administer the key (KMS developer guide, default key policy).
        if wild == ["kms:*"] and _is_account(statement.get("Principal")):
            wild = []
    return f"Action is {', '.join(wild)}: it must be the names of actions" if wild else None


def _resources(args: ResourceValidationArgs, statement: Statement) -> str | None:
    if "NotResource" in statement:
        return "NotResource allows all other resources: it must be Resource, with their ARNs"
    if "*" not in _listed(statement.get("Resource")) or args.resource_type in _KEYS:
        return None  # in a key's policy `*` is that key
    limited = [action for action in _listed(statement.get("Action")) if action not in _WITHOUT_RESOURCES]
    return f"Resource of {', '.join(limited)} is *: it must be ARNs" if limited else None


def _principals(_: ResourceValidationArgs, statement: Statement) -> str | None:
    if "NotPrincipal" in statement:
        return "NotPrincipal allows everybody else: it must be Principal"
    principal = statement.get("Principal")
    kinds = principal.values() if isinstance(principal, Mapping) else [principal]
    if any("*" in _listed(names) for names in kinds) and not statement.get("Condition"):
        return "Principal is *: it must be a service or an account, or have a Condition"
    return None


def _each_statement(
    judge: Callable[[ResourceValidationArgs, Statement], str | None],
) -> Callable[[ResourceValidationArgs], Violations]:
    """The judgement of every Allow statement of every policy document that a resource has."""

    def ask(args: ResourceValidationArgs) -> Violations:
        for steps in _texts(args.props, ()):
            yield partial(_judged, args, steps, judge)

    return ask


def _judged(
    args: ResourceValidationArgs, steps: Steps, judge: Callable[[ResourceValidationArgs, Statement], str | None]
) -> str | None:
    statements = [
        statement for statement in _statements(read_steps(args.props, steps)) if statement.get("Effect") == "Allow"
    ]
    found = [message for message in (judge(args, statement) for statement in statements) if message]
    return f"{args.name}: {'.'.join(steps)}: " + "; ".join(found) if found else None


def _texts(value: Any, path: Steps) -> Iterator[Steps]:
    """Where there are texts in the properties; what is not known counts if its name is one of a policy document."""
    for step in value if isinstance(value, Mapping) else range(len(value)):
        here = (*path, str(step))
        try:
            part = value[step]
        except UnknownValueError:
            if not _DOCUMENTS.isdisjoint(here):
                yield here  # whoever reads it leaves the question to the update
            continue
        if isinstance(part, str):
            yield here
        elif isinstance(part, Mapping | Sequence):
            yield from _texts(part, here)


def _statements(text: str) -> Sequence[Statement]:
    """The statements of a policy document; none of any other text."""
    if '"Statement"' not in text:
        return []
    try:
        document = json.loads(text)
    except ValueError:
        return []
    statements = document.get("Statement", []) if isinstance(document, dict) else []
    return [statements] if isinstance(statements, dict) else list(statements)


def _listed(value: Any) -> Sequence[str]:
    """One or many, as policy documents write them."""
    return [value] if isinstance(value, str) else list(value or [])


def _is_account(principal: Any) -> bool:
    names = _listed(principal.get("AWS")) if isinstance(principal, Mapping) and len(principal) == 1 else []
    return bool(names) and all(re.fullmatch(r"arn:aws[a-z-]*:iam::[0-9]{12}:root", name) for name in names)


def _attachments(args: ResourceValidationArgs) -> Violations:
    """Policies that AWS manages: what they allow is not in the program, and changes."""
    own = Rule("policyArn", lambda arn: not _is_aws_managed(arn), "a policy of the stack, not one that AWS manages")
    if args.resource_type.startswith("aws:iam/") and "Attachment" in args.resource_type:
        yield own.about(args)
    if args.resource_type == "aws:iam/role:Role":
        yield lambda: _managed(args)


def _managed(args: ResourceValidationArgs) -> str | None:
    for arn in read(args.props, "managedPolicyArns") or []:
        if _is_aws_managed(arn):
            return violation(args, "managedPolicyArns", arn, "policies of the stack, not ones that AWS manages")
    return None


def _is_aws_managed(arn: Any) -> bool:
    return isinstance(arn, str) and re.match(r"arn:aws[a-z-]*:iam::aws:policy/", arn) is not None


def _public_functions(args: ResourceValidationArgs) -> Violations:
    if args.resource_type == "aws:lambda/permission:Permission":
        yield Rule("principal", lambda value: value != "*", "a service or an account").about(args)
    if args.resource_type == "aws:lambda/functionUrl:FunctionUrl":
        yield Rule("authorizationType", lambda value: value == "AWS_IAM", "'AWS_IAM'").about(args)


def _no_public_principals(args: ResourceValidationArgs) -> Violations:
    yield from _each_statement(_principals)(args)
    yield from _public_functions(args)


PERMISSIONS = [
    resource_policy("no-wildcard-actions", "Policies name the actions that they allow.", _each_statement(_actions)),
    resource_policy(
        "no-wildcard-resources", "Policies name the resources that they allow.", _each_statement(_resources)
    ),
    resource_policy("no-public-principals", "Resources' own policies say who may use them.", _no_public_principals),
    resource_policy("no-aws-managed-policies", "Roles have policies of their own.", _attachments),
]
