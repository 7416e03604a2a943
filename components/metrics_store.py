"""The table of metrics with its indexes. What is in an item is the processor's business, not this module's."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import iam

# What both dashboard indexes project. An index with an INCLUDE projection takes 20 attributes at most (AWS limit).
_WINDOWS = (
    *(
        "sessions_7d",
        "sessions_14d",
        "sessions_30d",
        "ib_calls_7d",
        "ib_calls_14d",
        "avg_rating",
        "ratings_30d",
    ),
    *("session_velocity", "alerts", "first_sessions_30d", "first_session_success_rate"),
)
_SUPPLY = (
    *("region", "available_tutors", "active_students", "demand_score", "supply_score", "balance_status"),
    "high_demand_subjects",
)
DUE_INDEX = "DueIndex"


class MetricsStoreArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the table's name, `{name_prefix}-metrics`."""
    entity_type_health_index: NotRequired[bool]
    """Whether there is an index by entity_type and health_score. Default True."""
    last_updated_index: NotRequired[bool]
    """Whether there is an index by entity_type and last_updated. Default True."""
    due_index: NotRequired[bool]
    """Whether there is an index of what is due for a roll. Default True."""
    protect: NotRequired[bool]
    """Deletion protection in AWS, protection and retention in Pulumi. Default False."""


class MetricsStore(pulumi.ComponentResource):
    """The table of metrics: iops:index:MetricsStore.

    Children: `{name}-table`, an aws.dynamodb.Table on demand, encrypted, with point-in-time recovery and a stream of
    new and old images.
    Arguments: see MetricsStoreArgs. Outputs: table_arn, table_name, table_stream_arn.
    """

    table_arn: pulumi.Output[str]
    table_name: pulumi.Output[str]
    table_stream_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MetricsStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("iops:index:MetricsStore", name, dict(args), opts)
        self._name = name
        protect = args.get("protect", False)
        keys = {"entity_id": "S", "entity_type": "S"}
        indexes: list[aws.dynamodb.TableGlobalSecondaryIndexArgs] = []
        if args.get("entity_type_health_index", True):
            keys |= {"health_score": "N"}
            projected = [*_WINDOWS, "last_updated"]
            indexes.append(_index("EntityTypeHealthIndex", "entity_type", "health_score", projected))
        if args.get("last_updated_index", True):
            keys |= {"last_updated": "S"}
            projected = [*_WINDOWS, "health_score", *_SUPPLY]
            indexes.append(_index("LastUpdatedIndex", "entity_type", "last_updated", projected))
        if args.get("due_index", True):
            keys |= {"due_partition": "S", "due_at": "N"}
            indexes.append(_index(DUE_INDEX, "due_partition", "due_at", []))
        table = aws.dynamodb.Table(
            f"{name}-table",
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
        self.table_arn, self.table_name, self.table_stream_arn = table.arn, table.name, table.stream_arn
        self.register_outputs(
            {
                "table_arn": self.table_arn,
                "table_name": self.table_name,
                "table_stream_arn": self.table_stream_arn,
            }
        )

    def grant_read(self, name: str, role: pulumi.Input[str]) -> aws.iam.RolePolicy:
        """Let the role of this name read items and query the indexes."""
        statements = [
            iam.allow(
                ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"],
                [self.table_arn, pulumi.Output.concat(self.table_arn, "/index/*")],
            )
        ]
        return iam.grant(f"{self._name}-{name}-read", role, statements, pulumi.ResourceOptions(parent=self))


def processor_statements(table_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What taking in events needs: read the touched items, insert and update them."""
    actions = ["dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"]
    return [iam.allow(actions, [table_arn])]


def roll_statements(table_arn: pulumi.Input[str]) -> Sequence[iam.Statement]:
    """What the roll needs: find what is due, read and update it; it never inserts."""
    return [
        iam.allow(["dynamodb:Query"], [pulumi.Output.concat(table_arn, "/index/", DUE_INDEX)]),
        iam.allow(["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate"], [table_arn]),
    ]


def _index(
    name: str, hash_key: str, range_key: str, projected: Sequence[str]
) -> aws.dynamodb.TableGlobalSecondaryIndexArgs:
    return aws.dynamodb.TableGlobalSecondaryIndexArgs(
        name=name,
        key_schemas=[
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=hash_key, key_type="HASH"),
            aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(attribute_name=range_key, key_type="RANGE"),
        ],
        projection_type="INCLUDE" if projected else "KEYS_ONLY",
        non_key_attributes=list(projected) or None,
    )
