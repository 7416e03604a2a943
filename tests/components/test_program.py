"""The whole program for both stacks: what the contract says of its resources, one table a subject."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from tests.components.harness import ACCOUNT, PROJECT, ROOT, Recorded, Registered, arn, record_program

Run = Callable[[str], Recorded]
PREFIX = {"dev": "iops-dashboard-dev", "prod": "iops-dashboard"}
STACKS = pytest.mark.parametrize("stack", ["dev", "prod"])

COUNTS = {
    "iops:index:AlertBus": 1,
    "iops:index:EventStream": 1,
    "iops:index:MetricsStore": 1,
    "iops:index:Simulator": 1,
    "iops:index:StreamProcessor": 1,
    "aws:cloudwatch/eventBus:EventBus": 1,
    "aws:cloudwatch/eventRule:EventRule": 3,
    "aws:cloudwatch/eventTarget:EventTarget": 3,
    "aws:cloudwatch/logGroup:LogGroup": 3,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 1,
    "aws:dynamodb/table:Table": 1,
    "aws:iam/role:Role": 5,
    "aws:iam/rolePolicy:RolePolicy": 5,
    "aws:kinesis/stream:Stream": 1,
    "aws:lambda/eventSourceMapping:EventSourceMapping": 1,
    "aws:lambda/function:Function": 3,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": 2,
    "aws:lambda/layerVersion:LayerVersion": 1,
    "aws:s3/bucket:Bucket": 2,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 1,
    "aws:s3/bucketObjectv2:BucketObjectv2": 1,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 2,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 2,
    "aws:scheduler/schedule:Schedule": 2,
    "aws:sns/topic:Topic": 3,
    "aws:sns/topicPolicy:TopicPolicy": 3,
    "aws:sqs/queue:Queue": 1,
    "aws:sqs/queuePolicy:QueuePolicy": 1,
}
COUNTS_IN_PROD = COUNTS | {"aws:kms/key:Key": 1, "aws:kms/alias:Alias": 1}


@pytest.mark.parametrize(("stack", "expected"), [("dev", COUNTS), ("prod", COUNTS_IN_PROD)])
def test_it_makes_exactly_these_resources(program: Run, stack: str, expected: dict[str, int]) -> None:
    assert dict(Counter(resource.type for resource in program(stack).resources)) == expected


@STACKS
def test_it_exports_exactly_these_outputs(program: Run, stack: str) -> None:
    p = PREFIX[stack]
    assert program(stack).outputs == {
        "ProcessFunctionName": f"{p}-processor",
        "RollFunctionName": f"{p}-roll",
        "SimulatorFunctionName": f"{p}-simulator",
        "EventStreamName": f"{p}-events",
        "MetricsTableName": f"{p}-metrics",
        "AlertBusName": f"{p}-alerts",
        "CriticalTopicArn": arn("sns", f"{p}-alerts-critical"),
        "WarningTopicArn": arn("sns", f"{p}-alerts-warning"),
        "InfoTopicArn": arn("sns", f"{p}-alerts-info"),
        "DeadLetterQueueUrl": f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/{p}-alerts-dlq",
        "QuarantineBucketName": f"{p}-quarantine-0001",
    }


@STACKS
def test_every_physical_name_starts_with_the_prefix(program: Run, stack: str) -> None:
    for resource in program(stack).resources:
        for key in ("name", "bucketPrefix", "layerName"):
            name = resource.inputs.get(key, PREFIX[stack])
            bare = name.removeprefix("/aws/lambda/").removeprefix("alias/")
            assert bare.startswith(PREFIX[stack]), f"{resource.name}: {name}"


@STACKS
def test_every_resource_that_takes_tags_has_the_stacks(program: Run, stack: str) -> None:
    tagged = {r.type: r.inputs["tags"] for r in program(stack).resources if "tags" in r.inputs}
    assert all(tags == {"project": PROJECT, "stack": stack, "managed-by": "pulumi"} for tags in tagged.values())
    assert set(tagged) >= {
        "aws:cloudwatch/eventBus:EventBus",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:dynamodb/table:Table",
        "aws:iam/role:Role",
        "aws:kinesis/stream:Stream",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "aws:lambda/function:Function",
        "aws:s3/bucket:Bucket",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
    }


def test_every_resource_is_a_components_child_and_named_after_it(either: Recorded) -> None:
    components = {r.urn: r.name for r in either.resources if not r.custom}
    for resource in either.resources:
        if resource.custom:
            assert resource.name.startswith(components[resource.parent] + "-"), resource.name
    assert either.component_outputs.keys() == set(components.values())


def test_it_asks_aws_nothing(either: Recorded) -> None:
    assert either.calls == []


@pytest.mark.parametrize(
    ("stack", "inputs"),
    [
        (
            "dev",
            {
                "batchSize": 100,
                "maximumBatchingWindowInSeconds": 0,
                "maximumRetryAttempts": 3,
                "maximumRecordAgeInSeconds": -1,
            },
        ),
        (
            "prod",
            {
                "batchSize": 1000,
                "maximumBatchingWindowInSeconds": 5,
                "maximumRetryAttempts": -1,
                "maximumRecordAgeInSeconds": 172_800,
            },
        ),
    ],
)
def test_the_event_source_mapping(program: Run, stack: str, inputs: dict[str, Any]) -> None:
    p, mapping = PREFIX[stack], program(stack).one("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert {key: value for key, value in mapping.inputs.items() if key != "tags"} == {
        **inputs,
        "eventSourceArn": arn("kinesis", f"stream/{p}-events"),
        "functionName": arn("lambda", f"function:{p}-processor"),
        "startingPosition": "TRIM_HORIZON",
        "parallelizationFactor": 1,
        "bisectBatchOnFunctionError": True,
        "functionResponseTypes": ["ReportBatchItemFailures"],
        "destinationConfig": {"onFailure": {"destinationArn": f"arn:aws:s3:::{p}-quarantine-0001"}},
    }
    policy = program(stack).one("aws:iam/rolePolicy:RolePolicy", "processor-policy")
    assert policy.urn in mapping.dependencies


@pytest.mark.parametrize(
    ("function", "handler", "memory", "timeout", "layers"),
    [
        ("processor", "functions.processor.handler.lambda_handler", 1024, 120, 1),
        ("roll", "functions.processor.roll.lambda_handler", 1024, 120, 1),
        ("simulator", "functions.simulator.handler.lambda_handler", 256, 60, 0),
    ],
)
@STACKS
def test_the_functions(
    program: Run, stack: str, function: str, handler: str, memory: int, timeout: int, layers: int
) -> None:
    recorded, name = program(stack), f"{PREFIX[stack]}-{function}"
    inputs = by_physical_name(recorded, "aws:lambda/function:Function", name).inputs
    assert inputs["handler"] == handler
    assert inputs["runtime"] == "python3.12"
    assert inputs["architectures"] == ["arm64" if stack == "prod" else "x86_64"]
    assert (inputs["memorySize"], inputs["timeout"]) == (memory, timeout)
    assert inputs["role"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert inputs["layers"] == [arn("lambda", f"layer:{PREFIX[stack]}-dependencies:1")] * layers
    assert inputs["loggingConfig"] == {"logFormat": "Text", "logGroup": f"/aws/lambda/{name}"}
    logs = by_physical_name(recorded, "aws:cloudwatch/logGroup:LogGroup", f"/aws/lambda/{name}")
    assert logs.inputs["retentionInDays"] == (90 if stack == "prod" else 14)


@STACKS
def test_the_functions_environments(program: Run, stack: str) -> None:
    p, recorded = PREFIX[stack], program(stack)
    variables = {
        r.inputs["name"]: r.inputs["environment"]["variables"] for r in recorded.of_type("aws:lambda/function:Function")
    }
    common = {
        "DYNAMODB_TABLE_NAME": f"{p}-metrics",
        "EVENT_BUS_NAME": f"{p}-alerts",
        "QUARANTINE_BUCKET_NAME": f"{p}-quarantine-0001",
        "DUE_PARTITIONS": "16",
        "FUTURE_TOLERANCE_SECONDS": "600",
        "IB_CALLS_WARNING": "3",
        "HEALTH_WARNING": "70",
        "HEALTH_CRITICAL": "50",
        "RENOTIFY_HOURS": "24",
        "MAX_REMINDERS": "5",
        "LOG_LEVEL": "INFO",
        "POWERTOOLS_METRICS_NAMESPACE": p,
    }
    assert variables == {
        f"{p}-processor": common | {"POWERTOOLS_SERVICE_NAME": "processor"},
        f"{p}-roll": common | {"POWERTOOLS_SERVICE_NAME": "roll"},
        f"{p}-simulator": {
            "EVENT_STREAM_NAME": f"{p}-events",
            "SIMULATOR_STREAMS": "50",
            "SIMULATOR_EVENTS_PER_STREAM": "10",
            "LOG_LEVEL": "INFO",
        },
    }


def role_policies(p: str) -> dict[str, list[tuple[list[str], list[str]]]]:
    """Of each role, every statement's actions and resources: exactly what its function calls."""
    stream, table = arn("kinesis", f"stream/{p}-events"), arn("dynamodb", f"table/{p}-metrics")
    bus, bucket = arn("events", f"event-bus/{p}-alerts"), f"arn:aws:s3:::{p}-quarantine-0001"

    def logs(function: str) -> tuple[list[str], list[str]]:
        group = arn("logs", f"log-group:/aws/lambda/{p}-{function}:*")
        return ["logs:CreateLogStream", "logs:PutLogEvents"], [group]

    return {
        f"{p}-processor": [
            (
                [
                    "kinesis:DescribeStream",
                    "kinesis:DescribeStreamSummary",
                    "kinesis:GetRecords",
                    "kinesis:GetShardIterator",
                    "kinesis:ListShards",
                ],
                [stream],
            ),
            (["dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"], [table]),
            (["events:PutEvents"], [bus]),
            (["s3:PutObject"], [f"{bucket}/records/*", f"{bucket}/aws/lambda/*"]),
            (["s3:ListBucket"], [bucket]),
            logs("processor"),
        ],
        f"{p}-roll": [
            (["dynamodb:Query"], [f"{table}/index/DueIndex"]),
            (["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate"], [table]),
            (["events:PutEvents"], [bus]),
            logs("roll"),
        ],
        f"{p}-simulator": [(["kinesis:PutRecords"], [stream]), logs("simulator")],
        f"{p}-roll-schedule": [(["lambda:InvokeFunction"], [arn("lambda", f"function:{p}-roll")])],
        f"{p}-simulator-schedule": [(["lambda:InvokeFunction"], [arn("lambda", f"function:{p}-simulator")])],
    }


