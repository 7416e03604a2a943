"""Describes one entity from its item: its numbers, alerts and facts, and its sessions and calls day by day.

`explain` says why the numbers are what they are. Nothing is written.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import polars as pl
from botocore.exceptions import ClientError

from functions.entities.attribute_values import Attributes, AttributeValue, from_attribute
from functions.entities.facts import CALL, RETENTION_MS, SESSION, Fact
from functions.entities.item import (
    OUTCOME_CODES,
    ROLLED_UP,
    State,
    entity_key,
    key_attributes,
    parse,
)
from functions.entities.plan import Rules
from functions.entities.tails import NO_TAIL
from functions.entities.windows import DAYS_7, DAYS_14, DAYS_30
from functions.model import DAY_MS, ENTITY_TYPES, SECOND_MS, EntityKey, EntityType, to_iso
from ops import items
from ops.aws import UserError
from ops.due import figures_of, first_due
from ops.entities.explain import Explained, explain_numbers
from ops.entities.explain_alerts import AlertExplained, explain_alerts
from ops.health import audit
from ops.items import Hour
from ops.metrics_table import HEALTH, LAST_UPDATED, MetricsTable
from ops.wholes import Whole

DAYS_SHOWN: Final = 30

_LOOKED_THROUGH: Final = 1_000
"""How many ids a mistyped one is compared with."""
_LIKENESS: Final = 0.75
_KINDS: Final = {SESSION: "session", CALL: "call"}
_OUTCOMES: Final = {code: name for name, code in OUTCOME_CODES.items()}
_WINDOWS: Final = {
    SESSION: {"7d": DAYS_7, "14d": DAYS_14, "30d": DAYS_30},
    CALL: {"7d": DAYS_7, "14d": DAYS_14},
}


@dataclass(frozen=True, slots=True)
class Day:
    """The sessions and calls of a day (UTC)."""

    day: str
    sessions: int
    calls: int


@dataclass(frozen=True, slots=True)
class DescribedFact:
    """A fact in words. Times are ISO-8601."""

    kind: str
    time: str
    id: str
    """The identity's hash, as 16 hexadecimal digits."""
    window: str
    """The shortest window that it counts in at the item's `as_of`; `none` when it is only kept."""
    leaves: str
    """When it leaves that window, or the item."""
    subject: str | None
    tutor: str | None
    rating: float | None
    rated_at: str | None
    outcome: str
    in_tail: bool
    """Whether it is kept beside the item, in the tail."""


@dataclass(frozen=True, slots=True)
class DescribedHour:
    """The facts of an hour that were folded into one row; their identities, outcomes and subjects are gone."""

    kind: str
    hour: str
    number: int
    ratings: int
    avg_rating: float | None


@dataclass(frozen=True, slots=True)
class Portrait:
    """Everything about an item. Times are ISO-8601."""

    entity_type: EntityType
    entity_id: str
    as_of: str
    last_updated: str
    attributes: Mapping[str, Any]
    """The public attributes as plain values."""
    alerts: Sequence[AlertExplained]
    days: Sequence[Day]
    """The last `DAYS_SHOWN` days, the oldest first; empty for entities without facts of their own."""
    first_session: Mapping[str, Any] | None
    rolled_up: Mapping[str, Any] | None
    """What the last rollup has stored beside the public figures."""
    unsent: int
    """How many notifications wait to be published."""
    due_at: str | None
    """When a roll next changes the item without an event."""
    due_because: str
    overdue: bool
    """Whether that moment has passed for longer than the roll may take."""
    folded_before: str | None
    settings: str
    """The thresholds of the explanation: `deployed` or `default`."""
    explained: Sequence[Explained]
    differing: Sequence[audit.Difference]
    """Attributes that do not follow from facts and registers."""
    facts: Sequence[DescribedFact]
    folded: Sequence[DescribedHour]


def read(dynamodb: Any, table: str, key: EntityKey) -> Attributes:
    """Reads an item by its key.

    Raises
    ------
    UserError
        When there is no such item. The message names similar ids.
    ClientError, BotoCoreError
        When the table cannot be read.
    """
    answer = dynamodb.get_item(TableName=table, Key=key_attributes(key), ConsistentRead=True)
    item: Attributes | None = answer.get("Item")
    if item is None:
        similar = _similar(dynamodb, table, key)
        hint = f" (near it: {', '.join(similar)})" if similar else ""
        raise UserError(
            f"there is no {key.entity_type} {key.entity_id} in the table {table}{hint}: check the id and the stack", 1
        )
    return item


def _similar(dynamodb: Any, table: str, key: EntityKey) -> list[str]:
    """Returns entities that the user may mean; none when they cannot be read."""
    keys = [key_attributes(EntityKey(kind, key.entity_id)) for kind in ENTITY_TYPES]
    try:
        answer = dynamodb.batch_get_item(
            RequestItems={table: {"Keys": keys, "ProjectionExpression": "entity_type, entity_id"}}
        )
        known = _some_ids(MetricsTable(dynamodb, table), key.entity_type)
        similar = difflib.get_close_matches(key.entity_id, known, cutoff=_LIKENESS)
    except ClientError:
        return []
    of_other_types = sorted(entity_key(found).entity_type for found in answer["Responses"].get(table, ()))
    return [f"{kind} {key.entity_id}" for kind in of_other_types] + [f"{key.entity_type} {name}" for name in similar]


