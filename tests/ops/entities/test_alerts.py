"""Alerts: those that fire now, from the items; each once as it comes, from the notifier's log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.model import to_iso
from ops.entities import alerts
from ops.entities.alerts import Selection
from ops.metrics_table import MetricsTable
from tests.helpers import metrics_table
from tests.helpers.account import MINUTE_MS, NOTIFIER, Account, refused
from tests.helpers.deployment import NOW, deployed
from tests.helpers.metrics_table import TABLE
from tests.helpers.ops_command import ops, said

AT = ("--table", TABLE)


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    """Items with alerts of two moments."""
    events = metrics_table.events()
    late = [each for each in events if b"supply" in each]
    with deployed() as made:
        assert made.deliver(*(each for each in events if each not in late)) == []
        made.clock.ms += MINUTE_MS
        assert made.deliver(*late) == []
        return list(made.aws.items.values())


@pytest.fixture
def table(items: list[dict[str, Any]]) -> Iterator[Any]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, items)
        yield dynamodb


def test_the_oldest_first(table: Any) -> None:
    found = alerts.firing(MetricsTable(table, TABLE), Selection())
    assert [(each.key.entity_id, each.alert_type, each.severity, each.since) for each in found] == [
        ("stu_1", "high_ib_call_frequency", "warning", to_iso(NOW)),
        ("stu_1", "low_health_score", "critical", to_iso(NOW)),
        ("stu_2", "low_health_score", "warning", to_iso(NOW)),
        ("algebra", "supply_demand_imbalance", "info", to_iso(NOW + MINUTE_MS)),
    ]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (("--severity", "critical"), ["stu_1"]),
        (("--severity", "critical", "--severity", "info"), ["stu_1", "algebra"]),
        (("--type", "low_health_score"), ["stu_1", "stu_2"]),
        (("--type", "low_health_score", "--severity", "warning"), ["stu_2"]),
        (("--type", "supply_demand_imbalance", "--severity", "warning"), []),
        (("--type", "demand_surge"), []),
    ],
)
def test_selected(table: Any, options: tuple[str, ...], ids: list[str]) -> None:
    result = ops("alerts", *AT, *options, "--output", "json")
    assert result.exit_code == 0
    assert [each["entity_id"] for each in json.loads(result.stdout)["alerts"]] == ids


def test_one_scan_that_sends_only_items_with_alerts(account: Account, items: list[dict[str, Any]]) -> None:
    page = {"Items": [each for each in items if each["alerts"]["M"]]}
    account.answers["scan"] = [{"Items": []}, page, {"Items": []}]
    assert "4 alerts are firing." in ops("alerts", *AT).stdout
    ((operation, asked),) = account.calls
    assert operation == "scan"
    assert asked["FilterExpression"] == "attribute_exists(alerts) AND size(alerts) > :none"
    assert asked["ExpressionAttributeValues"] == {":none": {"N": "0"}}
    assert set(asked["ExpressionAttributeNames"].values()) == {"entity_id", "entity_type", "alerts"}


def test_as_a_table(table: Any) -> None:
    result = ops("alerts", *AT)
    assert result.exit_code == 0
    assert "2026-11-23 10:01  info      supply_demand_imbalance  subject algebra" in result.stdout
    assert "4 alerts are firing." in result.stdout


def test_as_json(table: Any, items: list[dict[str, Any]]) -> None:
    told = json.loads(ops("alerts", *AT, "--severity", "info", "--output", "json").stdout)
    (subject,) = [each for each in items if each["entity_type"]["S"] == "subject"]
    assert told == {
        "table": TABLE,
        "alerts": [
            {
                "entity_type": "subject",
                "entity_id": "algebra",
                "alert_type": "supply_demand_imbalance",
                "severity": "info",
                "since": to_iso(NOW + MINUTE_MS),
                "episode_id": subject["alerts"]["M"]["supply_demand_imbalance"]["M"]["episode_id"]["S"],
            }
        ],
    }


def test_no_index_is_needed(items: list[dict[str, Any]]) -> None:
    with mock_aws():
        metrics_table.make(boto3.client("dynamodb"), items, off=metrics_table.SORTED_BY)
        result = ops("alerts", *AT)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "4 alerts are firing." in result.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--type", "odd"), "--type odd: there is no such alert; choose one of high_ib_call_frequency"),
        (("--since", "1h"), "--since goes with --follow"),
        (("--follow", "--since", "soon"), "'soon' is no ISO-8601 date or time"),
        (("--severity", "bad"), "critical"),
    ],
)
def test_mistakes(options: tuple[str, ...], says: str) -> None:
    result = ops("alerts", *AT, *options)
    assert result.exit_code == 2
    assert says in said(result)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDeniedException", "dynamodb:Scan is needed"),
        ("ThrottlingException", "AWS throttles Scan on the table metrics: wait a minute"),
    ],
)
def test_what_aws_refuses(account: Account, code: str, says: str) -> None:
    account.answers["scan"] = refused("Scan", code)
    result = ops("alerts", *AT)
    assert result.exit_code == 254
    assert says in said(result)


# -- as they come -----------------------------------------------------------------------------------------------------


def line(number: int, at_ms: int, **other: Any) -> tuple[int, str]:
    """What the notifier logs."""
    alert = {
        "alert_id": f"alert-{number}",
        "alert_type": "low_health_score",
        "severity": "warning",
        "status": "firing",
        "entity_type": "student",
        "entity_id": f"stu_{number}",
        "message": f"Student stu_{number} has low health score: 65.0",
        **other,
    }
    return at_ms, json.dumps({"message": "Alert", "source": "iops-dashboard.processor", "alert": alert})


class Passing:
    """Time that passes only between two looks at the log: each pause brings new lines, and after the last, Ctrl-C."""

    def __init__(self, account: Account, looks: list[list[tuple[int, str]]], monkeypatch: pytest.MonkeyPatch) -> None:
        self.account, self.looks, self.now_ms = account, looks, NOW
        monkeypatch.setattr("time.sleep", self.sleep)
        monkeypatch.setattr("functions.aws.clock.now_ms", lambda: self.now_ms)

    def sleep(self, _: float) -> None:
        if not self.looks:
            raise KeyboardInterrupt
        self.now_ms += 10_000
        self.account.log[NOTIFIER] += self.looks.pop(0)


def test_alerts_as_they_come(account: Account, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account.log[NOTIFIER] = [line(0, NOW - 2 * MINUTE_MS)]  # before anybody looked
    Passing(
        account,
        [
            [line(1, NOW + 1)],
            [line(2, NOW + 11_000), line(1, NOW + 12_000), (NOW + 12_000, "START Alert")],
            [line(3, NOW + 5_000)],  # an older line that could be read only now
            [line(4, NOW + 31_000, status="resolved", severity="critical")],
        ],
        monkeypatch,
    )
    result = ops("alerts", "--follow", "--stack-outputs", str(outputs))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"2026-11-23 10:00:{second}  {severity}  {status}  low_health_score  student stu_{number}: "
        f"Student stu_{number} has low health score: 65.0"
        for number, second, severity, status in (
            (1, "00", "warning", "firing"),
            (2, "11", "warning", "firing"),
            (3, "05", "warning", "firing"),
            (4, "31", "critical", "resolved"),
        )
    ]


def test_alerts_of_before_and_as_json_lines(account: Account, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account.log[NOTIFIER] = [line(0, NOW - 61 * MINUTE_MS), line(1, NOW - 2 * MINUTE_MS)]
    Passing(account, [[line(2, NOW + 1, severity="info"), line(3, NOW + 2)]], monkeypatch)
    where = ("--stack-outputs", str(outputs))
    result = ops("alerts", "-f", "--since", "1h", "--severity", "warning", "--output", "json", *where)
    assert result.exit_code == 0
    told = [json.loads(each) for each in result.stdout.splitlines()]
    assert [each["alert_id"] for each in told] == ["alert-1", "alert-3"]
    assert told[0]["at"] == to_iso(NOW - 2 * MINUTE_MS)
    assert told[0]["source"] == "iops-dashboard.processor"


def test_other_sources_are_followed_too(account: Account, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps({"message": "Alert", "source": "iops-dashboard.ai", "alert": {"note": "odd"}})
    Passing(account, [[(NOW + 1, text)]], monkeypatch)
    result = ops("alerts", "-f", "--output", "json", "--stack-outputs", str(outputs))
    (told,) = [json.loads(each) for each in result.stdout.splitlines()]
    assert told == {"at": to_iso(NOW + 1), "source": "iops-dashboard.ai", "note": "odd"}


def test_what_others_put_on_the_bus_does_nothing_to_the_terminal(
    account: Account, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Passing(account, [[line(1, NOW + 1, message="\x1b[2Jgone\x9b")]], monkeypatch)
    assert "\\x1b[2Jgone\\x9b" in ops("alerts", "-f", "--stack-outputs", str(outputs)).stdout
    Passing(account, [], monkeypatch)
    told = ops("alerts", "-f", "--since", "1m", "--output", "json", "--stack-outputs", str(outputs)).stdout
    assert "\x9b" not in told
    assert json.loads(told)["message"] == "\x1b[2Jgone\x9b"


def test_what_was_shown_is_forgotten_when_no_repeat_can_come(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = Passing(account, [[], []], monkeypatch)
    account.log[NOTIFIER] = [line(1, NOW)]
    coming = alerts.follow(account.client("logs"), NOTIFIER, NOW, Selection())
    assert next(coming).alert["alert_id"] == "alert-1"
    passing.now_ms += 25 * 60 * MINUTE_MS
    passing.looks = [[], [line(1, passing.now_ms + 30_000)]]
    assert next(coming).at_ms == passing.now_ms + 10_000


def test_a_log_that_is_not_there(account: Account, outputs: Path) -> None:
    account.answers["filter_log_events"] = refused("FilterLogEvents", "ResourceNotFoundException")
    result = ops("alerts", "--follow", "--stack-outputs", str(outputs))
    assert result.exit_code == 254
    assert f"the log group /aws/lambda/{NOTIFIER} does not exist" in said(result)
    account.answers["filter_log_events"] = refused("FilterLogEvents")
    result = ops("alerts", "--follow", "--notifier", "another")
    assert "FilterLogEvents on the log group /aws/lambda/another is not allowed: logs:FilterLogEvents" in said(result)


def test_without_a_stack() -> None:
    assert "--table is missing" in said(ops("alerts"))
    assert "--notifier is missing" in said(ops("alerts", "--follow"))
