"""What the marketplace does at this moment: one run of the simulator, as streams of events that end now.

Each run's ids are its own; its people are the same from run to run. It must not look at the clock: `now` is
given.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from random import Random

from functions.simulator.marketplace import Event, Ids, Marketplace, Student, activity, in_order, run_id

STUDENTS, TUTORS = 5_000, 600
ROUND = timedelta(hours=2)
"""Longer than any session, so that nobody is in two sessions at once however long a stream is."""


@lru_cache(maxsize=1)
def marketplace() -> Marketplace:
    """The marketplace of all runs."""
    return Marketplace("live", STUDENTS, TUTORS)


def run(
    seed: str, now: datetime, streams: int, events: int, *, late: float = 0.0, students: int = STUDENTS
) -> list[Event]:
    """The events of one run, in order of time; none is later than `now`.

    Parameters
    ----------
    seed
        With `now` it decides everything.
    now
        An aware time, in UTC.
    streams
        How many streams run side by side, 1 to 5,000; each tells of students of its own.
    events
        How many events each stream has. They are of the last minute, but for sessions, which take their time; only a
        stream that has told of all its students goes further back.
    """
    market = marketplace()
    name = run_id(seed, now)
    rng, ids = Random(f"run {name}"), Ids(name)
    return in_order(
        [
            event
            for number in range(streams)
            for event in _stream(market, rng, ids, market.students[number:students:streams], now, events, late)
        ]
    )


def _stream(
    market: Marketplace, rng: Random, ids: Ids, students: list[Student], now: datetime, length: int, late: float
) -> list[Event]:
    events: list[Event] = []
    order: list[Student] = []
    rounds = -1
    while len(events) < length:
        if not order:
            order = rng.sample(students, len(students))
            rounds += 1
        end = now - rounds * ROUND - timedelta(milliseconds=rng.randrange(60_000))
        if late and rng.random() < late:
            end -= timedelta(minutes=rng.randrange(60, 3_600))
        events += _scene(market, rng, ids, order.pop(), end)
    # A session whose completion finds no place in the stream is one that goes on.
    return events[:length]


def _scene(market: Marketplace, rng: Random, ids: Ids, student: Student, end: datetime) -> list[Event]:
    """One or two events about a student, or about a tutor or market, none after `end`."""
    mood = market.mood(student, end)
    sessions, calls, health, availability, balance = (
        6 * activity(end) * mood,
        0.3 + 3 * (1 - mood),
        2.5,
        1.0,
        1.5,
    )
    scene = rng.uniform(0, sessions + calls + health + availability + balance)
    if scene < sessions:
        started, completed = market.session(rng, ids, student, end - timedelta(minutes=rng.randrange(100)), end)
        return [started] if completed is None else [started, completed]
    if scene < sessions + calls:
        return [market.call(rng, ids, student, end)]
    if scene < sessions + calls + health:
        weekly = student.weekly_sessions * mood
        return [
            market.health(
                rng,
                student,
                end,
                sessions=(round(weekly), round(2 * weekly), round(4.3 * weekly)),
                calls=round(4 * (1 - mood)),
                rating=round(2.4 + 2.2 * mood, 2),
                expected=2 * student.weekly_sessions,
            )
        ]
    if scene < sessions + calls + health + availability:
        return [market.availability(rng, rng.choice(market.tutors), end)]
    return [market.balance(rng, rng.choice(market.markets), end)]