def _some_ids(table: MetricsTable, entity_type: EntityType) -> list[str]:
    """Returns some ids of a type, as many as cost little to read; those that changed last where an index has them."""
    for index in (LAST_UPDATED, HEALTH) if entity_type in ("student", "tutor") else (LAST_UPDATED,):
        if index in table.indexes:
            keys = chain.from_iterable(table.keys(index, entity_type, descending=True))
            return [key.entity_id for key in islice(keys, _LOOKED_THROUGH)]
    rows = islice(table.scan(None, ()), _LOOKED_THROUGH)
    return [row["entity_id"] for row in rows if row["entity_type"] == entity_type]


def portray(item: Whole, rules: Rules, now_ms: int, *, deployed: bool) -> Portrait:
    """Describes and explains an item.

    Parameters
    ----------
    item
        With its tail.
    rules
        The processor's settings.
    now_ms
        The clock, epoch ms; the days end there. Numbers are explained at the item's own `as_of`.
    deployed
        Whether the rules are those of a stack, not the default ones.

    Raises
    ------
    UserError
        When this release cannot read or recompute the item.
    """
    found = audit.examine([item], rules, now_ms - audit.OVERDUE_SECONDS * SECOND_MS)
    for unreadable in found.unreadable:
        raise UserError(
            f"the item of {' '.join(unreadable.key)} is damaged or of another release: {unreadable.reason}; deploy the "
            "release that wrote it, or restore the item",
            1,
        )
    head, tail = item.head, item.tail or NO_TAIL
    state = parse(head, tail)
    due = first_due(state, rules)
    return Portrait(
        entity_type=state.key.entity_type,
        entity_id=state.key.entity_id,
        as_of=to_iso(state.as_of),
        last_updated=from_attribute(head["last_updated"]),
        attributes=figures_of(state),
        alerts=explain_alerts(state, rules),
        days=_days(state, now_ms) if state.key.entity_type in ("student", "tutor") else (),
        first_session=_with_iso_times(head.get("first_session")),
        rolled_up=_with_iso_times(head.get(ROLLED_UP)),
        unsent=len(state.alerts.outbox),
        due_at=None if due is None else to_iso(due.at * SECOND_MS),
        due_because="nothing changes by itself" if due is None else due.because,
        overdue=bool(found.overdue),
        folded_before=None if tail.folded_before is None else to_iso(tail.folded_before),
        settings="deployed" if deployed else "default",
        explained=explain_numbers(state, rules),
        differing=[difference for differing in found.differing for difference in differing.differences],
        facts=_described_facts(state),
        folded=[_describe_hour(hour) for hour in items.hours_of(state)],
    )


def _days(state: State, now_ms: int) -> list[Day]:
    """Sums the sessions and calls of each of the last days, folded ones included."""
    today = now_ms // DAY_MS
    daily = (
        items.rows_of_facts(state)
        .group_by((pl.col("time") // DAY_MS).alias("day"), "session")
        .agg(pl.col("weight").sum())
    )
    sums = {(day, session): weight for day, session, weight in daily.iter_rows()}
    return [
        Day(to_iso(day * DAY_MS)[:10], sums.get((day, True), 0), sums.get((day, False), 0))
        for day in range(today - DAYS_SHOWN + 1, today + 1)
    ]


def _described_facts(state: State) -> list[DescribedFact]:
    """Describes the facts of head and tail, the oldest first."""
    recent, older = items.parts_of(state)
    facts = [
        (fact, in_tail)
        for part, in_tail in ((recent, False), (older, True))
        for fact in items.facts_of(part, state.as_of)
    ]
    facts.sort(key=lambda entry: (entry[0].time, entry[0].kind, entry[0].id))
    return [_describe_fact(fact, state.as_of, in_tail=in_tail) for fact, in_tail in facts]


def _describe_fact(fact: Fact, as_of: int, *, in_tail: bool) -> DescribedFact:
    inside = {name: length for name, length in _WINDOWS[fact.kind].items() if fact.time > as_of - length}
    window, leaves = next(
        ((name, fact.time + length) for name, length in inside.items()), ("none", fact.last + RETENTION_MS)
    )
    return DescribedFact(
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
        in_tail=in_tail,
    )


def _describe_hour(hour: Hour) -> DescribedHour:
    return DescribedHour(
        kind=_KINDS[hour.kind],
        hour=to_iso(hour.time),
        number=hour.weight,
        ratings=hour.rating_count,
        avg_rating=round(hour.rating_sum / hour.rating_count / 10_000, 4) if hour.rating_count else None,
    )


def _with_iso_times(attribute: AttributeValue | None) -> dict[str, Any] | None:
    """Decodes a stored map and writes its times as ISO-8601 and its identities as hexadecimal digits."""
    if attribute is None:
        return None
    values = dict(from_attribute(attribute))
    for name, value in values.items():
        if name in ("time", "as_of") or name.endswith("_time"):
            values[name] = to_iso(value) if value else None
        elif name == "session":
            values[name] = f"{value:016x}"
    return values
