"""Checks every item of the table against what it is made of, and rewrites on request those that differ.

Each item's public attributes and what its indexes need are recomputed from its own facts and registers at its own
`as_of`, by the processor's core. Alert states are no function of these (they remember what was told) and are judged by
the processor alone, so they are not compared; nor are facts and registers, which are what the rest is compared with,
nor a rollup's figures, which are made of other items: the next rollup corrects them.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from functions.aws import clock
from functions.aws.clients import back_off, chunks
from functions.aws.deadline import Deadline
from functions.aws.table import MetricsTable
from functions.entities import packing
from functions.entities.arrivals import Arrivals
from functions.entities.item import Attributes, AttributeValue, State, differs, from_attribute, parse, to_attribute
from functions.entities.plan import Rules, Write, plan
from functions.model import SECOND_MS, EntityKey, to_iso

OVERDUE_SECONDS: Final = 900
"""How long past its `due_at` the roll may leave an item: three of its default intervals."""

_REMEMBERED: Final = frozenset({"alerts", "alert_episodes", "outbox", "version", "as_of"})
"""Attributes that are no function of facts, registers and as_of."""
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
    """An attribute that is not what its item's facts and registers make of it."""

    attribute: str
    stored: Any
    """As a plain value; None where there is none."""
    recomputed: Any


@dataclass(slots=True)
class Differing:
    """An item with differences."""

    key: EntityKey
    as_of: int
    """Epoch ms, the moment for which it was recomputed."""
    differences: Sequence[Difference]
    repaired: bool = False
    problem: str = ""
    """Why it could not be repaired."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that this release cannot read, or not recompute."""

    key: EntityKey
    reason: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """An item at which the roll should have looked."""

    key: EntityKey
    due_at: int
    """Epoch seconds."""


@dataclass(slots=True)
class Report:
    """What an audit has found."""

    items: int = 0
    """How many were looked at."""
    differing: list[Differing] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    overdue: list[Overdue] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is left to look at."""
        return not self.unreadable and not self.overdue and all(each.repaired for each in self.differing)

    def take(self, other: "Report") -> None:
        """Adds what another part of the table has brought."""
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
    """Reads the whole table and compares each item with its recomputation; writes nothing.

    Parameters
    ----------
    dynamodb
        A client of boto3's kind.
    table
        Its name.
    rules
        The processor's settings: reminders are among what an item is due for.
    segments
        How many parts of the table to scan side by side.
    overdue_seconds
        From when on an item that is due counts as overdue.
    report
        Called with the number of items of each page, from the threads that scan.

    Raises
    ------
    ClientError, BotoCoreError
        When the table cannot be scanned.
    """
    latest_due = clock.now_ms() // SECOND_MS - overdue_seconds
    stopped = threading.Event()

    def scan(segment: int) -> Report:
        found = Report()
        for page in dynamodb.get_paginator("scan").paginate(TableName=table, Segment=segment, TotalSegments=segments):
            if stopped.is_set():
                break
            found.take(examine(page["Items"], rules, latest_due))
            report(len(page["Items"]))
        return found

    made = Report()
    with ThreadPoolExecutor(segments, thread_name_prefix="scan") as pool:
        try:
            for scanned in [pool.submit(scan, segment) for segment in range(segments)]:
                made.take(scanned.result())
        finally:
            stopped.set()  # so that the other segments end soon after an error or Ctrl-C
    made.differing.sort(key=lambda each: each.key)
    made.unreadable.sort(key=lambda each: each.key)
    made.overdue.sort(key=lambda each: each.key)
    return made


def examine(items: Sequence[Attributes], rules: Rules, latest_due: int) -> Report:
    """The findings among items as a scan gives them; due at or before `latest_due` (epoch seconds) is overdue."""
    found = Report(items=len(items))
    states = []
    for attributes in items:
        key = EntityKey(attributes["entity_type"]["S"], attributes["entity_id"]["S"])
        try:
            state = parse(attributes)
            due_at = from_attribute(attributes["due_at"]) if "due_at" in attributes else None
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
    """Each state as the processor would have written it at the state's own `as_of`, or why it cannot be."""
    if not states:
        return []
    try:
        planned = plan(states, Arrivals.none([state.key for state in states]), 0, rules).after
        return [
            after if _is_intact(state.facts) else packing.UnreadableFacts(_NOT_INTACT)
            for after, state in zip(planned, states, strict=True)
        ]
    except _NOT_READABLE as error:
        if len(states) == 1:
            return [error]
        return [each for state in states for each in _recomputed([state], rules)]


def _is_intact(facts: packing.Packed) -> bool:
    """Whether an item's facts are what packing them again gives."""
    try:
        again = packing.pack(packing.facts_of(facts), packing.hours_of(facts.folded))
    except packing.UnreadableFacts:
        return False
    return again.blob == facts.blob


def _differences(state: State, after: State) -> list[Difference]:
    ignored = _REMEMBERED
    if after.alerts != state.alerts:
        ignored |= _DUE  # which is then that of alerts judged anew
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
    """Rewrites these items as of now through the processor's core and its conditional write; `repaired` and `problem`
    of each say what became of it.

    Alerts are judged with it, as with every write; what there is to tell stays in the outboxes for the next roll.

    Parameters
    ----------
    differing
        From `audit`.
    table
        Its name; the processor's own client reads and writes it.
    rules
        The deployed processor's settings: others would judge alerts wrongly.
    report
        Called with the number of items that are through.
    """
    for part in chunks(differing, _REPAIRS_AT_ONCE):
        problems = _rewrite([each.key for each in part], MetricsTable(table), rules)
        for each in part:
            each.problem = problems.get(each.key, "")
            each.repaired = not each.problem
        report(len(part))


def _rewrite(keys: Sequence[EntityKey], table: MetricsTable, rules: Rules) -> dict[EntityKey, str]:
    """Reads, plans and writes until no race is lost; gives by key why an item could not be rewritten."""
    problems: dict[EntityKey, str] = {}
    for attempt in range(_RACES):
        if attempt:
            back_off(attempt)
        read = table.read(keys, _NO_DEADLINE)
        problems |= read.failed
        # An item that has gone meanwhile must not come back.
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
    """A write of what differs in nothing but when it was written, which the processor would not make."""
    version, as_of = state.version + 1, max(now_ms, state.as_of)
    when = {"version": version, "as_of": as_of, "last_updated": to_iso(as_of)}
    stored = state.stored | {name: to_attribute(value) for name, value in when.items()}
    return Write.of(state, replace(state, version=version, as_of=as_of, stored=stored))
