"""What ministack judges otherwise than AWS in policies, and the documents that it gets in their place.

Nothing is left out of them silently: each change has its reason, and readback.py lists them all. Must not change what
the program declares, nor allow an action or a resource that the program does not, but for one name that only ministack
knows.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

UNKNOWN_KEYS = {
    "events:source": "PutEvents does not tell the events' sources",
    "lambda:SourceFunctionArn": "a function's calls do not tell the function",
}
"""Condition keys of allowing statements without a value on ministack, where such a statement would never hold."""

_BATCH = {"Effect": "Allow", "Action": "dynamodb:BatchExecuteStatement", "Resource": "*"}
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):role/(.+)")


def for_ministack(policy: str) -> tuple[str, list[str]]:
    """Return the document that has on ministack the effect of `policy` on AWS, and what was changed and why.

    An unchanged document comes back as it is, with no reason.
    """
    document = json.loads(policy)
    reasons: list[str] = []
    statements = []
    for statement in document["Statement"]:
        if _refuses_plain_text(statement):
            reasons.append("nothing is refused for want of TLS: the local AWS is reached over plain HTTP")
        else:
            statements.append(_with_known_conditions(statement, reasons))
    if any(action.startswith("dynamodb:PartiQL") for each in statements for action in _listed(each["Action"])):
        statements.append(_BATCH)
        reasons.append(
            "dynamodb:BatchExecuteStatement is allowed: ministack checks this name alone, "
            "where AWS checks each statement's own"
        )
    if not reasons:
        return policy, []
    return json.dumps({**document, "Statement": statements}), sorted(set(reasons))


def _refuses_plain_text(statement: dict[str, Any]) -> bool:
    return bool(statement["Effect"] == "Deny" and "aws:SecureTransport" in dict(_keys(statement)))


def _keys(statement: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each condition key of a statement with its operator."""
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            yield key, operator


def _with_known_conditions(statement: dict[str, Any], reasons: list[str]) -> dict[str, Any]:
    conditions: dict[str, dict[str, Any]] = {}
    for key, operator in _keys(statement):
        value = statement["Condition"][operator][key]
        if statement["Effect"] == "Allow" and key in UNKNOWN_KEYS:
            reasons.append(f"the condition {key} is left out: {UNKNOWN_KEYS[key]}")
            continue
        if key == "aws:PrincipalArn" and (role := _ROLE.fullmatch(value)):
            partition, account, name = role.groups()
            value = [value, f"arn:{partition}:sts::{account}:assumed-role/{name}/*"]
            reasons.append(f"{key} may be a session of the role: ministack does not give it as the role's ARN")
        conditions.setdefault(operator, {})[key] = value
    others = {name: value for name, value in statement.items() if name != "Condition"}
    return {**others, "Condition": conditions} if conditions else others


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
