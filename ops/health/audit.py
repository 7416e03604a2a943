"""Compares every item of the table with its own facts and registers, and rewrites on request what is wrong.

The processor's core recomputes each item's public attributes from the entity's own facts, those of head and tail, and
its registers at its own `as_of`. Three things are not compared: alert states, which remember what was sent and which
only the processor may judge; facts and registers, from which the rest is recomputed; and a rollup's figures, which come
from other items and which the next rollup corrects. Nothing in an item tells its `last_updated` either: it must be a
time, and not later than `as_of`, which moves on alone when time alone changes a figure.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from functions.aws import clock
from functions.aws.parallel import chunks
from functions.aws.retry import back_off
from functions.aws.state_table import StateTable
from functions.aws.table import MetricsTable
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import AttributeValue, differs, from_attribute, to_attribute
from functions.entities.item import State, entity_key, parse
from functions.entities.plan import Rules, Write, plan
from functions.model import MINUTE_MS, SECOND_MS, EntityKey, from_iso, to_iso
from ops import due
from ops.items import damaged_facts, facts_are_intact
from ops.wholes import NO_DEADLINE, Tables, Whole, with_tails

OVERDUE_SECONDS: Final = 900
"""How late the roll may be before an item counts as overdue: three of the roll's default intervals."""

