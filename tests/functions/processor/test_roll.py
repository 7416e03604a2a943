"""The roll: what time alone changes is brought up to date, and what a crash left is finished."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.aws.deadline import Deadline
from functions.aws.update import Outcome
from functions.entities import wakes
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import Attributes
from functions.entities.wakes import Rhythm, Wake
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, EntityKey, Record, ceil_div, to_iso
from functions.processor import roll
from tests.helpers.deployment import NOW, Deployment, deployed, event_json, record
from tests.helpers.faulty_aws import Call, Died, Faults, after, done_dying, down, dying
from tests.helpers.logs import Logs, emitted

NOTHING_DUE = {"due": 0, "written": 0, "alerts_sent": 0, "complete": True}
READ, WRITE, WAKES = "batch_get_item", "batch_execute_statement", "batch_write_item"


def call(student: str, call_id: str = "c1", age: int = 0) -> bytes:
    return event_json("ib_call_logged", {"student_id": student, "call_id": call_id}, timestamp=to_iso(NOW - age))


def low_health(student: str = "stu_1", at: int = NOW) -> Record:
    report = {"student_id": student, "health_score": 60}
    return record(event_json("customer_health_update", report, timestamp=to_iso(at)), arrival_ms=at)


def said(deployment: Deployment) -> list[tuple[str, str]]:
    return [(alert["status"], alert["timestamp"]) for alert in deployment.told()]


def stored_wakes(deployment: Deployment) -> list[Wake]:
    """All wakes, the earliest first."""
    stored = [item for (pk, _), item in deployment.aws.state.items() if pk.startswith("wake#")]
    return sorted(map(wakes.parse, stored), key=lambda wake: (wake.due, wake))


def woken(deployment: Deployment) -> set[tuple[int, EntityKey]]:
    """Which entity is woken when (epoch seconds)."""
    return {(wake.due, key) for wake in stored_wakes(deployment) for key in wake.entities}


def put(deployment: Deployment, *made: Wake) -> None:
    """Stores wakes as they are."""
    for stored in map(wakes.attributes_of, made):
        deployment.aws.state[stored["pk"]["S"], stored["sk"]["S"]] = stored


def students(count: int, first: int = 0) -> list[EntityKey]:
    return [EntityKey("student", f"stu_{number}") for number in range(first, first + count)]


# -- what time changes ------------------------------------------------------------------------------------------------


def test_counts_fall_at_the_first_roll_after_they_should(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 6 * MINUTE_MS))
    deployment.clock.ms += 5 * MINUTE_MS
    assert deployment.roll() == NOTHING_DUE
    deployment.clock.ms += 5 * MINUTE_MS
    assert deployment.roll() == {"due": 1, "written": 1, "alerts_sent": 0, "complete": True}
    item = deployment.item("student", "stu_1")
    assert (item["ib_calls_7d"], item["ib_calls_14d"]) == (0, 1)
    assert (item["as_of"], item["last_updated"]) == (NOW + 10 * MINUTE_MS, to_iso(NOW))
    assert deployment.roll() == NOTHING_DUE


@pytest.mark.parametrize("remaining_ms", [120_000, 900_000])
def test_a_wake_is_for_no_moment_at_which_the_process_may_still_run(deployment: Deployment, remaining_ms: int) -> None:
    """Else a roll could come before the item is written, find nothing to do, and delete the wake."""
    deployment.remaining_ms = remaining_ms
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1))
    first = stored_wakes(deployment)[0]
    assert first.due * SECOND_MS == NOW + max(5 * MINUTE_MS, remaining_ms)
    deployment.clock.ms = first.due * SECOND_MS
    assert deployment.roll()["written"] == 1


def test_a_fact_that_expires_makes_nobody_due_and_leaves_when_its_item_is_written(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"))
    deployment.clock.ms += 14 * DAY_MS
    assert deployment.roll()["written"] == 1
    assert stored_wakes(deployment) == []
    deployment.clock.ms += 18 * DAY_MS
    assert deployment.roll() == NOTHING_DUE
    assert "facts" in deployment.item("student", "stu_1")
    deployment.deliver(low_health(at=deployment.clock.ms))
    assert "facts" not in deployment.item("student", "stu_1")


def test_a_reported_count_ages_out(deployment: Deployment) -> None:
    report = {"student_id": "stu_1", "health_score": 90, "sessions_last_7_days": 5}
    deployment.deliver(event_json("customer_health_update", report, timestamp=to_iso(NOW)))
    deployment.clock.ms += 7 * DAY_MS
    assert deployment.roll()["written"] == 1
    assert deployment.item("student", "stu_1")["sessions_7d"] == 0


def test_an_alert_ends_by_time_alone(deployment: Deployment) -> None:
    deployment.deliver(*(call("stu_1", f"c{each}", age=each * DAY_MS) for each in range(3)))
    assert said(deployment) == [("firing", to_iso(NOW))]
    deployment.clock.ms += 12 * DAY_MS
    assert deployment.roll()["alerts_sent"] == 1
    over = deployment.told()[-1]
    assert (over["status"], over["severity"]) == ("resolved", "warning")
    assert over["message"] == "Resolved: Student stu_1 has 2 IB calls in 14 days"
    item = deployment.item("student", "stu_1")
    assert (item["alerts"], item["last_updated"]) == ({}, to_iso(NOW + 12 * DAY_MS))


def test_a_lasting_alert_is_told_again_every_day_five_times(deployment: Deployment) -> None:
    deployment.deliver(low_health())
    for hour in range(1, 24 * 8):
        deployment.clock.ms = NOW + hour * HOUR_MS
        deployment.roll()
    reminders = [("reminder", to_iso(NOW + day * DAY_MS)) for day in range(1, 6)]
    assert said(deployment) == [("firing", to_iso(NOW)), *reminders]
    assert stored_wakes(deployment) == []


def test_a_deleted_entity_is_not_made_anew(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"), call("stu_2"))
    del deployment.aws.items["student", "stu_1"]
    deployment.clock.ms += 7 * DAY_MS
    assert deployment.roll() == {"due": 2, "written": 1, "alerts_sent": 0, "complete": True}
    deployment.clock.ms += 30 * DAY_MS
    assert deployment.roll()["due"] == 2
    assert set(deployment.aws.items) == {("student", "stu_2")}
    assert stored_wakes(deployment) == []


def test_a_wake_too_many_is_read_and_deleted_and_changes_nothing(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"))
    before, later = dict(deployment.aws.items), stored_wakes(deployment)
    put(deployment, Wake(1, NOW // SECOND_MS, (EntityKey("student", "stu_1"),)))
    assert deployment.roll() == {"due": 1, "written": 0, "alerts_sent": 0, "complete": True}
    assert deployment.aws.items == before
    assert stored_wakes(deployment) == later


def test_a_replay_writes_neither_items_nor_wakes(deployment: Deployment) -> None:
    batch = (call("stu_1"), call("stu_2", age=DAY_MS), low_health("stu_3"))
    deployment.deliver(*batch)
    deployment.clock.ms += 8 * DAY_MS
    deployment.roll()
    deployment.rollup()
    written, items, state = deployment.aws.writes(), dict(deployment.aws.items), dict(deployment.aws.state)
    for replay in (batch, batch[::-1], batch[:1] * 5):
        assert deployment.deliver(*replay) == []
    deployment.rollup()
    assert deployment.roll() == NOTHING_DUE
    assert (deployment.aws.writes(), deployment.aws.items, deployment.aws.state) == (written, items, state)


# -- what a crash left ------------------------------------------------------------------------------------------------


def test_what_a_crash_left_untold_is_told_and_cleared(faults: Faults, deployment: Deployment) -> None:
    faults.planned["put_events"] = [down]
    assert deployment.deliver(low_health()) == [], "the record is committed; what is left is the roll's"
    (waiting,) = map(json.loads, deployment.item("student", "stu_1")["outbox"])
    assert deployment.next_roll() == {"due": 1, "written": 1, "alerts_sent": 1, "complete": True}
    assert deployment.told() == [waiting]
    assert deployment.next_roll() == NOTHING_DUE


def test_what_was_told_but_not_cleared_is_told_again_under_the_same_id(faults: Faults, deployment: Deployment) -> None:
    faults.planned[WRITE] = [None, down, down]
    assert deployment.deliver(low_health()) == []
    assert deployment.next_roll()["alerts_sent"] == 1
    first, again = deployment.told()
    assert first == again
    assert "outbox" not in deployment.item("student", "stu_1")


def test_an_outbox_that_could_not_be_cleared_is_cleared_at_once_in_a_second_try(
    faults: Faults, deployment: Deployment
) -> None:
    faults.planned[WRITE] = [None, down]
    assert deployment.deliver(low_health()) == []
    assert "outbox" not in deployment.item("student", "stu_1")
    assert deployment.next_roll() == {"due": 1, "written": 0, "alerts_sent": 0, "complete": True}
    assert len(deployment.told()) == 1


def rolls_that_find_something(deployment: Deployment, hours: int) -> list[int]:
    """After how many minutes a roll found something due, of those of so many hours."""
    found = []
    for minutes in range(5, hours * 60 + 1, 5):
        deployment.clock.ms = NOW + minutes * MINUTE_MS
        try:
            due = deployment.roll()["due"]
        except roll.RollIncomplete:
            due = 1
        if due:
            found.append(minutes)
    return found


PUT_OFF = [5, 10, 20, 40, 80, 145, 210, 275]
"""After how many minutes the roll looks at what cannot be done: 5, 10, 20 and 40 minutes later, then an hour and the
rest of an interval."""


def test_as_long_as_the_bus_is_down_the_item_is_put_off_later_each_time_up_to_an_hour(
    faults: Faults, deployment: Deployment
) -> None:
    faults.planned["put_events"] = [down] * 1_000
    deployment.deliver(low_health())
    assert rolls_that_find_something(deployment, hours=5) == PUT_OFF
    assert len(deployment.aws.state) == len(stored_wakes(deployment)) + 1, "the number of lanes alone is no wake"
    first = stored_wakes(deployment)[0]
    assert (first.due, first.put_off) == (NOW // SECOND_MS + 340 * 60, 8)
    faults.planned.clear()
    deployment.clock.ms = NOW + 340 * MINUTE_MS
    assert deployment.roll()["alerts_sent"] == 1
    assert [wake.put_off for wake in stored_wakes(deployment)] == [0], "the reminder's"


def test_an_entity_that_fails_is_said_and_put_off_later_each_time_up_to_an_hour(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1))
    deployment.aws.items["student", "stu_1"] |= {"facts": {"B": b"\x02"}}
    assert rolls_that_find_something(deployment, hours=5) == PUT_OFF
    assert stored_wakes(deployment)[0].put_off == 8


def test_what_is_put_off_often_is_still_looked_at_every_hour(deployment: Deployment) -> None:
    for put_off in (50, 10_000, 10**15):
        assert roll._put_off_until(NOW, put_off, Rhythm()) == NOW // SECOND_MS + 65 * 60
        assert roll._put_off_until(NOW, put_off, Rhythm(MINUTE_MS)) == NOW // SECOND_MS + 61 * 60
    assert roll._put_off_until(NOW + 1, 0, Rhythm()) == NOW // SECOND_MS + 5 * 60


def test_of_a_wake_those_that_fail_alone_are_put_off(deployment: Deployment) -> None:
    deliver_many(deployment, 40)
    deployment.aws.items["student", "stu_7"] |= {"facts": {"B": b"\x02"}}
    put(deployment, Wake(0, NOW // SECOND_MS, tuple(students(3, first=6)), put_off=2))
    later = {(wake.due, key) for wake in stored_wakes(deployment)[2:] for key in wake.entities}
    with pytest.raises(roll.RollIncomplete):
        deployment.roll()
    assert woken(deployment) - later == {(deployment.clock.ms // SECOND_MS + 20 * 60, students(1, first=7)[0])}
    assert stored_wakes(deployment)[0].put_off == 3


def test_when_what_failed_cannot_be_woken_again_its_wake_stays_and_the_others_go(
    faults: Faults, deployment: Deployment
) -> None:
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1))
    deployment.deliver(call("stu_2", age=7 * DAY_MS - 1))
    deployment.clock.ms += 5 * MINUTE_MS
    deployment.aws.items["student", "stu_1"] |= {"facts": {"B": b"\x02"}}
    due = [wake for wake in stored_wakes(deployment) if wake.due == deployment.clock.ms // SECOND_MS]
    faults.planned[WAKES] = [down]
    with pytest.raises(roll.RollIncomplete):
        deployment.roll()
    left = [wake for wake in stored_wakes(deployment) if wake in due]
    assert [wake.entities for wake in left] == [(EntityKey("student", "stu_1"),)]


def test_wakes_that_are_not_deleted_are_looked_at_again_and_deleted_then(
    faults: Faults, deployment: Deployment, logs: Logs
) -> None:
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1))
    deployment.clock.ms += 5 * MINUTE_MS
    faults.planned[WAKES] = [down]
    assert deployment.roll() == {"due": 1, "written": 1, "alerts_sent": 0, "complete": True}
    (line,) = [line for line in logs.lines() if line["level"] == "WARNING"]
    assert line["message"] == "A wake was not deleted; the next roll looks at it again"
    assert deployment.roll() == {"due": 1, "written": 0, "alerts_sent": 0, "complete": True}
    assert deployment.roll() == NOTHING_DUE


@pytest.mark.parametrize(
    "damage",
    [{"entities": {"S": "stu_1"}}, {"entities": {"M": {"alien": {"L": [{"S": "x"}]}}}}, {"put_off": {"S": "often"}}],
    ids=str,
)
def test_a_damaged_wake_is_said_and_left_and_all_others_are_done(deployment: Deployment, damage: Attributes) -> None:
    deliver_many(deployment, 40)
    put(deployment, Wake(2, NOW // SECOND_MS, (EntityKey("student", "stu_1"),)))
    (place,) = (place for place, item in deployment.aws.state.items() if item["pk"] == {"S": "wake#2"})
    deployment.aws.state[place] |= damage
    for due in (40, 0):
        said = rf"1 of {due} due entities failed, the first: the wake wake#2 {place[1]} is not readable: .*Error"
        with pytest.raises(roll.RollIncomplete, match=said):
            deployment.roll()
    assert {deployment.item(*key)["ib_calls_7d"] for key in deployment.aws.items} == {0}
    assert place in deployment.aws.state
    assert all(due * SECOND_MS > deployment.clock.ms for due, _ in woken_but(deployment, place))


def woken_but(deployment: Deployment, place: tuple[str, str]) -> set[tuple[int, EntityKey]]:
    """Which entity is woken when, without the wake at this place."""
    damaged = deployment.aws.state.pop(place)
    found = woken(deployment)
    deployment.aws.state[place] = damaged
    return found


# -- many -------------------------------------------------------------------------------------------------------------


def deliver_many(deployment: Deployment, count: int) -> None:
    """Students whose only call leaves the seven days; a roll that finds them comes next."""
    deployment.deliver(*(call(f"stu_{each}", age=7 * DAY_MS - 1_000) for each in range(count)))
    deployment.clock.ms += 5 * MINUTE_MS


def test_everything_due_is_found_in_all_lanes_page_by_page(deployment: Deployment) -> None:
    for first in range(0, 150, 5):
        deployment.deliver(*(call(f"stu_{each}", age=7 * DAY_MS - 1_000) for each in range(first, first + 5)))
    assert {wake.lane for wake in stored_wakes(deployment)} == {0, 1, 2, 3}
    deployment.clock.ms += 5 * MINUTE_MS
    due = Counter(wake.lane for wake in stored_wakes(deployment) if wake.due * SECOND_MS <= deployment.clock.ms)
    assert deployment.roll() == {"due": 150, "written": 150, "alerts_sent": 0, "complete": True}
    assert {deployment.item(*key)["ib_calls_7d"] for key in deployment.aws.items} == {0}
    assert deployment.aws.calls["query"] == sum(ceil_div(number, 7) for number in due.values()) > len(due) == 4


def test_lanes_that_are_no_longer_written_to_are_read_to_the_end() -> None:
    with deployed({"WAKE_LANES": "7"}) as before:
        for each in range(30):
            before.deliver(call(f"stu_{each}"))
        assert before.roll() == NOTHING_DUE
    with deployed({"WAKE_LANES": "1"}) as now:
        now.aws.items, now.aws.state = before.aws.items, before.aws.state
        now.clock.ms += 14 * DAY_MS
        assert now.roll() == {"due": 30, "written": 30, "alerts_sent": 0, "complete": True}
        assert stored_wakes(now) == []


def test_each_entity_is_looked_at_once_however_many_wakes_name_it(faults: Faults, deployment: Deployment) -> None:
    deployment.deliver(*(call("stu_1", f"c{each}", age=each * HOUR_MS) for each in range(10)), call("stu_2"))
    deployment.clock.ms += 30 * DAY_MS
    assert len(stored_wakes(deployment)) == 20 + 2, "two windows of each call, a reminder, and a notification"
    faults.made.clear()
    assert deployment.roll()["due"] == 2
    asked = [key["entity_id"]["S"] for each in faults.made[READ] for key in _keys(each)]
    assert sorted(set(asked)) == ["stu_1", "stu_2"]
    assert asked.count("stu_2") == 1
    (over,) = stored_wakes(deployment)
    assert over.due * SECOND_MS == deployment.clock.ms + 5 * MINUTE_MS, "in case its notification is not sent"


def _keys(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    ((_, request),) = arguments["RequestItems"].items()
    keys: list[dict[str, Any]] = request["Keys"]
    return keys


def test_an_entity_is_looked_at_once_though_its_wakes_are_in_several_groups(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll, "_ENTITIES_AT_ONCE", 1)
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1))
    put(deployment, *(Wake(lane, NOW // SECOND_MS + lane, (EntityKey("student", "stu_1"),)) for lane in range(4)))
    deployment.clock.ms += 5 * MINUTE_MS
    assert deployment.roll() == {"due": 1, "written": 1, "alerts_sent": 0, "complete": True}
    assert deployment.aws.calls[READ] == 2, "of the delivery and of the roll"
    assert [wake.due * SECOND_MS for wake in stored_wakes(deployment)] == [NOW + 7 * DAY_MS + 5 * MINUTE_MS]


@dataclass
class Looked:
    """A processor that only notes what it is asked for, and takes its time."""

    deployment: Deployment
    ms_an_entity: float = 0
    keys: list[EntityKey] = field(default_factory=list)

    def __call__(self, *_: Any) -> "Looked":
        """As a processor is made."""
        return self

    def run(self, arrivals: Arrivals, deadline: Deadline) -> Outcome:
        assert not deadline.passed()
        self.keys += arrivals.keys
        self.deployment.remaining_ms -= round(self.ms_an_entity * len(arrivals.keys))
        return Outcome()


def test_what_is_longest_overdue_comes_first_in_whatever_lane_it_is(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = Looked(deployment)
    monkeypatch.setattr(roll, "Processor", looked)
    monkeypatch.setattr(roll, "_ENTITIES_AT_ONCE", 7)
    for number, key in enumerate(students(100)):
        put(deployment, Wake(number * 7 % 4, NOW // SECOND_MS - 100 + number, (key,)))
    assert deployment.roll()["due"] == 100
    assert looked.keys == students(100)


def test_a_hundred_thousand_overdue_entities_are_caught_up_run_after_run_in_order(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 2 ms an entity a run of two minutes does less than half of them."""
    looked = Looked(deployment, ms_an_entity=2)
    monkeypatch.setattr(roll, "Processor", looked)
    first_due = NOW // SECOND_MS - DAY_MS // SECOND_MS
    everyone = students(100_000)
    overdue = [
        Wake(number % 4, first_due + number * 300, tuple(sorted(everyone[number * 400 : (number + 1) * 400])))
        for number in range(250)
    ]
    put(deployment, *overdue)
    runs: list[dict[str, int | bool]] = []
    while not runs or not runs[-1]["complete"]:
        deployment.remaining_ms = 120_000
        runs.append(deployment.roll())
        assert deployment.remaining_ms > 20_000, "it ends well within its time"
        deployment.clock.ms += 5 * MINUTE_MS
    assert [run["complete"] for run in runs] == [False, False, True]
    assert sum(run["due"] for run in runs) == 100_000
    assert looked.keys == [key for wake in overdue for key in wake.entities]
    assert stored_wakes(deployment) == []


