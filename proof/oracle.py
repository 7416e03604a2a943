"""The contract, executed the plain way: every public attribute recomputed from the records themselves.

What the demo and the tests compare the table with. It follows sections 1 to 3 of the contract rule by rule, in plain
Python over lists and dicts, as slowly as that takes. It must not import anything of the processor, nor know how state
is stored, and it does not model what storage adds (the folding of very large entities, and so `too_late`).
"""

import hashlib
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import lru_cache
from statistics import median
from typing import Any

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
FACTS_KEPT_DAYS = 32
MAX_PAIRS = 200
"""Regions of a subject, and subjects of a region."""
UNSPECIFIED_REGION = "unspecified"

EntityKey = tuple[str, str]
"""entity_type, entity_id."""


@dataclass(frozen=True)
class Record:
    """One Kinesis record: its bytes, its approximate arrival time (ms since the epoch) and its sequence number."""

    data: bytes
    arrival_ms: int
    sequence: str


@dataclass(frozen=True)
class Rules:
    """The numbers of the contract that are configuration."""

    future_tolerance_seconds: int = 600
    ib_calls_warning: int = 3
    health_warning: float = 70
    health_critical: float = 50
    first_session_success_below: float = 0
    """first_session_success_low fires below this; 0 is off, as for the next three."""
    first_sessions_least: int = 5
    velocity_drop_share: float = 0
    velocity_drop_least: int = 4
    no_tutors_alert: bool = False
    demand_surge_score: float = 0
    demand_surge_least: int = 10


@dataclass(frozen=True)
class Rolled:
    """What a rollup must find out about one subject or tutor at its moment.

    Attributes
    ----------
    attributes
        The public attributes. A subject's: `sessions_7d`, `sessions_14d`, `sessions_30d`, `session_velocity`,
        `avg_rating`, `ratings_30d`, `active_students_30d`; a subject's and a tutor's: `first_sessions_30d`,
        `first_session_success_rate`.
    first_outcomes
        How many of those first sessions have a known outcome.
    usual_daily, surge_score
        See `_surge`.
    """

    attributes: dict[str, Any]
    first_outcomes: int = 0
    usual_daily: int | None = None
    surge_score: float | None = None


