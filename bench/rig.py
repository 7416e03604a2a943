"""What most measurements start from: an endpoint, both handlers before it, and tables warm with 30 days of events.

It prepares and hands over; it measures nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from bench import baseline
from bench.endpoint import Endpoint
from bench.worker import BASELINE, BASELINE_TABLE, HANDLER, Cost, Worker, environment
from bench.workload import DAY_MS, NOW, Population, Told, Workload, delivery

_MOST_AT_ONCE: Final = 6_800


@dataclass(frozen=True, slots=True)
class Rig:
    """An endpoint with warm tables, kept so that `endpoint.restore` leads back here, and the two handlers."""

    endpoint: Endpoint
    handler: Worker
    baseline: Worker
    workload: Workload


@contextmanager
def rig(population: Population, now_ms: int = NOW) -> Iterator[Rig]:
    """A warm rig: the processor has taken in the days before `now_ms` one by one, the baseline's items are computed."""
    workload = Workload(population)
    with Endpoint() as endpoint:
        variables = environment(endpoint.url)
        with Worker(HANDLER, variables) as handler, Worker(BASELINE, variables) as counting:
            history = workload.history(now_ms)
            _warm(handler, history)
            plain = baseline.warmed((event.event_type, event.body["payload"]) for event in history)
            endpoint.load(BASELINE_TABLE, [_attributes(item) for item in plain])
            endpoint.keep()
            endpoint.reset()
            yield Rig(endpoint, handler, counting, workload)


def _warm(handler: Worker, history: list[Told]) -> None:
    """Delivers a history, a day or at most an event of 6 MB at a time, each at its own moment."""
    for _, day in groupby(history, key=lambda event: (event.time_ms - history[-1].time_ms) // DAY_MS):
        events = list(day)
        for start in range(0, len(events), _MOST_AT_ONCE):
            invoke(handler, events[start : start + _MOST_AT_ONCE])


def invoke(handler: Worker, events: list[Told], now_ms: int | None = None) -> Cost:
    """One batch, at the moment of its last event unless told otherwise; raises when a record is reported as failed."""
    cost = handler.invoke(delivery(events), events[-1].time_ms if now_ms is None else now_ms)
    if failures := cost.answer["batchItemFailures"]:
        raise RuntimeError(f"{len(failures)} of {len(events)} records failed, the first: {failures[0]}")
    return cost


def _attributes(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _attribute(value) for name, value in item.items()}


def _attribute(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(value)}
        case list():
            return {"L": [_attribute(each) for each in value]}
    raise TypeError(f"the baseline stores no {type(value).__name__}")
