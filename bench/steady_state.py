"""A marketplace in steady state: the real processor and roll over AWS in memory, which counts what AWS would bill.

Traffic of more than a month first gives heads, tails and wakes their shape. Then come the batches and rolls whose
request units, calls and logs are counted. The same arguments give the same figures.
"""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from logging import StreamHandler
from typing import Final, TextIO, cast

from bench.marketplace import Happened, Marketplace
from functions.aws.observability import logger
from functions.entities import tails
from functions.entities.attribute_values import size_of
from functions.environment import written
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, EntityType, from_iso
from functions.processor import handler, roll
from proof.invocation import context, process
from proof.metered import INDEXES, MOVE, QUERY, READ, STATE, TABLE, MeteredAws

BEGIN: Final = from_iso("2026-10-01T00:00:00.000Z")
WARM_DAYS: Final = 33
"""A day more than facts are kept."""
_WARM_ROLL_MS: Final = 6 * HOUR_MS
LAMBDA_LINES_BYTES: Final = 300
"""Assumed bytes of the START, END and REPORT lines that Lambda itself logs for an invocation."""
LOG_EVENT_OVERHEAD: Final = 26
"""Bytes that CloudWatch Logs adds to each event (PutLogEvents, CloudWatch Logs API reference)."""
_NO_CALL: Final = "statement"
"""Counted by `FakeAws` beside the calls."""


@dataclass
class Usage:
    """What invocations of a kind took."""

    invocations: int = 0
    units: Counter[str] = field(default_factory=Counter)
    """Write request units of the table, the indexes, wakes and moves, and read request units."""
    calls: Counter[str] = field(default_factory=Counter)
    written: int = 0
    """Items written."""
    alerts: int = 0
    log_bytes: int = 0

    @property
    def index_units(self) -> int:
        """Write request units of all indexes."""
        return sum(self.units[name] for name in INDEXES)

    @property
    def write_units(self) -> int:
        """Write request units of both tables and the indexes."""
        return self.units[TABLE] + self.units[STATE] + self.units[MOVE] + self.index_units

    @property
    def read_units(self) -> float:
        """Read request units, without those that a roll's queries take when nothing is due."""
        nothing_due = self.calls["query"]
        return self.units[READ] + (self.units[QUERY] - nothing_due) / 2


@dataclass
class Counted:
    """What some days took."""

    events: list[Happened] = field(default_factory=list)
    batches: Usage = field(default_factory=Usage)
    """What events took."""
    rolls: Usage = field(default_factory=Usage)
    """What time took."""

    def per_thousand(self, figure: float) -> float:
        """Return a figure of all events as one of a thousand."""
        return figure * 1_000 / len(self.events)

    @property
    def write_units(self) -> int:
        """Write request units of everything."""
        return self.batches.write_units + self.rolls.write_units


class SteadyState:
    """The processor over metered AWS."""

    def __init__(self, marketplace: Marketplace, roll_ms: int) -> None:
        self.aws = MeteredAws()
        self.now_ms = marketplace.begin_ms
        self._marketplace = marketplace
        self._roll_ms = roll_ms
        self._delivered = 0

    def warm(self, days: float = WARM_DAYS) -> list[Happened]:
        """Let days pass, with a batch and a roll every six hours. Return their events."""
        events = list(self._marketplace.registers())
        with self._process(), _printed():
            self._deliver(events)
            for end_ms in _times(self.now_ms, days, _WARM_ROLL_MS):
                self.now_ms = end_ms
                batch = [event for part in self._marketplace.until(end_ms) for event in part]
                self._deliver(batch)
                self._roll()
                events += batch
        return events

    def count(self, days: float, settling_days: float) -> Counted:
        """Let days pass, with each batch at its time and with rolls on the clock.

        The first days, in which batches and rolls like those that are counted take the place of large ones, do not
        count.
        """
        with self._process():
            self._pass(settling_days, Counted())
            counted = Counted()
            self._pass(days, counted)
        return counted

    def _pass(self, days: float, counted: Counted) -> None:
        for roll_at in _times(self.now_ms, days, self._roll_ms):
            for batch in self._marketplace.until(roll_at):
                self.now_ms = batch[-1].time_ms
                with self._counting(counted.batches):
                    self._deliver(batch)
                counted.events += batch
            self.now_ms = roll_at
            with self._counting(counted.rolls):
                self._roll()

    @contextmanager
    def _process(self) -> Iterator[None]:
        """A process of the functions that remembers nothing of before."""
        names = {
            "DYNAMODB_TABLE_NAME": "metrics",
            "STATE_TABLE_NAME": "state",
            "EVENT_BUS_NAME": "alerts",
            "QUARANTINE_BUCKET_NAME": "quarantine",
            "ROLL_INTERVAL_MINUTES": str(self._roll_ms // MINUTE_MS),
        }
        environment = {**written(names), "AWS_DEFAULT_REGION": "us-east-1"}
        with process(environment, self.aws.client, lambda: self.now_ms):
            yield

    @contextmanager
    def _counting(self, usage: Usage) -> Iterator[None]:
        aws = self.aws
        units, calls, written, alerts = aws.units.copy(), aws.calls.copy(), aws.written, len(aws.events)
        with _printed() as printed:
            yield
        usage.invocations += 1
        usage.units += aws.units - units
        usage.calls += Counter({name: n for name, n in (aws.calls - calls).items() if name != _NO_CALL})
        usage.written += aws.written - written
        usage.alerts += len(aws.events) - alerts
        lines = printed.getvalue().splitlines()
        usage.log_bytes += sum(len(line.encode()) + LOG_EVENT_OVERHEAD for line in lines)
        usage.log_bytes += LAMBDA_LINES_BYTES + 3 * LOG_EVENT_OVERHEAD

    def _deliver(self, events: Sequence[Happened]) -> None:
        """Call the handler with one batch."""
        first, self._delivered = self._delivered, self._delivered + len(events)
        records = [
            {
                "eventID": f"shardId-000000000000:{first + position:021d}",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/events",
                "kinesis": {
                    "sequenceNumber": f"{first + position:021d}",
                    "partitionKey": "key",
                    "approximateArrivalTimestamp": self.now_ms / 1000,
                    "data": base64.b64encode(event.encoded()).decode(),
                },
            }
            for position, event in enumerate(events)
        ]
        answer = handler.lambda_handler({"Records": records}, context())
        if answer["batchItemFailures"]:
            raise RuntimeError(f"{len(answer['batchItemFailures'])} of {len(events)} records failed")

    def _roll(self) -> None:
        roll.lambda_handler({}, context())

    def mean_size(self, entity_type: EntityType) -> float:
        """Return the mean bytes of an item of a type."""
        found = [size_of(item) for (kind, _), item in self.aws.items.items() if kind == entity_type]
        return sum(found) / len(found)

    def tails(self) -> int:
        """Return how many entities have a tail."""
        return sum(tails.is_tail(item) for item in self.aws.state.values())


def _times(begin_ms: int, days: float, step_ms: int) -> Iterator[int]:
    """Yield the multiples of a step (epoch ms) in the days after a moment."""
    first = begin_ms // step_ms + 1
    yield from range(first * step_ms, begin_ms + round(days * DAY_MS) + 1, step_ms)


@contextmanager
def _printed() -> Iterator[io.StringIO]:
    """What the functions print meanwhile, metrics and logs."""
    logs = cast("StreamHandler[TextIO]", logger.registered_handler)
    before = logs.stream
    with redirect_stdout(io.StringIO()) as printed:
        logs.setStream(printed)
        try:
            yield printed
        finally:
            logs.setStream(before)
