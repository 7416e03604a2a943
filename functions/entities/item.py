"""A metrics item: what is stored under which attribute, and back.

The names and meanings here outlive every release: extend them, never change them. Pure; DynamoDB's attribute values
come and go as the plain dictionaries of its API.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from functions.entities import fact_columns
from functions.entities.alerts import NO_ALERTS, Alerts, Episodes, Firing, Notification
from functions.entities.attribute_values import Attributes, from_attribute, plain, to_attribute
from functions.entities.fact_columns import FactColumns
from functions.entities.facts import FAILURE, SUCCESS, UNKNOWN
from functions.entities.registers import AVAILABILITY, REPORTED, FirstSession, Register, high_demand
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.model import EntityKey, EntityType, from_iso, to_iso

WHEN_WRITTEN: Final = frozenset({"version", "as_of", "last_updated"})
"""Attributes that say when an item was written; they alone are no reason to write it."""

INTERNAL: Final = frozenset(
    {
        "version",
        "as_of",
        "facts",
        "folded_before",
        "first_session",
        "rolled_up",
        "availability_at",
        "alert_episodes",
        "outbox",
        "due_at",
        "due_partition",
    }
)
"""Attributes that are the processor's own; the others are for users."""

SESSION_METRICS: Final = (
    "sessions_7d",
    "sessions_14d",
    "sessions_30d",
    "avg_rating",
    "ratings_30d",
    "session_velocity",
    "health_score",
)
CALL_METRICS: Final = ("ib_calls_7d", "ib_calls_14d")
_FIGURES: Final = {"student": SESSION_METRICS + CALL_METRICS, "tutor": SESSION_METRICS}

_SLOT_MAPS: Final = {"subject": "regions", "region": "subjects"}
"""Where a subject's and a region's registers are kept."""
_LATEST_FIELDS: Final = (
    "available_tutors",
    "active_students",
    "demand_score",
    "supply_score",
    "balance_status",
)
_AVAILABILITY: Final = (
    "available_hours_this_week",
    "subjects",
    "timezone",
    "accepts_instant_book",
    "availability_at",
)
_PARSED: Final = (
    "version",
    "as_of",
    "folded_before",
    "first_session",
    "alerts",
    "alert_episodes",
)
ROLLED_UP: Final = "rolled_up"
"""Where all of `Totals` but its public figures is kept; what is None is left out."""
_ROLLED_UP: Final = ("as_of", "first_outcomes", "usual_daily", "surge_score")
_FRACTIONS: Final = frozenset({"avg_rating", "first_session_success_rate", "usual_daily", "surge_score"})
"""What a rollup gives that need not be whole."""
_REGISTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "student": ("reported",),
    "tutor": _AVAILABILITY,
    "subject": ("regions",),
    "region": ("subjects",),
}
"""In which attributes an entity's registers are."""
_OUTCOMES: Final = {UNKNOWN: "unknown", FAILURE: "failure", SUCCESS: "success"}
OUTCOME_CODES: Final = {name: code for code, name in _OUTCOMES.items()}

_OUTBOX_AND_DUE: Final = ("outbox", "due_at", "due_partition")
"""The attributes that clearing an outbox changes, beside `version`."""


@dataclass(frozen=True, slots=True)
class State:
    """An item. Version 0 means that it does not exist yet."""

    key: EntityKey
    version: int = 0
    as_of: int = 0
    """Epoch ms; never goes back."""
    facts: FactColumns = fact_columns.NOTHING
    folded_before: int | None = None
    registers: Mapping[str, Register] = field(default_factory=dict)
    first_session: FirstSession | None = None
    totals: Totals | None = None
    """What the last rollup with new figures wrote. Every other write keeps it."""
    alerts: Alerts = NO_ALERTS
    stored: Attributes = field(default_factory=dict)
    """Every attribute as it is in the table. It is never changed in place."""


