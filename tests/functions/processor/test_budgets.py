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

from bench.endpoint import Endpoint, Usage
from bench.workload import Population, Told, Workload, delivery, named
from functions.aws import clock
from functions.processor import handler
from proof.invocation import context, nothing_kept
from tests.helpers.deployment import ENVIRONMENT

TABLE: Final = ENVIRONMENT["DYNAMODB_TABLE_NAME"]
STATE_TABLE: Final = ENVIRONMENT["STATE_TABLE_NAME"]
POPULATION: Final = Population(history=3_000)


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
    publishes: int
    """PutEvents."""
    items_written: int
    """One an entity that changes, and one more where a notification was sent."""
    wakes_written: int
    """One a roll that must look at some of these entities."""
    read_units: float
    write_units: int
    """Of both tables and the indexes."""
    wake_units: int
    """Of them the internal table's."""
    body_bytes: int
    """Of all requests' and answers' bodies; headers vary with the SDK."""
    queries: int
    """Polars queries, eager operations included."""


BUDGETS: Final = {
    100: Budget(68, 1, 1, 3, 1, 71, 5, 69, 131, 5, 209_401, 5),
    1_000: Budget(268, 3, 1, 12, 3, 289, 5, 269, 534, 11, 641_002, 5),
    6_800: Budget(554, 6, 1, 26, 10, 643, 5, 555, 1_476, 20, 1_408_641, 5),
}
"""By records a batch."""


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

    def take(self, size: int) -> Budget:
        """What the first `size` events take as one batch, from the warm state."""
        self._endpoint.restore(TABLE, STATE_TABLE)
        self._endpoint.reset()
        self._queries = 0
        self.deliver(self.events[:size])
        usage = self._endpoint.used()
        assert usage.refused == 0
        assert set(usage.calls) <= {"BatchGetItem", "BatchWriteItem", "BatchExecuteStatement", "PutEvents"}
        return Budget(
            entities=len({key for event in self.events[:size] for key in named(event)}),
            reads=usage.calls["BatchGetItem"],
            wake_writes=usage.calls["BatchWriteItem"],
            writes=usage.calls["BatchExecuteStatement"],
            publishes=usage.calls.get("PutEvents", 0),
            items_written=usage.items_written,
            wakes_written=usage.wakes_written,
            read_units=usage.read_units,
            write_units=usage.write_units,
            wake_units=usage.state_write_units,
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
