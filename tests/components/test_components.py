"""Each component alone, as someone else's program would use it: defaults, switches, grants and subscriptions."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from bundle.code import function_files
from components import iam
from components.alert_bus import AI_SOURCE, PROCESSOR_SOURCE, SEVERITIES, AlertBus
from components.event_stream import EventStream, EventStreamArgs, check_shards, shard_steps
from components.metrics_store import MetricsStore, MetricsStoreArgs
from components.rollup import Rollup
from components.simulator import Simulator
from components.stream_processor import StreamProcessor
from components.watch.observability import Observability
from tests.helpers.recorded_program import ACCOUNT, ROOT, Recorded, Registered, arn, record


def index(name: str, hash_key: str, range_key: str) -> dict[str, Any]:
    """An index of keys alone: DynamoDB writes to it only when a key changes."""
    keys = [{"attributeName": hash_key, "keyType": "HASH"}, {"attributeName": range_key, "keyType": "RANGE"}]
    return {"name": name, "keySchemas": keys, "projectionType": "KEYS_ONLY"}


HEALTH = index("EntityTypeHealthIndex", "entity_type", "health_score")
UPDATED = index("LastUpdatedIndex", "entity_type", "last_updated")


TLS = {"BoolIfExists": {"aws:SecureTransport": "false"}}


def denied(sid: str, actions: list[str], resources: list[str], condition: Any) -> dict[str, Any]:
    """The statement that refuses everybody for whom the condition holds."""
    everybody = {"Sid": sid, "Effect": "Deny", "Principal": {"AWS": "*"}}
    return {**everybody, "Action": actions, "Resource": resources, "Condition": condition}


def tables(**args: Any) -> dict[str, Registered]:
    """The tables of a store, by their logical names."""
    given: MetricsStoreArgs = {"name_prefix": "p", **args}  # type: ignore[typeddict-item]
    recorded = record(lambda: MetricsStore("store", given))
    return {resource.name: resource for resource in recorded.of_type("aws:dynamodb/table:Table")}


def test_the_table() -> None:
    assert tables()["store-table"].inputs == {
        "name": "p-metrics",
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "entity_id",
        "rangeKey": "entity_type",
        "attributes": [
            {"name": "entity_id", "type": "S"},
            {"name": "entity_type", "type": "S"},
            {"name": "health_score", "type": "N"},
        ],
        "globalSecondaryIndexes": [HEALTH],
        "streamEnabled": True,
        "streamViewType": "NEW_AND_OLD_IMAGES",
        "pointInTimeRecovery": {"enabled": True},
        "serverSideEncryption": {"enabled": True},
        "deletionProtectionEnabled": False,
    }


def test_the_internal_table_has_neither_stream_nor_index_and_its_items_expire() -> None:
    assert tables()["store-state"].inputs == {
        "name": "p-state",
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "pk",
        "rangeKey": "sk",
        "attributes": [{"name": "pk", "type": "S"}, {"name": "sk", "type": "S"}],
        "ttl": {"attributeName": "expires", "enabled": True},
        "pointInTimeRecovery": {"enabled": True},
        "serverSideEncryption": {"enabled": True},
        "deletionProtectionEnabled": False,
    }


@pytest.mark.parametrize("protect", [False, True])
def test_the_internal_table_is_protected_and_encrypted_as_the_table_is(protect: bool) -> None:
    made = tables(protect=protect)
    kept = {
        name: (table.protect, table.retain_on_delete, table.inputs["deletionProtectionEnabled"])
        for name, table in made.items()
    }
    assert kept == dict.fromkeys(("store-table", "store-state"), (protect, protect, protect))
    for same in ("serverSideEncryption", "pointInTimeRecovery", "billingMode"):
        assert made["store-state"].inputs[same] == made["store-table"].inputs[same]


@pytest.mark.parametrize(
    ("switches", "indexes", "keys"),
    [
        ({"entity_type_health_index": False}, [], set()),
        ({"last_updated_index": True}, [HEALTH, UPDATED], {"health_score", "last_updated"}),
        ({"entity_type_health_index": False, "last_updated_index": True}, [UPDATED], {"last_updated"}),
    ],
)
def test_each_index_can_be_switched_with_its_keys(
    switches: dict[str, bool], indexes: list[Any], keys: set[str]
) -> None:
    inputs = tables(**switches)["store-table"].inputs
    assert inputs.get("globalSecondaryIndexes", []) == indexes
    assert {attribute["name"] for attribute in inputs["attributes"]} == {"entity_id", "entity_type"} | keys


def test_a_reader_gets_reading_of_the_table_alone() -> None:
    recorded = record(lambda: MetricsStore("store", {"name_prefix": "p"}).grant_read("ai", "their-role"))
    (statement,) = recorded.policy_of("their-role")
    assert statement["Action"] == ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]
    assert statement["Resource"] == [arn("dynamodb", "table/p-metrics"), arn("dynamodb", "table/p-metrics/index/*")]


@pytest.mark.parametrize("existing", [False, True])
def test_a_table_has_the_same_outputs_whether_made_or_found(existing: bool) -> None:
    table_arn = arn("dynamodb", "table/p-metrics")
    args: MetricsStoreArgs = {"name_prefix": "p", "existing_arn": table_arn if existing else ""}
    recorded = record(lambda: MetricsStore("store", args))
    made = {resource.name for resource in recorded.of_type("aws:dynamodb/table:Table")}
    assert made == ({"store-state"} if existing else {"store-table", "store-state"})
    assert recorded.component_outputs["store"] == {
        "table_arn": table_arn,
        "table_name": "p-metrics",
        "table_stream_arn": "" if existing else f"{table_arn}/stream/1",
        "state_table_arn": arn("dynamodb", "table/p-state"),
        "state_table_name": "p-state",
    }


def test_a_reader_of_an_encrypted_table_may_use_its_key_through_dynamodb() -> None:
    theirs, key = arn("dynamodb", "table/theirs"), arn("kms", "key/1")
    args: MetricsStoreArgs = {"name_prefix": "p", "existing_arn": theirs, "existing_key_arn": key}
    recorded = record(lambda: MetricsStore("store", args).grant_read("ai", "their-role"))
    items, decrypt = recorded.policy_of("their-role")
    assert items["Resource"] == [theirs, f"{theirs}/index/*"]
    assert (decrypt["Action"], decrypt["Resource"]) == (["kms:Decrypt"], [key])
    assert decrypt["Condition"] == {"StringLike": {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com*"}}


@pytest.mark.parametrize(("shards", "mode"), [(0, "ON_DEMAND"), (4, "PROVISIONED")])
def test_the_stream_scales_on_demand_or_has_shards(shards: int, mode: str) -> None:
    args: EventStreamArgs = {"name_prefix": "p", "shards": shards, "retention_hours": 48}
    inputs = record(lambda: EventStream("events", args)).one("aws:kinesis/stream:Stream", "events-stream").inputs
    assert inputs["name"] == "p-events"
    assert inputs["streamModeDetails"] == {"streamMode": mode}
    assert inputs.get("shardCount", 0) == shards
    assert inputs["retentionPeriod"] == 48


def update(old: dict[str, Any], new: dict[str, Any]) -> pulumi.ResourceHookArgs:
    """What the engine gives a hook before it updates the stream."""
    return pulumi.ResourceHookArgs("urn", "id", "events-stream", "type", new_inputs=new, old_outputs=old)


ON_DEMAND, PROVISIONED = ({"streamModeDetails": {"streamMode": mode}} for mode in ("ON_DEMAND", "PROVISIONED"))


@pytest.mark.parametrize(
    ("present", "wanted"), [(None, 0), (None, 2), (None, 4), (None, 40), (1.0, 2.0), (3.0, 2), (4, 8), (5, 3), (9, 0)]
)
def test_a_number_of_shards_that_kinesis_takes_passes(present: float | None, wanted: float) -> None:
    old = {**ON_DEMAND} if present is None else {**PROVISIONED, "shardCount": present}
    check_shards(update(old, {**PROVISIONED, "shardCount": wanted} if wanted else ON_DEMAND))


@pytest.mark.parametrize(
    ("present", "wanted", "message"),
    [
        (
            None,
            1.0,
            r"^events-stream: shards is 1: it must be 2 or more, since .* on demand, .*; set it to 2, then to 1",
        ),
        (5.0, 2.0, "shards is 2: it must be 3 to 10, since the stream has 5 shards and .*; set it to 3, then to 2,"),
        (1.0, 5.0, "shards is 5: it must be 1 to 2, since the stream has 1 shards and .*; set it to 2, then to 4, the"),
    ],
)
def test_a_number_of_shards_that_kinesis_refuses_names_the_way(
    present: float | None, wanted: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_shards(update({"shardCount": present}, {**PROVISIONED, "shardCount": wanted}))


@pytest.mark.parametrize(("present", "wanted"), [(4, 1), (1, 4), (7, 100), (100, 7), (3, 3), (500, 1)])
def test_the_way_by_halves_and_doubles_arrives_and_is_taken(present: int, wanted: int) -> None:
    for step in shard_steps(present, wanted):
        check_shards(update({"shardCount": present}, {**PROVISIONED, "shardCount": step}))
        present = step
    assert present == wanted


def test_deploying_goes_by_the_same_way() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    assert f"for shards in {' '.join(map(str, shard_steps(8, 1)))}; do" in page


@pytest.mark.parametrize("shards", [0, 4])
def test_the_shards_are_checked_before_an_update_and_in_a_preview_already(shards: int) -> None:
    recorded = record(lambda: EventStream("events", {"name_prefix": "p", "shards": shards}))
    assert recorded.one("aws:kinesis/stream:Stream").before_update == ("events-shards",)
    assert recorded.hooks == {"events-shards": True}


@pytest.mark.parametrize("existing", [False, True])
def test_a_stream_has_the_same_outputs_whether_made_or_found(existing: bool) -> None:
    stream_arn = arn("kinesis", "stream/p-events")
    args: EventStreamArgs = {"name_prefix": "p", "existing_arn": stream_arn if existing else ""}
    recorded = record(lambda: EventStream("events", args))
    assert recorded.component_outputs["events"] == {
        "stream_arn": stream_arn,
        "stream_name": "p-events",
    }


def test_a_producer_gets_writing_alone_with_the_streams_key() -> None:
    stream, key = arn("kinesis", "stream/theirs"), arn("kms", "key/1")
    args: EventStreamArgs = {"name_prefix": "p", "existing_arn": stream, "existing_key_arn": key}
    recorded = record(lambda: EventStream("events", args).grant_write("producer", "their-role"))
    found = [(s["Action"], s["Resource"]) for s in recorded.policy_of("their-role")]
    assert found == [(["kinesis:PutRecords"], [stream]), (["kms:GenerateDataKey"], [key])]
    condition = {"StringLike": {"kms:ViaService": "kinesis.eu-west-1.amazonaws.com*"}}
    assert recorded.policy_of("their-role")[1]["Condition"] == condition


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (arn("dynamodb", "table/t"), False),
        ("arn:aws:dynamodb:eu-west-1:999999999999:table/t", True),
        ("arn:aws:dynamodb:us-east-1:123456789012:table/t", True),
        ("arn:aws-cn:dynamodb:eu-west-1:123456789012:table/t", True),
    ],
)
def test_what_is_not_in_the_stacks_own_account_and_region_is_refused_by_name(given: str, refused: bool) -> None:
    def program() -> None:
        pulumi.export("place", iam.own_place(arn("logs", "log-group:own"), table_arn=given))

    if not refused:
        assert record(program).outputs == {"place": arn("logs", "log-group:own")}
        return
    text = f"table_arn is {given}: it must be in the stack's own account and region, {ACCOUNT} and eu-west-1 of aws"
    with pytest.raises(ValueError, match=re.escape(text)):
        record(program)


def bus(use: Callable[[AlertBus], object] = id, **args: Any) -> Recorded:
    return record(lambda: use(AlertBus("alerts", {"name_prefix": "p", **args})))  # type: ignore[typeddict-item]


def pattern(recorded: Recorded, rule: str) -> Any:
    return json.loads(recorded.one("aws:cloudwatch/eventRule:EventRule", rule).inputs["eventPattern"])


NOTIFIER = {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/p-notifier"}


@pytest.mark.parametrize("severity", SEVERITIES)
def test_each_severity_has_its_topic(severity: str) -> None:
    recorded, name = bus(), f"p-alerts-{severity}"
    assert pattern(recorded, f"alerts-{severity}-rule") == {
        "source": ["iops-dashboard.processor", "iops-dashboard.ai"],
        "detail": {"severity": [severity]},
    }
    rule = recorded.one("aws:cloudwatch/eventRule:EventRule", f"alerts-{severity}-rule").inputs
    assert (rule["name"], rule["eventBusName"]) == (name, "p-alerts")
    target = recorded.one("aws:cloudwatch/eventTarget:EventTarget", f"alerts-{severity}-target")
    assert target.inputs == {
        "rule": name,
        "eventBusName": "p-alerts",
        "targetId": severity,
        "arn": arn("lambda", "function:p-notifier"),
        "deadLetterConfig": {"arn": arn("sqs", "p-alerts-dlq")},
    }
    permission = recorded.one("aws:lambda/permission:Permission", f"alerts-{severity}-permission")
    assert permission.inputs == {
        "action": "lambda:InvokeFunction",
        "function": arn("lambda", "function:p-notifier"),
        "principal": "events.amazonaws.com",
        "sourceArn": arn("events", f"rule/p-alerts/{name}"),
    }
    topic = recorded.one("aws:sns/topic:Topic", f"alerts-{severity}-topic").inputs
    assert topic["name"] == name
    policy = recorded.one("aws:sns/topicPolicy:TopicPolicy", f"alerts-{severity}-policy")
    assert json.loads(policy.inputs["policy"])["Statement"] == [
        denied("NotifierOnly", ["sns:Publish"], [arn("sns", name)], {"ArnNotEquals": NOTIFIER}),
        denied("TlsOnly", ["sns:Publish"], [arn("sns", name)], TLS),
    ]
    queue_policy = recorded.one("aws:sqs/queuePolicy:QueuePolicy")
    assert {permission.urn, queue_policy.urn} <= target.dependencies
    # Closed to a rule that still publishes to it only when the rule no longer does.
    assert target.urn in policy.dependencies


def test_what_the_notifier_gives_up_is_in_the_dead_letter_queue_too() -> None:
    recorded, queue = bus(), arn("sqs", "p-alerts-dlq")
    function = recorded.one("aws:lambda/function:Function", "alerts-notifier-function").inputs
    assert function["deadLetterConfig"] == {"targetArn": queue}
    assert recorded.one("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig").inputs == {
        "functionName": "p-notifier",
        "maximumEventAgeInSeconds": 21_600,
        "maximumRetryAttempts": 2,
    }
    # Lambda sends it outside the function, so nothing says which function it is for.
    (send,) = [each for each in recorded.policy_of("p-notifier") if each["Action"] == ["sqs:SendMessage"]]
    assert (send["Resource"], "Condition" in send) == ([queue], False)


def test_without_code_a_bus_has_the_notifier_of_this_checkout() -> None:
    code = bus().one("aws:lambda/function:Function", "alerts-notifier-function").inputs["code"]
    files = function_files("notifier")
    assert {name: asset.text for name, asset in code.assets.items()} == {
        name: path.read_text(encoding="utf-8") for name, path in files.items()
    }
    theirs = bus(code=pulumi.AssetArchive({"theirs.py": pulumi.StringAsset("")}))
    code = theirs.one("aws:lambda/function:Function", "alerts-notifier-function").inputs["code"]
    assert list(code.assets) == ["theirs.py"]


def test_the_notifier_may_use_the_topics_key_through_sns() -> None:
    def statements(recorded: Recorded) -> list[dict[str, Any]]:
        return [each for each in recorded.policy_of("p-notifier") if each["Action"][0].startswith("kms:")]

    (use,) = statements(bus(topic_key=True))
    assert (use["Action"], use["Resource"]) == (["kms:Decrypt", "kms:GenerateDataKey"], [arn("kms", "key/alerts-key")])
    assert use["Condition"] == {"StringLike": {"kms:ViaService": "sns.eu-west-1.amazonaws.com*"}}
    assert statements(bus()) == []


def test_the_dead_letter_queue_keeps_14_days_and_takes_from_this_bus_alone() -> None:
    recorded = bus()
    queue = recorded.one("aws:sqs/queue:Queue", "alerts-dlq").inputs
    assert queue == {"name": "p-alerts-dlq", "messageRetentionSeconds": 14 * 86_400, "sqsManagedSseEnabled": True}
    rules, url = {"aws:SourceArn": arn("events", "rule/p-alerts/p-alerts-*")}, [arn("sqs", "p-alerts-dlq")]
    assert json.loads(recorded.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": ["sqs:SendMessage"],
            "Resource": url,
            "Condition": {"ArnLike": rules},
        },
        denied("RulesAndNotifierOnly", ["sqs:SendMessage"], url, {"ArnNotLike": rules, "ArnNotEquals": NOTIFIER}),
        denied("TlsOnly", ["sqs:*"], url, TLS),
    ]


def test_the_bus_takes_alerts_of_its_own_sources_alone() -> None:
    policy = bus().one("aws:cloudwatch/eventBusPolicy:EventBusPolicy", "alerts-bus-policy").inputs
    own, put = [arn("events", "event-bus/p-alerts")], ["events:PutEvents"]
    others = {"ForAnyValue:StringNotEquals": {"events:source": ["iops-dashboard.processor", "iops-dashboard.ai"]}}
    assert policy["eventBusName"] == "p-alerts"
    assert json.loads(policy["policy"])["Statement"] == [
        denied("TlsOnly", put, own, TLS),
        denied("OwnSourcesOnly", put, own, others),
    ]


@pytest.mark.parametrize(
    ("existing", "rules"),
    [("theirs", "rule/theirs/p-alerts-*"), ("default", "rule/p-alerts-*")],
)
def test_a_bus_that_exists_gets_rules_and_keeps_its_policy(existing: str, rules: str) -> None:
    recorded = bus(existing_bus_arn=arn("events", f"event-bus/{existing}"))
    assert recorded.of_type("aws:cloudwatch/eventBus:EventBus") == []
    assert recorded.of_type("aws:cloudwatch/eventBusPolicy:EventBusPolicy") == []
    assert {r.inputs["eventBusName"] for r in recorded.of_type("aws:cloudwatch/eventRule:EventRule")} == {existing}
    assert {r.inputs["eventBusName"] for r in recorded.of_type("aws:cloudwatch/eventTarget:EventTarget")} == {existing}
    policy = json.loads(recorded.one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])
    assert policy["Statement"][0]["Condition"] == {"ArnLike": {"aws:SourceArn": arn("events", rules)}}
    outputs, made = recorded.component_outputs["alerts"], bus().component_outputs["alerts"]
    assert (outputs["bus_name"], outputs["bus_arn"]) == (existing, arn("events", f"event-bus/{existing}"))
    assert {key: value for key, value in outputs.items() if not key.startswith("bus_")} == {
        key: value for key, value in made.items() if not key.startswith("bus_")
    }


def test_nothing_of_the_bus_can_be_lost_by_mistake() -> None:
    recorded = bus(protect=True, topic_key=True)
    topics = {f"alerts-{severity}-topic" for severity in SEVERITIES}
    assert {r.name for r in recorded.resources if r.protect} == {"alerts-bus", "alerts-dlq", "alerts-key", *topics}
    assert {r.name for r in recorded.resources if r.retain_on_delete} == {"alerts-key"}


def test_addresses_are_subscribed_to_their_severitys_topic() -> None:
    recorded = bus(critical_emails=["a@b.org", "c@d.org"], info_emails=["a@b.org"])
    subscriptions = recorded.of_type("aws:sns/topicSubscription:TopicSubscription")
    assert sorted((s.inputs["topic"], s.inputs["protocol"], s.inputs["endpoint"]) for s in subscriptions) == [
        (arn("sns", "p-alerts-critical"), "email", "a@b.org"),
        (arn("sns", "p-alerts-critical"), "email", "c@d.org"),
        (arn("sns", "p-alerts-info"), "email", "a@b.org"),
    ]


def test_cloudwatch_may_use_the_topics_key() -> None:
    recorded = bus(topic_key=True)
    key = recorded.one("aws:kms/key:Key", "alerts-key").inputs
    assert key["enableKeyRotation"] is True
    owner, alarms = json.loads(key["policy"])["Statement"]
    assert owner["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert alarms == {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": ["*"],
        "Condition": {"StringLike": {"kms:EncryptionContext:aws:sns:topicArn": arn("sns", "p-operations")}},
    }
    assert recorded.component_outputs["alerts"]["topic_key_arn"] == arn("kms", "key/alerts-key")
    assert bus().component_outputs["alerts"]["topic_key_arn"] == ""


FUNCTION = arn("lambda", "function:ai")


@pytest.mark.parametrize(
    ("arguments", "sources", "statuses"),
    [
        ({}, [PROCESSOR_SOURCE], ["firing", "reminder"]),
        ({"include_resolved": True}, [PROCESSOR_SOURCE], ["firing", "reminder", "resolved"]),
        ({"exclude_source": PROCESSOR_SOURCE}, [AI_SOURCE], ["firing", "reminder"]),
        ({"exclude_source": None}, [PROCESSOR_SOURCE, AI_SOURCE], ["firing", "reminder"]),
    ],
)
def test_a_subscriber_gets_what_it_asks_for(arguments: dict[str, Any], sources: list[str], statuses: list[str]) -> None:
    recorded = bus(lambda bus: bus.subscribe("ai", FUNCTION, ["warning", "critical"], **arguments))
    assert pattern(recorded, "alerts-ai-rule") == {
        "source": sources,
        "detail": {"severity": ["warning", "critical"], "status": statuses},
    }
    assert recorded.one("aws:cloudwatch/eventRule:EventRule", "alerts-ai-rule").inputs["name"] == "p-alerts-ai"


def test_a_subscribed_function_may_be_called_by_its_rule_and_has_the_dead_letter_queue() -> None:
    recorded = bus(lambda bus: bus.subscribe("ai", pulumi.Output.from_input(FUNCTION), ["critical"]))
    permission = recorded.one("aws:lambda/permission:Permission", "alerts-ai-permission")
    assert permission.inputs == {
        "action": "lambda:InvokeFunction",
        "function": FUNCTION,
        "principal": "events.amazonaws.com",
        "sourceArn": arn("events", "rule/p-alerts/p-alerts-ai"),
    }
    target = recorded.one("aws:cloudwatch/eventTarget:EventTarget", "alerts-ai-target")
    assert target.inputs["arn"] == FUNCTION
    assert target.inputs["deadLetterConfig"] == {"arn": arn("sqs", "p-alerts-dlq")}
    assert permission.urn in target.dependencies


def test_a_subscribed_queue_needs_no_permission_to_be_called() -> None:
    queue = arn("sqs", "theirs")
    recorded = bus(lambda bus: bus.subscribe("theirs", queue, ["info"], is_function=False))
    assert "alerts-theirs-permission" not in {r.name for r in recorded.of_type("aws:lambda/permission:Permission")}
    assert recorded.one("aws:cloudwatch/eventTarget:EventTarget", "alerts-theirs-target").inputs["arn"] == queue


@pytest.mark.parametrize(
    ("severities", "arguments", "message"),
    [
        ([], {}, r"ai: severities are \[\]: they must be one or more of critical, warning, info"),
        (["fatal"], {}, r"ai: severities are \['fatal'\]: they must be one or more of critical, warning, info"),
        (["info"], {"exclude_source": "me"}, r"ai: exclude_source is 'me': it must be None or one of iops-dashboard"),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(
    severities: list[str], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bus(lambda bus: bus.subscribe("ai", FUNCTION, severities, **arguments))


def test_a_publisher_gets_putting_under_its_source_alone() -> None:
    recorded = bus(lambda bus: bus.grant_publish("ai", "their-role"))
    (statement,) = recorded.policy_of("their-role")
    assert (statement["Action"], statement["Resource"]) == (["events:PutEvents"], [arn("events", "event-bus/p-alerts")])
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {"events:source": AI_SOURCE},
        "Null": {"events:source": "false"},
    }


def test_a_publisher_under_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ai: source is 'me': it must be one of iops-dashboard.processor, iops-dash"):
        bus(lambda bus: bus.grant_publish("ai", "their-role", "me"))


def processed(**args: Any) -> Recorded:
    """A processor alone, on what a team already has."""
    given: Any = {
        "name_prefix": "p",
        "code": pulumi.AssetArchive({}),
        "layer": pulumi.AssetArchive({}),
        "layer_hash": "0",
        "stream_arn": arn("kinesis", "stream/theirs"),
        "table_arn": arn("dynamodb", "table/theirs"),
        "table_name": "theirs",
        "state_table_arn": arn("dynamodb", "table/p-state"),
        "state_table_name": "p-state",
        "bus_arn": arn("events", "event-bus/theirs"),
        "bus_name": "theirs",
        **args,
    }
    return record(lambda: StreamProcessor("processor", given))


@pytest.mark.parametrize(
    ("minutes", "expression"),
    [(1, "cron(0/1 * * * ? *)"), (15, "cron(0/15 * * * ? *)"), (60, "cron(0 * * * ? *)")],
)
def test_the_roll_runs_at_multiples_of_its_interval(minutes: int, expression: str) -> None:
    recorded = processed(roll_interval_minutes=minutes)
    schedule = recorded.one("aws:scheduler/schedule:Schedule", "processor-roll-schedule").inputs
    assert (schedule["scheduleExpression"], schedule["state"]) == (expression, "ENABLED")
    assert schedule["flexibleTimeWindow"] == {"mode": "OFF"}
    for function in recorded.of_type("aws:lambda/function:Function"):
        assert function.inputs["environment"]["variables"]["ROLL_INTERVAL_MINUTES"] == str(minutes)


@pytest.mark.parametrize("minutes", [-5, 0, 7, 45, 61, 120])
def test_an_interval_that_does_not_divide_an_hour_is_refused(minutes: int) -> None:
    message = f"processor: roll_interval_minutes is {minutes}: it must divide 60, since the roll runs at multiples of"
    with pytest.raises(ValueError, match=message):
        processed(roll_interval_minutes=minutes)


def test_components_have_the_defaults_of_the_settings(built_layer: Path) -> None:
    """A component given nothing but what it requires equals the one that the program makes from default settings."""

    def alone() -> None:
        stream = EventStream("events", {"name_prefix": "iops-dashboard"})
        store = MetricsStore("metrics", {"name_prefix": "iops-dashboard"})
        alerts = AlertBus("alerts", {"name_prefix": "iops-dashboard"})
        processor = StreamProcessor(
            "processor",
            {
                "name_prefix": "iops-dashboard",
                "code": pulumi.AssetArchive({}),
                "layer": pulumi.FileArchive(str(built_layer)),
                "layer_hash": "0",
                "stream_arn": stream.stream_arn,
                "table_arn": store.table_arn,
                "table_name": store.table_name,
                "state_table_arn": store.state_table_arn,
                "state_table_name": store.state_table_name,
                "bus_arn": alerts.bus_arn,
                "bus_name": alerts.bus_name,
            },
        )
        rollup = Rollup(
            "rollup",
            {
                "name_prefix": "iops-dashboard",
                "code": pulumi.AssetArchive({}),
                "layer_arn": processor.layer_arn,
                "environment": processor.environment,
                "table_arn": store.table_arn,
                "state_table_arn": store.state_table_arn,
                "bus_arn": alerts.bus_arn,
            },
        )
        Simulator(
            "simulator",
            {
                "name_prefix": "iops-dashboard",
                "code": pulumi.AssetArchive({}),
                "stream_arn": stream.stream_arn,
                "stream_name": stream.stream_name,
            },
        )
        Observability(
            "operations",
            {
                "name_prefix": "iops-dashboard",
                "stream_name": stream.stream_name,
                "mapping_uuid": processor.mapping_uuid,
                "function_name": processor.function_name,
                "roll_function_name": processor.roll_function_name,
                "rollup_function_name": rollup.function_name,
                "rollup_step_names": [*rollup.step_names],
                "rollup_state_machine_arn": rollup.state_machine_arn,
                "table_name": store.table_name,
                "state_table_name": store.state_table_name,
                "bus_name": alerts.bus_name,
                "rule_names": [*alerts.rule_names],
                "notifier_function_name": alerts.notifier_function_name,
                "alert_topic_arns": [alerts.critical_topic_arn, alerts.warning_topic_arn, alerts.info_topic_arn],
                "dead_letter_queue_arn": alerts.dead_letter_queue_arn,
            },
        )

    def comparable(recorded: Recorded) -> dict[str, Any]:
        other = {"tags", "code", "source", "key", "s3Key"}
        return {
            r.name: {key: value for key, value in r.inputs.items() if key not in other}
            for r in recorded.resources
            if r.custom
        }

    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"))

    assert comparable(record(alone)) == comparable(record(program, {"layerDirectory": str(built_layer)}))
