"""From the bus to the topics' subscribers: what machines get, and what there is for people."""

import json
from typing import Any

from local.deploy import Deployment
from local.flow import Flow
from local.ministack import LocalAws
from tests.helpers.alert_details import DETAIL
from tests.helpers.listening import listener


def put(ministack: LocalAws, deployment: Deployment, *details: dict[str, Any]) -> None:
    """Alerts on the bus, ten a call."""
    entries = [
        {
            "EventBusName": deployment.outputs["AlertBusName"],
            "Source": "iops-dashboard.processor",
            "DetailType": detail["alert_type"],
            "Detail": json.dumps(detail),
        }
        for detail in details
    ]
    for start in range(0, len(entries), 10):
        answer = ministack.client("events").put_events(Entries=entries[start : start + 10])
        assert answer["FailedEntryCount"] == 0


def test_a_subscriber_gets_the_event_as_json_and_may_filter_by_attributes(
    flow: Flow, ministack: LocalAws, deployment: Deployment
) -> None:
    url = listener(ministack, deployment.outputs["CriticalTopicArn"], "notifier", raw=False)
    detail = {**DETAIL, "alert_id": "enveloped", "entity_id": "Zoë"}
    put(ministack, deployment, detail)

    assert detail in flow.delivered()["critical"]
    (message,) = ministack.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    envelope = json.loads(message["Body"])
    assert envelope["Subject"] == "[critical] Zoe is slipping away: health score 45"
    told = json.loads(envelope["Message"])
    assert (told["source"], told["detail-type"], told["detail"]) == (
        "iops-dashboard.processor",
        "low_health_score",
        detail,
    )
    assert {name: value["Value"] for name, value in envelope["MessageAttributes"].items()} == {
        "severity": "critical",
        "alert_type": "low_health_score",
        "status": "firing",
        "entity_type": "student",
    }


def test_a_hundred_alerts_at_once_arrive(flow: Flow, ministack: LocalAws, deployment: Deployment) -> None:
    details = [{**DETAIL, "alert_id": f"one of many {number}", "severity": "info"} for number in range(100)]
    put(ministack, deployment, *details)

    arrived = flow.delivered()["info"]
    assert [each for each in details if each not in arrived] == []
