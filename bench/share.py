"""How much of a batch's CPU is the processor's own, and how much the AWS client's (botocore's).

Method. A batch is taken in and its calls recorded by the endpoint; then the table is put back as it was before the
batch, and the same calls are made again from the same process by nothing but the client (`bench.replay`). The own share
is what the batch took beyond that. A profiler would charge its own cost to whichever code makes more and smaller calls.
"""

import json
from statistics import median
from typing import Any

from bench.progress import Progress
from bench.rig import invoke, rig
from bench.worker import STATE_TABLE, TABLE
from bench.workload import BATCHES, Population, batches

_REPLAY = "bench.replay"


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """The own share at each batch size: the median over the batches."""
    result: dict[str, Any] = {}
    with rig(Population()) as made:
        for size, count in zip(BATCHES, (10, 3, 1) if quick else (40, 6, 2), strict=True):
            progress(f"own share of the CPU at batches of {size:,}")
            shares, whole, calls_alone = [], [], []
            for batch in batches(made.workload.take(size * count), size):
                made.endpoint.keep()
                made.endpoint.record()
                cost = invoke(made.handler, list(batch))
                calls = made.endpoint.recorded()
                made.endpoint.restore(TABLE, STATE_TABLE)
                made.handler.invoke(json.dumps({"calls": calls}).encode(), module=_REPLAY)
                again = made.handler.invoke(b"{}", module=_REPLAY)
                shares.append(1 - again.cpu / cost.cpu)
                whole.append(cost.cpu * 1_000)
                calls_alone.append(again.cpu * 1_000)
            result[str(size)] = {
                "own_share": median(shares),
                "cpu_ms": median(whole),
                "calls_cpu_ms": median(calls_alone),
                "own_cpu_ms": median(each - alone for each, alone in zip(whole, calls_alone, strict=True)),
            }
    return result
