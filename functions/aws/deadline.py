"""How much of an invocation's time is left to begin something new."""

from collections.abc import Callable
from typing import Any, Final

_MOST_RESERVED_MS: Final = 25_000


class Deadline:
    """The moment after which no new work is begun, so that what is not committed can still be reported as failed.

    A quarter of the invocation's time is reserved, at most 25 seconds (a call with all its retries, see `clients`).
    """

    def __init__(self, remaining_ms: Callable[[], int]) -> None:
        self._remaining_ms = remaining_ms
        self._reserved_ms = min(_MOST_RESERVED_MS, remaining_ms() // 4)

    @classmethod
    def of(cls, context: Any) -> "Deadline":
        """The deadline of a Lambda invocation's context."""
        return cls(context.get_remaining_time_in_millis)

    def passed(self) -> bool:
        """Whether it is too late to begin something new."""
        return self._remaining_ms() <= self._reserved_ms
