"""The stream of events: created, or one that is already there. It knows nothing of who reads it."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import iam


class EventStreamArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the stream's name, `{name_prefix}-events`."""
    existing_arn: NotRequired[str]
    """ARN of a stream to use instead of creating one. Default: create it."""
    existing_key_arn: NotRequired[str]
    """ARN of the customer managed key that encrypts the existing stream. Default: none."""
    shards: NotRequired[int]
    """Shards of the created stream; 0 scales on demand. Default 0."""
    retention_hours: NotRequired[pulumi.Input[int]]
    """How long the created stream keeps records, 24 to 8760 hours. Default 24."""
    protect: NotRequired[bool]
    """Protect and retain the created stream. Default False."""


class EventStream(pulumi.ComponentResource):
    """The stream of events: iops:index:EventStream.

    Children: `{name}-stream`, an aws.kinesis.Stream encrypted with the account's key for Kinesis; none when it exists.
    Arguments: see EventStreamArgs. Outputs: stream_arn, stream_name.
    """

    stream_arn: pulumi.Output[str]
    """The stream's ARN."""
    stream_name: pulumi.Output[str]
    """Its name."""

    def __init__(self, name: str, args: EventStreamArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iops:index:EventStream", name, dict(args), opts)
        self._name = name
        self._key_arn = args.get("existing_key_arn", "")
        if existing_arn := args.get("existing_arn", ""):
            self.stream_arn = pulumi.Output.from_input(existing_arn)
            self.stream_name = pulumi.Output.from_input(existing_arn.partition("/")[2])
        else:
            shards, protect = args.get("shards", 0), args.get("protect", False)
            stream = aws.kinesis.Stream(
                f"{name}-stream",
                name=pulumi.Output.concat(args["name_prefix"], "-events"),
                stream_mode_details={"stream_mode": "PROVISIONED" if shards else "ON_DEMAND"},
                shard_count=shards or None,
                retention_period=args.get("retention_hours", 24),
                encryption_type="KMS",
                kms_key_id="alias/aws/kinesis",
                opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect),
            )
            self.stream_arn, self.stream_name = stream.arn, stream.name
        self.register_outputs({"stream_arn": self.stream_arn, "stream_name": self.stream_name})

    def grant_write(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let the role of this name put records on the stream."""
        statements = [*write_statements(self.stream_arn), *write_key_statements(self._key_arn)]
        return iam.grant(f"{self._name}-{name}-write", role, statements, pulumi.ResourceOptions(parent=self))


def read_statements(stream_arn: pulumi.Input[str], key_arn: str) -> Sequence[iam.Statement]:
    """What an event source mapping needs (Lambda developer guide, Kinesis, execution role permissions)."""
    actions = ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
    return [
        iam.allow([f"kinesis:{action}" for action in actions], [stream_arn]),
        *([iam.use_key(["kms:Decrypt"], key_arn, "kinesis")] if key_arn else []),
    ]


def write_statements(stream_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What a producer calls."""
    return [iam.allow(["kinesis:PutRecords"], [stream_arn])]


def write_key_statements(key_arn: str) -> Sequence[iam.Statement]:
    """What Kinesis does with the stream's own key for a producer (Kinesis developer guide, permissions to use
    user-generated KMS keys)."""
    return [iam.use_key(["kms:GenerateDataKey"], key_arn, "kinesis")] if key_arn else []
