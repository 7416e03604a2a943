"""The commands that read, on the deployed stack: what was sent is what they tell, and what is missing is said."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from functions.model import DAY_MS, to_iso
from local.deploy import Deployment
from local.flow import Flow
from local.ministack import LocalAws
from tests.e2e.conftest import Iops
from tests.helpers.ops_command import said

STUDENT = "stu_ops_read"
TUTOR, SUBJECT = STUDENT.replace("stu", "tut"), STUDENT.replace("stu", "sub")


def event(event_type: str, age_ms: int = 0, **payload: Any) -> bytes:
    moment = to_iso(round(time.time() * 1000) - age_ms)
    return json.dumps({"event_type": event_type, "timestamp": moment, "payload": payload}).encode()


@pytest.fixture(scope="module")
def sent(flow: Flow) -> None:
    """A student in trouble, with a tutor, and a subject in high demand, taken in."""
    who = {"student_id": STUDENT, "tutor_id": TUTOR, "subject": SUBJECT}
    events = [
        event("session_completed", day * DAY_MS, session_id=f"{STUDENT}-{day}", student_rating=4.5, **who)
        for day in (1, 3, 9)
    ]
    events += [
        event("ib_call_logged", day * DAY_MS, call_id=f"{STUDENT}-{day}", student_id=STUDENT) for day in (2, 4, 6)
    ]
    events.append(event("customer_health_update", student_id=STUDENT, health_score=1.25))
    events.append(event("supply_demand_update", subject=SUBJECT, region="eu", balance_status="high_demand"))
    flow.send(events)
    flow.wait()


@pytest.mark.usefixtures("sent")
def test_an_entity(iops: Iops) -> None:
    told = iops.json("entity", "student", STUDENT)
    assert {name: told["attributes"][name] for name in ("sessions_7d", "sessions_14d", "ib_calls_14d")} == {
        "sessions_7d": 2,
        "sessions_14d": 3,
        "ib_calls_14d": 3,
    }
    assert told["settings"] == "deployed"
    assert {each["alert_type"] for each in told["alerts"] if each["firing"]} == {
        "high_ib_call_frequency",
        "low_health_score",
    }
    assert len(told["facts"]) == 6
    result = iops("entity", "student", STUDENT, "--explain", "--facts")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "6 facts, and 0 folded into 0 hours." in result.stdout


@pytest.mark.usefixtures("sent")
def test_no_such_entity(iops: Iops) -> None:
    result = iops("entity", "student", STUDENT[:-1])
    assert result.exit_code == 1
    assert f"there is no student {STUDENT[:-1]} in the table" in said(result)
    assert f"student {STUDENT}" in said(result)


@pytest.mark.usefixtures("sent")
def test_lists(iops: Iops) -> None:
    worst = iops.json("top", "students", "--health", "--limit", "1")["entities"]
    assert [(each["entity_id"], each["health_score"]) for each in worst] == [(STUDENT, 1.25)]
    by_calls = iops.json("top", "students", "--by", "ib_calls_14d", "--limit", "10000")["entities"]
    assert by_calls == sorted(by_calls, key=lambda each: -each["ib_calls_14d"])
    assert STUDENT in {each["entity_id"] for each in by_calls}
    newest = iops.json("recent", "students", "--limit", "10000")["entities"]
    assert [each["last_updated"] for each in newest] == sorted((each["last_updated"] for each in newest), reverse=True)
    assert SUBJECT in {each["entity_id"] for each in iops.json("recent", "--limit", "10000")["entities"]}
    assert iops("top", "regions", "--by", "high_demand_subjects").exit_code == 0


@pytest.mark.usefixtures("sent")
def test_alerts_now_firing(iops: Iops) -> None:
    alerts = iops.json("alerts")["alerts"]
    assert [each["since"] for each in alerts] == sorted(each["since"] for each in alerts)
    assert {"high_ib_call_frequency", "low_health_score"} <= {
        each["alert_type"] for each in alerts if each["entity_id"] == STUDENT
    }
    info = iops.json("alerts", "--severity", "info", "--type", "supply_demand_imbalance")["alerts"]
    assert SUBJECT in {each["entity_id"] for each in info}


@pytest.mark.usefixtures("sent")
def test_alerts_as_they_come(iops: Iops, flow: Flow) -> None:
    """The one before is told by --since, the next one while it runs; Ctrl-C ends it well."""
    command = iops.start("alerts", "--follow", "--since", "1h", "--output", "json")
    assert command.stdout is not None
    flow.send([event("customer_health_update", student_id=f"{STUDENT}-new", health_score=60)])
    flow.wait()
    seen = []
    for line in command.stdout:
        seen.append(json.loads(line))
        if seen[-1]["entity_id"] == f"{STUDENT}-new":
            break
    command.send_signal(signal.SIGINT)
    rest, errors = command.communicate(timeout=30)
    assert (command.returncode, errors) == (0, "")
    assert STUDENT in {each["entity_id"] for each in seen}
    ids = [each["alert_id"] for each in seen + [json.loads(line) for line in rest.splitlines()]]
    assert len(ids) == len(set(ids))


@pytest.mark.usefixtures("sent")
def test_lag(iops: Iops) -> None:
    result = iops("lag", "--output", "json")
    found = {each["part"]: each for each in json.loads(result.stdout)["findings"]}
    assert found["event source mapping"]["status"] == "ok"
    assert found["last batch"]["figures"]["records"] > 0
    assert found["outboxes"]["status"] == "ok"
    assert found["rollup"]["status"] in ("ok", "skipped")
    # What other tests leave in the quarantine and the dead-letter queue is theirs.
    assert result.exit_code == int(any(each["status"] == "wrong" for each in found.values()))
    assert {part for part, each in found.items() if each["status"] == "wrong"} <= {"quarantine", "dead letters"}


@pytest.mark.usefixtures("sent")
def test_doctor_with_a_probe(iops: Iops, ministack: LocalAws, deployment: Deployment, flow: Flow) -> None:
    result = iops("doctor", "--probe", "--timeout", "60", "--output", "json")
    flow.sent_by_others(2)
    found = {each["part"]: each for each in json.loads(result.stdout)["findings"]}
    steps = [each for part, each in found.items() if part.startswith("probe: ")]
    assert [each["status"] for each in steps] == ["ok"] * 6, steps
    assert {part for part, each in found.items() if each["status"] == "skipped"} >= {"metrics"}
    for part in ("stream", "processor", "event source mapping", "log", "table", "roll's schedule", "rules", "notifier"):
        assert found[part]["status"] == "ok", found[part]
    items = ministack.client("dynamodb").scan(TableName=deployment.outputs["MetricsTableName"])["Items"]
    assert not [item for item in items if item["entity_id"]["S"].startswith("iops-doctor")]


def test_doctor_finds_what_is_wrong(iops: Iops, ministack: LocalAws, deployment: Deployment) -> None:
    events, bus = ministack.client("events"), deployment.outputs["AlertBusName"]
    rule = deployment.outputs["CriticalTopicArn"].rpartition(":")[2]
    events.disable_rule(Name=rule, EventBusName=bus)
    try:
        result = iops("doctor")
    finally:
        events.enable_rule(Name=rule, EventBusName=bus)
    assert result.exit_code == 1
    assert f"{rule} is DISABLED; such alerts reach nobody" in " ".join(result.stdout.split())


COMMANDS = [
    ("entity", "student", STUDENT),
    ("top", "students", "--health"),
    ("recent",),
    ("alerts",),
    ("alerts", "--follow"),
    ("lag",),
    ("doctor",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_stack_that_is_gone(iops: Iops, deployment: Deployment, command: tuple[str, ...]) -> None:
    """The outputs of a stack that was destroyed: each command says what is not there."""
    gone = {name: f"{value}-gone" if isinstance(value, str) else value for name, value in deployment.outputs.items()}
    iops.outputs.write_text(json.dumps(gone))
    result = iops(*command)
    assert result.exit_code in (1, 254)
    assert "does not exist" in (said(result) or result.stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_stack(iops: Iops, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "empty.json").write_text("{}")
    iops = Iops(tmp_path / "empty.json")
    result = iops(*command)
    assert result.exit_code == 2
    assert "has no output" in said(result)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_credentials(iops: Iops, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    result = iops(*command)
    assert result.exit_code == 253
    assert "there are no AWS credentials: log in" in said(result)
