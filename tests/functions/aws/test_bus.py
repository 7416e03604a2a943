"""Publishing: ten entries a call, what is refused is sent again alone, and nothing is called accepted that is not."""

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.aws import bus
from functions.aws.bus import AlertBus
from functions.aws.deadline import Deadline
from functions.entities.alerts import Notification
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, event_json
from tests.helpers.faulty_aws import Faults, down
from tests.helpers.logs import Logs

NAME = ENVIRONMENT["EVENT_BUS_NAME"]
BUS = AlertBus(NAME)
LONG = Deadline(lambda: 120_000)


@pytest.fixture
def faults(over_http: Faults) -> Faults:
    """By real clients of either codec."""
    return over_http


def notifications(count: int) -> list[Notification]:
    return [
        Notification.parse(
            json.dumps(
                {
                    "alert_id": f"id_{number}",
                    "alert_type": "low_health_score",
                    "entity_id": "Zoë",
                    "timestamp": "2026-11-23T10:00:00.000Z",
                },
                ensure_ascii=False,
            )
        )
        for number in range(count)
    ]


def ids(count: int) -> set[str]:
    return {f"id_{number}" for number in range(count)}


def accepted(count: int, deadline: Deadline = LONG) -> set[str]:
    return set(BUS.send(notifications(count), deadline))


def sizes(faults: Faults) -> list[int]:
    return sorted(len(call["Entries"]) for call in faults.made["put_events"])


def test_an_entry_carries_source_type_time_and_the_notification_as_it_is(faults: Faults) -> None:
    (notification,) = notifications(1)
    assert BUS.send([notification], LONG) == {"id_0": "low_health_score"}
    assert faults.made["put_events"] == [
        {
            "Entries": [
                {
                    "EventBusName": NAME,
                    "Source": "iops-dashboard.processor",
                    "DetailType": "low_health_score",
                    "Detail": notification.detail,
                    "Time": NOW / 1000,
                }
            ]
        }
    ]


def test_entries_go_in_tens(faults: Faults) -> None:
    assert accepted(25) == ids(25)
    assert sizes(faults) == [5, 10, 10]


def test_nothing_to_tell_is_no_call(faults: Faults) -> None:
    assert accepted(0) == set()
    assert sizes(faults) == []


def test_refused_entries_alone_are_sent_again(faults: Faults) -> None:
    faults.aws.refuse_entries = 4
    assert accepted(3) == ids(3)
    assert [len(call["Entries"]) for call in faults.made["put_events"]] == [3, 3, 1]
    assert len(faults.aws.events) == 3


def test_what_stays_refused_is_not_called_accepted(faults: Faults) -> None:
    def refuse_the_first(call: Any, arguments: dict[str, Any]) -> Any:
        _, *rest = arguments["Entries"]
        done = call(Entries=rest)["Entries"] if rest else []
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}, *done]}

    faults.planned["put_events"] = [refuse_the_first] * 99
    assert accepted(3) == {"id_1", "id_2"}
    assert [len(call["Entries"]) for call in faults.made["put_events"]] == [3, 1, 1, 1]


def test_a_call_that_fails_is_left_to_the_roll(faults: Faults) -> None:
    faults.planned["put_events"] = [down]
    assert accepted(2) == set()
    assert sizes(faults) == [2]


def test_what_the_bus_did_not_take_is_in_the_log(faults: Faults, logs: Logs) -> None:
    faults.aws.refuse_entries = 1
    assert accepted(1) == ids(1)
    assert logs.messages("WARNING") == ["EventBridge refused alerts"]
    faults.planned["put_events"] = [down]
    assert accepted(2) == set()
    (line,) = (line for line in logs.lines() if line["level"] == "ERROR")
    assert (line["message"], line["alerts"]) == ("EventBridge took no alerts; the roll will send them", 2)


def test_past_the_deadline_nothing_is_sent(faults: Faults) -> None:
    assert accepted(2, Deadline(lambda: 0)) == set()
    assert sizes(faults) == []


def test_what_is_refused_stays_in_the_outbox_and_the_roll_sends_it_under_the_same_id(deployment: Deployment) -> None:
    low = event_json("customer_health_update", {"student_id": "stu_1", "health_score": 10})
    deployment.aws.refuse_entries = 4
    assert deployment.deliver(low) == []
    assert deployment.told() == []
    (waiting,) = map(json.loads, deployment.item("student", "stu_1")["outbox"])
    assert deployment.next_roll()["alerts_sent"] == 1
    assert deployment.told() == [waiting]
    assert "outbox" not in deployment.item("student", "stu_1")
    assert deployment.next_roll() == {"due": 0, "written": 0, "alerts_sent": 0, "complete": True}


@pytest.mark.usefixtures("moto")
def test_a_bus_takes_what_is_sent() -> None:
    boto3.client("events").create_event_bus(Name=NAME)
    assert accepted(12) == ids(12)


def test_entries_and_answers_are_such_as_eventbridge_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    real = boto3.client("events", region_name="us-east-1")
    monkeypatch.setattr(bus, "client", lambda _: real)
    monkeypatch.setattr("time.sleep", lambda _: None)
    refused = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
    with Stubber(real) as stub:
        stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, refused]})
        stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "2"}]})
        assert accepted(2) == ids(2)
        stub.assert_no_pending_responses()
