"""The commands that act, on the deployed program: what they say they have done is what is there afterwards."""

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.deploy import Deployment
from local.flow import Flow
from local.ministack import LocalAws
from tests.e2e.conftest import Iops
from tests.helpers.deployment import event_json
from tests.helpers.ops_command import ops, said
from tests.helpers.quarantine_objects import delivered, given_up


def ago(**duration: float) -> str:
    return (datetime.now(UTC) - timedelta(**duration)).isoformat()


def call(student: str, number: int, **envelope: Any) -> bytes:
    return event_json("ib_call_logged", {"student_id": student, "call_id": f"{student}-{number}"}, **envelope)


def process(flow: Flow, *lines: bytes) -> list[str]:
    """Send records and wait until they are processed; return their sequence numbers."""
    sent = flow.send(lines)
    flow.wait()
    return [each.sequence for each in sent]


def wait_for(flow: Flow, records: int) -> None:
    """Wait until records that a command has put are processed."""
    flow.sent_by_others(records)
    flow.wait()


def key_of(flow: Flow, sequence_number: str) -> str:
    """Where a quarantined record is."""
    (body,) = [each for each in flow.quarantined() if each["sequence_number"] == sequence_number]
    return f"records/{body['shard_id']}/{sequence_number}.json"


# -- simulate ---------------------------------------------------------------------------------------------------------


def test_simulated_traffic_is_processed_and_its_poison_quarantined(flow: Flow, iops: Iops) -> None:
    before = len(flow.quarantined())

    sent = iops.json("simulate", "--rate", "0", "--count", "75", "--students", "20", "--poison", "0.2")
    wait_for(flow, sent["accepted"])

    assert (sent["events"], sent["given_up"], sent["unanswered"]) == (75, 0, 0)
    assert len(flow.quarantined()) - before == sent["records"] - 75 > 0
    assert sent["records_per_second"] > 0
    assert any(kind == "student" and entity_id <= "stu_0020" for kind, entity_id in flow.items())


def test_ctrl_c_ends_the_traffic_and_tells_what_was_sent(
    flow: Flow, iops: Iops, ministack: LocalAws, deployment: Deployment
) -> None:
    kinesis, stream = ministack.client("kinesis"), deployment.outputs["EventStreamName"]
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    begins = [
        kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="LATEST")
        for shard in shards
    ]

    def arrived() -> int:
        return sum(len(kinesis.get_records(ShardIterator=each["ShardIterator"])["Records"]) for each in begins)

    started = iops.start("simulate", "--rate", "20", "--count", "0", "--output", "json")
    try:
        while not arrived():
            assert started.poll() is None
            time.sleep(0.1)
        started.send_signal(signal.SIGINT)
        stdout, stderr = started.communicate(timeout=30)
    finally:
        started.kill()
    records = arrived()
    wait_for(flow, records)

    sent = json.loads(stdout)
    assert started.returncode == 130
    assert stderr == "error: `iops simulate` was interrupted; run it again to send more\n"
    assert sent["accepted"] <= records <= sent["accepted"] + sent["unanswered"]


# -- quarantine -------------------------------------------------------------------------------------------------------


def test_a_poison_record_is_found_shown_mended_and_counted(flow: Flow, iops: Iops, tmp_path: Path) -> None:
    poison = event_json("ib_call_logged", {"student_id": "stu_mended", "call_id": {"id": 7}})
    (sequence,) = process(flow, poison)
    key = key_of(flow, sequence)

    listed = iops("quarantine", "list", "--reason", "invalid_field", "--since", "1h", "--limit", "1000")
    assert listed.exit_code == 0
    (line,) = [line for line in listed.stdout.splitlines() if key in line]
    assert "student stu_mended" in line
    assert "call_id" in line

    shown = iops("quarantine", "show", key)
    assert "reason:          invalid_field" in shown.stdout
    assert '"student_id": "stu_mended"' in shown.stdout
    file = tmp_path / "record.json"
    file.write_bytes(iops("quarantine", "show", key, "--data").stdout_bytes)
    assert file.read_bytes() == poison

    refused = iops("quarantine", "redrive", key, "--data", str(file), "--execute")
    assert refused.exit_code == 1
    assert "The processor would refuse this record, invalid_field: call_id is {'id': 7}" in refused.stdout

    file.write_text(file.read_text().replace('{"id": 7}', '"7"'))
    dry = iops("quarantine", "redrive", key, "--data", str(file))
    assert "The processor takes this record in: ib_call_logged of student stu_mended." in dry.stdout
    assert key_of(flow, sequence) == key

    redriven = iops.json("quarantine", "redrive", key, "--data", str(file), "--execute")
    assert (redriven["records_put"], redriven["objects"]["removed"]) == (1, 1)
    wait_for(flow, 1)
    assert flow.items()["student", "stu_mended"]["ib_calls_14d"] == 1
    gone = iops("quarantine", "show", key)
    assert gone.exit_code == 254
    assert said(gone).startswith(f"error: there is no object {key} in the bucket ")


