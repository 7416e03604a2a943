"""The marketplace whose events are costed: who takes part, how often, and the events of a past and of a moment."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any, Final

from functions.model import DAY_MS, HOUR_MS, SECOND_MS, to_iso

STUDENTS, TUTORS = 500, 100
SUBJECTS: Final = ("algebra", "geometry", "calculus", "physics", "chemistry", "biology", "english", "history")
REGIONS: Final = ("north", "east", "south", "west")
KEPT_MS: Final = 32 * DAY_MS
GROUPS: Final = 10
"""Students and tutors are filled in so many groups, one after the other."""
MIX: Final = {
    "session_started": 0.3,
    "session_completed": 0.3,
    "ib_call_logged": 0.1,
    "customer_health_update": 0.1,
    "tutor_availability_updated": 0.1,
    "supply_demand_update": 0.1,
}
FACTS_PER_EVENT: Final = 2 * MIX["session_started"] + MIX["ib_call_logged"]
"""A session is a fact of its student and of its tutor, a call one of its student."""


@dataclass
class Marketplace:
    """Who takes part and how often: the k-th most active student or tutor 1/k as often as the first."""

    rng: Random
    students: Sequence[str] = tuple(f"stu_{number:06d}" for number in range(STUDENTS))
    tutors: Sequence[str] = tuple(f"tut_{number:06d}" for number in range(TUTORS))
    open_sessions: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self._weights = {
            count: list(accumulate(1 / rank for rank in range(1, count + 1))) for count in (STUDENTS, TUTORS)
        }

    def _zipf(self, ids: Sequence[str]) -> str:
        return self.rng.choices(ids, cum_weights=self._weights[len(ids)])[0]

    def _number(self) -> int:
        self.made += 1
        return self.made

    def event(self, now_ms: int) -> bytes:
        """One event of the mix, at most ten minutes old."""
        (kind,) = self.rng.choices(list(MIX), weights=list(MIX.values()))
        return _json(kind, now_ms - self.rng.randrange(600 * SECOND_MS), getattr(self, f"_{kind}")())

    def _session(self, student: str, tutor: str) -> dict[str, Any]:
        subject = self.rng.choice(SUBJECTS)
        return {
            "session_id": f"ses_{self._number():010d}",
            "student_id": student,
            "tutor_id": tutor,
            "subject": subject,
        }

    def _rated(self, session: dict[str, Any]) -> dict[str, Any]:
        ratings = {name: self.rng.randint(30, 50) / 10 for name in ("student_rating", "tutor_rating")}
        return {**session, "actual_duration_minutes": 58, **ratings, "completed_successfully": True}

    def _completed(self, student: str, tutor: str) -> dict[str, Any]:
        return self._rated(self._session(student, tutor))

    def _call(self, student: str) -> dict[str, Any]:
        return {"call_id": f"call_{self._number():09d}", "student_id": student, "reason": "billing", "resolved": True}

    def _session_started(self) -> dict[str, Any]:
        session = self._session(self._zipf(self.students), self._zipf(self.tutors))
        self.open_sessions.append(session)
        return {**session, "session_type": "one_on_one", "scheduled_duration_minutes": 60}

    def _session_completed(self) -> dict[str, Any]:
        if not self.open_sessions:
            self._session_started()
        return self._rated(self.open_sessions.pop(self.rng.randrange(len(self.open_sessions))))

    def _ib_call_logged(self) -> dict[str, Any]:
        return self._call(self._zipf(self.students))

    def _customer_health_update(self) -> dict[str, Any]:
        return self.health(self._zipf(self.students))

    def _tutor_availability_updated(self) -> dict[str, Any]:
        return self.availability(self._zipf(self.tutors))

    def _supply_demand_update(self) -> dict[str, Any]:
        return self.balance(self.rng.choice(SUBJECTS), self.rng.choice(REGIONS))

    def past(self, group: int, facts: int, now_ms: int) -> list[tuple[int, bytes]]:
        """What gives each student of a group as many facts as said, each event with its time, in order of time.

        The group's tutors take all sessions.

        Of a student's facts as many are calls as in the mix.
        """
        students, tutors = self.students[group::GROUPS], self.tutors[group::GROUPS]
        calls = round(facts * MIX["ib_call_logged"] / (MIX["session_started"] + MIX["ib_call_logged"]))
        events = []
        for student in students:
            for number in range(facts):
                time = now_ms - self.rng.randrange(HOUR_MS, KEPT_MS)
                kind = "ib_call_logged" if number < calls else "session_completed"
                payload = self._call(student) if number < calls else self._completed(student, self.rng.choice(tutors))
                events.append((time, kind, payload))
        events.sort(key=lambda event: event[0])
        return [(time, _json(kind, time, payload)) for time, kind, payload in events]

    def registers(self, now_ms: int) -> list[bytes]:
        """A report of each student, the availability of each tutor, the balance of each subject in each region."""
        at = now_ms - HOUR_MS
        return [
            *(_json("customer_health_update", at, self.health(each)) for each in self.students),
            *(_json("tutor_availability_updated", at, self.availability(each)) for each in self.tutors),
            *(_json("supply_demand_update", at, self.balance(s, region)) for s in SUBJECTS for region in REGIONS),
        ]

    def health(self, student: str) -> dict[str, Any]:
        """A report that moves by a few points; a student in ten is near the threshold of a warning."""
        usual = 70 if int(student[-6:]) % 10 == 0 else 85
        return {"student_id": student, "health_score": usual + self.rng.randint(-5, 5), "churn_risk": "low"}

    def availability(self, tutor: str) -> dict[str, Any]:
        return {
            "tutor_id": tutor,
            "available_hours_this_week": self.rng.randint(0, 40),
            "subjects": ["algebra", "geometry"],
            "timezone": "Europe/Berlin",
            "accepts_instant_book": True,
        }

    def balance(self, subject: str, region: str) -> dict[str, Any]:
        return {
            "subject": subject,
            "region": region,
            "available_tutors": self.rng.randint(5, 50),
            "active_students": self.rng.randint(20, 200),
            "demand_score": self.rng.randint(0, 100),
            "supply_score": self.rng.randint(0, 100),
            "balance_status": "high_demand" if self.rng.random() < 0.1 else "balanced",
        }


def _json(kind: str, time_ms: int, payload: dict[str, Any]) -> bytes:
    return json.dumps({"event_type": kind, "timestamp": to_iso(time_ms), "payload": payload}).encode()
