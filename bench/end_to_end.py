"""The real handler and the baseline before an endpoint that answers at once: calls, units, bytes, CPU and wall time.

Method. Both take in the same events from the same warm state: the processor in batches of 100, 1,000 and 6,800, the
baseline, whose cost an event does not depend on the batch, in deliveries of 100. In each round the baseline takes one
slice of the events and the processor all of them at each batch size, so that both are measured within seconds of each
other; CPU and wall time are medians over the rounds, ratios medians of the rounds' ratios. Calls, bytes and request
units are exact counts over all events. Wall time at 4 ms is measured with each call answered 4 ms late.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, Final

from bench.progress import Progress
from bench.rig import Rig, invoke, rig
from bench.store import Usage
from bench.worker import STATE_TABLE, TABLE, Worker
from bench.workload import BATCHES, LARGE, ROTATING, Population, Told, batches, named
from functions.model import ceil_div

EVENTS: Final = 6_800
_LATENCY: Final = 0.004
_SLICE: Final = 100
_WRITES: Final = ("BatchExecuteStatement", "TransactWriteItems", "PutItem")


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Measures 500 students in all ways; once 50,000, and once 500 of whom others are busy each day."""
    progress("end to end: 30 days of events")
    with rig(Population()) as made:
        events = made.workload.take(EVENTS)
        result = _compare(made, events, 1 if quick else 5, progress)
    progress("end to end: 50,000 students")
    large = _once(LARGE)
    progress("end to end: others are busy each day")
    return {"small": result, "large": large, "rotating": _once(ROTATING)}


def _once(population: Population) -> dict[str, Any]:
    """Counts and times of one run at each batch size."""
    with rig(population) as made:
        events = made.workload.take(EVENTS)
        return {
            str(size): {"entities_named": _named(events, size), **_per_1000(_take(made, events, size))}
            for size in BATCHES
        }


def _compare(made: Rig, events: list[Told], rounds: int, progress: Progress) -> dict[str, Any]:
    slices = batches(events, _SLICE)
    share = ceil_div(len(slices), rounds)
    plain: list[_Taken] = []
    ours: dict[int, list[_Taken]] = {size: [] for size in BATCHES}
    plain_late: list[_Taken] = []
    ours_late: dict[int, list[_Taken]] = {size: [] for size in BATCHES}
    for each in range(rounds):
        progress(f"end to end: round {each + 1} of {rounds}")
        plain.append(_baseline(made, slices[each * share : (each + 1) * share]))
        for size in BATCHES:
            ours[size].append(_take(made, events, size))
        made.endpoint.wait(_LATENCY)
        plain_late.append(_baseline(made, slices[each : each + 1]))
        for size in BATCHES:
            ours_late[size].append(_take(made, events[: max(size, 1_000)], size))
        made.endpoint.wait(0)
    counted = _sum(plain)
    result: dict[str, Any] = {
        "events": len(events),
        "rounds": rounds,
        "entities_named": {str(size): _named(events, size) for size in BATCHES},
        "baseline": _counts(counted) | _times(plain, plain_late),
    }
    for size in BATCHES:
        mine = ours[size]
        counts, base = _counts(mine[0]), result["baseline"]
        result[str(size)] = {
            **counts,
            **_times(mine, ours_late[size]),
            "ratio": {
                **{name: base[name] / counts[name] for name in counts if counts[name]},
                "cpu_ms": median(b.cpu / b.events / (m.cpu / m.events) for b, m in zip(plain, mine, strict=True)),
                "wall_ms": median(b.wall / b.events / (m.wall / m.events) for b, m in zip(plain, mine, strict=True)),
                "wall_ms_at_4_ms": median(
                    b.wall / b.events / (m.wall / m.events) for b, m in zip(plain_late, ours_late[size], strict=True)
                ),
            },
        }
    return result


@dataclass(frozen=True, slots=True)
class _Taken:
    """What taking in some events took."""

    events: int
    cpu: float
    wall: float
    peak_mb: float
    usage: Usage


def _take(made: Rig, events: list[Told], size: int) -> _Taken:
    """The processor takes in the events in batches, from the warm state."""
    made.endpoint.restore(TABLE, STATE_TABLE)
    return _deliver(made, made.handler, batches(events, size))


def _baseline(made: Rig, slices: list[Any]) -> _Taken:
    return _deliver(made, made.baseline, slices)


def _deliver(made: Rig, handler: Worker, parts: Iterable[Sequence[Told]]) -> _Taken:
    """A handler takes in these parts of the events, one delivery each."""
    deliveries = [list(part) for part in parts]
    made.endpoint.reset()
    costs = [invoke(handler, each) for each in deliveries]
    return _Taken(
        sum(map(len, deliveries)),
        sum(cost.cpu for cost in costs),
        sum(cost.wall for cost in costs),
        max(cost.peak_mb for cost in costs),
        made.endpoint.used(),
    )


def _sum(taken: list[_Taken]) -> _Taken:
    total = Usage()
    for each in taken:
        for operation, calls in each.usage.calls.items():
            total.calls[operation] = total.calls.get(operation, 0) + calls
        for name in Usage.__slots__:
            if name != "calls":
                setattr(total, name, getattr(total, name) + getattr(each.usage, name))
    return _Taken(
        sum(each.events for each in taken),
        sum(each.cpu for each in taken),
        sum(each.wall for each in taken),
        max(each.peak_mb for each in taken),
        total,
    )


def _counts(taken: _Taken) -> dict[str, float]:
    """Exact counts per 1,000 events."""
    usage, thousands = taken.usage, taken.events / 1_000
    beside_table = usage.state_write_units + usage.move_write_units
    return {
        "calls": usage.total_calls / thousands,
        "reads": sum(usage.calls.get(name, 0) for name in ("BatchGetItem", "GetItem")) / thousands,
        "writes": sum(usage.calls.get(name, 0) for name in _WRITES) / thousands,
        "wake_writes": usage.calls.get("BatchWriteItem", 0) / thousands,
        "put_events": usage.calls.get("PutEvents", 0) / thousands,
        "alerts": usage.entries / thousands,
        "items_written": usage.items_written / thousands,
        "read_units": usage.read_units / thousands,
        "write_units": usage.write_units / thousands,
        "table_write_units": (usage.write_units - usage.index_write_units - beside_table) / thousands,
        "index_write_units": usage.index_write_units / thousands,
        "state_write_units": usage.state_write_units / thousands,
        "move_write_units": usage.move_write_units / thousands,
        "kilobytes": (usage.bytes_received + usage.bytes_sent) / 1_000 / thousands,
    }


def _times(taken: list[_Taken], late: list[_Taken]) -> dict[str, Any]:
    cpu = [each.cpu / each.events * 1_000_000 for each in taken]
    return {
        "cpu_ms": median(cpu),
        "cpu_ms_rounds": cpu,
        "wall_ms": median(each.wall / each.events * 1_000_000 for each in taken),
        "wall_ms_at_4_ms": median(each.wall / each.events * 1_000_000 for each in late),
        "peak_mb": max(each.peak_mb for each in taken),
    }


def _named(events: list[Told], size: int) -> float:
    """How many entities a batch names, on average."""
    return mean(len({key for event in batch for key in named(event)}) for batch in batches(events, size))


def _per_1000(taken: _Taken) -> dict[str, float]:
    return {
        **_counts(taken),
        "cpu_ms": taken.cpu / taken.events * 1_000_000,
        "wall_ms": taken.wall / taken.events * 1_000_000,
        "peak_mb": taken.peak_mb,
    }
