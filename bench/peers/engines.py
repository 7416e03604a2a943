"""The engines: each takes the batches in order, and gives after each the metrics of the entities that it named.

CPU is that of the process with all its threads; handing over a batch in the engine's own form (Python tuples, Arrow) is
not counted for any of them, the metrics as Python tuples are for all.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

import polars as pl

from bench.peers.in_memory import ARRIVING, InMemory
from bench.peers.stream import Batch, Metrics, Touch
from bench.peers.windows import Windows
from bench.windows_core import Kept, Said, said
from bench.workload import DAY_MS


@dataclass(slots=True)
class Answers:
    """What an engine gave and took, batch by batch."""

    metrics: list[list[Metrics]] = field(default_factory=list)
    """Sorted by entity."""
    cpu: list[float] = field(default_factory=list)
    """Seconds."""


Engine = Callable[[Sequence[Batch]], Answers]


def core(batches: Sequence[Batch]) -> Answers:
    """The processor's core from decoded events to metrics and stored form: a batch unpacks and packs what it names."""
    kept = Kept()

    def take(given: Sequence[Said], as_of: int) -> list[Metrics]:
        entities, rows = kept.take(given, as_of)
        return [Metrics(entity, *row) for entity, row in zip(entities, rows, strict=True)]

    return _each([([said(*touch) for touch in batch.touches], batch.as_of) for batch in batches], take)


def in_memory(batches: Sequence[Batch]) -> Answers:
    """The processor's windows over facts kept in memory: nothing is unpacked and packed, as in the engines below."""
    kept = InMemory()

    def take(arriving: pl.DataFrame, as_of: int) -> list[Metrics]:
        return list(map(Metrics._make, kept.take(arriving, as_of)))

    return _each([(_frame(batch.touches), batch.as_of) for batch in batches], take)


def python_dicts(batches: Sequence[Batch]) -> Answers:
    """Plain Python: one `Windows` an entity."""
    kept: dict[int, Windows] = {}

    def take(batch: Batch, as_of: int) -> list[Metrics]:
        named = {}
        for touch in batch.touches:
            windows = kept.get(touch.entity)
            if windows is None:
                windows = kept[touch.entity] = Windows(touch.entity)
            windows.add(touch)
            named[touch.entity] = windows
        return [windows.measure(as_of) for windows in named.values()]

    return _each([(batch, batch.as_of) for batch in batches], take)


def duckdb_sql(batches: Sequence[Batch]) -> Answers:
    """DuckDB: a log of what arrived; of the named entities things are merged and windows counted in one query."""
    import duckdb

    database = duckdb.connect()
    database.execute("SET threads = 1")  # more only adds CPU at these sizes
    database.execute("CREATE TABLE log (entity UINTEGER, kind UTINYINT, id UBIGINT, time BIGINT, rating UINTEGER)")
    purged = batches[0].as_of

    def take(arrow: "_Arrow", as_of: int) -> list[Metrics]:
        nonlocal purged
        database.register("arriving", arrow)
        database.execute("INSERT INTO log SELECT * FROM arriving")
        if as_of - purged > DAY_MS:
            database.execute("DELETE FROM log WHERE time <= ?", [as_of - 32 * DAY_MS])
            purged = as_of
        return list(map(Metrics._make, database.execute(_WINDOWS, {"as_of": as_of}).fetchall()))

    return _each([(_Arrow(_frame(batch.touches)), batch.as_of) for batch in batches], take)


_WINDOWS: Final = f"""
    WITH things AS (
        SELECT entity, kind, id, $as_of - min(time) AS age,
               arg_max(rating, (time, rating)) FILTER (rating IS NOT NULL) AS rating
        FROM log SEMI JOIN arriving USING (entity)
        GROUP BY entity, kind, id
    )
    SELECT entity,
           count(*) FILTER (kind = 0 AND age < {7 * DAY_MS}),
           count(*) FILTER (kind = 0 AND age < {14 * DAY_MS}),
           count(*) FILTER (kind = 0 AND age < {30 * DAY_MS}),
           count(*) FILTER (kind = 1 AND age < {7 * DAY_MS}),
           count(*) FILTER (kind = 1 AND age < {14 * DAY_MS}),
           coalesce(round_even(avg(rating) FILTER (age < {30 * DAY_MS}), 0), 0)::BIGINT,
           count(rating) FILTER (age < {30 * DAY_MS})
    FROM things GROUP BY entity
"""  # noqa: S608 - all of it is ours


def bytewax_flow(batches: Sequence[Batch]) -> Answers:
    """Bytewax: a keyed stateful operator that gets a micro-batch at a time and keeps one `Windows` a key."""
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
    from bytewax.outputs import DynamicSink, StatelessSinkPartition
    from bytewax.testing import run_main

    items = [[(str(touch.entity), (touch, batch.as_of)) for touch in batch.touches] for batch in batches]
    polled: list[float] = []
    answers = Answers()

    class Partition(StatefulSourcePartition[Any, int]):
        def next_batch(self) -> Iterable[Any]:
            polled.append(time.process_time())
            if len(polled) > len(items):
                raise StopIteration
            answers.metrics.append([])
            return items[len(polled) - 1]

        def snapshot(self) -> int:
            return len(polled)

    class Source(FixedPartitionedSource[Any, int]):
        def list_parts(self) -> list[str]:
            return ["all"]

        def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Partition:  # noqa: ARG002
            return Partition()

    class Kept(op.StatefulBatchLogic[Any, Metrics, Windows]):
        def __init__(self) -> None:
            self._windows: Windows | None = None

        def on_batch(self, values: list[tuple[Touch, int]]) -> tuple[Iterable[Metrics], bool]:
            windows = self._windows
            if windows is None:
                windows = self._windows = Windows(values[0][0].entity)
            for touch, _ in values:
                windows.add(touch)
            return (windows.measure(values[0][1]),), False

        def snapshot(self) -> Windows | None:
            return self._windows

    class Writer(StatelessSinkPartition[Any]):
        def write_batch(self, items: list[tuple[str, Metrics]]) -> None:
            answers.metrics[-1].extend(metrics for _, metrics in items)

    class Sink(DynamicSink[Any]):
        def build(self, step_id: str, worker_index: int, worker_count: int) -> Writer:  # noqa: ARG002
            return Writer()

    flow = Dataflow("windows")
    stream = op.input("batches", flow, Source())
    measured = op.stateful_batch("windows", stream, lambda _: Kept())
    op.output("metrics", measured, Sink())
    run_main(flow, epoch_interval=timedelta(days=1))  # nothing is snapshotted while it runs
    answers.cpu = [after - before for before, after in pairwise(polled)]
    answers.metrics = [sorted(each) for each in answers.metrics]
    return answers


ENGINES: Final[dict[str, Engine]] = {
    "core": core,
    "in memory": in_memory,
    "python": python_dicts,
    "bytewax": bytewax_flow,
    "duckdb": duckdb_sql,
}


def _each(given: Sequence[tuple[Any, int]], take: Callable[[Any, int], list[Metrics]]) -> Answers:
    answers = Answers()
    for batch, as_of in given:
        begun = time.process_time()
        metrics = take(batch, as_of)
        answers.cpu.append(time.process_time() - begun)
        answers.metrics.append(sorted(metrics))
    return answers


def _frame(touches: Sequence[Touch]) -> pl.DataFrame:
    return pl.DataFrame(touches, schema=ARRIVING, orient="row")


class _Arrow:
    """A frame that DuckDB reads through the Arrow C stream interface, without pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)
