"""The checks bite: variants of the processor that are broken the way others are do not survive the schedules.

Each variant is what a published design for this stack does, or one slip of the pen in this one.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from functions.processor import absorb, facts, handler, process, publish, store
from functions.processor.arrivals import Arrivals, gather
from functions.processor.clients import client
from functions.processor.deadline import Deadline
from functions.processor.facts import Fact
from functions.processor.item import attributes_of
from functions.processor.model import Event
from functions.processor.plan import Write
from local.model import schedules
from local.model.world import Violation

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
    def write(self: store.MetricsTable, writes: Sequence[Write], _: Deadline) -> store.Written:
        dynamodb = client("dynamodb")
        for each in writes:
            key = each.after.key
            keys = [{"entity_type": {"S": key.entity_type}, "entity_id": {"S": key.entity_id}}]
            found = dynamodb.batch_get_item(RequestItems={self._name: {"Keys": keys}})["Responses"][self._name]
            before = replace(each.before, version=1 if found else 0, stored=found[0] if found else {})
            dynamodb.batch_execute_statement(Statements=[self._statement(Write.of(before, each.after))])
        return store.Written()

    monkeypatch.setattr(store.MetricsTable, "write", write)
    assert caught()


def test_a_missing_outbox_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_outbox(*arguments: Any) -> Any:
        attributes = attributes_of(*arguments)
        attributes.pop("outbox", None)
        return attributes

    monkeypatch.setattr("functions.processor.plan.attributes_of", without_outbox)
    assert caught()


def test_the_latest_instead_of_the_earliest_time_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def latest(one: Fact, other: Fact) -> Fact:
        return facts.join(one, other)._replace(time=max(one.time, other.time))

    monkeypatch.setattr(absorb, "join", latest)
    assert caught()


def test_ignoring_the_count_of_failed_entries_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trusting(publish.AlertBus):
        def _send(self, notifications: Sequence[str], deadline: Deadline) -> dict[str, str]:
            super()._send(notifications, deadline)
            return {detail["alert_id"]: detail["alert_type"] for detail in map(json.loads, notifications)}

    monkeypatch.setattr(publish, "_ATTEMPTS", 1)
    monkeypatch.setattr(process, "AlertBus", Trusting)
    assert caught()


def test_a_swallowed_exception_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    run = process.Processor.run

    def swallowing(self: process.Processor, arrivals: Arrivals, deadline: Deadline) -> process.Outcome:
        outcome = run(self, arrivals, deadline)
        outcome.failed.clear()
        return outcome

    monkeypatch.setattr(process.Processor, "run", swallowing)
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
    def counted(self: absorb.EntityFacts, arrived: Sequence[absorb.Arrived]) -> None:
        take(self, [(record, fact._replace(id=next(numbers))) for record, fact in arrived])

    take, numbers = absorb.EntityFacts.take, count(1)
    monkeypatch.setattr(absorb.EntityFacts, "take", counted)
    assert caught()
