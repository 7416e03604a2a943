"""What a million events cost: `python -m bench.cost` prints the tables of docs/cost.md.

Runs the real processor over AWS in memory with every item already as large as said, counts what AWS would bill for each
call, and multiplies by the list prices in `PRICES`. Nothing is taken from a bill, and time is not measured: how long an
invocation takes depends on the machine, so it is an assumption, `MS_PER_EVENT`, which the command line can replace.
"""

import argparse
import base64
import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from heapq import merge
from logging import StreamHandler
from random import Random
from typing import Any, Final, TextIO, cast

from bench.marketplace import FACTS_PER_EVENT, GROUPS, KEPT_MS, MIX, STUDENTS, Marketplace
from bench.prices import PRICES
from functions.aws.observability import logger
from functions.entities.attribute_values import size_of
from functions.environment import written
from functions.model import DAY_MS, MINUTE_MS, SECOND_MS, EntityType, from_iso
from functions.processor import handler, roll
from proof.invocation import context, process
from proof.memory_aws import Attributes
from proof.metered import INDEXES, KB, READ, STATE, TABLE, MeteredAws, item_size

NOW: Final = from_iso("2026-11-23T10:00:00.000Z")
MILLION: Final = 1_000_000
GB: Final = 1 << 30
HOURS_A_MONTH: Final = 730

BATCH_SIZES: Final = (100, 1_000, 6_800)
"""The last is what fits into the 6 MB of one Lambda event."""
FACTS: Final = (20, 200, 1_000)
"""Sessions and calls that each student's item holds; a tutor's holds 3.75 times as many, less what is folded."""
MS_PER_EVENT: Final = {100: 2.0, 1_000: 0.6, 6_800: 0.25}
"""Assumed milliseconds of billed duration an event, by batch size, at MEMORY_GB."""
MS_PER_ROLLED: Final = 2.0
"""Assumed milliseconds of billed duration an item that the roll writes."""
MEMORY_GB: Final = 1.0
ROLL_MINUTES: Final = (5, 60)
"""Values of rollIntervalMinutes that are compared; the table of dollars has the first."""
ROLL_DAYS: Final = 3
"""How long time passes over the items for the roll's part."""
UNITS: Final = ("table units", "index units", "wake units", "read units")
"""The columns of request units."""
LAMBDA_LINES_BYTES: Final = 300
"""Assumed bytes of the START, END and REPORT lines that Lambda itself logs for an invocation."""
_FILLING: Final = 5_000
"""The most events in a batch that fills the items."""
LOG_EVENT_OVERHEAD: Final = 26
"""Bytes that CloudWatch Logs adds to each event (PutLogEvents, CloudWatch Logs API reference)."""


@dataclass(frozen=True)
class Quantities:
    """What some events need, before it is multiplied by prices."""

    events: int
    batches: int
    written: int
    units: Mapping[str, int]
    alerts: int
    log_bytes: int

    def per_million(self, figure: float) -> float:
        """A figure of these events as one of a million events."""
        return figure * MILLION / self.events

    @property
    def index_units(self) -> int:
        """Write request units of all indexes."""
        return _index_units(self.units)


def _index_units(units: Mapping[str, int]) -> int:
    return sum(units.get(name, 0) for name in INDEXES)


@dataclass(frozen=True)
class RollQuantities:
    """What time alone costs: items and request units for each fact over the 32 days that it is kept."""

    written: float
    table_units: float
    index_units: float
    wake_units: float
    """Of the internal table: wakes that are deleted, and those for reminders and notifications."""
    read_units: float

    @property
    def write_units(self) -> float:
        """Write request units of both tables and the indexes."""
        return self.table_units + self.index_units + self.wake_units


