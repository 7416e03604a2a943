"""What the commands print: tables for people, JSON for programs; progress on standard error where it is a terminal."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from functions.processor.model import SECOND_MS, EntityKey, to_iso
from ops import audit, redrive

_MOST_LINES = 20
_NO_TERMINAL_WIDTH = 1_000
"""So that nothing is cut off or wrapped where no terminal has a width."""


def output() -> Console:
    """Standard output, for results."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH)


def messages() -> Console:
    """Standard error, for errors and progress."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _NO_TERMINAL_WIDTH)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, nothing elsewhere; yields what moves it by a number and tells it the total, if known."""
    console = messages()
    columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda number, total: bar.update(task, advance=number, total=total)


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in columns:
        numeric = name in ("objects", "records")
        table.add_column(
            name,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=name in ("kind", "reason", "outcome", "objects", "records"),
        )
    return table


def _iso(ms: int | None) -> str | None:
    return None if ms is None else to_iso(ms)


# -- redrive ----------------------------------------------------------------------------------------------------------


def redriven_json(report: redrive.Report, bucket: str, stream: str, *, executed: bool, complete: bool) -> Any:
    """A redrive's report; objects that were not selected are only counted."""
    counts: dict[str, int] = dict.fromkeys(("selected", "removed", "left", "skipped", "unmatched"), 0)
    for outcome in report.outcomes:
        counts[outcome.status] += 1
    return {
        "bucket": bucket,
        "stream": stream,
        "executed": executed,
        "complete": complete,
        "objects": counts,
        "records_put": report.put,
        "details": [
            {
                "key": outcome.key,
                "kind": outcome.kind,
                "status": outcome.status,
                "reason": outcome.reason,
                "records": outcome.records,
                "put": outcome.put,
                "first_arrival": _iso(outcome.first_arrival_ms),
                "last_arrival": _iso(outcome.last_arrival_ms),
                "detail": outcome.detail,
            }
            for outcome in report.outcomes
            if outcome.status != "unmatched"
        ],
    }


def print_redriven(report: redrive.Report, *, executed: bool) -> None:
    """A redrive's report as a table by kind, reason and outcome, and what it says of objects that stay."""
    console = output()
    groups: dict[tuple[str, str, str], list[redrive.Outcome]] = defaultdict(list)
    for outcome in report.outcomes:
        groups[outcome.kind, outcome.reason, outcome.status].append(outcome)
    if groups:
        table = _table("kind", "reason", "outcome", "objects", "records", "arrived (UTC)")
        for (kind, reason, status), outcomes in sorted(groups.items()):
            table.add_row(
                kind,
                Text(reason),
                status,
                f"{len(outcomes):,}",
                f"{sum(each.records for each in outcomes):,}",
                _arrived(outcomes),
            )
        console.print(table)
    _print_lines(
        console, [f"{each.status} {each.key}: {each.detail}" for each in report.objects("left", "skipped")], "objects"
    )
    selected = report.objects("selected")
    if executed:
        removed = len(report.objects("removed"))
        console.print(f"{report.put:,} records put on the stream, {removed:,} objects removed.")
    elif selected:
        records = sum(each.records for each in selected)
        console.print(
            f"Dry run: {len(selected):,} objects with {records:,} records would be redriven; nothing was put or "
            "removed. Repeat with --execute to do it."
        )
    else:
        console.print("Dry run: no object is selected.")


def _arrived(outcomes: Sequence[redrive.Outcome]) -> str:
    """From when to when, to the minute."""
    moments = [ms for each in outcomes for ms in (each.first_arrival_ms, each.last_arrival_ms) if ms is not None]
    if not moments:
        return ""
    first, last = (to_iso(ms)[:16].replace("T", " ") for ms in (min(moments), max(moments)))
    return first if first == last else f"{first} to {last}"


# -- audit ------------------------------------------------------------------------------------------------------------


def audited_json(report: audit.Report, table: str, *, deployed_rules: bool) -> Any:
    """An audit's report."""
    return {
        "table": table,
        "settings": "deployed" if deployed_rules else "default",
        "items": report.items,
        "differing": [
            {
                **each.key._asdict(),
                "as_of": to_iso(each.as_of),
                "differences": [
                    {"attribute": one.attribute, "stored": one.stored, "recomputed": one.recomputed}
                    for one in each.differences
                ],
                "repaired": each.repaired,
                "problem": each.problem,
            }
            for each in report.differing
        ],
        "unreadable": [{**each.key._asdict(), "reason": each.reason} for each in report.unreadable],
        "overdue": [{**each.key._asdict(), "due_at": to_iso(each.due_at * SECOND_MS)} for each in report.overdue],
    }


def print_audited(report: audit.Report, *, deployed_rules: bool, repaired: bool) -> None:
    """An audit's report, a row for each attribute that differs."""
    console = output()
    if report.differing:
        table = _table("entity", "attribute", "stored", "recomputed", "as of", *(("repaired",) if repaired else ()))
        for item in report.differing:
            outcome = ("yes" if item.repaired else f"no: {item.problem}",) if repaired else ()
            for one in item.differences:
                values = (one.attribute, _shown(one.stored), _shown(one.recomputed), to_iso(item.as_of), *outcome)
                table.add_row(_name(item.key), *map(Text, values))
        console.print(table)
    _print_lines(console, [f"unreadable {_name(each.key)}: {each.reason}" for each in report.unreadable], "items")
    overdue = sorted(report.overdue, key=lambda each: each.due_at)
    _print_lines(
        console, [f"overdue {_name(each.key)}: due {to_iso(each.due_at * SECOND_MS)}" for each in overdue], "items"
    )
    attributes = sum(len(each.differences) for each in report.differing)
    console.print(
        f"{report.items:,} items: {len(report.differing):,} differ in {attributes:,} attributes, "
        f"{len(report.unreadable):,} are unreadable, {len(report.overdue):,} are overdue."
    )
    if report.overdue:
        console.print("Overdue items wait for the roll: see whether its schedule is enabled and what its log says.")
    if report.differing and not repaired:
        console.print("Nothing was written. Repeat with --repair to rewrite the items that differ.")
    if report.differing and not deployed_rules:
        console.print(
            "Compared with the default settings: where the stack has others, give --function for what is due."
        )


def _name(key: EntityKey) -> Text:
    return Text(f"{key.entity_type} {key.entity_id}")


def _shown(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_lines(console: Console, lines: Sequence[str], what: str) -> None:
    for line in lines[:_MOST_LINES]:
        console.print(line, markup=False)
    if len(lines) > _MOST_LINES:
        console.print(f"... and {len(lines) - _MOST_LINES:,} more {what}; --output json has all of them")