def test_what_fails_is_said_when_all_others_are_done_and_is_woken_again(deployment: Deployment) -> None:
    deliver_many(deployment, 40)
    sound = deployment.aws.items["student", "stu_7"]
    deployment.aws.items["student", "stu_7"] = sound | {"facts": {"B": b"\x02"}}
    with pytest.raises(roll.RollIncomplete, match=r"1 of 40 due entities failed, the first: .* format version 2"):
        deployment.roll()
    left = {key for key in deployment.aws.items if deployment.item(*key)["ib_calls_7d"]}
    assert left == {("student", "stu_7")}
    deployment.aws.items["student", "stu_7"] = sound
    assert deployment.roll() == NOTHING_DUE
    assert deployment.next_roll()["written"] == 1


def test_when_time_runs_out_what_was_not_done_keeps_its_wakes_and_the_next_roll_goes_on(
    faults: Faults, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last(call: Call, arguments: dict[str, Any]) -> Any:
        deployment.remaining_ms = 20_000
        return call(**arguments)

    monkeypatch.setattr(roll, "_ENTITIES_AT_ONCE", 5)
    for each in range(40):
        deployment.deliver(call(f"stu_{each}", age=7 * DAY_MS - 1_000))
    deployment.clock.ms += 5 * MINUTE_MS
    now, before = deployment.clock.ms // SECOND_MS, woken(deployment)
    faults.planned[WRITE] = [None, last]
    assert deployment.roll() == {"due": 10, "written": 10, "alerts_sent": 0, "complete": False}
    done = {key for key in deployment.aws.items if not deployment.item(*key)["ib_calls_7d"]}
    assert len(done) == 10
    assert {key for due, key in before - woken(deployment) if due <= now} == done
    deployment.remaining_ms = 120_000
    again = deployment.roll()
    assert again["written"] == 30
    assert again["complete"] is True
    assert {deployment.item(*key)["ib_calls_7d"] for key in deployment.aws.items} == {0}
    assert all(due > now for due, _ in woken(deployment))


@pytest.mark.parametrize("operation", [READ, WRITE])
def test_what_fails_when_time_runs_out_is_not_put_off_but_keeps_its_wake(
    faults: Faults, deployment: Deployment, operation: str
) -> None:
    def out_of_time(call: Call, arguments: dict[str, Any]) -> Any:
        deployment.remaining_ms = 0
        return down(call, arguments)

    deliver_many(deployment, 3)
    before = stored_wakes(deployment)
    faults.planned[operation] = [out_of_time]
    assert deployment.roll() == {"due": 3, "written": 0, "alerts_sent": 0, "complete": False}
    assert stored_wakes(deployment) == before
    deployment.remaining_ms = 120_000
    assert deployment.roll()["written"] == 3


def test_without_time_nothing_is_looked_at(deployment: Deployment) -> None:
    deliver_many(deployment, 3)
    before, deployment.remaining_ms = stored_wakes(deployment), 0
    assert deployment.roll() == {"due": 0, "written": 0, "alerts_sent": 0, "complete": False}
    assert stored_wakes(deployment) == before


# -- side by side, and deaths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["get_item", READ, WRITE, "put_events", WAKES])
def test_two_rolls_at_once_do_everything_once(faults: Faults, deployment: Deployment, operation: str) -> None:
    faults.planned["put_events"] = [down]
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1), low_health("stu_2"))
    deployment.clock.ms += 5 * MINUTE_MS
    faults.planned[operation] = [after(deployment.roll)]
    deployment.roll()
    assert deployment.item("student", "stu_1")["ib_calls_7d"] == 0
    assert deployment.item("student", "stu_1")["version"] == 2
    assert "outbox" not in deployment.item("student", "stu_2")
    assert len({alert["alert_id"] for alert in deployment.told()}) == 1
    assert all(due * SECOND_MS > deployment.clock.ms for due, _ in woken(deployment))
    assert deployment.roll() == NOTHING_DUE


