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
BREAK = timedelta(minutes=15)
"""Between two sessions of a student."""


def month(seed: str = SEED) -> list[Event]:
    """35 days up to `END`, in order of time: all six types, some students slipping, some subjects short."""
    rng = Random(f"month {seed}")
    ids = Ids(run_id(seed, END))
    market = Marketplace(f"month {seed}", STUDENTS, TUTORS)
    begin = END - (DAYS + DAYS_BEFORE) * DAY
    # One in ten is new this month.
    joined = [END - rng.uniform(2, DAYS) * DAY if number % 10 == 3 else begin for number in range(STUDENTS)]
    sessions = [
        _sessions(market, rng, ids, student, since) for student, since in zip(market.students, joined, strict=True)
    ]
    _form_groups(market, rng, joined, sessions)
    events: list[Event] = []
    for number, student in enumerate(market.students):
        events += [event for told in sessions[number] for event in told]
        events += _care(market, rng, ids, student, joined[number], sessions[number], number % REPORT_EVERY_DAYS)
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


def _sessions(market: Marketplace, rng: Random, ids: Ids, student: Student, joined: datetime) -> list[list[Event]]:
    """What is told of each session of a student's own, in order of time."""
    sessions: list[list[Event]] = []
    time, free = joined, joined
    while time < END:
        hourly = student.weekly_sessions / 7 / len(HOURS)
        if rng.random() < hourly * activity(time) * market.mood(student, time):
            start = max(free, time + timedelta(milliseconds=rng.randrange(3_600_000)))
            sessions.append(_session(market, rng, ids, student, start))
            free = max(event.time for event in sessions[-1]) + BREAK
        time += HOUR
    return sessions


def _form_groups(market: Marketplace, rng: Random, joined: list[datetime], sessions: list[list[list[Event]]]) -> None:
    """Adds to students' sessions, who have the same positions, the group sessions of others that they join.

    Up to two who have the subject, the time and the heart join each.
    """
    groups = [told for own in sessions for told in own if told[0].body["payload"].get("session_type") == "group"]
    for told in groups:
        subject, begin, end = told[0].body["payload"]["subject"], told[0].time - BREAK, told[-1].time + BREAK
        could = [
            number
            for number, student in enumerate(market.students)
            if subject in student.subjects
            and joined[number] < begin
            and market.mood(student, begin) > 0.6
            and all(own[-1].time < begin or end < own[0].time for own in sessions[number])
        ]
        for number in rng.sample(could, min(len(could), rng.randrange(3))):
            sessions[number].append(market.joined(rng, told, market.students[number]))
    for own in sessions:
        own.sort(key=lambda told: told[0].time)


def _care(
    market: Marketplace,
    rng: Random,
    ids: Ids,
    student: Student,
    joined: datetime,
    sessions: list[list[Event]],
    first_report: int,
) -> list[Event]:
    """A student's calls, and the reports on their health."""
    events: list[Event] = []
    session_times = [told[0].time for told in sessions]
    ratings = [
        (told[-1].time, float(rating))
        for told in sessions
        if (rating := told[-1].body["payload"].get("student_rating")) is not None
    ]
    call_times: list[datetime] = []
    time = joined
    while time < END:
        mood = market.mood(student, time)
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
