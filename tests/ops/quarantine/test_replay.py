"""Replaying: what is read in which order, how it reaches the function, what becomes of failures and interruptions."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.model import from_datetime, from_iso, to_iso
from ops import aws
from ops.quarantine import replay as module
from ops.quarantine import stream_reader
from ops.quarantine.replay import BYTES_A_CALL, Progress, Rest, replay, until
from ops.quarantine.stream_reader import chosen, delivered, first_arrival, source
from proof.mapping import STREAM_ARN, StreamRecord
from tests.helpers.ops_command import ops, said

STREAM, FUNCTION = "events", "processor"
BEGIN = from_iso("2026-11-23T10:00:00.000Z")
END = BEGIN + 1_000_000
PAGE = 4
"""How many records a read of the stream in memory gives."""


class Died(BaseException):
    """The process ends here."""


def failure(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said by a test"}}, operation)


@dataclass
class Kinesis:
    """Shards in memory: first two, then one of them split, a closed one whose records are gone among them."""

    records: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    """By shard: arrival and data; the sequence number is the shard's number and the position."""
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _operation: None
    shards: tuple[tuple[str, tuple[str, ...], bool], ...] = (
        ("shard-1", (), True),
        ("shard-4", (), False),
        ("shard-0", ("shard-gone",), True),
        ("shard-3", ("shard-1", "shard-0"), False),
        ("shard-2", ("shard-0",), False),
    )
    """Identifier, parents, and whether it is closed."""

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        self.before(operation)

    def describe_stream_summary(self, *, StreamName: str) -> Any:
        assert StreamName == STREAM
        return {"StreamDescriptionSummary": {"StreamARN": STREAM_ARN, "RetentionPeriodHours": 24}}

    def list_shards(self, *, StreamName: str = "", NextToken: str = "") -> Any:
        assert bool(StreamName) != bool(NextToken)
        page = self.shards[3:] if NextToken else self.shards[:3]
        shards = []
        for shard_id, parents, closed in page:
            numbers = {"StartingSequenceNumber": "0"} | ({"EndingSequenceNumber": "9"} if closed else {})
            names = dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))
            shards.append({"ShardId": shard_id, "SequenceNumberRange": numbers, **names})
        return {"Shards": shards} | ({} if NextToken else {"NextToken": "more"})

    def get_shard_iterator(
        self,
        *,
        StreamName: str,
        ShardId: str,
        ShardIteratorType: str,
        Timestamp: datetime | None = None,
        StartingSequenceNumber: str = "",
    ) -> Any:
        self._called("iterator")
        records = self.records.get(ShardId, [])
        if ShardIteratorType == "AT_TIMESTAMP":
            assert Timestamp is not None
            since = from_datetime(Timestamp)
            start = next((n for n, (arrival, _) in enumerate(records) if arrival >= since), len(records))
        else:
            assert ShardIteratorType == "AFTER_SEQUENCE_NUMBER"
            start = int(StartingSequenceNumber.partition("-")[2]) + 1
        return {"ShardIterator": f"{ShardId}/{start}"}

    def get_records(self, *, ShardIterator: str, Limit: int) -> Any:
        self._called("read")
        shard_id, _, start = ShardIterator.partition("/")
        records, first = self.records.get(shard_id, []), int(start)
        last = min(first + min(Limit, PAGE), len(records))
        closed = {each: is_closed for each, _, is_closed in self.shards}[shard_id]
        page = [
            {
                "SequenceNumber": f"{shard_id[-1]}-{number}",
                "PartitionKey": f"key {number}",
                "Data": records[number][1],
                "ApproximateArrivalTimestamp": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=arrival),
            }
            for number, (arrival, _) in list(enumerate(records))[first:last]
        ]
        answer: dict[str, Any] = {"Records": page, "MillisBehindLatest": 0 if last == len(records) else 5}
        if not (closed and last == len(records)):
            answer["NextShardIterator"] = f"{shard_id}/{last}"
        return answer


