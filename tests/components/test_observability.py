"""What operators are told: the topic's locks, the alarms' switches, and a dashboard that CloudWatch would accept."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import pytest

from components.watch.arguments import ObservabilityArgs
from components.watch.observability import Observability
from functions.entities.wakes import Rhythm
from functions.model import MINUTE_MS, SECOND_MS
from functions.processor.roll import _put_off_until as put_off_until
from tests.helpers import recorded_program
from tests.helpers.recorded_program import ACCOUNT, ROOT, Recorded, arn, record

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
RULES = ["p-alerts-critical", "p-alerts-warning"]

# What AWS documents: the metrics of a namespace by their dimensions (Lambda developer guide, "Types of metrics for
# Lambda functions"; Kinesis, DynamoDB, EventBridge, SNS, SQS and CloudWatch Logs guides, the pages on their metrics).
DOCUMENTED: dict[tuple[str, tuple[str, ...]], set[str]] = {
    ("AWS/Lambda", ("FunctionName",)): {
        "Invocations",
        "Errors",
        "Throttles",
        "Duration",
        "IteratorAge",
        "ConcurrentExecutions",
        "DeadLetterErrors",
    },
    ("AWS/Lambda", ("EventSourceMappingUUID",)): {
        "PolledEventCount",
        "InvokedEventCount",
        "FailedInvokeEventCount",
        "DroppedEventCount",
        "OnFailureDestinationDeliveredEventCount",
    },
    ("AWS/Kinesis", ("StreamName",)): {
        "IncomingBytes",
        "IncomingRecords",
        "GetRecords.Bytes",
        "GetRecords.IteratorAgeMilliseconds",
        "WriteProvisionedThroughputExceeded",
        "ReadProvisionedThroughputExceeded",
    },
    ("AWS/DynamoDB", ("TableName",)): {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "ReadThrottleEvents",
        "WriteThrottleEvents",
    },
    ("AWS/DynamoDB", ("GlobalSecondaryIndexName", "TableName")): {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "ReadThrottleEvents",
        "WriteThrottleEvents",
    },
    ("AWS/DynamoDB", ("Operation", "TableName")): {"SystemErrors", "ThrottledRequests", "SuccessfulRequestLatency"},
    ("AWS/Events", ("EventBusName", "RuleName")): {
        "Invocations",
        "FailedInvocations",
        "InvocationsSentToDlq",
        "InvocationsFailedToBeSentToDlq",
    },
    ("AWS/Events", ("RuleName",)): {"FailedInvocations", "InvocationsFailedToBeSentToDlq"},
    ("AWS/SNS", ("TopicName",)): {
        "NumberOfMessagesPublished",
        "NumberOfNotificationsDelivered",
        "NumberOfNotificationsFailed",
    },
    ("AWS/SQS", ("QueueName",)): {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    ("AWS/States", ("StateMachineArn",)): {
        "ExecutionsStarted",
        "ExecutionsSucceeded",
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
    },
    ("AWS/Logs", ("LogGroupName",)): {"IncomingBytes", "IncomingLogEvents"},
}
SOURCES = {"processor": "processor/handler.py", "roll": "processor/roll.py", "rollup": "rollup/finish.py"}
STATISTICS = r"SampleCount|Average|Sum|Minimum|Maximum|p[0-9]{2}"


def observed(**args: Any) -> Recorded:
    given = {
        "name_prefix": "p",
        "stream_name": "p-events",
        "mapping_uuid": "1-2",
        "function_name": "p-processor",
        "roll_function_name": "p-roll",
        "rollup_function_name": "p-rollup",
        "rollup_step_names": ["p-rollup-map", "p-rollup-reduce"],
        "rollup_state_machine_arn": arn("states", "stateMachine:p-rollup"),
        "notifier_function_name": "p-notifier",
        "table_name": "p-metrics",
        "state_table_name": "p-state",
        "bus_name": "p-alerts",
        "rule_names": RULES,
        "alert_topic_arns": [arn("sns", "p-alerts-critical"), arn("sns", "p-alerts-warning")],
        "dead_letter_queue_arn": arn("sqs", "p-alerts-dlq"),
        **args,
    }
    return record(lambda: Observability("operations", cast("ObservabilityArgs", given)))


def alarm(recorded: Recorded, key: str) -> dict[str, Any]:
    return recorded.one(ALARM, f"operations-{key}-alarm").inputs


def queried(inputs: dict[str, Any]) -> list[dict[str, str]]:
    """The dimensions of the metrics of an alarm's expression."""
    return [query["metric"]["dimensions"] for query in inputs["metricQueries"] if "metric" in query]


