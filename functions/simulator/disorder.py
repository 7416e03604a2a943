"""How events really arrive: some twice, some late, some out of order, and now and then a poison record.

It turns events into the records to put on the stream. Every record that it spoils has one reason for which
the contract refuses it. It must not make events up, nor talk to AWS.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from functions.simulator.marketplace import Event


@dataclass(frozen=True)
class Shares:
    """Which part of the events, 0 to 1, is sent again, late, out of order, or followed by a poison record."""

    duplicates: float = 0.0
    late: float = 0.0
    out_of_order: float = 0.0
    poison: float = 0.0


@dataclass(frozen=True)
class Outgoing:
    """A record to put: today's producer takes the event type as its partition key."""

    partition_key: str
    data: bytes


def deliver(events: Sequence[Event], shares: Shares, rng: Random, until: datetime) -> list[Outgoing]:
    """The records in their order of arrival.

    Parameters
    ----------
    events
        In order of time.
    shares
        How much disorder there is.
    rng
        Decides where.
    until
        When the last record arrives; what would be later arrives then.
    """
    arrivals: list[tuple[datetime, float, Outgoing]] = []
    kinds = rng.randrange(len(POISON))

    def arrive(event: Event, data: bytes, at: datetime, among_equals: float) -> None:
        arrivals.append((min(at, until), among_equals, Outgoing(event.event_type, data)))

    for event in events:
        at = event.time + timedelta(milliseconds=rng.randrange(200, 5_000))
        # Of what arrives at `until`, the undisturbed comes first and in order, the rest in any order.
        among_equals = 0.0
        if rng.random() < shares.late:
            at, among_equals = at + timedelta(minutes=rng.randrange(60, 3_600)), rng.uniform(1, 2)
        elif rng.random() < shares.out_of_order:
            at, among_equals = at + timedelta(seconds=rng.randrange(10, 1_200)), rng.uniform(1, 2)
        data = _data(event.body, min(at, until))
        arrive(event, data, at, among_equals)
        if rng.random() < shares.duplicates:
            again = at + timedelta(seconds=rng.randrange(1, 20_000))
            # A producer's retry has the same bytes; what is ingested anew says so.
            copy = data if rng.random() < 0.5 else _data(event.body, min(again, until))
            arrive(event, copy, again, rng.uniform(1, 2))
        if rng.random() < shares.poison:
            spoil = list(POISON.values())[kinds % len(POISON)]
            kinds += 1
            arrive(event, spoil(_ingested(event.body, min(at, until))), at, rng.uniform(1, 2))
    return [outgoing for _, _, outgoing in sorted(arrivals, key=lambda arrival: arrival[:2])]


def _ingested(body: dict[str, Any], at: datetime) -> dict[str, Any]:
    return {**body, "ingested_at": _iso(at)}


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _data(body: dict[str, Any], at: datetime) -> bytes:
    return _json(_ingested(body, at))


# -- poison: each takes an ingested event's body and returns the record that it has become ---------------------


def _without_names(body: dict[str, Any]) -> bytes:
    names = ("student_id", "tutor_id", "subject")
    return _json({**body, "payload": {key: value for key, value in body["payload"].items() if key not in names}})


OUT_OF_RANGE: dict[str, dict[str, Any]] = {
    "session_started": {"student_id": {"id": 12}},
    "session_completed": {"student_rating": 11},
    "ib_call_logged": {"call_id": True},
    "customer_health_update": {"health_score": 140},
    "tutor_availability_updated": {"available_hours_this_week": -5},
    "supply_demand_update": {"available_tutors": 2.5},
}


def _out_of_range(body: dict[str, Any]) -> bytes:
    return _json({**body, "payload": {**body["payload"], **OUT_OF_RANGE[body["event_type"]]}})


def _years_ahead(body: dict[str, Any]) -> bytes:
    ingested = datetime.fromisoformat(body["ingested_at"])
    return _json({**body, "timestamp": _iso(ingested + timedelta(days=1000))})


POISON: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "not_utf8": lambda body: _json(body).replace(b'"source":"', b'"source":"\xff\xfe'),
    "not_json": lambda body: _json(body)[:-20],
    "not_object": lambda body: _json([body]),
    "unknown_event_type": lambda body: _json({**body, "event_type": "session_rescheduled"}),
    "missing_field": _without_names,
    "invalid_field": _out_of_range,
    "bad_timestamp": lambda body: _json({**body, "timestamp": "yesterday at noon"}),
    "future_timestamp": _years_ahead,
}
"""What makes a poison record, by the reason for which it is refused."""
