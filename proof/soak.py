"""Tries to break the processor: `python -m proof.soak`, which `make soak` calls.

Lets every call of a small batch fail in every way, then runs as many seeded random schedules as the time allows
(`SECONDS`, 300), or just `SCHEDULES` of them, on every core, and prints what was done to it and what did not hold, each
with what repeats it. Ends with 1 on a violation. With `SEED=n` the schedules begin there and nothing else is run:
`SEED=n SCHEDULES=1` repeats one.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proof import enumeration
from proof.faults import KINDS
from proof.schedules import Summary, run

DEFAULT_SECONDS = 300
MOST_VIOLATIONS = 20

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class SoakError(Exception):
    """The command cannot be carried out as it was called."""


@dataclass
class Total:
    """What all schedules together did."""

    cases: int = 0
    """Single faults, one a run."""
    schedules: int = 0
    records: int = 0
    invocations: int = 0
    other_processes: int = 0
    rollups: int = 0
    reshards: int = 0
    wakes: int = 0
    transactions: int = 0
    moves: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: dict[str, str] = field(default_factory=dict)
    """By what repeats them."""

    def add(self, seed: int, done: Summary | str) -> None:
        self.schedules += 1
        if isinstance(done, str):
            self.violations[f"SEED={seed} SCHEDULES=1 make soak"] = done
            return
        self.records += done.records
        self.invocations += done.invocations
        self.other_processes += done.other_processes
        self.rollups += done.rollups
        self.reshards += done.reshards
        self.wakes += done.wakes
        self.transactions += done.transactions
        self.moves += done.moves
        self.faults += done.faults


def main() -> int:
    """Run the soak; return the exit status."""
    try:
        first, schedules, seconds = (_number(os.environ, *setting) for setting in _SETTINGS)
    except SoakError as error:
        console.print(f"[red]✗[/] {error}")
        return 2
    started = time.monotonic()
    total = Total()
    try:
        if not os.environ.get("SEED"):
            _enumerate(total)
        _soak(total, first, schedules, seconds)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted; what was done until then:[/]")
    _show(total, time.monotonic() - started)
    return 1 if total.violations or not total.schedules else 0


_SETTINGS = (("SEED", 1, 0), ("SCHEDULES", 0, 0), ("SECONDS", DEFAULT_SECONDS, 1))


def _number(environment: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise SoakError(f"{name} is {text!r}: it must be a whole number from {least}")
    return int(text)


def _enumerate(total: Total) -> None:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        cases = [
            *((enumeration.run, enumeration.calls(), *case) for case in enumeration.cases()),
            *((enumeration.run_fold, enumeration.folding_calls(), *case) for case in enumeration.folding_cases()),
        ]
        for run_case, calls, index, kind in progress.track(cases, description="single faults"):
            total.cases += 1
            try:
                run_case(index, kind)
            except AssertionError as violation:
                total.violations[f"{run_case.__name__}, call {index} ({calls[index]}): {kind}"] = str(violation)


def _soak(total: Total, first: int, schedules: int, seconds: int) -> None:
    seeds: Iterator[int] = iter(range(first, first + schedules)) if schedules else count(first)
    deadline = time.monotonic() + seconds
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    workers = os.cpu_count() or 1
    with (
        # Forked, a worker would wait for ever for Polars' threads, which are its parent's.
        ProcessPoolExecutor(workers, get_context("spawn"), initializer=_ignore_interrupts) as pool,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("schedules", total=schedules or seconds)
        running: dict[Future[Summary | str], int] = {}
        while len(total.violations) < MOST_VIOLATIONS:
            over = not schedules and time.monotonic() >= deadline
            while not over and len(running) < 2 * workers and (seed := next(seeds, None)) is not None:
                running[pool.submit(_one, seed)] = seed
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                total.add(running.pop(future), future.result())
            at = total.schedules if schedules else seconds - max(0, deadline - time.monotonic())
            progress.update(task, completed=at, description=f"{total.schedules} schedules, {total.records} records")
        for future in running:
            future.cancel()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends its workers


def _one(seed: int) -> Summary | str:
    """One schedule; what did not hold, or how it ended otherwise, as text."""
    try:
        return run(random.Random(seed))
    except Exception as error:  # noqa: BLE001 - whatever ends a schedule is to be shown with its seed
        return "".join(traceback.format_exception_only(error)).strip()


def _show(total: Total, took: float) -> None:
    table = Table(title=f"{total.schedules:,} schedules in {took:.0f} s", title_justify="left")
    table.add_column("what")
    table.add_column("how often", justify="right")
    rows = {
        "single faults, each in a run of its own": total.cases,
        "records put": total.records,
        "invocations of the processor": total.invocations,
        "other processes between two calls": total.other_processes,
        "rollups before everything got well": total.rollups,
        "shards split or merged": total.reshards,
        "wakes written": total.wakes,
        "transactions": total.transactions,
        "items written with their tails": total.moves,
    }
    for name, number in rows.items():
        table.add_row(name, f"{number:,}")
    table.add_section()
    for kind in sorted({kind for kinds in KINDS.values() for kind in kinds}):
        table.add_row(f"fault: {kind}", f"{total.faults[kind]:,}")
    table.add_section()
    table.add_row("[bold]invariant violations[/]", f"[bold]{len(total.violations):,}[/]")
    console.print(table)
    for what, text in total.violations.items():
        console.print(f"[red]✗[/] {what}: ", end="")
        console.print(text, markup=False)


if __name__ == "__main__":
    sys.exit(main())
