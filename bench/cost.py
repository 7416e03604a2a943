"""What a million events cost: `python -m bench.cost` prints the tables of docs/cost.md.

Runs the real processor and roll over AWS in memory in steady state, counts what AWS would bill for each call, and
multiplies by the list prices in `PRICES`. The plain handler of `bench.baseline` takes the same events under the same
meter. Nothing is taken from a bill, and time is not measured: how long an invocation takes depends on the machine, so
it is an assumption, `MS_PER_EVENT`, which the command line can replace.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from bench.marketplace import STUDENTS, TUTORS, WITHIN_MS, Marketplace, events_a_day
from bench.metered_baseline import ALL_ATTRIBUTES, KEYS_ONLY, BaselineUsage, measure
from bench.prices import PRICES
from bench.steady_state import BEGIN, WARM_DAYS, Counted, SteadyState
from functions.model import DAY_MS, MINUTE_MS
from proof.metered import KB, MOVE, STATE, TABLE

MILLION: Final = 1_000_000
GB: Final = 1 << 30
HOURS_A_MONTH: Final = 730

BATCH_SIZES: Final = (100, 1_000)
MS_PER_EVENT: Final = {100: 2.0, 1_000: 0.6}
"""Assumed milliseconds of billed duration an event, by batch size, at MEMORY_GB."""
MS_PER_ROLLED: Final = 2.0
"""Assumed milliseconds of billed duration an item that the roll writes."""
MS_PER_CALL: Final = 4.0
"""Assumed milliseconds of billed duration a call of the plain handler, which makes one after the other."""
MEMORY_GB: Final = 1.0


@dataclass(frozen=True)
class Scenario:
    """A marketplace that is measured."""

    facts: int
    """Sessions and calls that a student has in 32 days, on average; a tutor has 3.75 times as many."""
    batch_size: int
    days: float
    """That are counted; as many before them settle."""
    roll_minutes: int = 5
    students: int = STUDENTS
    tutors: int = TUTORS
    within_ms: int = WITHIN_MS
    warm_days: float = WARM_DAYS


SCENARIOS: Final = [
    Scenario(facts, batch_size, days, students=students, tutors=students // 5)
    for facts, days, students in ((20, 8, STUDENTS), (200, 2, STUDENTS), (1_000, 1, 200))
    for batch_size in BATCH_SIZES
]
EVENLY: Final = [replace(scenario, within_ms=WARM_DAYS * DAY_MS) for scenario in SCENARIOS[:2]]
"""The events of a batch come evenly in the time since the batch before."""


@dataclass(frozen=True)
class Measured:
    """What a scenario's events took."""

    scenario: Scenario
    counted: Counted
    plain: BaselineUsage
    student_bytes: float
    """Mean size of a student's item."""
    tails: int
    """How many entities have one."""


def measured(scenario: Scenario) -> Measured:
    """Simulate a scenario. The same one gives the same figures."""
    marketplace = Marketplace(
        Random(1), BEGIN, scenario.facts, scenario.batch_size, scenario.students, scenario.tutors, scenario.within_ms
    )
    simulated = SteadyState(marketplace, scenario.roll_minutes * MINUTE_MS)
    before = simulated.warm(scenario.warm_days)
    counted = simulated.count(scenario.days, settling_days=scenario.days)
    return Measured(
        scenario, counted, measure(before, counted.events), simulated.mean_size("student"), simulated.tails()
    )


@dataclass(frozen=True)
class Assumptions:
    """What is not counted but said."""

    architecture: str = "x86_64"
    ms_per_event: Mapping[int, float] = field(default_factory=lambda: MS_PER_EVENT)
    emails: int = 1
    """E-mail addresses that an alert reaches."""


def dollars(batch_size: int, counted: Counted, assumed: Assumptions) -> dict[str, float]:
    """Dollars for a million events, by what they are paid for."""
    events, rolls = counted.batches, counted.rolls
    scale = MILLION / len(counted.events)
    alerts = scale * (events.alerts + rolls.alerts)
    return {
        "Kinesis": _stream(),
        "Lambda": _compute(scale * events.invocations, MILLION * assumed.ms_per_event[batch_size], assumed)
        + _compute(0, scale * rolls.written * MS_PER_ROLLED, assumed),
        "writes by events": _units(scale * events.write_units, "dynamodb_write"),
        "writes by time": _units(scale * rolls.write_units, "dynamodb_write"),
        "reads": _units(scale * (events.read_units + rolls.read_units), "dynamodb_read"),
        "logs": scale * events.log_bytes / GB * _price("logs"),
        "alerts": sum(
            _units(alerts * n, p) for p, n in (("events", 1), ("sns_publish", 1), ("sns_email", assumed.emails))
        ),
    }


