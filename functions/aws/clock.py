"""Processing time. The one place that reads the clock; only tests set it."""

import time


def now_ms() -> int:
    """Now, epoch milliseconds."""
    return time.time_ns() // 1_000_000