@dataclass
class Function:
    """A processor in memory."""

    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    """The sequence numbers of what it has taken in."""
    order: list[str] = field(default_factory=list)
    before: Callable[[int], None] = lambda _call: None
    fails: Callable[[str, int], bool] = lambda _number, _call: False
    """Whether a record is reported as failed in a call."""
    answer: Callable[[int], dict[str, Any] | None] = lambda _call: None
    """An answer in its place."""
    logs: bool = True

    def invoke(self, *, FunctionName: str, LogType: str, Payload: bytes) -> Any:
        assert (FunctionName, LogType) == (FUNCTION, "Tail")
        assert len(Payload) <= 6 * 1024 * 1024
        records = json.loads(Payload)["Records"]
        call = len(self.batches)
        self.batches.append(records)
        self.before(call)
        if (instead := self.answer(call)) is not None:
            return {"Payload": io.BytesIO(b"null"), **instead}
        numbers = [each["kinesis"]["sequenceNumber"] for each in records]
        failed = [number for number in numbers if self.fails(number, call)]
        self.order += [number for number in numbers if number not in failed]
        self.taken.update(self.order)
        line = {"message": "Batch processing complete", "written": len(numbers) - len(failed), "quarantined": 1}
        tail = f'START\n{{"message": 5}}\nnull\n{json.dumps(line)}\nEND RequestId' if self.logs else "END"
        said = json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in failed]})
        return {"Payload": io.BytesIO(said.encode()), "LogResult": base64.b64encode(tail.encode()).decode()}


def a_stream() -> Kinesis:
    """Three shards with ten, five and one record, a second apart."""
    counts = {"shard-0": 10, "shard-1": 5, "shard-3": 1}
    return Kinesis({shard: [(BEGIN + 1_000 * n, b"%d" % n) for n in range(count)] for shard, count in counts.items()})


def run(
    kinesis: Kinesis,
    function: Function,
    progress: Progress | None = None,
    *,
    since: int = BEGIN,
    end: int = END,
    batch_size: int = 100,
    shard_ids: tuple[str, ...] = (),
) -> Progress:
    progress = progress or Progress()
    stream = source(kinesis, STREAM)
    shards = chosen(stream, shard_ids)
    replay(
        kinesis,
        function,
        stream,
        shards,
        FUNCTION,
        since,
        end,
        progress,
        batch_size=batch_size,
        sleep=lambda _: None,
    )
    return progress


EVERYTHING = {f"0-{n}" for n in range(10)} | {f"1-{n}" for n in range(5)} | {"3-0"}


def test_everything_is_sent_in_order_parents_before_children() -> None:
    function = Function()
    progress = run(a_stream(), function, batch_size=3)
    assert [each.shard_id for each in source(a_stream(), STREAM).shards] == [f"shard-{n}" for n in (0, 1, 2, 3, 4)]
    assert function.order == [*(f"0-{n}" for n in range(10)), *(f"1-{n}" for n in range(5)), "3-0"]
    assert max(map(len, function.batches)) == 3
    assert (progress.records, progress.calls, progress.failed) == (16, len(function.batches), [])
    assert (progress.written, progress.quarantined) == (16, len(function.batches))
    assert progress.rest([f"shard-{n}" for n in range(5)], BEGIN) == []


def test_children_wait_for_both_parents_whatever_they_are_called() -> None:
    kinesis = Kinesis(shards=(("a", ("z", "y"), False), ("y", (), True), ("z", (), True)))
    kinesis.list_shards = lambda **_: {  # type: ignore[method-assign]
        "Shards": [
            {
                "ShardId": name,
                "SequenceNumberRange": {},
                "ParentShardId": parents[0],
                "AdjacentParentShardId": parents[1],
            }
            if parents
            else {"ShardId": name, "SequenceNumberRange": {}}
            for name, parents, _ in kinesis.shards
        ]
    }
    assert [each.shard_id for each in source(kinesis, STREAM).shards] == ["z", "y", "a"]


