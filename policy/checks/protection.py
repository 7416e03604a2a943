"""In production nothing that can't be made again is deleted by mistake. Configuration says which stacks that are."""

from pulumi_policy import PolicyConfigSchema, ResourceValidationArgs

from .rules import Rule, Violations, is_true, resource_policy, stack_of, type_of, violation

PRODUCTION_SCHEMA = PolicyConfigSchema(
    properties={
        "productionStacks": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["prod", "production"],
            "description": "Names of the stacks that are production.",
        }
    }
)

_RULES = {
    "aws:dynamodb/table:Table": [
        Rule("deletionProtectionEnabled", is_true, "True in production"),
        Rule("pointInTimeRecovery.enabled", is_true, "True in production"),
    ],
    "aws:s3/bucket:Bucket": [
        Rule("forceDestroy", lambda value: value in (None, False), "False in production, or not set")
    ],
}
# What holds data, a key to data, or a position in the stream. A bucket that is not empty AWS itself refuses to delete.
_PROTECTED = {
    "aws:dynamodb/table:Table",
    "aws:kinesis/stream:Stream",
    "aws:kms/key:Key",
    "aws:lambda/eventSourceMapping:EventSourceMapping",
}


def in_production(args: ResourceValidationArgs) -> bool:
    """Whether the resource's stack is production: by its name, so that no setting of the program can deny it."""
    stacks = args.get_config().get("productionStacks", ["prod", "production"])
    return stack_of(args) in stacks


def _protected(args: ResourceValidationArgs) -> Violations:
    if not in_production(args):
        return
    for rule in _RULES.get(type_of(args), []):
        yield rule.about(args)
    if type_of(args) in _PROTECTED:
        yield lambda: None if args.opts.protect else violation(args, "protect", False, "True in production")


PROTECTION = [
    resource_policy(
        "deletion-protection",
        "In production, what can't be made again is protected from deletion.",
        _protected,
        config_schema=PRODUCTION_SCHEMA,
    )
]
