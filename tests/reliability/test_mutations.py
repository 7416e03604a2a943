"""The checks bite: variants of the processor that are broken the way others are do not survive the schedules.

Each variant is what a published design for this stack does, or one slip of the pen in this one.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import polars as pl
import pytest

from functions.aws import bus, config, state_table, table, update
from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.entities import absorb, facts, folding, plan, registers, scanned_item, tails, totals, wakes
from functions.entities.alerts import AlertRules, Alerts, Notification
from functions.entities.arrivals import Arrivals, gather
from functions.entities.attribute_values import Attributes
from functions.entities.fact_columns import FactColumns
from functions.entities.facts import CALL, SESSION, Fact, NewFact
from functions.entities.item import attributes_of
from functions.entities.plan import Write
from functions.entities.registers import FirstSession
from functions.entities.scanned_item import ScannedItem
from functions.entities.totals import Totals
from functions.entities.wakes import Wake
from functions.model import EntityKey, Event
from functions.processor import handler, roll
from functions.rollup import handler as rollup
from functions.rollup import scan, sums
from functions.rollup.sums import KEY
from proof import enumeration, schedules
from proof.stored import Violation

MOST_SEEDS = 60
ROLL = "get_item"
"""The first call of a roll, which no other function makes."""


@pytest.fixture(autouse=True)
def calls_of_the_variant() -> Iterator[None]:
    """A variant may make other calls than the processor itself."""
    for cache in (enumeration.calls, enumeration.folding_calls):
        cache.cache_clear()
    yield
    for cache in (enumeration.calls, enumeration.folding_calls):
        cache.cache_clear()


def caught() -> str:
    """What the first schedule that notices the variant says; nothing when none does."""
    for seed in range(MOST_SEEDS):
        try:
            schedules.run(random.Random(seed), steps=25)
        except Violation as violation:
            return str(violation)
    return ""


def caught_by_enumeration(begin: str = "batch_get_item") -> str:
    """What the enumeration of faults, from the first call of an operation on, says of the first that does harm; nothing
    when none does."""
    first = enumeration.calls().index(begin)
    for index, kind in enumeration.cases():
        if index < first:
            continue
        try:
            enumeration.run(index, kind)
        except Violation as violation:
            return str(violation)
    return ""


def caught_as_a_roll_comes() -> str:
    """What is said when a roll comes at its moment before one of the calls of a delivery."""
    for index in range(enumeration.calls().index(ROLL)):
        try:
            enumeration.let_a_roll_come(index)
        except Violation as violation:
            return str(violation)
    return ""


def caught_as_a_move_comes(*, warm: bool) -> str:
    """What is said when another process moves facts before one of the calls, where processes remember or do not."""
    for index in range(len(enumeration.calls(warm=warm))):
        try:
            enumeration.let_a_move_come(index, warm=warm)
        except Violation as violation:
            return str(violation)
    return ""


def caught_as_a_move_comes_to_a_rollup() -> str:
    """What is said when the facts that a rollup counts move before one of its calls."""
    for index in range(enumeration.rollup_calls()):
        try:
            enumeration.let_a_move_come_to_a_rollup(index)
        except Violation as violation:
            return str(violation)
    return ""


def caught_as_tails_fold() -> str:
    """What is said when a call fails while tails fold."""
    for case in enumeration.folding_cases():
        try:
            enumeration.run_fold(*case)
        except Violation as violation:
            return str(violation)
    return ""


def test_the_processor_itself_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what `tests/reliability/test_enumeration.py` does not run anyway."""
    monkeypatch.setattr(f"{__name__}.MOST_SEEDS", 5)
    assert not caught()


def test_unconditional_writes_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: table.MetricsTable, writes: Sequence[Write], _: Deadline) -> table.Written:
        dynamodb = client("dynamodb")
        for each in writes:
            key = each.after.key
            keys = [{"entity_type": {"S": key.entity_type}, "entity_id": {"S": key.entity_id}}]
            found = dynamodb.batch_get_item(RequestItems={self._name: {"Keys": keys}})["Responses"][self._name]
            before = replace(each.before, version=1 if found else 0, stored=found[0] if found else {})
            dynamodb.batch_execute_statement(Statements=[self._statement(Write.of(before, each.after))])
        return table.Written()

    monkeypatch.setattr(table.MetricsTable, "write", write)
    assert caught()


