"""A roll that finds far more than it can do in one run."""

import pytest

from functions.aws.deadline import Deadline
from functions.aws.update import Outcome, Processor
from functions.entities import wakes
from functions.entities.arrivals import Arrivals
from functions.entities.wakes import Wake
from functions.model import DAY_MS, MINUTE_MS, SECOND_MS, EntityKey, to_iso
from functions.processor import roll
from tests.helpers.deployment import NOW, Deployment, deployed, event_json

ENTITIES, A_WAKE = 100_000, 400
MS_AN_ENTITY = 2
"""What bringing one up to date takes of the run's time; in Lambda it is less."""


def overdue(made: Deployment) -> list[Wake]:
    """Makes students whose call has left the seven days, and has been five days overdue for the first of them."""
    call = event_json("ib_call_logged", {"student_id": "stu_0", "call_id": "c1"}, timestamp=to_iso(NOW - 6 * DAY_MS))
    assert made.deliver(call) == []
    (item,) = made.aws.items.values()
    everyone = [EntityKey("student", f"stu_{number:06}") for number in range(ENTITIES)]
    made.aws.items = {key: item | {"entity_id": {"S": key.entity_id}} for key in everyone}
    first_due = (NOW + DAY_MS) // SECOND_MS
    found = [
        Wake(number % 4, first_due + number * 300, tuple(everyone[number * A_WAKE : (number + 1) * A_WAKE]))
        for number in range(ENTITIES // A_WAKE)
    ]
    stored = [wakes.attributes_of(wake) for wake in found]
    made.aws.state = {(each["pk"]["S"], each["sk"]["S"]): each for each in stored}
    made.clock.ms = NOW + 6 * DAY_MS
    return found


def test_a_hundred_thousand_overdue_entities_are_brought_up_to_date_run_after_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with deployed() as made:
        waiting = overdue(made)

        class Slow(Processor):
            def run(self, arrivals: Arrivals, deadline: Deadline) -> Outcome:
                outcome = super().run(arrivals, deadline)
                made.remaining_ms -= MS_AN_ENTITY * len(arrivals.keys)
                return outcome

        monkeypatch.setattr(roll, "Processor", Slow)
        runs: list[dict[str, int | bool]] = []
        while not runs or not runs[-1]["complete"]:
            made.remaining_ms = 120_000
            runs.append(made.roll())
            assert made.remaining_ms > 20_000, "it ends well within its time"
            made.clock.ms += 5 * MINUTE_MS
        done_at = [int(made.aws.items[key]["as_of"]["N"]) for wake in waiting for key in wake.entities]
        figures = {(item["ib_calls_7d"]["N"], item["version"]["N"]) for item in made.aws.items.values()}

    assert [run["complete"] for run in runs] == [False, False, True]
    assert sum(run["written"] for run in runs) == ENTITIES
    assert figures == {("0", "2")}
    assert done_at == sorted(done_at), "the longest overdue come first"
    assert not [pk for pk, _ in made.aws.state if pk.startswith("wake#")]
