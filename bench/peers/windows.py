"""The windows of one entity as plain Python keeps them: dicts of things, sorted times, sums that follow the clock.

Each addition costs a bisection, each answer a few more; nothing is scanned. What `peers.bytewax_flow` keeps for a key.
"""

from bisect import bisect_right, insort
from typing import Final

from bench.peers.stream import Metrics, Touch
from bench.workload import DAY_MS
from functions.entities.facts import CALL

_DAYS_7: Final = 7 * DAY_MS
_DAYS_14: Final = 14 * DAY_MS
_DAYS_30: Final = 30 * DAY_MS
_RETENTION: Final = 32 * DAY_MS


class Thing:
    """A session or call, merged from its events."""

    __slots__ = ("last", "rating", "rating_time", "time")

    def __init__(self, time: int) -> None:
        self.time = self.last = time
        self.rating: int | None = None
        self.rating_time = 0


class Windows:
    """An entity's things and windows. Moments must not go back from one `measure` to the next."""

    __slots__ = ("_calls", "_purge_at", "_rated", "_rating_sum", "_sessions", "_things", "entity")

    def __init__(self, entity: int) -> None:
        self.entity = entity
        self._things: dict[int, Thing] = {}
        self._sessions: list[int] = []
        self._calls: list[int] = []
        self._rated: list[tuple[int, int]] = []
        """Time and rating, by time."""
        self._rating_sum = 0
        self._purge_at = 64

    def add(self, touch: Touch) -> None:
        """Takes in what an event tells."""
        times = self._calls if touch.kind == CALL else self._sessions
        thing = self._things.get(touch.id)
        if thing is None:
            thing = self._things[touch.id] = Thing(touch.time)
            insort(times, touch.time)
        else:
            thing.last = max(thing.last, touch.time)
            if touch.time < thing.time:
                self._move(times, thing, touch.time)
        if touch.rating is not None and (
            thing.rating is None or (touch.time, touch.rating) > (thing.rating_time, thing.rating)
        ):
            self._unrate(thing)
            thing.rating, thing.rating_time = touch.rating, touch.time
            self._rate(thing)

    def measure(self, as_of: int) -> Metrics:
        """The metrics at a moment."""
        gone = as_of - _DAYS_30
        for times in (self._sessions, self._calls):
            if times and times[0] <= gone:
                del times[: bisect_right(times, gone)]
        while self._rated and self._rated[0][0] <= gone:
            self._rating_sum -= self._rated.pop(0)[1]
        if len(self._things) > self._purge_at:
            self._things = {key: each for key, each in self._things.items() if each.last > as_of - _RETENTION}
            self._purge_at = 2 * len(self._things) + 64
        sessions, calls = self._sessions, self._calls
        return Metrics(
            self.entity,
            len(sessions) - bisect_right(sessions, as_of - _DAYS_7),
            len(sessions) - bisect_right(sessions, as_of - _DAYS_14),
            len(sessions),
            len(calls) - bisect_right(calls, as_of - _DAYS_7),
            len(calls) - bisect_right(calls, as_of - _DAYS_14),
            round(self._rating_sum / len(self._rated)) if self._rated else 0,
            len(self._rated),
        )

    def _move(self, times: list[int], thing: Thing, time: int) -> None:
        position = bisect_right(times, thing.time) - 1
        if position >= 0 and times[position] == thing.time:
            del times[position]
        self._unrate(thing)
        thing.time = time
        insort(times, time)
        self._rate(thing)

    def _rate(self, thing: Thing) -> None:
        if thing.rating is not None:
            insort(self._rated, (thing.time, thing.rating))
            self._rating_sum += thing.rating

    def _unrate(self, thing: Thing) -> None:
        if thing.rating is not None:
            entry = (thing.time, thing.rating)
            position = bisect_right(self._rated, entry) - 1
            if position >= 0 and self._rated[position] == entry:
                del self._rated[position]
                self._rating_sum -= thing.rating
