"""A month of a small marketplace, hour by hour: the sample that the demo and the tests send.

The marketplace is older than the month, so that the first health reports know of sessions that no event
tells of.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from random import Random

from functions.simulator.marketplace import (
    DAY,
    HOURS,
    Event,
    Ids,
    Marketplace,
    Student,
    activity,
    in_order,
    run_id,
)

SEED = "1"
END = datetime(2026, 11, 20, 18, tzinfo=UTC)
DAYS, DAYS_BEFORE = 35, 30
STUDENTS, TUTORS = 120, 24
REPORT_EVERY_DAYS, BALANCE_EVERY_DAYS = 3, 2
HOUR = timedelta(hours=1)


def month(seed: str = SEED) -> list[Event]:
    """35 days up to `END`, in order of time: all six types, some students slipping, some subjects short."""
    rng = Random(f"month {seed}")
    ids = Ids(run_id(seed, END))
    market = Marketplace(f"month {seed}", STUDENTS, TUTORS)
    begin = END - (DAYS + DAYS_BEFORE) * DAY
    events: list[Event] = []
    for number, student in enumerate(market.students):
        # One in ten is new this month.
        joined = END - rng.uniform(2, DAYS) * DAY if number % 10 == 3 else begin
        events += _student(market, rng, ids, student, joined, first_report=number % REPORT_EVERY_DAYS)
    for tutor in market.tutors:
        for day in range(DAYS + 1):
            time = _at(rng, END - day * DAY, 6, 10)
            if time.weekday() == 0 or rng.random() < 0.15:
                events.append(market.availability(rng, tutor, time))
    for number, place in enumerate(market.markets):
        for day in range(number % BALANCE_EVERY_DAYS, DAYS + 1, BALANCE_EVERY_DAYS):
            events.append(market.balance(rng, place, _at(rng, END - day * DAY, 4, 16)))
    return in_order([event for event in events if END - DAYS * DAY < event.time <= END])


def _at(rng: Random, day: datetime, first_hour: int, last_hour: int) -> datetime:
    """A moment on that day between two hours."""
    minutes = rng.randrange(first_hour * 60, last_hour * 60)
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(minutes=minutes, milliseconds=rng.randrange(60_000))


def _student(
    market: Marketplace, rng: Random, ids: Ids, student: Student, joined: datetime, first_report: int
) -> list[Event]:
    events: list[Event] = []
    session_times: list[datetime] = []
    ratings: list[tuple[datetime, float]] = []
    call_times: list[datetime] = []
    time, free = joined, joined
    while time < END:
        mood = market.mood(student, time)
        hourly = student.weekly_sessions / 7 / len(HOURS)
        if rng.random() < hourly * activity(time) * mood:
            start = max(free, time + timedelta(milliseconds=rng.randrange(3_600_000)))
            told = _session(market, rng, ids, student, start)
            events += told
            session_times.append(start)
            free = max(event.time for event in told) + 15 * timedelta(minutes=1)
            rating = told[-1].body["payload"].get("student_rating")
            if rating is not None:
                ratings.append((told[-1].time, float(rating)))
        # Calls come in office hours.
        if 8 <= time.hour < 18 and rng.random() < 0.0015 + 0.035 * (1 - mood):
            call = market.call(rng, ids, student, time + timedelta(seconds=rng.randrange(3_600)))
            events.append(call)
            call_times.append(call.time)
        days = (time - joined) // DAY
        if time.hour == 5 and days % REPORT_EVERY_DAYS == first_report:
            report = time + timedelta(seconds=rng.randrange(1_800))
            given = [stars for when, stars in ratings if report - 30 * DAY < when <= report]
            events.append(
                market.health(
                    rng,
                    student,
                    report,
                    sessions=(
                        _since(session_times, report, 7),
                        _since(session_times, report, 14),
                        _since(session_times, report, 30),
                    ),
                    calls=_since(call_times, report, 14),
                    rating=sum(given) / len(given) if given else None,
                    expected=min(14.0, days) / 7 * student.weekly_sessions * 0.7,
                )
            )
        time += HOUR
    return events


def _session(market: Marketplace, rng: Random, ids: Ids, student: Student, start: datetime) -> list[Event]:
    if rng.random() < 0.02:
        return [market.walk_in(rng, student, start)]
    started, completed = market.session(rng, ids, student, start, END)
    return [started] if completed is None else [started, completed]


def _since(times: list[datetime], now: datetime, days: int) -> int:
    """How many of the times, which are in order, lie in the last days."""
    return bisect_right(times, now) - bisect_right(times, now - days * DAY)