def test_a_roll_that_meets_a_delivery_loses_nothing(faults: Faults, deployment: Deployment) -> None:
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1))
    deployment.clock.ms += 5 * MINUTE_MS
    faults.planned[WRITE] = [after(lambda: deployment.deliver(call("stu_1", "c2", age=7 * DAY_MS - 6 * MINUTE_MS)))]
    deployment.roll()
    assert deployment.item("student", "stu_1")["ib_calls_14d"] == 2
    assert deployment.item("student", "stu_1")["ib_calls_7d"] == 1
    assert deployment.next_roll()["written"] == 1
    assert deployment.item("student", "stu_1")["ib_calls_7d"] == 0


def prepared(made: Deployment, faults: Faults) -> None:
    """A window has fallen, an alert is due for a reminder, a notification is still to be sent, and an item is gone."""
    made.deliver(low_health("stu_1"), call("stu_2", age=DAY_MS), call("stu_4"))
    made.clock.ms += 6 * DAY_MS
    faults.planned["put_events"] = [down]
    made.deliver(low_health("stu_3", made.clock.ms))
    del made.aws.items["student", "stu_4"]
    made.clock.ms += 5 * MINUTE_MS
    faults.made.clear()


def left_behind(made: Deployment) -> tuple[Any, ...]:
    """What must be the same whatever went wrong: items, what was told, and what is woken later."""
    items = {key: made.item(*key) for key in made.aws.items}
    for item in items.values():
        del item["version"]
    return items, {alert["alert_id"]: alert for alert in made.told()}, woken(made)


