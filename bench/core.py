"""The core alone, without AWS: records to planned writes, step by step; merging; and against json with dicts.

Method. Steps are timed each by itself on the same input, CPU of the process with all its threads, the least of several
runs (what else the machine does only ever adds). States are those of a warm table, read back through the endpoint.
"""

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from cProfile import Profile
from pathlib import Path
from pstats import Stats
from statistics import median
from typing import Any, Final

from bench.peers import columns, plain
from bench.peers.stream import Metrics
from bench.progress import Progress
from bench.rig import rig
from bench.windows_core import NO_FACTS, Kept, Said, measured, said
from bench.worker import STATE_TABLE, TABLE
from bench.workload import BATCHES, DAY_MS, NOW, Population, Told, Workload, delivery
from functions.entities.arrivals import Arrivals, gather
from functions.entities.attribute_values import Attributes
from functions.entities.facts import SESSION
from functions.entities.item import State, parse
from functions.entities.plan import Rules, plan
from functions.entities.tails import NO_TAIL, Tail, entity_of, is_tail, parse_tail
from functions.events.decode import decode, read_records
from functions.model import EntityKey

Items = tuple[dict[EntityKey, Attributes], dict[EntityKey, Tail]]
"""What is stored: items, and the tails of those that have one."""

_TOLERANCE_MS: Final = 600_000
_RECORDS: Final = 10_000


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Steps at each batch size, the merge by entities and facts, and decode and aggregate against json with dicts."""
    progress("core: steps of a batch")
    with rig(Population()) as made:
        items = {_key(item): _bytes(item) for item in made.endpoint.items_of(TABLE)}
        stored = [_bytes(item) for item in made.endpoint.items_of(STATE_TABLE)]
        tails = {entity_of(item): parse_tail(item) for item in stored if is_tail(item)}
        events = made.workload.take(max(BATCHES))
    steps = {str(size): _steps(events[:size], (items, tails), 3 if quick else 9) for size in BATCHES}
    progress("core: merge by entities and facts")
    merges = [_merge(entities, facts, 3 if quick else 9) for entities in (10, 100, 1_000) for facts in (10, 100, 900)]
    progress("core: decode and aggregate against json with dicts")
    return {"steps": steps, "merge": merges, "aggregate": _aggregate(3 if quick else 9)}


def _least(count: int, call: Callable[[], Any]) -> float:
    """CPU milliseconds of the cheapest of `count` runs."""
    taken = []
    for _ in range(count):
        begun = time.process_time()
        call()
        taken.append((time.process_time() - begun) * 1_000)
    return min(taken)


def _steps(events: Sequence[Told], items: Items, count: int) -> dict[str, Any]:
    """CPU milliseconds of each step of a batch, and microseconds of all of them per record."""
    records = json.loads(delivery(events))["Records"]
    read = read_records(records)
    batch = decode(read, _TOLERANCE_MS)
    arrivals = gather(batch.events)
    states = _states(arrivals, items)
    now_ms = events[-1].time_ms
    steps: dict[str, Callable[[], Any]] = {
        "read records": lambda: read_records(records),
        "decode and validate": lambda: decode(read, _TOLERANCE_MS),
        "gather": lambda: gather(batch.events),
        "parse items": lambda: _states(arrivals, items),
        "plan": lambda: plan(states, arrivals, now_ms, now_ms, Rules()).wakes(Rules().rhythm),
    }
    taken = {name: _least(count, call) for name, call in steps.items()}
    return {
        "entities": len(states),
        "ms": taken,
        "us_per_record": sum(taken.values()) / len(events) * 1_000,
        "plan_by_module": _by_module(steps["plan"]),
    }


def _by_module(call: Callable[[], Any]) -> dict[str, float]:
    """Which modules a call's time is spent in, as shares, by cProfile: the time of builtins is their caller's.

    The profiler makes many small calls look dearer than they are.
    """
    profile = Profile()
    profile.runcall(call)
    spent: Counter[str] = Counter()
    for (path, _, _), (_, _, own, _, callers) in Stats(profile).stats.items():  # type: ignore[attr-defined]
        if path.startswith(("~", "<")):
            for (caller, _, _), (_, _, of_caller, _) in callers.items():
                spent[_module(caller)] += of_caller
        else:
            spent[_module(path)] += own
    total = spent.total()
    return {name: share / total for name, share in spent.most_common() if share > total / 100}


def _module(path: str) -> str:
    """A module of `functions` by its name, a library by its package's."""
    parts = Path(path).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    return Path(path).stem if "functions" in parts else "standard library"


