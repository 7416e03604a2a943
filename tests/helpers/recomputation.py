"""A test's deployment beside the oracle: what is in its table, and what must be there."""

import base64
from typing import Any

from functions.model import Record
from proof import oracle
from proof.world import public_items
from tests.helpers.deployment import Deployment

AS_SHIPPED = oracle.Rules()


def public(deployment: Deployment) -> dict[tuple[str, str], dict[str, Any]]:
    """The table's public attributes, as the recomputation gives them."""
    return public_items(deployment.aws)


def recomputed(
    records: list[Record], as_of: int, rules: oracle.Rules = AS_SHIPPED, *, rolled_up: bool = False
) -> oracle.Recomputed:
    """The recomputation at a moment, with a rollup at the same one or without any."""
    given = [oracle.Record(base64.b64decode(each.data), each.arrival_ms, each.sequence_number) for each in records]
    return oracle.recompute(given, as_of, rules, oracle.roll_up(given, as_of, rules) if rolled_up else None)


def expected_of(deployment: Deployment, expected: oracle.Recomputed) -> dict[tuple[str, str], dict[str, Any]]:
    """What must be in the table: of subjects that outlive their sessions those that an earlier rollup has made."""
    outlived = {key: item for key, item in expected.outlived.items() if key in deployment.aws.items}
    return expected.entities | outlived


def facts(deployment: Deployment) -> dict[tuple[str, str], Any]:
    """What is stored of facts and registers, byte for byte."""
    names = (
        "facts",
        "first_session",
        "reported",
        "regions",
        "subjects",
        "availability_at",
    )
    return {key: {name: item[name] for name in names if name in item} for key, item in deployment.aws.items.items()}
