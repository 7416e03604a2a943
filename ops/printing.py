"""How the commands print: tables for people, JSON for programs, and progress on standard error if it is a terminal."""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
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

from functions.model import to_iso

_MOST_LINES = 20
_NO_TERMINAL_WIDTH = 1_000
"""The width for output that is no terminal, so that nothing is cut off or wrapped."""


_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, characters that change the direction of a line, and surrogates."""


def escaped(text: str) -> str:
    """Makes text of unknown origin safe for a terminal: control characters become `\\x1b`, line breaks stay."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def cell(text: str) -> Text:
    """Returns text of unknown origin as a table's cell: escaped, and without markup."""
    return Text(escaped(text))


class _Console(Console):
    """A console that escapes all text that it prints, whether `cell` has escaped it or not."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text), segment.style)


_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def output() -> Console:
    """Returns standard output, for results."""
    return _Console(highlight=False, width=None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH)


def messages() -> Console:
    """Returns standard error, for errors and progress."""
    return _Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _NO_TERMINAL_WIDTH)


def print_json(value: Any, *, line: bool = False) -> None:
    """Prints a JSON document on standard output; with `line` as one line that is written at once."""
    text = json.dumps(value, indent=None if line else 2, ensure_ascii=False)
    print(_UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text), flush=line)


class _Rate(ProgressColumn):
    """A column of the progress bar: how many of a unit are done a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} {self._unit}/s")


@contextmanager
def progress(title: str, rate_of: str | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a progress bar, on a terminal only.

    Yields a function that takes how much was done since its last call, and the total, or None while that is unknown.
    With `rate_of`, the name of the unit, the bar also shows how many of them are done a second.
    """
    console = messages()
    rate = (_Rate(rate_of),) if rate_of else ()
    columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn(), *rate, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda number, total: bar.update(task, advance=number, total=total)


def table(*columns: str, right: Collection[str] = (), whole: Collection[str] = ()) -> Table:
    """Returns an empty table. Columns named in `right` hold numbers; those in `whole` are never wrapped."""
    empty = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in columns:
        numeric = name in right
        justify: JustifyMethod = "right" if numeric else "left"
        empty.add_column(name, justify=justify, overflow="fold", no_wrap=numeric or name in whole)
    return empty


def print_whole(console: Console, rows: Table) -> None:
    """Prints a table without cutting anything off. The terminal wraps lines that are too wide for it."""
    needed = console.measure(rows, options=console.options.update(max_width=_NO_TERMINAL_WIDTH)).maximum
    if needed > console.width:
        console = _Console(file=console.file, highlight=False, width=needed)
    console.print(rows)


def minute(iso: str | None) -> str:
    """Returns an ISO-8601 time in UTC to the minute; `-` for None."""
    return "-" if iso is None else iso[:16].replace("T", " ")


def severity(name: str) -> Text:
    """Returns a severity in its colour."""
    return Text(name, style=_COLOURS.get(name, ""))


def number(value: Any) -> str:
    """Returns a number with thousands separators; `-` for None."""
    return "-" if value is None else f"{value:,}"


def optional_iso(ms: int | None) -> str | None:
    """Epoch milliseconds as ISO-8601; None for None."""
    return None if ms is None else to_iso(ms)


def print_some(console: Console, lines: Sequence[str], what: str) -> None:
    """Prints the first lines, and how many more there are.

    Parameters
    ----------
    console
        Where to print.
    lines
        One line for each thing; they may hold text of unknown origin.
    what
        The word for the things, in the plural.
    """
    for line in lines[:_MOST_LINES]:
        console.print(escaped(line), markup=False)
    if len(lines) > _MOST_LINES:
        console.print(f"... and {len(lines) - _MOST_LINES:,} more {what}; --output json has all of them")
