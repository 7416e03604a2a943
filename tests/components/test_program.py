"""The whole program for both stacks: what the contract says of its resources, one table a subject."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from tests.helpers.recorded_program import (
    ACCOUNT,
    PROJECT,
    ROOT,
    Recorded,
    Registered,
    arn,
    record,
    record_program,
    run_program,
    stack_config,
)

Run = Callable[[str], Recorded]
PREFIX = {"dev": "iops-dashboard-dev", "prod": "iops-dashboard"}
STACKS = pytest.mark.parametrize("stack", ["dev", "prod"])

COUNTS = {
    "iops:index:AlertBus": 1,
    "iops:index:EventStream": 1,
    "iops:index:MetricsStore": 1,
    "iops:index:Observability": 1,
    "iops:index:Rollup": 1,
    "iops:index:Simulator": 1,
    "iops:index:StreamProcessor": 1,
    "aws:cloudwatch/eventBus:EventBus": 1,
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": 1,
    "aws:cloudwatch/eventRule:EventRule": 3,
    "aws:cloudwatch/eventTarget:EventTarget": 3,
    "aws:cloudwatch/logGroup:LogGroup": 8,
    "aws:cloudwatch/dashboard:Dashboard": 1,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 29,
    "aws:dynamodb/table:Table": 2,
    "aws:iam/role:Role": 11,
    "aws:iam/rolePolicy:RolePolicy": 11,
    "aws:kinesis/stream:Stream": 1,
    "aws:lambda/eventSourceMapping:EventSourceMapping": 1,
    "aws:lambda/function:Function": 7,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": 4,
    "aws:lambda/layerVersion:LayerVersion": 1,
    "aws:lambda/permission:Permission": 3,
    "aws:s3/bucket:Bucket": 3,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 2,
    "aws:s3/bucketObjectv2:BucketObjectv2": 1,
    "aws:s3/bucketPolicy:BucketPolicy": 3,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 3,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 3,
    "aws:scheduler/schedule:Schedule": 3,
    "aws:sfn/stateMachine:StateMachine": 1,
    "aws:sns/topic:Topic": 4,
    "aws:sns/topicPolicy:TopicPolicy": 4,
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
        "RollupFunctionName": f"{p}-rollup",
        "RollupStateMachineArn": arn("states", f"stateMachine:{p}-rollup"),
        "RollupBucketName": f"{p}-rollup-0001",
        "NotifierFunctionName": f"{p}-notifier",
        "SimulatorFunctionName": f"{p}-simulator",
        "EventStreamName": f"{p}-events",
        "MetricsTableName": f"{p}-metrics",
        "AlertBusName": f"{p}-alerts",
        "CriticalTopicArn": arn("sns", f"{p}-alerts-critical"),
        "WarningTopicArn": arn("sns", f"{p}-alerts-warning"),
        "InfoTopicArn": arn("sns", f"{p}-alerts-info"),
        "DeadLetterQueueUrl": f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/{p}-alerts-dlq",
        "OperationsTopicArn": arn("sns", f"{p}-operations"),
        "DashboardUrl": "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/"
        + p,
        "QuarantineBucketName": f"{p}-quarantine-0001",
    }


@STACKS
def test_every_physical_name_starts_with_the_prefix(program: Run, stack: str) -> None:
    for resource in program(stack).resources:
        for key in ("name", "bucketPrefix", "layerName", "dashboardName"):
            name = resource.inputs.get(key, PREFIX[stack])
            bare = name.removeprefix("/aws/lambda/").removeprefix("/aws/vendedlogs/states/").removeprefix("alias/")
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
        "metricsConfig": {"metrics": ["EventCount"]},
        "destinationConfig": {"onFailure": {"destinationArn": f"arn:aws:s3:::{p}-quarantine-0001"}},
    }
    policy = program(stack).one("aws:iam/rolePolicy:RolePolicy", "processor-policy")
    assert policy.urn in mapping.dependencies


@pytest.mark.parametrize(
    ("function", "handler", "memory", "timeout", "layers"),
    [
        ("processor", "functions.processor.handler.lambda_handler", 1024, 120, 1),
        ("roll", "functions.processor.roll.lambda_handler", 1024, 120, 1),
        ("rollup", "functions.rollup.handler.lambda_handler", 1024, 900, 1),
        ("rollup-map", "functions.rollup.map_handler.lambda_handler", 1024, 900, 1),
        ("rollup-reduce", "functions.rollup.reduce_handler.lambda_handler", 1024, 900, 1),
        ("simulator", "functions.simulator.handler.lambda_handler", 256, 60, 0),
        ("notifier", "functions.notifier.handler.lambda_handler", 256, 60, 0),
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
    assert inputs.get("ephemeralStorage") == ({"size": 2048} if function.startswith("rollup") else None)
    assert inputs["tracingConfig"] == {"mode": "PassThrough"}
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
        "STATE_TABLE_NAME": f"{p}-state",
        "EVENT_BUS_NAME": f"{p}-alerts",
        "QUARANTINE_BUCKET_NAME": f"{p}-quarantine-0001",
        "ROLL_INTERVAL_MINUTES": "5",
        "WAKE_LANES": "4",
        "FUTURE_TOLERANCE_SECONDS": "600",
        "IB_CALLS_WARNING": "3",
        "HEALTH_WARNING": "70",
        "HEALTH_CRITICAL": "50",
        "RENOTIFY_HOURS": "24",
        "MAX_REMINDERS": "5",
        "FIRST_SESSION_SUCCESS_BELOW": "0.0",
        "FIRST_SESSIONS_LEAST": "5",
        "VELOCITY_DROP_SHARE": "0.0",
        "VELOCITY_DROP_LEAST": "4",
        "NO_TUTORS_ALERT": "false",
        "DEMAND_SURGE_SCORE": "0.0",
        "DEMAND_SURGE_LEAST": "10",
        "LOG_LEVEL": "INFO",
        "POWERTOOLS_METRICS_NAMESPACE": p,
    }
    of_many = {
        "ROLLUP_DISTRIBUTED_ITEMS": "2000000",
        "ROLLUP_BUCKET_NAME": f"{p}-rollup-0001",
        "ROLLUP_STATE_MACHINE_ARN": arn("states", f"stateMachine:{p}-rollup"),
    }
    needed = ("DYNAMODB_TABLE_NAME", "STATE_TABLE_NAME", "EVENT_BUS_NAME", "QUARANTINE_BUCKET_NAME", "LOG_LEVEL")
    step = {name: common[name] for name in (*needed, "POWERTOOLS_METRICS_NAMESPACE")}
    told = {"rollup": common, "rollup-map": step, "rollup-reduce": step}
    assert variables == {
        f"{p}-processor": common | {"POWERTOOLS_SERVICE_NAME": "processor"},
        f"{p}-roll": common | {"POWERTOOLS_SERVICE_NAME": "roll"},
        **{f"{p}-{name}": told[name] | of_many | {"POWERTOOLS_SERVICE_NAME": name} for name in told},
        f"{p}-notifier": {
            "CRITICAL_TOPIC_ARN": arn("sns", f"{p}-alerts-critical"),
            "WARNING_TOPIC_ARN": arn("sns", f"{p}-alerts-warning"),
            "INFO_TOPIC_ARN": arn("sns", f"{p}-alerts-info"),
        },
        f"{p}-simulator": {
            "EVENT_STREAM_NAME": f"{p}-events",
            "SIMULATOR_STREAMS": "50",
            "SIMULATOR_EVENTS_PER_STREAM": "10",
            "LOG_LEVEL": "INFO",
        },
    }


Allowed = tuple[list[str], list[str], Any]


def role_policies(p: str) -> dict[str, list[Allowed]]:
    """Of each role, every statement's actions, resources and condition: exactly what its function calls."""
    stream, table = arn("kinesis", f"stream/{p}-events"), arn("dynamodb", f"table/{p}-metrics")
    state = arn("dynamodb", f"table/{p}-state")
    bus, bucket = arn("events", f"event-bus/{p}-alerts"), f"arn:aws:s3:::{p}-quarantine-0001"

    key, through_sns = arn("kms", "key/alerts-key"), {"StringLike": {"kms:ViaService": "sns.eu-west-1.amazonaws.com*"}}

    own_bucket = {"StringEquals": {"s3:ResourceAccount": ACCOUNT}}
    own_source = {
        "ForAllValues:StringEquals": {"events:source": "iops-dashboard.processor"},
        "Null": {"events:source": "false"},
    }

    def by(function: str) -> dict[str, Any]:
        return {"ArnEquals": {"lambda:SourceFunctionArn": arn("lambda", f"function:{p}-{function}")}}

    def logs(function: str) -> Allowed:
        group = arn("logs", f"log-group:/aws/lambda/{p}-{function}:*")
        return ["logs:CreateLogStream", "logs:PutLogEvents"], [group], by(function)

    def taking_in(function: str) -> list[Allowed]:
        heads = ["dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", "dynamodb:PutItem"]
        tails_and_wakes = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:PutItem"]
        return [(heads, [table], by(function)), (tails_and_wakes, [state], by(function))]

    def rolled(*functions: str) -> Allowed:
        return ["lambda:InvokeFunction"], [arn("lambda", f"function:{p}-{each}") for each in functions], None

    runs, exports = (f"arn:aws:s3:::{p}-rollup-0001/{prefix}/*" for prefix in ("runs", "exports"))
    machine = arn("states", f"stateMachine:{p}-rollup")

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
                None,
            ),
            (["s3:PutObject"], [f"{bucket}/aws/lambda/*"], own_bucket),
            (["s3:ListBucket"], [bucket], own_bucket),
            *taking_in("processor"),
            (["events:PutEvents"], [bus], own_source | by("processor")),
            (["s3:PutObject"], [f"{bucket}/records/*"], own_bucket | by("processor")),
            logs("processor"),
        ],
        f"{p}-roll": [
            # A move of an item to its tail is a transaction of two puts.
            (["dynamodb:BatchGetItem", "dynamodb:PartiQLUpdate", "dynamodb:PutItem"], [table], by("roll")),
            (
                [
                    "dynamodb:BatchGetItem",
                    "dynamodb:BatchWriteItem",
                    "dynamodb:GetItem",
                    "dynamodb:PutItem",
                    "dynamodb:Query",
                ],
                [state],
                by("roll"),
            ),
            (["events:PutEvents"], [bus], own_source | by("roll")),
            logs("roll"),
        ],
        f"{p}-rollup": [
            (["dynamodb:DescribeTable", "dynamodb:Scan"], [table], by("rollup")),
            *taking_in("rollup"),
            (["events:PutEvents"], [bus], own_source | by("rollup")),
            (["s3:GetObject"], [runs, exports], own_bucket | by("rollup")),
            (["s3:PutObject"], [runs], own_bucket | by("rollup")),
            (["states:ListExecutions", "states:StartExecution"], [machine], by("rollup")),
            logs("rollup"),
        ],
        f"{p}-rollup-map": [
            (["dynamodb:BatchGetItem", "dynamodb:Scan"], [table], by("rollup-map")),
            (["dynamodb:BatchGetItem"], [state], by("rollup-map")),
            (["s3:GetObject"], [exports], own_bucket | by("rollup-map")),
            (["s3:PutObject"], [runs], own_bucket | by("rollup-map")),
            logs("rollup-map"),
        ],
        f"{p}-rollup-reduce": [
            (["s3:GetObject", "s3:PutObject"], [runs], own_bucket | by("rollup-reduce")),
            logs("rollup-reduce"),
        ],
        f"{p}-rollup-steps": [
            rolled("rollup-map", "rollup-reduce", "rollup"),
            (
                ["s3:GetObject"],
                [f"{runs}/{items}.json" for items in ("sources", "partitions")],
                own_bucket,
            ),
            (["states:StartExecution"], [machine], None),
            (
                ["states:DescribeExecution", "states:StopExecution"],
                [arn("states", f"execution:{p}-rollup:*")],
                None,
            ),
            (
                [
                    "logs:CreateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:GetLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:UpdateLogDelivery",
                    "logs:DescribeLogGroups",
                    "logs:DescribeResourcePolicies",
                    "logs:PutResourcePolicy",
                ],
                ["*"],
                None,
            ),
        ],
        f"{p}-simulator": [(["kinesis:PutRecords"], [stream], by("simulator")), logs("simulator")],
        f"{p}-notifier": [
            *([] if p == PREFIX["dev"] else [(["kms:Decrypt", "kms:GenerateDataKey"], [key], through_sns)]),
            (["sqs:SendMessage"], [arn("sqs", f"{p}-alerts-dlq")], None),
            (["sns:Publish"], [arn("sns", f"{p}-alerts-{s}") for s in ("critical", "warning", "info")], by("notifier")),
            logs("notifier"),
        ],
        f"{p}-roll-schedule": [rolled("roll")],
        f"{p}-rollup-schedule": [rolled("rollup")],
        f"{p}-simulator-schedule": [rolled("simulator")],
    }


