"""Results as JSON and tables. It measures nothing, and shows nothing that was not measured.

`bench/results/NAME.json` is what a part found, `tables.md` everything as Markdown; `bench.plots` draws the plots.
"""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import sizing
from bench.figures import FIGURES, Figure, floor

RESULTS: Final = Path(__file__).parent / "results"
SIZES: Final = ("100", "1000", "6800")

Rows = Iterable[Sequence[str]]


def machine() -> dict[str, Any]:
    """What the figures were measured on; they are ratios for a reason."""
    known = Path("/proc/cpuinfo")  # Linux alone has it
    lines = known.read_text().splitlines() if known.is_file() else []
    models = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    model = next(models, platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def save(directory: Path, part: str, results: Any) -> None:
    """Keeps what a part found, with the machine that it was found on."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "results": _rounded(results)}, indent=1)
    (directory / f"{part}.json").write_text(text + "\n", encoding="utf-8")


def load(directory: Path, parts: Iterable[str]) -> dict[str, Any]:
    """What is kept of these parts."""
    paths = {part: directory / f"{part}.json" for part in parts}
    return {part: json.loads(path.read_text())["results"] for part, path in paths.items() if path.is_file()}


def _rounded(value: Any) -> Any:
    """Numbers to six significant digits: what is beyond is noise, and would make every run a new file."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def show(console: Console, results: Mapping[str, Any]) -> None:
    """The table of figures, on a terminal."""
    table = Table(title="Figures")
    for heading, justify in (("figure", "left"), ("reach", "right"), ("aim", "right"), ("measured", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("reached")
    colours = {"aim": "green", "reach": "yellow", "no": "red"}
    for *cells, reached in figure_rows(results):
        table.add_row(*cells, f"[{colours.get(reached, 'dim')}]{reached}[/]")
    console.print(table)


def figure_rows(results: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Figure, reach, aim, measured, reached; of what was not measured it is said so."""
    for figure in FIGURES:
        owed = _shown(figure, figure.reach)
        if (found := results.get(figure.part)) is None:
            yield (
                figure.name,
                owed,
                "floor" if callable(figure.aim) else _shown(figure, figure.aim),
                "not measured",
                "-",
            )
            continue
        value, aim = figure.value(found), figure.wanted(found)
        yield figure.name, owed, _shown(figure, aim), _shown(figure, value), figure.reached(value, aim)


def _shown(figure: Figure, value: float | None) -> str:
    if value is None:
        return "-"
    text = _number(value)
    return f"{text}{'' if figure.unit in ('', '%') else ' '}{figure.unit}"


def _number(value: float) -> str:
    if isinstance(value, int) or value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tables(results: Mapping[str, Any]) -> str:
    """Everything as Markdown, a section a part, each with the command that makes it."""
    sections = [
        "# Results of the benchmark\n",
        _table(("figure", "reach", "aim", "measured", "reached"), figure_rows(results)),
    ]
    makers = {
        "end-to-end": _end_to_end,
        "share": _share,
        "core": _core,
        "peers": _peers,
        "growth": _growth,
        "cold-start": _cold_start,
        "day": _day,
        "rollup": _rollup,
    }
    for part, make in makers.items():
        if part in results:
            sections.append(f"## {part.replace('-', ' ').capitalize()}\n\n`python -m bench --only {part}`\n")
            sections.extend(make(results[part]))
    return "\n".join(sections)


def _table(headings: Sequence[str], rows: Rows) -> str:
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


PER_1000: Final = {
    "calls": "AWS calls",
    "reads": "of them reads",
    "writes": "of them writes",
    "wake_writes": "of them writes of wakes",
    "put_events": "of them PutEvents",
    "alerts": "alerts",
    "items_written": "items written",
    "write_units": "write units",
    "table_write_units": "of them the table's",
    "index_write_units": "of them the indexes'",
    "state_write_units": "of them the wakes'",
    "move_write_units": "of them those of moves",
    "read_units": "read units",
    "kilobytes": "kB on the wire",
    "cpu_ms": "CPU, ms",
    "wall_ms": "wall time, ms",
    "wall_ms_at_4_ms": "wall time at 4 ms a call, ms",
}


def _end_to_end(results: Any) -> Iterator[str]:
    small = results["small"]
    yield (
        "Per 1,000 events, 500 students; factors over the baseline; "
        f"{small['rounds']} rounds over {small['events']:,} events.\n"
    )
    yield _table(
        ("", "baseline", *(f"batch {int(size):,}" for size in SIZES)),
        (
            (
                title,
                _number(small["baseline"][name]),
                *(f"{_number(small[size][name])} ({_number(small[size]['ratio'].get(name, 0))} x)" for size in SIZES),
            )
            for name, title in PER_1000.items()
        ),
    )
    named = ", ".join(f"{small['entities_named'][size]:.0f}" for size in SIZES)
    floors = ", ".join(f"{floor(results, int(size)):.1f}" for size in SIZES)
    yield (
        f"Entities named by a batch: {named}. One write for each of them "
        f"would be {floors} times fewer writes: the floor.\n"
    )
    yield "What that sustains, computed (`bench/sizing.py`): one batch after the other, as one shard is read.\n"
    yield _table(
        ("records a batch", "memory", "ms a batch", "events a second", "dollars a million events"),
        sizing.rows(small, SIZES),
    )
    for population, title in (
        ("large", "Per 1,000 events, 50,000 students and 10,000 tutors, measured once."),
        ("rotating", "Per 1,000 events, 500 students of whom others are busy each day, measured once."),
    ):
        found = results[population]
        yield f"{title}\n"
        yield _table(
            ("", *(f"batch {int(size):,}" for size in SIZES)),
            [
                ("entities named by a batch", *(_number(found[size]["entities_named"]) for size in SIZES)),
                *(
                    (title, *(_number(found[size][name]) for size in SIZES))
                    for name, title in PER_1000.items()
                    if name in found["100"]
                ),
            ],
        )


def _share(results: Any) -> Iterator[str]:
    yield _table(
        ("CPU of a batch, ms", "whole", "its AWS calls alone", "the rest", "own share"),
        (
            (
                f"{int(size):,} records",
                _number(each["cpu_ms"]),
                _number(each["calls_cpu_ms"]),
                _number(each["own_cpu_ms"]),
                f"{each['own_share']:.0%}",
            )
            for size, each in results.items()
        ),
    )


def _core(results: Any) -> Iterator[str]:
    steps = results["steps"]
    yield _table(
        ("CPU, ms", *(f"{int(size):,} records" for size in steps)),
        [
            *((name, *(_number(each["ms"][name]) for each in steps.values())) for name in steps["100"]["ms"]),
            ("microseconds a record", *(_number(each["us_per_record"]) for each in steps.values())),
        ],
    )
    yield "Where `plan` spends its time, by module (cProfile).\n"
    modules = dict.fromkeys(name for each in steps.values() for name in each["plan_by_module"])
    yield _table(
        ("", *(f"{int(size):,} records" for size in steps)),
        ((name, *(f"{each['plan_by_module'].get(name, 0):.0%}" for each in steps.values())) for name in modules),
    )
    yield "One new fact for each entity: merged, measured, packed; CPU in ms.\n"
    facts = sorted({each["facts"] for each in results["merge"]})
    by_size: dict[int, list[str]] = {}
    for each in results["merge"]:
        by_size.setdefault(each["entities"], []).append(_number(each["cpu_ms"]))
    yield _table(
        ("entities", *(f"{each} facts each" for each in facts)),
        ((f"{entities:,}", *cells) for entities, cells in by_size.items()),
    )
    one = results["aggregate"]
    yield (
        "10,000 records decoded and aggregated: "
        f"json with dicts {one['ms']['dicts']:.0f} ms; decoded alone, with every check of the contract, "
        f"{one['ms']['decode']:.0f} ms; decoded and aggregated as columns {one['ms']['columns']:.0f} ms, "
        f"{one['ratio']['columns']:.2f} times as fast; by the core, which merges and packs state besides, "
        f"{one['ms']['core']:.0f} ms, {one['ratio']['core']:.2f} times as fast.\n"
    )


def _peers(results: Any) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    yield f"Events a CPU second, {results['students']:,} students, all metrics of all batches equal; {versions}.\n"
    sizes = [size for size in ("1000", "10000") if size in results]
    yield _table(
        ("", *(f"batches of {int(size):,}" for size in sizes)),
        (
            (name, *(f"{results[size]['events_per_cpu_second'][name]:,.0f}" for size in sizes))
            for name in results[sizes[0]]["events_per_cpu_second"]
        ),
    )


def _growth(results: Any) -> Iterator[str]:
    yield _table(
        ("what grows", "CPU of a batch, ms", "slope", "of the upper half"),
        (
            (
                name,
                ", ".join(f"{x:,.0f}: {_number(y)}" for x, y in each["points"]),
                f"{each['slope']:.2f}",
                f"{each['upper_slope']:.2f}",
            )
            for name, each in results.items()
        ),
    )


def _cold_start(results: Any) -> Iterator[str]:
    names = {
        "ready": "wall time to ready, s",
        "ready_cpu": "CPU to ready, s",
        "first_batch": "first batch of 100, wall, s",
        "first_batch_cpu": "first batch of 100, CPU, s",
        "first_batch_mb": "resident memory after it, MB",
        "large_batch_mb": "resident memory after a batch of 6,800, MB",
    }
    starts = results["starts"]
    yield _table(
        ("", *starts),
        (
            (title, *(_number(each[name]) if name in each else "" for each in starts.values()))
            for name, title in names.items()
        ),
    )
    unpacked = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in results["unpacked_bytes"].items())
    yield f"Unpacked: {unpacked}.\n"


def _day(results: Any) -> Iterator[str]:
    yield (
        f"{results['events']:,} events in {results['invocations']:,} batches of {results['batch']:,}: "
        f"{results['events_a_cpu_second']:,.0f} events a CPU second, {results['events_a_second']:,.0f} a second, "
        f"peak memory {results['peak_mb']:.0f} MB, {results['calls']:,} AWS calls, "
        f"{results['write_units']:,} write units.\n"
    )


def _rollup(results: Any) -> Iterator[str]:
    names = {
        "items": "items",
        "facts": "facts",
        "table_mb": "table, MB",
        "pages": "pages",
        "wall_seconds": "wall time, s",
        "cpu_seconds": "CPU, s",
        "wall_seconds_per_100k_items": "wall time for 100,000 items, s",
        "cpu_seconds_per_100k_items": "CPU for 100,000 items, s",
        "peak_mb": "peak memory, MB",
        "temporary_mb": "temporary files, MB",
        "written": "items written",
    }
    yield _table(
        ("", *(f"{int(students):,} students" for students in results)),
        ((title, *(_number(each[name]) for each in results.values())) for name, title in names.items()),
    )
