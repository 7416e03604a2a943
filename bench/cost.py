"""What a million events cost: `python -m bench.cost` prints the tables of docs/cost.md.

Runs the real processor over AWS in memory with every item already as large as said, counts what AWS would bill for each
call, and multiplies by the list prices in `PRICES`. Nothing is taken from a bill, and time is not measured: how long an
invocation takes depends on the machine, so it is an assumption, `MS_PER_EVENT`, which the command line can replace.
"""

import argparse
import base64
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from itertools import accumulate
from logging import StreamHandler
from random import Random
from typing import Any, Final, TextIO, cast

from functions.aws.observability import logger
from functions.model import DAY_MS, HOUR_MS, SECOND_MS, EntityType, from_iso, to_iso
from functions.processor import handler, roll
from proof.invocation import context, process
from proof.memory_aws import Attributes
from proof.metered import INDEXES, KB, READ, TABLE, MeteredAws, item_size

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
LAMBDA_LINES_BYTES: Final = 300
"""Assumed bytes of the START, END and REPORT lines that Lambda itself logs for an invocation."""
LOG_EVENT_OVERHEAD: Final = 26
"""Bytes that CloudWatch Logs adds to each event (PutLogEvents, CloudWatch Logs API reference)."""


@dataclass(frozen=True)
class Price:
    """A list price in us-east-1, in dollars a unit."""

    dollars: float
    unit: str
    page: str
    """AWS's own page for it, below https://aws.amazon.com/."""
    as_of: str
    """The day, or the month, for which it is known."""


