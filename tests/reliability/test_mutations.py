"""The checks bite: variants of the processor that are broken the way others are do not survive the schedules.

Each variant is what a published design for this stack does, or one slip of the pen in this one.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import polars as pl
import pytest

from functions.aws import bus, table, update
from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.entities import absorb, facts, plan, registers, totals
from functions.entities.alerts import Notification
from functions.entities.arrivals import Arrivals, gather
from functions.entities.fact_columns import FactColumns
from functions.entities.facts import Fact
from functions.entities.item import attributes_of
from functions.entities.plan import Write
from functions.entities.registers import FirstSession
from functions.entities.totals import Totals
from functions.model import Event
from functions.processor import handler
from functions.rollup import sums
from functions.rollup.sums import KEY
from proof import schedules
from proof.world import Violation

MOST_SEEDS = 60


def caught() -> str:
    """What the first schedule that notices the variant says; nothing when none does."""
    for seed in range(MOST_SEEDS):
        try:
            schedules.run(random.Random(seed), steps=25)
        except Violation as violation:
            return str(violation)
    return ""


def test_the_processor_itself_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
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
    def without_outbox(*arguments: Any) -> Any:
        attributes = attributes_of(*arguments)
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
        stored: Sequence[FactColumns],
        folded_before: Mapping[int, int],
        arriving: Mapping[int, Sequence[absorb.Arrived]],
        as_of: Sequence[int],
    ) -> absorb.Merged:
        anew = {
            entity: [(record, fact._replace(id=next(numbers))) for record, fact in arrived]
            for entity, arrived in arriving.items()
        }
        return merge(stored, folded_before, anew, as_of)

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
