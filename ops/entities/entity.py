"""One entity as its item has it: its numbers, its alerts, its facts, and its days in a row.

Why they are what they are says explain.py. Nothing is written.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from botocore.exceptions import ClientError

from functions.entities import packing
from functions.entities.facts import CALL, RETENTION_MS, SESSION, Fact
from functions.entities.item import OUTCOME_CODES, ROLLED_UP, Attributes, from_attribute, parse, to_attribute
from functions.entities.plan import Rules
from functions.entities.windows import DAYS_7, DAYS_14, DAYS_30
from functions.model import DAY_MS, ENTITY_TYPES, SECOND_MS, EntityKey, EntityType, to_iso
from ops import table_indexes
from ops.aws import UserError
from ops.entities.explain import AlertExplained, Explained, explain_alerts, explain_numbers, public_attributes, why_due
from ops.health import audit
from ops.table_indexes import Indexes

DAYS_SHOWN: Final = 30

_LOOKED_THROUGH: Final = 1_000
"""Among so many ids, those that changed last, a mistyped one is looked for."""
_LIKENESS: Final = 0.75
_KINDS: Final = {SESSION: "session", CALL: "call"}
_OUTCOMES: Final = {code: name for name, code in OUTCOME_CODES.items()}
_STANDS_IN: Final = {
    SESSION: {"7d": DAYS_7, "14d": DAYS_14, "30d": DAYS_30},
    CALL: {"7d": DAYS_7, "14d": DAYS_14},
}


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on a day (UTC)."""

    day: str
    sessions: int
    calls: int


@dataclass(frozen=True, slots=True)
class FactTold:
    """A fact in words; times are ISO-8601."""

    kind: str
    time: str
    id: str
    """The identity's hash, as 16 hexadecimal digits."""
    window: str
    """The shortest window that it stands in at the item's `as_of`; `none` when it is only kept."""
    leaves: str
    """When it leaves that window, or the item."""
    subject: str | None
    tutor: str | None
    rating: float | None
    rated_at: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class HourTold:
    """Facts of an hour that were folded into one row: they have no identity, outcome or subject any more."""

    kind: str
    hour: str
    number: int
    ratings: int
    avg_rating: float | None


@dataclass(frozen=True, slots=True)
class Portrait:
    """All there is to tell of an item; times are ISO-8601."""

    entity_type: EntityType
    entity_id: str
    as_of: str
    last_updated: str
    attributes: Mapping[str, Any]
    """The public ones, as plain values."""
    alerts: Sequence[AlertExplained]
    days: Sequence[Day]
    """The last `DAYS_SHOWN`, oldest first; empty for entities that have no facts of their own."""
    first_session: Mapping[str, Any] | None
    rolled_up: Mapping[str, Any] | None
    """What the last rollup has left beside the public figures."""
    unsent: int
    """Notifications that wait to be published."""
    due_at: str | None
    """When the item changes next by itself."""
    due_because: str
    overdue: bool
    """Whether that moment has passed."""
    folded_before: str | None
    settings: str
    """Whose thresholds the explanation goes by: `deployed` or `default`."""
    explained: Sequence[Explained]
    differing: Sequence[audit.Difference]
    """Attributes that are not what facts and registers make of them."""
    facts: Sequence[FactTold]
    folded: Sequence[HourTold]


def read(dynamodb: Any, table: str, key: EntityKey) -> Attributes:
    """An item by its key.

    Raises
    ------
    UserError
        When there is none, with ids that are near.
    ClientError, BotoCoreError
        When the table cannot be read.
    """
    wanted = {name: to_attribute(value) for name, value in key._asdict().items()}
    item: Attributes | None = dynamodb.get_item(TableName=table, Key=wanted, ConsistentRead=True).get("Item")
    if item is None:
        near = _near(dynamodb, table, key)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise UserError(
            f"there is no {key.entity_type} {key.entity_id} in the table {table}{hint}: check the id and the stack", 1
        )
    return item


def _near(dynamodb: Any, table: str, key: EntityKey) -> list[str]:
    """Entities that may be meant; none where they cannot be looked for."""
    keys = [{"entity_type": to_attribute(each), "entity_id": to_attribute(key.entity_id)} for each in ENTITY_TYPES]
    try:
        answer = dynamodb.batch_get_item(
            RequestItems={table: {"Keys": keys, "ProjectionExpression": "entity_type, entity_id"}}
        )
        found = Indexes(dynamodb, table)
        newest = found.rows(
            found.get(table_indexes.LAST_UPDATED), key.entity_type, (), descending=True, limit=_LOOKED_THROUGH
        )
        near = difflib.get_close_matches(key.entity_id, [row["entity_id"] for row in newest], cutoff=_LIKENESS)
    except (ClientError, UserError):
        return []
    same = sorted(item["entity_type"]["S"] for item in answer["Responses"].get(table, ()))
    return [f"{each} {key.entity_id}" for each in same] + [f"{key.entity_type} {each}" for each in near]