@STACKS
def test_each_role_allows_exactly_what_its_function_calls(program: Run, stack: str) -> None:
    recorded, expected = program(stack), role_policies(PREFIX[stack])
    assert {role.inputs["name"] for role in recorded.of_type("aws:iam/role:Role")} == expected.keys()
    for role, statements in expected.items():
        found = recorded.policy_of(role)
        assert [(s["Action"], s["Resource"]) for s in found] == statements, role
        assert all(s.keys() == {"Effect", "Action", "Resource"} and s["Effect"] == "Allow" for s in found)


def test_each_role_can_be_assumed_by_its_one_service_only(either: Recorded) -> None:
    for role in either.of_type("aws:iam/role:Role"):
        (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        scheduled = role.inputs["name"].endswith("-schedule")
        service = "scheduler.amazonaws.com" if scheduled else "lambda.amazonaws.com"
        assert (statement["Action"], statement["Principal"]) == (["sts:AssumeRole"], {"Service": service})
        condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}} if scheduled else None
        assert statement.get("Condition") == condition


@STACKS
def test_everything_is_encrypted(program: Run, stack: str) -> None:
    recorded = program(stack)
    stream = recorded.one("aws:kinesis/stream:Stream").inputs
    assert (stream["encryptionType"], stream["kmsKeyId"]) == ("KMS", "alias/aws/kinesis")
    assert recorded.one("aws:dynamodb/table:Table").inputs["serverSideEncryption"] == {"enabled": True}
    assert recorded.one("aws:sqs/queue:Queue").inputs["sqsManagedSseEnabled"] is True
    encryption = recorded.of_type(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )
    access = recorded.of_type("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    buckets = {r.inputs["bucketPrefix"] + "0001" for r in recorded.of_type("aws:s3/bucket:Bucket")}
    assert {r.inputs["bucket"] for r in encryption} == {r.inputs["bucket"] for r in access} == buckets
    for settings in access:
        assert [value for key, value in settings.inputs.items() if key != "bucket"] == [True] * 4
    # A customer managed key where the stack asks for one: under the AWS managed key EventBridge could not publish.
    key = arn("kms", "key/alerts-key") if stack == "prod" else None
    assert [topic.inputs.get("kmsMasterKeyId") for topic in recorded.of_type("aws:sns/topic:Topic")] == [key] * 3


@STACKS
def test_production_keeps_what_cannot_be_made_again(program: Run, stack: str) -> None:
    recorded, production = program(stack), stack == "prod"
    kept = {"events-stream", "metrics-table", "alerts-key", "processor-quarantine-bucket"}
    protected = kept | {"processor-mapping"}
    assert {r.name for r in recorded.resources if r.protect} == (protected if production else set())
    assert {r.name for r in recorded.resources if r.retain_on_delete} == (kept if production else set())
    assert recorded.one("aws:dynamodb/table:Table").inputs["deletionProtectionEnabled"] is production
    quarantine = recorded.one("aws:s3/bucket:Bucket", "processor-quarantine-bucket")
    assert quarantine.inputs["forceDestroy"] is not production


@STACKS
def test_the_schedules(program: Run, stack: str) -> None:
    schedules = {
        r.inputs["name"].removeprefix(PREFIX[stack] + "-"): r.inputs
        for r in program(stack).of_type("aws:scheduler/schedule:Schedule")
    }
    assert {name: (s["scheduleExpression"], s["state"]) for name, s in schedules.items()} == {
        "roll-schedule": ("rate(5 minutes)", "ENABLED"),
        "simulator-schedule": ("rate(1 minute)", "DISABLED"),
    }
    retries = program(stack).of_type("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    assert {r.inputs["functionName"]: r.inputs["maximumRetryAttempts"] for r in retries} == {
        f"{PREFIX[stack]}-roll": 0,
        f"{PREFIX[stack]}-simulator": 0,
    }


def test_the_quarantine_expires(either: Recorded) -> None:
    lifecycle = either.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs
    assert lifecycle["bucket"].endswith("-quarantine-0001")
    (rule,) = lifecycle["rules"]
    assert (rule["status"], rule["filter"], rule["expiration"]) == ("Enabled", {"prefix": ""}, {"days": 30})


def test_code_and_layer_are_what_the_functions_import(either: Recorded, built_layer: Path) -> None:
    for function in either.of_type("aws:lambda/function:Function"):
        code = function.inputs["code"]
        assert isinstance(code, pulumi.AssetArchive)
        assert "functions/__init__.py" in code.assets
        assert function.inputs["handler"].rpartition(".")[0].replace(".", "/") + ".py" in code.assets
    archive = either.one("aws:s3/bucketObjectv2:BucketObjectv2").inputs
    assert isinstance(archive["source"], pulumi.FileArchive)
    assert (Path.cwd() / archive["source"].path).resolve() == built_layer.resolve()
    layer = either.one("aws:lambda/layerVersion:LayerVersion").inputs
    assert (layer["s3Bucket"], layer["s3Key"]) == (archive["bucket"], archive["key"])


def test_the_roll_rests_without_its_index(built_layer: Path) -> None:
    recorded = record_program("dev", layerDirectory=str(built_layer), dueIndexEnabled=False)
    assert recorded.one("aws:scheduler/schedule:Schedule", "processor-roll-schedule").inputs["state"] == "DISABLED"
    table = recorded.one("aws:dynamodb/table:Table").inputs
    assert "DueIndex" not in [index["name"] for index in table["globalSecondaryIndexes"]]


def test_an_existing_stream_is_read_and_not_made(built_layer: Path) -> None:
    stream, key = arn("kinesis", "stream/theirs"), arn("kms", "key/1234-ab")
    recorded = record_program(
        "dev", layerDirectory=str(built_layer), existingStreamArn=stream, existingStreamKeyArn=key
    )
    assert recorded.of_type("aws:kinesis/stream:Stream") == []
    assert recorded.outputs["EventStreamName"] == "theirs"
    assert recorded.one("aws:lambda/eventSourceMapping:EventSourceMapping").inputs["eventSourceArn"] == stream
    allowed = {
        role: [s["Action"] for s in recorded.policy_of(f"iops-dashboard-dev-{role}") if s["Resource"] == [key]]
        for role in ("processor", "simulator", "roll")
    }
    assert allowed == {"processor": [["kms:Decrypt"]], "simulator": [["kms:GenerateDataKey"]], "roll": []}


def test_a_missing_layer_stops_the_program_with_one_message() -> None:
    with pytest.raises(pulumi.RunError, match="run `make layer`") as raised:
        record_program("dev", layerDirectory="build/no-such-layer")
    assert "build/no-such-layer is not built" in str(raised.value)


def at(recorded: Recorded, path: str) -> Any:
    """What stands at `logical-name key.key...` of a recorded run."""
    name, keys = path.split(" ")
    (value,) = [r.inputs for r in recorded.resources if r.custom and r.name == name]
    for key in keys.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


# Of each setting: a value that is not the default, where it must arrive, and as what.
ARRIVALS: dict[str, tuple[Any, str, Any]] = {
    "namePrefix": ("other", "events-stream name", "other-events"),
    "production": (True, "metrics-table deletionProtectionEnabled", True),
    "streamShards": (3, "events-stream shardCount", 3),
    "streamRetentionHours": (48, "events-stream retentionPeriod", 48),
    "batchSize": (7, "processor-mapping batchSize", 7),
    "batchingWindowSeconds": (8, "processor-mapping maximumBatchingWindowInSeconds", 8),
    "maxRetryAttempts": (9, "processor-mapping maximumRetryAttempts", 9),
    "maxRecordAgeSeconds": (1000, "processor-mapping maximumRecordAgeInSeconds", 1000),
    "parallelizationFactor": (2, "processor-mapping parallelizationFactor", 2),
    "architecture": ("arm64", "processor-layer compatibleArchitectures", ["arm64"]),
    "processorMemoryMb": (300, "processor-roll-function memorySize", 300),
    "processorTimeoutSeconds": (33, "processor-function timeout", 33),
    "logLevel": ("DEBUG", "processor-function environment.variables.LOG_LEVEL", "DEBUG"),
    "logRetentionDays": (3, "simulator-logs retentionInDays", 3),
    "ibCallsWarning": (4, "processor-function environment.variables.IB_CALLS_WARNING", "4"),
    "healthWarning": (71, "processor-function environment.variables.HEALTH_WARNING", "71"),
    "healthCritical": (51, "processor-function environment.variables.HEALTH_CRITICAL", "51"),
    "renotifyHours": (25, "processor-roll-function environment.variables.RENOTIFY_HOURS", "25"),
    "maxReminders": (6, "processor-roll-function environment.variables.MAX_REMINDERS", "6"),
    "futureToleranceMinutes": (11, "processor-function environment.variables.FUTURE_TOLERANCE_SECONDS", "660"),
    "rollIntervalMinutes": (1, "processor-roll-schedule scheduleExpression", "rate(1 minute)"),
    "duePartitions": (17, "processor-roll-function environment.variables.DUE_PARTITIONS", "17"),
    "entityTypeHealthIndexEnabled": (False, "metrics-table globalSecondaryIndexes.0.name", "DueIndex"),
    "lastUpdatedIndexEnabled": (False, "metrics-table globalSecondaryIndexes.0.name", "DueIndex"),
    "alertEmailsCritical": (["c@d.org"], "alerts-critical-email-c@d.org endpoint", "c@d.org"),
    "alertEmailsWarning": (["w@d.org"], "alerts-warning-email-w@d.org endpoint", "w@d.org"),
    "alertEmailsInfo": (["i@d.org"], "alerts-info-email-i@d.org endpoint", "i@d.org"),
    "topicKeyEnabled": (True, "alerts-key enableKeyRotation", True),
    "dlqRetentionDays": (13, "alerts-dlq messageRetentionSeconds", 13 * 86_400),
    "quarantineExpiryDays": (31, "processor-quarantine-lifecycle rules.0.expiration.days", 31),
    "simulatorEnabled": (True, "simulator-schedule state", "ENABLED"),
    "simulatorStreams": (51, "simulator-function environment.variables.SIMULATOR_STREAMS", "51"),
    "simulatorEventsPerStream": (12, "simulator-function environment.variables.SIMULATOR_EVENTS_PER_STREAM", "12"),
}


@pytest.fixture(scope="module")
def changed(built_layer: Path) -> Recorded:
    """One run with every setting of ARRIVALS changed at once."""
    changes = {key: value for key, (value, *_) in ARRIVALS.items()}
    return record_program("dev", layerDirectory=str(built_layer), **changes)


@pytest.mark.parametrize("key", ARRIVALS)
def test_each_setting_arrives_where_it_belongs(changed: Recorded, key: str) -> None:
    _, path, expected = ARRIVALS[key]
    assert at(changed, path) == expected


def test_every_declared_setting_is_tested_above() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    others = {"layerDirectory", "dueIndexEnabled", "existingStreamArn", "existingStreamKeyArn"}
    assert project["config"].keys() == ARRIVALS.keys() | others
    assert project["name"] == PROJECT


def by_physical_name(recorded: Recorded, type_: str, name: str) -> Registered:
    (found,) = [r for r in recorded.of_type(type_) if r.inputs["name"] == name]
    return found
