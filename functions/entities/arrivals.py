"""What a batch of events says of which entity: facts, and register updates beside; or what a rollup has found out.

Pure. This is where an event's meaning is spelled out; nothing after this step knows of event types.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.entities.facts import CALL, FAILURE, SESSION, SUCCESS, UNKNOWN, Fact, fact_id, told
from functions.entities.registers import AVAILABILITY, REPORTED, Register, Update
from functions.entities.totals import Totals
from functions.model import UNSPECIFIED_REGION, EntityKey, EntityType, Event


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrived, by entity; an entity is its position in `keys`."""

    keys: Sequence[EntityKey]
    facts: Mapping[int, Sequence[tuple[int, Fact]]]
    """Records' positions and the facts that they tell, in order of arrival."""
    updates: Mapping[int, Sequence[Update]]
    """Register updates in order of arrival."""
    totals: Mapping[int, Totals] = field(default_factory=dict)
    """A rollup's figures."""

    @staticmethod
    def of_totals(totals: Mapping[EntityKey, Totals]) -> "Arrivals":
        """A rollup's figures of these entities."""
        return Arrivals(list(totals), {}, {}, dict(enumerate(totals.values())))

    @staticmethod
    def none(keys: Sequence[EntityKey]) -> "Arrivals":
        """Entities of which nothing new arrived: what a roll brings."""
        return Arrivals(keys, {}, {})

    def only(self, positions: Sequence[int]) -> "Arrivals":
        """The part that concerns these entities, which take new positions in the order given."""
        moved = {old: new for new, old in enumerate(positions)}
        return Arrivals(
            [self.keys[position] for position in positions],
            {moved[old]: facts for old, facts in self.facts.items() if old in moved},
            {moved[old]: updates for old, updates in self.updates.items() if old in moved},
            {moved[old]: totals for old, totals in self.totals.items() if old in moved},
        )

    def has_news_of(self, entity: int) -> bool:
        """Whether anything arrived that concerns the entity."""
        return entity in self.facts or entity in self.updates or entity in self.totals

    def records(self, entity: int) -> list[int]:
        """The positions of the records that name an entity."""
        facts, updates = self.facts.get(entity, ()), self.updates.get(entity, ())
        return [record for record, _ in facts] + [update.record for update in updates]


def gather(events: Iterable[Event]) -> Arrivals:
    """What these events say, in order of arrival."""
    gathering = _Gathering()
    takes = {
        "session_started": gathering.session,
        "session_completed": gathering.session,
        "ib_call_logged": gathering.call,
        "customer_health_update": gathering.health,
        "tutor_availability_updated": gathering.availability,
        "supply_demand_update": gathering.supply,
    }
    for event in events:
        takes[event.event_type](event)
    return Arrivals(gathering.keys, gathering.facts, gathering.updates)


class _Gathering:
    def __init__(self) -> None:
        self.keys: list[EntityKey] = []
        self.students: dict[str, int] = {}
        self.tutors: dict[str, int] = {}
        self.subjects: dict[str, int] = {}
        self.regions: dict[str, int] = {}
        self.facts: dict[int, list[tuple[int, Fact]]] = defaultdict(list)
        self.updates: dict[int, list[Update]] = defaultdict(list)

    def session(self, event: Event) -> None:
        given, time = event.fields.get, event.time_ms
        session = fact_id(SESSION, event.identity)
        success = given("completed_successfully")
        outcome = UNKNOWN if success is None else SUCCESS if success else FAILURE
        subject, tutor_id = given("subject"), given("tutor_id")
        if student_id := given("student_id"):
            rating = given("student_rating")
            fact = told(SESSION, session, time, rating=rating, outcome=outcome, subject=subject, tutor=tutor_id)
            self.facts[self._entity("student", self.students, student_id)].append((event.record, fact))
        if tutor_id:
            rating = given("tutor_rating")
            fact = told(SESSION, session, time, rating=rating, outcome=outcome, subject=subject)
            self.facts[self._entity("tutor", self.tutors, tutor_id)].append((event.record, fact))

    def call(self, event: Event) -> None:
        fact = told(CALL, fact_id(CALL, event.identity), event.time_ms)
        entity = self._entity("student", self.students, event.fields["student_id"])
        self.facts[entity].append((event.record, fact))

    def health(self, event: Event) -> None:
        value = dict(event.fields)
        entity = self._entity("student", self.students, value.pop("student_id"))
        self._update(event, entity, REPORTED, value)

    def availability(self, event: Event) -> None:
        value = dict(event.fields)
        entity = self._entity("tutor", self.tutors, value.pop("tutor_id"))
        self._update(event, entity, AVAILABILITY, value)

    def supply(self, event: Event) -> None:
        value = dict(event.fields)
        subject, region = value.pop("subject"), value.pop("region", UNSPECIFIED_REGION)
        self._update(event, self._entity("subject", self.subjects, subject), region, value)
        if region != UNSPECIFIED_REGION:
            self._update(event, self._entity("region", self.regions, region), subject, value)

    def _entity(self, entity_type: EntityType, known: dict[str, int], entity_id: str) -> int:
        entity = known.get(entity_id)
        if entity is None:
            entity = known[entity_id] = len(self.keys)
            self.keys.append(EntityKey(entity_type, entity_id))
        return entity

    def _update(self, event: Event, entity: int, slot: str, value: Mapping[str, Any]) -> None:
        self.updates[entity].append(Update(event.record, slot, Register(event.time_ms, value)))