@dataclass
class Recomputed:
    """What must be in the table at `as_of`, and what became of each record.

    Attributes
    ----------
    entities
        Public attributes by (entity_type, entity_id), without `last_updated`; `alerts` as {type: severity}.
        An entity is among them as soon as an accepted event names it, however old; a subject that only sessions name
        as soon as a rollup has counted something of it.
    outlived
        The same of subjects of which the last rollup counted nothing. They have an item where an earlier one did:
        before its sessions were 30 days old, or before it was known that they are another subject's.
    rejected
        Reason by sequence number.
    accepted, distinct, duplicates
        Records that were not rejected; how many different events they were (by type, event time and payload);
        and how many of them said again what another had said.
    """

    entities: dict[EntityKey, dict[str, Any]] = field(default_factory=dict)
    outlived: dict[EntityKey, dict[str, Any]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    accepted: int = 0
    distinct: int = 0
    duplicates: int = 0


class Rejected(Exception):
    """A record that the contract refuses, with its reason."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def canonical_json(value: Any) -> str:
    """The one way to write a value as JSON; content is compared in it, code point by code point."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# -- a record's bytes -------------------------------------------------------------------------------------------------


def parse_json(data: bytes) -> Any:
    """JSON as its standard has it: no NaN, no fraction beyond a double, no lone surrogates, no byte order mark.

    Raises
    ------
    Rejected
        not_utf8 or not_json.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("not_utf8") from None
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
        # Fails for a lone surrogate in any key or string, and for what is nested too deep.
        canonical_json(value).encode("utf-8")
    except (ValueError, RecursionError):
        raise Rejected("not_json") from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is beyond a double")
    return number


# -- times ------------------------------------------------------------------------------------------------------------

ISO_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
EPOCH = datetime(1970, 1, 1)
FIRST_MS = (datetime.min - EPOCH) // timedelta(milliseconds=1)
LAST_MS = (datetime.max - EPOCH) // timedelta(milliseconds=1)


def time_ms(value: Any) -> int | None:
    """The instant that an ISO-8601 time names, in ms since the epoch; None for anything else."""
    match = ISO_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    try:
        wall = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
    except ValueError:
        return None
    ahead_hours, ahead_minutes = int(offset_hour or 0), int(offset_minute or 0)
    if ahead_hours > 23 or ahead_minutes > 59:
        return None
    ahead_ms = (ahead_hours * 60 + ahead_minutes) * MINUTE_MS * (-1 if sign == "-" else 1)
    milliseconds = int(((fraction or "") + "000")[:3])
    instant = (wall - EPOCH) // timedelta(milliseconds=1) + milliseconds - ahead_ms
    return instant if FIRST_MS <= instant <= LAST_MS else None


def iso(ms: int) -> str:
    """A time as it is stored: 2026-11-23T10:00:00.000Z."""
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"


def present(value: Any) -> bool:
    """Whether an optional field is there: neither missing nor null."""
    return value is not None


def own_time(event: dict[str, Any]) -> Any:
    """The first present of the three fields that may tell an event's time, unparsed; None without any."""
    payload = event.get("payload")
    inner = payload.get("timestamp") if isinstance(payload, dict) else None
    return next(filter(present, (event.get("timestamp"), inner, event.get("ingested_at"))), None)


# -- fields -----------------------------------------------------------------------------------------------------------

JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
SMALLEST = 1e-100
"""What is nearer to 0 than this is taken as 0: DynamoDB holds nothing smaller than 1e-130."""
LARGEST_KEPT = 1e100
BILLION = 1_000_000_000


def _stored(number: int | float) -> int | float:
    """A number as it is stored: 0 when tiny, an int when whole.

    A double stands for its shortest decimal (1e23 is 10**23), as does an integer of more digits than DynamoDB's 38.
    """
    if abs(number) < SMALLEST:
        return 0
    if isinstance(number, int) and abs(number) < 10**38:
        return number
    decimal = Decimal(repr(float(number)))
    return int(decimal) if decimal == int(decimal) else float(number)


def _number(value: Any) -> int | float:
    """A JSON number, or a string that is exactly one; finite; never a boolean."""
    if isinstance(value, str) and JSON_NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise Rejected("invalid_field")
    return _stored(value)


def _number_within(value: Any, largest: int) -> int | float | None:
    if not present(value):
        return None
    number = _number(value)
    if not 0 <= number <= largest:
        raise Rejected("invalid_field")
    return number


def _count(value: Any) -> int | None:
    number = _number_within(value, BILLION)
    if isinstance(number, float):
        raise Rejected("invalid_field")
    return number


def _rating(value: Any) -> Decimal | None:
    number = _number_within(value, 5)
    if number is None:
        return None
    return Decimal(repr(number)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)


def _name(value: Any, longest: int) -> str | None:
    """An id, subject or region: a string, or an integer taken as its digits; empty or null is missing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not present(value) or value == "":
        return None
    return _text(value, longest)


def _text(value: Any, longest: int) -> str | None:
    if not present(value):
        return None
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= longest:
        raise Rejected("invalid_field")
    return value


def _subjects(value: Any) -> list[str] | None:
    if not present(value):
        return None
    if not isinstance(value, list) or len(value) > 100:
        raise Rejected("invalid_field")
    if any(not isinstance(subject, str) or len(subject.encode()) > 256 for subject in value):
        raise Rejected("invalid_field")
    return value


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _unchecked(value: Any) -> int | float | str | None:
    """avg_session_rating and churn_risk: kept when a number or a short string, otherwise as if not given."""
    if isinstance(value, str):
        return value if len(value.encode()) <= 64 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= LARGEST_KEPT:
        return None
    return _stored(value)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


# -- events -----------------------------------------------------------------------------------------------------------

SESSION_EVENTS = ("session_started", "session_completed")
REQUIRED = {
    "session_started": (),
    "session_completed": (),
    "ib_call_logged": ("student_id",),
    "customer_health_update": ("student_id", "health_score"),
    "tutor_availability_updated": ("tutor_id",),
    "supply_demand_update": ("subject", "balance_status"),
}
EMPTY_IS_MISSING = ("student_id", "tutor_id", "subject")


Identity = tuple[str, ...]
"""What a session or call is known by: its kind and its id, or what the event says."""


@dataclass(frozen=True)
class Event:
    """An accepted event: its type, its time, who it names, and the fields that the system uses, checked."""

    event_type: str
    time: int
    arrival: int
    payload: str
    identity: Identity
    student_id: str | None = None
    tutor_id: str | None = None
    subject: str | None = None
    region: str | None = None
    student_rating: Decimal | None = None
    tutor_rating: Decimal | None = None
    success: bool | None = None
    register: dict[str, Any] = field(default_factory=dict)


Things = dict[Identity, list[Event]]
"""Sessions or calls: the events that are about each."""


@lru_cache(16_384)
def accept(record: Record, rules: Rules = Rules()) -> Event:
    """Parse and validate one record.

    Raises
    ------
    Rejected
        With the first reason that applies, in the contract's order: what it is, what kind, what is missing, what is
        out of range, and last its time.
    """
    value = parse_json(record.data)
    if not isinstance(value, dict):
        raise Rejected("not_object")
    event_type, payload = value.get("event_type"), value.get("payload")
    if not present(event_type):
        raise Rejected("missing_field")
    if not isinstance(event_type, str) or event_type not in REQUIRED:
        raise Rejected("unknown_event_type")
    if not present(payload):
        raise Rejected("missing_field")
    if not isinstance(payload, dict):
        raise Rejected("invalid_field")

    def missing(name: str) -> bool:
        return not present(payload.get(name)) or (name in EMPTY_IS_MISSING and payload[name] == "")

    if any(missing(name) for name in REQUIRED[event_type]):
        raise Rejected("missing_field")
    if event_type in SESSION_EVENTS and missing("student_id") and missing("tutor_id"):
        raise Rejected("missing_field")

    fields = _fields(event_type, payload)
    time = _event_time(value, record, rules)
    content = canonical_json(payload)
    own_id = fields.pop("own_id", None)
    kind = "session" if event_type in SESSION_EVENTS else event_type
    identity = (kind, own_id) if own_id is not None else (kind, event_type, str(time), content)
    return Event(
        event_type=event_type, time=time, arrival=record.arrival_ms, payload=content, identity=identity, **fields
    )


def _fields(event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The checked fields of an event that lacks nothing, as arguments of `Event`, and `own_id`."""
    get = payload.get
    if event_type in SESSION_EVENTS:
        completed = event_type == "session_completed"
        return _given(
            own_id=_name(get("session_id"), 1024),
            student_id=_name(get("student_id"), 1024),
            tutor_id=_name(get("tutor_id"), 1024),
            subject=_name(get("subject"), 128),
            student_rating=_rating(get("student_rating")) if completed else None,
            tutor_rating=_rating(get("tutor_rating")) if completed else None,
            success=_boolean(get("completed_successfully")) if completed else None,
        )
    if event_type == "ib_call_logged":
        return _given(own_id=_name(get("call_id"), 1024), student_id=_name(get("student_id"), 1024))
    if event_type == "customer_health_update":
        register = _given(
            health_score=_number_within(get("health_score"), 100),
            sessions_last_7_days=_count(get("sessions_last_7_days")),
            sessions_last_30_days=_count(get("sessions_last_30_days")),
            ib_calls_last_14_days=_count(get("ib_calls_last_14_days")),
            avg_session_rating=_unchecked(get("avg_session_rating")),
            churn_risk=_unchecked(get("churn_risk")),
        )
        return _given(student_id=_name(get("student_id"), 1024), register=register)
    if event_type == "tutor_availability_updated":
        register = _given(
            available_hours_this_week=_number_within(get("available_hours_this_week"), BILLION),
            subjects=_subjects(get("subjects")),
            timezone=_text(get("timezone"), 64),
            accepts_instant_book=_boolean(get("accepts_instant_book")),
        )
        return _given(tutor_id=_name(get("tutor_id"), 1024), register=register)
    register = _given(
        available_tutors=_count(get("available_tutors")),
        active_students=_count(get("active_students")),
        demand_score=_number_within(get("demand_score"), BILLION),
        supply_score=_number_within(get("supply_score"), BILLION),
        balance_status=_text(get("balance_status"), 64),
    )
    region = _name(get("region"), 128) or UNSPECIFIED_REGION
    return _given(subject=_name(get("subject"), 128), region=region, register=register)


def _event_time(event: dict[str, Any], record: Record, rules: Rules) -> int:
    value = own_time(event)
    if not present(value):
        return record.arrival_ms
    time = time_ms(value)
    if time is None:
        raise Rejected("bad_timestamp")
    if time > record.arrival_ms + rules.future_tolerance_seconds * 1000:
        raise Rejected("future_timestamp")
    return time


# -- the whole --------------------------------------------------------------------------------------------------------


def recompute(
    records: Iterable[Record], as_of_ms: int, rules: Rules = Rules(), rolled: Mapping[EntityKey, Rolled] | None = None
) -> Recomputed:
    """Everything that users read, from all records ever delivered, at `as_of_ms`.

    Parameters
    ----------
    records
        In any order, with any repeats.
    as_of_ms
        The clock, in ms since the epoch.
    rules
        Thresholds and the tolerance for times ahead of arrival.
    rolled
        What `roll_up` gives for the moment of the last rollup; None when none has run.
    """
    result = Recomputed()
    events: list[Event] = []
    pairs: dict[EntityKey, set[str]] = defaultdict(set)
    refused: set[tuple[EntityKey, str]] = set()
    # The limit on pairs is the one rule that looks at the order of arrival.
    for record in sorted(records, key=lambda record: int(record.sequence)):
        try:
            event = accept(record, rules)
        except Rejected as rejected:
            result.rejected[record.sequence] = rejected.reason
            continue
        too_many = False
        for entity, other in _pairs(event):
            if other not in pairs[entity] and len(pairs[entity]) == MAX_PAIRS:
                too_many = True
                refused.add((entity, other))
            else:
                pairs[entity].add(other)
        events.append(event)
        if too_many:
            result.rejected[record.sequence] = "too_many"
        else:
            result.accepted += 1
    result.distinct = len(
        {
            (event.event_type, event.time, event.payload)
            for event in events
            if not any(pair in refused for pair in _pairs(event))
        }
    )
    result.duplicates = result.accepted - result.distinct

    for student, named in _by(events, "student_id").items():
        result.entities["student", student] = _student(named, as_of_ms, rules)
    for tutor, named in _by(events, "tutor_id").items():
        result.entities["tutor", tutor] = _tutor(named, as_of_ms)
    for subject, named in _by(events, "subject", "supply_demand_update").items():
        taken = [event for event in named if (("subject", subject), event.region) not in refused]
        result.entities["subject", subject] = _subject(taken, rules)
    for region, named in _by(events, "region", "supply_demand_update").items():
        taken = [event for event in named if (("region", region), event.subject) not in refused]
        if region != UNSPECIFIED_REGION:
            result.entities["region", region] = _region(taken, rules)
    for entity, figures in (rolled or {}).items():
        if (known := result.entities.get(entity)) is None:
            known = {"regions": {}, "alerts": {}}
            among = result.entities if any(figures.attributes.values()) else result.outlived
            among[entity] = known
        known |= figures.attributes
        known["alerts"] |= _rolled_alerts(figures, rules)
    return result


def roll_up(records: Iterable[Record], as_of_ms: int, rules: Rules = Rules()) -> dict[EntityKey, Rolled]:
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
    sessions = _things(events, "session")
    times, ratings = _times(sessions), _ratings(_things(rated, "session"), "tutor_rating")
    subjects = {identity: _earliest_named(same, "subject") for identity, same in sessions.items()}
    active: dict[str, set[str]] = defaultdict(set)
    first: dict[EntityKey, list[bool | None]] = defaultdict(list)
    for student, named in _by(events, "student_id").items():
        own = _things(named, "session")
        for same in own.values():
            subject = _earliest_named(same, "subject")
            if subject is not None and _in_window([min(event.time for event in same)], 30, as_of_ms):
                active[subject].add(student)
        if not own:
            continue
        # The earliest session; of equally early ones that with the smaller id.
        begun, _, of_first = min((min(e.time for e in same), _stored_id(same[0]), same) for same in own.values())
        for entity_type, name in (("subject", "subject"), ("tutor", "tutor_id")):
            entity_id = _earliest_named(of_first, name)
            if entity_id is not None and _in_window([begun], 30, as_of_ms):
                first[entity_type, entity_id].append(_outcome(of_first))

    rolled = {}
    for subject in _by(events, "subject"):
        taught = {identity: times[identity] for identity in times if subjects[identity] == subject}
        attributes = _session_attributes(taught, ratings, as_of_ms) | {"active_students_30d": len(active[subject])}
        first_sessions, known = _first_sessions(first["subject", subject])
        surge = _surge(list(taught.values()), as_of_ms)
        rolled["subject", subject] = Rolled(attributes | first_sessions, known, *surge)
    for tutor in _by(events, "tutor_id"):
        rolled["tutor", tutor] = Rolled(*_first_sessions(first["tutor", tutor]))
    return rolled


def _by(events: Iterable[Event], name: str, event_type: str | None = None) -> dict[str, list[Event]]:
    """The events that have the field, by its value."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if getattr(event, name) is not None and event_type in (None, event.event_type):
            groups[getattr(event, name)].append(event)
    return groups


def _pairs(event: Event) -> list[tuple[EntityKey, str]]:
    """The entities that a supply/demand update names, each with the other name it brings them."""
    if event.event_type != "supply_demand_update" or event.subject is None or event.region is None:
        return []
    pairs = [(("subject", event.subject), event.region)]
    if event.region != UNSPECIFIED_REGION:
        pairs.append((("region", event.region), event.subject))
    return pairs


def _latest(events: list[Event]) -> Event:
    """The register: the latest event time wins, equal times by the greater canonical JSON."""
    return max(events, key=lambda event: (event.time, canonical_json(event.register)))


def _in_window(times: Iterable[int], days: int, as_of: int) -> int:
    return sum(time > as_of - days * DAY_MS for time in times)


def _things(events: Iterable[Event], kind: str) -> Things:
    """The events about sessions or calls, by what they are about; what arrived 32 days late tells nothing any more."""
    event_types = SESSION_EVENTS if kind == "session" else ("ib_call_logged",)
    things: Things = defaultdict(list)
    for event in events:
        if event.event_type in event_types and event.time > event.arrival - FACTS_KEPT_DAYS * DAY_MS:
            things[event.identity].append(event)
    return things


def _times(things: Things) -> dict[Identity, int]:
    """When each was: at the time of its earliest event."""
    return {identity: min(event.time for event in events) for identity, events in things.items()}


def _ratings(sessions: Things, rating_field: str) -> dict[Identity, Decimal]:
    """The rating of each rated session: of the latest completion that gives one, of equal times the larger."""
    ratings = {}
    for identity, events in sessions.items():
        rated = [(e.time, getattr(e, rating_field)) for e in events if getattr(e, rating_field) is not None]
        if rated:
            ratings[identity] = max(rated)[1]
    return ratings


def _session_attributes(
    times: Mapping[Identity, int], ratings: Mapping[Identity, Decimal], as_of: int
) -> dict[str, Any]:
    counted = {days: _in_window(times.values(), days, as_of) for days in (7, 14, 30)}
    rated = [ratings[each] for each, time in times.items() if each in ratings and _in_window([time], 30, as_of)]
    return {
        "sessions_7d": counted[7],
        "sessions_14d": counted[14],
        "sessions_30d": counted[30],
        "avg_rating": _mean(rated),
        "ratings_30d": len(rated),
        "session_velocity": counted[7] - (counted[14] - counted[7]),
    }


def _mean(figures: Iterable[Decimal | int]) -> int | float:
    """The exact mean, rounded half to even at four decimals; 0 without any."""
    exact = [Fraction(figure) for figure in figures]
    return _stored(float(round(sum(exact, Fraction()) / len(exact), 4))) if exact else 0


def _student(events: list[Event], as_of: int, rules: Rules) -> dict[str, Any]:
    sessions, calls = _things(events, "session"), _things(events, "call")
    reports = [event for event in events if event.event_type == "customer_health_update"]
    call_times = [min(event.time for event in same) for same in calls.values()]
    student = {
        **_session_attributes(_times(sessions), _ratings(sessions, "student_rating"), as_of),
        "ib_calls_7d": _in_window(call_times, 7, as_of),
        "ib_calls_14d": _in_window(call_times, 14, as_of),
        "health_score": 100,
    }
    if reports:
        report = _latest(reports)
        student["health_score"] = report.register["health_score"]
        student["reported"] = {**report.register, "reported_at": iso(report.time)}
        for attribute, days, reported in (
            ("sessions_7d", 7, "sessions_last_7_days"),
            ("sessions_30d", 30, "sessions_last_30_days"),
            ("ib_calls_14d", 14, "ib_calls_last_14_days"),
        ):
            if _in_window([report.time], days, as_of):
                student[attribute] = max(student[attribute], report.register.get(reported, 0))
    student["sessions_14d"] = max(student["sessions_14d"], student["sessions_7d"])
    student["sessions_30d"] = max(student["sessions_30d"], student["sessions_14d"])
    student["ib_calls_14d"] = max(student["ib_calls_14d"], student["ib_calls_7d"])

    counted_7, counted_14 = (_in_window(_times(sessions).values(), days, as_of) for days in (7, 14))
    alerts = _velocity_drop(counted_7, counted_14, rules)
    if student["ib_calls_14d"] >= rules.ib_calls_warning:
        alerts["high_ib_call_frequency"] = "warning"
    if student["health_score"] < rules.health_critical:
        alerts["low_health_score"] = "critical"
    elif student["health_score"] < rules.health_warning:
        alerts["low_health_score"] = "warning"
    student["alerts"] = alerts
    return student


def _tutor(events: list[Event], as_of: int) -> dict[str, Any]:
    sessions = _things(events, "session")
    updates = [event for event in events if event.event_type == "tutor_availability_updated"]
    return {
        **_session_attributes(_times(sessions), _ratings(sessions, "tutor_rating"), as_of),
        "health_score": 100,
        **(_latest(updates).register if updates else {}),
        "alerts": {},
    }


def _with_time(update: Event) -> dict[str, Any]:
    return {**update.register, "updated_at": iso(update.time)}


def _subject(updates: list[Event], rules: Rules) -> dict[str, Any]:
    regions = {region: _latest(same) for region, same in _by(updates, "region").items()}
    # Of regions equally late the greater name is the latest.
    newest = max(regions, key=lambda region: (regions[region].time, region))
    high_demand = any(update.register["balance_status"] == "high_demand" for update in regions.values())
    return {
        "region": newest,
        **regions[newest].register,
        "regions": {region: _with_time(update) for region, update in regions.items()},
        "alerts": {
            **({"supply_demand_imbalance": "info"} if high_demand else {}),
            **_no_tutors(regions[newest].register, rules),
        },
    }


def _region(updates: list[Event], rules: Rules) -> dict[str, Any]:
    subjects = {subject: _latest(same) for subject, same in _by(updates, "subject").items()}
    registers = [update.register for update in subjects.values()]
    sums = {
        name: sum(register.get(name, 0) for register in registers) for name in ("available_tutors", "active_students")
    }
    return {
        "subjects": {subject: _with_time(update) for subject, update in subjects.items()},
        **sums,
        "high_demand_subjects": sum(register["balance_status"] == "high_demand" for register in registers),
        "alerts": _no_tutors(sums, rules),
    }


# -- what a rollup finds out ------------------------------------------------------------------------------------------


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
    return {"first_sessions_30d": len(outcomes), "first_session_success_rate": _mean(known)}, len(known)


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
    return usual, _stored(float(round((Fraction(sum(last), 7) - usual) / spread, 1)))


def _rolled_alerts(rolled: Rolled, rules: Rules) -> dict[str, str]:
    figures = rolled.attributes
    alerts = {}
    rate = figures["first_session_success_rate"]
    if rolled.first_outcomes >= rules.first_sessions_least and rate < rules.first_session_success_below:
        alerts["first_session_success_low"] = "warning"
    if "sessions_7d" in figures:
        alerts |= _velocity_drop(figures["sessions_7d"], figures["sessions_14d"], rules)
        surging = rolled.surge_score is not None and rolled.surge_score >= rules.demand_surge_score > 0
        if surging and figures["sessions_7d"] >= rules.demand_surge_least:
            alerts["demand_surge"] = "info"
    return alerts


def _velocity_drop(counted_7: int, counted_14: int, rules: Rules) -> dict[str, str]:
    """Of counted sessions alone: what a health report knows has no place in the week before the last."""
    before = counted_14 - counted_7
    fires = before >= rules.velocity_drop_least and counted_7 < rules.velocity_drop_share * before
    return {"session_velocity_drop": "warning"} if fires else {}


def _no_tutors(figures: Mapping[str, Any], rules: Rules) -> dict[str, str]:
    """Where figures are missing nothing fires: neither is known to be none."""
    fires = figures.get("available_tutors") == 0 and figures.get("active_students", 0) > 0
    return {"no_tutors_available": "critical"} if rules.no_tutors_alert and fires else {}
