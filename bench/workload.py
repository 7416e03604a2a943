"""The events that everything here is measured with: six types, entities drawn by Zipf's law, the same for a seed.

Students, tutors, subjects and regions are what `functions.simulator.marketplace` has; how often each is named is
decided here, so that a batch of 100 events names about 70 entities, one of 1,000 about 280 and one of 6,800 about 580.
No clock.
"""

import base64
import json
import math
from bisect import bisect
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, islice
from random import Random
from typing import Any, Final, NamedTuple

from functions.simulator.marketplace import REGIONS, SUBJECTS, TIMEZONES

DAY_MS: Final = 86_400_000
NOW: Final = 1_795_428_000_000
"""2026-11-23T10:00:00Z, epoch milliseconds: where the history ends."""
SPACING_MS: Final = 20
"""How far apart events are after the history."""

BATCHES: Final = (100, 1_000, 6_800)
"""Records a batch: the default, prod's, and what an event of 6 MB holds."""

_KINDS: Final = (
    "session",
    "ib_call_logged",
    "customer_health_update",
    "tutor_availability_updated",
    "supply_demand_update",
)
_WEIGHTS: Final = (66, 12, 12, 6, 4)
_OPEN: Final = 12
"""Sessions going on at once: so many later starts come before a session's completion."""


class Told(NamedTuple):
    """An event on the stream."""

    time_ms: int
    """Event time and arrival, epoch milliseconds."""
    event_type: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Population:
    """Who is in it, and how unevenly they are named: the k-th with a weight of k to the power of -skew."""

    students: int = 500
    tutors: int = 100
    skew: float = 1.0
    history: int = 14_000
    """Events of the 30 days before `NOW`."""
    rotates: bool = False
    """Whether others are busy each day: a day is as uneven as ever, a month is not."""


LARGE: Final = Population(students=50_000, tutors=10_000, history=100_000)
ROTATING: Final = Population(rotates=True)


class Workload:
    """An endless stream of events of a population; `take` goes on where the last one ended."""

    def __init__(self, population: Population = Population(), seed: int = 1) -> None:
        self.population = population
        self._rng = Random(f"bench {seed}")
        self._students = _Zipf(self._rng, population.students, population.skew)
        self._tutors = _Zipf(self._rng, population.tutors, population.skew)
        self._kinds = list(accumulate(_WEIGHTS))
        self._open: deque[dict[str, Any]] = deque()
        self._scores = {student: self._score() for student in range(population.students)}
        self._count = 0
        self._day = 0

    def history(self, end_ms: int = NOW) -> list[Told]:
        """The events of the 30 days before `end_ms`, evenly spread."""
        step = 30 * DAY_MS / self.population.history
        return [self._event(end_ms - 30 * DAY_MS + round(each * step)) for each in range(self.population.history)]

    def take(self, count: int, begin_ms: int = NOW, spacing_ms: float = SPACING_MS) -> list[Told]:
        """The next events, from `begin_ms` on."""
        return list(islice(self.stream(begin_ms, spacing_ms), count))

    def stream(self, begin_ms: int = NOW, spacing_ms: float = SPACING_MS) -> Iterator[Told]:
        """All that follow, from `begin_ms` on."""
        position = 0
        while True:
            yield self._event(begin_ms + round(position * spacing_ms))
            position += 1

    def _score(self) -> float:
        """A student's usual health score: most are well, some about the thresholds, a few low."""
        return min(97.0, 40 + 60 * math.pow(self._rng.random(), 0.35))

    def _event(self, time_ms: int) -> Told:
        rng = self._rng
        self._count += 1
        if self.population.rotates and time_ms // DAY_MS != self._day:
            self._day = time_ms // DAY_MS
            for names in (self._students, self._tutors):
                names.shuffle()
        kind = _KINDS[bisect(self._kinds, rng.random() * self._kinds[-1])]
        if kind == "session":
            event_type, payload = self._session()
        elif kind == "ib_call_logged":
            event_type, payload = kind, self._call()
        elif kind == "customer_health_update":
            event_type, payload = kind, self._health()
        elif kind == "tutor_availability_updated":
            event_type, payload = kind, self._availability()
        else:
            event_type, payload = kind, self._balance()
        payload |= {"timestamp": iso(time_ms), "source": "platform"}
        return Told(time_ms, event_type, {"event_type": event_type, "payload": payload})

    def _session(self) -> tuple[str, dict[str, Any]]:
        rng = self._rng
        if len(self._open) >= _OPEN and rng.random() < 0.97:
            common = self._open.popleft()
            return "session_completed", {
                **common,
                "actual_duration_minutes": rng.randrange(25, 65),
                "student_rating": rng.randrange(4, 11) / 2 if rng.random() < 0.8 else None,
                "tutor_rating": rng.randrange(6, 11) / 2 if rng.random() < 0.6 else None,
                "completed_successfully": rng.random() < 0.95,
            }
        common = {
            "session_id": f"ses_{self._count:09d}",
            "student_id": _student(self._students.draw()),
            "tutor_id": _tutor(self._tutors.draw()),
            "subject": rng.choice(SUBJECTS),
        }
        self._open.append(common)
        return "session_started", {
            **common,
            "session_type": rng.choice(("one_on_one", "group", "instant_book")),
            "scheduled_duration_minutes": rng.choice((30, 45, 60)),
        }

    def _call(self) -> dict[str, Any]:
        rng = self._rng
        return {
            "call_id": f"call_{self._count:09d}",
            "student_id": _student(self._students.draw()),
            "reason": rng.choice(("billing", "scheduling", "technical", "cancellation")),
            "duration_seconds": rng.randrange(40, 1500),
            "resolved": rng.random() < 0.8,
            "priority": "normal",
        }

    def _health(self) -> dict[str, Any]:
        rng, student = self._rng, self._students.draw()
        score = round(min(100.0, max(0.0, self._scores[student] + rng.uniform(-3, 3))), 1)
        return {
            "student_id": _student(student),
            "health_score": score,
            "sessions_last_7_days": rng.randrange(6),
            "sessions_last_30_days": rng.randrange(6, 20),
            "ib_calls_last_14_days": rng.randrange(2),
            "avg_session_rating": round(rng.uniform(3, 5), 2),
            "churn_risk": "high" if score < 50 else "medium" if score < 70 else "low",
        }

    def _availability(self) -> dict[str, Any]:
        rng = self._rng
        return {
            "tutor_id": _tutor(self._tutors.draw()),
            "available_hours_this_week": rng.randrange(80) / 2,
            "subjects": rng.sample(SUBJECTS, rng.randrange(1, 4)),
            "timezone": rng.choice(TIMEZONES),
            "accepts_instant_book": rng.random() < 0.4,
        }

    def _balance(self) -> dict[str, Any]:
        rng = self._rng
        demand, supply = round(rng.uniform(20, 80), 1), round(rng.uniform(35, 65), 1)
        return {
            "subject": rng.choice(SUBJECTS),
            "region": rng.choice(REGIONS),
            "available_tutors": rng.randrange(4, 20),
            "active_students": rng.randrange(20, 90),
            "demand_score": demand,
            "supply_score": supply,
            "balance_status": "high_demand" if demand - supply > 30 else "balanced",
        }