def plain_dollars(batch_size: int, events: int, plain: BaselineUsage, indexes: str, assumed: Assumptions) -> float:
    """Dollars for a million events that the plain handler takes in, without alerts and logs."""
    scale = MILLION / events
    return (
        _stream()
        + _compute(MILLION / batch_size, scale * plain.calls * MS_PER_CALL, assumed)
        + _units(scale * plain.write_units[indexes], "dynamodb_write")
        + _units(scale * plain.read_units, "dynamodb_read")
    )


def _stream() -> float:
    """A million events in the stream: each is below 1 KB, and billed as that."""
    return MILLION * KB / GB * (_price("kinesis_in") + _price("kinesis_out"))


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


def units_table(rows: Sequence[Measured]) -> str:
    """Write request units per thousand events, and what the plain handler takes."""
    head = ["facts", "batch", "events: items", "index", "wakes", "moves", "time: items", "index", "wakes", "moves"]
    head += ["**together**", "plain, its indexes", "plain, our index"]
    lines = []
    for each in rows:
        counted = each.counted
        figures: list[float] = []
        for usage in (counted.batches, counted.rolls):
            figures += [usage.units[TABLE], usage.index_units, usage.units[STATE], usage.units[MOVE]]
        cells = [f"{counted.per_thousand(figure):,.0f}" for figure in figures]
        together = f"**{counted.per_thousand(counted.write_units):,.0f}**"
        plain = [f"{counted.per_thousand(each.plain.write_units[name]):,.0f}" for name in (ALL_ATTRIBUTES, KEYS_ONLY)]
        lines.append([*_names(each), *cells, together, *plain])
    return _table_of(head, lines)


def counts_table(rows: Sequence[Measured]) -> str:
    """Items written, calls, read units and alerts per thousand events, and what the items look like."""
    head = ["facts", "batch", "events a day", "student's item, bytes", "tails", "written by events", "by time"]
    head += ["calls by events", "by time", "read units of events", "of time", "alerts"]
    lines = []
    for each in rows:
        counted, scenario = each.counted, each.scenario
        events, rolls = counted.batches, counted.rolls
        figures: list[float] = [
            events.written,
            rolls.written,
            events.calls.total(),
            rolls.calls.total() - 5 * rolls.invocations,
        ]
        figures += [events.read_units, rolls.read_units, events.alerts + rolls.alerts]
        lines.append(
            [
                *_names(each),
                f"{events_a_day(scenario.facts, scenario.students):,.0f}",
                f"{each.student_bytes:,.0f}",
                f"{each.tails:,}",
                *(f"{counted.per_thousand(figure):,.0f}" for figure in figures),
            ]
        )
    return _table_of(head, lines)


def dollars_table(rows: Sequence[Measured], assumed: Assumptions) -> str:
    """Dollars per million events, and the plain handler's."""
    lines = []
    for each in rows:
        batch_size = each.scenario.batch_size
        paid = dollars(batch_size, each.counted, assumed)
        alerts = paid.pop("alerts")
        plain = [
            plain_dollars(batch_size, len(each.counted.events), each.plain, name, assumed)
            for name in (ALL_ATTRIBUTES, KEYS_ONLY)
        ]
        cells = [f"{figure:.2f}" for figure in paid.values()]
        lines.append(
            [*_names(each), *cells, f"**{sum(paid.values()):.2f}**", *(f"{x:.2f}" for x in plain), f"{alerts:.2f}"]
        )
    head = ["facts", "batch", *paid, "**together**", "plain, its indexes", "plain, our index", "alerts"]
    return _table_of(head, lines)


def _names(row: Measured) -> list[str]:
    return [f"{row.scenario.facts:,}", f"{row.scenario.batch_size:,}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description="Print the tables of docs/cost.md.")
    parser.add_argument("--architecture", choices=("x86_64", "arm64"), default="x86_64")
    parser.add_argument("--emails", type=int, default=1, help="addresses that an alert reaches (default 1)")
    parser.add_argument("--ms-per-event", type=float, help="billed milliseconds an event, for every batch size")
    parser.add_argument("--processes", type=int, help="simulations at once (default: one a core)")
    options = parser.parse_args(arguments)
    given = options.ms_per_event
    assumed = Assumptions(
        options.architecture, MS_PER_EVENT if given is None else dict.fromkeys(BATCH_SIZES, given), options.emails
    )
    with ProcessPoolExecutor(options.processes) as pool:
        rows = list(pool.map(measured, [*SCENARIOS, *EVENLY]))
    bursts, evenly = rows[: len(SCENARIOS)], rows[len(SCENARIOS) :]
    tables = [
        price_table(),
        units_table(bursts),
        dollars_table(bursts, assumed),
        counts_table(bursts),
        units_table(evenly),
    ]
    print("\n\n".join(tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
