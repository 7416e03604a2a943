"""A deployment from end to end: what is well, what is wrong and what to do, what cannot be looked at; the probe."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from functions.entities.attribute_values import from_attribute
from ops.health import doctor, probe
from ops.health.check_results import Finding, Findings, Status
from ops.target import Target
from tests.helpers.account import (
    BUS,
    FUNCTION,
    MINUTE_MS,
    NOTIFIER,
    OUTPUTS,
    STREAM,
    TABLE,
    Account,
    ConditionalCheckFailed,
    refused,
)
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, deployed
from tests.helpers.ops_command import ops, said


def examined(target: Target) -> dict[str, Finding]:
    return {each.part: each for each in doctor.examine(target, NOW).found}


def test_all_is_well(account: Account, target: Target) -> None:
    found = examined(target)
    assert {each.status for each in found.values()} == {Status.OK}
    assert list(found) == [
        "stream",
        "processor",
        "event source mapping",
        "log",
        "errors",
        "metrics",
        "table",
        "internal table",
        "roll's function",
        "roll's schedule",
        "roll",
        "outboxes",
        "rollup's function",
        "rollup's schedule",
        "rollup",
        "rules",
        "notifier",
        "topic of critical alerts",
        "topic of warning alerts",
        "topic of info alerts",
        "dead letters",
        "quarantine",
    ]
    assert found["metrics"].said == "100 records counted in the last hour, in iops-dashboard"
    assert found["log"].said == "the last batch was complete 2 min ago"
    assert found["table"].said == f"{TABLE} is ACTIVE, with EntityTypeHealthIndex, LastUpdatedIndex"
    assert found["internal table"].said == f"{ENVIRONMENT['STATE_TABLE_NAME']} is ACTIVE, with no index"
    assert not [name for name, _ in account.calls if name.startswith(("put", "delete", "update"))]


def logged(account: Account, text: str) -> None:
    account.log[FUNCTION].append((NOW - MINUTE_MS, text))


def settings(**environment: str) -> dict[str, Any]:
    return {"State": "Active", "Environment": {"Variables": {**ENVIRONMENT, **environment}}}


def old_batch(account: Account) -> None:
    account.log[FUNCTION] = [(NOW - 30 * MINUTE_MS, text) for _, text in account.log[FUNCTION]]
    account.answers["get_metric_data"] = account.figures(age=[1.0])


WRONG: list[tuple[str, Callable[[Account], Any], str, str]] = [
    (
        "stream",
        lambda account: account.answers.update(
            describe_stream_summary={"StreamDescriptionSummary": {"StreamStatus": "DELETING"}}
        ),
        f"{STREAM} is DELETING and takes no records",
        "wait",
    ),
    (
        "stream",
        lambda account: account.answers.update(
            describe_stream_summary=refused("DescribeStreamSummary", "ResourceNotFoundException")
        ),
        f"the stream {STREAM} does not exist",
        "pulumi up",
    ),
    (
        "processor",
        lambda account: account.answers.update(
            get_function_configuration=lambda FunctionName: {
                **settings(),
                **({"State": "Failed", "StateReason": "no image"} if FunctionName == FUNCTION else {}),
            }
        ),
        f"{FUNCTION} cannot be called: no image",
        "pulumi up",
    ),
    (
        "processor",
        lambda account: account.answers.update(
            get_function_configuration=lambda FunctionName: {
                **settings(),
                **({"LastUpdateStatus": "Failed"} if FunctionName == FUNCTION else {}),
            }
        ),
        f"{FUNCTION} cannot be called: AWS does not say why",
        "pulumi up",
    ),
    (
        "notifier",
        lambda account: account.answers.update(
            get_function_configuration=lambda FunctionName: {
                **settings(),
                **({"State": "Failed", "StateReason": "gone"} if FunctionName == NOTIFIER else {}),
            }
        ),
        f"{NOTIFIER} cannot be called: gone",
        "pulumi up",
    ),
    (
        "errors",
        lambda account: logged(account, '{"level": "ERROR", "message": "An entity could not be brought up to date"}'),
        "1 in the processor's log of the last hour, one of them: An entity could not be brought up to date",
        "processor-errors",
    ),
    (
        "errors",
        lambda account: logged(account, "2026-11-23T09:59:00Z 1-2-3 Task timed out after 120.00 seconds\n"),
        "Task timed out after 120.00 seconds",
        "processor-errors",
    ),
    ("metrics", old_batch, "the namespace iops-dashboard has no Records of the last hour", "logging"),
    (
        "rules",
        lambda account: account.answers.update(list_targets_by_rule={"Targets": []}),
        f"on the bus {BUS}: iops-alerts-critical has no target",
        "pulumi up",
    ),
    (
        "rules",
        lambda account: account.answers.update(
            list_rules={
                "Rules": [
                    {"Name": "iops-alerts-warning", "State": "ENABLED"},
                    {"Name": "iops-alerts-info", "State": "DISABLED"},
                ]
            }
        ),
        "iops-alerts-critical is not there, iops-alerts-info is DISABLED; such alerts reach nobody",
        "pulumi up",
    ),
    (
        "dead letters",
        lambda account: account.answers.update(
            get_queue_attributes={"Attributes": {"ApproximateNumberOfMessages": "1"}}
        ),
        "1 undelivered alerts wait",
        "dead-letters",
    ),
    (
        "event source mapping",
        lambda account: account.answers.update(
            list_event_source_mappings={"EventSourceMappings": [account.mapping(State="Disabled")]}
        ),
        "it is Disabled",
        "enable it",
    ),
]


@pytest.mark.parametrize(("part", "spoil", "says", "do"), WRONG)
def test_what_is_wrong_says_what_to_do(
    account: Account, target: Target, part: str, spoil: Callable[[Account], Any], says: str, do: str
) -> None:
    spoil(account)
    found = examined(target)
    assert [name for name, each in found.items() if each.status is Status.WRONG] == [part]
    assert says in found[part].said
    assert do in found[part].do


def test_a_setting_that_is_not_allowed(account: Account, target: Target) -> None:
    account.answers["get_function_configuration"] = settings(WAKE_LANES="none")
    found = examined(target)["processor"]
    assert found.status is Status.WRONG
    assert "environment variable WAKE_LANES is 'none', allowed: a whole number from 1" in found.said


def test_schedules_that_rest(account: Account, target: Target) -> None:
    account.answers["get_schedule"] = {"State": "DISABLED", "ScheduleExpression": "rate(5 minutes)"}
    found = examined(target)
    assert found["roll's schedule"].status is found["rollup's schedule"].status is Status.WRONG
    assert found["roll's schedule"].said == "iops-roll-schedule is DISABLED: what changes by time alone stands still"


def test_an_index_that_is_off(account: Account, target: Target) -> None:
    account.answers["describe_table"] = described(account.table("LastUpdatedIndex"))
    found = examined(target)
    assert found["table"].said == "iops-metrics is ACTIVE, with LastUpdatedIndex"
    assert {each.status for each in found.values()} == {Status.OK}


def described(table: Any) -> Callable[..., Any]:
    """What DynamoDB says of the metrics table; the internal table has no index."""
    return lambda TableName: table if TableName == TABLE else Account.table()


def test_an_internal_table_that_is_not_there(account: Account, target: Target) -> None:
    account.answers["get_item"] = refused("GetItem", "ResourceNotFoundException")
    found = examined(target)
    assert {name for name, each in found.items() if each.status is Status.WRONG} == {"internal table", "roll"}
    said = f"the table {ENVIRONMENT['STATE_TABLE_NAME']} does not exist"
    assert found["internal table"].said.startswith(said)
    assert found["roll"].said.startswith(said)
    account.answers["get_item"] = refused("GetItem")
    refusal = examined(target)["internal table"]
    assert refusal.status is Status.SKIPPED
    assert f"the table {ENVIRONMENT['STATE_TABLE_NAME']} is not allowed: dynamodb:GetItem" in refusal.said


def test_subscribers(account: Account, target: Target) -> None:
    account.answers["get_topic_attributes"] = {"Attributes": {"SubscriptionsConfirmed": "0"}}
    found = examined(target)["topic of warning alerts"]
    assert (found.status, found.do) == (Status.SKIPPED, "set alertEmailsWarning")
    account.answers["get_topic_attributes"] = {
        "Attributes": {"SubscriptionsConfirmed": "2", "SubscriptionsPending": "1"}
    }
    found = examined(target)["topic of warning alerts"]
    assert (found.status, found.figures) == (Status.WRONG, {"confirmed": 2, "pending": 1})


def test_an_index_in_the_making(account: Account, target: Target) -> None:
    account.answers["describe_table"](TableName=TABLE)["Table"]["GlobalSecondaryIndexes"][1]["IndexStatus"] = "CREATING"
    found = examined(target)["table"]
    assert (found.status, found.said) == (Status.SKIPPED, "LastUpdatedIndex is CREATING")


def test_metrics_that_cannot_be_there_yet(account: Account, target: Target) -> None:
    account.answers["get_metric_data"] = account.figures(age=[1.0])
    assert "too young" in examined(target)["metrics"].said
    account.endpoint_url = "http://127.0.0.1:4566"
    assert examined(target)["metrics"].said == "a local AWS makes no metrics of log lines"
    account.log[FUNCTION] = []
    found = examined(target)
    assert found["metrics"].said == "no batch of the last hour to make metrics of"
    assert found["log"].do == "send something, with `iops doctor --probe`"
    assert {each.status for each in found.values()} == {Status.OK, Status.SKIPPED}


@pytest.mark.parametrize(
    ("operation", "call", "part", "needs"),
    [
        ("describe_stream_summary", "DescribeStreamSummary", "stream", "kinesis:DescribeStreamSummary"),
        ("get_function_configuration", "GetFunctionConfiguration", "processor", "lambda:GetFunctionConfiguration"),
        ("describe_table", "DescribeTable", "table", "dynamodb:DescribeTable"),
        ("get_schedule", "GetSchedule", "roll's schedule", "the schedule iops-roll-schedule is not allowed: scheduler"),
        ("list_rules", "ListRules", "rules", f"the bus {BUS} is not allowed: events:ListRules"),
        ("get_topic_attributes", "GetTopicAttributes", "topic of info alerts", "sns:GetTopicAttributes"),
    ],
)
def test_a_missing_permission_costs_one_part(
    account: Account, target: Target, operation: str, call: str, part: str, needs: str
) -> None:
    account.answers[operation] = refused(call, "AuthorizationError" if "topic" in operation else "AccessDenied")
    found = examined(target)
    assert found[part].status is Status.SKIPPED
    assert needs in found[part].said
    assert found["quarantine"].status is Status.OK
    assert not [name for name, each in found.items() if each.status is Status.WRONG]


def test_without_credentials_nothing_can_be_found(account: Account, outputs: Path) -> None:
    account.answers["describe_stream_summary"] = NoCredentialsError()
    result = ops("doctor", "--stack-outputs", str(outputs))
    assert result.exit_code == 253
    assert "there are no AWS credentials: log in" in said(result)


def test_the_command(account: Account, outputs: Path) -> None:
    result = ops("doctor", "--stack-outputs", str(outputs))
    assert result.exit_code == 0
    assert "All is well, as far as looking tells; --probe tries it." in result.stdout
    account.answers["list_objects_v2"] = {"Contents": [{"Key": "aws/lambda/a"}]}
    result = ops("doctor", "--stack-outputs", str(outputs), "--output", "json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["well"] is False
    assert [each["part"] for each in told["findings"] if each["status"] == "wrong"] == ["quarantine"]


# -- the probe --------------------------------------------------------------------------------------------------------


class Through:
    """The stack whose stream leads to the processor of this process."""

    def __init__(self, account: Account, deployment: Deployment) -> None:
        self.deployment, self.account = deployment, account
        self.put: list[dict[str, Any]] = []
        self.taken_in = True
        """Whether what is put on the stream is taken in."""
        self.lost_races = 0
        account.answers |= {"put_record": self.put_record, "get_item": self.get_item, "delete_item": self.delete_item}

    def put_record(self, *, StreamName: str, Data: bytes, PartitionKey: str) -> dict[str, Any]:
        assert (StreamName, PartitionKey) == (STREAM, "supply_demand_update")
        self.put.append(json.loads(Data))
        self.deployment.clock.ms += 1
        if self.taken_in:
            assert self.deployment.deliver(Data) == []
            self.account.log[NOTIFIER] = [
                (self.deployment.clock.ms, json.dumps({"message": "Alert", "alert": alert}))
                for alert in self.deployment.told()
            ]
        return {}

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> dict[str, Any]:
        assert ConsistentRead
        key = (Key["entity_type"]["S"], Key["entity_id"]["S"])
        item = self.deployment.aws.items.get(key)
        return {} if item is None else {"Item": item}

    def delete_item(self, *, Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **_: Any) -> None:
        if self.lost_races:
            self.lost_races -= 1
            raise ConditionalCheckFailed
        key = (Key["entity_type"]["S"], Key["entity_id"]["S"])
        assert self.deployment.aws.items[key]["version"] == ExpressionAttributeValues[":read"]
        del self.deployment.aws.items[key]


@pytest.fixture
def through(account: Account) -> Iterator[Through]:
    with deployed() as deployment:
        yield Through(account, deployment)


def probed(target: Target, timeout: int = 5) -> tuple[Findings, list[str]]:
    findings, told = Findings(target), list[str]()
    probe.probe(findings, target, timeout, told.append)
    return findings, told


STEPS = ["event in", "metric out", "alert out", "alert delivered", "alert resolved", "removed"]


def test_a_probe_goes_through_and_leaves_nothing(through: Through, target: Target) -> None:
    findings, told = probed(target)
    assert [each.part for each in findings.found] == told == [f"probe: {step}" for step in STEPS]
    assert findings.all_well
    assert through.deployment.aws.items == {}
    firing, resolved = through.deployment.told()
    assert (firing["status"], firing["severity"], firing["entity_type"]) == ("firing", "info", "subject")
    assert (resolved["status"], resolved["entity_id"]) == ("resolved", firing["entity_id"])
    assert firing["entity_id"] == "iops-doctor-20261123T100000000Z"
    assert [each["payload"]["balance_status"] for each in through.put] == ["high_demand", "balanced"]


def test_two_probes_have_alerts_of_their_own(through: Through, target: Target) -> None:
    probed(target)
    probed(target)
    assert len({alert["alert_id"] for alert in through.deployment.told()}) == 4


def test_a_stack_without_a_notifier(through: Through, target: Target) -> None:
    target.outputs = {name: value for name, value in OUTPUTS.items() if name != "NotifierFunctionName"}
    findings, told = probed(target)
    assert told == [f"probe: {step}" for step in STEPS if step != "alert delivered"]
    assert findings.all_well


def test_an_event_that_does_not_come_through(through: Through, target: Target) -> None:
    through.taken_in = False
    findings, told = probed(target, timeout=0)
    assert told == [f"probe: {step}" for step in ("event in", "metric out", "alert resolved")]
    wrong = [each for each in findings.found if each.status is Status.WRONG]
    assert "is not in the table iops-metrics, after 0 s" in wrong[0].said
    assert wrong[0].do == "look at the mapping, the log and the errors above"
    assert "is left behind: its second event has not come through" in wrong[1].said
    # The event that ends its alert is on the stream all the same.
    assert [each["payload"]["balance_status"] for each in through.put] == ["high_demand", "balanced"]


def test_an_alert_that_the_bus_refuses(through: Through, target: Target) -> None:
    through.deployment.aws.refuse_entries = 10**6
    findings, _ = probed(target, timeout=0)
    wrong = {each.part: each.said for each in findings.found if each.status is Status.WRONG}
    assert wrong["probe: alert out"] == "its item has no alert that the bus has taken, after 0 s"


def test_an_alert_that_is_not_delivered(through: Through, target: Target) -> None:
    through.account.answers["filter_log_events"] = {"events": []}
    findings, _ = probed(target, timeout=0)
    wrong = {each.part: each.said for each in findings.found if each.status is Status.WRONG}
    assert list(wrong) == ["probe: alert delivered"]
    assert f"the notifier {NOTIFIER} has logged no alert of iops-doctor-" in wrong["probe: alert delivered"]
    assert through.deployment.aws.items == {}


def test_without_permission_to_put_nothing_is_begun(through: Through, target: Target) -> None:
    through.account.answers["put_record"] = refused("PutRecord")
    findings, told = probed(target)
    assert told == ["probe: event in"]
    (found,) = findings.found
    assert found.status is Status.SKIPPED
    assert f"PutRecord on the stream {STREAM} is not allowed: kinesis:PutRecord is needed" in found.said


def test_interrupted_it_still_clears_away(through: Through, target: Target) -> None:
    def ctrl_c(**_: Any) -> Any:
        raise KeyboardInterrupt

    through.account.answers["filter_log_events"] = ctrl_c
    with pytest.raises(KeyboardInterrupt):
        probed(target)
    assert through.deployment.aws.items == {}


def test_the_item_is_removed_as_it_was_read(through: Through, target: Target) -> None:
    through.lost_races = 3
    assert probed(target)[0].all_well
    assert through.deployment.aws.items == {}
    through.lost_races = 10**6
    findings, _ = probed(target)
    (wrong,) = (each for each in findings.found if each.status is Status.WRONG)
    assert "changes again and again, and is left behind" in wrong.said
    (item,) = through.deployment.aws.items.values()
    assert from_attribute(item["balance_status"]) == "balanced"


def test_the_command_with_a_probe(through: Through, outputs: Path) -> None:
    result = ops("doctor", "--probe", "--stack-outputs", str(outputs))
    assert result.exit_code == 0
    assert "28 ok. All is well." in result.stdout
    assert "probe: removed" in result.stdout