@lru_cache(8_192)
def due_partition(key: EntityKey, partitions: int) -> str:
    """Which of the `DueIndex`'s partitions an entity belongs to."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    return str(int.from_bytes(digest) % partitions)


def parse(attributes: Attributes) -> State:
    """An item as read from the table.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When an attribute that the processor reads is not what `attributes_of` writes.
    """
    kind = cast(EntityType, attributes["entity_type"]["S"])
    names = _PARSED + _REGISTERS[kind]
    item: dict[str, Any] = {name: from_attribute(attributes[name]) for name in names if name in attributes}
    _check_types(item)
    key = EntityKey(kind, attributes["entity_id"]["S"])
    version, as_of = item["version"], item["as_of"]
    firing, episodes = item["alerts"], item["alert_episodes"]
    return State(
        key,
        version,
        as_of,
        fact_columns.read(bytes(attributes["facts"]["B"])) if "facts" in attributes else fact_columns.NOTHING,
        item.get("folded_before"),
        _parse_registers(key, item),
        _parse_first_session(item["first_session"]) if "first_session" in item else None,
        parse_totals(kind, attributes),
        Alerts(
            {name: Firing(**fields) for name, fields in firing.items()},
            {name: Episodes(**fields) for name, fields in episodes.items()},
            parse_outbox(attributes),
        ),
        attributes,
    )


def _check_types(item: Mapping[str, Any]) -> None:
    """Refuses what would be noticed only later, in the middle of a batch, and stop all of it."""
    for name in ("version", "as_of", "folded_before"):
        if not isinstance(number := item.get(name, 0), int) or not 0 <= number < 1 << 47:
            raise ValueError(f"{name} is {number!r}, not a whole number below 2^47")


def _parse_registers(key: EntityKey, item: Mapping[str, Any]) -> dict[str, Register]:
    if key.entity_type == "student":
        return {REPORTED: _parse_register(item["reported"], "reported_at")} if "reported" in item else {}
    if key.entity_type == "tutor":
        availability = {name: item[name] for name in _AVAILABILITY if name in item}
        return {AVAILABILITY: _parse_register(availability, "availability_at")} if "availability_at" in item else {}
    slots = item[_SLOT_MAPS[key.entity_type]]
    return {slot: _parse_register(value, "updated_at") for slot, value in slots.items()}


def _parse_register(value: dict[str, Any], at: str) -> Register:
    return Register(from_iso(value.pop(at)), value)


def _parse_first_session(stored: Mapping[str, Any]) -> FirstSession:
    return FirstSession(**{**stored, "outcome": OUTCOME_CODES[stored["outcome"]]})


def parse_totals(kind: EntityType, attributes: Attributes) -> Totals | None:
    """What a rollup has written into an item; None where there is nothing of one.

    Parameters
    ----------
    kind
        The item's entity type.
    attributes
        The item's, or of them only `ROLLED_UP` and those that `TOTALS_ATTRIBUTES` names.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When one of them is missing or not what `attributes_of` writes.
    """
    if ROLLED_UP not in attributes or kind not in TOTALS_ATTRIBUTES:
        return None
    figures = {name: from_attribute(attributes[name]) for name in TOTALS_ATTRIBUTES[kind]}
    kept = from_attribute(attributes[ROLLED_UP])
    for name, number in {**figures, **kept}.items():
        allowed = (int, float) if name in _FRACTIONS else (int,)
        if type(number) not in allowed or not math.isfinite(number):
            raise TypeError(f"{name} is {number!r}, not a {'' if name in _FRACTIONS else 'whole '}number")
    if not 0 <= kept["as_of"] < 1 << 47:
        raise ValueError(f"{ROLLED_UP}.as_of is {kept['as_of']}, not a whole number below 2^47")
    return Totals(figures=figures, **kept)


def public_metrics(state: State, measured: Mapping[str, Any]) -> dict[str, Any]:
    """The public figures of contract section 2: all its attributes but the registers', `alerts` and `last_updated`.

    Parameters
    ----------
    state
        With its registers merged.
    measured
        The entity's row of what `windows.measure` gives.
    """
    kind, registers = state.key.entity_type, state.registers
    public: dict[str, Any] = {}
    if kind in ("student", "tutor"):
        public = {name: measured[name] for name in _FIGURES[kind]}
        public["health_score"] = plain(measured["health_score"])
        public["avg_rating"] = plain(measured["avg_rating"] / 10_000)
    elif kind == "region":
        for name in ("available_tutors", "active_students"):
            public[name] = sum(register.value.get(name, 0) for register in registers.values())
        public["high_demand_subjects"] = high_demand(registers)
    elif registers:
        region, latest = max(registers.items(), key=lambda slot: (slot[1].time, slot[0]))
        public = {"region": region, **{name: latest.value[name] for name in _LATEST_FIELDS if name in latest.value}}
    return public


def _register_attributes(state: State) -> dict[str, Any]:
    """The attributes in which an entity's registers are kept."""
    kind, registers = state.key.entity_type, state.registers
    if kind == "student":
        return {"reported": _with_time(registers[REPORTED], "reported_at")} if REPORTED in registers else {}
    if kind == "tutor":
        return _with_time(registers[AVAILABILITY], "availability_at") if AVAILABILITY in registers else {}
    return {_SLOT_MAPS[kind]: {slot: _with_time(register, "updated_at") for slot, register in registers.items()}}