ROLLS = ("get_item", "put_item", READ, WAKES, WRITE, "put_events", "get_paginator")
"""What the roll calls; `get_paginator` begins a query."""


def with_faults(made: Deployment, patch: pytest.MonkeyPatch) -> Faults:
    faults = Faults(made.aws)
    patch.setattr("functions.aws.clients.make", faults.client)
    return faults


@pytest.mark.filterwarnings("ignore:No application metrics")  # of a process that dies
def test_a_roll_may_die_between_any_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    with deployed() as made, monkeypatch.context() as patch:
        faults = with_faults(made, patch)
        prepared(made, faults)
        assert made.roll()["complete"]
        calls = {operation: len(faults.made[operation]) for operation in ROLLS}
        expected = left_behind(made)
    assert calls == {"get_item": 1, "put_item": 1, READ: 1, WAKES: 2, WRITE: 2, "put_events": 1, "get_paginator": 4}
    for operation, count in calls.items():
        for position in range(count):
            for fault in (dying,) if operation == "get_paginator" else (dying, done_dying):
                with deployed() as made, monkeypatch.context() as patch:
                    faults = with_faults(made, patch)
                    prepared(made, faults)
                    faults.planned[operation] = [None] * position + [fault]
                    with pytest.raises(Died):
                        made.roll()
                    assert made.roll()["complete"]
                    where = (operation, position, fault.__name__)
                    items, told, later = left_behind(made)
                    assert (items, told) == expected[:2], where
                    assert later >= expected[2], where
                    assert all(due * SECOND_MS > made.clock.ms for due, _ in later), where