def _states(arrivals: Arrivals, items: Items) -> list[State]:
    heads, tails = items
    return [parse(heads[key], tails.get(key, NO_TAIL)) if key in heads else State(key) for key in arrivals.keys]


def _merge(entities: int, facts: int, count: int) -> dict[str, float]:
    """One new fact merged into each entity's stored ones, and its windows measured: CPU milliseconds."""
    step = 29 * DAY_MS // facts
    kept = Kept()
    kept.take((_fact(entity, each, each * step) for entity in range(entities) for each in range(facts)), NOW)
    new = iter(range(facts, facts + count))

    def merge() -> None:
        each = next(new)
        kept.take([_fact(entity, each, 29 * DAY_MS + each) for entity in range(entities)], NOW)

    return {"entities": entities, "facts": facts, "cpu_ms": _least(count, merge)}


def _fact(entity: int, number: int, after_ms: int) -> Said:
    """A session of an entity, so long after the begin of a month."""
    return said(entity, SESSION, entity * 1_000_003 + number, NOW - 29 * DAY_MS - 1_000_000 + after_ms, 45_000)


def _aggregate(count: int) -> dict[str, dict[str, float]]:
    """10,000 records decoded and aggregated, nothing stored before, results equal: CPU, and ratios to json with dicts.

    `columns` does what json with dicts does, `core` merges and packs each entity's state besides.
    """
    events = Workload().take(_RECORDS)
    records = json.loads(delivery(events))["Records"]
    as_of = events[-1].time_ms

    def core() -> dict[str, Metrics]:
        arrivals = gather(decode(read_records(records), _TOLERANCE_MS).events)
        _, rows = measured([NO_FACTS] * len(arrivals.keys), arrivals.facts, as_of)
        return {
            key.entity_id: Metrics(0, *row)
            for key, row in zip(arrivals.keys, rows, strict=True)
            if key.entity_type in ("student", "tutor")
        }

    ways: dict[str, Callable[[], Any]] = {
        "dicts": lambda: plain.aggregate(records, as_of),
        "columns": lambda: columns.aggregate(decode(read_records(records), _TOLERANCE_MS).events, as_of),
        "core": core,
        "decode": lambda: decode(read_records(records), _TOLERANCE_MS),
    }
    expected = ways["dicts"]()
    for name in ("columns", "core"):
        if (found := ways[name]()) != expected:
            wrong = next(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
            raise AssertionError(f"{wrong}: {name} says {found.get(wrong)}, json with dicts {expected.get(wrong)}")
    taken = [{name: _least(1, way) for name, way in ways.items()} for _ in range(count)]
    return {
        "ms": {name: min(each[name] for each in taken) for name in ways},
        "ratio": {name: median(each["dicts"] / each[name] for each in taken) for name in ("columns", "core")},
    }


def _key(item: dict[str, dict[str, Any]]) -> EntityKey:
    return EntityKey(item["entity_type"]["S"], item["entity_id"]["S"])


def _bytes(item: dict[str, dict[str, Any]]) -> Attributes:
    """An item with its binary attributes as botocore gives them."""
    return {name: {"B": base64.b64decode(value["B"])} if "B" in value else value for name, value in item.items()}