def test_a_record_reaches_the_function_as_the_mapping_delivers_it() -> None:
    record = StreamRecord("49", "shardId-000000000003", "key", b"\xff{}", BEGIN + 123)
    read = {
        "SequenceNumber": "49",
        "PartitionKey": "key",
        "Data": b"\xff{}",
        "ApproximateArrivalTimestamp": datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC),
    }
    assert delivered(read, "shardId-000000000003", STREAM_ARN) == record.as_delivered()


def test_only_what_arrived_in_the_time_is_sent() -> None:
    function = Function()
    run(a_stream(), function, since=BEGIN + 2_000, end=BEGIN + 6_000)
    assert function.taken == {"0-2", "0-3", "0-4", "0-5", "1-2", "1-3", "1-4"}


def test_an_arrival_that_is_too_late_does_not_hide_an_earlier_one_behind_it() -> None:
    kinesis = Kinesis({"shard-4": [(BEGIN + 1, b""), (END, b""), (BEGIN + 2, b"")]})
    function = Function()
    run(kinesis, function)
    assert function.taken == {"4-0", "4-2"}


def test_reading_stops_where_all_that_is_read_is_too_late() -> None:
    kinesis = Kinesis({"shard-4": [(END + n, b"") for n in range(1_000)]})
    run(kinesis, Function(), shard_ids=("shard-4",))
    assert kinesis.calls == ["iterator", "read"]


def test_a_call_stays_below_what_lambda_takes_and_a_record_that_does_not_is_told() -> None:
    kinesis = Kinesis({"shard-4": [(BEGIN, b"x" * 2_000_000), (BEGIN, b"y" * 2_000_000), (BEGIN, b"z" * 5_000_000)]})
    function = Function()
    progress = run(kinesis, function)
    assert [len(batch) for batch in function.batches] == [2]
    (failed,) = progress.failed
    assert (failed.sequence_number, failed.why) == ("4-2", "it is larger than the 6,000,000 bytes that Lambda takes")
    kinesis.records["shard-4"][1:] = [(BEGIN, b"y" * 2_600_000)] * 2
    function = Function()
    run(kinesis, function)
    assert [len(batch) for batch in function.batches] == [1, 1, 1]
    assert len(json.dumps({"Records": function.batches[0]})) < BYTES_A_CALL


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_iterator_that_expires_is_made_anew_where_reading_stopped() -> None:
    kinesis, function = a_stream(), Function()

    def expire(operation: str) -> None:
        if operation == "read" and kinesis.calls.count("read") % 2 == 0:
            raise failure("GetRecords", "ExpiredIteratorException")

    kinesis.before = expire
    run(kinesis, function)
    assert function.taken == EVERYTHING
    assert len(function.order) == len(EVERYTHING)


def test_a_throttled_read_is_repeated_and_then_told() -> None:
    kinesis, function = a_stream(), Function()

    def throttle(operation: str) -> None:
        if operation == "read" and kinesis.calls.count("read") % 3:
            raise failure("GetRecords", "ProvisionedThroughputExceededException")

    kinesis.before = throttle
    run(kinesis, function)
    assert function.taken == EVERYTHING

    def always(operation: str) -> None:
        if operation == "read":
            raise failure("GetRecords", "ProvisionedThroughputExceededException")

    kinesis.before = always
    with pytest.raises(ClientError) as told:
        run(kinesis, Function())
    assert "AWS throttles GetRecords on the stream s: wait a minute" in str(aws.explain(told.value, {"stream": "s"}))


def test_what_is_reported_as_failed_is_sent_again_alone() -> None:
    function = Function(fails=lambda number, call: number == "0-1" and call < 3)
    progress = run(a_stream(), function, shard_ids=("shard-0",))
    assert [len(batch) for batch in function.batches] == [4, 1, 1, 1, 4, 2]
    assert function.taken == {f"0-{n}" for n in range(10)}
    assert progress.failed == []