def test_this_accounts_alarms_alone_may_publish_to_the_topic_and_over_tls() -> None:
    topic, alarms = arn("sns", "p-operations"), arn("cloudwatch", "alarm:p-*")
    policy = observed().one("aws:sns/topicPolicy:TopicPolicy").inputs
    assert policy["arn"] == topic
    assert json.loads(policy["policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": ["sns:Publish"],
            "Resource": [topic],
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": alarms}},
        },
        {
            "Sid": "OwnAlarmsOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["sns:Publish"],
            "Resource": [topic],
            "Condition": {"ArnNotLike": {"aws:SourceArn": alarms}},
        },
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["sns:Publish"],
            "Resource": [topic],
            "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}},
        },
    ]


@pytest.mark.parametrize(("key", "expected"), [("", None), (arn("kms", "key/1"), arn("kms", "key/1"))])
def test_the_topic_has_the_key_that_it_is_given(key: str, expected: str | None) -> None:
    assert observed(topic_key_arn=key).one("aws:sns/topic:Topic").inputs.get("kmsMasterKeyId") == expected


def test_addresses_are_subscribed() -> None:
    recorded = observed(emails=["a@b.org", "c@d.org"])
    subscriptions = recorded.of_type("aws:sns/topicSubscription:TopicSubscription")
    assert sorted((s.inputs["topic"], s.inputs["protocol"], s.inputs["endpoint"]) for s in subscriptions) == [
        (arn("sns", "p-operations"), "email", "a@b.org"),
        (arn("sns", "p-operations"), "email", "c@d.org"),
    ]