def test_a_missing_outbox_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_outbox(*arguments: Any, **named: Any) -> Any:
        attributes = attributes_of(*arguments, **named)
        attributes.pop("outbox", None)
        return attributes

    monkeypatch.setattr("functions.entities.plan.attributes_of", without_outbox)
    assert caught()


def test_the_latest_instead_of_the_earliest_time_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def latest(one: Fact, other: Fact) -> Fact:
        return facts.join(one, other)._replace(time=max(one.time, other.time))

    monkeypatch.setattr(absorb, "join", latest)
    assert caught()


def test_ignoring_the_count_of_failed_entries_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trusting(bus.AlertBus):
        def _send(self, notifications: Sequence[Notification], deadline: Deadline) -> dict[str, str]:
            super()._send(notifications, deadline)
            return {each.alert_id: each.alert_type for each in notifications}

    monkeypatch.setattr(bus, "_ATTEMPTS", 1)
    monkeypatch.setattr(update, "AlertBus", Trusting)
    assert caught()


def test_a_swallowed_exception_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    run = update.Processor.run

    def swallowing(self: update.Processor, arrivals: Arrivals, deadline: Deadline) -> update.Outcome:
        outcome = run(self, arrivals, deadline)
        outcome.failed.clear()
        return outcome

    monkeypatch.setattr(update.Processor, "run", swallowing)
    assert caught()


def test_a_watermark_instead_of_a_merge_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_order(events: Iterable[Event]) -> Arrivals:
        watermark, taken = -1, []
        for event in events:
            if event.time_ms >= watermark:
                watermark = event.time_ms
                taken.append(event)
        return gather(taken)

    monkeypatch.setattr(handler, "gather", in_order)
    assert caught()


def test_a_counter_instead_of_facts_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(
        stored: Sequence[absorb.Stored], arriving: Mapping[int, Sequence[absorb.Arrived]], *rest: Any
    ) -> absorb.Merged:
        anew = {
            entity: [(record, fact._replace(id=next(numbers))) for record, fact in arrived]
            for entity, arrived in arriving.items()
        }
        return merge(stored, anew, *rest)

    merge, numbers = absorb.absorb, count(1)
    monkeypatch.setattr(plan, "absorb", counted)
    assert caught()


def test_sessions_summed_over_items_instead_of_distinct_ones_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def summed(copies: pl.LazyFrame, as_of: int) -> pl.LazyFrame:
        each_its_own = copies.drop("id").with_row_index("id").with_columns(pl.col("id").cast(pl.UInt64))
        return daily(each_its_own, as_of)

    daily = sums.daily
    monkeypatch.setattr(sums, "daily", summed)
    assert caught()


