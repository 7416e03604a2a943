"""`python -m bench`: measures all parts or one, each in a process of its own, and prints the table of figures.

python -m bench                      everything, under fifteen minutes; results go to bench/results
python -m bench --only end-to-end    one part; the others' figures are those kept from before
python -m bench --quick              fewer and shorter runs, for developing; results go to build/bench
python -m bench --report             nothing is measured: tables and plots of what is kept
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import ROOT, plots, report

PARTS: Final = {
    "end-to-end": "bench.end_to_end",
    "share": "bench.share",
    "core": "bench.core",
    "peers": "bench.peers.compare",
    "growth": "bench.growth",
    "cold-start": "bench.cold_start",
    "day": "bench.day",
    "rollup": "bench.rollup",
}
"""In the order in which they run."""

ENVIRONMENTS: Final = {"peers": {"POLARS_MAX_THREADS": "1"}}
"""What a part's process finds in its environment: the peers run on one thread."""


def main() -> int:
    """The command line; returns the exit code: 1 when a part could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the functions.")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part (may be given several times)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, results to build/bench")
    parser.add_argument("--report", action="store_true", help="only make tables and plots of what is kept")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # how a part is run
    options = parser.parse_args()
    if options.into:
        _measure(options.only[0], options.quick, options.into)
        return 0

    console = Console()
    directory = ROOT / "build" / "bench" if options.quick else report.RESULTS
    wanted = [] if options.report else options.only or list(PARTS)
    failed = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(wanted))
        for part in wanted:
            begun = time.perf_counter()
            if problem := _run(part, options.quick, directory, lambda text: progress.update(bar, description=text)):
                failed.append(part)
                progress.console.print(f"[red]{part} could not be measured:[/]\n{problem}", highlight=False)
            else:
                progress.console.print(f"{part}: {time.perf_counter() - begun:.0f} s", highlight=False)
            progress.advance(bar)
    results = report.load(directory, PARTS)
    plots.plots(directory, results)
    (directory / "tables.md").write_text(report.tables(results), encoding="utf-8")
    report.show(console, results)
    console.print(f"JSON, tables and plots are in {directory.relative_to(ROOT)}.")
    return 1 if failed else 0


def _run(part: str, quick: bool, directory: Path, say: Callable[[str], None]) -> str:
    """Measures a part in a process of its own; returns what went wrong, or nothing."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench", "--only", part, "--into", str(directory), *(["--quick"] * quick)]
    log = directory / f"{part}.log"
    environment = os.environ | ENVIRONMENTS.get(part, {})
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=environment
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for line in process.stdout:
            say(line.strip())
    problem = "\n".join(log.read_text().splitlines()[-15:]) if process.returncode else ""
    log.unlink()
    return problem


def _measure(part: str, quick: bool, directory: Path) -> None:
    results = importlib.import_module(PARTS[part]).run(quick, lambda text: print(text, flush=True))
    report.save(directory, part, json.loads(json.dumps(results)))


if __name__ == "__main__":
    sys.exit(main())
