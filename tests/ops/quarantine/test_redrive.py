"""Redriving: what is put, what is removed and when, and that nothing is lost wherever a run ends."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from msgspec.structs import replace

from functions.aws import clients, retry
from functions.aws.quarantine import Quarantine, object_key
from functions.events.decode import decode
from functions.model import HOUR_MS, Record, Rejection
from ops.quarantine.redrive import Outcome, Report, Selection, redrive, with_time
from tests.helpers.quarantine_objects import (
    ARRIVAL,
    BUCKET,
    MAPPING,
    STREAM,
    Aws,
    Died,
    data,
    delivered,
    given_up,
    quarantined,
)

EVERYTHING = Selection(force=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "back_off", lambda _: None)


def run(aws: Aws, selection: Selection = EVERYTHING, *, execute: bool = True) -> Report:
    return redrive(aws, aws, BUCKET, STREAM, selection, execute=execute)


def statuses(report: Report) -> dict[str, str]:
    return {outcome.key: outcome.status for outcome in report.outcomes}


# -- against AWS's own shapes -----------------------------------------------------------------------------------------


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """S3 and Kinesis clients, with parameters checked by botocore."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients._client.cache_clear()
    with mock_aws():
        s3, kinesis = boto3.client("s3"), boto3.client("kinesis")
        s3.create_bucket(Bucket=BUCKET)
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        yield s3, kinesis
    clients._client.cache_clear()


def on_stream(kinesis: Any) -> list[tuple[bytes, str]]:
    (shard,) = kinesis.list_shards(StreamName=STREAM)["Shards"]
    start = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    return [(each["Data"], each["PartitionKey"]) for each in kinesis.get_records(ShardIterator=start)["Records"]]


def test_what_the_processor_quarantined_is_put_with_its_partition_key_and_removed(moto: tuple[Any, Any]) -> None:
    s3, kinesis = moto
    poison = b"\xff\x00 not even UTF-8"
    record = Record("7", "shardId-000000000003", "key 7", ARRIVAL, base64.b64encode(poison).decode(), "arn")
    assert Quarantine(BUCKET).put([record], [Rejection(0, "not_utf8", "bytes")]) == set()
    (outcome,) = redrive(s3, kinesis, BUCKET, STREAM, Selection(), execute=True).outcomes
    assert outcome == Outcome(object_key(record), "quarantined", "removed", "not_utf8", 1, 1, ARRIVAL, ARRIVAL)
    assert on_stream(kinesis) == [(poison, "key 7")]
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_all_records_of_a_batch_that_the_mapping_gave_up_are_put(moto: tuple[Any, Any]) -> None:
    s3, kinesis = moto
    key, body = given_up(*(delivered(data(number), number, ARRIVAL + number) for number in range(3)))
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    s3.put_object(Bucket=BUCKET, Key="somebody's own.txt", Body=b"stays")
    (outcome,) = redrive(s3, kinesis, BUCKET, STREAM, Selection(), execute=True).outcomes
    assert outcome == Outcome(key, "failed", "removed", "RetryAttemptsExhausted", 3, 3, ARRIVAL, ARRIVAL + 2)
    assert on_stream(kinesis) == [(data(number), f"key {number}") for number in range(3)]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["somebody's own.txt"]


def test_without_a_bucket_the_error_is_awss_own(moto: tuple[Any, Any]) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        redrive(*moto, "another", STREAM, Selection(), execute=True)


def test_without_a_stream_nothing_is_removed(moto: tuple[Any, Any]) -> None:
    s3, kinesis = moto
    key, body = quarantined(data(1))
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        redrive(s3, kinesis, BUCKET, "another", Selection(), execute=True)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body


# -- interruption -----------------------------------------------------------------------------------------------------


def a_few_objects() -> tuple[dict[str, bytes], set[bytes]]:
    """Objects of both kinds, a batch among them that takes more than one call, and the records in them."""
    many = [data(number) for number in range(100, 700)]
    objects = dict(
        [
            quarantined(data(1), 1),
            given_up(*(delivered(each, number) for number, each in enumerate(many))),
            quarantined(data(2), 2),
            given_up(delivered(data(3), 3), delivered(data(4), 4), number=2),
            quarantined(data(5), 5),
        ]
    )
    return objects, {*many, *(data(number) for number in range(1, 6))}


