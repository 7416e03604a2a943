"""The marketplace whose events are costed: who takes part, how often, and what happens at which moment. No clock."""

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any, Final

from functions.model import DAY_MS, MINUTE_MS, to_iso

STUDENTS, TUTORS = 500, 100
SUBJECTS: Final = ("algebra", "geometry", "calculus", "physics", "chemistry", "biology", "english", "history")
REGIONS: Final = ("north", "east", "south", "west")
KEPT_DAYS: Final = 32
"""How long a fact is kept."""
LASTS_MS: Final = (60 * MINUTE_MS, 75 * MINUTE_MS)
"""The least and the most from a session's start to its completion."""
WITHIN_MS: Final = 10 * MINUTE_MS
"""In what time before a batch its events happen."""
MIX: Final = {
    "session_started": 0.3,
    "session_completed": 0.3,
    "ib_call_logged": 0.1,
    "customer_health_update": 0.1,
    "tutor_availability_updated": 0.1,
    "supply_demand_update": 0.1,
}
_BEGINS: Final = {kind: share for kind, share in MIX.items() if kind != "session_completed"}
"""What happens by itself; a completion follows a start."""


def events_a_day(facts: int, students: int = STUDENTS) -> float:
    """Return how many events a day give each student so many facts in the time that facts are kept."""
    return facts * students / KEPT_DAYS / (MIX["session_started"] + MIX["ib_call_logged"])


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the marketplace."""

    time_ms: int
    """Event time and arrival, epoch ms."""
    kind: str
    payload: dict[str, Any]

    def encoded(self) -> bytes:
        """Return the event as a producer puts it on the stream."""
        return json.dumps(
            {"event_type": self.kind, "timestamp": to_iso(self.time_ms), "payload": self.payload}
        ).encode()


@dataclass
class Marketplace:
    """Who takes part and how often: on a day the k-th most active student or tutor 1/k as often as the first.

    Each day others are active, so that a batch is as uneven as on any day, and in a month all have about as many facts.
    """

    rng: Random
    begin_ms: int
    facts: int
    """How many sessions and calls a student has in the time that facts are kept, on average."""
    batch_size: int
    students: int = STUDENTS
    tutors: int = TUTORS
    within_ms: int = WITHIN_MS
    """A batch's events happen in this time before it, or in the time since the batch before where that is less."""
    _completions: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    """When sessions that go on will be completed."""
    _batches: int = 0
    _begun: int = 0
    """How many events have begun by themselves."""

    def __post_init__(self) -> None:
        self._interval_ms = DAY_MS * self.batch_size / events_a_day(self.facts, self.students)
        counts = {"stu": self.students, "tut": self.tutors}
        self._ids = {kind: [f"{kind}_{n:06d}" for n in range(count)] for kind, count in counts.items()}
        self._weights = {kind: list(accumulate(1 / (n + 1) for n in range(count))) for kind, count in counts.items()}
        self._day = 0

    def until(self, end_ms: int) -> Iterator[Sequence[Happened]]:
        """Yield the next batches up to a moment (epoch ms), each in order of time. The last event's is the batch's."""
        while (batch_ms := self.begin_ms + round((self._batches + 1) * self._interval_ms)) <= end_ms:
            self._batches += 1
            yield self._batch(batch_ms)

    def _batch(self, end_ms: int) -> Sequence[Happened]:
        if end_ms // DAY_MS != self._day:
            self._day = end_ms // DAY_MS
            for ids in self._ids.values():
                self.rng.shuffle(ids)
        within_ms = min(self.within_ms, round(self._interval_ms))
        batch: list[Happened] = []
        while self._completions and self._completions[0][0] <= end_ms and len(batch) < self.batch_size:
            completed_ms, _, session = heapq.heappop(self._completions)
            time_ms = max(completed_ms, end_ms - self.rng.randrange(within_ms))
            batch.append(Happened(time_ms, "session_completed", self._rated(session)))
        begun = range(self.batch_size - len(batch))
        batch += [self._begin(end_ms - self.rng.randrange(within_ms)) for _ in begun]
        return sorted(batch, key=lambda event: event.time_ms)

    def _begin(self, time_ms: int) -> Happened:
        self._begun += 1
        (kind,) = self.rng.choices(list(_BEGINS), weights=list(_BEGINS.values()))
        if kind != "session_started":
            return Happened(time_ms, kind, getattr(self, f"_{kind}")())
        session = self._session()
        heapq.heappush(self._completions, (time_ms + self.rng.randint(*LASTS_MS), self._begun, session))
        return Happened(time_ms, kind, {**session, "session_type": "one_on_one", "scheduled_duration_minutes": 60})

    def _one(self, kind: str) -> str:
        return self.rng.choices(self._ids[kind], cum_weights=self._weights[kind])[0]

    def _session(self) -> dict[str, Any]:
        return {
            "session_id": f"ses_{self._begun:010d}",
            "student_id": self._one("stu"),
            "tutor_id": self._one("tut"),
            "subject": self.rng.choice(SUBJECTS),
        }

    def _rated(self, session: dict[str, Any]) -> dict[str, Any]:
        ratings = {name: self.rng.randint(30, 50) / 10 for name in ("student_rating", "tutor_rating")}
        return {**session, "actual_duration_minutes": 58, **ratings, "completed_successfully": True}

    def _ib_call_logged(self) -> dict[str, Any]:
        call = {"call_id": f"call_{self._begun:09d}", "student_id": self._one("stu")}
        return {**call, "reason": "billing", "resolved": True}

    def _customer_health_update(self) -> dict[str, Any]:
        return self._health(self._one("stu"))

    def _tutor_availability_updated(self) -> dict[str, Any]:
        return self._availability(self._one("tut"))

    def _supply_demand_update(self) -> dict[str, Any]:
        return self._balance(self.rng.choice(SUBJECTS), self.rng.choice(REGIONS))

    def registers(self) -> Sequence[Happened]:
        """Return a report of each student, the availability of each tutor, the balance of each subject in each region,
        as they are when the marketplace opens."""
        payloads = [
            *(("customer_health_update", self._health(student)) for student in self._ids["stu"]),
            *(("tutor_availability_updated", self._availability(tutor)) for tutor in self._ids["tut"]),
            *(("supply_demand_update", self._balance(s, region)) for s in SUBJECTS for region in REGIONS),
        ]
        return [Happened(self.begin_ms, kind, payload) for kind, payload in payloads]

    def _health(self, student: str) -> dict[str, Any]:
        """A report that moves by a few points; a student in ten is near the threshold of a warning."""
        usual = 70 if int(student[-6:]) % 10 == 0 else 85
        return {"student_id": student, "health_score": usual + self.rng.randint(-5, 5), "churn_risk": "low"}

    def _availability(self, tutor: str) -> dict[str, Any]:
        return {
            "tutor_id": tutor,
            "available_hours_this_week": self.rng.randint(0, 40),
            "subjects": ["algebra", "geometry"],
            "timezone": "Europe/Berlin",
            "accepts_instant_book": True,
        }

    def _balance(self, subject: str, region: str) -> dict[str, Any]:
        return {
            "subject": subject,
            "region": region,
            "available_tutors": self.rng.randint(5, 50),
            "active_students": self.rng.randint(20, 200),
            "demand_score": self.rng.randint(0, 100),
            "supply_score": self.rng.randint(0, 100),
            "balance_status": "high_demand" if self.rng.random() < 0.1 else "balanced",
        }
