"""What the report page shows, as plain values. Where they come from is `gather`'s business, how they look `page`'s."""

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
    """Epoch ms, like every name that ends so."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One item of the table."""

    entity_type: EntityType
    entity_id: str
    figures: Mapping[str, float]
    """Its public numbers by attribute, those of the contract's section 2."""
    firing: Sequence[Firing]
    daily: Sequence[int]
    """Sessions in each of the last `DAYS` times 24 hours, the oldest first; empty where none are kept."""
    balance: str
    """`balance_status`; empty where there is none."""
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the students' reported health scores are spread."""

    counts: Sequence[int]
    """Students from 0 on in steps of `HEALTH_STEP`; a score of 100 is in the last step."""
    unreported: int
    """Students of whom no score was ever reported."""
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
    """Those with most to say."""
    counts: Mapping[str, int]
    """All items by entity type."""
    unreadable: int
    """Items that this release cannot read."""
    daily: Sequence[int]
    """All students' sessions, as `Entity.daily`."""
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
    """None while it fires, and where nobody has told of its end."""
    firing: bool
    message: str
    """As last told; empty when it was not told within what the page covers."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The alerts' episodes."""

    episodes: Sequence[Episode]
    """What fires first, by severity and then the oldest; then what is over, the latest first."""
    left_out: int
    """Episodes beyond these."""
    firing: Mapping[str, int]
    """How many alerts fire now, by severity."""
    ended: int
    """How many have ended within what the journal covers."""
    since_ms: int
    """From when on the journal was read."""
    note: str
    """Why there is no journal; empty when there is one."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What is in the quarantine for one reason."""

    reason: str
    kind: str
    """`quarantined`: single records that the processor put there; `failed`: batches that the mapping gave up."""
    objects: int
    records: int
    first_ms: int
    last_ms: int
    detail: str
    """What the latest of them says."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What waits in the quarantine bucket."""

    reasons: Sequence[Reason]
    """Of those objects that were read, the most frequent reason first."""
    objects: int
    """All that there are, as far as they were listed."""
    read: int
    """How many of them were read, the latest first."""
    unreadable: int
    """How many of those are gone by now, or not as the processor or Lambda writes them."""
    more: bool
    """Whether there are more than were listed."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, as the processor's log has it."""

    at_ms: int
    records: int
    duplicates: int
    quarantined: int
    failed: int
    lag_ms: float | None
    """How long its oldest record had waited at its end; None for a batch without records."""
    took_ms: float
    """How long it took."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events of one type in one hour of their own time, as delivered, duplicates included."""

    event_type: str
    hour_ms: int
    events: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """What the processor has done."""

    batches: Sequence[Batch]
    """In the order of time."""
    traffic: Sequence[Traffic]
    """Of the last `DAYS` days of event time."""
    older_events: int
    """Events whose own time is before that."""
    since_ms: int
    """From when on there are all batches."""
    asked_ms: int
    """From when on they were asked for; earlier than `since_ms` when there were more than the page reads."""
    note: str
    """Why there is nothing; empty when there is."""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole page."""

    name: str
    """Of the metrics table, which says which stack it is."""
    made_ms: int
    table: Table
    timeline: Timeline
    quarantine: Quarantine
    throughput: Throughput