def test_interrupted_at_any_call_and_repeated_every_record_is_put_and_none_is_lost() -> None:
    objects, records = a_few_objects()
    undisturbed = Aws(dict(objects))
    run(undisturbed)
    assert len(undisturbed.calls) >= 15
    for index in range(len(undisturbed.calls)):
        for dies_after in (False, True):
            aws = Aws(dict(objects), dies_at=index, dies_after=dies_after)
            with pytest.raises(Died):
                run(aws)
            kept = Aws(dict(aws.objects))
            run(kept)
            assert records == {*aws.data, *kept.data}, f"died at call {index}"
            aws.dies_at = None
            assert all(status == "removed" for status in statuses(run(aws)).values())
            assert not aws.objects
            assert records == set(aws.data)


def test_interrupted_twice_it_still_ends_well() -> None:
    objects, records = a_few_objects()
    for first in range(0, 15, 2):
        for second in range(first + 1, 15, 3):
            aws = Aws(dict(objects), dies_at=first, dies_after=True)
            with pytest.raises(Died):
                run(aws)
            aws.dies_at = len(aws.calls) + second - first
            try:
                run(aws)
            except Died:
                aws.dies_at = None
                run(aws)
            assert not aws.objects
            assert records == set(aws.data)


def test_a_dry_run_only_reads() -> None:
    objects, _ = a_few_objects()
    aws = Aws(dict(objects))
    report = run(aws, execute=False)
    assert set(aws.calls) == {"list", "get"}
    assert aws.objects == objects
    assert report.put == 0
    assert set(statuses(report).values()) == {"selected"}
    assert sum(outcome.records for outcome in report.outcomes) == 605


def test_what_comes_back_meanwhile_is_left_for_another_run() -> None:
    aws = Aws(dict([quarantined(b"poison", 1)]))

    def quarantines_again(records: list[dict[str, Any]]) -> None:
        assert len(aws.objects) < 5, "it goes round in circles"
        aws.objects |= dict([quarantined(records[0]["Data"], 100 + len(aws.objects))])

    aws.raise_for = quarantines_again
    assert len(run(aws).outcomes) == 1
    assert len(aws.objects) == 1


def test_each_outcome_is_told_at_once_with_the_number_of_all() -> None:
    objects, _ = a_few_objects()
    told: list[tuple[Outcome, int]] = []
    aws = Aws(objects)
    report = redrive(aws, aws, BUCKET, STREAM, EVERYTHING, execute=True, report=lambda *outcome: told.append(outcome))
    assert told == [(outcome, 5) for outcome in report.outcomes]


# -- calls ------------------------------------------------------------------------------------------------------------


def test_calls_hold_500_records_of_several_objects() -> None:
    aws = Aws(dict(quarantined(data(number), number) for number in range(1_100)))
    assert run(aws).put == 1_100
    assert aws.sizes == [500, 500, 100]


def test_calls_hold_5_mib() -> None:
    large = [bytes([65 + number]) * 1_000_000 for number in range(12)]
    aws = Aws(dict(quarantined(each, number) for number, each in enumerate(large)))
    assert run(aws).put == 12
    assert aws.sizes == [5, 5, 2]


def test_refused_entries_alone_are_sent_again() -> None:
    refusals = iter([None, "ProvisionedThroughputExceededException", None, "InternalFailure", None, None])
    aws = Aws(dict(quarantined(data(number), number) for number in range(4)), refuse=lambda _: next(refusals))
    assert set(statuses(run(aws)).values()) == {"removed"}
    assert aws.sizes == [4, 2]
    assert sorted(aws.data) == sorted(data(number) for number in range(4))


