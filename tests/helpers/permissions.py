"""Judges a call by policy documents, as far as the documents of this program go: what it does not know is an error.

No emulator knows every name in them (local/policies.py), so what those cannot prove is judged here (IAM user guide,
policy evaluation logic and condition operators).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of an AWS service by an identity, or by a service for a resource."""

    action: str
    resource: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
    """Condition keys of the call; a list is a key with several values. An absent key is absent."""


def allowed(statements: Iterable[Statement], call: Call) -> bool:
    """Whether some statement allows the call and none denies it. Principals are not looked at."""
    effects = {each["Effect"] for each in statements if matches(each, call)}
    return "Allow" in effects and "Deny" not in effects


def refused(statements: Iterable[Statement], call: Call) -> list[str]:
    """The names of the statements that deny the call."""
    return [each["Sid"] for each in statements if each["Effect"] == "Deny" and matches(each, call)]


def matches(statement: Statement, call: Call) -> bool:
    """Whether the statement is about the call."""
    return (
        any(_like(call.action.lower(), action.lower()) for action in _listed(statement["Action"]))
        and any(_like(call.resource, resource) for resource in _listed(statement["Resource"]))
        and all(
            _holds(operator, _listed(call.context[key]) if key in call.context else [], _listed(wanted))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, actual: Sequence[str], wanted: Sequence[str]) -> bool:
    """One operator; `actual` is empty where the key is absent."""
    quantity, _, single = operator.rpartition(":")
    if single.endswith("IfExists"):
        return not actual or _holds(operator.removesuffix("IfExists"), actual, wanted)
    if single == "Null":
        return (not actual) == (wanted == ["true"])
    negated = {
        "StringNotEquals": "StringEquals",
        "ArnNotEquals": "ArnLike",
        "ArnNotLike": "ArnLike",
    }
    positive = {"ArnEquals": "ArnLike", "Bool": "StringEquals"}.get(single, negated.get(single, single))
    assert positive in ("StringEquals", "StringLike", "ArnLike"), f"the operator {operator} is not known here"

    def one(value: str) -> bool:
        same = any(value == each if positive == "StringEquals" else _like(value, each) for each in wanted)
        return same != (single in negated)

    match quantity:
        case "ForAllValues":
            return all(map(one, actual))
        case "ForAnyValue":
            return any(map(one, actual))
        case "":
            assert len(actual) <= 1, f"{operator} compares one value, and the call has {actual}"
            return one(actual[0]) if actual else single in negated
    raise AssertionError(f"the operator {operator} is not known here")


def _like(value: str, pattern: str) -> bool:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