# -- what it says -----------------------------------------------------------------------------------------------------


def test_it_says_what_it_did(deployment: Deployment, logs: Logs) -> None:
    deliver_many(deployment, 3)
    before = len(logs.lines())
    deployment.roll()
    (line,) = logs.lines()[before:]
    assert line["message"] == "Roll complete"
    names = ("due", "written", "failed", "put_off", "alerts_sent", "complete")
    assert {name: line[name] for name in names} == {
        "due": 3,
        "written": 3,
        "failed": 0,
        "put_off": 0,
        "alerts_sent": 0,
        "complete": True,
    }


def test_it_emits_how_long_wakes_have_been_due_and_notifications_unsent(
    deployment: Deployment, faults: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    def emitted_by_a_roll() -> dict[str, tuple[float, str]]:
        capsys.readouterr()
        deployment.roll()
        return emitted(capsys.readouterr().out)

    faults.planned["put_events"] = [down] * 10
    deployment.deliver(low_health())
    deployment.clock.ms += 5 * MINUTE_MS + 90_000
    unsent = emitted_by_a_roll()
    assert unsent == {
        "Due": (1, "Count"),
        "PutOff": (1, "Count"),
        "OldestWake": (90, "Seconds"),
        "OldestUnsent": (390, "Seconds"),
    }
    faults.planned.clear()
    deployment.clock.ms += 5 * MINUTE_MS
    sent = emitted_by_a_roll()
    assert sent == {
        "Due": (1, "Count"),
        "Rolled": (1, "Count"),
        "AlertsSent": (1, "Count"),
        "AlertsSent[alert_type=low_health_score]": (1, "Count"),
        "OldestWake": (90, "Seconds"),
    }
    assert emitted_by_a_roll() == {"Due": (0, "Count")}, "what is zero is not sent, and costs nothing"


def test_it_emits_what_failed_and_was_put_off(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    deliver_many(deployment, 3)
    deployment.aws.items["student", "stu_1"] |= {"facts": {"B": b"\x02"}}
    capsys.readouterr()
    with pytest.raises(roll.RollIncomplete):
        deployment.roll()
    figures = emitted(capsys.readouterr().out)
    assert {name: figures[name][0] for name in ("Due", "Rolled", "RollFailed", "PutOff")} == {
        "Due": 3,
        "Rolled": 2,
        "RollFailed": 1,
        "PutOff": 1,
    }
