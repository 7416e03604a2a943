"""Lets the policies judge recorded resources, with the arguments that the pack's server would make of them."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy.checks import POLICIES
from tests.helpers.recorded_program import Registered

UNKNOWN = UNKNOWN_STRING_VALUE
"""What stands in a resource's properties for a text that a preview does not know yet."""
ABSENT = object()
"""Stands for no value in `changed`."""


@dataclass(frozen=True)
class Finding:
    """A violation that a policy reports."""

    policy: str
    urn: str
    message: str


def judge(resources: Sequence[Registered], config: Mapping[str, Mapping[str, Any]] | None = None) -> list[Finding]:
    """Everything that all policies find in a stack of these resources; `config` is a policy's own, by its name."""
    findings: list[Finding] = []
    given = config or {}
    for policy in POLICIES:
        own = given.get(policy.name)
        if isinstance(policy, ResourceValidationPolicy):
            for resource in resources:
                args = ResourceValidationArgs(
                    resource.type, _properties(resource), resource.urn, resource.name, _options(resource), None, own
                )
                findings += _ask(policy, args, resource.urn)
        else:
            assert isinstance(policy, StackValidationPolicy)
            findings += _ask(policy, StackValidationArgs(_linked(resources), own), "")
    return findings


def _ask(policy: Any, args: Any, urn: str) -> Iterable[Finding]:
    found: list[Finding] = []
    policy.validate(args, lambda message, of=None: found.append(Finding(policy.name, of or urn, message)))
    return found


def changed(resources: Sequence[Registered], name: str, path: str, value: Any) -> list[Registered]:
    """The same resources but for one property (`a.b.0.c`) of one of them, or its option `protect`."""
    (old,) = [resource for resource in resources if resource.name == name and resource.custom]
    if path == "protect":
        return [replace(old, protect=value) if resource is old else resource for resource in resources]
    inputs = deepcopy({key: part for key, part in old.inputs.items() if key == path.split(".")[0]})
    holder: Any = inputs
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        holder = holder[step]
    if value is ABSENT:
        del holder[last]
    else:
        holder[last] = value
    rest = {key: part for key, part in old.inputs.items() if key != path.split(".")[0]}
    new = replace(old, inputs={**rest, **inputs})
    return [new if resource is old else resource for resource in resources]


def _properties(resource: Registered) -> dict[str, Any]:
    return unknown_checking_proxy(resource.inputs)


def _options(resource: Registered) -> PolicyResourceOptions:
    return PolicyResourceOptions(resource.protect, [], None, [], PolicyCustomTimeouts(0, 0, 0), [], resource.parent)


def _linked(resources: Sequence[Registered]) -> list[PolicyResource]:
    made = {
        r.urn: PolicyResource(r.type, _properties(r), r.urn, r.name, _options(r), None, None, [], {}) for r in resources
    }
    for resource in resources:
        policy_resource = made[resource.urn]
        policy_resource.dependencies += [made[urn] for urn in resource.dependencies if urn in made]
        policy_resource.property_dependencies |= {
            key: [made[urn] for urn in urns if urn in made] for key, urns in resource.property_dependencies.items()
        }
    return list(made.values())