PRICES: Final = {
    "kinesis_in": Price(0.08, "GB put, each record rounded up to 1 KB", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_out": Price(0.04, "GB read", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_stream": Price(0.04, "hour of an on-demand stream", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_shard": Price(0.015, "hour of a provisioned shard", "kinesis/data-streams/pricing", "2026-10-02"),
    "kinesis_put": Price(0.014, "million PUT payload units of 25 KB", "kinesis/data-streams/pricing", "2026-10-02"),
    "lambda_request": Price(0.20, "million requests", "lambda/pricing", "2026-05"),
    "lambda_x86_64": Price(0.0000166667, "GB-second, x86_64", "lambda/pricing", "2026-05"),
    "lambda_arm64": Price(0.0000133334, "GB-second, arm64", "lambda/pricing", "2026-05"),
    "dynamodb_write": Price(0.625, "million write request units", "dynamodb/pricing/on-demand", "2026-10-04"),
    "dynamodb_read": Price(0.125, "million read request units", "dynamodb/pricing/on-demand", "2026-10-04"),
    "dynamodb_storage": Price(0.25, "GB-month", "dynamodb/pricing/on-demand", "2026-10-04"),
    "events": Price(1.00, "million custom events", "eventbridge/pricing", "2026-06"),
    "sns_publish": Price(0.50, "million publishes", "sns/pricing", "2026-06"),
    "sns_email": Price(20.00, "million e-mails", "sns/pricing", "2026-06"),
    "logs": Price(0.50, "GB of logs taken in", "cloudwatch/pricing", "2026-02"),
    "metric": Price(0.30, "custom metric a month", "cloudwatch/pricing", "2026-02"),
    "alarm": Price(0.10, "alarm a month", "cloudwatch/pricing", "2026-02"),
    "dashboard": Price(3.00, "dashboard a month", "cloudwatch/pricing", "2026-02"),
    "s3_put": Price(5.00, "million PUT requests", "s3/pricing", "2026-10-04"),
    "kms_key": Price(1.00, "customer managed key a month", "kms/pricing", "2026-03"),
}

STUDENTS, TUTORS = 500, 100
SUBJECTS: Final = ("algebra", "geometry", "calculus", "physics", "chemistry", "biology", "english", "history")
REGIONS: Final = ("north", "east", "south", "west")
_KEPT_MS: Final = 32 * DAY_MS
_GROUPS, _FILLING = 10, 5_000
"""The past of so many groups is made one after the other, in batches of so many events."""
MIX: Final = {
    "session_started": 0.3,
    "session_completed": 0.3,
    "ib_call_logged": 0.1,
    "customer_health_update": 0.1,
    "tutor_availability_updated": 0.1,
    "supply_demand_update": 0.1,
}
FACTS_PER_EVENT: Final = 2 * MIX["session_started"] + MIX["ib_call_logged"]
"""A session is a fact of its student and of its tutor, a call one of its student."""


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
        return sum(self.units.get(name, 0) for name in INDEXES)


@dataclass(frozen=True)
class RollQuantities:
    """What time alone costs: write and read request units for each fact over the 32 days that it is kept."""

    written: float
    write_units: float
    read_units: float


@dataclass
class _Marketplace:
    """Who takes part and how often: the k-th most active student or tutor 1/k as often as the first."""

    rng: Random
    students: Sequence[str] = tuple(f"stu_{number:06d}" for number in range(STUDENTS))
    tutors: Sequence[str] = tuple(f"tut_{number:06d}" for number in range(TUTORS))
    open_sessions: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self._weights = {
            count: list(accumulate(1 / rank for rank in range(1, count + 1))) for count in (STUDENTS, TUTORS)
        }

    def _zipf(self, ids: Sequence[str]) -> str:
        return self.rng.choices(ids, cum_weights=self._weights[len(ids)])[0]

    def _number(self) -> int:
        self.made += 1
        return self.made

    def event(self, now_ms: int) -> bytes:
        """One event of the mix, at most ten minutes old."""
        (kind,) = self.rng.choices(list(MIX), weights=list(MIX.values()))
        return _json(kind, now_ms - self.rng.randrange(600 * SECOND_MS), getattr(self, f"_{kind}")())

    def _session(self, student: str, tutor: str) -> dict[str, Any]:
        subject = self.rng.choice(SUBJECTS)
        return {
            "session_id": f"ses_{self._number():010d}",
            "student_id": student,
            "tutor_id": tutor,
            "subject": subject,
        }

    def _rated(self, session: dict[str, Any]) -> dict[str, Any]:
        ratings = {name: self.rng.randint(30, 50) / 10 for name in ("student_rating", "tutor_rating")}
        return {**session, "actual_duration_minutes": 58, **ratings, "completed_successfully": True}

    def _completed(self, student: str, tutor: str) -> dict[str, Any]:
        return self._rated(self._session(student, tutor))

    def _call(self, student: str) -> dict[str, Any]:
        return {"call_id": f"call_{self._number():09d}", "student_id": student, "reason": "billing", "resolved": True}

    def _session_started(self) -> dict[str, Any]:
        session = self._session(self._zipf(self.students), self._zipf(self.tutors))
        self.open_sessions.append(session)
        return {**session, "session_type": "one_on_one", "scheduled_duration_minutes": 60}

    def _session_completed(self) -> dict[str, Any]:
        if not self.open_sessions:
            self._session_started()
        return self._rated(self.open_sessions.pop(self.rng.randrange(len(self.open_sessions))))

    def _ib_call_logged(self) -> dict[str, Any]:
        return self._call(self._zipf(self.students))

    def _customer_health_update(self) -> dict[str, Any]:
        return self.health(self._zipf(self.students))

    def _tutor_availability_updated(self) -> dict[str, Any]:
        return self.availability(self._zipf(self.tutors))

    def _supply_demand_update(self) -> dict[str, Any]:
        return self.balance(self.rng.choice(SUBJECTS), self.rng.choice(REGIONS))

    def past(self, group: int, facts: int, now_ms: int) -> list[bytes]:
        """What gives each student of a group as many facts as said, in order of time; its tutors take all sessions.

        Of a student's facts as many are calls as in the mix.
        """
        students, tutors = self.students[group::_GROUPS], self.tutors[group::_GROUPS]
        calls = round(facts * MIX["ib_call_logged"] / (MIX["session_started"] + MIX["ib_call_logged"]))
        events = []
        for student in students:
            for number in range(facts):
                time = now_ms - self.rng.randrange(HOUR_MS, _KEPT_MS)
                kind = "ib_call_logged" if number < calls else "session_completed"
                payload = self._call(student) if number < calls else self._completed(student, self.rng.choice(tutors))
                events.append((time, kind, payload))
        events.sort(key=lambda event: event[0])
        return [_json(kind, time, payload) for time, kind, payload in events]

    def registers(self, now_ms: int) -> list[bytes]:
        """A report of each student, the availability of each tutor, the balance of each subject in each region."""
        at = now_ms - HOUR_MS
        return [
            *(_json("customer_health_update", at, self.health(each)) for each in self.students),
            *(_json("tutor_availability_updated", at, self.availability(each)) for each in self.tutors),
            *(_json("supply_demand_update", at, self.balance(s, region)) for s in SUBJECTS for region in REGIONS),
        ]

    def health(self, student: str) -> dict[str, Any]:
        """A report that moves by a few points; a student in ten is near the threshold of a warning."""
        usual = 70 if int(student[-6:]) % 10 == 0 else 85
        return {"student_id": student, "health_score": usual + self.rng.randint(-5, 5), "churn_risk": "low"}

    def availability(self, tutor: str) -> dict[str, Any]:
        return {
            "tutor_id": tutor,
            "available_hours_this_week": self.rng.randint(0, 40),
            "subjects": ["algebra", "geometry"],
            "timezone": "Europe/Berlin",
            "accepts_instant_book": True,
        }

    def balance(self, subject: str, region: str) -> dict[str, Any]:
        return {
            "subject": subject,
            "region": region,
            "available_tutors": self.rng.randint(5, 50),
            "active_students": self.rng.randint(20, 200),
            "demand_score": self.rng.randint(0, 100),
            "supply_score": self.rng.randint(0, 100),
            "balance_status": "high_demand" if self.rng.random() < 0.1 else "balanced",
        }


def _json(kind: str, time_ms: int, payload: dict[str, Any]) -> bytes:
    return json.dumps({"event_type": kind, "timestamp": to_iso(time_ms), "payload": payload}).encode()


class Bench:
    """The processor over metered AWS, with every item of the marketplace as large as said."""

    def __init__(self, facts: int, seed: int = 1) -> None:
        self.aws = MeteredAws()
        self.now_ms = NOW
        self._facts = facts
        self._marketplace = _Marketplace(Random(seed))
        self._delivered = 0
        self._warm: dict[Any, Attributes] = {}

    def clock(self) -> int:
        """Processing time, epoch ms."""
        return self.now_ms

    def fill(self) -> None:
        """Makes the items: `facts` of each student over 32 days, what follows of tutors, a register of every kind."""
        for group in range(_GROUPS):
            events = self._marketplace.past(group, self._facts, self.now_ms)
            for start in range(0, len(events), _FILLING):
                self._deliver(events[start : start + _FILLING])
        self._deliver(self._marketplace.registers(self.now_ms))
        self._warm = dict(self.aws.items)

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

    def measure_roll(self, interval_minutes: int, hours: int) -> RollQuantities:
        """Lets time pass over the items as `fill` left them, with no event."""
        self._reset()
        self.now_ms = NOW
        for _ in range(hours * 60 // interval_minutes):
            self.now_ms += interval_minutes * 60 * SECOND_MS
            with _printed():
                roll.lambda_handler({}, context())
        facts = self._facts * STUDENTS * FACTS_PER_EVENT / (MIX["session_started"] + MIX["ib_call_logged"])
        share = _KEPT_MS / (self.now_ms - NOW) / facts
        write_units = sum(units for name, units in self.aws.units.items() if name != READ)
        return RollQuantities(self.aws.written * share, write_units * share, self.aws.units[READ] * share)

    def mean_size(self, entity_type: EntityType) -> float:
        """Mean bytes of an item of a type, as `fill` left it."""
        found = [item_size(item) for (kind, _), item in self._warm.items() if kind == entity_type]
        return sum(found) / len(found)

    def _reset(self) -> None:
        self.aws.items.clear()
        self.aws.items.update(self._warm)
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
def bench(facts: int, seed: int = 1) -> Iterator[Bench]:
    """A filled bench; the processor's environment, clock and clients are its own meanwhile."""
    made = Bench(facts, seed)
    environment = {
        "DYNAMODB_TABLE_NAME": "metrics",
        "EVENT_BUS_NAME": "alerts",
        "QUARANTINE_BUCKET_NAME": "quarantine",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with process(environment, made.aws.client, made.clock):
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
        with bench(count) as made:
            rolled = {minutes: made.measure_roll(minutes, hours=2) for minutes in ROLL_MINUTES}
            for batch_size in BATCH_SIZES:
                events = made.measure(batch_size, max(2, records // batch_size))
                quantities.append(_quantities_row(count, batch_size, events, made))
                paid = dollars(batch_size, events, rolled[ROLL_MINUTES[0]], assumed)
                figures = [f"{each:.2f}" for each in (*paid.values(), sum(paid.values()))]
                costs.append([f"{count:,}", f"{batch_size:,}", *figures])
            rolls += [_roll_row(count, minutes, each, assumed) for minutes, each in rolled.items()]
    return "\n\n".join(
        (
            _table_of(
                [
                    "facts",
                    "batch",
                    "student's item, KB",
                    "items written",
                    "table units",
                    *INDEXES,
                    "read units",
                    "alerts",
                ],
                quantities,
            ),
            _table_of(["facts", "batch", *paid, "total"], costs),
            _table_of(["facts", "minutes", "items written", "write units", "dollars"], rolls),
        )
    )


def _quantities_row(facts: int, batch_size: int, events: Quantities, made: Bench) -> list[str]:
    """Per thousand events, but for the item's size."""
    figures = [events.written, events.units[TABLE], *(events.units.get(name, 0) for name in INDEXES)]
    figures += [events.units[READ], events.alerts]
    per_thousand = [f"{events.per_million(figure) / 1_000:,.0f}" for figure in figures]
    return [f"{facts:,}", f"{batch_size:,}", f"{made.mean_size('student') / KB:.1f}", *per_thousand]


def _roll_row(facts: int, minutes: int, rolled: RollQuantities, assumed: Assumptions) -> list[str]:
    """Items and units per thousand events, dollars per million."""
    share = FACTS_PER_EVENT * 1_000
    nothing = Quantities(1, 0, 0, Counter(), 0, 0)
    paid = dollars(BATCH_SIZES[0], nothing, rolled, assumed)["roll"]
    figures = [f"{share * figure:,.0f}" for figure in (rolled.written, rolled.write_units)]
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
