"""`roll_up`: the figures over all entities that a rollup must find at its moment."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from statistics import median
from typing import Any

from proof.oracle.events import Event, accept
from proof.oracle.fields import stored_number
from proof.oracle.model import AS_SHIPPED, DAY_MS, EntityKey, Record, Rejected, Rules, Totals, canonical_json
from proof.oracle.windows import (
    count_in_window,
    grouped_by,
    mean,
    occurrences,
    ratings_of,
    session_attributes,
    start_times,
)


def roll_up(records: Iterable[Record], as_of_ms: int, rules: Rules = AS_SHIPPED) -> dict[EntityKey, Totals]:
    """What a rollup must find out at `as_of_ms` from all records ever delivered.

    A session is a subject's that its earliest event that names a subject names (of equal times the smaller name), at
    the time of its earliest event, with the tutor_rating of its latest completion that gives one and names a tutor (of
    equal times the larger). It counts once, whoever takes part in it. What one student has to do with a subject is
    decided by the events that name the student.

    Returns
    -------
    dict
        By entity, for each subject and tutor that is named at all; zeros where there is nothing to count.
    """
    events = []
    for record in records:
        try:
            events.append(accept(record, rules))
        except Rejected:
            continue
    rated = [event for event in events if event.tutor_id is not None]
    sessions = occurrences(events, "session")
    times, ratings = start_times(sessions), ratings_of(occurrences(rated, "session"), "tutor_rating")
    subjects = {identity: _earliest_named(same, "subject") for identity, same in sessions.items()}
    active: dict[str, set[str]] = defaultdict(set)
    first: dict[EntityKey, list[bool | None]] = defaultdict(list)
    for student, named in grouped_by(events, "student_id").items():
        own = occurrences(named, "session")
        for same in own.values():
            subject = _earliest_named(same, "subject")
            if subject is not None and count_in_window([min(event.time for event in same)], 30, as_of_ms):
                active[subject].add(student)
        if not own:
            continue
        # The earliest session; of equally early ones that with the smaller id.
        begun, _, of_first = min((min(e.time for e in same), _stored_id(same[0]), same) for same in own.values())
        for entity_type, name in (("subject", "subject"), ("tutor", "tutor_id")):
            entity_id = _earliest_named(of_first, name)
            if entity_id is not None and count_in_window([begun], 30, as_of_ms):
                first[entity_type, entity_id].append(_outcome(of_first))

    totals = {}
    for subject in grouped_by(events, "subject"):
        taught = {identity: times[identity] for identity in times if subjects[identity] == subject}
        attributes = session_attributes(taught, ratings, as_of_ms) | {"active_students_30d": len(active[subject])}
        first_sessions, known = _first_sessions(first["subject", subject])
        surge = _surge(list(taught.values()), as_of_ms)
        totals["subject", subject] = Totals(attributes | first_sessions, known, *surge)
    for tutor in grouped_by(events, "tutor_id"):
        totals["tutor", tutor] = Totals(*_first_sessions(first["tutor", tutor]))
    return totals


def _earliest_named(events: list[Event], name: str) -> str | None:
    """What the earliest event that has the field says in it, of equal times the smaller; None where none has it."""
    named = [(event.time, getattr(event, name)) for event in events if getattr(event, name) is not None]
    return min(named)[1] if named else None


def _outcome(events: list[Event]) -> bool | None:
    """A session's outcome: as its latest completion that has one says, of equal times success; None while unknown."""
    known = [(event.time, event.success) for event in events if event.success is not None]
    return max(known)[1] if known else None


def _stored_id(event: Event) -> int:
    """The 64-bit name of a session in the table: BLAKE2b of its kind, 0, and of its own id or of what the event says.

    Decides nothing but which of two sessions that began in the same millisecond is the first.
    """
    _, *rest = event.identity
    name = f"id:{rest[0]}"
    if len(rest) > 1:
        content = f"[{canonical_json(event.event_type)},{event.time},{event.payload}]".encode()
        name = f"content:{hashlib.blake2b(content, digest_size=16).hexdigest()}"
    return int.from_bytes(hashlib.blake2b(f"0:{name}".encode(), digest_size=8).digest())


def _first_sessions(outcomes: list[bool | None]) -> tuple[dict[str, Any], int]:
    """The attributes of these students' first sessions, and how many of them have a known outcome."""
    known = [int(outcome) for outcome in outcomes if outcome is not None]
    return {"first_sessions_30d": len(outcomes), "first_session_success_rate": mean(known)}, len(known)


def _surge(times: list[int], as_of: int) -> tuple[int | None, float | None]:
    """A subject's usual sessions a day, and how far the last week is above that: its modified z-score, to 1 decimal.

    Sessions are counted by days before `as_of`, in 30 days of 24 hours; what is ahead of the clock is today's. The mean
    of the newest 7 is compared with the median of the 23 before. The spread is 1.4826 times the median absolute
    deviation, after B. Iglewicz and D. C. Hoaglin, "How to Detect and Handle Outliers" (1993); but at least the square
    root of the median, by which counts of independent things scatter. None where the median is 0.
    """
    days = [max(0, (as_of - time) // DAY_MS) for time in times]
    last, past = ([days.count(day) for day in some] for some in (range(7), range(7, 30)))
    usual = int(median(past))
    if usual < 1:
        return None, None
    spread = max(Fraction("1.4826") * int(median(abs(count - usual) for count in past)), Fraction(math.sqrt(usual)))
    return usual, stored_number(float(round((Fraction(sum(last), 7) - usual) / spread, 1)))