# -- replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_changes_nothing_and_brings_back_what_was_lost(
    flow: Flow, iops: Iops, ministack: LocalAws, deployment: Deployment
) -> None:
    began = datetime.now(UTC).isoformat()
    process(flow, *(call(student, number) for number in (1, 2) for student in ("stu_replayed", "stu_lost")))
    before = flow.items()

    dry = iops("replay", "--since", began)
    assert dry.exit_code == 0
    assert "Nothing was sent. Repeat with --execute to do it." in dry.stdout
    replayed = iops.json("replay", "--since", began, "--execute", "--batch-size", "3")
    assert (replayed["complete"], replayed["failed"], replayed["rest"]) == (True, [], [])
    assert replayed["records"] >= 4
    assert replayed["calls"] >= 2
    after = flow.items()
    assert {key: after[key] for key in before if key[1].startswith("stu_")} == {
        key: item for key, item in before.items() if key[1].startswith("stu_")
    }

    ministack.client("dynamodb").delete_item(
        TableName=deployment.outputs["MetricsTableName"],
        Key={"entity_id": {"S": "stu_lost"}, "entity_type": {"S": "student"}},
    )
    assert iops("replay", "--since", began, "--execute").exit_code == 0
    assert flow.items()["student", "stu_lost"]["ib_calls_7d"] == 2


def test_a_shard_that_is_not_there(iops: Iops) -> None:
    result = iops("replay", "--since", "1h", "--shard", "shardId-999")
    assert result.exit_code == 2
    assert "has no shard shardId-999: choose from shardId-000000000000" in said(result)


# -- forget -----------------------------------------------------------------------------------------------------------


def test_a_forgotten_student_is_gone_from_table_and_quarantine(
    flow: Flow, iops: Iops, ministack: LocalAws, deployment: Deployment
) -> None:
    s3, bucket = ministack.client("s3"), deployment.outputs["QuarantineBucketName"]
    poison = event_json("ib_call_logged", {"student_id": "stu_forgotten", "call_id": True})
    _, refused, neighbour = process(
        flow,
        call("stu_forgotten", 1),
        poison,
        event_json("ib_call_logged", {"student_id": "stu_forgotten_not", "call_id": True}),
    )
    key, batch_body = given_up(
        delivered(call("stu_forgotten", 2), 900, round(time.time() * 1000)),
        delivered(call("stu_forgotten_other", 3), 901, round(time.time() * 1000)),
        number=77,
    )
    put_as_lambda(ministack, bucket, key, batch_body)

    dry = iops("forget", "student", "stu_forgotten")
    assert dry.exit_code == 0
    assert "Dry run: the item and 2 objects would be removed, 1 records of others be put back" in dry.stdout
    assert ("student", "stu_forgotten") in flow.items()

    done = iops.json("forget", "student", "stu_forgotten", "--execute")
    wait_for(flow, 1)
    assert done["item"]["removed"]
    assert [(each["status"], each["records"], each["others_put"]) for each in done["objects"]] == [
        ("removed", 1, 1),
        ("removed", 1, 0),
    ]
    assert ("student", "stu_forgotten") not in flow.items()
    assert flow.items()["student", "stu_forgotten_other"]["ib_calls_7d"] == 1
    left = {body["sequence_number"] for body in flow.quarantined()}
    assert refused not in left
    assert neighbour in left
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key)

    again = iops("forget", "student", "stu_forgotten", "--execute")
    assert again.exit_code == 1
    assert said(again).startswith("error: there is nothing of the student stu_forgotten in the tables ")


def put_as_lambda(ministack: LocalAws, bucket: str, key: str, body: bytes) -> None:
    """Put an object where only the processor's role may: the bucket's policy is set aside meanwhile."""
    s3 = ministack.client("s3")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)


# -- failures ---------------------------------------------------------------------------------------------------------

COMMANDS = {
    "simulate": ("simulate", "--count", "1"),
    "quarantine list": ("quarantine", "list"),
    "quarantine show": ("quarantine", "show", "records/shardId-000000000000/1.json"),
    "quarantine redrive": ("quarantine", "redrive"),
    "replay": ("replay", "--since", "1h"),
    "forget": ("forget", "student", "stu_1"),
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_without_a_stack(iops: Iops, arguments: tuple[str, ...]) -> None:
    result = ops(*arguments)
    assert result.exit_code == 2
    assert said(result).startswith("error: --")
    assert "is missing: give it, or --stack NAME, --stack-outputs FILE, or --local" in said(result)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_without_credentials(iops: Iops, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    result = iops(*arguments)
    assert result.exit_code == 253
    assert said(result).startswith("error: there are no AWS credentials: log in")


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_the_permission_that_is_missing_is_named(
    iops: Iops, ministack: LocalAws, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    iam = ministack.client("iam")
    user = f"nobody-{'-'.join(arguments[:2]).replace('--', '')}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    result = iops(*arguments)
    assert result.exit_code == 254, result.output
    assert "is not allowed: " in said(result)
    assert " is needed (" in said(result)


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    result = ops(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Example: iops" in result.stdout