def test_what_stays_failed_is_told_and_the_rest_goes_on() -> None:
    function = Function(fails=lambda number, _: number in ("0-1", "1-4"))
    progress = run(a_stream(), function)
    assert function.taken == EVERYTHING - {"0-1", "1-4"}
    assert [(each.shard_id, each.sequence_number) for each in progress.failed] == [
        ("shard-0", "0-1"),
        ("shard-1", "1-4"),
    ]
    assert progress.failed[0].why == "the processor reported it as failed 6 times"
    assert progress.records == 16


def test_an_answer_of_no_use_means_the_whole_batch() -> None:
    nonsense = json.dumps({"batchItemFailures": [{"itemIdentifier": "of another batch"}]}).encode()
    function = Function(answer=lambda call: {"Payload": io.BytesIO(nonsense)} if call == 0 else None)
    progress = run(a_stream(), function, shard_ids=("shard-1",))
    assert [len(batch) for batch in function.batches] == [4, 4, 1]
    assert progress.failed == []


@pytest.mark.parametrize("said", [b"null", b"{}", b'{"batchItemFailures": []}', b'{"batchItemFailures": null}'])
def test_null_and_nothing_are_success(said: bytes) -> None:
    function = Function(answer=lambda _: {"Payload": io.BytesIO(said)})
    progress = run(a_stream(), function, shard_ids=("shard-3",))
    assert (len(function.batches), progress.failed, progress.written) == (1, [], None)


def test_an_outage_stops_the_replay() -> None:
    function, progress = Function(fails=lambda number, _: number not in ("0-0", "0-1")), Progress()
    with pytest.raises(aws.UserError, match="reported all of 3 batches in a row as failed: see why in its log") as told:
        run(a_stream(), function, progress, batch_size=2)
    assert told.value.exit_code == 254
    assert len(progress.failed) == 6
    assert progress.rest(["shard-0", "shard-1"], BEGIN) == [Rest(["shard-0"], BEGIN + 1_000), Rest(["shard-1"], BEGIN)]


def test_a_function_that_ends_with_an_error_is_called_again_and_then_told() -> None:
    error = json.dumps({"errorType": "RuntimeError", "errorMessage": "out of order"}).encode()
    once = Function(
        answer=lambda call: {"FunctionError": "Unhandled", "Payload": io.BytesIO(error)} if not call else None
    )
    assert run(a_stream(), once).failed == []
    assert once.taken == EVERYTHING
    ever = Function(answer=lambda _: {"FunctionError": "Unhandled", "Payload": io.BytesIO(error)})
    with pytest.raises(aws.UserError, match="6 times in a row: RuntimeError: out of order; see its log"):
        run(a_stream(), ever)
    plain = Function(answer=lambda _: {"FunctionError": "Unhandled", "Payload": io.BytesIO(b"Task timed out")})
    with pytest.raises(aws.UserError, match=r"6 times in a row: Task timed out; see .* a smaller --batch-size"):
        run(a_stream(), plain)


def test_a_busy_function_is_waited_for() -> None:
    def busy(call: int) -> None:
        if call % 2 == 0:
            raise failure("Invoke", "TooManyRequestsException")

    function = Function(before=busy)
    run(a_stream(), function)
    assert function.taken == EVERYTHING

    def denied(_: int) -> None:
        raise failure("Invoke", "AccessDeniedException")

    with pytest.raises(ClientError) as told:
        run(a_stream(), Function(before=denied))
    explained = str(aws.explain(told.value, {"function": "f"}))
    assert explained.startswith("Invoke on the function f is not allowed: lambda:InvokeFunction is needed")


def test_a_log_that_says_nothing_leaves_the_counts_unknown() -> None:
    progress = run(a_stream(), Function(logs=False))
    assert (progress.written, progress.quarantined, progress.records) == (None, None, 16)