def test_partitions_by_time_instead_of_identity_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partial sums of what is not disjoint: start and completion of a session may be in two partitions."""

    def daily_of_halves(copies: pl.LazyFrame, as_of: int) -> pl.LazyFrame:
        halves = [copies.filter(pl.col("time") % 2 == half) for half in (0, 1)]
        return pl.concat([daily(half, as_of) for half in halves])

    daily = sums.daily
    monkeypatch.setattr(sums, "daily", daily_of_halves)
    assert caught()


def test_figures_that_are_lost_when_the_processor_writes_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_new(_: Totals | None, arrived: Totals | None) -> Totals | None:
        return arrived

    monkeypatch.setattr(totals, "newest", only_new)
    assert caught()


def test_figures_that_are_not_put_back_to_zero_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_what_is_left(found: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        nothing = (pl.col("sessions_30d").fill_null(0) == 0) & (pl.col("first_sessions_30d") == 0)
        stored = known.filter(pl.col("first_sessions_30d").is_not_null())
        return changed(found, known).join(stored.join(found.filter(nothing), on=KEY), on=KEY, how="anti")

    changed = sums.changed
    monkeypatch.setattr(sums, "changed", of_what_is_left)
    assert caught()


def test_a_first_session_that_stays_as_it_was_first_told_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def stays(known: FirstSession, other: FirstSession) -> FirstSession:
        return known if known.session == other.session else first(known, other)

    first = registers.first
    monkeypatch.setattr(registers, "first", stays)
    assert caught()


# -- tails ------------------------------------------------------------------------------------------------------------


def test_a_move_that_writes_the_tail_first_and_the_head_without_condition_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def move(self: table.MetricsTable, numbered: Sequence[tuple[int, Write]], *_: Any) -> table.Written:
        dynamodb = client("dynamodb")
        for write in dict(numbered).values():
            head, tail = self._actions(write)
            dynamodb.transact_write_items(TransactItems=[tail])
            anew = {name: head["Put"][name] for name in ("TableName", "Item")}
            dynamodb.transact_write_items(TransactItems=[{"Put": anew}])
        return table.Written()

    monkeypatch.setattr(table.MetricsTable, "_move", move)
    assert caught()
    assert caught_as_a_move_comes(warm=False)


def test_a_head_that_moves_without_condition_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def actions(self: table.MetricsTable, write: Write) -> list[dict[str, Any]]:
        head, tail = conditional(self, write)
        return [{"Put": {name: head["Put"][name] for name in ("TableName", "Item")}}, tail]

    conditional = table.MetricsTable._actions
    monkeypatch.setattr(table.MetricsTable, "_actions", actions)
    assert caught()
    assert caught_as_a_move_comes(warm=False)


def test_a_remembered_tail_of_whatever_generation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_tail(self: table._Remembered, key: EntityKey, generation: int) -> tails.Tail | None:
        known = self._states.get(key)
        return known.tail._replace(generation=generation) if known and known.tail.generation else None

    monkeypatch.setattr(table._Remembered, "tail", any_tail)
    assert caught()
    assert caught_as_a_move_comes(warm=True)


def test_a_rollup_that_reads_tails_before_heads_and_ignores_generations_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A head's version guards what the processor writes. The generation alone guards what a rollup reads."""
    named: dict[EntityKey, int] = {}

    def noted(attributes: Attributes) -> ScannedItem:
        item = parse_scanned(attributes)
        named[item.key] = item.tail_generation
        return item

    def tails_first(*arguments: Any) -> scan.Scanned:
        early = state_table.StateTable(config.config().state_table_name).read_tails(TAUGHT, arguments[2])

        class Early(state_table.StateTable):
            def read_tails(self, keys: Sequence[EntityKey], deadline: Deadline) -> state_table.Tails:
                found = {key: early.tails.get(key, tails.NO_TAIL)._replace(generation=named[key]) for key in keys}
                return state_table.Tails(found)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scan, "StateTable", Early)
            return scanned(*arguments)

    parse_scanned, scanned = scanned_item.parse_scanned, scan.scan
    monkeypatch.setattr(scan, "parse_scanned", noted)
    monkeypatch.setattr(rollup, "scan", tails_first)
    assert caught_as_a_move_comes_to_a_rollup()


TAUGHT = [EntityKey("student", "stu_1"), EntityKey("student", "stu_3"), EntityKey("tutor", "tut_1")]


def test_a_fact_that_is_moved_and_stays_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(recent: FactColumns, *rest: Any) -> tuple[FactColumns, tails.Tail]:
        _, tail = move(recent, *rest)
        return recent, tail

    move = tails.move
    monkeypatch.setattr(absorb, "move", copy)
    assert caught()


