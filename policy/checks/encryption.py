"""Data at rest is encrypted, and no bucket is open to the public."""

from collections.abc import Callable, Sequence
from functools import partial

from pulumi_policy import PolicyResource, ResourceValidationArgs

from .protection import PRODUCTION_SCHEMA, in_production
from .rules import Rule, Violations, is_set, is_true, read, resource_policy, stack_policy, type_of, violation

_BUCKET = "aws:s3/bucket:Bucket"
_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
_ACCESS = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

_ENCRYPTED = {
    "aws:kinesis/stream:Stream": [
        Rule("encryptionType", lambda value: value == "KMS", "'KMS'"),
        Rule("kmsKeyId", is_set, "a KMS key, such as 'alias/aws/kinesis'"),
    ],
    "aws:dynamodb/table:Table": [Rule("serverSideEncryption.enabled", is_true, "True")],
    _ENCRYPTION: [
        Rule(
            "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm",
            lambda value: value in ("AES256", "aws:kms", "aws:kms:dsse"),
            "'AES256', 'aws:kms' or 'aws:kms:dsse'",
        )
    ],
}
_BLOCKED = [
    Rule(setting, is_true, "True")
    for setting in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
]


def _encrypted(args: ResourceValidationArgs) -> Violations:
    for rule in _ENCRYPTED.get(type_of(args), []):
        yield rule.about(args)
    if type_of(args) == "aws:sqs/queue:Queue":
        yield lambda: _queue(args)
    if type_of(args) == "aws:sns/topic:Topic":
        yield lambda: _topic(args)


def _queue(args: ResourceValidationArgs) -> str | None:
    if is_true(read(args.props, "sqsManagedSseEnabled")) or is_set(read(args.props, "kmsMasterKeyId")):
        return None
    value = read(args.props, "sqsManagedSseEnabled")
    return violation(args, "sqsManagedSseEnabled", value, "True, or kmsMasterKeyId a KMS key")


def _topic(args: ResourceValidationArgs) -> str | None:
    """Under the AWS managed key EventBridge and CloudWatch can't publish (SNS developer guide, key management)."""
    key, production = read(args.props, "kmsMasterKeyId"), in_production(args)
    if (not key and not production) or (key and key != "alias/aws/sns"):
        return None
    allowed = "a customer managed KMS key" + ("" if production else ", or not set outside production")
    return violation(args, "kmsMasterKeyId", key, allowed)


def _private(args: ResourceValidationArgs) -> Violations:
    if type_of(args) == _ACCESS:
        for rule in _BLOCKED:
            yield rule.about(args)


def _completed_by(type_: str, what: str) -> Callable[[PolicyResource, Sequence[PolicyResource]], Violations]:
    """The question whether each bucket has the resource of another type that completes it."""

    def ask(resource: PolicyResource, stack: Sequence[PolicyResource]) -> Violations:
        if type_of(resource) == _BUCKET:
            yield partial(completed, resource, [other for other in stack if type_of(other) == type_])

    def completed(bucket: PolicyResource, others: Sequence[PolicyResource]) -> str | None:
        if any(_is_of(other, bucket) for other in others):
            return None
        return f"{bucket.name}: its {type_.rpartition(':')[2]} is not set: it must be {what}"

    return ask


def _is_of(other: PolicyResource, bucket: PolicyResource) -> bool:
    """Whether a resource's `bucket` is this one: it depends on it, or says its name."""
    if sources := other.property_dependencies.get("bucket", []):
        return any(source.urn == bucket.urn for source in sources)
    name = read(bucket.props, "bucket")
    return name is not None and read(other.props, "bucket") == name


ENCRYPTION = [
    resource_policy(
        "encryption-at-rest",
        "Streams, tables, queues, topics and buckets encrypt what they hold.",
        _encrypted,
        config_schema=PRODUCTION_SCHEMA,
    ),
    stack_policy(
        "buckets-say-their-encryption",
        "Every bucket has an encryption configuration of its own.",
        _completed_by(_ENCRYPTION, "one with AES256 or a KMS key"),
    ),
    resource_policy("public-access-blocked", "A bucket's public access block blocks all of it.", _private),
    stack_policy(
        "buckets-block-public-access",
        "Every bucket has a public access block.",
        _completed_by(_ACCESS, "one that blocks everything"),
    ),
]