@STACKS
def test_each_role_allows_exactly_what_its_function_calls(program: Run, stack: str) -> None:
    recorded, expected = program(stack), role_policies(PREFIX[stack])
    assert {role.inputs["name"] for role in recorded.of_type("aws:iam/role:Role")} == expected.keys()
    for role, statements in expected.items():
        found = recorded.policy_of(role)
        assert [(s["Action"], s["Resource"], s.get("Condition")) for s in found] == statements, role
        assert all(s["Effect"] == "Allow" for s in found)


def test_each_role_can_be_assumed_by_its_one_service_only(either: Recorded) -> None:
    for role in either.of_type("aws:iam/role:Role"):
        (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        name = role.inputs["name"]
        machine = arn("states", f"stateMachine:{name.removesuffix('-steps')}")
        own = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
        service, condition = {
            "schedule": (
                "scheduler",
                {**own, "ArnEquals": {"aws:SourceArn": arn("scheduler", "schedule-group/default")}},
            ),
            "steps": (
                "states",
                {**own, "ArnEquals": {"aws:SourceArn": [machine, f"{machine}/sources", f"{machine}/partitions"]}},
            ),
        }.get(name.rpartition("-")[2], ("lambda", None))
        principal = {"Service": f"{service}.amazonaws.com"}
        assert (statement["Action"], statement["Principal"]) == (["sts:AssumeRole"], principal)
        assert statement.get("Condition") == condition


@STACKS
def test_the_buckets_are_closed_to_others(program: Run, stack: str) -> None:
    policies = {
        r.inputs["bucket"].removeprefix(PREFIX[stack]): {
            s["Sid"]: s for s in json.loads(r.inputs["policy"])["Statement"]
        }
        for r in program(stack).of_type("aws:s3/bucketPolicy:BucketPolicy")
    }
    assert policies.keys() == {"-quarantine-0001", "-artifacts-0001", "-rollup-0001"}
    for bucket, statements in policies.items():
        own = f"arn:aws:s3:::{PREFIX[stack]}{bucket}"
        assert all(s["Effect"] == "Deny" and s["Principal"] == {"AWS": "*"} for s in statements.values())
        for sid, condition in {
            "TlsOnly": {"BoolIfExists": {"aws:SecureTransport": "false"}},
            "OwnAccountOnly": {
                "StringNotEquals": {"aws:PrincipalAccount": ACCOUNT},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        }.items():
            found = statements.pop(sid)
            assert (found["Action"], found["Resource"], found["Condition"]) == (["s3:*"], [own, f"{own}/*"], condition)
    assert policies["-artifacts-0001"] == policies["-rollup-0001"] == {}
    # Operators read and delete; the roll, which has no business there, could not even be allowed to write.
    written = policies["-quarantine-0001"].pop("WrittenByItsRoleOnly")
    assert policies["-quarantine-0001"] == {}
    assert (written["Action"], written["Resource"]) == (
        ["s3:PutObject"],
        [f"arn:aws:s3:::{PREFIX[stack]}-quarantine-0001/*"],
    )
    role = f"arn:aws:iam::{ACCOUNT}:role/{PREFIX[stack]}-processor"
    assert written["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": role}}


@STACKS
def test_everything_is_encrypted(program: Run, stack: str) -> None:
    recorded = program(stack)
    stream = recorded.one("aws:kinesis/stream:Stream").inputs
    assert (stream["encryptionType"], stream["kmsKeyId"]) == ("KMS", "alias/aws/kinesis")
    tables = recorded.of_type("aws:dynamodb/table:Table")
    assert [table.inputs["serverSideEncryption"] for table in tables] == [{"enabled": True}] * 2
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
    assert [topic.inputs.get("kmsMasterKeyId") for topic in recorded.of_type("aws:sns/topic:Topic")] == [key] * 4


@STACKS
def test_production_keeps_what_cannot_be_made_again(program: Run, stack: str) -> None:
    recorded, production = program(stack), stack == "prod"
    kept = {"events-stream", "metrics-table", "metrics-state", "alerts-key", "processor-quarantine-bucket"}
    topics = {"operations-topic", *(f"alerts-{severity}-topic" for severity in ("critical", "warning", "info"))}
    protected = kept | {"processor-mapping", "alerts-bus", "alerts-dlq", *topics}
    assert {r.name for r in recorded.resources if r.protect} == (protected if production else set())
    assert {r.name for r in recorded.resources if r.retain_on_delete} == (kept if production else set())
    tables = recorded.of_type("aws:dynamodb/table:Table")
    assert [table.inputs["deletionProtectionEnabled"] for table in tables] == [production] * 2
    quarantine = recorded.one("aws:s3/bucket:Bucket", "processor-quarantine-bucket")
    runs = recorded.one("aws:s3/bucket:Bucket", "rollup-runs-bucket")
    assert quarantine.inputs["forceDestroy"] is runs.inputs["forceDestroy"] is not production


@STACKS
def test_the_schedules(program: Run, stack: str) -> None:
    schedules = {
        r.inputs["name"].removeprefix(PREFIX[stack] + "-"): r.inputs
        for r in program(stack).of_type("aws:scheduler/schedule:Schedule")
    }
    assert {name: (s["scheduleExpression"], s["state"]) for name, s in schedules.items()} == {
        "roll-schedule": ("cron(0/5 * * * ? *)", "ENABLED"),
        "rollup-schedule": ("rate(15 minutes)", "ENABLED"),
        "simulator-schedule": ("rate(1 minute)", "DISABLED"),
    }
    retries = program(stack).of_type("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    kept = {
        r.inputs["functionName"].removeprefix(PREFIX[stack] + "-"): (
            r.inputs["maximumRetryAttempts"],
            r.inputs["maximumEventAgeInSeconds"],
        )
        for r in retries
    }
    assert kept == {"roll": (0, 300), "rollup": (0, 900), "simulator": (0, 60), "notifier": (2, 21_600)}


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 60), (20, 1200), (360, 21_600), (361, 21_600), (720, 21_600)])
def test_a_throttled_call_of_a_schedule_is_dropped_after_an_interval(
    built_layer: Path, minutes: int, seconds: int
) -> None:
    recorded = record_program("dev", layerDirectory=str(built_layer), rollupIntervalMinutes=minutes)
    retries = recorded.one("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "rollup-schedule-retries")
    assert retries.inputs["maximumEventAgeInSeconds"] == seconds


# Of each alarm: what it watches (the sum of several, or an expression), how much of it rings, how often, and what the
# alarm makes of missing data. `own` is the namespace of the functions' metrics.
ONCE, TWICE = "1 of 1 in 300 s", "2 of 3 in 300 s"
ALARMS: dict[str, tuple[list[str], float, str, str]] = {
    "stream-unread": (
        [
            "Sum AWS/Kinesis IncomingRecords of events",
            "Sum AWS/Lambda Invocations of processor",
            "IF(FILL(arrived, 0) > 0 AND FILL(called, 0) < 1, 1, 0)",
        ],
        1,
        "3 of 3 in 300 s",
        "ignore",
    ),
    "iterator-age": (
        ["Maximum AWS/Lambda IteratorAge of processor"],
        10 * 60_000,
        "3 of 5 in 60 s",
        "notBreaching",
    ),
    "processor-errors": (["Sum AWS/Lambda Errors of processor"], 1, ONCE, "notBreaching"),
    "processor-throttles": (["Sum AWS/Lambda Throttles of processor"], 10, TWICE, "notBreaching"),
    "processor-duration": (["Maximum AWS/Lambda Duration of processor"], 0.75 * 120_000, TWICE, "notBreaching"),
    "failed-records": (["Sum own FailedRecords of processor"], 1, TWICE, "notBreaching"),
    "quarantined-records": (["Sum own Quarantined of processor"], 1, ONCE, "notBreaching"),
    "failed-batches": (
        ["Sum AWS/Lambda OnFailureDestinationDeliveredEventCount of uuid-of-processor-mapping"],
        1,
        ONCE,
        "notBreaching",
    ),
    "lost-records": (["Sum AWS/Lambda DroppedEventCount of uuid-of-processor-mapping"], 1, ONCE, "notBreaching"),
    "roll-missing": (
        ["Sum AWS/Lambda Invocations of roll", "IF(FILL(rolls, 0) < 1, 1, 0)"],
        1,
        "3 of 3 in 300 s",
        "breaching",
    ),
    "roll-errors": (["Sum AWS/Lambda Errors of roll"], 1, ONCE, "notBreaching"),
    "roll-throttles": (["Sum AWS/Lambda Throttles of roll"], 10, TWICE, "notBreaching"),
    "roll-duration": (["Maximum AWS/Lambda Duration of roll"], 0.75 * 120_000, TWICE, "notBreaching"),
    "roll-failures": (["Maximum own RollFailed of roll"], 1, "3 of 12 in 300 s", "notBreaching"),
    "overdue-wakes": (["Maximum own OldestWake of roll"], 3 * 5 * 60, ONCE, "notBreaching"),
    "wakes-put-off": (["Maximum own PutOff of roll"], 1, "3 of 12 in 300 s", "notBreaching"),
    "unsent-alerts": (["Maximum own OldestUnsent of roll"], 15 * 60, "1 of 13 in 300 s", "notBreaching"),
    "rollup-missing": (
        ["Sum own RolledUp of rollup", "IF(FILL(complete, 0) < 1, 1, 0)"],
        1,
        "3 of 3 in 900 s",
        "breaching",
    ),
    "rollup-errors": (["Sum AWS/Lambda Errors of rollup"], 1, "1 of 1 in 900 s", "notBreaching"),
    "rollup-duration": (
        ["Maximum AWS/Lambda Duration of rollup"],
        0.75 * 900_000,
        "2 of 3 in 900 s",
        "notBreaching",
    ),
    "rollup-runs": (
        [f"Sum AWS/States Executions{how} of rollup" for how in ("Failed", "TimedOut", "Aborted")],
        1,
        "1 of 1 in 900 s",
        "notBreaching",
    ),
    "notifier-errors": (["Sum AWS/Lambda Errors of notifier"], 1, ONCE, "notBreaching"),
    "notifier-throttles": (["Sum AWS/Lambda Throttles of notifier"], 10, TWICE, "notBreaching"),
    "failed-deliveries": (
        [f"Sum AWS/Events FailedInvocations of alerts alerts-{each}" for each in ("critical", "warning", "info")],
        1,
        ONCE,
        "notBreaching",
    ),
    "lost-alerts": (
        [
            *(
                f"Sum AWS/Events InvocationsFailedToBeSentToDlq of alerts alerts-{each}"
                for each in ("critical", "warning", "info")
            ),
            "Sum AWS/Lambda DeadLetterErrors of notifier",
        ],
        1,
        ONCE,
        "notBreaching",
    ),
    "dead-letters": (
        ["Maximum AWS/SQS ApproximateNumberOfMessagesVisible of alerts-dlq"],
        1,
        "1 of 1 in 60 s",
        "notBreaching",
    ),
    "table-errors": (
        [
            f"Sum AWS/DynamoDB SystemErrors of {each}"
            for each in (
                *("BatchGetItem metrics", "BatchExecuteStatement metrics", "Scan metrics"),
                *("TransactWriteItems metrics", "BatchGetItem state", "BatchWriteItem state", "Query state"),
            )
        ],
        10,
        "2 of 2 in 300 s",
        "notBreaching",
    ),
    "table-throttles": (
        [
            f"Sum AWS/DynamoDB {kind}ThrottleEvents of {each}"
            for each in ("metrics", "state", "EntityTypeHealthIndex metrics")
            for kind in ("Read", "Write")
        ],
        10,
        "2 of 2 in 300 s",
        "notBreaching",
    ),
    "transactions-cancelled": (["Sum own TransactionsCancelled of processor"], 10, "2 of 2 in 300 s", "notBreaching"),
}


def watched(inputs: dict[str, Any], prefix: str) -> tuple[list[str], float, str, str]:
    """An alarm as ALARMS has it."""

    def told(metric: dict[str, Any], stat: str) -> str:
        of = " ".join(
            value.rpartition(":")[2].removeprefix(f"{prefix}-") for _, value in sorted(metric["dimensions"].items())
        )
        return f"{stat} {metric['namespace'].replace(prefix, 'own')} {metric['metricName']} of {of}"

    queries = inputs.get("metricQueries", [])
    metrics = [query["metric"] for query in queries if "metric" in query]
    figures = [told(metric, metric["stat"]) for metric in metrics] or [told(inputs, inputs["statistic"])]
    expressions = [query["expression"] for query in queries if "expression" in query]
    sums = [" + ".join(f"FILL({query['id']}, 0)" for query in queries if "metric" in query)]
    period = metrics[0]["period"] if metrics else inputs["period"]
    often = f"{inputs['datapointsToAlarm']:.0f} of {inputs['evaluationPeriods']:.0f} in {period:.0f} s"
    shown = [*figures, *(each for each in expressions if each not in sums)]
    return shown, inputs["threshold"], often, inputs["treatMissingData"]


@STACKS
def test_the_alarms(program: Run, stack: str) -> None:
    prefix = PREFIX[stack]
    alarms = {
        r.inputs["name"].removeprefix(f"{prefix}-"): r.inputs
        for r in program(stack).of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    assert {key: watched(inputs, prefix) for key, inputs in alarms.items()} == ALARMS
    for inputs in alarms.values():
        assert inputs["comparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert inputs["alarmActions"] == inputs["okActions"] == [arn("sns", f"{prefix}-operations")]


@pytest.mark.parametrize(("name", "days"), [("processor-quarantine", 30), ("rollup-runs", 1)])
def test_the_quarantine_and_the_runs_expire(either: Recorded, name: str, days: int) -> None:
    lifecycle = either.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", f"{name}-lifecycle")
    assert lifecycle.inputs["bucket"].endswith({"rollup-runs": "-rollup-0001"}.get(name, "-quarantine-0001"))
    (rule,) = lifecycle.inputs["rules"]
    assert (rule["status"], rule["filter"], rule["expiration"]) == ("Enabled", {"prefix": ""}, {"days": days})


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


def test_the_rollup_rests_when_it_is_switched_off(built_layer: Path) -> None:
    recorded = record_program("dev", layerDirectory=str(built_layer), rollupEnabled=False)
    assert recorded.one("aws:scheduler/schedule:Schedule", "rollup-schedule").inputs["state"] == "DISABLED"
    alarms = [r.name for r in recorded.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")]
    assert not any("rollup" in name for name in alarms)


def test_alarms_and_dashboard_can_be_left_out(built_layer: Path) -> None:
    recorded = record_program(
        "dev",
        layerDirectory=str(built_layer),
        alarmsEnabled=False,
        dashboardEnabled=False,
        operationsEmails=["o@d.org"],
    )
    assert recorded.of_type("aws:cloudwatch/metricAlarm:MetricAlarm") == []
    assert recorded.of_type("aws:cloudwatch/dashboard:Dashboard") == []
    assert recorded.outputs["DashboardUrl"] == ""
    assert recorded.outputs["OperationsTopicArn"] == arn("sns", "iops-dashboard-dev-operations")


def test_a_dashboard_without_alarms_has_no_row_of_them(built_layer: Path) -> None:
    recorded = record_program("dev", layerDirectory=str(built_layer), alarmsEnabled=False)
    widgets = json.loads(recorded.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])["widgets"]
    assert "alarm" not in {widget["type"] for widget in widgets}
    assert min(widget["y"] for widget in widgets) == 0


def test_dev_has_one_shard_and_prod_scales_on_demand(program: Run) -> None:
    streams = {stack: program(stack).one("aws:kinesis/stream:Stream").inputs for stack in PREFIX}
    modes = {stack: stream["streamModeDetails"]["streamMode"] for stack, stream in streams.items()}
    assert modes == {"dev": "PROVISIONED", "prod": "ON_DEMAND"}
    assert streams["dev"]["shardCount"] == 1


def test_a_rollup_of_one_function_needs_no_other(built_layer: Path) -> None:
    recorded = record_program("dev", layerDirectory=str(built_layer), rollupDistributedItems=0)
    assert recorded.of_type("aws:sfn/stateMachine:StateMachine") == []
    functions = {r.inputs["name"] for r in recorded.of_type("aws:lambda/function:Function") if "rollup" in r.name}
    assert functions == {"iops-dashboard-dev-rollup"}
    assert (recorded.outputs["RollupStateMachineArn"], recorded.outputs["RollupBucketName"]) == ("", "")
    (rollup,) = [r for r in recorded.of_type("aws:lambda/function:Function") if r.name == "rollup-function"]
    assert not any(name.startswith("ROLLUP_") for name in rollup.inputs["environment"]["variables"])
    actions = {action for each in recorded.policy_of("iops-dashboard-dev-rollup") for action in each["Action"]}
    assert not any(action.startswith(("s3:", "states:")) for action in actions)
    alarms = {r.name for r in recorded.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")}
    assert "operations-rollup-missing-alarm" in alarms
    assert "operations-rollup-runs-alarm" not in alarms


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


def test_an_existing_table_and_bus_are_used_and_not_made(built_layer: Path) -> None:
    table, key, bus = arn("dynamodb", "table/theirs"), arn("kms", "key/1234-ab"), arn("events", "event-bus/theirs")
    recorded = record_program(
        "prod",
        layerDirectory=str(built_layer),
        existingTableArn=table,
        existingTableKeyArn=key,
        existingBusArn=bus,
    )
    gone = {"aws:cloudwatch/eventBus:EventBus", "aws:cloudwatch/eventBusPolicy:EventBusPolicy"}
    assert {r.type for r in recorded.resources} & gone == set()
    # What is internal is in a table of the stack's own all the same.
    assert [r.name for r in recorded.of_type("aws:dynamodb/table:Table")] == ["metrics-state"]
    state = arn("dynamodb", "table/iops-dashboard-state")
    assert (recorded.outputs["MetricsTableName"], recorded.outputs["AlertBusName"]) == ("theirs", "theirs")
    for role, theirs in {
        "processor": [table, state, bus, key],
        "roll": [table, state, bus, key],
        "rollup": [table, state, bus, key],
        "rollup-map": [table, state, key],
        "rollup-reduce": [],
        "simulator": [],
    }.items():
        named = {resource for s in recorded.policy_of(f"iops-dashboard-{role}") for resource in s["Resource"]}
        assert named >= set(theirs)
        uses = [s for s in recorded.policy_of(f"iops-dashboard-{role}") if s["Resource"] == [key]]
        assert [s["Action"] for s in uses] == ([["kms:Decrypt"]] if theirs else [])
        assert all(
            s["Condition"]["StringLike"] == {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com*"} for s in uses
        )


def test_the_own_account_is_read_from_what_the_stack_itself_has_made(built_layer: Path) -> None:
    """From a table's ARN it would be the table's: the policies then refuse everybody but that account."""
    table = arn("dynamodb", "table/theirs")
    recorded = record_program("prod", layerDirectory=str(built_layer), existingTableArn=table)
    logs = {r.name: r.urn for r in recorded.of_type("aws:cloudwatch/logGroup:LogGroup")}
    for bucket in ("processor-quarantine", "processor-artifacts", "rollup-runs"):
        policy = recorded.one("aws:s3/bucketPolicy:BucketPolicy", f"{bucket}-policy")
        assert logs[f"{bucket.partition('-')[0]}-logs"] in policy.property_dependencies["policy"]


def test_a_missing_layer_stops_the_program_with_one_message() -> None:
    with pytest.raises(pulumi.RunError, match="run `make layer`") as raised:
        record_program("dev", layerDirectory="build/no-such-layer")
    assert "build/no-such-layer is not built" in str(raised.value)


def at(recorded: Recorded, path: str) -> Any:
    """What stands at `logical-name key.key...` of a recorded run, in JSON too."""
    name, keys = path.split(" ", 1)
    (value,) = [r.inputs for r in recorded.resources if r.custom and r.name == name]
    for key in keys.split("."):
        parsed = json.loads(value) if isinstance(value, str) else value
        value = parsed[int(key)] if isinstance(parsed, list) else parsed[key]
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
    "processorReservedConcurrency": (6, "processor-function reservedConcurrentExecutions", 6),
    "tracingEnabled": (True, "processor-function tracingConfig.mode", "Active"),
    "logLevel": ("DEBUG", "processor-function environment.variables.LOG_LEVEL", "DEBUG"),
    "logRetentionDays": (3, "simulator-logs retentionInDays", 3),
    "logKeyArn": (arn("kms", "key/1234"), "rollup-steps-logs kmsKeyId", arn("kms", "key/1234")),
    "ibCallsWarning": (4, "processor-function environment.variables.IB_CALLS_WARNING", "4"),
    "healthWarning": (71, "processor-function environment.variables.HEALTH_WARNING", "71"),
    "healthCritical": (51, "processor-function environment.variables.HEALTH_CRITICAL", "51"),
    "renotifyHours": (25, "processor-roll-function environment.variables.RENOTIFY_HOURS", "25"),
    "maxReminders": (6, "processor-roll-function environment.variables.MAX_REMINDERS", "6"),
    "firstSessionSuccessBelow": ("0.5", "processor-function environment.variables.FIRST_SESSION_SUCCESS_BELOW", "0.5"),
    "firstSessionsLeast": (6, "processor-roll-function environment.variables.FIRST_SESSIONS_LEAST", "6"),
    "velocityDropShare": ("0.4", "processor-function environment.variables.VELOCITY_DROP_SHARE", "0.4"),
    "velocityDropLeast": (5, "processor-roll-function environment.variables.VELOCITY_DROP_LEAST", "5"),
    "noTutorsAlertEnabled": (True, "processor-function environment.variables.NO_TUTORS_ALERT", "true"),
    "demandSurgeScore": ("3.5", "processor-roll-function environment.variables.DEMAND_SURGE_SCORE", "3.5"),
    "demandSurgeLeast": (11, "processor-function environment.variables.DEMAND_SURGE_LEAST", "11"),
    "futureToleranceMinutes": (11, "processor-function environment.variables.FUTURE_TOLERANCE_SECONDS", "660"),
    "rollIntervalMinutes": (60, "processor-roll-schedule scheduleExpression", "cron(0 * * * ? *)"),
    "lanes": (17, "processor-roll-function environment.variables.WAKE_LANES", "17"),
    "rollupIntervalMinutes": (20, "rollup-schedule scheduleExpression", "rate(20 minutes)"),
    "rollupDistributedItems": (7, "rollup-function environment.variables.ROLLUP_DISTRIBUTED_ITEMS", "7"),
    "rollupMaxConcurrency": (5, "rollup-steps definition.States.Read the table.MaxConcurrency", 5),
    "rollupMemoryMb": (2000, "rollup-map-function memorySize", 2000),
    "rollupStorageMb": (3000, "rollup-reduce-function ephemeralStorage.size", 3000),
    "entityTypeHealthIndexEnabled": (False, "metrics-table globalSecondaryIndexes.0.name", "LastUpdatedIndex"),
    "lastUpdatedIndexEnabled": (True, "metrics-table globalSecondaryIndexes.0.name", "LastUpdatedIndex"),
    "alertEmailsCritical": (["c@d.org"], "alerts-critical-email-83aa898c endpoint", "c@d.org"),
    "alertEmailsWarning": (["w@d.org"], "alerts-warning-email-a83d0b3b endpoint", "w@d.org"),
    "alertEmailsInfo": (["i@d.org"], "alerts-info-email-c3dc67b7 endpoint", "i@d.org"),
    "topicKeyEnabled": (True, "alerts-key enableKeyRotation", True),
    "dlqRetentionDays": (13, "alerts-dlq messageRetentionSeconds", 13 * 86_400),
    "quarantineExpiryDays": (31, "processor-quarantine-lifecycle rules.0.expiration.days", 31),
    "operationsEmails": (["o@d.org"], "operations-email-c6036e77 endpoint", "o@d.org"),
    "iteratorAgeAlarmMinutes": (20, "operations-iterator-age-alarm threshold", 20 * 60_000),
    "functionErrorsAlarmCount": (2, "operations-roll-errors-alarm threshold", 2),
    "functionThrottlesAlarmCount": (11, "operations-processor-throttles-alarm threshold", 11),
    "durationAlarmPercent": (50, "operations-processor-duration-alarm threshold", 33 * 500),
    "quarantineAlarmRecords": (4, "operations-quarantined-records-alarm threshold", 4),
    "tableFailuresAlarmCount": (12, "operations-table-throttles-alarm threshold", 12),
    "rollAlarmIntervals": (5, "operations-overdue-wakes-alarm threshold", 5 * 3600),
    "rollupAlarmIntervals": (4, "operations-rollup-missing-alarm evaluationPeriods", 4),
    "unsentAlarmMinutes": (14, "operations-unsent-alerts-alarm threshold", 14 * 60),
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
    existing = {
        "existingStreamArn",
        "existingStreamKeyArn",
        "existingTableArn",
        "existingTableKeyArn",
        "existingBusArn",
    }
    assert project["config"].keys() == ARRIVALS.keys() | existing | {
        "layerDirectory",
        "rollupEnabled",
        "alarmsEnabled",
        "dashboardEnabled",
    }
    assert project["name"] == PROJECT


def by_physical_name(recorded: Recorded, type_: str, name: str) -> Registered:
    (found,) = [r for r in recorded.of_type(type_) if r.inputs["name"] == name]
    return found


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layerDirectory": "nowhere"}, "The dependency layer nowhere is not built"),
        ({"batchSize": 0}, "batchSize is '0'"),
    ],
)
def test_nothing_is_registered_before_settings_and_archives_are_checked(
    built_layer: Path, config: dict[str, Any], message: str
) -> None:
    recorded = Recorded()
    with pytest.raises(pulumi.RunError, match=message):
        record(run_program, stack_config("dev", **{"layerDirectory": str(built_layer), **config}), "dev", recorded)
    assert recorded.resources == []
