"""What the commands print: tables for people, JSON for programs; progress on standard error where it is a terminal."""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from functions.model import SECOND_MS, EntityKey, to_iso
from ops.health import audit
from ops.quarantine import redrive

_MOST_LINES = 20
_NO_TERMINAL_WIDTH = 1_000
"""So that nothing is cut off or wrapped where no terminal has a width."""


_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal takes for a command, what turns the direction of a line, and what is no character."""


def escaped(text: str) -> str:
    """Text of unknown origin as it may be shown on a terminal: control characters as `\\x1b`, line breaks kept."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def cell(text: str) -> Text:
    """Text of unknown origin for a table, as it is and without markup."""
    return Text(escaped(text))


class _Console(Console):
    """Shows data of unknown origin without doing what it says to the terminal, `cell` or not."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def output() -> Console:
    """Standard output, for results."""
    return _Console(highlight=False, width=None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH)


def messages() -> Console:
    """Standard error, for errors and progress."""
    return _Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _NO_TERMINAL_WIDTH)


def print_json(value: Any, *, line: bool = False) -> None:
    """One JSON document on standard output; as one line, at once, where more follow."""
    text = json.dumps(value, indent=None if line else 2, ensure_ascii=False)
    print(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text), flush=line)


class _Rate(ProgressColumn):
    """How many of a unit are done a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} {self._unit}/s")


@contextmanager
def progress(title: str, rate_of: str | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, nothing elsewhere; yields what moves it by a number and tells it the total, if known.

    Says how many a second, too, where `rate_of` names what they are.
    """
    console = messages()
    rate = (_Rate(rate_of),) if rate_of else ()
    columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn(), *rate, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda number, total: bar.update(task, advance=number, total=total)


def table(*columns: str, right: Collection[str] = (), whole: Collection[str] = ()) -> Table:
    """An empty table with these columns; those on the right are numbers, those that are whole are never broken."""
    made = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in columns:
        numeric = name in right
        made.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric or name in whole)
    return made


def print_whole(console: Console, rows: Table) -> None:
    """A table of data, none of it cut off: where it is wider than the terminal, that wraps its lines."""
    needed = console.measure(rows, options=console.options.update(max_width=_NO_TERMINAL_WIDTH)).maximum
    if needed > console.width:
        console = _Console(file=console.file, highlight=False, width=needed)
    console.print(rows)


def minute(iso: str | None) -> str:
    """An ISO-8601 time in UTC, to the minute; `-` for none."""
    return "-" if iso is None else iso[:16].replace("T", " ")


def severity(name: str) -> Text:
    """A severity in its colour."""
    return Text(name, style=_COLOURS.get(name, ""))


def number(value: Any) -> str:
    """A figure with its thousands told apart; `-` for none."""
    return "-" if value is None else f"{value:,}"


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
        rows = table(
            *("kind", "reason", "outcome", "objects", "records", "arrived (UTC)"),
            right=("objects", "records"),
            whole=("kind", "reason", "outcome"),
        )
        for (kind, reason, status), outcomes in sorted(groups.items()):
            rows.add_row(
                kind,
                cell(reason),
                status,
                f"{len(outcomes):,}",
                f"{sum(each.records for each in outcomes):,}",
                _arrived(outcomes),
            )
        console.print(rows)
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
    first, last = (minute(to_iso(ms)) for ms in (min(moments), max(moments)))
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
        rows = table("entity", "attribute", "stored", "recomputed", "as of", *(("repaired",) if repaired else ()))
        for item in report.differing:
            outcome = ("yes" if item.repaired else f"no: {item.problem}",) if repaired else ()
            for one in item.differences:
                values = (one.attribute, _shown(one.stored), _shown(one.recomputed), to_iso(item.as_of), *outcome)
                rows.add_row(_name(item.key), *map(cell, values))
        console.print(rows)
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
    return cell(f"{key.entity_type} {key.entity_id}")


def _shown(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_lines(console: Console, lines: Sequence[str], what: str) -> None:
    for line in lines[:_MOST_LINES]:
        console.print(escaped(line), markup=False)
    if len(lines) > _MOST_LINES:
        console.print(f"... and {len(lines) - _MOST_LINES:,} more {what}; --output json has all of them")
