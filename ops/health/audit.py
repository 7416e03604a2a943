"""Compares every item of the table with its own facts and registers, and rewrites on request the items that differ.

The processor's core recomputes each item's public attributes, and those of its indexes, from the item's own facts and
registers at its own `as_of`. Three things are not compared: alert states, which remember what was sent and which only
the processor may judge; facts and registers, from which the rest is recomputed; and a rollup's figures, which come from
other items and which the next rollup corrects.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from functions.aws import clock
from functions.aws.deadline import Deadline
from functions.aws.parallel import chunks
from functions.aws.retry import back_off
from functions.aws.table import MetricsTable
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import Attributes, AttributeValue, differs, from_attribute, to_attribute
from functions.entities.item import State, entity_key, parse, parse_due_at
from functions.entities.plan import Rules, Write, plan
from functions.model import SECOND_MS, EntityKey, to_iso
from ops.items import damaged_facts, facts_are_intact

OVERDUE_SECONDS: Final = 900
"""How long after its `due_at` an item counts as overdue: three of the roll's default intervals."""

_REMEMBERED: Final = frozenset({"alerts", "alert_episodes", "outbox", "version", "as_of"})
"""Attributes that do not follow from facts, registers and `as_of`."""
_DUE: Final = frozenset({"due_at", "due_partition"})
_NOT_INTACT: Final = "the facts and the names that they refer to do not fit"
_NOT_READABLE: Final = (
    *(KeyError, ValueError, TypeError, AttributeError, ArithmeticError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)
_REPAIRS_AT_ONCE: Final = 500
_RACES: Final = 10
_NO_DEADLINE: Final = Deadline(lambda: 2**31)


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute that does not follow from its item's facts and registers."""

    attribute: str
    stored: Any
    """A plain value; None when the item does not have the attribute."""
    recomputed: Any


@dataclass(slots=True)
class Differing:
    """An item with differences."""

    key: EntityKey
    as_of: int
    """The moment for which it was recomputed, epoch ms."""
    differences: Sequence[Difference]
    repaired: bool = False
    problem: str = ""
    """Why it could not be repaired; empty when it could."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that this release cannot read or cannot recompute."""

    key: EntityKey
    reason: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """An item that the roll should have processed."""

    key: EntityKey
    due_at: int
    """Epoch seconds."""


@dataclass(slots=True)
class Report:
    """The result of an audit."""

    items: int = 0
    """How many items were compared."""
    differing: list[Differing] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    overdue: list[Overdue] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether no item needs attention: a difference that was repaired does not."""
        return not self.unreadable and not self.overdue and all(item.repaired for item in self.differing)

    def add(self, other: "Report") -> None:
        """Adds the result for another part of the table."""
        self.items += other.items
        self.differing += other.differing
        self.unreadable += other.unreadable
        self.overdue += other.overdue


def audit(
    dynamodb: Any,
    table: str,
    rules: Rules,
    *,
    segments: int = 1,
    overdue_seconds: int = OVERDUE_SECONDS,
    report: Callable[[int], None] = lambda _items: None,
) -> Report:
    """Reads the whole table and compares each item with its recomputation. Writes nothing.

    Parameters
    ----------
    dynamodb
        A client of boto3's kind.
    table
        The metrics table's name.
    rules
        The processor's settings, on which the time of the next reminder depends.
    segments
        How many parts of the table to scan in parallel.
    overdue_seconds
        How long an item may be due before it counts as overdue.
    report
        Called by the scanning threads with the number of items of each page.

    Raises
    ------
    ClientError, BotoCoreError
        When the table cannot be scanned.
    """
    latest_due = clock.now_ms() // SECOND_MS - overdue_seconds
    stopped = threading.Event()

    def scan(segment: int) -> Report:
        scanned = Report()
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, Segment=segment, TotalSegments=segments):
            if stopped.is_set():
                break
            scanned.add(examine(page["Items"], rules, latest_due))
            report(len(page["Items"]))
        return scanned

    whole = Report()
    with ThreadPoolExecutor(segments, thread_name_prefix="scan") as pool:
        try:
            for segment in [pool.submit(scan, segment) for segment in range(segments)]:
                whole.add(segment.result())
        finally:
            stopped.set()  # so that the other segments end soon after an error or Ctrl-C
    whole.differing.sort(key=lambda item: item.key)
    whole.unreadable.sort(key=lambda item: item.key)
    whole.overdue.sort(key=lambda item: item.key)
    return whole


def examine(items: Sequence[Attributes], rules: Rules, latest_due: int) -> Report:
    """Compares items as a scan returns them. An item due at or before `latest_due` (epoch seconds) is overdue."""
    found = Report(items=len(items))
    states = []
    for attributes in items:
        key = entity_key(attributes)
        try:
            state = parse(attributes)
            due_at = parse_due_at(attributes)
            if due_at is not None and due_at <= latest_due:
                found.overdue.append(Overdue(key, due_at))
        except _NOT_READABLE as error:
            found.unreadable.append(Unreadable(key, f"it cannot be read: {error!r}"))
        else:
            states.append(state)
    for state, after in zip(states, _recomputed(states, rules), strict=True):
        if isinstance(after, State):
            if differences := _differences(state, after):
                found.differing.append(Differing(state.key, state.as_of, differences))
        else:
            found.unreadable.append(Unreadable(state.key, f"it cannot be recomputed: {after!r}"))
    return found


def _recomputed(states: Sequence[State], rules: Rules) -> list[State | BaseException]:
    """Returns each state as the processor would have written it at its own `as_of`, or the error that prevents it."""
    if not states:
        return []
    try:
        planned = plan(states, Arrivals.none([state.key for state in states]), 0, rules).after
        return [
            after if facts_are_intact(state) else damaged_facts(_NOT_INTACT)
            for after, state in zip(planned, states, strict=True)
        ]
    except _NOT_READABLE as error:
        if len(states) == 1:
            return [error]
        return [result for state in states for result in _recomputed([state], rules)]


def _differences(state: State, after: State) -> list[Difference]:
    ignored = _REMEMBERED
    if after.alerts != state.alerts:
        ignored |= _DUE  # they follow from alerts that are judged again
    expected = {**after.stored, "last_updated": to_attribute(to_iso(state.as_of))}
    return [
        Difference(name, _shown(state.stored.get(name)), _shown(expected.get(name)))
        for name in sorted((state.stored.keys() | expected.keys()) - ignored)
        if differs(state.stored.get(name), expected.get(name))
    ]


def _shown(attribute: AttributeValue | None) -> Any:
    if attribute is None:
        return None
    if "B" in attribute:
        return f"{len(bytes(attribute['B']))} bytes"
    return from_attribute(attribute)


def repair(
    differing: Sequence[Differing], table: str, rules: Rules, *, report: Callable[[int], None] = lambda _items: None
) -> None:
    """Rewrites items as of now, by the processor's core and conditional write; sets their `repaired` and `problem`.

    The write judges alerts, as every write does. New notifications stay in the outboxes; the next roll sends them.

    Parameters
    ----------
    differing
        What `audit` has found.
    table
        The metrics table's name; the processor's own client reads and writes it.
    rules
        The deployed processor's settings; with others alerts would be judged wrongly.
    report
        Called with the number of items that were processed.
    """
    for part in chunks(differing, _REPAIRS_AT_ONCE):
        problems = _rewrite([item.key for item in part], MetricsTable(table), rules)
        for item in part:
            item.problem = problems.get(item.key, "")
            item.repaired = not item.problem
        report(len(part))


def _rewrite(keys: Sequence[EntityKey], table: MetricsTable, rules: Rules) -> dict[EntityKey, str]:
    """Reads, plans and writes until no race is lost; returns by key why an item could not be rewritten."""
    problems: dict[EntityKey, str] = {}
    for attempt in range(_RACES):
        if attempt:
            back_off(attempt)
        read = table.read(keys, _NO_DEADLINE)
        problems |= read.failed
        # Do not recreate an item that was deleted meanwhile.
        states = [state for state in read.states.values() if state.version]
        if not states:
            return problems
        now_ms = clock.now_ms()
        planned = plan(states, Arrivals.none([state.key for state in states]), now_ms, rules)
        writes = [planned.writes.get(entity) or _renewed(state, now_ms) for entity, state in enumerate(states)]
        written = table.write(writes, _NO_DEADLINE)
        problems |= {states[position].key: reason for position, reason in written.failed.items()}
        keys = [states[position].key for position in sorted(written.lost)]
        if not keys:
            return problems
    return problems | dict.fromkeys(keys, f"{_RACES} races in a row were lost to the processor; try again")


def _renewed(state: State, now_ms: int) -> Write:
    """Returns a write that changes only when the item was written; the processor itself never makes one."""
    version, as_of = state.version + 1, max(now_ms, state.as_of)
    when = {"version": version, "as_of": as_of, "last_updated": to_iso(as_of)}
    stored = state.stored | {name: to_attribute(value) for name, value in when.items()}
    return Write.of(state, replace(state, version=version, as_of=as_of, stored=stored))
