"""What is kept for a time is deleted after it: tails and wakes expire."""

from collections.abc import Sequence
from functools import partial

from pulumi_policy import PolicyResource

from .rules import Rule, Violations, is_true, read, stack_policy, type_of

_TABLE = "aws:dynamodb/table:Table"
_FUNCTION = "aws:lambda/function:Function"
_NAMES_IT = "environment.variables.STATE_TABLE_NAME"
# The attribute is that of docs/state.md.
_RULES = [
    Rule("ttl.enabled", is_true, "True"),
    Rule("ttl.attributeName", lambda name: name == "expires", "'expires'"),
]


def _expiring(resource: PolicyResource, stack: Sequence[PolicyResource]) -> Violations:
    if type_of(resource) == _TABLE:
        functions = [other for other in stack if type_of(other) == _FUNCTION]
        for rule in _RULES:
            yield partial(_judged, resource, rule, functions)


def _judged(table: PolicyResource, rule: Rule, functions: Sequence[PolicyResource]) -> str | None:
    """The internal table is the one that functions are given as theirs."""
    name = read(table.props, "name")
    if not any(read(function.props, _NAMES_IT) == name for function in functions):
        return None
    return rule.about(table)()


EXPIRY = [
    stack_policy("state-expires", "The internal table deletes tails and wakes that have expired.", _expiring),
]
