"""A metrics item: what is stored under which attribute, and back.

The names and meanings here outlive every release: extend them, never change them. Pure; DynamoDB's attribute values
come and go as the plain dictionaries of its API.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from functions.entities import fact_columns
from functions.entities.alerts import NO_ALERTS, Alerts, Episodes, Firing, Notification
from functions.entities.attribute_values import Attributes, from_attribute, plain, to_attribute
from functions.entities.fact_columns import FactColumns
from functions.entities.facts import FAILURE, SUCCESS, UNKNOWN
from functions.entities.registers import AVAILABILITY, REPORTED, FirstSession, Register, high_demand
from functions.entities.tails import NO_TAIL, Tail
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.model import EntityKey, EntityType, from_iso, to_iso

WHEN_WRITTEN: Final = frozenset({"version", "as_of", "last_updated"})
"""Attributes that say when an item was written; they alone are no reason to write it."""

INTERNAL: Final = frozenset(
    {
        "version",
        "as_of",
        "facts",
        "tail",
        "moved",
        "first_session",
        "rolled_up",
        "availability_at",
        "alert_episodes",
        "outbox",
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
    "tail",
    "moved",
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


@dataclass(frozen=True, slots=True)
class State:
    """An item. Version 0 means that it does not exist yet."""

    key: EntityKey
    version: int = 0
    as_of: int = 0
    """Epoch ms; never goes back."""
    facts: FactColumns = fact_columns.NOTHING
    """The newest facts, those in the item."""
    tail: Tail = NO_TAIL
    """The older ones. Empty, but for its generation, when all of it has expired."""
    moved: int = 0
    """The version that the last move wrote; 0 before the first."""
    registers: Mapping[str, Register] = field(default_factory=dict)
    first_session: FirstSession | None = None
    totals: Totals | None = None
    """What the last rollup with new figures wrote. Every other write keeps it."""
    alerts: Alerts = NO_ALERTS
    stored: Attributes = field(default_factory=dict)
    """Every attribute as it is in the table. It is never changed in place."""


def tail_generation(attributes: Attributes) -> int:
    """Return the generation of the tail that an item names; 0 when it has none.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When it is not what `attributes_of` writes.
    """
    return int(attributes["tail"]["N"]) if "tail" in attributes else 0


def parse(attributes: Attributes, tail: Tail = NO_TAIL) -> State:
    """Return an item as read from the table, with its tail.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When an attribute that the processor reads is not what `attributes_of` writes, or the tail is not the item's.
    """
    kind = cast(EntityType, attributes["entity_type"]["S"])
    names = _PARSED + _REGISTERS[kind]
    item: dict[str, Any] = {name: from_attribute(attributes[name]) for name in names if name in attributes}
    _check_types(item)
    key = EntityKey(kind, attributes["entity_id"]["S"])
    if tail.generation != item.get("tail", 0):
        raise ValueError(f"the item names generation {item.get('tail', 0)} of its tail, which is of {tail.generation}")
    version, as_of = item["version"], item["as_of"]
    firing, episodes = item["alerts"], item["alert_episodes"]
    return State(
        key,
        version,
        as_of,
        fact_columns.read(bytes(attributes["facts"]["B"])) if "facts" in attributes else fact_columns.NOTHING,
        tail,
        item.get("moved", 0),
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
    for name in ("version", "as_of", "tail", "moved"):
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


def attributes_of(state: State, public: Mapping[str, Any], before: State, *, changed_by_time_alone: bool) -> Attributes:
    """Return everything that is stored of an item.

    Parameters
    ----------
    state
        The item's new state.
    public
        From `public_metrics`.
    before
        The state before. What has not changed since keeps its stored form.
    changed_by_time_alone
        Whether no event and no alert changed the item. It then keeps its `last_updated`.
    """
    kept = {name: before.stored[name] for name in _unchanged(state, before) if name in before.stored}
    if changed_by_time_alone and "last_updated" in before.stored:
        kept["last_updated"] = before.stored["last_updated"]
    item: dict[str, Any] = {
        "entity_id": state.key.entity_id,
        "entity_type": state.key.entity_type,
        **public,
        "as_of": state.as_of,
        "last_updated": to_iso(state.as_of),
    }
    if state.registers is not before.registers or not before.stored:
        item |= _register_attributes(state)
    if state.alerts is not before.alerts or not before.stored:
        item |= _alert_attributes(state.alerts)
    if state.first_session is not None and state.first_session is not before.first_session:
        item["first_session"] = _first_session_attribute(state.first_session)
    if state.totals is not None and state.totals is not before.totals:
        item |= _totals_attributes(state.totals)
    if state.tail.generation:
        item |= {"tail": state.tail.generation, "moved": state.moved}
    attributes = {name: to_attribute(value) for name, value in item.items()} | _lock_and_outbox(state) | kept
    if state.facts.blob:
        attributes["facts"] = {"B": state.facts.blob}
    return attributes


def _unchanged(state: State, before: State) -> list[str]:
    """Return the names of attributes that a state has in common with the one before."""
    names: list[str] = []
    if state.registers is before.registers:
        names += _REGISTERS[state.key.entity_type]
    if state.alerts is before.alerts:
        names += ("alerts", "alert_episodes")
    if state.first_session is before.first_session:
        names.append("first_session")
    if state.totals is not None and state.totals is before.totals:
        names += (ROLLED_UP, *TOTALS_ATTRIBUTES[state.key.entity_type])
    return names


def _alert_attributes(alerts: Alerts) -> dict[str, Any]:
    return {
        "alerts": {name: firing._asdict() for name, firing in alerts.firing.items()},
        "alert_episodes": {name: episodes._asdict() for name, episodes in alerts.episodes.items()},
    }


def _first_session_attribute(first: FirstSession) -> dict[str, Any]:
    known = {name: value for name, value in first._asdict().items() if value is not None}
    return known | {"outcome": _OUTCOMES[first.outcome]}


def _totals_attributes(totals: Totals) -> dict[str, Any]:
    known = {name: plain(value) for name in _ROLLED_UP if (value := getattr(totals, name)) is not None}
    return {name: plain(value) for name, value in totals.figures.items()} | {ROLLED_UP: known}


def with_outbox(state: State) -> Attributes:
    """Return an item's stored attributes with its outbox and version as the state has them now."""
    kept = {name: value for name, value in state.stored.items() if name != "outbox"}
    return kept | _lock_and_outbox(state)


def _lock_and_outbox(state: State) -> Attributes:
    attributes = {"version": to_attribute(state.version)}
    if state.alerts.outbox:
        attributes["outbox"] = to_attribute([notification.detail for notification in state.alerts.outbox])
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


UNREADABLE: Final = (KeyError, ValueError, TypeError, AttributeError)
"""What parsing raises for an item that is not what `attributes_of` writes."""
