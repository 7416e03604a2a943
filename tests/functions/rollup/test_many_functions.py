"""A rollup of many functions over real files in S3: the same figures as one function's, however the table is parted."""

import base64
import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from components.rollup_steps import definition
from functions.aws import config
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.model import DAY_MS, MINUTE_MS, to_iso
from functions.rollup import handler as rollup
from functions.rollup import map_handler as rollup_map
from functions.rollup import reduce_handler as rollup_reduce
from functions.rollup import scan, spool
from functions.rollup.runs import RunError
from functions.rollup.scan import RollupIncomplete
from proof.invocation import process
from proof.memory_aws import Attributes, Key
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, event_json
from tests.helpers.frames import always_moving

ACCOUNT = "123456789012"
BUCKET = "rollup-runs"
MACHINE = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:rollup"
EXPORT = "exports/AWSDynamoDB/01795472820000-0a1b2c3d"
OF_MANY = {
    "ROLLUP_DISTRIBUTED_ITEMS": "1000",
    "ROLLUP_BUCKET_NAME": BUCKET,
    "ROLLUP_STATE_MACHINE_ARN": MACHINE,
}


def session(number: int) -> bytes:
    """One of many, most of them group sessions of two students."""
    payload = {
        "session_id": f"s{number // 2 if number % 5 else number}",
        "student_id": f"stu_{number % 11}",
        "tutor_id": f"tut_{number // 2 % 4}",
        "subject": ("algebra", "biology", "zoology")[number // 2 % 3],
        "tutor_rating": number // 2 % 6,
        "completed_successfully": number % 3 > 0,
    }
    return event_json("session_completed", payload, timestamp=to_iso(NOW - number * DAY_MS // 3))


@dataclass
class Many(Deployment):
    """The functions over AWS in memory, but with moto's S3 and Step Functions. Half of the facts are in tails."""

    clients: dict[str, Any] = field(default_factory=dict)
    before: dict[Key, Attributes] = field(default_factory=dict)
    """The table before any rollup."""

    def client(self, service: str, config: Any) -> Any:
        return self.clients.get(service) or self.aws.client(service)

    def begin(self, **wanted: str) -> dict[str, int]:
        begun: dict[str, int] = rollup.lambda_handler({"begin": wanted}, self.context)
        return begun

    def begun(self) -> dict[str, Any]:
        """The latest run, as the state machine is told of it."""
        states = self.clients["stepfunctions"]
        (execution, *_) = states.list_executions(stateMachineArn=MACHINE)["executions"]
        run: dict[str, Any] = json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
        assert run["name"] == execution["name"]
        return run

    def end(self) -> None:
        """The run is not going on any more."""
        states = self.clients["stepfunctions"]
        for execution in states.list_executions(stateMachineArn=MACHINE, statusFilter="RUNNING")["executions"]:
            states.stop_execution(executionArn=execution["executionArn"])

    def listed(self, items: str) -> list[Any]:
        """What one of the state machine's maps goes over."""
        found: list[Any] = json.loads(self.get(f"runs/{self.begun()['name']}/{items}.json"))
        return found

    def get(self, key: str) -> bytes:
        body: bytes = self.clients["s3"].get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def map(self) -> None:
        """Every source, in any order, and some of them twice."""
        sources = self.listed("sources")
        for source in random.sample(sources, len(sources)) + sources[:2]:
            rollup_map.lambda_handler({"run": self.begun(), "source": source}, self.context)

    def reduce(self) -> None:
        numbers = self.listed("partitions")
        for partition in random.sample(numbers, len(numbers)) + numbers[:2]:
            rollup_reduce.lambda_handler({"run": self.begun(), "partition": partition}, self.context)

    def finish(self) -> dict[str, int]:
        finished: dict[str, int] = rollup.lambda_handler({"finish": self.begun()}, self.context)
        self.end()
        return finished

    def figures(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What rollups have written."""
        items = {key: self.item(*key) for key in self.aws.items if key[0] in TOTALS_ATTRIBUTES}
        return {
            key: {name: value for name, value in item.items() if name in TOTALS_ATTRIBUTES[key[0]]}
            for key, item in items.items()
        }

    def move(self) -> None:
        """Another process moves all facts to tails, with news that no rollup counts."""
        calls = [
            event_json("ib_call_logged", {"student_id": f"stu_{number}", "call_id": "c"}, timestamp=to_iso(NOW))
            for number in range(11)
        ]
        zones = [
            event_json(
                "tutor_availability_updated", {"tutor_id": f"tut_{number}", "timezone": "UTC"}, timestamp=to_iso(NOW)
            )
            for number in range(4)
        ]
        with always_moving():
            assert self.deliver(*calls, *zones) == []
        assert not any("facts" in item for item in self.aws.items.values())

    def forget(self) -> None:
        """The table as it was before any rollup."""
        self.aws.items = deepcopy(self.before)


pytestmark = pytest.mark.filterwarnings("ignore:No application metrics")  # of what raises


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[Many]:
    monkeypatch.setattr(spool, "_FEWEST", 3)
    monkeypatch.setattr(scan, "PARALLEL_CALLS", 2)
    made = Many()
    with (
        mock_aws(),
        process({**ENVIRONMENT, **OF_MANY}, lambda *a, **k: made.client(*a, **k), lambda: made.clock.ms),
    ):
        made.clients = {name: boto3.client(name, region_name="us-east-1") for name in ("s3", "stepfunctions")}
        made.clients["s3"].create_bucket(Bucket=BUCKET)
        functions = {
            step: f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{step}" for step in ("map", "reduce", "finish")
        }
        steps = definition(partition="aws", bucket=BUCKET, functions=functions, timeout_seconds=900, max_concurrency=16)
        machine = made.clients["stepfunctions"].create_state_machine(
            name="rollup", definition=json.dumps(steps), roleArn=f"arn:aws:iam::{ACCOUNT}:role/rollup"
        )
        assert machine["stateMachineArn"] == MACHINE
        with always_moving():
            made.deliver(*map(session, range(60)))
        made.deliver(*map(session, range(60, 120)))
        made.before = deepcopy(made.aws.items)
        assert sum({"facts", "tail"} <= item.keys() for item in made.before.values()) > 10
        yield made


def takes_on(items: int) -> None:
    """One function takes on so many items from now on; `process` gives the environment back as it was."""
    os.environ["ROLLUP_DISTRIBUTED_ITEMS"] = str(items)
    config.config.cache_clear()


def parted(monkeypatch: pytest.MonkeyPatch, many: Many, parts: int, number: int) -> None:
    """So many sources and partitions from now on."""
    takes_on(-(-2 * len(many.aws.items) // parts))
    monkeypatch.setattr(spool, "_FEWEST", number)


@pytest.mark.parametrize(("parts", "number", "rows"), [(1, 1, 1000), (1, 7, 5), (6, 1, 1), (3, 4, 10), (6, 16, 1000)])
def test_it_finds_what_one_function_finds_however_the_table_is_parted(
    many: Many, monkeypatch: pytest.MonkeyPatch, parts: int, number: int, rows: int
) -> None:
    alone = many.rollup()
    expected = many.figures()
    assert sum(each.get("sessions_30d", 0) for each in expected.values()) > 50
    assert any(each["first_sessions_30d"] for each in expected.values())
    many.forget()
    assert many.figures() != expected

    parted(monkeypatch, many, parts, number)
    monkeypatch.setattr(spool, "_ROWS_IN_MEMORY", rows)
    assert many.begin() == {"begun": 1, "sources": parts, "partitions": number}
    many.map()
    many.reduce()
    assert many.finish() == alone
    assert many.figures() == expected


@pytest.mark.parametrize("done", range(7))
def test_a_move_between_two_sources_neither_loses_nor_doubles_a_fact(
    many: Many, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    many.rollup()
    expected = many.figures()
    many.forget()
    parted(monkeypatch, many, 6, 3)
    many.begin()
    for source in many.listed("sources"):
        if source["number"] == done:
            many.move()
        rollup_map.lambda_handler({"run": many.begun(), "source": source}, many.context)
    many.reduce()
    many.finish()
    assert many.figures() == expected


def test_a_source_that_is_read_again_after_a_move_gives_the_same(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    many.rollup()
    expected = many.figures()
    many.forget()
    parted(monkeypatch, many, 3, 3)
    many.begin()
    many.map()
    many.move()
    many.map()
    many.reduce()
    many.finish()
    assert many.figures() == expected


def test_it_writes_nothing_where_nothing_is_new(many: Many) -> None:
    assert many.rollup()["written"] > 0
    many.begin()
    many.map()
    many.reduce()
    for _ in range(2):
        assert rollup.lambda_handler({"finish": many.begun()}, many.context)["written"] == 0


def test_a_table_larger_than_one_function_takes_on_begins_a_run(many: Many) -> None:
    number = len(many.aws.items)
    takes_on(number)
    assert "begun" not in many.rollup()
    takes_on(number - 1)
    # Each is for half of what a function takes on.
    assert many.rollup() == {"begun": 1, "sources": 3, "partitions": 3}
    assert many.begun() == {"name": "2026-11-23T10-00", "as_of": NOW, "sources": 3, "partitions": 3}
    assert many.listed("sources") == [{"number": n, "part": n, "parts": 3} for n in range(3)]
    assert many.listed("partitions") == [0, 1, 2]


def test_of_runs_that_begin_at_once_or_while_one_goes_on_there_is_one(many: Many) -> None:
    many.clock.ms += 1234
    assert many.begin()["begun"] == 1
    assert many.begun()["as_of"] == NOW
    many.clock.ms += 20 * MINUTE_MS
    assert many.begin()["begun"] == 0
    many.end()
    many.clock.ms -= 20 * MINUTE_MS
    assert many.begin()["begun"] == 0  # in the same minute
    many.clock.ms += MINUTE_MS
    assert many.begin()["begun"] == 1
    assert many.begun()["as_of"] == NOW + MINUTE_MS


def missing_copies(many: Many) -> None:
    many.map()
    many.clients["s3"].delete_object(Bucket=BUCKET, Key="runs/2026-11-23T10-00/copies/00002/00000.parquet")
    many.reduce()


def missing_sums(many: Many) -> None:
    many.map()
    many.finish()


def missing_bucket(many: Many) -> None:
    run = many.begun()
    s3 = many.clients["s3"]
    for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    s3.delete_bucket(Bucket=BUCKET)
    source = {"number": 0, "part": 0, "parts": 1}
    rollup_map.lambda_handler({"run": run, "source": source}, many.context)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            missing_copies,
            r"s3://rollup-runs/runs/2026-11-23T10-00/copies/00002/00000.parquet could not be read: .*NoSuchKey",
        ),
        (missing_sums, r"s3://rollup-runs/runs/2026-11-23T10-00/daily/0000\d.parquet could not be read: .*NoSuchKey"),
        (
            missing_bucket,
            r"s3://rollup-runs/runs/2026-11-23T10-00/copies/0000\d/00000.parquet could not be written: .*Bucket",
        ),
    ],
)
def test_a_part_that_is_missing_is_named_and_nothing_is_written(
    many: Many, steps: Callable[[Many], None], message: str
) -> None:
    many.begin()
    before = many.figures()
    with pytest.raises(RunError, match=message):
        steps(many)
    assert many.figures() == before


def test_without_time_no_source_is_read(many: Many) -> None:
    many.begin()
    many.remaining_ms = 0
    with pytest.raises(RollupIncomplete, match="no time is left"):
        many.map()


def test_a_state_machine_that_is_missing_is_named(many: Many) -> None:
    many.clients["stepfunctions"].delete_state_machine(stateMachineArn=MACHINE)
    with pytest.raises(RunError, match=f"{MACHINE} could not be started: .*StateMachineDoesNotExist"):
        many.begin()


def test_there_is_no_run_where_one_function_does_it_all(many: Many) -> None:
    takes_on(0)
    assert many.rollup()["items"] == len(many.before)
    with pytest.raises(RunError, match="rollupDistributedItems is 0: set it"):
        many.begin()


# -- exports ----------------------------------------------------------------------------------------------------------


def exported(item: Attributes) -> bytes:
    """An item as an export has it: DynamoDB JSON, binaries as base64."""

    def text(value: Any) -> str:
        assert isinstance(value, bytes)
        return base64.b64encode(value).decode()

    return json.dumps({"Item": item}, default=text).encode() + b"\n"


def export(many: Many, files: int) -> None:
    """The table as DynamoDB exports it (developer guide, "DynamoDB table export output format")."""
    items, s3 = [*many.aws.items.values()], many.clients["s3"]
    manifest = b""
    for number in range(files):
        lines = b"".join(map(exported, items[number::files]))
        key = f"{EXPORT}/data/{number:026d}.json.gz"
        s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(lines))
        manifest += json.dumps({"itemCount": lines.count(b"\n"), "dataFileS3Key": key}).encode() + b"\n"
    s3.put_object(Bucket=BUCKET, Key=f"{EXPORT}/manifest-files.json", Body=manifest)


@pytest.mark.parametrize("files", [1, 4])
def test_an_export_gives_the_same_figures_and_reads_nothing_of_the_table(
    many: Many, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    alone = many.rollup()
    expected = many.figures()
    many.forget()
    export(many, files)
    monkeypatch.setattr(scan, "_LINES_A_PAGE", 4)
    scans = many.aws.calls["scan"]
    assert many.begin(export=f"{EXPORT}/") == {"begun": 1, "sources": files, "partitions": 3}
    many.map()
    many.reduce()
    assert many.aws.calls["scan"] == scans
    assert many.finish() == alone
    assert many.figures() == expected


def test_facts_that_have_moved_since_an_export_are_read_where_they_are_now(many: Many) -> None:
    many.rollup()
    expected = many.figures()
    many.forget()
    export(many, 2)
    many.move()
    scans = many.aws.calls["scan"]
    many.begin(export=f"{EXPORT}/")
    many.map()
    many.reduce()
    many.finish()
    assert many.aws.calls["scan"] == scans
    assert many.figures() == expected


def test_an_item_that_was_deleted_since_an_export_is_left_out(many: Many) -> None:
    export(many, 1)
    for key in [key for key in many.aws.items if key != ("student", "stu_1")]:
        if key[0] in ("student", "tutor"):
            del many.aws.items[key]
            del many.aws.state["#".join(("tail", *key)), "facts"]
    many.begin(export=f"{EXPORT}/")
    many.map()
    many.reduce()
    many.finish()
    figures = many.figures()
    assert {each["active_students_30d"] for each in figures.values() if "active_students_30d" in each} == {1}


def test_only_exports_in_the_runs_bucket_are_read(many: Many) -> None:
    with pytest.raises(
        RunError, match="export is 'runs/2026': it must begin with 'exports/', in the bucket of the runs"
    ):
        many.begin(export="runs/2026")
    with pytest.raises(
        RunError, match=f"s3://{BUCKET}/exports/none/manifest-files.json could not be read: .*NoSuchKey"
    ):
        many.begin(export="exports/none")


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (
            gzip.compress(b'{"Item": {}}\n{"Itm"'),
            RollupIncomplete,
            "a line after 0 of the export's file could not be read",
        ),
        (b"not compressed", RunError, "file.json.gz could not be read: Not a gzipped file"),
        (gzip.compress(b"a" * 1000)[:-20], RunError, "file.json.gz could not be read: Compressed file ended"),
    ],
    ids=["not JSON", "not compressed", "torn"],
)
def test_a_file_that_is_damaged_is_an_error(many: Many, body: bytes, error: type[Exception], message: str) -> None:
    many.begin()
    many.clients["s3"].put_object(Bucket=BUCKET, Key="exports/file.json.gz", Body=body)
    source = {"number": 0, "file": "exports/file.json.gz"}
    with pytest.raises(error, match=message):
        rollup_map.lambda_handler({"run": many.begun(), "source": source}, many.context)