def test_what_rings_on_a_new_stack_says_so() -> None:
    """What is missing breaches, so these two ring before the first run; who is told must read that it is expected."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    found = set()
    for each in observed().of_type(ALARM):
        key = each.name.removeprefix("operations-").removesuffix("-alarm")
        section = page.partition(f"### {key}\n")[2].partition("\n### ")[0]
        new = each.inputs["treatMissingData"] == "breaching"
        found |= {key} if new else set()
        assert ("On a new stack it rings once" in each.inputs["alarmDescription"]) is new
        assert ("On a new stack it rings once" in section) is new
    assert found == {"roll-missing", "rollup-missing"}


def test_the_rolls_alarms_go_by_its_interval() -> None:
    recorded = observed(roll_interval_minutes=60, roll_intervals=2)
    own = ("roll-failures", "overdue-wakes", "wakes-put-off", "unsent-alerts")
    for key in ("roll-errors", "roll-throttles", "roll-duration", *own):
        assert alarm(recorded, key)["period"] == 3600, key
    missing = alarm(recorded, "roll-missing")
    assert (missing["metricQueries"][0]["metric"]["period"], missing["evaluationPeriods"]) == (3600, 2)
    assert alarm(recorded, "overdue-wakes")["threshold"] == 2 * 3600


def looks(interval_minutes: int) -> list[int]:
    """The rolls, numbered from 0, that look at an entity which always fails."""
    rhythm = Rhythm(interval_minutes * MINUTE_MS)
    now_ms, rolls = 0, [0]
    for put_off in range(20):
        now_ms = put_off_until(now_ms, put_off, rhythm) * SECOND_MS
        rolls.append(now_ms // rhythm.interval_ms)
    return rolls


@pytest.mark.parametrize("interval", [1, 2, 5, 15, 30, 60])
@pytest.mark.parametrize("key", ["roll-failures", "wakes-put-off"])
def test_one_entity_that_always_fails_is_told_of(interval: int, key: str) -> None:
    inputs = alarm(observed(roll_interval_minutes=interval), key)
    assert inputs["statistic"] == "Maximum"
    seen = [sum(first <= roll < first + inputs["evaluationPeriods"] for roll in looks(interval)) for first in range(3)]
    assert max(seen) >= inputs["datapointsToAlarm"]


@pytest.mark.parametrize("interval", [1, 2, 5, 15, 30, 60])
def test_an_alert_that_is_never_sent_keeps_its_alarm(interval: int) -> None:
    inputs = alarm(observed(roll_interval_minutes=interval), "unsent-alerts")
    assert inputs["datapointsToAlarm"] == 1
    rolls = looks(interval)
    assert max(later - roll for roll, later in pairwise(rolls)) <= inputs["evaluationPeriods"]


def test_without_its_schedule_the_rollup_has_no_alarms() -> None:
    names = {r.name for r in observed().of_type(ALARM)}
    assert names - {r.name for r in observed(rollup_enabled=False).of_type(ALARM)} == {
        f"operations-rollup-{key}-alarm" for key in ("missing", "errors", "duration", "runs")
    }


def test_without_others_the_rollups_function_alone_is_watched() -> None:
    recorded = observed(rollup_step_names=[], rollup_state_machine_arn="")
    assert "operations-rollup-runs-alarm" not in {r.name for r in recorded.of_type(ALARM)}
    assert "AWS/States" not in {namespace for namespace, *_ in metrics_of(body(recorded))}


def test_the_rollups_alarms_go_by_its_interval() -> None:
    recorded = observed(rollup_interval_minutes=60, rollup_intervals=2)
    missing = alarm(recorded, "rollup-missing")
    assert (missing["metricQueries"][0]["metric"]["period"], missing["evaluationPeriods"]) == (3600, 2)
    for key in ("rollup-errors", "rollup-duration"):
        assert alarm(recorded, key)["period"] == 3600, key
    assert alarm(observed(rollup_timeout_seconds=600), "rollup-duration")["threshold"] == 450_000


def test_throttling_is_watched_on_each_index_that_there_is() -> None:
    def watched(**args: Any) -> set[str]:
        dimensions = queried(alarm(observed(**args), "table-throttles"))
        return {each.get("GlobalSecondaryIndexName", each["TableName"]) for each in dimensions}

    assert watched() == {"p-metrics", "p-state", "EntityTypeHealthIndex"}
    assert watched(index_names=["LastUpdatedIndex"]) == {"p-metrics", "p-state", "LastUpdatedIndex"}
    assert watched(index_names=[]) == {"p-metrics", "p-state"}


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        ("p-alerts", [{"EventBusName": "p-alerts", "RuleName": rule} for rule in RULES]),
        ("default", [{"RuleName": rule} for rule in RULES]),
    ],
)
def test_a_rules_metrics_are_found_on_every_bus(bus: str, expected: list[dict[str, str]]) -> None:
    recorded = observed(bus_name=bus)
    assert queried(alarm(recorded, "failed-deliveries")) == expected
    assert queried(alarm(recorded, "lost-alerts")) == [*expected, {"FunctionName": "p-notifier"}]
    shown = [flat for flat in metrics_of(body(recorded)) if flat[0] == "AWS/Events"]
    assert [dict(zip(flat[2::2], flat[3::2], strict=True)) for flat in shown] == expected * 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"rule_names": []}, "rule_names has 0 names: it must have 1 to 9, since one alarm watches them all"),
        ({"rule_names": ["r"] * 10}, "rule_names has 10 names: it must have 1 to 9"),
        ({"index_names": ["i"] * 4}, "index_names has 4 names: it must have 0 to 3"),
    ],
)
def test_more_than_an_alarm_can_watch_is_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        observed(**args)


def test_every_alarm_fits_cloudwatch() -> None:
    """PutMetricAlarm's limits, for the longest and the shortest interval of roll and rollup."""
    shortest = {"roll_interval_minutes": 1, "rollup_interval_minutes": 1}
    longest = {"roll_interval_minutes": 60, "rollup_interval_minutes": 720}
    for args in (shortest, {**longest, "roll_intervals": 10, "rollup_intervals": 10}):
        for made in observed(rule_names=["r"] * 9, index_names=["i"] * 3, **args).of_type(ALARM):
            inputs = made.inputs
            metrics = [query["metric"] for query in inputs.get("metricQueries", []) if "metric" in query]
            period = inputs.get("period") or metrics[0]["period"]
            assert period % 60 == 0
            assert period * inputs["evaluationPeriods"] <= (86_400 if period < 3600 else 7 * 86_400), made.name
            assert inputs["datapointsToAlarm"] <= inputs["evaluationPeriods"]
            assert len(metrics) <= 10
            assert sum(query.get("returnData", False) for query in inputs.get("metricQueries", [])) <= 1
            assert len(inputs["alarmDescription"]) <= 1024


