"""The quarantine: one object a record, under a key that nothing in the record has a say in."""

import base64
import json
from typing import Any

import boto3
import pytest
from msgspec.structs import replace

from functions.aws.quarantine import Quarantine, object_key
from functions.model import Record, Rejection
from tests.helpers.deployment import ENVIRONMENT, NOW, record
from tests.helpers.faulty_aws import Faults, down, lost_answer
from tests.helpers.logs import Logs

BUCKET = ENVIRONMENT["QUARANTINE_BUCKET_NAME"]
QUARANTINE = Quarantine(BUCKET)
POISON = [record(b"not json", 7), record(b"\xff", 8, NOW + 1), record(b"[]", 9)]
REFUSED = [Rejection(0, "not_json", "first"), Rejection(1, "not_utf8", "second"), Rejection(2, "not_object", "third")]


def test_the_key_is_made_of_shard_and_sequence_number_alone() -> None:
    key = "records/shardId-000000000000/000000000000000000007.json"
    assert object_key(POISON[0]) == key
    assert object_key(replace(POISON[0], data="", partition_key="x", arrival_ms=0, event_source_arn="")) == key
    assert object_key(replace(POISON[0], shard_id="shardId-000000000001")) != key
    assert object_key(POISON[1]) != key


@pytest.mark.usefixtures("moto")
def test_a_rejected_record_is_kept_with_all_that_redriving_it_needs() -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    assert QUARANTINE.put(POISON, REFUSED[:2]) == set()
    listed = {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert listed == {object_key(POISON[0]), object_key(POISON[1])}
    kept = s3.get_object(Bucket=BUCKET, Key=object_key(POISON[1]))
    assert kept["ContentType"] == "application/json"
    assert json.loads(kept["Body"].read()) == {
        "reason": "not_utf8",
        "detail": "second",
        "data": base64.b64encode(b"\xff").decode(),
        "partition_key": "session_started",
        "sequence_number": "000000000000000000008",
        "shard_id": "shardId-000000000000",
        "arrival_time": "2026-11-23T10:00:00.001Z",
        "event_source_arn": "arn:aws:kinesis:us-east-1:123456789012:stream/iops-dashboard-events",
    }


@pytest.mark.usefixtures("moto")
def test_without_its_bucket_every_record_is_said_to_be_unkept() -> None:
    assert QUARANTINE.put(POISON, REFUSED) == {0, 1, 2}


def kept(faults: Faults) -> dict[str, dict[str, Any]]:
    return {key: json.loads(body) for key, body in faults.aws.objects.items()}


def test_several_rejections_of_one_record_are_one_object(faults: Faults) -> None:
    both = [Rejection(1, "too_late", "student a"), Rejection(1, "too_late", "tutor b")]
    assert QUARANTINE.put(POISON, both) == set()
    ((key, body),) = kept(faults).items()
    assert key == object_key(POISON[1])
    assert (body["reason"], body["detail"]) == ("too_late", "student a; tutor b")


def test_a_retry_writes_the_same_object_again(faults: Faults) -> None:
    assert QUARANTINE.put(POISON, REFUSED) == set()
    before = kept(faults)
    assert QUARANTINE.put(list(reversed(POISON)), [replace(each, record=2 - each.record) for each in REFUSED]) == set()
    assert kept(faults) == before
    assert faults.aws.calls["put_object"] == 6


@pytest.mark.parametrize("fault", [down, lost_answer])
def test_a_record_that_could_not_be_kept_is_said_and_the_others_are_kept(faults: Faults, fault: Any) -> None:
    def unlucky(call: Any, arguments: dict[str, Any]) -> Any:
        return (fault if arguments["Key"] == object_key(POISON[1]) else lambda call, _: call(**arguments))(
            call, arguments
        )

    faults.planned["put_object"] = [unlucky] * 3
    assert QUARANTINE.put(POISON, REFUSED) == {1}
    assert {object_key(POISON[0]), object_key(POISON[2])} <= kept(faults).keys()


def test_a_record_that_could_not_be_kept_is_named_in_the_log(faults: Faults, logs: Logs) -> None:
    faults.planned["put_object"] = [down]
    assert QUARANTINE.put(POISON, REFUSED[:1]) == {0}
    (line,) = (line for line in logs.lines() if line["level"] == "ERROR")
    assert line["message"] == "The quarantine could not be written; the record stays on the stream"
    assert (line["bucket"], line["sequence_number"]) == (BUCKET, POISON[0].sequence_number)


def test_data_that_is_no_base64_is_kept_as_it_came(faults: Faults) -> None:
    odd: Record = replace(POISON[0], data="é\ud800=")
    assert QUARANTINE.put([odd], REFUSED[:1]) == set()
    assert kept(faults)[object_key(odd)]["data"] == "é\ud800="


def test_nothing_rejected_is_no_call(faults: Faults) -> None:
    assert QUARANTINE.put(POISON, []) == set()
    assert faults.made["put_object"] == []