class Bench:
    """The processor over metered AWS, with every item of the marketplace as large as said."""

    def __init__(self, facts: int, roll_minutes: int, seed: int = 1) -> None:
        self.aws = MeteredAws()
        self.now_ms = NOW
        self._facts = facts
        self._roll_ms = roll_minutes * MINUTE_MS
        self._marketplace = Marketplace(Random(seed))
        self._delivered = 0
        self._warm: dict[Any, Attributes] = {}
        self._warm_state: dict[Any, Attributes] = {}

    def clock(self) -> int:
        """Processing time, epoch ms."""
        return self.now_ms

    def fill(self) -> None:
        """Makes the items: `facts` of each student over 32 days, what follows of tutors, a register of every kind.

        The events come in the order of their time, each batch at the time of its latest, so that wakes are as they are
        where such batches come.
        """
        groups = [self._marketplace.past(group, self._facts, NOW) for group in range(GROUPS)]
        events = list(merge(*groups))
        for start in range(0, len(events), _FILLING):
            batch = events[start : start + _FILLING]
            self.now_ms = batch[-1][0]
            self._deliver([event for _, event in batch])
            self._roll()
        self.now_ms = NOW
        self._deliver(self._marketplace.registers(NOW))
        self._roll()
        self._warm, self._warm_state = dict(self.aws.items), dict(self.aws.state)

    def _deliver(self, payloads: Sequence[bytes]) -> str:
        """Calls the handler with one batch; returns what it printed."""
        first, self._delivered = self._delivered, self._delivered + len(payloads)
        records = [
            {
                "eventID": f"shardId-000000000000:{first + position:021d}",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/events",
                "kinesis": {
                    "sequenceNumber": f"{first + position:021d}",
                    "partitionKey": "key",
                    "approximateArrivalTimestamp": self.now_ms / 1000,
                    "data": base64.b64encode(payload).decode(),
                },
            }
            for position, payload in enumerate(payloads)
        ]
        with _printed() as printed:
            answer = handler.lambda_handler({"Records": records}, context())
        if answer["batchItemFailures"]:
            raise RuntimeError(f"{len(answer['batchItemFailures'])} of {len(payloads)} records failed")
        return printed.getvalue()

    def measure(self, batch_size: int, batches: int) -> Quantities:
        """Delivers batches, each to the items as `fill` left them a minute before."""
        self.now_ms = NOW + 60 * SECOND_MS
        units: Counter[str] = Counter()
        written = alerts = log_bytes = 0
        for _ in range(batches):
            self._reset()
            told = len(self.aws.events)
            printed = self._deliver([self._marketplace.event(self.now_ms) for _ in range(batch_size)])
            units += self.aws.units
            written += self.aws.written
            alerts += len(self.aws.events) - told
            lines = printed.splitlines()
            log_bytes += sum(len(line.encode()) + LOG_EVENT_OVERHEAD for line in lines)
            log_bytes += LAMBDA_LINES_BYTES + 3 * LOG_EVENT_OVERHEAD
        return Quantities(batch_size * batches, batches, written, units, alerts, log_bytes)

    def measure_roll(self, days: float) -> RollQuantities:
        """Lets days pass over the items as `fill` left them, with no event.

        Up to seven days as many facts leave each window as where events come.
        """
        self._reset()
        self.now_ms = NOW
        while self.now_ms < NOW + days * DAY_MS:
            self.now_ms += self._roll_ms
            self._roll()
        facts = self._facts * STUDENTS * FACTS_PER_EVENT / (MIX["session_started"] + MIX["ib_call_logged"])
        share = KEPT_MS / (self.now_ms - NOW) / facts
        units = self.aws.units
        return RollQuantities(
            written=self.aws.written * share,
            table_units=units[TABLE] * share,
            index_units=_index_units(units) * share,
            wake_units=units[STATE] * share,
            read_units=units[READ] * share,
        )

    def _roll(self) -> None:
        with _printed():
            roll.lambda_handler({}, context())

    def mean_size(self, entity_type: EntityType) -> float:
        """Mean bytes of an item of a type, as `fill` left it."""
        found = [size_of(item) for (kind, _), item in self._warm.items() if kind == entity_type]
        return sum(found) / len(found)

    def _reset(self) -> None:
        self.aws.items, self.aws.state = dict(self._warm), dict(self._warm_state)
        self.aws.units.clear()
        self.aws.written = 0


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


@contextmanager
def bench(facts: int, roll_minutes: int = ROLL_MINUTES[0], seed: int = 1) -> Iterator[Bench]:
    """A filled bench; the processor's environment, clock and clients are its own meanwhile."""
    made = Bench(facts, roll_minutes, seed)
    names = {
        "DYNAMODB_TABLE_NAME": "metrics",
        "STATE_TABLE_NAME": "state",
        "EVENT_BUS_NAME": "alerts",
        "QUARANTINE_BUCKET_NAME": "quarantine",
        "ROLL_INTERVAL_MINUTES": str(roll_minutes),
    }
    with process({**written(names), "AWS_DEFAULT_REGION": "us-east-1"}, made.aws.client, made.clock):
        made.fill()
        yield made


@dataclass(frozen=True)
class Assumptions:
    """What is not counted but said."""

    architecture: str = "x86_64"
    ms_per_event: Mapping[int, float] = field(default_factory=lambda: MS_PER_EVENT)
    emails: int = 1
    """E-mail addresses that an alert reaches."""