def _with_time(register: Register, name: str) -> dict[str, Any]:
    return {**register.value, name: to_iso(register.time)}


def attributes_of(
    state: State, public: Mapping[str, Any], due_at: int | None, due_partitions: int, before: State
) -> Attributes:
    """Everything that is stored of an item.

    Parameters
    ----------
    state
        The item's new state.
    public
        From `public_metrics`.
    due_at
        Epoch seconds of the earliest moment at which something changes without an event; None without one.
    due_partitions
        How many partitions the `DueIndex` has.
    before
        The state that this one was made of: what both have in common keeps its stored form.
    """
    alerts, seen, totals = state.alerts, state.first_session, state.totals
    item: dict[str, Any] = {
        "entity_id": state.key.entity_id,
        "entity_type": state.key.entity_type,
        **public,
        "as_of": state.as_of,
        "last_updated": to_iso(state.as_of),
    }
    kept: list[str] = []
    if state.registers is before.registers and before.stored:
        kept += _REGISTERS[state.key.entity_type]
    else:
        item |= _register_attributes(state)
    if alerts is before.alerts and before.stored:
        kept += ("alerts", "alert_episodes")
    else:
        item["alerts"] = {name: firing._asdict() for name, firing in alerts.firing.items()}
        item["alert_episodes"] = {name: episodes._asdict() for name, episodes in alerts.episodes.items()}
    if seen is before.first_session:
        kept.append("first_session")
    elif seen is not None:
        known = {name: value for name, value in seen._asdict().items() if value is not None}
        item["first_session"] = known | {"outcome": _OUTCOMES[seen.outcome]}
    if totals is not None and totals is before.totals:
        kept += (ROLLED_UP, *TOTALS_ATTRIBUTES[state.key.entity_type])
    elif totals is not None:
        known = {name: plain(value) for name in _ROLLED_UP if (value := getattr(totals, name)) is not None}
        item |= {name: plain(value) for name, value in totals.figures.items()} | {ROLLED_UP: known}
    if state.folded_before is not None:
        item["folded_before"] = state.folded_before
    attributes = {name: to_attribute(value) for name, value in item.items()}
    attributes |= _outbox_and_due(state, due_at, due_partitions)
    for name in kept:
        if (stored := before.stored.get(name)) is not None:
            attributes[name] = stored
    if state.facts.blob:
        attributes["facts"] = {"B": state.facts.blob}
    return attributes


