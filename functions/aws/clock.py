"""Reads the clock. No other module does; only tests replace it."""

import time


def now_ms() -> int:
    """Return the present time, epoch milliseconds."""
    return time.time_ns() // 1_000_000
