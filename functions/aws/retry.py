"""How often a call is tried, and how long to wait before the next try."""

import random
import time
from collections.abc import Iterator

from functions.aws.deadline import Deadline


def attempts(most: int, deadline: Deadline) -> Iterator[int]:
    """Yield the attempts' numbers from 0 while there is time for one. Back off before each but the first."""
    for attempt in range(most):
        if deadline.passed():
            return
        if attempt:
            back_off(attempt)
        yield attempt


def back_off(attempt: int) -> None:
    """Sleep before the next attempt: up to 50 ms, doubled each time, at most 2 s, with full jitter.

    AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    time.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))  # noqa: S311 - jitter
