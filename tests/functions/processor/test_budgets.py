"""What a batch may ask of AWS and of Polars, as exact budgets: counts that no machine's speed has a part in.

The real handler with real clients before the benchmark's endpoint, on the benchmark's events. A change that makes a
count smaller lowers its budget here; one that makes it larger has to say why.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import pytest
from polars import LazyFrame

from bench.endpoint import Endpoint
from bench.store import Usage
from bench.workload import Population, Told, Workload, delivery, named
from functions.aws import clock, table
from functions.processor import handler
from proof.invocation import context, nothing_kept
from tests.helpers.deployment import ENVIRONMENT

TABLE: Final = ENVIRONMENT["DYNAMODB_TABLE_NAME"]
STATE_TABLE: Final = ENVIRONMENT["STATE_TABLE_NAME"]
POPULATION: Final = Population(history=20_000)
"""Enough that students and tutors have tails, and that facts of some move within any batch."""


@dataclass(frozen=True)
class Budget:
    """What one batch may take."""

    entities: int
    """That the batch names: what the others depend on."""
    reads: int
    """BatchGetItem."""
    wake_writes: int
    """BatchWriteItem."""
    writes: int
    """BatchExecuteStatement."""
    transactions: int
    """TransactWriteItems, for the items whose facts move."""
    publishes: int
    """PutEvents."""
    items_written: int
    """One an entity that changes, and one more where a notification was sent."""
    moves: int
    """Of them those that are written with their tails."""
    wakes_written: int
    """One a roll that must look at some of these entities."""
    read_units: float
    write_units: int
    """Of both tables and the indexes."""
    wake_units: int
    """Of them those of wakes."""
    move_units: int
    """Of them those of moves, which cost double: items and tails."""
    index_units: int
    """Of them the index's: two for each health score that changes."""
    body_bytes: int
    """Of all requests' and answers' bodies; headers vary with the SDK."""
    queries: int
    """Polars queries, eager operations included."""


BUDGETS: Final = {
    100: Budget(84, 1, 1, 4, 1, 1, 86, 7, 4, 87, 231, 4, 84, 18, 311_512, 8),
    1_000: Budget(283, 3, 1, 12, 2, 3, 310, 21, 5, 287, 743, 11, 194, 119, 917_920, 8),
    6_800: Budget(548, 6, 1, 24, 4, 10, 640, 68, 5, 552, 1_882, 20, 568, 432, 1_896_282, 8),
}
"""By records a batch."""
_WRITES: Final = ("BatchWriteItem", "BatchExecuteStatement", "TransactWriteItems")


class Measured:
    """The handler before an endpoint, with a table warm from a month of events."""

    def __init__(self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        self._endpoint = endpoint
        self._now_ms = 0
        self._queries = 0
        monkeypatch.setattr(clock, "now_ms", lambda: self._now_ms)
        for name in ("collect", "_collect_eager"):  # every way of Polars to run a query
            monkeypatch.setattr(LazyFrame, name, self._counting(getattr(LazyFrame, name)))
        workload = Workload(POPULATION)
        history = workload.history()
        for start in range(0, len(history), 1_000):
            self.deliver(history[start : start + 1_000])
        endpoint.keep()
        self._monkeypatch, self._known = monkeypatch, table._remembered
        self.events = workload.take(6_800)

    def _counting(self, collect: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            self._queries += 1
            return collect(*arguments, **options)

        return counted

    def deliver(self, events: list[Told]) -> None:
        self._now_ms = events[-1].time_ms
        answer = handler.lambda_handler(json.loads(delivery(events)), context())
        assert answer == {"batchItemFailures": []}

    def forget(self) -> None:
        """Goes on in a process that has read and written nothing yet."""
        self._monkeypatch.setattr(table, "_remembered", table._Remembered())

    def take(self, size: int) -> Budget:
        """What the first `size` events take as one batch, from the warm state, in the process that has made it."""
        self.forget()
        table._remembered.keep(self._known._states.values())
        return self.take_in_a_new_process(size, forgets=False)

    def take_in_a_new_process(self, size: int, *, forgets: bool = True) -> Budget:
        """The same, in a process that must read tails first."""
        if forgets:
            self.forget()
        self._endpoint.restore(TABLE, STATE_TABLE)
        self._endpoint.reset()
        self._queries = 0
        self.deliver(self.events[:size])
        usage = self._endpoint.used()
        assert usage.refused == 0
        assert set(usage.calls) <= {"BatchGetItem", *_WRITES, "PutEvents"}
        return Budget(
            entities=len({key for event in self.events[:size] for key in named(event)}),
            reads=usage.calls["BatchGetItem"],
            wake_writes=usage.calls["BatchWriteItem"],
            writes=usage.calls["BatchExecuteStatement"],
            transactions=usage.calls.get("TransactWriteItems", 0),
            publishes=usage.calls.get("PutEvents", 0),
            items_written=usage.items_written,
            moves=usage.moves,
            wakes_written=usage.wakes_written,
            read_units=usage.read_units,
            write_units=usage.write_units,
            wake_units=usage.state_write_units,
            move_units=usage.move_write_units,
            index_units=usage.index_write_units,
            body_bytes=usage.body_bytes,
            queries=self._queries,
        )

    def again(self, size: int) -> Usage:
        """What the first `size` events take when they have just been taken in."""
        self._endpoint.reset()
        self.deliver(self.events[:size])
        return self._endpoint.used()


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    with Endpoint() as endpoint, pytest.MonkeyPatch.context() as monkeypatch, nothing_kept():
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint.url}.items():
            monkeypatch.setenv(name, value)
        yield Measured(endpoint, monkeypatch)


@pytest.mark.parametrize("size", BUDGETS)
def test_a_batch_takes_what_it_is_allowed(measured: Measured, size: int) -> None:
    assert asdict(measured.take(size)) == asdict(BUDGETS[size])


def test_a_batch_that_comes_again_costs_reads_alone(measured: Measured) -> None:
    once = measured.take(100)
    assert measured.again(100).calls == {"BatchGetItem": once.reads}


def test_a_new_process_reads_each_tail_once(measured: Measured) -> None:
    """It writes the same. What it reads beside the items are the tails of those that have one."""
    known, new = measured.take(100), measured.take_in_a_new_process(100)
    assert (known.reads, new.reads) == (1, 2)
    assert (known.read_units, new.read_units) == (87, 156)
    beside_reads = {"reads": 0, "read_units": 0, "body_bytes": 0}
    assert asdict(known) | beside_reads == asdict(new) | beside_reads
