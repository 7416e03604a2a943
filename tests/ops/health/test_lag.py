"""How far behind a deployment is: each part at and beyond its limit, and what cannot be looked at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.aws.state_table import StateTable
from functions.entities import wakes
from functions.entities.wakes import Rhythm, Wake
from functions.model import DAY_MS, EntityKey, to_iso
from ops.health import due_wakes, lag
from ops.health.check_results import Finding, Status
from ops.health.lag import Limits
from ops.target import Target
from tests.helpers.account import (
    BUCKET,
    FUNCTION,
    MINUTE_MS,
    OUTPUTS,
    QUEUE,
    ROLLUP,
    STREAM,
    TABLE,
    Account,
    emf,
    refused,
)
from tests.helpers.deployment import ENVIRONMENT, NOW, deployed
from tests.helpers.ops_command import ops, said

STATE_TABLE = ENVIRONMENT["STATE_TABLE_NAME"]


def measured(target: Target, limits: Limits | None = None) -> dict[str, Finding]:
    return {each.part: each for each in lag.measure(target, limits or Limits(), NOW).found}


def test_nothing_is_behind(account: Account, target: Target) -> None:
    account.due(("stu_1", 3), ("stu_2", 1))
    account.unsent(3)
    found = measured(target)
    assert {name: each.status for name, each in found.items()} == dict.fromkeys(
        (
            "event source mapping",
            "iterator age",
            "last batch",
            "roll",
            "outboxes",
            "rollup",
            "dead letters",
            "quarantine",
        ),
        Status.OK,
    )
    assert found["last batch"].said == "2 min ago: 100 records, the oldest 2 s after its arrival"
    assert found["last batch"].figures == {
        "at": to_iso(NOW - 2 * MINUTE_MS),
        "records": 100,
        "failed": 0,
        "lag_ms": 1500,
    }
    assert found["roll"].said == "2 wakes are due, of 2 entities, the first for 3 min"
    assert found["outboxes"].figures == {"oldest": to_iso(NOW - 3 * MINUTE_MS)}
    assert found["iterator age"].said == "records have waited 1 s"
    assert found["rollup"].said == "the last was complete 10 min ago"


BEHIND: list[tuple[str, Callable[[Account], None], str, str]] = [
    (
        "event source mapping",
        lambda account: account.answers.update(
            list_event_source_mappings={
                "EventSourceMappings": [account.mapping(State="Disabled", StateTransitionReason="User action")]
            }
        ),
        "it is Disabled (User action); records wait on the stream",
        "aws lambda update-event-source-mapping --uuid a-b-c --enabled",
    ),
    (
        "event source mapping",
        lambda account: account.answers.update(
            list_event_source_mappings={
                "EventSourceMappings": [account.mapping(LastProcessingResult="PROBLEM: Cannot access stream")]
            }
        ),
        "its last result is PROBLEM: Cannot access stream",
        "`pulumi up`",
    ),
    (
        "event source mapping",
        lambda account: account.answers.update(
            list_event_source_mappings={
                "EventSourceMappings": [account.mapping(EventSourceArn="arn:aws:kinesis:r:1:stream/another")]
            }
        ),
        f"the function {FUNCTION} does not read the stream {STREAM}",
        "pulumi up",
    ),
    (
        "iterator age",
        lambda account: account.answers.update(get_metric_data=account.figures(age=[600_001.0, 1.0])),
        "records have waited 10 min",
        "iterator-age",
    ),
    (
        "iterator age",
        lambda account: account.answers.update(get_metric_data=account.figures(arrived=[7.0, 5.0])),
        f"12 records have arrived in 15 minutes, and the function {FUNCTION} was not called",
        "stream-unread",
    ),
    (
        "last batch",
        lambda account: account.log[FUNCTION].append((NOW, emf(Records=10, FailedRecords=2, BatchLag=0))),
        "0 s ago: 10 records, the oldest 0 s after its arrival; 2 of them failed",
        "failed-records",
    ),
    (
        "roll",
        lambda account: account.due(("stu_1", 16)),
        "1 wakes are due, of 1 entities, the first for 16 min: counts are too high",
        "roll-missing",
    ),
    ("rollup", lambda account: account.log.update({ROLLUP: []}), "no rollup was complete for a day", "schedule"),
    (
        "rollup",
        lambda account: account.log.update({ROLLUP: [(NOW - 46 * MINUTE_MS, emf(RolledUp=1))]}),
        "46 min ago",
        "schedule",
    ),
    (
        "dead letters",
        lambda account: account.answers.update(
            get_queue_attributes={
                "Attributes": {"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "1"}
            }
        ),
        "3 undelivered alerts wait in the queue",
        "dead-letters",
    ),
    (
        "quarantine",
        lambda account: account.answers.update(list_objects_v2={"Contents": [{"Key": "a"}, {"Key": "b"}]}),
        "2 records and 2 failed batches wait",
        "`iops redrive --failed`",
    ),
]


@pytest.mark.parametrize(("part", "spoil", "says", "do"), BEHIND)
def test_what_is_behind_says_what_to_do(
    account: Account, target: Target, part: str, spoil: Callable[[Account], None], says: str, do: str
) -> None:
    spoil(account)
    found = measured(target)
    assert [name for name, each in found.items() if each.status is Status.WRONG] == [part]
    assert says in found[part].said
    assert do in found[part].do


def test_an_alert_that_waits_too_long(account: Account, target: Target) -> None:
    account.due(("stu_1", 14))
    account.unsent(16)
    found = measured(target)
    assert [name for name, each in found.items() if each.status is Status.WRONG] == ["outboxes"]
    assert found["outboxes"].said == "an alert has waited 16 min to be put on the bus"


def test_outboxes_are_read_until_the_table_has_answered_for_all(account: Account, target: Target) -> None:
    account.due(*((f"stu_{number}", 1) for number in range(150)))
    asked: list[int] = []

    def batch_get_item(*, RequestItems: dict[str, Any]) -> dict[str, Any]:
        keys = RequestItems[TABLE]["Keys"]
        asked.append(len(keys))
        left = {TABLE: {"Keys": keys[:10]}} if len(keys) > 10 else {}
        return {"Responses": {TABLE: []}, "UnprocessedKeys": left}

    account.answers["batch_get_item"] = batch_get_item
    assert measured(target)["outboxes"].status is Status.OK
    assert asked == [100, 10, 50, 10]


def test_what_is_due_is_counted_up_to_a_limit(
    account: Account, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_wakes, "MOST_WAKES", 2)
    account.due(("stu_1", 3), ("stu_2", 1))
    found = measured(target)["roll"]
    assert found.said == "2 or more wakes are due, of 2 entities, the first for 3 min"
    assert found.figures["all_counted"] is False


@pytest.mark.parametrize(("used", "lanes"), [(None, 3), (2, 3), (5, 5)])
def test_every_lane_that_was_ever_used_is_looked_at(
    account: Account, target: Target, used: int | None, lanes: int
) -> None:
    """Those that are in use now, and those of before the setting was lowered."""
    account.answers["get_function_configuration"] = {"Environment": {"Variables": {**ENVIRONMENT, "WAKE_LANES": "3"}}}
    if used:
        account.answers["get_item"] = {"Item": {"lanes": {"N": str(used)}}}
    measured(target)
    asked = [each["ExpressionAttributeValues"][":lane"] for name, each in account.calls if name == "query"]
    assert asked == [{"S": f"wake#{lane}"} for lane in range(lanes)]
    assert not [name for name, _ in account.calls if name.startswith(("put", "delete", "batch_write"))]


def test_a_wake_that_is_not_due_yet_is_not_counted(account: Account, target: Target) -> None:
    """Its outbox is looked at: the roll puts off what the bus did not take, up to an hour."""
    account.due(("stu_1", -59))
    account.unsent(16)
    found = measured(target)
    assert (found["roll"].status, found["roll"].said) == (Status.OK, "no wake is due")
    assert found["outboxes"].status is Status.WRONG
    account.due(("stu_1", -66))
    account.answers["batch_get_item"] = refused("BatchGetItem")
    assert measured(target)["outboxes"].status is Status.OK


def test_outboxes_of_due_wakes_come_first_then_of_those_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_wakes, "MOST_OUTBOXES", 3)
    with deployed() as made:
        for name, minutes, put_off in (("a", 1, 0), ("b", 30, 2), ("c", -3, 0), ("d", -1, 0), ("e", 20, 0)):
            wake = Wake(0, (NOW + minutes * MINUTE_MS) // 1_000, (EntityKey("student", name),), put_off)
            key = wakes.key_of(wake)
            made.aws.state[key["pk"]["S"], key["sk"]["S"]] = wakes.attributes_of(wake)
        found = due_wakes.read(StateTable(STATE_TABLE), Rhythm(), NOW)
    assert [key.entity_id for key in found.suspects] == ["c", "d", "b"]
    assert (found.number, found.entities, found.since_ms) == (2, 2, NOW - 3 * MINUTE_MS)


def test_a_wake_that_cannot_be_read_is_told(account: Account, target: Target) -> None:
    account.answers["query"] = {"Items": [{"pk": {"S": "wake#0"}, "sk": {"S": "000000000001#a"}}]}
    found = measured(target)["roll"]
    assert found.status is Status.WRONG
    assert found.said == "no wake is due; 4 wakes cannot be read"
    assert found.figures["unreadable"] == 4


def test_limits_are_options(account: Account, outputs: Path) -> None:
    account.due(("stu_1", 16))
    account.answers["get_metric_data"] = account.figures(age=[660_000.0])
    account.answers["get_queue_attributes"] = {"Attributes": {"ApproximateNumberOfMessages": "2"}}
    account.answers["list_objects_v2"] = {"Contents": [{"Key": "a"}]}
    where = ("--stack-outputs", str(outputs))
    assert ops("lag", *where).exit_code == 1
    generous = ("--max-overdue", "16", "--max-age", "11", "--max-dead-letters", "2", "--max-failed-batches", "1")
    result = ops("lag", *where, *generous)
    assert result.exit_code == 0
    assert "Nothing is behind." in result.stdout


def test_what_cannot_be_told_is_skipped(account: Account, target: Target) -> None:
    account.log[FUNCTION] = []
    account.answers["get_metric_data"] = account.figures()
    found = measured(target)
    skipped = {name: each.said for name, each in found.items() if each.status is Status.SKIPPED}
    assert skipped == {
        "iterator age": "CloudWatch has no figure of the last 15 minutes, in which nothing was taken in",
        "last batch": "the processor has taken in nothing for a day",
    }
    assert all(each.status is not Status.WRONG for each in found.values())


def test_a_rollup_that_is_still_to_come(account: Account, target: Target) -> None:
    account.log[ROLLUP] = []
    account.answers["get_function_configuration"]["LastModified"] = "2026-11-23T09:50:00.000+0000"
    found = measured(target)["rollup"]
    assert found.status is Status.SKIPPED
    assert found.said == "its function was deployed 10 min ago: the first rollup is still to come"


def test_figures_that_a_local_aws_has_not(account: Account, target: Target) -> None:
    account.answers["get_metric_data"] = account.figures()
    account.endpoint_url = "http://127.0.0.1:4566"
    assert measured(target)["iterator age"].said == "a local AWS has no such figure"


def test_a_stack_without_a_rollup(account: Account, tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({name: value for name, value in OUTPUTS.items() if name != "RollupFunctionName"}))
    target = Target()
    target.find(stack_outputs=file)
    assert "rollup" not in measured(target)


@pytest.mark.parametrize(
    ("operation", "call", "part", "needs"),
    [
        ("list_event_source_mappings", "ListEventSourceMappings", "event source mapping", f"the function {FUNCTION}"),
        ("get_metric_data", "GetMetricData", "iterator age", "cloudwatch:GetMetricData is needed"),
        ("filter_log_events", "FilterLogEvents", "last batch", f"the log group /aws/lambda/{FUNCTION}"),
        ("query", "Query", "roll", f"the table {STATE_TABLE} is not allowed: dynamodb:Query is needed"),
        ("get_item", "GetItem", "roll", f"the table {STATE_TABLE} is not allowed: dynamodb:GetItem is needed"),
        ("batch_get_item", "BatchGetItem", "outboxes", f"the table {TABLE} is not allowed: dynamodb:BatchGetItem"),
        ("get_queue_attributes", "GetQueueAttributes", "dead letters", f"the dead-letter queue {QUEUE}"),
        ("list_objects_v2", "ListObjectsV2", "quarantine", f"the bucket {BUCKET} is not allowed: s3:ListBucket"),
    ],
)
def test_a_missing_permission_costs_one_part(
    account: Account, target: Target, operation: str, call: str, part: str, needs: str
) -> None:
    account.due(("stu_1", 1))
    account.answers[operation] = refused(call)
    found = measured(target)
    assert found[part].status is Status.SKIPPED
    assert "is not allowed" in found[part].said
    assert needs in found[part].said
    assert "dead letters" in found


def test_throttling_costs_one_part_and_a_missing_thing_is_wrong(account: Account, target: Target) -> None:
    account.answers["get_metric_data"] = refused("GetMetricData", "Throttling")
    account.answers["get_queue_attributes"] = refused("GetQueueAttributes", "AWS.SimpleQueueService.NonExistentQueue")
    found = measured(target)
    assert (found["iterator age"].status, found["dead letters"].status) == (Status.SKIPPED, Status.WRONG)
    assert "AWS throttles GetMetricData" in found["iterator age"].said
    assert f"the dead-letter queue {QUEUE} does not exist" in found["dead letters"].said


def test_whatever_else_aws_answers_ends_the_command(account: Account, outputs: Path) -> None:
    account.answers["list_objects_v2"] = refused("ListObjectsV2", "ExpiredToken")
    result = ops("lag", "--stack-outputs", str(outputs))
    assert result.exit_code == 254
    assert "have expired: log in again" in said(result)


def test_as_a_table(account: Account, outputs: Path) -> None:
    account.due(("stu_1", 20))
    result = ops("lag", "--stack-outputs", str(outputs))
    assert result.exit_code == 1
    assert "1 wakes are due, of 1 entities, the first for 20 min: counts are too high" in result.stdout
    assert "→ see docs/operations.md, roll-missing, overdue-wakes and roll-failures" in result.stdout
    assert "7 ok, 1 wrong." in result.stdout


def test_as_json(account: Account, outputs: Path) -> None:
    result = ops("lag", "--stack-outputs", str(outputs), "--output", "json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["well"] is True
    assert told["findings"][0] == {
        "part": "event source mapping",
        "status": "ok",
        "said": "enabled, last result: OK",
        "do": "",
        "figures": {"uuid": "a-b-c", "state": "Enabled", "last_result": "OK"},
    }


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0 s"),
        (1_499, "1 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (7_199_000, "119 min"),
        (3 * DAY_MS, "3 days"),
    ],
)
def test_lengths_of_time(ms: int, text: str) -> None:
    assert lag.long(ms) == text


def test_without_a_stack(account: Account) -> None:
    result = ops("lag")
    assert result.exit_code == 2
    assert "no stack is given: give --stack NAME" in said(result)
