"""The stream of events: created, or one that is already there. It knows nothing of who reads it."""

from collections.abc import Iterator, Sequence
from typing import Final, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import iam
from components.plain import check_plain

_ON_DEMAND_SHARDS: Final = 4
"""What a stream made on demand begins with (Kinesis developer guide, "On-demand mode")."""


class EventStreamArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the stream's name, `{name_prefix}-events`."""
    existing_arn: NotRequired[str]
    """ARN of a stream to use instead of creating one. Default: create it."""
    existing_key_arn: NotRequired[str]
    """ARN of the customer managed key that encrypts the existing stream. Default: none."""
    shards: NotRequired[int]
    """Shards of the created stream; 0 scales on demand. One update halves or doubles them at most. Default 1."""
    retention_hours: NotRequired[pulumi.Input[int]]
    """How long the created stream keeps records, 24 to 8760 hours. Default 24."""
    protect: NotRequired[bool]
    """Protect and retain the created stream. Default False."""


class EventStream(pulumi.ComponentResource):
    """The stream of events: iops:index:EventStream.

    Children: `{name}-stream`, an aws.kinesis.Stream encrypted with the account's key for Kinesis; none when it exists.
    Before an update of the stream, `check_shards` looks at its number of shards, in a preview already.
    Arguments: see EventStreamArgs. Outputs: stream_arn, stream_name.
    """

    stream_arn: pulumi.Output[str]
    """The stream's ARN."""
    stream_name: pulumi.Output[str]
    """Its name."""

    def __init__(self, name: str, args: EventStreamArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, EventStreamArgs, args)
        super().__init__("iops:index:EventStream", name, dict(args), opts)
        self._name = name
        self._key_arn = args.get("existing_key_arn", "")
        if existing_arn := args.get("existing_arn", ""):
            self.stream_arn = pulumi.Output.from_input(existing_arn)
            self.stream_name = pulumi.Output.from_input(existing_arn.partition("/")[2])
        else:
            shards, protect = args.get("shards", 1), args.get("protect", False)
            possible = pulumi.ResourceHook(f"{name}-shards", check_shards, pulumi.ResourceHookOptions(on_dry_run=True))
            stream = aws.kinesis.Stream(
                f"{name}-stream",
                name=pulumi.Output.concat(args["name_prefix"], "-events"),
                stream_mode_details={"stream_mode": "PROVISIONED" if shards else "ON_DEMAND"},
                shard_count=shards or None,
                retention_period=args.get("retention_hours", 24),
                encryption_type="KMS",
                kms_key_id="alias/aws/kinesis",
                opts=pulumi.ResourceOptions(
                    parent=self,
                    protect=protect,
                    retain_on_delete=protect,
                    hooks=pulumi.ResourceHookBinding(before_update=[possible]),
                ),
            )
            self.stream_arn, self.stream_name = stream.arn, stream.name
        self.register_outputs({"stream_arn": self.stream_arn, "stream_name": self.stream_name})

    def grant_write(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let the role of this name put records on the stream."""
        statements = [*write_statements(self.stream_arn), *write_key_statements(self._key_arn)]
        return iam.grant(f"{self._name}-{name}-write", role, statements, pulumi.ResourceOptions(parent=self))


def check_shards(stream: pulumi.ResourceHookArgs) -> None:
    """Check that Kinesis would take the stream's new number of shards. The engine calls it before an update.

    What the stream has is what Pulumi's state knows: the shards of a provisioned stream, and of one on demand nothing
    but that it began with 4.

    Raises
    ------
    ValueError
        When it is less than half or more than double of what the stream has (Kinesis API, UpdateShardCount).
    """
    wanted = int((stream.new_inputs or {}).get("shardCount") or 0)
    known = int((stream.old_outputs or {}).get("shardCount") or 0)
    present = known or _ON_DEMAND_SHARDS
    least, most = -(-present // 2), 2 * present
    # An on-demand stream may have grown, so that only too few are known to be refused.
    if not wanted or least <= wanted <= (most if known else wanted):
        return
    allowed = f"{least} to {most}" if known else f"{least} or more"
    shown = f"has {present} shards" if known else f"is on demand, which begins with {present} shards"
    way = ", then to ".join(map(str, shard_steps(present, wanted)))
    raise ValueError(
        f"{stream.name}: shards is {wanted}: it must be {allowed}, since the stream {shown} and one change halves or "
        f"doubles them at most; set it to {way}, each with a `pulumi up` of its own"
    )


def shard_steps(present: int, wanted: int) -> Iterator[int]:
    """Yield the numbers of shards by which a stream comes from one to another, each at most half or double."""
    while present != wanted:
        present = min(max(wanted, -(-present // 2)), 2 * present)
        yield present


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
