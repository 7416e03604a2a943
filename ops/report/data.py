"""What the report page shows, as plain values. `gather` reads them, `charts` and `page` show them.

Names that end in `_ms` are epoch milliseconds, or a length in milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from functions.model import EntityType

DAYS: Final = 32
"""How many days of sessions are shown: as long as facts are kept."""
HEALTH_STEP: Final = 5
"""The width of a step of the health distribution."""


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires now."""

    alert_type: str
    severity: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Entity:
    """One item of the table."""

    entity_type: EntityType
    entity_id: str
    figures: Mapping[str, float]
    """Its public numbers by attribute (contract section 2)."""
    firing: Sequence[Firing]
    daily: Sequence[int]
    """Sessions in each of the last `DAYS` times 24 hours, the oldest first; empty for entities without facts."""
    balance: str
    """`balance_status`; empty for entities without one."""
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the students' reported health scores are spread."""

    counts: Sequence[int]
    """Numbers of students by score, in steps of `HEALTH_STEP` from 0 on; a score of 100 is in the last step."""
    unreported: int
    """How many students have no reported score."""
    warning: float
    """The threshold below which low_health_score fires ..."""
    critical: float
    """... and below which it is critical."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Supply and demand of one subject in one region, as last reported."""

    subject: str
    region: str
    status: str
    demand: float | None
    supply: float | None
    tutors: float | None
    students: float | None
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Table:
    """What the metrics table holds."""

    entities: Sequence[Entity]
    """Those with the most alerts and sessions."""
    counts: Mapping[str, int]
    """The number of all items by entity type."""
    unreadable: int
    """The number of items that this release cannot read."""
    daily: Sequence[int]
    """The sum of all students' `Entity.daily`."""
    subjects: Sequence[Entity]
    """All subjects with sessions in 30 days, the most first."""
    health: Health
    balances: Sequence[Balance]


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its start to its end."""

    entity_type: str
    entity_id: str
    alert_type: str
    severity: str
    """The highest that it has had."""
    started_ms: int
    ended_ms: int | None
    """None while it fires, and when its end was never logged."""
    firing: bool
    message: str
    """The message of the last notification; empty when none was logged in the time that the page covers."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The alerts' episodes."""

    episodes: Sequence[Episode]
    """Firing ones first, by severity and then the oldest; then those that are over, the latest first."""
    left_out: int
    """The number of episodes beyond these."""
    firing: Mapping[str, int]
    """How many alerts fire now, by severity."""
    ended: int
    """How many have ended in the time that the page covers."""
    since_ms: int
    """From when on the notifier's log was read."""
    note: str
    """Why the notifier's log is missing; empty when it is there."""


@dataclass(frozen=True, slots=True)
class Reason:
    """The objects that are in the quarantine for one reason."""

    reason: str
    kind: str
    """`quarantined`: single records that the processor rejected; `failed`: batches that the mapping gave up."""
    objects: int
    records: int
    first_ms: int
    last_ms: int
    detail: str
    """The detail of the latest object."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The quarantine bucket."""

    reasons: Sequence[Reason]
    """The reasons of the objects that were read, the most records first."""
    objects: int
    """How many objects were listed."""
    read: int
    """How many of them were read, the latest first."""
    unreadable: int
    """How many of those are gone, or were written by neither the processor nor Lambda."""
    more: bool
    """Whether there are more objects than were listed."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, from the processor's log."""

    at_ms: int
    records: int
    duplicates: int
    quarantined: int
    failed: int
    lag_ms: float | None
    """How long its oldest record had waited when the batch was complete; None for a batch without records."""
    took_ms: float
    """How long the batch took."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The events of one type in one hour of event time, duplicates included."""

    event_type: str
    hour_ms: int
    events: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """The batches of the processor, and the events in them."""

    batches: Sequence[Batch]
    """In the order of time."""
    traffic: Sequence[Traffic]
    """Of the last `DAYS` days of event time."""
    older_events: int
    """The number of events from before that."""
    since_ms: int
    """From when on all batches were read."""
    asked_ms: int
    """From when on batches were asked for; earlier than `since_ms` when there were more than the page reads."""
    note: str
    """Why there are no batches; empty when there are."""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole page."""

    name: str
    """The metrics table's name, by which readers know the stack."""
    made_ms: int
    table: Table
    timeline: Timeline
    quarantine: Quarantine
    throughput: Throughput
