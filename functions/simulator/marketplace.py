"""A tutoring marketplace: who is in it, how each fares at a given time, and the events that tell of it.

Everything here is a function of seeds and times, so that a seed says what happened down to the byte (only
arithmetic that is the same on every machine is used). It must not look at the clock, talk to AWS, or spoil an
event: disorder.py does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from random import Random
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

SUBJECTS = ("algebra", "geometry", "calculus", "physics", "chemistry", "biology", "english", "français")
REGIONS = ("north", "east", "south", "west")
REGION_OFFSETS = {"north": "+01:00", "east": "+02:00", "south": "+01:00", "west": "-05:00"}
TIMEZONES = ("Europe/Berlin", "Europe/Athens", "Europe/Madrid", "America/New_York")

HOURS = (2, 1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 5, 4, 5, 8, 14, 18, 20, 18, 14, 9, 5, 3, 2)
"""Sessions by hour of the day (UTC), in relative numbers: quiet nights, busy after school."""
WEEKDAYS = (1.0, 1.1, 1.1, 1.1, 0.9, 0.8, 1.0)
"""Sessions by day of the week, Monday first."""

MOOD_CYCLE_DAYS, SLIPPING_DAYS = 35, 16
SHORTAGE_CYCLE_DAYS, SHORTAGE_DAYS = 21, 5


@dataclass(frozen=True)
class Student:
    """A student; some have ids from an older system, which are integers."""

    student_id: str | int
    region: str
    subjects: tuple[str, ...]
    weekly_sessions: float
    slips_from: float | None
    """Where in the cycle of moods this student is at the epoch, in days; None for those who never slip."""


@dataclass(frozen=True)
class Tutor:
    """A tutor and what they usually offer."""

    tutor_id: str
    subjects: tuple[str, ...]
    timezone: str
    weekly_hours: int
    accepts_instant_book: bool


@dataclass(frozen=True)
class Market:
    """A subject in a region (or everywhere, with none): its usual size, and when it runs short of tutors."""

    subject: str
    region: str | None
    tutors: int
    students: int
    short_from: float | None


@dataclass(frozen=True)
class Event:
    """An event as its source writes it, not yet ingested."""

    time: datetime
    event_type: str
    body: dict[str, Any]


@dataclass
class Ids:
    """Ids that are unique to a run, and the same whenever that run is made again."""

    run: str
    count: int = 0

    def next(self, kind: str) -> str:
        """The next id of a kind, such as ses_5f0c1d2e3a_12."""
        self.count += 1
        return f"{kind}_{self.run}_{self.count}"


def run_id(seed: str, now: datetime) -> str:
    """A short name for the run of `seed` at `now`."""
    return blake2b(f"{seed} {now.isoformat()}".encode(), digest_size=5).hexdigest()


def activity(time: datetime) -> float:
    """How busy the marketplace is, 1 being the average over a week."""
    return HOURS[time.hour] * len(HOURS) / sum(HOURS) * WEEKDAYS[time.weekday()]


def _days(time: datetime) -> float:
    return (time - EPOCH) / DAY


class Marketplace:
    """The people and markets that a seed makes.

    Parameters
    ----------
    seed
        The same seed makes the same marketplace.
    students, tutors
        How many there are.
    """

    def __init__(self, seed: str, students: int, tutors: int):
        rng = Random(f"marketplace {seed}")
        self.tutors = [
            Tutor(
                tutor_id=f"tut_{number:04d}",
                # Each subject has a tutor, whatever the seed.
                subjects=_distinct(SUBJECTS[number % len(SUBJECTS)], *rng.sample(SUBJECTS, rng.randrange(3))),
                timezone=rng.choice(TIMEZONES),
                weekly_hours=rng.randrange(8, 36),
                accepts_instant_book=rng.random() < 0.4,
            )
            for number in range(1, max(tutors, len(SUBJECTS)) + 1)
        ]
        self.students = [
            Student(
                student_id=900_000 + number if number % 40 == 0 else f"stu_{number:04d}",
                region=rng.choice(REGIONS),
                subjects=tuple(rng.sample(SUBJECTS, rng.choice((1, 1, 2, 3)))),
                weekly_sessions=round(rng.uniform(1.5, 4.5), 2),
                slips_from=rng.uniform(0, MOOD_CYCLE_DAYS) if rng.random() < 0.25 else None,
            )
            for number in range(1, students + 1)
        ]
        self.markets = [
            Market(subject, region, rng.randrange(4, 20), rng.randrange(20, 90), short_from)
            for subject in SUBJECTS
            for starts in [rng.uniform(0, SHORTAGE_CYCLE_DAYS)]
            for region in (*REGIONS, *([None] if subject == "english" else []))
            for short_from in [starts if rng.random() < 0.6 else None]
        ]
        self.teachers = {subject: [tutor for tutor in self.tutors if subject in tutor.subjects] for subject in SUBJECTS}

    def mood(self, student: Student, time: datetime) -> float:
        """From 1, all is well, down to 0.05: a student who slips loses heart over days and finds it again."""
        if student.slips_from is None:
            return 1.0
        phase = (_days(time) + student.slips_from) % MOOD_CYCLE_DAYS
        return 1 - 0.95 * max(0.0, min(1.0, phase / 5, (SLIPPING_DAYS - phase) / 3))

    def shortage(self, market: Market, time: datetime) -> float:
        """From 0, enough tutors, to 1."""
        if market.short_from is None:
            return 0.0
        phase = (_days(time) + market.short_from) % SHORTAGE_CYCLE_DAYS
        return max(0.0, min(1.0, phase / 1.5, (SHORTAGE_DAYS - phase) / 1.5))

    def session(
        self, rng: Random, ids: Ids, student: Student, start: datetime, end_by: datetime
    ) -> tuple[Event, Event | None]:
        """A session's start and, unless it is called off or still going on at `end_by`, its completion."""
        subject = rng.choice(student.subjects)
        teachers = self.teachers[subject]
        # Most sessions are with the tutor of one's own, the others with whoever is there.
        favourite = teachers[hash_of(student.student_id, subject) % len(teachers)]
        tutor = favourite if rng.random() < 0.7 else rng.choice(teachers)
        mood = self.mood(student, start)
        scheduled = rng.choice((30, 45, 60))
        actual = max(5, scheduled + rng.randrange(-10, 6))
        common = {
            "session_id": ids.next("ses"),
            "student_id": student.student_id,
            "tutor_id": tutor.tutor_id,
            "subject": subject,
        }
        kinds = ("one_on_one", "one_on_one", "group") + ("instant_book",) * tutor.accepts_instant_book
        source = "mobile_app" if rng.random() < 0.3 else "platform"
        started = _event(
            "session_started",
            start,
            {**common, "session_type": rng.choice(kinds), "scheduled_duration_minutes": scheduled},
            source,
            student.region,
        )
        end = start + timedelta(minutes=actual, milliseconds=rng.randrange(1000))
        called_off = rng.random() < 0.03
        if called_off or end > end_by:
            return started, None
        stars = 2.4 + 2.2 * mood
        outcome = {
            "actual_duration_minutes": actual,
            "student_rating": _stars(rng, stars, source) if rng.random() < 0.8 else None,
            "tutor_rating": _stars(rng, 4.3, source) if rng.random() < 0.6 else None,
            "completed_successfully": rng.random() < 0.7 + 0.27 * mood,
        }
        return started, _event("session_completed", end, {**common, **outcome}, source, student.region)

    def joined(self, rng: Random, told: Sequence[Event], student: Student) -> list[Event]:
        """What a group session's events say when told of another student in it, who comes and goes a little later."""
        later = timedelta(milliseconds=rng.randrange(60_000))
        events = []
        for event in told:
            payload = {**event.body["payload"], "student_id": student.student_id}
            source = payload.pop("source")
            del payload["timestamp"]
            if event.event_type == "session_completed":
                payload["student_rating"] = _stars(rng, 2.4 + 2.2 * self.mood(student, event.time), source)
            events.append(_event(event.event_type, event.time + later, payload, source, student.region))
        return events

    def walk_in(self, rng: Random, student: Student, time: datetime) -> Event:
        """A session held at a partner's, who reports completions only, and gives them no id."""
        subject = rng.choice(student.subjects)
        payload = {
            "student_id": student.student_id,
            "tutor_id": rng.choice(self.teachers[subject]).tutor_id,
            "subject": subject,
            "actual_duration_minutes": rng.choice((30, 60)),
            "student_rating": _stars(rng, 4.2, "partner"),
            "completed_successfully": True,
        }
        return _event("session_completed", time, payload, "partner")

    def call(self, rng: Random, ids: Ids, student: Student, time: datetime) -> Event:
        """An inbound call; those who slip call about other things than the rest."""
        slipping = self.mood(student, time) < 0.6
        reasons = ("cancellation", "tutor_match", "complaint") if slipping else ("billing", "scheduling", "technical")
        payload = {
            "call_id": ids.next("call"),
            "student_id": student.student_id,
            "reason": rng.choice(reasons),
            "duration_seconds": rng.randrange(40, 1500),
            "resolved": rng.random() < (0.4 if slipping else 0.85),
            "priority": rng.choice(("high", "normal")) if slipping else "normal",
        }
        return _event("ib_call_logged", time, payload, "crm")

    def health(
        self,
        rng: Random,
        student: Student,
        time: datetime,
        *,
        sessions: tuple[int, int, int],
        calls: int,
        rating: float | None,
        expected: float,
    ) -> Event:
        """The health model's report on a student.

        Parameters
        ----------
        sessions
            Their number in the last 7, 14 and 30 days.
        calls
            Inbound calls of the last 14 days.
        rating
            Mean rating that the student gave, None without any.
        expected
            Sessions that this student usually has in 14 days.
        """
        score = 56 + 38 * min(1.0, sessions[1] / max(expected, 1.0)) - 7 * max(0, calls - 1)
        score += 5 * ((rating if rating is not None else 4.4) - 4.4) + rng.uniform(-4, 6)
        score = round(min(100.0, max(0.0, score)), 1)
        payload = {
            "student_id": student.student_id,
            "health_score": score,
            "sessions_last_7_days": sessions[0],
            "sessions_last_30_days": sessions[2],
            "ib_calls_last_14_days": calls,
            "avg_session_rating": round(rating, 2) if rating is not None else None,
            "churn_risk": "high" if score < 50 else "medium" if score < 70 else "low",
        }
        return _event("customer_health_update", time, payload, "health_model")

    def availability(self, rng: Random, tutor: Tutor, time: datetime) -> Event:
        """A tutor's hours for the week, now and then with nothing left."""
        hours = 0.0 if rng.random() < 0.05 else max(1, tutor.weekly_hours + rng.randrange(-12, 13) / 2)
        payload = {
            "tutor_id": tutor.tutor_id,
            "available_hours_this_week": hours,
            "subjects": list(tutor.subjects),
            "timezone": tutor.timezone,
            "accepts_instant_book": tutor.accepts_instant_book,
        }
        return _event("tutor_availability_updated", time, payload, "platform")

    def balance(self, rng: Random, market: Market, time: datetime) -> Event:
        """The planner's view of a subject in a region."""
        shortage = self.shortage(market, time)
        quiet = 18 if time.weekday() >= 5 and shortage == 0 else 0
        demand = round(min(100.0, 46 + 46 * shortage - quiet + rng.uniform(-8, 8)), 1)
        supply = round(50 - 34 * shortage + rng.uniform(-8, 8), 1)
        lead = demand - supply
        payload = {
            "subject": market.subject,
            "region": market.region,
            "available_tutors": max(0, round(market.tutors * (1 - 0.9 * shortage)) + rng.randrange(-1, 2)),
            "active_students": max(0, round(market.students * (1 + 0.4 * shortage)) + rng.randrange(-4, 5)),
            "demand_score": demand,
            "supply_score": supply,
            "balance_status": "high_demand" if lead >= 25 else "oversupplied" if lead <= -25 else "balanced",
        }
        return _event("supply_demand_update", time, payload, "planner")


def hash_of(*parts: object) -> int:
    """A number that a few values always make, on any machine."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=4).digest(), "big")


def _distinct(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _stars(rng: Random, mean: float, source: str) -> float | str:
    """A rating in half stars; the mobile app writes numbers as strings."""
    stars = min(5.0, max(0.0, round(2 * (mean + rng.uniform(-1, 1))) / 2))
    return str(stars) if source == "mobile_app" else stars


def _event(event_type: str, time: datetime, payload: dict[str, Any], source: str, region: str = "north") -> Event:
    """An event with its time where and how its source writes times."""
    utc = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope = {}
    if source == "mobile_app":
        own = time.astimezone(_offset(REGION_OFFSETS[region])).isoformat(timespec="milliseconds")
    elif source == "crm":
        own = time.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    else:
        own = utc
        envelope["timestamp"] = utc
    return Event(
        time,
        event_type,
        {"event_type": event_type, **envelope, "payload": {**payload, "timestamp": own, "source": source}},
    )


def _offset(text: str) -> timezone:
    hours, minutes = text[1:].split(":")
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-ahead if text[0] == "-" else ahead)


def in_order(events: Sequence[Event]) -> list[Event]:
    """Events by their time."""
    return sorted(events, key=lambda event: event.time)