def test_an_object_with_a_refused_record_is_left_and_the_others_are_removed() -> None:
    batch = given_up(delivered(data(1), 1), delivered(data(2), 2))
    aws = Aws(dict([batch, quarantined(data(3), 3)]))
    aws.refuse = lambda record: "ProvisionedThroughputExceededException" if record["Data"] == data(2) else None
    report = run(aws)
    (left,) = report.objects("left")
    assert (left.key, left.put) == (batch[0], 1)
    assert left.detail == "the stream refused 1 of its records: ProvisionedThroughputExceededException (1)"
    assert aws.objects == dict([batch])
    assert aws.sizes == [3] + [1] * 10
    aws.refuse = lambda _: None
    run(aws)
    assert not aws.objects
    assert {data(1), data(2), data(3)} == set(aws.data)


def test_a_hot_shard_that_takes_a_little_each_time_gets_all() -> None:
    aws = Aws(dict(quarantined(data(number), number) for number in range(60)))
    seen: set[int] = set()

    def only_the_first(_: dict[str, Any]) -> str | None:
        taken = len(aws.sizes) in seen
        seen.add(len(aws.sizes))
        return "ProvisionedThroughputExceededException" if taken else None

    aws.refuse = only_the_first
    assert set(statuses(run(aws)).values()) == {"removed"}
    assert aws.sizes == list(range(60, 0, -1))


@pytest.mark.parametrize("code", ["ValidationException", "InvalidArgumentException"])
def test_a_record_that_no_call_may_hold_is_found_and_left(code: str) -> None:
    bad = quarantined(data(5), 5)
    aws = Aws(dict([bad, *(quarantined(data(number), number) for number in range(9) if number != 5)]))

    def invalid(records: list[dict[str, Any]]) -> None:
        if any(record["Data"] == data(5) for record in records):
            raise ClientError({"Error": {"Code": code, "Message": "a record is too large"}}, "PutRecords")

    aws.raise_for = invalid
    report = run(aws)
    (left,) = report.objects("left")
    assert left.key == bad[0]
    assert "a record is too large" in left.detail
    assert aws.objects == dict([bad])
    assert len(aws.data) == 8


def test_after_a_call_in_parts_only_what_was_refused_counts_as_refused() -> None:
    """The first call is refused in part, the second as a whole, and its halves are accepted."""
    aws = Aws(dict(quarantined(data(number), number) for number in range(4)))
    aws.refuse = lambda _: "InternalFailure" if len(aws.sizes) == 1 else None

    def invalid(_: list[dict[str, Any]]) -> None:
        if len(aws.sizes) == 2:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "odd"}}, "PutRecords")

    aws.raise_for = invalid
    assert set(statuses(run(aws)).values()) == {"removed"}
    assert not aws.objects


def test_what_fails_a_whole_call_is_raised_and_what_was_put_before_is_removed() -> None:
    aws = Aws(dict(quarantined(data(number), number) for number in range(600)))

    def denied_later(_: list[dict[str, Any]]) -> None:
        if len(aws.sizes) > 1:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutRecords")

    aws.raise_for = denied_later
    with pytest.raises(ClientError, match="AccessDenied"):
        run(aws)
    assert len(aws.objects) == 100


# -- selection --------------------------------------------------------------------------------------------------------

