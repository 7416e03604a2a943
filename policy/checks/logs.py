"""What runs leaves logs, and logs end: every log group says when, no function is left to make one that never does."""

from collections.abc import Sequence

from pulumi_policy import PolicyResource, ResourceValidationArgs

from .rules import Rule, Violations, is_set, read, resource_policy, stack_policy

_FUNCTION = "aws:lambda/function:Function"
_GROUP = "aws:cloudwatch/logGroup:LogGroup"
# 0 is the provider's word for never.
_RETENTION = Rule(
    "retentionInDays",
    lambda value: isinstance(value, int | float) and value > 0,
    "a number of days that CloudWatch Logs offers",
)


_LOGGED = [
    Rule("loggingConfiguration.level", lambda level: level in ("ALL", "ERROR", "FATAL"), "'ALL', 'ERROR' or 'FATAL'"),
    Rule("loggingConfiguration.logDestination", is_set, "a log group's ARN, followed by :*"),
]


def _retained(args: ResourceValidationArgs) -> Violations:
    if args.resource_type == _GROUP:
        yield _RETENTION.about(args)


def _has_group(resource: PolicyResource, stack: Sequence[PolicyResource]) -> Violations:
    if resource.resource_type == _FUNCTION:
        yield lambda: _declared(resource, [other for other in stack if other.resource_type == _GROUP])


def _declared(function: PolicyResource, groups: Sequence[PolicyResource]) -> str | None:
    sources = {source.urn for source in function.property_dependencies.get("loggingConfig", [])}
    if any(group.urn in sources for group in groups):
        return None
    # Without a group of its own Lambda makes the one of its name, and keeps what is in it for ever.
    name = read(function.props, "loggingConfig.logGroup") or f"/aws/lambda/{read(function.props, 'name')}"
    if any(read(group.props, "name") == name for group in groups):
        return None
    return f"{function.name}: its log group is {name!r}: it must be one that the stack declares, with a retention"


def _logged(args: ResourceValidationArgs) -> Violations:
    if args.resource_type == "aws:sfn/stateMachine:StateMachine":
        for rule in _LOGGED:
            yield rule.about(args)


LOGS = [
    resource_policy("log-retention", "Every log group says how long logs are kept.", _retained),
    stack_policy("functions-have-log-groups", "Every function writes to a log group of the stack.", _has_group),
    resource_policy("state-machines-log", "Every state machine logs at least what fails.", _logged),
]
