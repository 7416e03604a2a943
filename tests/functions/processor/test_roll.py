"""The roll: what time alone changes is brought up to date, and what a crash left is finished."""

import json
from typing import Any

import boto3
import pytest

from functions.aws import config
from functions.entities.item import due_partition
from functions.model import DAY_MS, HOUR_MS, EntityKey, to_iso
from functions.processor import roll
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, event_json
from tests.helpers.faulty_aws import Call, Faults, down
from tests.helpers.logs import Logs, emitted

NOTHING_DUE = {"due": 0, "written": 0, "alerts_sent": 0, "complete": True}
WRITE = "batch_execute_statement"


def call(student: str, call_id: str = "c1", age: int = 0) -> bytes:
    return event_json("ib_call_logged", {"student_id": student, "call_id": call_id}, timestamp=to_iso(NOW - age))


def low_health() -> bytes:
    return event_json("customer_health_update", {"student_id": "stu_1", "health_score": 60}, timestamp=to_iso(NOW))


def said(deployment: Deployment) -> list[tuple[str, str]]:
    return [(alert["status"], alert["timestamp"]) for alert in deployment.told()]


def test_counts_fall_at_the_first_roll_after_they_should(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1", age=7 * DAY_MS - 1_500))
    deployment.clock.ms += 1_000
    assert deployment.roll() == NOTHING_DUE
    deployment.clock.ms += 1_000
    assert deployment.roll() == {"due": 1, "written": 1, "alerts_sent": 0, "complete": True}
    assert deployment.item("student", "stu_1")["ib_calls_7d"] == 0
    assert deployment.item("student", "stu_1")["ib_calls_14d"] == 1
    assert deployment.roll() == NOTHING_DUE


def test_at_the_end_of_its_retention_a_fact_leaves_the_item_and_nothing_is_due_any_more(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"))
    deployment.clock.ms += 32 * DAY_MS
    assert deployment.roll()["written"] == 1
    assert not {"facts", "due_at", "due_partition"} & deployment.item("student", "stu_1").keys()
    deployment.clock.ms += 1_000 * DAY_MS
    assert deployment.roll() == NOTHING_DUE


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
    assert deployment.item("student", "stu_1")["alerts"] == {}


def test_a_lasting_alert_is_told_again_every_day_five_times(deployment: Deployment) -> None:
    deployment.deliver(low_health())
    for hour in range(1, 24 * 8):
        deployment.clock.ms = NOW + hour * HOUR_MS
        deployment.roll()
    reminders = [("reminder", to_iso(NOW + day * DAY_MS)) for day in range(1, 6)]
    assert said(deployment) == [("firing", to_iso(NOW)), *reminders]


def test_what_a_crash_left_untold_is_told_and_cleared(faults: Faults, deployment: Deployment) -> None:
    faults.planned["put_events"] = [down]
    assert deployment.deliver(low_health()) == [], "the record is committed; what is left is the roll's"
    (waiting,) = map(json.loads, deployment.item("student", "stu_1")["outbox"])
    assert deployment.roll() == {"due": 1, "written": 1, "alerts_sent": 1, "complete": True}
    assert deployment.told() == [waiting]
    assert deployment.roll() == NOTHING_DUE


def test_what_was_told_but_not_cleared_is_told_again_under_the_same_id(faults: Faults, deployment: Deployment) -> None:
    faults.planned[WRITE] = [None, down, down]
    assert deployment.deliver(low_health()) == []
    assert deployment.roll()["alerts_sent"] == 1
    first, again = deployment.told()
    assert first == again
    assert "outbox" not in deployment.item("student", "stu_1")


def test_as_long_as_the_bus_is_down_the_item_stays_due(faults: Faults, deployment: Deployment) -> None:
    faults.planned["put_events"] = [down] * 3
    deployment.deliver(low_health())
    for _ in range(2):
        assert deployment.roll() == {"due": 1, "written": 0, "alerts_sent": 0, "complete": True}
    assert deployment.roll()["alerts_sent"] == 1


# -- many -------------------------------------------------------------------------------------------------------------


def deliver_many(deployment: Deployment, count: int) -> None:
    """Students whose only call leaves the seven days with the next second."""
    deployment.deliver(*(call(f"stu_{each}", age=7 * DAY_MS - 1_000) for each in range(count)))
    deployment.clock.ms += 1_000


def test_everything_due_is_found_in_all_partitions_page_by_page(deployment: Deployment) -> None:
    deliver_many(deployment, 150)
    assert deployment.roll() == {"due": 150, "written": 150, "alerts_sent": 0, "complete": True}
    assert {deployment.item(*key)["ib_calls_7d"] for key in deployment.aws.items} == {0}
    assert deployment.aws.calls["query"] == 16


def test_what_fails_is_said_when_all_others_are_done_and_stays_due(deployment: Deployment) -> None:
    deliver_many(deployment, 40)
    sound = deployment.aws.items["student", "stu_7"]
    deployment.aws.items["student", "stu_7"] = sound | {"facts": {"B": b"\x02"}}
    with pytest.raises(roll.RollIncomplete, match=r"1 of 40 due items failed, the first: .* format version 2"):
        deployment.roll()
    left = {key for key in deployment.aws.items if deployment.item(*key)["ib_calls_7d"]}
    assert left == {("student", "stu_7")}
    deployment.aws.items["student", "stu_7"] = sound
    assert deployment.roll()["written"] == 1


def test_when_time_runs_out_the_next_roll_goes_on(faults: Faults, deployment: Deployment) -> None:
    def last(call: Call, arguments: dict[str, Any]) -> Any:
        deployment.remaining_ms = 0
        return call(**arguments)

    deliver_many(deployment, 40)
    faults.planned[WRITE] = [None, last]
    first = deployment.roll()
    assert first["complete"] is False
    assert 0 < first["due"] < 40
    deployment.remaining_ms = 120_000
    assert deployment.roll() == {
        "due": 40 - first["due"],
        "written": 40 - first["due"],
        "alerts_sent": 0,
        "complete": True,
    }


def test_it_says_what_it_did(deployment: Deployment, logs: Logs) -> None:
    deliver_many(deployment, 3)
    before = len(logs.lines())
    deployment.roll()
    (line,) = logs.lines()[before:]
    assert line["message"] == "Roll complete"
    assert {name: line[name] for name in ("due", "written", "failed", "alerts_sent", "complete")} == {
        "due": 3,
        "written": 3,
        "failed": 0,
        "alerts_sent": 0,
        "complete": True,
    }


def test_it_emits_how_long_items_have_been_due_and_notifications_unsent(
    deployment: Deployment, faults: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    def emitted_by_a_roll() -> dict[str, tuple[float, str]]:
        capsys.readouterr()
        deployment.roll()
        return emitted(capsys.readouterr().out)

    faults.planned["put_events"] = [down] * 10
    deployment.deliver(low_health())
    deployment.clock.ms += 90_000
    unsent = emitted_by_a_roll()
    assert (unsent["Due"], unsent["AlertsSent"]) == ((1, "Count"), (0, "Count"))
    assert (unsent["OldestDue"], unsent["OldestUnsent"]) == ((90, "Seconds"), (90, "Seconds"))
    faults.planned.clear()
    sent = emitted_by_a_roll()
    assert (sent["OldestDue"], sent["OldestUnsent"]) == ((90, "Seconds"), (0, "Seconds"))
    assert sent["AlertsSent[alert_type=low_health_score]"] == (1, "Count")
    nothing = emitted_by_a_roll()
    assert (nothing["OldestDue"], nothing["OldestUnsent"]) == ((0, "Seconds"), (0, "Seconds"))


@pytest.mark.usefixtures("moto")
def test_the_index_is_asked_as_dynamodb_understands_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    config.config.cache_clear()
    dynamodb, table = boto3.client("dynamodb"), ENVIRONMENT["DYNAMODB_TABLE_NAME"]
    kinds = {"entity_id": "S", "entity_type": "S", "due_partition": "S", "due_at": "N"}
    schemas = [
        [{"AttributeName": names[0], "KeyType": "HASH"}, {"AttributeName": names[1], "KeyType": "RANGE"}]
        for names in (("entity_id", "entity_type"), ("due_partition", "due_at"))
    ]
    index = {"IndexName": "DueIndex", "KeySchema": schemas[1], "Projection": {"ProjectionType": "KEYS_ONLY"}}
    dynamodb.create_table(
        TableName=table,
        KeySchema=schemas[0],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()],
        GlobalSecondaryIndexes=[index],
        BillingMode="PAY_PER_REQUEST",
    )
    now = NOW // 1_000
    keys = [EntityKey("student", f"stu_{each}") for each in range(60)]
    for each, key in enumerate(keys):
        due = {"due_partition": {"S": due_partition(key, 16)}, "due_at": {"N": str(now + each - 30)}}
        item = {"entity_id": {"S": key.entity_id}, "entity_type": {"S": key.entity_type}} | (due if each % 2 else {})
        dynamodb.put_item(TableName=table, Item=item)
    found = [item.key for part in roll._due(now) for item in part]
    assert sorted(found) == sorted(keys[1:31:2])


def test_an_outbox_that_could_not_be_cleared_is_cleared_at_once_in_a_second_try(
    faults: Faults, deployment: Deployment
) -> None:
    faults.planned[WRITE] = [None, down]
    assert deployment.deliver(low_health()) == []
    assert "outbox" not in deployment.item("student", "stu_1")
    assert deployment.roll() == NOTHING_DUE
    assert len(deployment.told()) == 1