def test_interrupted_at_any_call_what_is_left_is_told_and_completes_it() -> None:
    shard_ids = [f"shard-{n}" for n in range(5)]

    def dying(kinesis: Kinesis, function: Function, index: int) -> None:
        def count(_: Any) -> None:
            if len(kinesis.calls) + len(function.batches) == index:
                raise Died

        kinesis.before = function.before = count

    undisturbed, every = a_stream(), Function()
    run(undisturbed, every, batch_size=3)
    for index in range(1, len(undisturbed.calls) + len(every.batches) + 1):
        kinesis, function, progress = a_stream(), Function(), Progress()
        dying(kinesis, function, index)
        with pytest.raises(Died):
            run(kinesis, function, progress, batch_size=3)
        kinesis.before = lambda _: None
        function.before = lambda _: None
        rest = progress.rest(shard_ids, BEGIN)
        assert rest
        for each in rest:
            run(kinesis, function, since=each.since_ms, shard_ids=tuple(each.shard_ids))
        assert function.taken == EVERYTHING
        # One batch, and what arrived with its last record, is sent twice at most.
        assert len(function.order) <= len(EVERYTHING) + 4


# -- looking ----------------------------------------------------------------------------------------------------------


def test_a_look_finds_the_first_record_and_reads_no_more() -> None:
    kinesis = a_stream()
    assert first_arrival(kinesis, STREAM, "shard-0", BEGIN + 1, END) == BEGIN + 1_000
    assert kinesis.calls == ["iterator", "read"]
    assert first_arrival(kinesis, STREAM, "shard-0", BEGIN + 1, BEGIN + 500) is None
    assert first_arrival(kinesis, STREAM, "shard-2", BEGIN, END) is None
    assert first_arrival(kinesis, STREAM, "shard-1", END, END + 1) is None


