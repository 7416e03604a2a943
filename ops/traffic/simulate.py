"""Sends the simulator's traffic to a stream at a rate, run after run, until all events are sent.

`functions/simulator` decides what happens in the marketplace and how its records are put.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from functions.simulator.disorder import Outgoing, Shares
from functions.simulator.put import RECORDS_PER_CALL, put
from functions.simulator.run import one_run

_SECONDS_A_RUN: Final = 5.0
"""The length of a run. Its events end when it is made, so it must not take much longer to send."""
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
    """What has been sent so far; correct at any moment at which sending may be interrupted."""

    events: int = 0
    records: int = 0
    """Events, duplicates and poison."""
    accepted: int = 0
    given_up: int = 0
    calls: int = 0
    under_way: int = 0
    """Records of a call that was not answered yet."""
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
    """Sends run after run until `traffic.events` are sent.

    Parameters
    ----------
    kinesis
        A client of boto3's kind.
    stream
        Its name.
    traffic
        What to send.
    sent
        Is kept up to date.
    report
        Called after each call with the number of its events.
    clock, sleep
        A clock in seconds that only goes forward, and how to wait some seconds.
    now
        The time of day, with an offset.

    Raises
    ------
    ClientError, BotoCoreError
        When a call as a whole fails after the client's own retries.
    """
    sending = _Sending(kinesis, stream, traffic.rate, sent, report, clock, sleep)
    number = 0
    while not traffic.events or sent.events < traffic.events:
        size = _size(traffic, traffic.events - sent.events)
        streams = max(1, size // _EVENTS_A_STREAM)
        events, records = one_run(
            f"{traffic.seed} {number}", now(), streams, size // streams, traffic.shares, traffic.students
        )
        number += 1
        sending.send(records, events)


@dataclass(slots=True)
class _Sending:
    """Puts run after run on the stream, no faster than the rate."""

    kinesis: Any
    stream: str
    rate: float
    sent: Sent
    report: Callable[[int], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def send(self, records: Sequence[Outgoing], events: int) -> None:
        """Puts one run's records and keeps `sent` up to date.

        Parameters
        ----------
        records
            The records in the order of their arrival.
        events
            How many events they are; the others are duplicates and poison.
        """
        sent, before, run_events = self.sent, self.sent.events, 0
        per_call = RECORDS_PER_CALL
        if self.rate:
            per_call = max(1, min(per_call, round(self.rate * _SECONDS_A_CALL)))
        for first in range(0, len(records), per_call):
            self._wait_for(before + run_events)
            part = records[first : first + per_call]
            sent.under_way = len(part)
            answer = put(self.kinesis, self.stream, part, self.sleep)
            sent.under_way = 0
            run_events_now = (first + len(part)) * events // len(records)
            sent.records += len(part)
            sent.accepted += answer.accepted
            sent.given_up += answer.given_up
            sent.calls += answer.calls
            sent.seconds = self.clock() - self.began
            sent.events = before + run_events_now
            self.report(run_events_now - run_events)
            run_events = run_events_now

    def _wait_for(self, events: int) -> None:
        """Waits until the rate allows one event more than so many."""
        if self.rate:
            wait = events / self.rate - (self.clock() - self.began)
            if wait > 0:
                self.sleep(wait)


def _size(traffic: Traffic, left: int) -> int:
    """Returns the number of events in the next run.

    A run is short, so that it is sent soon, and has few events a student, since more of them would lie further back.
    """
    usual = max(_FEWEST, round(traffic.rate * _SECONDS_A_RUN)) if traffic.rate else _MOST
    size = min(usual, _MOST, 2 * traffic.students)
    return min(size, left) if traffic.events else size
