"""Sends the simulator's traffic to a stream at a rate, run after run, until there is enough of it.

What happens in the marketplace, and how its records are put, is the simulator's own (functions/simulator).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from functions.simulator.disorder import Shares
from functions.simulator.handler import one_run
from functions.simulator.put import RECORDS_PER_CALL, put

_SECONDS_A_RUN: Final = 5.0
"""A run's events end when it is made, so it must not take much longer to send."""
_SECONDS_A_CALL: Final = 0.2
_FEWEST, _MOST = 10, 5_000  # events a run
_EVENTS_A_STREAM: Final = 10


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to send."""

    seed: str
    events: int
    """How many; 0 for no end."""
    rate: float
    """Events a second; 0 for as fast as it goes."""
    students: int
    """How many students take part."""
    shares: Shares


@dataclass(slots=True)
class Sent:
    """What has been sent so far; right at any moment at which sending may be interrupted."""

    events: int = 0
    records: int = 0
    """With duplicates and poison."""
    accepted: int = 0
    given_up: int = 0
    calls: int = 0
    under_way: int = 0
    """Records of a call that has not been answered."""
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Records accepted a second."""
        return self.accepted / self.seconds if self.seconds else 0.0


def simulate(
    kinesis: Any,
    stream: str,
    traffic: Traffic,
    sent: Sent,
    *,
    report: Callable[[int], None] = lambda _events: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Sends run after run.

    Parameters
    ----------
    kinesis
        A client of boto3's kind.
    stream
        Its name.
    traffic
        What to send.
    sent
        Kept up to date.
    report
        Called after each call with the number of events that it has brought.
    clock, sleep
        Seconds of a clock that only goes forward, and how to wait some.
    now
        The time of day, aware.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the client's own retries.
    """
    began = clock()
    number = 0
    while not traffic.events or sent.events < traffic.events:
        size = _size(traffic, traffic.events - sent.events)
        streams = max(1, size // _EVENTS_A_STREAM)
        events, records = one_run(
            f"{traffic.seed} {number}", now(), streams, size // streams, traffic.shares, traffic.students
        )
        number += 1
        before, done = sent.events, 0
        per_call = RECORDS_PER_CALL
        if traffic.rate:
            per_call = max(1, min(per_call, round(traffic.rate * _SECONDS_A_CALL)))
        for first in range(0, len(records), per_call):
            if traffic.rate:
                wait = (before + done) / traffic.rate - (clock() - began)
                if wait > 0:
                    sleep(wait)
            part = records[first : first + per_call]
            sent.under_way = len(part)
            answer = put(kinesis, stream, part, sleep)
            sent.under_way = 0
            told = (first + len(part)) * events // len(records)
            sent.records += len(part)
            sent.accepted += answer.accepted
            sent.given_up += answer.given_up
            sent.calls += answer.calls
            sent.seconds = clock() - began
            sent.events = before + told
            report(told - done)
            done = told


def _size(traffic: Traffic, left: int) -> int:
    """How many events the next run has: few enough that it is soon sent, and that no student needs to be told of often,
    which would be of ever longer ago."""
    usual = max(_FEWEST, round(traffic.rate * _SECONDS_A_RUN)) if traffic.rate else _MOST
    size = min(usual, _MOST, 2 * traffic.students)
    return min(size, left) if traffic.events else size
