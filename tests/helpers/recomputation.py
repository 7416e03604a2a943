"""A test's deployment beside the oracle: what is in its table, and what must be there."""

import base64
from typing import Any

from functions.model import DAY_MS, Record
from proof import oracle
from proof.stored import public_items
from tests.helpers.deployment import NOW, Deployment

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


def forgets_a_part(stream: list[bytes]) -> bool:
    """Whether a session's earliest event may be forgotten while a later one still counts for its subject.

    A limit of the design (docs/design.md): no student or tutor is named by all events of the session, and these lie
    more than two days apart, so that one item forgets its part while another item's part is in the 30 days.
    """
    events: dict[tuple[str, ...], list[tuple[int, set[tuple[str, str]]]]] = {}
    for data in stream:
        try:
            event = oracle.accept(oracle.Record(data, NOW, "0"))
        except oracle.Rejected:
            continue
        if event.event_type in ("session_started", "session_completed"):
            named = {("student", event.student_id), ("tutor", event.tutor_id)}
            names = {(entity_type, name) for entity_type, name in named if name is not None}
            events.setdefault(event.identity, []).append((event.time, names))
    return any(
        max(time for time, _ in told) - min(time for time, _ in told) > 2 * DAY_MS
        and not set.intersection(*(names for _, names in told))
        for told in events.values()
    )


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