def dollars(batch_size: int, events: Quantities, rolled: RollQuantities, assumed: Assumptions) -> dict[str, float]:
    """Dollars for a million events, by what they are paid for."""
    alerts = events.per_million(events.alerts)
    batches = events.per_million(events.batches)
    facts = FACTS_PER_EVENT * MILLION
    stream_gb = MILLION * KB / GB  # an event is below 1 KB, and billed as that
    return {
        "Kinesis": stream_gb * (_price("kinesis_in") + _price("kinesis_out")),
        "Lambda": _compute(batches, MILLION * assumed.ms_per_event[batch_size], assumed),
        "table writes": _units(events.per_million(events.units[TABLE]), "dynamodb_write"),
        "index writes": _units(events.per_million(events.index_units), "dynamodb_write"),
        "wakes": _units(events.per_million(events.units[STATE]), "dynamodb_write"),
        "reads": _units(events.per_million(events.units[READ]), "dynamodb_read"),
        "alerts": sum(
            _units(alerts * n, p) for p, n in (("events", 1), ("sns_publish", 1), ("sns_email", assumed.emails))
        ),
        "logs": events.per_million(events.log_bytes) / GB * _price("logs"),
        "roll": _units(facts * rolled.write_units, "dynamodb_write")
        + _units(facts * rolled.read_units, "dynamodb_read")
        + _compute(0, facts * rolled.written * MS_PER_ROLLED, assumed),
    }


def _price(name: str) -> float:
    return PRICES[name].dollars


def _units(count: float, name: str) -> float:
    """Dollars for so many of something that is sold by the million."""
    return count / MILLION * _price(name)


def _compute(requests: float, milliseconds: float, assumed: Assumptions) -> float:
    return _units(requests, "lambda_request") + milliseconds / 1_000 * MEMORY_GB * _price(
        f"lambda_{assumed.architecture}"
    )


def _table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns after the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def price_table() -> str:
    """The prices as docs/cost.md has them."""
    lines = ["| price | unit | as of | page |", "|---:|---|---|---|"]
    lines += [
        f"| ${price.dollars:.{max(2, _decimals(price.dollars))}f} | {price.unit} | {price.as_of} "
        f"| [{price.page}](https://aws.amazon.com/{price.page}/) |"
        for price in PRICES.values()
    ]
    return "\n".join(lines)


def _decimals(value: float) -> int:
    return len(f"{value:.10f}".rstrip("0").partition(".")[2])


def tables(assumed: Assumptions, facts: Sequence[int] = FACTS, records: int = 10_000) -> str:
    """Quantities, dollars and the roll's part for each size of batch and item, in Markdown.

    Parameters
    ----------
    records
        How many events each figure is taken from, at least; two batches at least.
    """
    quantities, costs, rolls = [], [], []
    for count in facts:
        for minutes in ROLL_MINUTES:
            with bench(count, minutes) as made:
                rolled = made.measure_roll(ROLL_DAYS)
                rolls.append(_roll_row(count, minutes, rolled, assumed))
                for batch_size in BATCH_SIZES if minutes == ROLL_MINUTES[0] else ():
                    events = made.measure(batch_size, max(2, records // batch_size))
                    quantities.append(_quantities_row(count, batch_size, events, made))
                    paid = dollars(batch_size, events, rolled, assumed)
                    figures = [f"{each:.2f}" for each in (*paid.values(), sum(paid.values()))]
                    costs.append([f"{count:,}", f"{batch_size:,}", *figures])
    return "\n\n".join(
        (
            _table_of(
                ["facts", "batch", "student's item, KB", "items written", *UNITS, "alerts"],
                quantities,
            ),
            _table_of(["facts", "batch", *paid, "total"], costs),
            _table_of(["facts", "minutes", "items written", *UNITS, "dollars"], rolls),
        )
    )


def _quantities_row(facts: int, batch_size: int, events: Quantities, made: Bench) -> list[str]:
    """Per thousand events, but for the item's size."""
    units = events.units
    figures = [events.written, units[TABLE], events.index_units, units[STATE], units[READ], events.alerts]
    per_thousand = [f"{events.per_million(figure) / 1_000:,.0f}" for figure in figures]
    return [f"{facts:,}", f"{batch_size:,}", f"{made.mean_size('student') / KB:.1f}", *per_thousand]


def _roll_row(facts: int, minutes: int, rolled: RollQuantities, assumed: Assumptions) -> list[str]:
    """Items and units per thousand events, dollars per million."""
    share = FACTS_PER_EVENT * 1_000
    nothing = Quantities(1, 0, 0, Counter(), 0, 0)
    paid = dollars(BATCH_SIZES[0], nothing, rolled, assumed)["roll"]
    quantities = (rolled.written, rolled.table_units, rolled.index_units, rolled.wake_units, rolled.read_units)
    figures = [f"{share * figure:,.0f}" for figure in quantities]
    return [f"{facts:,}", f"{minutes}", *figures, f"{paid:.2f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description="Print the tables of docs/cost.md.")
    parser.add_argument("--architecture", choices=("x86_64", "arm64"), default="x86_64")
    parser.add_argument("--emails", type=int, default=1, help="addresses that an alert reaches (default 1)")
    parser.add_argument("--ms-per-event", type=float, help="billed milliseconds an event, for every batch size")
    options = parser.parse_args(arguments)
    given = options.ms_per_event
    ms_per_event = MS_PER_EVENT if given is None else dict.fromkeys(BATCH_SIZES, given)
    print(price_table(), end="\n\n")
    print(tables(Assumptions(options.architecture, ms_per_event, options.emails)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
