"""The model of the event source mapping does what AWS documents of it, rule by rule.

"How Lambda processes records from stream and queue-based event sources", "Configuring partial batch response with
Kinesis" and "Retain discarded batch records" in the Lambda developer guide; "Resharding" in that of Kinesis.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from proof.mapping import STREAM_ARN, EventSourceMapping, Stream

Answer = Callable[[list[str]], Any]
"""What the function answers to a batch, given what its records say."""


def fine(_: list[str]) -> Any:
    return None


class Source:
    """A stream of small records, and a function that notes what it is called with."""

    def __init__(self, answer: Answer = fine, *, shards: int = 1, **mapping: Any) -> None:
        self.answer = answer
        self.now_ms = 0
        self.stream = Stream(shards)
        self.numbers: dict[str, str] = {}
        self.batches: list[str] = []
        """What the records of each invocation say, put together."""
        self.mapping = EventSourceMapping(self.stream, self._invoke, lambda: self.now_ms, **mapping)

    def put(self, said: str, key: str = "key") -> None:
        """One record for each character."""
        for each in said:
            record = self.stream.put(key, each.encode(), self.now_ms)
            self.numbers[each] = record.sequence_number

    def put_apart(self, said: str) -> None:
        """The same, each under a partition key of its own."""
        for each in said:
            self.put(each, each)

    def _invoke(self, event: dict[str, Any]) -> Any:
        known = {number: said for said, number in self.numbers.items()}
        said = [known[record["kinesis"]["sequenceNumber"]] for record in event["Records"]]
        self.batches.append("".join(said))
        return self.answer(said)

    def failing(self, *said: str) -> Any:
        """The answer that reports these records."""
        return {"batchItemFailures": [{"itemIdentifier": self.numbers[each]} for each in said]}

    def given_up(self) -> list[str]:
        return ["".join(record.data.decode() for record in each) for each in self.mapping.on_failure.values()]

    def pending(self) -> str:
        return "".join(record.data.decode() for record in self.mapping.pending())


def broken(_: list[str]) -> Any:
    raise RuntimeError("the function fails")


def broken_by(poison: str) -> Answer:
    def answer(said: list[str]) -> Any:
        if poison in said:
            raise RuntimeError("the function fails")

    return answer


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_shards_records_come_in_order_in_batches() -> None:
    source = Source(batch_size=3)
    source.put("abcdefg")
    source.mapping.drain()
    assert source.batches == ["abc", "def", "g"]
    assert source.mapping.invocations == 3
    source.put("h")
    source.mapping.drain()
    assert source.batches[3:] == ["h"]


def test_shards_are_delivered_apart_and_in_any_order() -> None:
    source = Source(shards=2, batch_size=10)
    source.put_apart("abcdefghij")
    one, other = source.mapping.ready()
    source.mapping.deliver(other)
    source.mapping.deliver(one)
    assert sorted("".join(source.batches)) == list("abcdefghij")
    assert {one.shard_id, other.shard_id} == {"shardId-000000000000", "shardId-000000000001"}
    for batch, lane in zip(source.batches, (other, one), strict=True):
        records = source.stream.shards[lane.shard_id].records
        assert batch == "".join(record.data.decode() for record in records)


def test_a_record_is_delivered_as_lambda_writes_it() -> None:
    source = Source()
    source.now_ms = 1_700_000_000_123
    source.put("a", "some key")
    assert source.stream.records()[0].as_delivered() == {
        "eventID": f"shardId-000000000000:{source.numbers['a']}",
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventName": "aws:kinesis:record",
        "awsRegion": "us-east-1",
        "eventSourceARN": STREAM_ARN,
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "some key",
            "sequenceNumber": source.numbers["a"],
            "data": "YQ==",
            "approximateArrivalTimestamp": 1_700_000_000.123,
        },
    }


def test_nothing_put_is_nothing_delivered() -> None:
    source = Source(shards=3, parallelization_factor=10)
    assert source.mapping.ready() == []
    source.mapping.drain()
    assert source.mapping.invocations == 0


def test_draining_what_never_succeeds_is_an_error() -> None:
    source = Source(broken)
    source.put("a")
    with pytest.raises(RuntimeError, match="not done after 10 deliveries"):
        source.mapping.drain(10)


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}])
def test_null_and_empty_answers_are_success(answer: Any) -> None:
    source = Source(lambda _: answer)
    source.put("abc")
    source.mapping.drain()
    assert (source.batches, source.pending(), source.given_up()) == (["abc"], "", [])


@pytest.mark.parametrize(
    "failure",
    [
        {"itemIdentifier": "no such number"},
        {"itemIdentifier": ""},
        {"itemIdentifier": None},
        {"itemidentifier": "wrong name"},
        {},
    ],
)
@pytest.mark.parametrize("with_a_good_one", [False, True])
def test_an_identifier_that_is_none_fails_the_whole_batch(failure: dict[str, Any], with_a_good_one: bool) -> None:
    source = Source(bisect=False)
    source.put("abcd")
    answers = [{"batchItemFailures": [failure, *source.failing("c")["batchItemFailures"][: int(with_a_good_one)]]}]
    source.answer = lambda _: answers.pop() if answers else None
    source.mapping.drain()
    assert source.batches == ["abcd", "abcd"]


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(1), MemoryError()])
def test_an_exception_or_a_death_fails_the_whole_batch(error: BaseException) -> None:
    errors = [error]

    def answer(_: list[str]) -> Any:
        if errors:
            raise errors.pop()

    source = Source(answer, bisect=False)
    source.put("abcd")
    source.mapping.drain()
    assert source.batches == ["abcd", "abcd"]


@pytest.mark.parametrize("bisect", [True, False])
@pytest.mark.parametrize(
    ("reported", "again"), [("a", "abcd"), ("b", "bcd"), ("d", "d"), ("dbc", "bcd"), ("abcd", "abcd"), ("cc", "cd")]
)
def test_the_lowest_reported_number_is_the_checkpoint(reported: str, again: str, bisect: bool) -> None:
    source = Source(bisect=bisect)
    source.put("abcd")
    answers = [source.failing(*reported)]
    source.answer = lambda _: answers.pop() if answers else None
    (lane,) = source.mapping.ready()
    source.mapping.deliver(lane)
    assert source.pending() == again
    source.mapping.drain()
    assert source.batches == ["abcd", again]


# -- bisecting, retries, age ------------------------------------------------------------------------------------------


def test_a_failed_batch_is_halved_down_to_the_record_that_fails() -> None:
    source = Source(broken_by("c"), max_retry_attempts=1)
    source.put("abcdefgh")
    source.mapping.drain()
    assert source.batches == ["abcdefgh", "abcd", "ab", "cd", "c", "c", "d", "efgh"]
    assert source.given_up() == ["c"]


@pytest.mark.parametrize("poison", "abcdefgh")
def test_halving_uses_up_no_retry(poison: str) -> None:
    source = Source(broken_by(poison), max_retry_attempts=0)
    source.put("abcdefgh")
    source.mapping.drain()
    assert source.given_up() == [poison]
    assert [batch for batch in source.batches if poison in batch][-1] == poison
    assert {said for batch in source.batches if poison not in batch for said in batch} == set("abcdefgh") - {poison}


def test_without_bisecting_the_whole_batch_comes_again_until_its_retries_run_out_and_is_kept_whole() -> None:
    source = Source(broken_by("c"), bisect=False, max_retry_attempts=2, batch_size=4)
    source.put("abcdefgh")
    source.mapping.drain()
    assert source.batches == ["abcd", "abcd", "abcd", "efgh"]
    assert source.given_up() == ["abcd"]


def test_when_the_retries_of_a_rest_run_out_the_whole_rest_is_kept() -> None:
    source = Source(max_retry_attempts=1)
    source.put("abcd")
    source.answer = lambda said: source.failing("c") if "c" in said else None
    source.mapping.drain()
    assert source.batches == ["abcd", "cd", "cd"]
    assert source.given_up() == ["cd"]
    (key,) = source.mapping.on_failure
    assert key.startswith("aws/lambda/")
    assert "shardId-000000000000" in key


def test_progress_in_parts_uses_up_no_retry_where_batches_are_bisected() -> None:
    source = Source(max_retry_attempts=0)
    source.put("abcdef")
    source.answer = lambda said: source.failing(said[1]) if len(said) > 1 else None
    source.mapping.drain()
    assert source.batches == ["abcdef", "bcdef", "cdef", "def", "ef", "f"]
    assert source.given_up() == []


def test_without_bisecting_a_partial_failure_uses_up_a_retry() -> None:
    source = Source(bisect=False, max_retry_attempts=0)
    source.put("abc")
    source.answer = lambda said: source.failing("b") if "b" in said else None
    source.mapping.drain()
    assert (source.batches, source.given_up()) == (["abc"], ["bc"])


def test_without_a_limit_retries_go_on() -> None:
    source = Source(broken)
    source.put("a")
    for _ in range(50):
        source.mapping.deliver(source.mapping.ready()[0])
    assert (source.mapping.invocations, source.pending(), source.given_up()) == (50, "a", [])


def test_nothing_of_a_lane_goes_by_a_record_that_fails() -> None:
    source = Source(broken_by("a"), batch_size=2)
    source.put("abcd")
    for _ in range(20):
        source.mapping.deliver(source.mapping.ready()[0])
    assert set(source.batches) == {"ab", "a"}
    assert source.pending() == "abcd"


def test_records_beyond_the_age_are_given_up_undelivered_and_the_others_are_delivered() -> None:
    source = Source(max_record_age_ms=1000)
    source.put("ab")
    source.now_ms = 600
    source.put("cd")
    source.now_ms = 1000
    assert source.mapping.ready()
    source.now_ms = 1001
    source.mapping.drain()
    assert source.batches == ["cd"]
    assert source.given_up() == ["ab"]


def test_a_batch_that_fails_for_longer_than_the_age_is_given_up() -> None:
    source = Source(broken, bisect=False, max_record_age_ms=1000)
    source.put("ab")
    for _ in range(3):
        source.mapping.deliver(source.mapping.ready()[0])
        source.now_ms += 400
    source.mapping.drain()
    assert source.batches == ["ab"] * 3
    assert source.given_up() == ["ab"]


# -- lanes ------------------------------------------------------------------------------------------------------------


def with_many_keys(factor: int) -> Source:
    """Three records, a, b, c, of each of twenty keys; the key's position and the letter are what they say."""
    source = Source(parallelization_factor=factor, batch_size=4)
    for letter in range(3):
        for key in range(20):
            source.put(chr(0x4E00 + 20 * letter + key), str(key))
    return source


