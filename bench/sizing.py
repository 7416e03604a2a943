"""What a function of a given memory sustains, and what it costs, computed from the CPU that was measured.

Method. Lambda gives a function CPU in proportion to its memory, one vCPU at 1,769 MB (Lambda developer guide,
"Configure Lambda function memory"), and one thread can use no more than one. A batch lasts for its CPU at that share,
and for the AWS calls that wait for each other at 4 ms each; calls of one kind go out eight at a time. A vCPU is taken
to be as fast as the machine that measured, which is why the durations are to be checked against one's own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.prices import PRICES
from functions.aws.parallel import PARALLEL_CALLS

MEMORY_MB: Final = (512, 1_024, 1_769)
_ONE_VCPU_MB: Final = 1_769
_CALL_MS: Final = 4


def rows(small: Mapping[str, Any], sizes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Of each batch size and memory: milliseconds a batch, events a second of one batch after the other, and dollars of
    Lambda a million events, x86_64."""
    for size in sizes:
        for memory in MEMORY_MB:
            batch_ms = _batch_ms(small[size], int(size), memory)
            batches = 1_000_000 / int(size)
            dollars = (
                batches * batch_ms / 1_000 * memory / 1_024 * PRICES["lambda_x86_64"].dollars
                + batches / 1_000_000 * PRICES["lambda_request"].dollars
            )
            events = int(size) / batch_ms * 1_000
            yield f"{int(size):,}", f"{memory:,} MB", f"{batch_ms:,.0f}", f"{events:,.0f}", f"{dollars:.3f}"


def _batch_ms(per_1000: Mapping[str, float], size: int, memory_mb: int) -> float:
    thousands = size / 1_000
    kinds = ("reads", "wake_writes", "writes", "put_events")
    rounds = sum(math.ceil(per_1000[kind] * thousands / PARALLEL_CALLS) for kind in kinds)
    # Who has something to tell is written before the others.
    rounds += per_1000["put_events"] > 0
    return per_1000["cpu_ms"] * thousands / min(1, memory_mb / _ONE_VCPU_MB) + rounds * _CALL_MS
