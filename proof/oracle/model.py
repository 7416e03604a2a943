"""What the oracle is given and what it answers: records, thresholds and the recomputed figures."""

import json
from dataclasses import dataclass, field
from typing import Any

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


FACTS_KEPT_DAYS = 32
MAX_PAIRS = 200
"""Regions of a subject, and subjects of a region."""
UNSPECIFIED_REGION = "unspecified"

EntityKey = tuple[str, str]
"""entity_type, entity_id."""


@dataclass(frozen=True)
class Record:
    """One Kinesis record: its bytes, its approximate arrival time (ms since the epoch) and its sequence number."""

    data: bytes
    arrival_ms: int
    sequence: str


@dataclass(frozen=True)
class Rules:
    """The numbers of the contract that are configuration."""

    future_tolerance_seconds: int = 600
    ib_calls_warning: int = 3
    health_warning: float = 70
    health_critical: float = 50
    first_session_success_below: float = 0
    """first_session_success_low fires below this; 0 is off, as for the next three."""
    first_sessions_least: int = 5
    velocity_drop_share: float = 0
    velocity_drop_least: int = 4
    no_tutors_alert: bool = False
    demand_surge_score: float = 0
    demand_surge_least: int = 10


AS_SHIPPED = Rules()
"""The thresholds that a deployment has unless its settings say otherwise."""


@dataclass(frozen=True)
class Totals:
    """What a rollup must find out about one subject or tutor at its moment.

    Attributes
    ----------
    attributes
        The public attributes. A subject's: `sessions_7d`, `sessions_14d`, `sessions_30d`, `session_velocity`,
        `avg_rating`, `ratings_30d`, `active_students_30d`; a subject's and a tutor's: `first_sessions_30d`,
        `first_session_success_rate`.
    first_outcomes
        How many of those first sessions have a known outcome.
    usual_daily, surge_score
        See `_surge`.
    """

    attributes: dict[str, Any]
    first_outcomes: int = 0
    usual_daily: int | None = None
    surge_score: float | None = None


@dataclass
class Recomputed:
    """What must be in the table at `as_of`, and what became of each record.

    Attributes
    ----------
    entities
        Public attributes by (entity_type, entity_id), without `last_updated`; `alerts` as {type: severity}.
        An entity is among them as soon as an accepted event names it, however old; a subject that only sessions name
        as soon as a rollup has counted something of it.
    outlived
        The same of subjects of which the last rollup counted nothing. They have an item where an earlier one did:
        before its sessions were 30 days old, or before it was known that they are another subject's.
    rejected
        Reason by sequence number.
    accepted, distinct, duplicates
        Records that were not rejected; how many different events they were (by type, event time and payload);
        and how many of them said again what another had said.
    """

    entities: dict[EntityKey, dict[str, Any]] = field(default_factory=dict)
    outlived: dict[EntityKey, dict[str, Any]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    accepted: int = 0
    distinct: int = 0
    duplicates: int = 0


class Rejected(Exception):
    """A record that the contract refuses, with its reason."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def canonical_json(value: Any) -> str:
    """The one way to write a value as JSON; content is compared in it, code point by code point."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
