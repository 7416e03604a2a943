"""Simulated traffic: how much of it at which rate, what disturbs it, and what is told wherever it ends."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.events.decode import decode
from functions.model import HOUR_MS, from_datetime
from functions.simulator import put
from functions.simulator.disorder import POISON, Shares
from ops import aws
from ops.traffic.simulate import Sent, Traffic, simulate
from tests.helpers.deployment import record
from tests.helpers.ops_command import ops, said

STREAM = "events"
NOW = datetime(2026, 11, 23, 17, tzinfo=UTC)
QUIET = Shares()


@dataclass
class Stream:
    """A stream in memory and a clock that only waiting moves."""

    accepted: list[bytes] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    """How many records each call had."""
    seconds: float = 0.0
    before: Callable[[int], None] = lambda _call: None
    after: Callable[[int], None] = lambda _call: None
    refuse: Callable[[int], bool] = lambda _call: False

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert StreamName == STREAM
        assert 1 <= len(Records) <= 500
        call = len(self.calls)
        self.calls.append(len(Records))
        self.before(call)
        if self.refuse(call):
            return {"Records": [{"ErrorCode": "ProvisionedThroughputExceededException"} for _ in Records]}
        self.accepted += [each["Data"] for each in Records]
        self.after(call)
        return {"Records": [{"SequenceNumber": "1"} for _ in Records]}

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds


def traffic(events: int, rate: float = 0, students: int = 5_000, shares: Shares = QUIET) -> Traffic:
    return Traffic("a seed", events, rate, students, shares)


def run(stream: Stream, asked: Traffic, report: Callable[[int], None] = lambda _: None) -> Sent:
    sent = Sent()
    simulate(
        stream,
        STREAM,
        asked,
        sent,
        report=report,
        clock=lambda: stream.seconds,
        sleep=stream.sleep,
        now=lambda: NOW + timedelta(seconds=stream.seconds),
    )
    return sent


def decoded(stream: Stream) -> Any:
    arrival = from_datetime(NOW + timedelta(seconds=stream.seconds))
    return decode([record(each, position, arrival) for position, each in enumerate(stream.accepted)], 600_000)


@pytest.mark.parametrize("count", [1, 9, 10, 15, 500, 5_001])
def test_as_many_events_as_asked_for_arrive_and_all_are_valid(count: int) -> None:
    stream = Stream()
    sent = run(stream, traffic(count))
    assert (sent.events, sent.records, sent.accepted, sent.under_way) == (count, count, count, 0)
    batch = decoded(stream)
    assert (len(batch.events), len(batch.rejections)) == (count, 0)
    assert len(set(stream.accepted)) == count
    assert stream.seconds == 0  # as fast as it goes


@pytest.mark.parametrize(("rate", "count"), [(1, 12), (10, 100), (200, 1_000), (5_000, 10_000)])
def test_events_leave_at_the_rate(rate: int, count: int) -> None:
    stream = Stream()
    sent = run(stream, traffic(count, rate))
    assert sent.events == count
    assert count / rate * 0.85 <= stream.seconds <= count / rate
    assert sent.rate == pytest.approx(rate, rel=0.2)
    assert max(stream.calls) <= max(1, rate // 5)


def test_a_rate_that_the_stream_does_not_keep_up_with_is_not_waited_for() -> None:
    stream = Stream()

    def slow(_: int) -> None:
        stream.seconds += 10

    stream.before = slow
    sent = run(stream, traffic(100, rate=50))
    assert stream.seconds == 10 * len(stream.calls)
    assert sent.rate < 2


def test_each_share_of_disorder_is_there() -> None:
    stream = Stream()
    sent = run(stream, traffic(2_000, shares=Shares(duplicates=0.1, late=0.2, poison=0.05)))
    batch = decoded(stream)
    assert sent.events == 2_000
    assert {each.reason for each in batch.rejections} == set(POISON)
    assert 50 <= len(batch.rejections) <= 170
    assert 120 <= sent.records - 2_000 - len(batch.rejections) <= 300  # duplicates
    ages = [from_datetime(NOW) - each.time_ms for each in batch.events]
    late = [age for age in ages if age > 3 * HOUR_MS]
    assert 200 <= len(late) <= 600
    assert max(ages) <= 62 * HOUR_MS


def test_few_students_are_told_of_often_and_never_of_long_ago() -> None:
    stream = Stream()
    run(stream, traffic(200, students=3))
    batch = decoded(stream)
    students = {each.fields["student_id"] for each in batch.events if "student_id" in each.fields}
    assert students <= {"stu_0001", "stu_0002", "stu_0003"}
    assert min(each.time_ms for each in batch.events) > from_datetime(NOW) - 7 * HOUR_MS


def test_what_the_stream_refuses_is_sent_again() -> None:
    stream = Stream(refuse=lambda call: call % 2 == 0)
    sent = run(stream, traffic(30))
    assert (sent.accepted, sent.given_up, sent.calls) == (30, 0, 2)
    assert stream.seconds > 0


def test_progress_is_told_call_by_call_and_comes_to_all() -> None:
    told: list[int] = []
    run(Stream(), traffic(1_000, rate=100, shares=Shares(duplicates=0.3)), told.append)
    assert sum(told) == 1_000
    assert len(told) > 20


@pytest.mark.parametrize("dies_after", [False, True])
def test_interrupted_at_any_call_it_knows_what_was_sent(dies_after: bool) -> None:
    def ctrl_c(call: int) -> Callable[[int], None]:
        def at(now: int) -> None:
            if now == call:
                raise KeyboardInterrupt

        return at

    undisturbed = Stream()
    run(undisturbed, traffic(100, rate=100))
    for index in range(len(undisturbed.calls)):
        stream = Stream(after=ctrl_c(index)) if dies_after else Stream(before=ctrl_c(index))
        sent = Sent()
        with pytest.raises(KeyboardInterrupt):
            simulate(stream, STREAM, traffic(0, rate=100), sent, clock=lambda: 0, sleep=lambda _: None)
        assert sent.accepted == sum(stream.calls[:-1])
        assert sent.under_way == stream.calls[-1]
        assert len(stream.accepted) == sent.accepted + (sent.under_way if dies_after else 0)


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def kinesis() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("kinesis")
        client.create_stream(StreamName=STREAM, ShardCount=1)
        yield client


def on_stream(kinesis: Any) -> int:
    (shard,) = kinesis.list_shards(StreamName=STREAM)["Shards"]
    place = {"StreamName": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**place)["ShardIterator"]
    return len(kinesis.get_records(ShardIterator=iterator)["Records"])


def instead(monkeypatch: pytest.MonkeyPatch, stream: Stream) -> None:
    monkeypatch.setattr(aws, "client", lambda _service: stream)


SIMULATE = ("simulate", "--stream", STREAM, "--rate", "0", "--count", "40")


def test_it_says_what_it_sent(kinesis: Any) -> None:
    result = ops(*SIMULATE)
    assert result.exit_code == 0
    assert result.stdout.startswith("events: 40 of 40 records accepted (40 events) in 1 calls and ")
    assert on_stream(kinesis) == 40


def test_it_says_so_as_json(kinesis: Any) -> None:
    sent = json.loads(ops(*SIMULATE, "--seed", "s", "--duplicates", "1", "--output", "json").stdout)
    assert (sent["stream"], sent["seed"], sent["events"]) == (STREAM, "s", 40)
    assert sent["records"] == sent["accepted"] == on_stream(kinesis) == 80


def test_ctrl_c_is_no_error_of_the_command_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(call: int) -> None:
        if call == 1:
            raise KeyboardInterrupt

    instead(monkeypatch, Stream(before=ctrl_c))
    result = ops("simulate", "--stream", STREAM, "--count", "0", "--rate", "0")
    assert result.exit_code == 130
    assert "events: 500 of 500 records accepted (500 events)" in result.stdout
    assert "A call with 500 more was under way: whether they were accepted is not known." in result.stdout
    assert said(result) == "error: `iops simulate` was interrupted; run it again to send more"


def test_an_error_leaves_word_of_what_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(call: int) -> None:
        if call == 1:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "gone"}}, "PutRecords")

    instead(monkeypatch, Stream(before=gone))
    result = ops("simulate", "--stream", STREAM, "--count", "0", "--rate", "0")
    assert result.exit_code == 254
    assert "500 of 500 records accepted" in result.stdout
    assert said(result) == f"error: the stream {STREAM} does not exist: check its name, the account and --region"


def test_what_is_given_up_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(put, "FIRST_WAIT_SECONDS", 0.0)
    instead(monkeypatch, Stream(refuse=lambda _: True))
    result = ops(*SIMULATE)
    assert result.exit_code == 1
    assert "0 of 40 records accepted" in result.stdout
    assert "kept refusing 40 records, which were given up: lower --rate, or give it more shards" in said(result)


@pytest.mark.parametrize(
    "options",
    [("--rate", "-1"), ("--count", "-1"), ("--poison", "1.1"), ("--students", "0"), ("--late", "much")],
)
def test_a_mistake_is_told_before_anything_is_sent(kinesis: Any, options: tuple[str, str]) -> None:
    result = ops(*SIMULATE, *options)
    assert result.exit_code == 2
    assert options[0] in said(result)
    assert on_stream(kinesis) == 0
