"""How a policy looks at a resource: properties by path, rules about them, and messages that say what is allowed.

During a preview some values are not known yet. Reading one raises pulumi-policy's UnknownValueError, and the question
is left unanswered: `pulumi up` asks it again with the value, before the resource is touched. A warning for each would
bury what is known to be wrong, which is reported all the same.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pulumi_policy import (
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

Resource = ResourceValidationArgs | PolicyResource
Violations = Iterable[Callable[[], str | None]]
"""Questions about one resource. Each answers with a message, or None when all is well, or raises UnknownValueError."""


@dataclass(frozen=True)
class Rule:
    """What must be true of one property."""

    path: str
    """Names and list positions with dots between: `serverSideEncryption.enabled`."""
    holds: Callable[[Any], bool]
    """Asked with the value; with None when the property is absent."""
    allowed: str
    """Completes the sentence `it must be ...`."""

    def about(self, resource: Resource) -> Callable[[], str | None]:
        """The question whether the rule holds of a resource."""

        def question() -> str | None:
            value = read(resource.props, self.path)
            return None if self.holds(value) else violation(resource, self.path, value, self.allowed)

        return question


def is_true(value: Any) -> bool:
    """Whether a property is set to true."""
    return value is True


def is_set(value: Any) -> bool:
    """Whether a property has a value, and not an empty one."""
    return bool(value)


def read(properties: Any, path: str) -> Any:
    """The value at a path, None where there is none.

    Raises
    ------
    UnknownValueError
        When the value, or what contains it, is not known during a preview.
    """
    return read_steps(properties, path.split("."))


def read_steps(properties: Any, steps: Iterable[str]) -> Any:
    """The same, where names may have dots in them."""
    value = properties
    for step in steps:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, Sequence) and not isinstance(value, str) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def violation(resource: Resource, path: str, value: Any, allowed: str) -> str:
    """The message: which resource, which property, what it is, what it must be."""
    return f"{resource.name}: {path} is {_shown(value)}: it must be {allowed}"


def type_of(resource: Resource) -> str:
    """The resource's type; pulumi-aws still has some of S3's a second time, as `aws:s3/bucketV2:BucketV2`."""
    return re.sub("^(aws:s3/.*)V2:(.*)V2$", r"\1:\2", resource.resource_type)


def stack_of(resource: Resource) -> str:
    """The name of the resource's stack, from its URN (`urn:pulumi:<stack>::<project>::...`)."""
    return resource.urn.split("::")[0].removeprefix("urn:pulumi:")


def resource_policy(
    name: str, description: str, ask: Callable[[ResourceValidationArgs], Violations], **more: Any
) -> ResourceValidationPolicy:
    """A policy about one resource at a time, asked before it is created or changed."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        _report(ask(args), report)

    return ResourceValidationPolicy(name=name, description=description, validate=validate, **more)


def stack_policy(
    name: str,
    description: str,
    ask: Callable[[PolicyResource, Sequence[PolicyResource]], Violations],
) -> StackValidationPolicy:
    """A policy about resources that belong together: `ask` gets each resource of the stack, and all of them."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource in args.resources:
            _report(ask(resource, args.resources), report, resource.urn)

    return StackValidationPolicy(name=name, description=description, validate=validate)


def _report(questions: Violations, report: ReportViolation, urn: str | None = None) -> None:
    """Ask all questions and report what is wrong; those about values that are not known yet have no answer."""
    for question in questions:
        with suppress(UnknownValueError):
            message = question()
            if message is not None:
                report(message, urn)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # numbers come as floats
    return repr(value) if isinstance(value, str | bool | int | float) else f"of type {type(value).__name__}"