def with_outbox(state: State, due_at: int | None, due_partitions: int) -> Attributes:
    """Return an item's stored attributes with its outbox, version and due time as the state has them now."""
    kept = {name: value for name, value in state.stored.items() if name not in _OUTBOX_AND_DUE}
    return kept | _outbox_and_due(state, due_at, due_partitions)


def _outbox_and_due(state: State, due_at: int | None, due_partitions: int) -> Attributes:
    attributes = {"version": to_attribute(state.version)}
    if state.alerts.outbox:
        attributes["outbox"] = to_attribute([notification.detail for notification in state.alerts.outbox])
    if due_at is not None:
        attributes["due_at"] = to_attribute(due_at)
        attributes["due_partition"] = to_attribute(due_partition(state.key, due_partitions))
    return attributes


def key_attributes(key: EntityKey) -> Attributes:
    """Return an entity's key as DynamoDB takes it."""
    return {name: to_attribute(value) for name, value in key._asdict().items()}


def entity_key(attributes: Attributes) -> EntityKey:
    """Return the key of an item, or of a part of it that includes the key."""
    return EntityKey(from_attribute(attributes["entity_type"]), from_attribute(attributes["entity_id"]))


def parse_outbox(attributes: Attributes) -> tuple[Notification, ...]:
    """Parse `outbox`, alone or with other attributes; raises as `parse` does."""
    return tuple(Notification.parse(detail["S"]) for detail in attributes.get("outbox", {"L": ()})["L"])


def parse_due_at(attributes: Attributes) -> int | None:
    """Parse `due_at`, epoch seconds, in the same way; None where nothing changes by itself."""
    return int(attributes["due_at"]["N"]) if "due_at" in attributes else None


UNREADABLE: Final = (KeyError, ValueError, TypeError, AttributeError)
"""What `parse` and `parse_scanned` raise for an item that is not what `attributes_of` writes."""
_SCANNED: Final = (
    "entity_id",
    "entity_type",
    "facts",
    ROLLED_UP,
    *(f"first_session.{name}" for name in ("time", "subject", "tutor_id", "outcome")),
    *dict.fromkeys(name for names in TOTALS_ATTRIBUTES.values() for name in names),
)
_PLACEHOLDERS: Final = {name: f"#{name}" for path in _SCANNED for name in path.split(".")}
"""Some names, such as `time`, are reserved words of DynamoDB's expressions."""
SCAN_PROJECTION: Final = {
    "ProjectionExpression": ", ".join(".".join(map(_PLACEHOLDERS.__getitem__, path.split("."))) for path in _SCANNED),
    "ExpressionAttributeNames": {placeholder: name for name, placeholder in _PLACEHOLDERS.items()},
}
"""The arguments of a Scan that reads only what a rollup needs. DynamoDB bills whole items, but sends less."""


class ScannedFirst(NamedTuple):
    """What a rollup reads of a student's first session."""

    time: int
    subject: str | None
    tutor_id: str | None
    outcome: int


class ScannedItem(NamedTuple):
    """What a rollup reads of an item."""

    key: EntityKey
    facts: FactColumns
    first_session: ScannedFirst | None
    totals: Totals | None


def parse_scanned(attributes: Attributes) -> ScannedItem:
    """Parse an item that was scanned with `SCAN_PROJECTION`; other attributes are ignored.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When one of them is not what `attributes_of` writes.
    """
    key = entity_key(attributes)
    first = from_attribute(attributes["first_session"]) if "first_session" in attributes else None
    return ScannedItem(
        key,
        fact_columns.read(bytes(attributes["facts"]["B"])) if "facts" in attributes else fact_columns.NOTHING,
        None if first is None else _parse_scanned_first(first),
        parse_totals(key.entity_type, attributes),
    )


def _parse_scanned_first(stored: Mapping[str, Any]) -> ScannedFirst:
    return ScannedFirst(stored["time"], stored.get("subject"), stored.get("tutor_id"), OUTCOME_CODES[stored["outcome"]])
