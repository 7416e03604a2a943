"""What a batch of events says of which entity: facts, and register updates beside.

Pure. This is where an event's meaning is spelled out; nothing after this step knows of event types.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .facts import CALL, FAILURE, SESSION, SUCCESS, UNKNOWN, Fact, fact_id, told
from .model import UNSPECIFIED_REGION, EntityKey, Event
from .registers import AVAILABILITY, REPORTED, Register, Update

_HEALTH_FIELDS: Final = (
    "health_score",
    "sessions_last_7_days",
    "sessions_last_30_days",
    "ib_calls_last_14_days",
    "avg_session_rating",
    "churn_risk",
)
_AVAILABILITY_FIELDS: Final = ("available_hours_this_week", "subjects", "timezone", "accepts_instant_book")
_SUPPLY_FIELDS: Final = (
    "available_tutors",
    "active_students",
    "demand_score",
    "supply_score",
    "balance_status",
)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrived, by entity; an entity is its position in `keys`."""

    keys: Sequence[EntityKey]
    facts: Mapping[int, Sequence[tuple[int, Fact]]]
    """Records' positions and the facts that they tell, in order of arrival."""
    updates: Mapping[int, Sequence[Update]]
    """Register updates in order of arrival."""
    records: Mapping[int, Sequence[int]]
    """Which records name the entity."""

    @staticmethod
    def none(keys: Sequence[EntityKey]) -> "Arrivals":
        """Entities of which nothing new arrived: what a roll brings."""
        return Arrivals(keys, {}, {}, {})

    def only(self, positions: Sequence[int]) -> "Arrivals":
        """The part that concerns these entities, which take new positions in the order given."""
        moved = {old: new for new, old in enumerate(positions)}
        return Arrivals(
            [self.keys[position] for position in positions],
            {moved[old]: facts for old, facts in self.facts.items() if old in moved},
            {moved[old]: updates for old, updates in self.updates.items() if old in moved},
            {moved[old]: records for old, records in self.records.items() if old in moved},
        )


def gather(events: Iterable[Event]) -> Arrivals:
    """What these events say, in order of arrival."""
    gathering = _Gathering()
    for event in events:
        gathering.take(event)
    return gathering.done()


class _Gathering:
    def __init__(self) -> None:
        self.positions: dict[EntityKey, int] = {}
        self.facts: dict[int, list[tuple[int, Fact]]] = defaultdict(list)
        self.updates: dict[int, list[Update]] = defaultdict(list)
        self.records: dict[int, list[int]] = defaultdict(list)

    def done(self) -> Arrivals:
        return Arrivals(list(self.positions), self.facts, self.updates, self.records)

    def take(self, event: Event) -> None:
        fields = event.fields
        match event.event_type:
            case "session_started" | "session_completed":
                self._session(event)
            case "ib_call_logged":
                entity = self._entity(event, EntityKey("student", fields["student_id"]))
                self.facts[entity].append((event.record, told(CALL, fact_id(CALL, event.identity), event.time_ms)))
            case "customer_health_update":
                entity = self._entity(event, EntityKey("student", fields["student_id"]))
                self._update(event, entity, REPORTED, _HEALTH_FIELDS)
            case "tutor_availability_updated":
                entity = self._entity(event, EntityKey("tutor", fields["tutor_id"]))
                self._update(event, entity, AVAILABILITY, _AVAILABILITY_FIELDS)
            case "supply_demand_update":
                subject, region = fields["subject"], fields.get("region", UNSPECIFIED_REGION)
                self._update(event, self._entity(event, EntityKey("subject", subject)), region, _SUPPLY_FIELDS)
                if region != UNSPECIFIED_REGION:
                    self._update(event, self._entity(event, EntityKey("region", region)), subject, _SUPPLY_FIELDS)

    def _entity(self, event: Event, key: EntityKey) -> int:
        entity = self.positions.setdefault(key, len(self.positions))
        self.records[entity].append(event.record)
        return entity

    def _update(self, event: Event, entity: int, slot: str, names: Iterable[str]) -> None:
        value = {name: event.fields[name] for name in names if name in event.fields}
        self.updates[entity].append(Update(event.record, slot, Register(event.time_ms, value)))

    def _session(self, event: Event) -> None:
        fields = event.fields
        session = fact_id(SESSION, event.identity)
        success = fields.get("completed_successfully")
        outcome = UNKNOWN if success is None else SUCCESS if success else FAILURE
        subject, tutor_id = fields.get("subject"), fields.get("tutor_id")
        if student_id := fields.get("student_id"):
            entity = self._entity(event, EntityKey("student", student_id))
            rating = fields.get("student_rating")
            fact = told(
                SESSION, session, event.time_ms, rating=rating, outcome=outcome, subject=subject, tutor=tutor_id
            )
            self.facts[entity].append((event.record, fact))
        if tutor_id:
            entity = self._entity(event, EntityKey("tutor", tutor_id))
            rating = fields.get("tutor_rating")
            fact = told(SESSION, session, event.time_ms, rating=rating, outcome=outcome, subject=subject)
            self.facts[entity].append((event.record, fact))
