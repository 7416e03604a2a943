"""Sessions and calls made of events, and what is counted of them in windows of days."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from proof.oracle.events import SESSION_EVENTS, Event, Identity
from proof.oracle.fields import stored_number
from proof.oracle.model import DAY_MS, FACTS_KEPT_DAYS

Occurrences = dict[Identity, list[Event]]
"""Sessions or calls: the events that are about each."""


def grouped_by(events: Iterable[Event], name: str, event_type: str | None = None) -> dict[str, list[Event]]:
    """The events that have the field, by its value."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if getattr(event, name) is not None and event_type in (None, event.event_type):
            groups[getattr(event, name)].append(event)
    return groups


def count_in_window(times: Iterable[int], days: int, as_of: int) -> int:
    return sum(time > as_of - days * DAY_MS for time in times)


def occurrences(events: Iterable[Event], kind: str) -> Occurrences:
    """The events about sessions or calls, by what they are about; what arrived 32 days late tells nothing any more."""
    event_types = SESSION_EVENTS if kind == "session" else ("ib_call_logged",)
    things: Occurrences = defaultdict(list)
    for event in events:
        if event.event_type in event_types and event.time > event.arrival - FACTS_KEPT_DAYS * DAY_MS:
            things[event.identity].append(event)
    return things


def start_times(things: Occurrences) -> dict[Identity, int]:
    """When each was: at the time of its earliest event."""
    return {identity: min(event.time for event in events) for identity, events in things.items()}


def ratings_of(sessions: Occurrences, rating_field: str) -> dict[Identity, Decimal]:
    """The rating of each rated session: of the latest completion that gives one, of equal times the larger."""
    ratings = {}
    for identity, events in sessions.items():
        rated = [(e.time, getattr(e, rating_field)) for e in events if getattr(e, rating_field) is not None]
        if rated:
            ratings[identity] = max(rated)[1]
    return ratings


def session_attributes(
    times: Mapping[Identity, int], ratings: Mapping[Identity, Decimal], as_of: int
) -> dict[str, Any]:
    counted = {days: count_in_window(times.values(), days, as_of) for days in (7, 14, 30)}
    rated = [ratings[each] for each, time in times.items() if each in ratings and count_in_window([time], 30, as_of)]
    return {
        "sessions_7d": counted[7],
        "sessions_14d": counted[14],
        "sessions_30d": counted[30],
        "avg_rating": mean(rated),
        "ratings_30d": len(rated),
        "session_velocity": counted[7] - (counted[14] - counted[7]),
    }


def mean(figures: Iterable[Decimal | int]) -> int | float:
    """The exact mean, rounded half to even at four decimals; 0 without any."""
    exact = [Fraction(figure) for figure in figures]
    return stored_number(float(round(sum(exact, Fraction()) / len(exact), 4))) if exact else 0
