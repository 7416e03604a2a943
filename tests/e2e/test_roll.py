"""The roll over the deployed tables, after days without one."""

from typing import Any

import pytest

from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.state_table import StateTable
from functions.aws.update import Outcome, Processor
from functions.entities import wakes
from functions.entities.arrivals import Arrivals
from functions.entities.wakes import Wake
from functions.model import DAY_MS, HOUR_MS, SECOND_MS, to_iso
from functions.processor import roll
from local.flow import Flow
from proof.invocation import context
from tests.e2e.conftest import InProcess
from tests.helpers.deployment import delivery, event_json, record

STUDENTS = 60


def call(student: int, at_ms: int) -> bytes:
    payload = {"student_id": f"stu_overdue_{student}", "call_id": f"overdue {student}"}
    return event_json("ib_call_logged", payload, timestamp=to_iso(at_ms))


def due_wakes(now_ms: int) -> list[Wake]:
    """The wakes that are due, the oldest first."""
    table, lanes = StateTable(config().state_table_name), config().rules.rhythm.lanes
    stored = [each for lane in range(lanes) for each in table.due_wakes(lane, now_ms // SECOND_MS)]
    return sorted(map(wakes.parse, stored), key=lambda wake: wake.due)


def test_after_days_without_a_roll_it_catches_up_in_order_within_its_time_run_after_run(
    flow: Flow, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = in_process.now_ms
    for first in range(0, STUDENTS, 6):  # of batches of their own, so that their wakes are in several lanes
        lines = [call(student, begun - student * 2 * HOUR_MS) for student in range(first, first + 6)]
        records = [record(line, first + place, begun) for place, line in enumerate(lines)]
        assert in_process.deliver(delivery(records)) == []
    in_process.now_ms = begun + 8 * DAY_MS
    overdue = due_wakes(in_process.now_ms)
    assert len({wake.lane for wake in overdue}) > 1
    remaining_ms = 120_000

    class Slow(Processor):
        """Takes 40 of a run's 120 seconds for each group."""

        def run(self, arrivals: Arrivals, deadline: Deadline) -> Outcome:
            nonlocal remaining_ms
            outcome = super().run(arrivals, deadline)
            remaining_ms -= 40_000
            return outcome

    monkeypatch.setattr(roll, "Processor", Slow)
    # Some eight groups, with what other tests have left.
    monkeypatch.setattr(roll, "_ENTITIES_AT_ONCE", sum(len(wake.entities) for wake in overdue) // 8)
    in_process.context = context(lambda: remaining_ms)
    runs: list[dict[str, Any]] = []
    while not runs or not runs[-1]["complete"]:
        remaining_ms = 120_000
        runs.append(in_process.roll_at(in_process.now_ms))
        assert remaining_ms >= 0
        left = due_wakes(in_process.now_ms)
        done = [wake for wake in overdue if wake not in left]
        assert done
        assert not left or max(wake.due for wake in done) <= left[0].due
        overdue = left
    assert overdue == []
    assert len(runs) > 2
    items = flow.items()
    students = [items["student", f"stu_overdue_{student}"] for student in range(STUDENTS)]
    assert [(item["ib_calls_7d"], item["ib_calls_14d"]) for item in students] == [(0, 1)] * STUDENTS
    assert in_process.roll_at(in_process.now_ms)["due"] == 0