_REMEMBERED: Final = frozenset({"alerts", "alert_episodes", "outbox", "version", "as_of", "facts", "tail", "moved"})
"""Attributes that do not follow from facts, registers and `as_of`; how facts are divided depends on history."""
_NOT_INTACT: Final = "the facts and the names that they refer to do not fit"
_NOT_READABLE: Final = (
    *(KeyError, ValueError, TypeError, AttributeError, ArithmeticError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)
_REPAIRS_AT_ONCE: Final = 500
_RACES: Final = 10
_LONGEST_REPAIR_MS: Final = 15 * MINUTE_MS
"""No wake is written for sooner, so that the roll that finds it finds what was repaired."""


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
    """An item that this release cannot read or cannot recompute, or whose tail is missing or damaged."""

    key: EntityKey
    reason: str


@dataclass(slots=True)
class Overdue:
    """An item that the roll should have changed."""

    key: EntityKey
    due_at: int
    """When a roll should have done it, epoch seconds."""
    because: str
    """What should have changed it."""
    repaired: bool = False
    problem: str = ""
    """As of `Differing`."""


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
        """Whether no item needs attention: what was repaired does not."""
        return not self.unreadable and all(item.repaired for item in self.to_repair)

    @property
    def to_repair(self) -> list[Differing | Overdue]:
        """What can be repaired."""
        return [*self.differing, *self.overdue]

    def add(self, other: "Report") -> None:
        """Adds the result for another part of the table."""
        self.items += other.items
        self.differing += other.differing
        self.unreadable += other.unreadable
        self.overdue += other.overdue


def audit(
    dynamodb: Any,
    tables: Tables,
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
    tables
        The tables' names.
    rules
        The processor's settings, on which the time of the next reminder depends.
    segments
        How many parts of the table to scan in parallel.
    overdue_seconds
        How late the roll may be before an item counts as overdue.
    report
        Called by the scanning threads with the number of items of each page.

    Raises
    ------
    ClientError, BotoCoreError
        When the table cannot be scanned.
    UserError
        When an item has a tail, and tails cannot be read.
    """
    now_ms = clock.now_ms()
    latest_ms = now_ms - overdue_seconds * SECOND_MS
    stopped = threading.Event()

    def scan(segment: int) -> Report:
        scanned = Report()
        for page in dynamodb.get_paginator("scan").paginate(
            TableName=tables.metrics, Segment=segment, TotalSegments=segments
        ):
            if stopped.is_set():
                break
            scanned.add(examine(with_tails(page["Items"], tables, now_ms), rules, latest_ms))
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


def examine(items: Sequence[Whole], rules: Rules, latest_ms: int) -> Report:
    """Compares items. One that a roll at `latest_ms` (epoch ms) or before should have changed is overdue."""
    found = Report(items=len(items))
    states = []
    for item in items:
        key = entity_key(item.head)
        if item.tail is None:
            found.unreadable.append(Unreadable(key, f"its facts are not complete: {item.problem}"))
            continue
        try:
            states.append(parse(item.head, item.tail))
        except _NOT_READABLE as error:
            found.unreadable.append(Unreadable(key, f"it cannot be read: {error!r}"))
    sound = []
    for state, after in zip(states, _recomputed(states, rules), strict=True):
        if isinstance(after, State):
            sound.append(state)
            if differences := _differences(state, after):
                found.differing.append(Differing(state.key, state.as_of, differences))
        else:
            found.unreadable.append(Unreadable(state.key, f"it cannot be recomputed: {after!r}"))
    found.overdue += [Overdue(state.key, at, because) for state, (at, because) in due.overdue(sound, latest_ms, rules)]
    return found


def _recomputed(states: Sequence[State], rules: Rules) -> list[State | BaseException]:
    """Returns each state as the processor would have written it at its own `as_of`, or the error that prevents it."""
    if not states:
        return []
    try:
        recomputed = due.computed_at(states, [state.as_of for state in states], rules)
        return [
            after if facts_are_intact(state) else damaged_facts(_NOT_INTACT)
            for after, state in zip(recomputed, states, strict=True)
        ]
    except _NOT_READABLE as error:
        if len(states) == 1:
            return [error]
        return [result for state in states for result in _recomputed([state], rules)]


def _differences(state: State, after: State) -> list[Difference]:
    expected = {**after.stored, "last_updated": _last_updated(state)}
    return [
        Difference(name, _shown(state.stored.get(name)), _shown(expected.get(name)))
        for name in sorted((state.stored.keys() | expected.keys()) - _REMEMBERED)
        if differs(state.stored.get(name), expected.get(name))
    ]


def _last_updated(state: State) -> AttributeValue:
    """Returns an item's `last_updated` as it is stored, or its `as_of` when that is no time or is later."""
    stored = state.stored.get("last_updated", {})
    try:
        at_ms = from_iso(stored["S"])
    except (KeyError, ValueError, TypeError):
        at_ms = None
    # The index sorts it as text, so it must also be written as the processor writes it.
    if at_ms is not None and at_ms <= state.as_of and stored["S"] == to_iso(at_ms):
        return stored
    return to_attribute(to_iso(state.as_of))


def _shown(attribute: AttributeValue | None) -> Any:
    if attribute is None:
        return None
    if "B" in attribute:
        return f"{len(bytes(attribute['B']))} bytes"
    return from_attribute(attribute)


def repair(
    found: Sequence[Differing | Overdue],
    tables: Tables,
    rules: Rules,
    *,
    report: Callable[[int], None] = lambda _items: None,
) -> None:
    """Rewrites items as of now, by the processor's core and conditional write; sets their `repaired` and `problem`.

    The write judges alerts, as every write does. New notifications stay in the outboxes; a later roll sends them.
    Before an item, wakes are written for all that will happen to it without an event: its own may have been lost.

    Parameters
    ----------
    found
        What `audit` has found.
    tables
        The tables' names; the processor's own client reads and writes them.
    rules
        The deployed processor's settings; with others alerts would be judged wrongly.
    report
        Called with the number of items that were processed.
    """
    if tables.state is None:
        raise ValueError("wakes cannot be written to an internal table that is not known")
    state_table = StateTable(tables.state)
    table = MetricsTable(tables.metrics, state_table)
    for part in chunks(found, _REPAIRS_AT_ONCE):
        keys = list(dict.fromkeys(item.key for item in part))
        problems = _rewrite(keys, table, state_table, rules)
        for item in part:
            item.problem = problems.get(item.key, "")
            item.repaired = not item.problem
        report(len(part))


def _rewrite(
    keys: Sequence[EntityKey], table: MetricsTable, state_table: StateTable, rules: Rules
) -> dict[EntityKey, str]:
    """Reads, plans and writes until no race is lost; returns by key why an item could not be rewritten."""
    problems: dict[EntityKey, str] = {}
    for attempt in range(_RACES):
        if attempt:
            back_off(attempt)
        now_ms = clock.now_ms()
        read = table.read(keys, now_ms, NO_DEADLINE)
        problems |= read.failed
        # Do not recreate an item that was deleted meanwhile.
        states = [state for state in read.states.values() if state.version]
        earliest_ms = now_ms + _LONGEST_REPAIR_MS
        planned = plan(states, Arrivals.none([state.key for state in states]), now_ms, earliest_ms, rules)
        writes = [_repairing(state, after, now_ms) for state, after in zip(states, planned.after, strict=True)]
        new = due.all_wakes([write.after for write in writes], now_ms, earliest_ms, rules)
        refused = state_table.put_wakes(new, NO_DEADLINE)
        problems |= {key: reason for wake, reason in refused.items() for key in wake.entities}
        writes = [write for write in writes if write.before.key not in problems]
        if not writes:
            return problems
        written = table.write(writes, NO_DEADLINE)
        problems |= {writes[position].before.key: reason for position, reason in written.failed.items()}
        keys = [writes[position].before.key for position in sorted(written.lost)]
        if not keys:
            return problems
    return problems | dict.fromkeys(keys, f"{_RACES} races in a row were lost to the processor; try again")


def _repairing(before: State, after: State, now_ms: int) -> Write:
    """Returns the write of an operator: it is made, and moves `last_updated`, also where nothing else differs."""
    version, as_of = before.version + 1, max(now_ms, before.as_of)
    when = {"version": version, "as_of": as_of, "last_updated": to_iso(as_of)}
    stored = after.stored | {name: to_attribute(value) for name, value in when.items()}
    return Write.of(before, replace(after, version=version, as_of=as_of, stored=stored))