LATE = ARRIVAL + HOUR_MS
OBJECTS = {
    "json": quarantined(data(1), 1, "not_json"),
    "field": quarantined(data(2), 2, "invalid_field", LATE),
    "late": quarantined(data(3), 3, "too_late"),
    "batch": given_up(delivered(data(4), 4), delivered(data(5), 5, LATE)),
}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), {"json", "field", "batch"}),
        (Selection(force=True), {"json", "field", "late", "batch"}),
        (Selection(reasons=frozenset({"not_json"})), {"json"}),
        (Selection(reasons=frozenset({"not_json", "invalid_field"})), {"json", "field"}),
        (Selection(reasons=frozenset({"too_late"})), set()),
        (Selection(reasons=frozenset({"too_late"}), force=True), {"late"}),
        (Selection(reasons=frozenset({"RetryAttemptsExhausted"})), {"batch"}),
        (Selection(since_ms=ARRIVAL), {"json", "field", "batch"}),
        (Selection(since_ms=ARRIVAL + 1), {"field", "batch"}),
        (Selection(until_ms=LATE), {"json", "batch"}),
        (Selection(until_ms=ARRIVAL), set()),
        (Selection(since_ms=ARRIVAL + 1, until_ms=LATE), set()),
        (Selection(prefix="records/"), {"json", "field"}),
        (Selection(prefix="rec"), {"json", "field"}),
        (Selection(prefix="records/shardId-000000000001/"), set()),
        (Selection(prefix=OBJECTS["field"][0]), {"field"}),
        (Selection(prefix="aws/lambda/"), {"batch"}),
        (Selection(prefix=MAPPING), {"batch"}),
        (Selection(prefix="elsewhere/"), set()),
        (Selection(prefix="records/", reasons=frozenset({"invalid_field"}), since_ms=LATE), {"field"}),
    ],
)
def test_selection(selection: Selection, expected: set[str]) -> None:
    aws = Aws(dict(OBJECTS.values()))
    dry = run(aws, selection, execute=False)
    assert {each.key for each in dry.objects("selected")} == {OBJECTS[name][0] for name in expected}
    assert {each.key for each in run(aws, selection).objects("removed")} == {OBJECTS[name][0] for name in expected}
    assert aws.objects == dict(each for name, each in OBJECTS.items() if name not in expected)


def test_a_late_record_that_is_left_out_says_how_to_have_it() -> None:
    (outcome,) = run(Aws(dict([OBJECTS["late"]])), Selection()).outcomes
    assert outcome.status == "skipped"
    assert "force" in outcome.detail


# -- objects ----------------------------------------------------------------------------------------------------------


def changed(made: tuple[str, bytes], **changes: Any) -> tuple[str, bytes]:
    return made[0], json.dumps(json.loads(made[1]) | changes).encode()


def changed_record(**changes: Any) -> tuple[str, bytes]:
    record = delivered(data(1), 1)
    return given_up(delivered(data(2), 2), record | {"kinesis": record["kinesis"] | changes})


KEPT = quarantined(data(1), 1)
FAILED = given_up(delivered(data(1), 1))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ((KEPT[0], b"not json"), "Expecting value"),
        ((KEPT[0], b"\xff\xff"), "decode"),
        ((KEPT[0], b"[" * 100_000), "recursion"),
        ((KEPT[0], b"[]"), "the object is no JSON object"),
        ((KEPT[0], b"{}"), "arrival_time is missing"),
        (changed(KEPT, reason=None), "reason is missing"),
        (changed(KEPT, data="?"), "data is not base64"),
        (changed(KEPT, data="é"), "data is not base64"),
        (changed(KEPT, data=1), "data is missing or no text"),
        (changed(KEPT, partition_key=""), "partition_key has 0 characters"),
        (changed(KEPT, partition_key="k" * 257), "partition_key has 257 characters"),
        (changed(KEPT, partition_key="\ud800"), "surrogates"),
        (changed(KEPT, arrival_time="yesterday"), "arrival_time is 'yesterday'"),
        (changed(KEPT, arrival_time="2026-11-23T10:00:00"), "arrival_time is '2026-11-23T10:00:00'"),
        (changed(FAILED, payload=None), "no payload"),
        (changed(FAILED, payload="{"), "Expecting property name"),
        (changed(FAILED, payload="[]"), "the payload is no JSON object"),
        (changed(FAILED, payload="{}"), "no Records"),
        (changed(FAILED, payload='{"Records": []}'), "no Records"),
        (changed(FAILED, payload='{"Records": [1]}'), "a record is no JSON object"),
        (changed(FAILED, payload='{"Records": [{}]}'), "a record's kinesis is no JSON object"),
        (changed_record(data="?"), "data is not base64"),
        (changed_record(partitionKey=None), "partitionKey is missing"),
        (changed_record(approximateArrivalTimestamp="now"), "approximateArrivalTimestamp is 'now'"),
        (changed_record(approximateArrivalTimestamp=True), "approximateArrivalTimestamp is True"),
        (changed_record(approximateArrivalTimestamp=1e300), "approximateArrivalTimestamp is 1e+300"),
    ],
)
def test_an_object_that_cannot_be_read_is_told_and_left_and_its_neighbours_are_put(
    made: tuple[str, bytes], says: str
) -> None:
    neighbour = quarantined(data(9), 9)
    aws = Aws(dict([made, neighbour]))
    report = run(aws)
    (left,) = report.objects("left")
    assert left.key == made[0]
    assert says in left.detail
    assert aws.objects == dict([made])
    assert aws.data == [data(9)]


