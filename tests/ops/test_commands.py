"""The command line: what it prints, how it ends, and what it says when something is not as it should be."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoRegionError
from moto import mock_aws

from functions.entities.attribute_values import to_attribute
from functions.model import DAY_MS, to_iso
from local.ministack import ROOT, LocalAws
from ops import aws
from ops.quarantine import redrive
from tests.helpers.deployment import ENVIRONMENT, NOW, deployed, event_json
from tests.helpers.metrics_table import make_state_table, make_table
from tests.helpers.ops_command import ops, said
from tests.helpers.quarantine_objects import data, delivered, given_up, quarantined

BUCKET, STREAM, TABLE = "quarantine", "events", "metrics"
REDRIVE = ("redrive", "--bucket", BUCKET, "--stream", STREAM)
AUDIT = ("audit", "--table", TABLE)


# -- redrive ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stack() -> Iterator[tuple[Any, Any]]:
    """A bucket with a little of everything, and a stream."""
    with mock_aws():
        s3, kinesis = boto3.client("s3"), boto3.client("kinesis")
        s3.create_bucket(Bucket=BUCKET)
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        for key, body in (
            quarantined(data(1), 1),
            quarantined(data(2), 2, "too_late"),
            quarantined(data(3), 3, "invalid_field"),
            given_up(delivered(data(4), 4), delivered(data(5), 5)),
        ):
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        yield s3, kinesis


def objects(s3: Any) -> int:
    return int(s3.list_objects_v2(Bucket=BUCKET)["KeyCount"])


def on_stream(kinesis: Any) -> list[bytes]:
    (shard,) = kinesis.list_shards(StreamName=STREAM)["Shards"]
    start = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    return [each["Data"] for each in kinesis.get_records(ShardIterator=start)["Records"]]


def test_redrive_is_a_dry_run_at_first(stack: tuple[Any, Any]) -> None:
    s3, kinesis = stack
    result = ops(*REDRIVE)
    assert result.exit_code == 0
    assert "Dry run: 3 objects with 4 records would be redriven" in result.stdout
    assert "Repeat with --execute" in result.stdout
    assert re.search(r"quarantined +too_late +skipped +1 +1 +2026-11-23 10:00 ", result.stdout)
    assert re.search(r"failed +RetryAttemptsExhausted +selected +1 +2 +2026-11-23 10:00 ", result.stdout)
    assert result.stderr == ""
    assert (objects(s3), on_stream(kinesis)) == (4, [])


def test_redrive_executed(stack: tuple[Any, Any]) -> None:
    s3, kinesis = stack
    result = ops(*REDRIVE, "--execute", "--force")
    assert result.exit_code == 0
    assert "5 records put on the stream, 4 objects removed." in result.stdout
    assert (objects(s3), sorted(on_stream(kinesis))) == (0, [data(number) for number in range(1, 6)])
    assert "Dry run: no object is selected." in ops(*REDRIVE).stdout


def test_redrive_as_json(stack: tuple[Any, Any]) -> None:
    result = ops(*REDRIVE, "--reason", "not_json", "--reason", "too_late", "--execute", "--output", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "bucket": BUCKET,
        "stream": STREAM,
        "executed": True,
        "complete": True,
        "objects": {"selected": 0, "removed": 1, "left": 0, "skipped": 1, "unmatched": 2},
        "records_put": 1,
        "details": [
            {
                "key": quarantined(data(2), 2)[0],
                "kind": "quarantined",
                "status": "skipped",
                "reason": "too_late",
                "records": 1,
                "put": 0,
                "first_arrival": "2026-11-23T10:00:00.125Z",
                "last_arrival": "2026-11-23T10:00:00.125Z",
                "detail": "too_late records would be refused again; force includes them",
            },
            {
                "key": quarantined(data(1), 1)[0],
                "kind": "quarantined",
                "status": "removed",
                "reason": "not_json",
                "records": 1,
                "put": 1,
                "first_arrival": "2026-11-23T10:00:00.125Z",
                "last_arrival": "2026-11-23T10:00:00.125Z",
                "detail": "",
            },
        ],
    }


@pytest.mark.parametrize(
    ("options", "records"),
    [
        (("--failed",), 2),
        (("--quarantined",), 2),
        (("--failed", "--quarantined"), 4),
        (("--quarantined", "--force"), 3),
        (("--key", "aws/"), 2),
        (("--key", "records/shardId-000000000000/", "--quarantined"), 2),
        (("--key", "records/shardId-1"), 0),
        (("--since", "2026-11-23T10:00:01"), 0),
        (("--since", "2026-11-23", "--until", "2026-11-24"), 4),
        (("--until", "2026-11-23T12:00:00.125+02:00"), 0),
        (("--until", "2026-11-23T12:00:00.126+02:00"), 4),
    ],
)
def test_redrive_selects(stack: tuple[Any, Any], options: tuple[str, ...], records: int) -> None:
    found = json.loads(ops(*REDRIVE, *options, "--output", "json").stdout)
    assert sum(each["records"] for each in found["details"] if each["status"] == "selected") == records


def test_redrive_that_must_leave_something_says_so_and_ends_with_1(stack: tuple[Any, Any]) -> None:
    stack[0].put_object(Bucket=BUCKET, Key="records/odd.json", Body=b"[markup]")
    result = ops(*REDRIVE, "--execute")
    assert result.exit_code == 1
    assert "left records/odd.json: it cannot be read: Expecting value" in result.stdout
    assert "4 records put on the stream, 3 objects removed." in result.stdout


def test_redrive_tells_what_was_done_before_an_error(stack: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive, "_RECORDS_A_CALL", 2)

    class Revoked:
        calls = 0

        def put_records(self, **arguments: Any) -> Any:
            self.calls += 1
            if self.calls > 1:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no more"}}, "PutRecords")
            return stack[1].put_records(**arguments)

    revoked = Revoked()
    make = aws.client
    monkeypatch.setattr(aws, "client", lambda service: revoked if service == "kinesis" else make(service))
    result = ops(*REDRIVE, "--execute")
    assert result.exit_code == 254
    assert "2 records put on the stream, 1 objects removed." in result.stdout
    assert said(result) == (
        f"error: PutRecords on the stream {STREAM} is not allowed: kinesis:PutRecords is needed (no more)"
    )


def test_names_are_read_from_the_stacks_outputs(stack: tuple[Any, Any], tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({"QuarantineBucketName": BUCKET, "EventStreamName": STREAM}))
    result = ops("redrive", "--stack-outputs", str(file), "--output", "json")
    assert json.loads(result.stdout)["objects"]["selected"] == 3
    result = ops("redrive", "--stack-outputs", str(file), "--bucket", "another")
    assert said(result) == "error: the bucket another does not exist: check its name, the account and --region"


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("redrive", "--stream", STREAM), "--bucket is missing: give it, or --stack NAME, --stack-outputs FILE"),
        (("redrive", "--bucket", BUCKET), "--stream is missing"),
        (("audit",), "--table is missing"),
        ((*REDRIVE, "--since", "yesterday"), "'yesterday' is no ISO-8601 date or time"),
        ((*REDRIVE, "--since", "2026-11-23", "--until", "2026-11-23"), "--since is not before --until"),
        ((*REDRIVE, "--key", "elsewhere/"), "keys start with aws/lambda/ or records/"),
        ((*REDRIVE, "--key", "records/", "--failed"), "keys start with aws/lambda/"),
        ((*REDRIVE, "--output", "xml"), "'xml' is not one of"),
        ((*REDRIVE, "--endpoint-url", "localhost:4566"), "'localhost:4566' is no URL"),
        ((*AUDIT, "--repair"), "--repair needs --function, --stack, --stack-outputs or --local"),
        ((*AUDIT, "--segments", "0"), "--segments"),
        (("audit", "--stack-outputs", "nowhere.json"), "nowhere.json cannot be read: No such file or directory"),
        (("quarantaine",), "No such command"),
    ],
)
def test_a_mistake_in_the_command_is_told_in_one_message(arguments: tuple[str, ...], says: str) -> None:
    result = ops(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in said(result)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "is no JSON object"),
        ('{"MetricsTableName": ""}', "has no output MetricsTableName"),
        ('{"MetricsTableName": "t"}', "has no output ProcessFunctionName"),
    ],
)
def test_a_file_of_outputs_that_cannot_be_used_is_told(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(content)
    result = ops("audit", "--stack-outputs", str(file))
    assert result.exit_code == 2
    assert says in said(result)
    assert "pulumi stack output --json" in said(result)


@pytest.mark.parametrize("command", [(), ("redrive",), ("audit",)])
def test_help_teaches(command: tuple[str, ...]) -> None:
    result = ops(*command, "--help")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ([*command, "Example:", "Exit code"] if command else ["redrive"]))


# -- AWS --------------------------------------------------------------------------------------------------------------


def failing(operation: str, code: str, message: str = "said by AWS") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "exit_code", "says"),
    [
        (failing("Scan", "ResourceNotFoundException"), 254, "the table t does not exist: check its name"),
        (failing("GetFunctionConfiguration", "ResourceNotFoundException"), 254, "the function f does not exist"),
        (failing("ListObjectsV2", "NoSuchBucket"), 254, "the bucket b does not exist"),
        (failing("ListObjectsV2", "AccessDenied"), 254, "on the bucket b is not allowed: s3:ListBucket is needed"),
        (failing("Scan", "ExpiredTokenException"), 254, "have expired: log in again"),
        (failing("Scan", "UnrecognizedClientException"), 254, "does not know these credentials (said by AWS)"),
        (failing("PutRecords", "LimitExceededException"), 254, "throttles PutRecords on the stream s: wait a minute"),
        (failing("GetObject", "SlowDown"), 254, "throttles GetObject on the bucket b: wait a minute"),
        (failing("Scan", "ValidationException"), 254, "Scan on the table t failed: ValidationException: said by AWS"),
        (failing("AssumeRole", "Odd"), 254, "AssumeRole on AWS failed: Odd"),
        (NoRegionError(), 253, "no AWS region is set: give --region"),
        (EndpointConnectionError(endpoint_url="https://x"), 255, "AWS cannot be reached"),
    ],
)
def test_what_aws_refuses_is_told_in_words(error: Any, exit_code: int, says: str) -> None:
    told = aws.explain(error, {"bucket": "b", "stream": "s", "table": "t", "function": "f"})
    assert told.exit_code == exit_code
    assert says in str(told)


def test_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for command in (REDRIVE, AUDIT):
        result = ops(*command)
        assert result.exit_code == 253
        assert said(result).startswith("error: there are no AWS credentials: log in")


def test_with_a_profile_that_is_not_there() -> None:
    result = ops(*AUDIT, "--profile", "nobody")
    assert result.exit_code == 253
    assert "(nobody) could not be found" in said(result)


def test_without_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    result = ops(*AUDIT)
    assert result.exit_code == 253
    assert "give --region" in said(result)


def test_without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    result = ops(*AUDIT, "--endpoint-url", "http://127.0.0.1:9")
    assert result.exit_code == 255
    assert "AWS cannot be reached" in said(result)
    assert "http://127.0.0.1:9" in said(result)


def test_without_a_table() -> None:
    with mock_aws():
        result = ops(*AUDIT)
    assert result.exit_code == 254
    assert said(result) == f"error: the table {TABLE} does not exist: check its name, the account and --region"


def test_interrupted(stack: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(redrive, "redrive", ctrl_c)
    result = ops(*REDRIVE, "--execute")
    assert result.exit_code == 130
    assert "run the same command again" in said(result)


# -- audit, and the whole against a local AWS -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    """Items as the processor makes them: of a student whose first attribute is wrong, and of a tutor."""
    sessions = [
        event_json("session_started", {"session_id": str(number), "student_id": "stu_1", "tutor_id": "tut_1"})
        for number in range(3)
    ]
    with deployed() as made:
        made.clock.ms = NOW
        assert made.deliver(*sessions) == []
        made.aws.items["student", "stu_1"]["sessions_7d"] = to_attribute(99)
        return list(made.aws.items.values())


@pytest.fixture
def table(items: list[dict[str, Any]]) -> Iterator[Any]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        make_table(dynamodb, TABLE)
        for item in items:
            dynamodb.put_item(TableName=TABLE, Item=item)
        yield dynamodb


def test_audit_shows_each_difference(table: Any) -> None:
    result = ops(*AUDIT, "--overdue-minutes", str(10**8))
    assert result.exit_code == 1
    assert re.search(r"student stu_1 +sessions_7d +99 +3 +2026-11-23T10:00:00.000Z", result.stdout)
    assert "2 items: 1 differ in 1 attributes, 0 are unreadable, 0 are overdue." in result.stdout
    assert "Repeat with --repair" in result.stdout
    assert "Compared with the default settings" in result.stdout


def test_audit_as_json(table: Any) -> None:
    table.put_item(
        TableName=TABLE,
        Item={"entity_id": {"S": "algebra"}, "entity_type": {"S": "subject"}, "version": {"N": "1"}},
    )
    result = ops(*AUDIT, "--output", "json", "--overdue-minutes", str(10**8))
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "table": TABLE,
        "settings": "default",
        "items": 3,
        "differing": [
            {
                "entity_type": "student",
                "entity_id": "stu_1",
                "as_of": "2026-11-23T10:00:00.000Z",
                "differences": [{"attribute": "sessions_7d", "stored": 99, "recomputed": 3}],
                "repaired": False,
                "problem": "",
            }
        ],
        "unreadable": [
            {"entity_type": "subject", "entity_id": "algebra", "reason": "it cannot be read: KeyError('as_of')"}
        ],
        "overdue": [],
    }


def test_audit_of_what_is_right_ends_with_0(table: Any) -> None:
    table.delete_item(TableName=TABLE, Key={"entity_id": {"S": "stu_1"}, "entity_type": {"S": "student"}})
    result = ops(*AUDIT, "--overdue-minutes", str(10**8))
    assert result.exit_code == 0
    assert result.stdout == "1 items: 0 differ in 0 attributes, 0 are unreadable, 0 are overdue.\n"


def test_audit_tells_what_is_overdue(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.aws.clock.now_ms", lambda: NOW + 8 * DAY_MS)
    table.delete_item(TableName=TABLE, Key={"entity_id": {"S": "stu_1"}, "entity_type": {"S": "student"}})
    result = ops(*AUDIT)
    assert result.exit_code == 1
    assert f"overdue tutor tut_1: due {to_iso(NOW + 7 * DAY_MS)}, the next fact leaves a window" in result.stdout
    assert "1 are overdue" in result.stdout
    assert "see whether its schedule is enabled" in result.stdout


def test_the_commands_against_a_local_aws(ministack: LocalAws, items: list[dict[str, Any]], tmp_path: Path) -> None:
    """As an operator calls them: programs of their own, names from the stack's outputs, conditional writes for real."""
    names = {
        "QuarantineBucketName": "ops-quarantine",
        "EventStreamName": "ops-events",
        "MetricsTableName": "ops-metrics",
        "ProcessFunctionName": "ops-process",
    }
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(names))
    s3, kinesis, dynamodb = (ministack.client(service) for service in ("s3", "kinesis", "dynamodb"))
    s3.create_bucket(Bucket="ops-quarantine")
    kinesis.create_stream(StreamName="ops-events", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="ops-events", WaiterConfig={"Delay": 1})
    for key, body in (quarantined(b'{"event_type": "odd"}', 1), given_up(delivered(data(4), 4))):
        s3.put_object(Bucket="ops-quarantine", Key=key, Body=body)
    make_table(dynamodb, "ops-metrics")
    make_state_table(dynamodb, ENVIRONMENT["STATE_TABLE_NAME"])
    for item in items:
        dynamodb.put_item(TableName="ops-metrics", Item=item)
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda"}}]}
    role = ministack.client("iam").create_role(RoleName="ops-process", AssumeRolePolicyDocument=json.dumps(trust))
    ministack.client("lambda").create_function(
        FunctionName="ops-process",
        Runtime="python3.12",
        Handler="handler.lambda_handler",
        Role=role["Role"]["Arn"],
        # An archive without entries: only the settings are read.
        Code={"ZipFile": base64.b64decode("UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==")},
        Environment={"Variables": {name: value for name, value in ENVIRONMENT.items() if "AWS" not in name}},
    )

    def run(*arguments: str) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        credentials = {name: value for name, value in ministack.environment().items() if "ACCESS_KEY" in name}
        where = ("--endpoint-url", ministack.endpoint, "--region", ministack.region)
        done = subprocess.run(  # noqa: S603 - this repository's own command
            [sys.executable, "-m", "ops", *arguments, *where, "--stack-outputs", str(outputs), "--output", "json"],
            cwd=ROOT,
            env=environment | credentials,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return {"exit": done.returncode, **json.loads(done.stdout)}

    assert run("redrive")["objects"]["selected"] == 2
    done = run("redrive", "--execute")
    assert (done["exit"], done["objects"]["removed"], done["records_put"]) == (0, 2, 2)
    assert s3.list_objects_v2(Bucket="ops-quarantine")["KeyCount"] == 0

    overdue = ("--overdue-minutes", str(10**8))
    found = run("audit", *overdue)
    assert (found["exit"], found["settings"]) == (1, "deployed")
    assert [each["entity_id"] for each in found["differing"]] == ["stu_1"]
    repaired = run("audit", "--repair", *overdue)
    assert repaired["exit"] == 0
    assert [each["repaired"] for each in repaired["differing"]] == [True]
    assert run("audit", *overdue)["differing"] == []