class _Zipf:
    """Draws positions by Zipf's law; which of them is how popular is shuffled."""

    def __init__(self, rng: Random, count: int, skew: float) -> None:
        self._rng = rng
        self._cumulated = list(accumulate((rank + 1) ** -skew for rank in range(count)))
        self._who = list(range(count))
        self.shuffle()

    def shuffle(self) -> None:
        """Makes others popular."""
        self._rng.shuffle(self._who)

    def draw(self) -> int:
        return self._who[bisect(self._cumulated, self._rng.random() * self._cumulated[-1])]


def _student(number: int) -> str:
    return f"stu_{number + 1:05d}"


def _tutor(number: int) -> str:
    return f"tut_{number + 1:05d}"


def iso(time_ms: int) -> str:
    """Epoch milliseconds as ISO-8601 UTC."""
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def named(event: Told) -> list[tuple[str, str]]:
    """The entities that an event names: type and id."""
    payload = event.body["payload"]
    return [
        (kind, payload[name])
        for kind, name in (
            ("student", "student_id"),
            ("tutor", "tutor_id"),
            ("subject", "subject"),
            ("region", "region"),
        )
        if name in payload and not (kind == "subject" and "session_id" in payload)
    ]


def batches(events: Sequence[Told], size: int) -> list[Sequence[Told]]:
    """The events in whole batches of `size`; a rest is left out."""
    return [events[start : start + size] for start in range(0, len(events) - size + 1, size)]


def delivery(events: Iterable[Told]) -> bytes:
    """A Lambda event with these events as Kinesis records, as JSON (Lambda guide, "Using Lambda with Kinesis")."""
    records: list[dict[str, Any]] = []
    for event in events:
        # What arrives at one moment has one sequence number here: bodies are distinct, and so are moments.
        number = f"4967{event.time_ms:013d}{len(records):039d}"
        data = json.dumps(event.body, separators=(",", ":"))
        records.append(
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": event.event_type,
                    "sequenceNumber": number,
                    "data": base64.b64encode(data.encode()).decode(),
                    "approximateArrivalTimestamp": event.time_ms / 1000,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000000:{number}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::123456789012:role/processor",
                "awsRegion": "us-east-1",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/iops-dashboard-events",
            }
        )
    return json.dumps({"Records": records}, separators=(",", ":")).encode()