@pytest.mark.parametrize("factor", [1, 2, 10])
@pytest.mark.parametrize("which", [0, -1])
def test_lanes_share_a_shard_and_keep_the_order_of_each_partition_key(factor: int, which: int) -> None:
    source = with_many_keys(factor)
    lanes = source.mapping.ready()
    assert factor / 2 < len(lanes) <= factor
    while lanes := source.mapping.ready():
        source.mapping.deliver(lanes[which])
    delivered = [divmod(ord(each) - 0x4E00, 20) for batch in source.batches for each in batch]
    assert len(delivered) == 60
    for key in range(20):
        assert [letter for letter, each in delivered if each == key] == [0, 1, 2]


def test_a_lane_that_fails_holds_up_its_own_keys_alone() -> None:
    source = with_many_keys(10)
    stuck = source.mapping.ready()[0]
    source.answer = broken
    source.mapping.deliver(stuck)
    source.answer = fine
    for _ in range(100):
        others = [lane for lane in source.mapping.ready() if lane is not stuck]
        if not others:
            break
        source.mapping.deliver(others[0])
    left = {record.partition_key for record in source.mapping.pending()}
    assert 0 < len(left) < 20
    assert len(source.pending()) == 3 * len(left)


# -- shards that split and merge --------------------------------------------------------------------------------------