def test_a_payload_may_be_an_object_too() -> None:
    aws = Aws(dict([changed(FAILED, payload={"Records": [delivered(data(1), 1)]}, requestContext=None)]))
    (outcome,) = run(aws).outcomes
    assert (outcome.status, outcome.reason) == ("removed", "")
    assert aws.data == [data(1)]


def test_an_object_that_someone_else_has_removed_meanwhile_is_no_error(moto: tuple[Any, Any]) -> None:
    s3, kinesis = moto
    aws = Aws(dict([KEPT]))

    class Gone:
        get_paginator = aws.get_paginator
        get_object = s3.get_object

    (outcome,) = redrive(Gone(), kinesis, BUCKET, STREAM, Selection(), execute=True).outcomes
    assert (outcome.status, outcome.key) == ("skipped", KEPT[0])
    assert "no longer there" in outcome.detail


# -- the first arrival ------------------------------------------------------------------------------------------------

STAMP = b'"ingested_at":"2026-11-23T10:00:00.125Z"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"payload": {"a": 1.0}}', b'{"payload": {"a": 1.0},' + STAMP + b"}"),
        (b' {"a":"\\u00e9"} \r\n', b' {"a":"\\u00e9"} ,'.replace(b"} ,", b",") + STAMP + b"}"),
        (b"{}", b"{" + STAMP + b"}"),
        (
            b'{"timestamp": null, "ingested_at": null, "payload": {"timestamp": null}}',
            b'{"timestamp": null, "ingested_at": null, "payload": {"timestamp": null},' + STAMP + b"}",
        ),
        (b'{"payload": "timestamp"}', b'{"payload": "timestamp",' + STAMP + b"}"),
    ],
)
def test_an_event_without_a_time_of_its_own_gets_its_first_arrival(before: bytes, after: bytes) -> None:
    assert with_time(before, ARRIVAL) == after
    aws = Aws(dict([quarantined(before, 1), given_up(delivered(before, 2))]))
    run(aws)
    assert aws.data == [after, after]


@pytest.mark.parametrize(
    "before",
    [
        b'{"timestamp": "2026-11-23T09:00:00Z"}',
        b'{"payload": {"timestamp": "2026-11-23T09:00:00Z"}}',
        b'{"ingested_at": "2026-11-23T09:00:00Z"}',
        b'{"timestamp": "yesterday"}',
        b'{"timestamp": 0}',
        b"not json",
        b"[1]",
        b"null",
        b"",
        b"\xff",
        b'{"a": "\xff"}',
        b'{"a": NaN}',
        b'{"a": 1',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    ],
)
def test_everything_else_is_put_byte_by_byte(before: bytes) -> None:
    assert with_time(before, ARRIVAL) == before


@pytest.mark.parametrize("number", ["1e2", "0.1", "12345678901234567890123", '"4.50"'])
def test_a_redriven_event_is_to_the_processor_what_it_was_at_first(number: str) -> None:
    """Time and identity, which without a call_id is the event's content."""
    event = b'{"event_type": "ib_call_logged", "payload": {"student_id": "stu_1", "x": %s}}' % number.encode()
    record = Record("1", "shardId-000000000000", "k", ARRIVAL, base64.b64encode(event).decode(), "arn")
    (first,) = decode([record], 600_000).events
    again = replace(record, arrival_ms=ARRIVAL + 9 * HOUR_MS, data=base64.b64encode(with_time(event, ARRIVAL)).decode())
    (second,) = decode([again], 600_000).events
    assert second == first
    assert with_time(with_time(event, ARRIVAL), again.arrival_ms) == with_time(event, ARRIVAL)
