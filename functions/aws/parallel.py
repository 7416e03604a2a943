"""Calls side by side: lists in parts, and one call for each part on a few threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Final, TypeVar

PARALLEL_CALLS: Final = 8
"""How many calls run at the same time; also the size of each client's connection pool."""

A = TypeVar("A")
R = TypeVar("R")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PARALLEL_CALLS, thread_name_prefix="aws")


def in_parallel(call: Callable[[A], R], arguments: Sequence[A]) -> list[R]:
    """Call `call` with each argument, side by side, and return the results in the arguments' order.

    A single argument needs no thread. When a call raises, this raises too, once all calls are done: no call goes on
    after its caller has given up.
    """
    if len(arguments) <= 1:
        return [call(argument) for argument in arguments]
    running = [_pool().submit(call, argument) for argument in arguments]
    wait(running)
    return [future.result() for future in running]


def chunks(items: Sequence[A], size: int) -> list[Sequence[A]]:
    """Return the items in order, in parts of at most `size`.

    >>> chunks([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [items[start : start + size] for start in range(0, len(items), size)]