def portray(item: Attributes, rules: Rules, now_ms: int, *, deployed: bool) -> Portrait:
    """What an item says, and why.

    Parameters
    ----------
    item
        As the table has it.
    rules
        The processor's settings.
    now_ms
        The clock, epoch ms: the days end there. Numbers are explained at the item's own `as_of`.
    deployed
        Whether the rules are a stack's, or the default ones.

    Raises
    ------
    UserError
        When this release cannot read or recompute the item.
    """
    found = audit.examine([item], rules, 0)
    for unreadable in found.unreadable:
        raise UserError(
            f"the item of {' '.join(unreadable.key)} is damaged or of another release: {unreadable.reason}; deploy the "
            "release that wrote it, or restore the item",
            1,
        )
    state = parse(item)
    has_facts = state.key.entity_type in ("student", "tutor")
    due_at = from_attribute(item["due_at"]) * SECOND_MS if "due_at" in item else None
    return Portrait(
        entity_type=state.key.entity_type,
        entity_id=state.key.entity_id,
        as_of=to_iso(state.as_of),
        last_updated=from_attribute(item["last_updated"]),
        attributes=public_attributes(state),
        alerts=explain_alerts(state, rules),
        days=_days(packing.things([state.facts]), now_ms) if has_facts else (),
        first_session=_with_times(item.get("first_session")),
        rolled_up=_with_times(item.get(ROLLED_UP)),
        unsent=len(state.alerts.outbox),
        due_at=None if due_at is None else to_iso(due_at),
        due_because=why_due(state, due_at, rules),
        overdue=due_at is not None and due_at <= now_ms,
        folded_before=None if state.folded_before is None else to_iso(state.folded_before),
        settings="deployed" if deployed else "default",
        explained=explain_numbers(state, rules),
        differing=[one for each in found.differing for one in each.differences],
        facts=[_told(fact, state.as_of) for fact in packing.facts_of(state.facts)],
        folded=[
            HourTold(
                kind=_KINDS[hour.kind],
                hour=to_iso(hour.time),
                number=hour.weight,
                ratings=hour.rating_count,
                avg_rating=round(hour.rating_sum / hour.rating_count / 10_000, 4) if hour.rating_count else None,
            )
            for hour in packing.hours_of(state.facts.folded)
        ],
    )


def _days(things: pl.DataFrame, now_ms: int) -> list[Day]:
    """The sum of sessions and calls of each of the last days, folded ones included."""
    today = now_ms // DAY_MS
    daily = things.group_by((pl.col("time") // DAY_MS).alias("day"), "session").agg(pl.col("weight").sum())
    found = {(day, session): weight for day, session, weight in daily.iter_rows()}
    return [
        Day(to_iso(day * DAY_MS)[:10], found.get((day, True), 0), found.get((day, False), 0))
        for day in range(today - DAYS_SHOWN + 1, today + 1)
    ]


def _told(fact: Fact, as_of: int) -> FactTold:
    inside = {name: length for name, length in _STANDS_IN[fact.kind].items() if fact.time > as_of - length}
    window, leaves = next(
        ((name, fact.time + length) for name, length in inside.items()), ("none", fact.last + RETENTION_MS)
    )
    return FactTold(
        kind=_KINDS[fact.kind],
        time=to_iso(fact.time),
        id=f"{fact.id:016x}",
        window=window,
        leaves=to_iso(leaves),
        subject=fact.subject,
        tutor=fact.tutor,
        rating=None if fact.rating is None else fact.rating / 10_000,
        rated_at=None if fact.rating_time is None else to_iso(fact.rating_time),
        outcome=_OUTCOMES[fact.outcome],
    )


def _with_times(attribute: Any) -> dict[str, Any] | None:
    """A stored map whose times are epoch ms, with ISO-8601 in their place and identities as they are shown."""
    if attribute is None:
        return None
    told = dict(from_attribute(attribute))
    for name, value in told.items():
        if name in ("time", "as_of") or name.endswith("_time"):
            told[name] = to_iso(value) if value else None
        elif name == "session":
            told[name] = f"{value:016x}"
    return told
