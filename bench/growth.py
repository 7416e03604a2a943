"""How a batch's CPU grows with what there is: nothing may grow faster than linearly.

Method. The real handler before the endpoint takes in batches in which one quantity grows by powers of two and the
others stay; each point is the least of several batches. The slope is that of a line fitted through the logarithms, of
all points and of the upper half, where fixed costs count least; 1 is linear.
"""

import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any, Final

from bench.endpoint import Endpoint
from bench.progress import Progress
from bench.rig import invoke, rig
from bench.worker import HANDLER, STATE_TABLE, TABLE, Worker, environment
from bench.workload import DAY_MS, NOW, Population, Told, iso

LINEAR: Final = 1.1
"""A slope up to this is taken as linear: times scatter."""


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Each quantity with its points (quantity, CPU ms a batch) and slopes."""
    repeats = 1 if quick else 3
    result: dict[str, Any] = {}
    with Endpoint() as endpoint, Worker(HANDLER, environment(endpoint.url)) as handler:
        grow = _Grow(endpoint, handler, repeats)
        progress("growth: entities in a batch")
        result["entities in a batch of 3,200"] = _points(
            (100, 200, 400, 800, 1_600, 3_200), lambda each: grow.measure(entities=each, facts=20, events=3_200)
        )
        progress("growth: facts per entity")
        result["facts an entity, 100 entities in a batch of 1,000"] = _points(
            (30, 60, 120, 240, 480, 960), lambda each: grow.measure(entities=100, facts=each, events=1_000)
        )
        progress("growth: batch size")
        result["records in a batch, 100 entities"] = _points(
            (200, 400, 800, 1_600, 3_200, 6_400), lambda each: grow.measure(entities=100, facts=20, events=each)
        )
        progress("growth: a hot key")
        result["records of one entity in a batch"] = _points(
            (200, 400, 800, 1_600, 3_200, 6_400), lambda each: grow.measure(entities=1, facts=20, events=each)
        )
    progress("growth: entities in the table")
    result["entities in the table, batches of 1,000"] = _points(
        (500, 2_000, 8_000) if quick else (500, 2_000, 8_000, 32_000), lambda each: _in_table(each, repeats)
    )
    return result


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line through the logarithms of the points."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    at_x, at_y = mean(x for x, _ in logs), mean(y for _, y in logs)
    return sum((x - at_x) * (y - at_y) for x, y in logs) / sum((x - at_x) ** 2 for x, _ in logs)


def _points(quantities: Sequence[int], measure: Callable[[int], float]) -> dict[str, Any]:
    points = [(each, measure(each)) for each in quantities]
    upper = points[-max(2, len(points) // 2) :]
    return {"points": points, "slope": slope(points), "upper_slope": slope(upper)}


class _Grow:
    """Batches of calls of so many students, each of whom has so many facts."""

    def __init__(self, endpoint: Endpoint, handler: Worker, repeats: int) -> None:
        self._endpoint, self._handler, self._repeats = endpoint, handler, repeats
        self._number = 0

    def measure(self, *, entities: int, facts: int, events: int) -> float:
        """CPU milliseconds of a batch."""
        self._endpoint.restore(TABLE, STATE_TABLE)  # nothing was kept: the table is empty
        history = self._calls(entities, entities * facts, NOW - 30 * DAY_MS, 29 * DAY_MS)
        # Entity by entity: what is merged is the same, and it takes far fewer writes.
        history.sort(key=lambda event: str(event.body["payload"]["student_id"]))
        for start in range(0, len(history), 6_400):
            invoke(self._handler, history[start : start + 6_400], NOW)
        batches = [self._calls(entities, events, NOW + each * 60_000, 50_000) for each in range(self._repeats)]
        return min(invoke(self._handler, batch).cpu for batch in batches) * 1_000

    def _calls(self, entities: int, count: int, begin_ms: int, span_ms: int) -> list[Told]:
        """Calls, evenly spread over time and students."""
        students = [f"stu_{number:05d}" for number in range(entities)]
        self._number += count
        return _calls(students, count, self._number, begin_ms, span_ms)


def _calls(students: Sequence[str], count: int, first: int, begin_ms: int, span_ms: int) -> list[Told]:
    """Calls of these students by turns, evenly spread, numbered from `first` on."""
    made = []
    for each in range(count):
        time_ms = begin_ms + span_ms * each // count
        payload = {
            "call_id": f"call_{first + each:09d}",
            "student_id": students[each % len(students)],
            "timestamp": iso(time_ms),
            "source": "crm",
        }
        made.append(Told(time_ms, "ib_call_logged", {"event_type": "ib_call_logged", "payload": payload}))
    return made


def _in_table(students: int, repeats: int) -> float:
    """CPU milliseconds of a batch of 1,000 that names 400 students, when so many are in the table."""
    with rig(Population(students=students, tutors=100, history=2 * students + 4_000)) as made:
        items = made.endpoint.items_of(TABLE)
        known = sorted(item["entity_id"]["S"] for item in items if item["entity_type"]["S"] == "student")[:400]
        batches = [_calls(known, 1_000, 1_000 * each, NOW + each * 60_000, 50_000) for each in range(1, repeats + 2)]
        return min(invoke(made.handler, batch).cpu for batch in batches) * 1_000