def test_a_split_shards_children_wait_until_it_is_done() -> None:
    source = Source(batch_size=2)
    source.put("abcd")
    source.mapping.deliver(source.mapping.ready()[0])
    (parent,) = source.stream.shards
    source.stream.split(parent)
    source.put_apart("efghijklmn")
    children = [each for each in source.stream.shards.values() if each.parents == (parent,)]
    assert [bool(each.records) for each in children] == [True, True]
    assert [lane.shard_id for lane in source.mapping.ready()] == [parent]
    source.answer = broken
    source.mapping.deliver(source.mapping.ready()[0])
    assert [lane.shard_id for lane in source.mapping.ready()] == [parent]
    source.answer = fine
    source.mapping.deliver(source.mapping.ready()[0])
    assert [lane.shard_id for lane in source.mapping.ready()] == [parent]
    source.mapping.deliver(source.mapping.ready()[0])
    assert [lane.shard_id for lane in source.mapping.ready()] == [child.shard_id for child in children]
    source.mapping.drain()
    assert sorted("".join(source.batches[4:])) == list("efghijklmn")


def test_a_merged_shard_waits_for_both_of_its_parents() -> None:
    source = Source(shards=2)
    source.put_apart("abcdefghij")
    one, other = source.stream.shards
    source.stream.merge(other, one)
    source.put("k")
    for parent in (other, one):
        lanes = {lane.shard_id: lane for lane in source.mapping.ready()}
        assert "shardId-000000000002" not in lanes
        source.mapping.deliver(lanes[parent])
    source.mapping.drain()
    assert source.batches[2:] == ["k"]


