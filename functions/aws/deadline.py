"""Says whether an invocation has enough time left to begin something new."""

from collections.abc import Callable
from typing import Any, Final

_MOST_RESERVED_MS: Final = 25_000


class Deadline:
    """The moment after which no new work begins. The rest is for reporting failed records.

    It reserves a quarter of the invocation's time, at most 25 seconds: one call with all its retries (see `clients`).
    """

    def __init__(self, remaining_ms: Callable[[], int]) -> None:
        self._remaining_ms = remaining_ms
        self._reserved_ms = min(_MOST_RESERVED_MS, remaining_ms() // 4)

    @classmethod
    def of(cls, context: Any) -> "Deadline":
        """Return the deadline for a Lambda invocation's context."""
        return cls(context.get_remaining_time_in_millis)

    def passed(self) -> bool:
        """Return whether it is too late to begin something new."""
        return self._remaining_ms() <= self._reserved_ms

    def without_reserve(self) -> "Deadline":
        """Return this deadline for the last call of the invocation, which may use the time that is reserved."""
        last = Deadline(self._remaining_ms)
        last._reserved_ms = 0
        return last

    def remaining_ms(self) -> int:
        """How long the invocation may still run, with what is reserved."""
        return self._remaining_ms()
