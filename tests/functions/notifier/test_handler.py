"""The notifier's Lambda against topics in memory: who gets what, and that nothing is lost when SNS refuses."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from functions.notifier import handler
from functions.notifier.handler import lambda_handler
from functions.notifier.message import notification
from tests.helpers.alert_details import event, event_of

Received = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The three topics."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    handler._sns.cache_clear()
    with mock_aws():
        client = boto3.client("sns")
        for severity, variable in handler.TOPICS.items():
            monkeypatch.setenv(variable, client.create_topic(Name=severity)["TopicArn"])
        yield client
    handler._sns.cache_clear()


@pytest.fixture
def received(sns: Any) -> Received:
    """What a queue subscribed to a topic has got, in SNS's envelope."""
    sqs = boto3.client("sqs")
    for topic in sns.list_topics()["Topics"]:
        arn = topic["TopicArn"]
        url = sqs.create_queue(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)

    def read(severity: str) -> list[dict[str, Any]]:
        url = sqs.get_queue_url(QueueName=severity)["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return read


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_machines_get_the_event_as_it_was_from_the_topic_of_its_severity(received: Received, severity: str) -> None:
    alert = event(severity=severity, entity_id="stü\u2028\ud800")
    answer = lambda_handler(alert, None)
    got = {topic: received(topic) for topic in handler.TOPICS}
    assert [topic for topic, messages in got.items() if messages] == [severity]
    (message,) = got[severity]
    assert json.loads(message["Message"]) == alert
    assert answer == {"topic_arn": message["TopicArn"], "message_id": message["MessageId"]}
    assert {name: value["Value"] for name, value in message["MessageAttributes"].items()} == {
        "severity": severity,
        "alert_type": "low_health_score",
        "status": "firing",
        "entity_type": "student",
    }


def test_people_get_the_text_with_a_subject(sns: Any) -> None:
    told = notification(event())
    with Stubber(handler._sns()) as stubbed:
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.attributes.items()}
        stubbed.add_response(
            "publish",
            {"MessageId": "m1"},
            {
                "TopicArn": "arn:aws:sns:eu-west-1:123456789012:critical",
                "Subject": "[critical] stu_1 is slipping away: health score 45",
                "Message": told.message,
                "MessageStructure": "json",
                "MessageAttributes": attributes,
            },
        )
        lambda_handler(event(), None)
    assert json.loads(told.message)["email"].startswith("Student stu_1 is slipping away: health score 45.\n")


def test_the_journal_has_the_alert_on_one_line(received: Received, capsys: pytest.CaptureFixture[str]) -> None:
    alert = event(message="zwei\nZeilen", entity_id="stü\ud800")
    lambda_handler(alert, None)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "level": "INFO",
        "message": "Alert",
        "source": "iops-dashboard.processor",
        "time": "2026-11-23T10:00:00Z",
        "alert": alert["detail"],
    }


def test_the_journals_line_is_written_out_before_sns_is_called(sns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written_out: list[str] = []

    class Out(io.StringIO):
        def flush(self) -> None:
            written_out.append(self.getvalue())

    def publish(**_: Any) -> dict[str, str]:
        assert '"alert_id": "a1"' in "".join(written_out)
        return {"MessageId": "m1"}

    monkeypatch.setattr("sys.stdout", Out())
    monkeypatch.setattr(handler._sns(), "publish", publish)
    assert lambda_handler(event(), None)["message_id"] == "m1"


def test_all_attempts_end_within_the_functions_minute(sns: Any) -> None:
    config = handler._sns().meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


def test_what_sns_refuses_is_raised_after_it_is_in_the_journal(sns: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """So Lambda tries again, and in the end puts it into the dead-letter queue."""
    sns.delete_topic(TopicArn="arn:aws:sns:eu-west-1:123456789012:critical")
    for _ in range(2):
        with pytest.raises(ClientError, match="NotFound"):
            lambda_handler(event(), None)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["alert"]["alert_id"] for line in lines] == ["a1", "a1"]


@pytest.mark.parametrize("severity", ["fatal", None, ["critical"]])
def test_an_alert_without_a_topic_is_refused_by_its_name(
    sns: Any, capsys: pytest.CaptureFixture[str], severity: Any
) -> None:
    with pytest.raises(ValueError, match=r"the alert's severity is .*: it must be one of critical, warning, info"):
        lambda_handler(event(severity=severity), None)
    assert '"alert_id": "a1"' in capsys.readouterr().out


def test_a_missing_variable_is_named(sns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFO_TOPIC_ARN")
    with pytest.raises(ValueError, match="INFO_TOPIC_ARN is not set: it names the topic of info alerts"):
        lambda_handler(event(severity="info"), None)


@pytest.mark.parametrize("given", [None, [], {}, {"detail": None}, {"detail": "text"}])
def test_what_is_no_event_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="the event has no detail"):
        lambda_handler(given, None)


def test_an_alert_of_another_source_with_nothing_but_a_severity_arrives(received: Received) -> None:
    alert = event_of({"severity": "warning"}, source="iops-dashboard.ai")
    lambda_handler(alert, None)
    (message,) = received("warning")
    assert message["Subject"] == "[warning] An alert that does not say what it is"
    assert json.loads(message["Message"]) == alert