def test_a_grandchild_waits_for_its_parent_too() -> None:
    source = Source()
    source.put("a")
    source.stream.split("shardId-000000000000")
    source.put("b")
    (parent,) = (each for each in source.stream.shards.values() if each.open and each.records)
    source.stream.split(parent.shard_id)
    source.put("c")
    assert [lane.shard_id for lane in source.mapping.ready()] == ["shardId-000000000000"]
    source.mapping.drain()
    assert source.batches == ["a", "b", "c"]


def test_while_a_lane_waits_for_its_function_the_others_deliver_and_it_does_not() -> None:
    source = with_many_keys(2)
    seen: list[tuple[int, int, str]] = []

    def answer(said: list[str]) -> None:
        lanes = source.mapping.ready()
        seen.append((len(seen), len(lanes), source.pending()))
        for lane in lanes:
            source.mapping.deliver(lane)

    source.answer = answer
    first, _ = source.mapping.ready()
    source.mapping.batch_size = 100
    every = source.pending()
    source.mapping.deliver(first)
    assert [(call, others) for call, others, _ in seen] == [(0, 1), (1, 0)]
    assert [sorted(pending) for *_, pending in seen] == [sorted(every)] * 2
    assert source.pending() == ""


def test_a_child_waits_for_a_batch_of_its_parent_that_is_under_way() -> None:
    source = Source()
    source.put("a")
    ready: list[int] = []

    def answer(_: list[str]) -> None:
        ready.append(len(source.mapping.ready()))

    source.stream.split(*source.stream.shards)
    source.put("b")
    source.answer = answer
    source.mapping.drain()
    assert (source.batches, ready) == (["a", "b"], [0, 0])


def test_shards_cover_all_keys_however_they_are_split_and_merged() -> None:
    stream = Stream(3)
    first, second, third = stream.shards
    with pytest.raises(ValueError, match="not neighbours"):
        stream.merge(first, third)
    stream.merge(second, third)
    stream.split(first)
    still_open = sorted((each.first_key, each.last_key) for each in stream.shards.values() if each.open)
    assert still_open[0][0] == 0
    assert still_open[-1][1] == 2**128 - 1
    assert all(lower[1] + 1 == upper[0] for lower, upper in pairwise(still_open))


# -- replay -----------------------------------------------------------------------------------------------------------


def test_a_replay_begins_at_the_horizon_with_what_was_done_and_given_up_and_under_way() -> None:
    source = Source(batch_size=2, bisect=False, max_retry_attempts=0)
    source.put("abcdef")
    source.mapping.deliver(source.mapping.ready()[0])
    source.answer = broken
    source.mapping.deliver(source.mapping.ready()[0])
    source.answer = fine
    assert source.given_up() == ["cd"]
    source.mapping.replay()
    assert source.pending() == "abcdef"
    source.mapping.drain()
    assert source.batches[2:] == ["ab", "cd", "ef"]


def test_what_a_producer_puts_twice_comes_twice_under_two_numbers() -> None:
    source = Source()
    for _ in range(2):
        source.stream.put("key", b"same", 0)
    assert len({record.sequence_number for record in source.stream.records()}) == 2
    assert len(source.mapping.pending()) == 2
