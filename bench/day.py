"""A day of a million events through the stream's model and the real handler: events a second on one core, peak memory.

Method. The model of the event source mapping (`proof.mapping`) cuts an hour's records into batches and takes the
answers; the handler runs in a process of its own before the endpoint, whose memory and CPU are not counted. The table
is empty in the morning; 50,000 students and 10,000 tutors are named as everywhere else here.
"""

import json
from functools import partial
from typing import Any, Final

from bench.endpoint import Endpoint
from bench.progress import Progress
from bench.worker import HANDLER, Worker, environment
from bench.workload import DAY_MS, LARGE, NOW, Workload
from proof.mapping import EventSourceMapping, Stream

EVENTS: Final = 1_000_000
BATCH: Final = 6_000
_PARTS: Final = 24


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Events a second, CPU and memory over the day; in quick runs a tenth of it."""
    events = EVENTS // 10 if quick else EVENTS
    workload = Workload(LARGE)
    spacing = DAY_MS / events
    cpu = wall = peak_mb = 0.0
    invocations = taken = 0
    with Endpoint() as endpoint, Worker(HANDLER, environment(endpoint.url)) as handler:
        for hour in range(_PARTS):
            progress(f"a day: hour {hour + 1} of {_PARTS}, {taken:,} of {events:,} events")
            begin_ms = NOW + DAY_MS * hour // _PARTS
            told = workload.take(events // _PARTS, begin_ms, spacing)
            clock = told[-1].time_ms

            def invoke(event: dict[str, Any], now_ms: int = clock) -> Any:
                nonlocal cpu, wall, peak_mb, invocations
                cost = handler.invoke(json.dumps(event).encode(), now_ms)
                cpu, wall, peak_mb = cpu + cost.cpu, wall + cost.wall, cost.peak_mb
                invocations += 1
                return cost.answer

            # An hour is a stream of its own, so that the model does not keep what is done.
            stream = Stream(shards=1)
            mapping = EventSourceMapping(stream, invoke, now_ms=partial(int, clock), batch_size=BATCH)
            for event in told:
                stream.put(event.event_type, json.dumps(event.body).encode(), event.time_ms)
            mapping.drain()
            if mapping.on_failure:
                raise RuntimeError(f"the mapping gave up on {sum(map(len, mapping.on_failure.values()))} records")
            taken += len(told)
            usage = endpoint.used()  # each hour, so that the endpoint need not keep what is still to be counted
    return {
        "events": taken,
        "batch": BATCH,
        "invocations": invocations,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "events_a_cpu_second": taken / cpu,
        "events_a_second": taken / wall,
        "peak_mb": peak_mb,
        "calls": usage.total_calls,
        "write_units": usage.write_units,
    }