def test_the_end_is_now_unless_it_is_said() -> None:
    assert until(BEGIN, None, END) == END
    assert until(BEGIN, BEGIN + 1, END) == BEGIN + 1
    with pytest.raises(aws.UserError, match="which is yet to come: give an earlier one"):
        until(END, None, END)
    with pytest.raises(aws.UserError, match="--since is not before --until"):
        until(BEGIN, BEGIN, END)


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Function, str]]:
    """A real stream's interface, a processor in memory, and the file that names both."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)
    for reading_or_calling in (stream_reader, module):
        monkeypatch.setattr(reading_or_calling, "_WAIT_SECONDS", 0.0)
    function, make = Function(), aws.client

    def client(service: str, **options: int) -> Any:
        if service == "lambda":
            assert options == {"read_timeout": 900}  # as long as a function may take
            return function
        return make(service)

    monkeypatch.setattr(aws, "client", client)
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({"EventStreamName": STREAM, "ProcessFunctionName": FUNCTION}))
    with mock_aws():
        kinesis = boto3.client("kinesis")
        kinesis.create_stream(StreamName=STREAM, ShardCount=2)
        for number in range(20):
            kinesis.put_record(StreamName=STREAM, Data=b"%d" % number, PartitionKey=str(number))
        yield function, str(outputs)


def test_replay_only_looks_at_first(stack: tuple[Function, str]) -> None:
    function, outputs = stack
    result = ops("replay", "--since", "1h", "--stack-outputs", outputs)
    assert result.exit_code == 0
    assert "Nothing was sent. Repeat with --execute to do it." in result.stdout
    assert "The stream keeps 24 hours." in result.stdout
    assert "shardId-000000000001  open" in result.stdout
    assert function.batches == []
    dry = json.loads(ops("replay", "--since", "1h", "--stack-outputs", outputs, "--output", "json").stdout)
    assert (dry["stream"], dry["function"], dry["executed"]) == (STREAM, FUNCTION, False)
    assert [(each["shard_id"], each["closed"]) for each in dry["shards"]] == [
        ("shardId-000000000000", False),
        ("shardId-000000000001", False),
    ]
    assert all(each["first_arrival"] > dry["since"] for each in dry["shards"])


def test_replay_executed(stack: tuple[Function, str]) -> None:
    function, outputs = stack
    result = ops("replay", "--since", "1h", "--stack-outputs", outputs, "--batch-size", "7", "--execute")
    assert result.exit_code == 0, result.output
    calls = len(function.batches)
    assert f"20 records sent through the processor in {calls} calls: 20 items written, {calls} records" in result.stdout
    datas = [base64.b64decode(each["kinesis"]["data"]) for batch in function.batches for each in batch]
    assert sorted(datas, key=int) == [b"%d" % number for number in range(20)]
    assert all(batch[0]["eventSourceARN"].endswith(f":stream/{STREAM}") for batch in function.batches)


def test_replay_of_one_shard_as_json(stack: tuple[Function, str]) -> None:
    function, outputs = stack
    function.logs = False
    shard = "shardId-000000000001"
    result = ops(
        "replay", "--since", "1h", "--shard", shard, "--stack-outputs", outputs, "--execute", "--output", "json"
    )
    told = json.loads(result.stdout)
    assert {each["eventID"].partition(":")[0] for batch in function.batches for each in batch} == {shard}
    assert (told["complete"], told["items_written"], told["failed"], told["rest"]) == (True, None, [], [])


def test_replay_ends_with_1_when_records_were_not_taken_in(stack: tuple[Function, str]) -> None:
    function, outputs = stack
    first: list[str] = []

    def fails(number: str, _: int) -> bool:
        first.append(number)
        return number == first[0]

    function.fails = fails
    result = ops("replay", "--since", "1h", "--stack-outputs", outputs, "--execute")
    assert result.exit_code == 1
    assert f"failed shardId-000000000000 {first[0]}: the processor reported it as failed 6 times" in result.stdout


def test_ctrl_c_says_from_where_to_go_on(stack: tuple[Function, str]) -> None:
    function, outputs = stack

    def ctrl_c(call: int) -> None:
        if call == 1:
            raise KeyboardInterrupt

    function.before = ctrl_c
    since = to_iso(from_datetime(datetime.now(UTC)) - 3_600_000)
    result = ops("replay", "--since", since, "--stack-outputs", outputs, "--execute", "--batch-size", "2")
    assert result.exit_code == 130
    assert said(result) == "error: `iops replay` was interrupted; run it again with the options above to go on"
    first, second = [line for line in result.stdout.splitlines() if line.startswith("Still to be done: ")]
    assert first.endswith(" --shard shardId-000000000000")
    assert second.startswith(f"Still to be done: --since {since} --until ")
    assert second.endswith(" --shard shardId-000000000001")
    assert "2 records sent through the processor in 1 calls" in result.stdout


@pytest.mark.parametrize(
    ("options", "exit_code", "says"),
    [
        (("--since", "2999-01-01"), 2, "--since is 2999-01-01T00:00:00.000Z, which is yet to come"),
        (("--since", "1h", "--until", "2h"), 2, "--since is not before --until"),
        (("--since", "soon"), 2, "'soon' is no ISO-8601 date or time"),
        ((), 2, "Missing option '--since'"),
        (("--since", "1h", "--batch-size", "0"), 2, "--batch-size"),
        (
            ("--since", "1h", "--shard", "shardId-7"),
            2,
            "the stream events has no shard shardId-7: choose from shardId-",
        ),
        (("--since", "1h", "--stream", "none"), 254, "the stream none does not exist: check its name"),
    ],
)
def test_what_cannot_be_replayed_is_told(
    stack: tuple[Function, str], options: tuple[str, ...], exit_code: int, says: str
) -> None:
    result = ops("replay", "--stack-outputs", stack[1], "--execute", *options)
    assert result.exit_code == exit_code
    assert says in said(result)
    assert stack[0].batches == []