def test_a_row_that_is_folded_while_it_is_still_in_the_head_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is moved leaves the head, but where the tail is folded with it."""

    def move_and_fold(recent: FactColumns, tail: tails.Tail, *rest: Any) -> tuple[FactColumns, tails.Tail]:
        staying, after = move(recent, tail, *rest)
        return (recent if after.folded_before != tail.folded_before else staying), after

    move = tails.move
    monkeypatch.setattr(absorb, "move", move_and_fold)
    assert caught_as_tails_fold()


def test_a_forgotten_edge_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folded things that are told of again would be new ones."""

    def edgeless(stored: FactColumns) -> tuple[FactColumns, int]:
        facts, _ = fold(stored)
        return facts, 1

    fold = folding.fold
    monkeypatch.setattr(tails, "fold", edgeless)
    assert caught_as_tails_fold()


# -- wakes ------------------------------------------------------------------------------------------------------------


def test_wakes_that_are_written_after_the_items_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def items_first(self: update._Commit) -> None:
        monkeypatch.setattr(update._Commit, "_write_wakes", lambda _: None)
        try:
            run(self)
        finally:
            monkeypatch.setattr(update._Commit, "_write_wakes", write_wakes)
        write_wakes(self)

    run, write_wakes = update._Commit.run, update._Commit._write_wakes
    monkeypatch.setattr(update._Commit, "run", items_first)
    assert caught()
    assert caught_by_enumeration()


def test_items_that_are_written_though_their_wakes_were_refused_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeful(self: state_table.StateTable, new: Sequence[Wake], deadline: Deadline) -> dict[Wake, str]:
        put_wakes(self, new, deadline)
        return {}

    put_wakes = state_table.StateTable.put_wakes
    monkeypatch.setattr(state_table.StateTable, "put_wakes", hopeful)
    assert caught()
    assert caught_by_enumeration()


@pytest.mark.parametrize("kind", [SESSION, CALL])
def test_a_wake_for_each_window_but_the_last_is_caught(monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    windows = {**wakes._WINDOWS, kind: wakes._WINDOWS[kind][:-1]}
    monkeypatch.setattr(wakes, "_WINDOWS", windows)
    assert caught()


def test_an_earlier_time_that_wakes_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_unknown(news: Iterable[NewFact], as_of: int) -> Iterable[int]:
        return of_facts([each for each in news if each.known is None], as_of)

    of_facts = wakes.of_facts
    monkeypatch.setattr(wakes, "of_facts", of_unknown)
    assert caught()


def test_a_report_that_wakes_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakes, "of_report", lambda *_: iter(()))
    assert caught()


def test_an_outbox_that_wakes_nobody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_reminders(before: Alerts, after: Alerts, rules: AlertRules, now_ms: int) -> Iterable[int]:
        return of_alerts(before._replace(outbox=()), after._replace(outbox=()), rules, now_ms)

    of_alerts = wakes.of_alerts
    monkeypatch.setattr(wakes, "of_alerts", of_reminders)
    assert caught_by_enumeration()


def test_a_roll_that_deletes_wakes_before_items_are_written_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete_first(group: Sequence[Wake], progress: roll._Progress, deadline: Deadline) -> update.Outcome:
        state_table.StateTable(config.config().state_table_name).delete_wakes(group, deadline)
        return bring_up_to_date(group, progress, deadline)

    bring_up_to_date = roll._bring_up_to_date
    monkeypatch.setattr(roll, "_bring_up_to_date", delete_first)
    assert caught_by_enumeration(begin=ROLL)


def test_a_roll_that_does_not_wake_again_what_failed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def done(group: Any, outcome: update.Outcome, *rest: Any) -> None:
        finish(group, update.Outcome(), *rest)

    finish = roll._finish
    monkeypatch.setattr(roll, "_finish", done)
    assert caught_by_enumeration(begin=ROLL)


def test_a_wake_for_a_moment_at_which_the_process_may_still_run_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(states: Any, arrivals: Any, now_ms: int, _: int, *rest: Any) -> Any:
        return planned(states, arrivals, now_ms, now_ms, *rest)

    planned = plan.plan
    monkeypatch.setattr(update, "plan", at_once)
    assert caught_as_a_roll_comes()


def test_a_roll_that_reads_fewer_lanes_than_are_written_to_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_table.StateTable, "lanes_ever", lambda *_: 2)
    assert caught()