def test_every_alarm_is_explained_and_nothing_else() -> None:
    recorded = observed()
    shown = [each.partition(":alarm:p-")[2] for each in body(recorded)["widgets"][0]["properties"]["alarms"]]
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    part = page.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", part, re.MULTILINE) == shown
    for key in shown:
        assert alarm(recorded, key)["alarmDescription"].endswith(f" What to do: docs/operations.md, {key}.")


def body(recorded: Recorded) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(recorded.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    return text


def metrics_of(dashboard: dict[str, Any]) -> Iterator[list[Any]]:
    """Every metric of every widget: namespace, name, dimensions' names and values."""
    for widget in dashboard["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], str):
                yield [part for part in metric if isinstance(part, str)]


def emitted(service: str) -> str:
    return (ROOT / "functions" / SOURCES[service]).read_text(encoding="utf-8")


def assert_exists(namespace: str, name: str, dimensions: dict[str, str]) -> None:
    if namespace == "p":
        assert dimensions.keys() == {"service"}
        assert re.search(rf'\b{name}=|"{name}"', emitted(dimensions["service"])), f"{dimensions} does not emit {name}"
    else:
        assert name in DOCUMENTED[namespace, tuple(sorted(dimensions))], f"{namespace} {name} by {set(dimensions)}"


def test_every_metric_on_the_dashboard_exists() -> None:
    metrics = list(metrics_of(body(observed())))
    assert len(metrics) > 50
    for namespace, name, *flat in metrics:
        assert_exists(namespace, name, dict(zip(flat[::2], flat[1::2], strict=True)))


def test_every_metric_of_an_alarm_exists() -> None:
    for made in observed().of_type(ALARM):
        for query in made.inputs.get("metricQueries") or [{"metric": made.inputs}]:
            if metric := query.get("metric"):
                assert_exists(metric["namespace"], metric["metricName"], metric["dimensions"])


def test_every_expression_on_the_dashboard_is_of_metrics_that_exist() -> None:
    for widget in body(observed())["widgets"]:
        metrics = widget["properties"].get("metrics", [])
        ids = [each["id"] for metric in metrics for each in metric if isinstance(each, dict) and "id" in each]
        assert len(ids) == len(set(ids))
        for expression in [metric[0]["expression"] for metric in metrics if isinstance(metric[0], dict)]:
            if expression.startswith("SEARCH"):
                found = re.fullmatch(
                    r"SEARCH\('\{\"p\",service,(\w+)\} MetricName=\"(\w+)\"', 'Sum', 300\)", expression
                )
                assert found
                assert f'count_by("{found[2]}", "{found[1]}"' in emitted("processor")
            else:
                assert set(re.findall(r"[a-z]\w*", expression)) <= set(ids)


def test_the_dashboards_body_is_as_cloudwatch_documents_it() -> None:
    """CloudWatch API reference, "Dashboard Body Structure and Syntax"."""
    dashboard = body(observed())
    assert dashboard.keys() == {"start", "periodOverride", "widgets"}
    assert dashboard["periodOverride"] in ("auto", "inherit")
    assert len(dashboard["widgets"]) <= 500
    for widget in dashboard["widgets"]:
        assert widget.keys() == {"type", "x", "y", "width", "height", "properties"}
        properties = widget["properties"]
        if widget["type"] == "text":
            assert properties.keys() == {"markdown"}
        elif widget["type"] == "alarm":
            assert properties.keys() == {"title", "alarms"}
            assert 1 <= len(properties["alarms"]) <= 100
        elif widget["type"] == "log":
            assert properties.keys() == {"title", "region", "query", "view"}
            assert re.match(r"(SOURCE '/aws/lambda/p-(processor|roll|rollup)' \| ){3}filter", properties["query"])
        else:
            assert widget["type"] == "metric"
            assert properties.keys() - {"annotations"} == {
                "title",
                "region",
                "view",
                "stacked",
                "stat",
                "period",
                "metrics",
                "yAxis",
            }
            assert (properties["region"], properties["view"]) == ("eu-west-1", "timeSeries")
            assert properties["period"] % 60 == 0
            assert re.fullmatch(STATISTICS, properties["stat"])
            assert 1 <= len(properties["metrics"]) <= 500
            for metric in properties["metrics"]:
                rendering = metric[-1] if isinstance(metric[-1], dict) else {}
                assert rendering.keys() <= {"expression", "id", "label", "stat", "visible", "yAxis"}
                assert re.fullmatch(STATISTICS, rendering.get("stat", "Sum"))


def test_the_dashboards_widgets_fill_their_rows_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in body(observed())["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        taken |= cells
    columns, rows = ({cell[axis] for cell in taken} for axis in (0, 1))
    assert columns == set(range(24))
    assert rows == set(range(len(rows)))
    assert len(taken) == len(columns) * len(rows)


def test_the_dashboard_asks_its_questions_from_top_to_bottom_below_every_alarm() -> None:
    recorded = observed()
    widgets = sorted(body(recorded)["widgets"], key=lambda widget: (widget["y"], widget["x"]))
    alarms = {arn("cloudwatch", f"alarm:{r.inputs['name']}") for r in recorded.of_type(ALARM)}
    assert len(widgets[0]["properties"]["alarms"]) == len(alarms)
    assert set(widgets[0]["properties"]["alarms"]) == alarms
    headers = [w["properties"]["markdown"].splitlines()[0] for w in widgets if w["type"] == "text"]
    assert headers == [
        "## Is it keeping up?",
        "## Is it right?",
        "## What does it cost?",
        "## How do the sessions go?",
        "## What did it alert?",
    ]


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        ("arn:aws:sns:eu-west-1:1:t", "eu-west-1.console.aws.amazon.com"),
        ("arn:aws-cn:sns:cn-north-1:1:t", "console.amazonaws.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:1:t", "console.amazonaws-us-gov.com"),
    ],
)
def test_the_dashboards_url_is_of_its_partition(monkeypatch: pytest.MonkeyPatch, topic: str, host: str) -> None:
    monkeypatch.setitem(recorded_program._ARNS, "aws:sns/topic:Topic", lambda _: topic)
    region = topic.split(":")[3]
    assert observed().component_outputs["operations"] == {
        "topic_arn": topic,
        "dashboard_name": "p",
        "dashboard_url": f"https://{host}/cloudwatch/home?region={region}#dashboards/dashboard/p",
    }
