"""The table of metrics with its indexes, created or adopted, and the internal table beside it.

What is in an item is the processor's business, not this module's.
"""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import iam
from components.plain import check_plain


class MetricsStoreArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the tables' names, `{name_prefix}-metrics` and `{name_prefix}-state`."""
    existing_arn: NotRequired[str]
    """ARN of a table to use instead of creating one, in the stack's own account and region and with the keys and
    indexes of a created one; what follows says nothing of it. Default: create it."""
    existing_key_arn: NotRequired[str]
    """ARN of the customer managed key that encrypts the existing table. Default: none."""
    entity_type_health_index: NotRequired[bool]
    """Whether there is an index by entity_type and health_score. Default True."""
    last_updated_index: NotRequired[bool]
    """Whether there is an index by entity_type and last_updated. Every change of an item costs two write units in it,
    and all writes of a type meet at its moving end. Default False."""
    protect: NotRequired[bool]
    """Deletion protection in AWS, protection and retention in Pulumi, of both tables. Default False."""


class MetricsStore(pulumi.ComponentResource):
    """The table of metrics and the internal table: iops:index:MetricsStore.

    Children: `{name}-table`, an aws.dynamodb.Table on demand, encrypted, with point-in-time recovery and a stream of
    new and old images; none when it exists. `{name}-state`, a table of the processor's own, likewise but without a
    stream and with an expiry of items.
    Arguments: see MetricsStoreArgs. Outputs: table_arn, table_name, table_stream_arn (empty when the table exists: its
    ARN does not tell), state_table_arn, state_table_name.
    """

    table_arn: pulumi.Output[str]
    """The table's ARN."""
    table_name: pulumi.Output[str]
    """Its name."""
    table_stream_arn: pulumi.Output[str]
    """ARN of the table's stream of changes; empty when the table exists."""
    state_table_arn: pulumi.Output[str]
    """The internal table's ARN. No reader of metrics needs it."""
    state_table_name: pulumi.Output[str]
    """Its name."""

    def __init__(self, name: str, args: MetricsStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, MetricsStoreArgs, args)
        super().__init__("iops:index:MetricsStore", name, dict(args), opts)
        self._name = name
        self._key_arn = args.get("existing_key_arn", "")
        enabled = {
            "EntityTypeHealthIndex": args.get("entity_type_health_index", True),
            "LastUpdatedIndex": args.get("last_updated_index", False),
        }
        self.index_names = [index for index, wanted in enabled.items() if wanted]
        if existing_arn := args.get("existing_arn", ""):
            self.table_arn = pulumi.Output.from_input(existing_arn)
            self.table_name = pulumi.Output.from_input(existing_arn.partition("/")[2])
            self.table_stream_arn = pulumi.Output.from_input("")
        else:
            table = self._make_table(args)
            self.table_arn, self.table_name, self.table_stream_arn = table.arn, table.name, table.stream_arn
        state = self._make_state_table(args)
        self.state_table_arn, self.state_table_name = state.arn, state.name
        self.register_outputs(
            {
                "table_arn": self.table_arn,
                "table_name": self.table_name,
                "table_stream_arn": self.table_stream_arn,
                "state_table_arn": self.state_table_arn,
                "state_table_name": self.state_table_name,
            }
        )

    def _make_table(self, args: MetricsStoreArgs) -> aws.dynamodb.Table:
        protect = args.get("protect", False)
        keys = {"entity_id": "S", "entity_type": "S"}
        indexes: list[aws.dynamodb.TableGlobalSecondaryIndexArgs] = []
        if args.get("entity_type_health_index", True):
            keys |= {"health_score": "N"}
            indexes.append(_index("EntityTypeHealthIndex", "entity_type", "health_score"))
        if args.get("last_updated_index", False):
            keys |= {"last_updated": "S"}
            indexes.append(_index("LastUpdatedIndex", "entity_type", "last_updated"))
        return aws.dynamodb.Table(
            f"{self._name}-table",
            name=pulumi.Output.concat(args["name_prefix"], "-metrics"),
            billing_mode="PAY_PER_REQUEST",
            hash_key="entity_id",
            range_key="entity_type",
            # DynamoDB refuses attributes that no key names.
            attributes=[{"name": key, "type": kind} for key, kind in keys.items()],
            global_secondary_indexes=indexes,
            stream_enabled=True,
            stream_view_type="NEW_AND_OLD_IMAGES",
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True},
            deletion_protection_enabled=protect,
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect),
        )

    def _make_state_table(self, args: MetricsStoreArgs) -> aws.dynamodb.Table:
        """The internal table: tails and wakes."""
        protect = args.get("protect", False)
        return aws.dynamodb.Table(
            f"{self._name}-state",
            name=pulumi.Output.concat(args["name_prefix"], "-state"),
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            range_key="sk",
            attributes=[{"name": "pk", "type": "S"}, {"name": "sk", "type": "S"}],
            ttl={"attribute_name": "expires", "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True},
            deletion_protection_enabled=protect,
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=protect),
        )

    def grant_read(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let the role of this name read, query and scan the metrics table and its indexes, and nothing else."""
        statements = [
            iam.allow(
                ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"],
                [self.table_arn, pulumi.Output.concat(self.table_arn, "/index/*")],
            ),
            *key_statements(self._key_arn),
        ]
        return iam.grant(f"{self._name}-{name}-read", role, statements, pulumi.ResourceOptions(parent=self))


def processor_statements(table_arn: pulumi.Input[str], state_table_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What taking in events needs: read the touched items and tails, write both, and write wakes before."""
    return [
        iam.allow(
            ["dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", "dynamodb:PutItem"],
            [table_arn],
        ),
        iam.allow(["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:PutItem"], [state_table_arn]),
    ]


def roll_statements(table_arn: pulumi.Input[str], state_table_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What the roll needs: find the wakes that are due, bring their entities up to date, delete the wakes.

    It never inserts an item.
    """
    return [
        iam.allow(["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate", "dynamodb:PutItem"], [table_arn]),
        iam.allow(
            [
                "dynamodb:BatchGetItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
            ],
            [state_table_arn],
        ),
    ]


def rollup_statements(table_arn: pulumi.Input[str], state_table_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What a rollup needs: see how large the table is, read all of it, and take in what it found as the processor
    does."""
    return [
        iam.allow(["dynamodb:DescribeTable", "dynamodb:Scan"], [table_arn]),
        *processor_statements(table_arn, state_table_arn),
    ]


def scan_statements(table_arn: pulumi.Input[str], state_table_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What reading a segment of the table, with the tails of its items, needs."""
    return [
        iam.allow(["dynamodb:BatchGetItem", "dynamodb:Scan"], [table_arn]),
        iam.allow(["dynamodb:BatchGetItem"], [state_table_arn]),
    ]


def key_statements(key_arn: str) -> Sequence[iam.Statement]:
    """What DynamoDB does with the table's own key for whoever reads or writes items: it decrypts the table key
    (DynamoDB developer guide, encryption at rest, table key caching)."""
    return [iam.use_key(["kms:Decrypt"], key_arn, "dynamodb")] if key_arn else []


def _index(name: str, hash_key: str, range_key: str) -> aws.dynamodb.TableGlobalSecondaryIndexArgs:
    """An index of keys. DynamoDB writes to it when its key changes, and for no other change of an item."""
    return aws.dynamodb.TableGlobalSecondaryIndexArgs(
        name=name,
        key_schemas=[
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=hash_key, key_type="HASH"),
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=range_key, key_type="RANGE"),
        ],
        projection_type="KEYS_ONLY",
    )
