"""Looking into the quarantine and mending a record: what is shown, what a terminal never gets, what is put and when."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from typer.testing import CliRunner

from functions.aws import retry
from functions.model import HOUR_MS, EntityKey, to_iso
from ops import aws, printing
from ops.__main__ import app
from ops.quarantine.browse import dump, find, get, named, pretty
from ops.quarantine.commands.quarantine_show import write
from ops.quarantine.correction import Check, check, mend
from ops.quarantine.redrive import Selection
from ops.quarantine.stored_objects import StoredRecord, parse
from tests.helpers.deployment import ENVIRONMENT, event_json
from tests.helpers.ops_command import ops, said
from tests.helpers.quarantine_objects import ARRIVAL, BUCKET, STREAM, Aws, Died, data, delivered, given_up, quarantined

TOLERANCE_MS = 600_000
GOOD = event_json("ib_call_logged", {"student_id": "stu_1", "call_id": "c1"})
POISON = event_json("ib_call_logged", {"student_id": "stu_1", "call_id": True})
EVIL = b'{"event_type":"\xc2\x9b2J\\u001b]0;owned\\u0007","payload":{"student_id":"stu_\\u202eevil\\u009b"}}'


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "back_off", lambda _: None)


# -- logic ------------------------------------------------------------------------------------------------------------


def test_the_latest_arrival_comes_first_and_what_cannot_be_read_is_told_apart() -> None:
    early, late = quarantined(data(1), 1), quarantined(data(2), 2, "invalid_field", ARRIVAL + HOUR_MS)
    batch = given_up(delivered(data(3), 3, ARRIVAL + 1), delivered(data(4), 4, ARRIVAL + 2))
    aws = Aws(dict([early, late, batch, ("records/odd.json", b"[]")]))
    told: list[tuple[int, int]] = []
    found = find(aws, BUCKET, Selection(), lambda *numbers: told.append(numbers))
    assert [each.key for each in found.objects] == [late[0], batch[0], early[0]]
    assert [(each.key, each.detail) for each in found.unreadable] == [
        ("records/odd.json", "it cannot be read: the object is no JSON object")
    ]
    assert told == [(4, 4)]
    only = find(aws, BUCKET, Selection(reasons=frozenset({"invalid_field"}), since_ms=ARRIVAL + 5))
    assert [each.key for each in only.objects] == [late[0]]


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (GOOD, [EntityKey("student", "stu_1")]),
        (b'{"payload": {"student_id": 17, "tutor_id": "t", "subject": "s", "region": "r"}}', 4),
        (b'{"payload": {"student_id": true, "tutor_id": "", "subject": 1.5, "region": {}}}', []),
        (b'{"payload": {"student_id": "%s"}}' % (b"x" * 2_000), []),
        (b'{"payload": [1]}', []),
        (b"[1]", []),
        (b"\xff", []),
        (b"[" * 100_000, []),
    ],
)
def test_whom_a_record_names(record: bytes, names: Any) -> None:
    found = named(record)
    assert (len(found) if isinstance(names, int) else found) == names


def test_json_is_shown_with_its_numbers_as_they_were_written() -> None:
    assert pretty(b'{"a":4.50,"b":[12345678901234567890123]}') == (
        '{\n  "a": 4.50,\n  "b": [\n    12345678901234567890123\n  ]\n}'
    )
    assert [pretty(each) for each in (b"{", b"\xff", b'"\xff"', b"[" * 100_000)] == [None] * 4


def test_bytes_are_dumped_sixteen_a_line() -> None:
    lines = list(dump(bytes(range(40)) + b"ABC", 35))
    assert lines[0] == "00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................"
    assert lines[2] == f'00000020  {"20 21 22":<47}   !"'
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("corrected", "expected"),
    [
        (GOOD, Check(event_type="ib_call_logged", entities=[EntityKey("student", "stu_1")])),
        (GOOD + b"\n", Check(event_type="ib_call_logged", entities=[EntityKey("student", "stu_1")])),
        (POISON, "invalid_field"),
        (b"{", "not_json"),
        (b"\xff", "not_utf8"),
        (b"[]", "not_object"),
        (event_json("nothing", {}), "unknown_event_type"),
        (event_json("ib_call_logged", {}), "missing_field"),
        (event_json("ib_call_logged", {"student_id": "s"}, timestamp="soon"), "bad_timestamp"),
        (event_json("ib_call_logged", {"student_id": "s"}, timestamp=to_iso(ARRIVAL + HOUR_MS)), "future_timestamp"),
    ],
)
def test_a_corrected_record_is_judged_as_the_processor_will(corrected: bytes, expected: Check | str) -> None:
    judged = check(StoredRecord(POISON, "k", ARRIVAL - HOUR_MS), corrected, ARRIVAL, TOLERANCE_MS)
    assert (judged.reason if isinstance(expected, str) else judged) == expected
    assert bool(judged.detail) == bool(judged.reason)


def test_a_record_of_the_future_is_taken_in_once_its_time_has_come() -> None:
    early = event_json("ib_call_logged", {"student_id": "s"}, timestamp=to_iso(ARRIVAL + HOUR_MS))
    entry = StoredRecord(early, "k", ARRIVAL)
    assert check(entry, early, ARRIVAL, TOLERANCE_MS).reason == "future_timestamp"
    assert check(entry, early, ARRIVAL + HOUR_MS, TOLERANCE_MS).reason == ""


def test_a_mended_record_keeps_its_partition_key_and_its_first_arrival() -> None:
    aws = Aws(dict([quarantined(POISON, 1)]))
    ((key, body),) = aws.objects.items()
    outcome = mend(aws, aws, BUCKET, STREAM, parse(key, body), GOOD)
    assert (outcome.status, outcome.put) == ("removed", 1)
    (put,) = aws.accepted
    assert put["PartitionKey"] == "key 1"
    assert json.loads(put["Data"]) == json.loads(GOOD) | {"ingested_at": to_iso(ARRIVAL)}
    assert not aws.objects


def test_a_mended_record_that_the_stream_refuses_is_left() -> None:
    aws = Aws(dict([quarantined(POISON, 1)]), refuse=lambda _: "InternalFailure")
    ((key, body),) = aws.objects.items()
    outcome = mend(aws, aws, BUCKET, STREAM, parse(key, body), GOOD)
    assert (outcome.status, outcome.detail) == ("left", "the stream refused 1 of its records: InternalFailure (1)")
    assert aws.objects == {key: body}


@pytest.mark.parametrize("dies_after", [False, True])
def test_mending_that_is_interrupted_loses_nothing(dies_after: bool) -> None:
    key, body = quarantined(POISON, 1)
    for index in range(2):
        aws = Aws({key: body}, dies_at=index, dies_after=dies_after)
        with pytest.raises(Died):
            mend(aws, aws, BUCKET, STREAM, parse(key, body), GOOD)
        assert aws.objects or aws.accepted
        aws.dies_at = None
        if aws.objects:
            mend(aws, aws, BUCKET, STREAM, parse(key, aws.objects[key]), GOOD)
        assert not aws.objects
        assert {json.loads(each)["payload"]["call_id"] for each in aws.data} == {"c1"}


def test_an_object_that_cannot_be_got_says_what_to_do() -> None:
    class Denied:
        def get_object(self, **_: str) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    with pytest.raises(ClientError, match="AccessDenied"):
        get(Denied(), BUCKET, "records/1.json")
    with pytest.raises(aws.UserError, match="is no key of the quarantine: keys start with records/ or aws/lambda/"):
        get(Denied(), BUCKET, "elsewhere/1.json")
    with pytest.raises(aws.UserError, match=r"cannot be read: .* see it with `aws s3 cp"):
        get(Aws({"records/1.json": b"["}), BUCKET, "records/1.json")


# -- the commands -----------------------------------------------------------------------------------------------------

BATCH = given_up(delivered(GOOD, 4), delivered(event_json("no", {"tutor_id": "tut_2"}), 5), delivered(b"\xff", 6))
REFUSED = quarantined(POISON, 1, "invalid_field")
WHERE = ("--bucket", BUCKET)
LIST = ("quarantine", "list", *WHERE)
SHOW = ("quarantine", "show", *WHERE)
REDRIVE = ("quarantine", "redrive", *WHERE, "--stream", STREAM)


@pytest.fixture
def s3() -> Iterator[Any]:
    """A bucket with a record that was refused, one that means harm, bytes, text and a batch; and a stream."""
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        boto3.client("kinesis").create_stream(StreamName=STREAM, ShardCount=1)
        for key, body in (
            REFUSED,
            quarantined(EVIL, 2, "unknown_event_type", ARRIVAL + 1_000),
            quarantined(b"\x00\xff" * 2_000, 3, "not_utf8", ARRIVAL + 2_000),
            quarantined(b"no json\x1b[31m\nsecond line", 7, arrival_ms=ARRIVAL + 3_000),
            BATCH,
        ):
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
        yield client


def keys(s3: Any) -> set[str]:
    return {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())}


def on_stream() -> list[dict[str, Any]]:
    kinesis = boto3.client("kinesis")
    (shard,) = kinesis.list_shards(StreamName=STREAM)["Shards"]
    place = {"StreamName": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**place)["ShardIterator"]
    records: list[dict[str, Any]] = kinesis.get_records(ShardIterator=iterator)["Records"]
    return records


def commands_a_terminal(text: str) -> bool:
    return re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text) is not None


def test_list_shows_each_object(s3: Any) -> None:
    result = ops(*LIST)
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if "2026-11-23" in line]
    assert [row.split()[2] for row in rows] == [
        "not_json",
        "not_utf8",
        "unknown_event_type",
        "RetryAttemptsExhausted",
        "invalid_field",
    ]
    assert "student stu_\\u202eevil\\x9b" in rows[2]
    assert "student stu_1, tutor tut_2" in rows[3]
    assert "a batch of 3 records that was given up" in rows[3]
    assert REFUSED[0] in rows[4]
    assert "5 objects with 7 records." in result.stdout
    assert not commands_a_terminal(result.stdout)


def test_on_a_narrow_terminal_a_key_stays_in_one_piece(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "_NO_TERMINAL_WIDTH", 60)
    result = ops(*LIST, "--reason", "invalid_field")
    assert result.stdout.splitlines() == [
        "2026-11-23 10:00:00  invalid_field  student stu_1",
        "  said by a test",
        f"  {REFUSED[0]}",
        "1 objects with 1 records.",
    ]
    assert len(REFUSED[0]) > 50


def test_list_by_reason_selected_and_limited(s3: Any) -> None:
    result = ops(*LIST, "--by-reason")
    assert re.search(r"failed +RetryAttemptsExhausted +1 +3 +2026-11-23 10:00:00 +2026-11-23 10:00:00", result.stdout)
    assert "5 objects with 7 records." in result.stdout
    assert "2 of 5 objects with 7 records; --limit shows more" in ops(*LIST, "--limit", "2").stdout
    assert "1 objects with 1 records." in ops(*LIST, "--reason", "not_utf8").stdout
    assert "4 objects with 4 records." in ops(*LIST, "--quarantined").stdout
    assert "Nothing is there" in ops(*LIST, "--since", "2026-11-24").stdout


def test_list_as_json(s3: Any) -> None:
    result = ops(*LIST, "--output", "json", "--reason", "invalid_field", "--reason", "unknown_event_type")
    listed = json.loads(result.stdout)
    assert not commands_a_terminal(result.stdout)
    assert (listed["selected"], listed["unreadable"]) == (2, [])
    assert listed["objects"][0]["entities"] == [{"entity_type": "student", "entity_id": "stu_\u202eevil\x9b"}]
    assert listed["objects"][1] == {
        "key": REFUSED[0],
        "kind": "quarantined",
        "reason": "invalid_field",
        "detail": "said by a test",
        "records": 1,
        "first_arrival": to_iso(ARRIVAL),
        "last_arrival": to_iso(ARRIVAL),
        "entities": [{"entity_type": "student", "entity_id": "stu_1"}],
    }
    (group,) = json.loads(ops(*LIST, "--failed", "--by-reason", "--output", "json").stdout)["reasons"]
    assert (group["kind"], group["objects"], group["records"]) == ("failed", 1, 3)


def test_list_ends_with_1_when_an_object_cannot_be_read(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="records/odd.json", Body=b"\x1b[2J")
    result = ops(*LIST)
    assert result.exit_code == 1
    assert "records/odd.json: it cannot be read: Expecting value" in result.stdout


def test_show_says_everything_of_a_record(s3: Any) -> None:
    result = ops(*SHOW, REFUSED[0])
    assert result.exit_code == 0
    for line in (
        f"key:             {REFUSED[0]}",
        "reason:          invalid_field",
        "detail:          said by a test",
        "arrived:         2026-11-23T10:00:00.125Z",
        "shard:           shardId-000000000000",
        "sequence number: 000000000000000000001",
        "partition key:   key 1",
        "entity:          student stu_1",
        f"bytes:           {len(POISON)}",
        '    "call_id": true',
    ):
        assert line in result.stdout.splitlines()


@pytest.mark.parametrize(("number", "says"), [(2, '"\\x9b2J\\u001b]0;owned\\u0007"'), (7, "no json\\x1b[31m")])
def test_show_lets_nothing_command_the_terminal(s3: Any, number: int, says: str) -> None:
    result = ops(*SHOW, quarantined(b"", number)[0])
    assert says in result.stdout
    assert not commands_a_terminal(result.stdout)
    assert not commands_a_terminal(ops(*SHOW, quarantined(b"", number)[0], "--output", "json").stdout)


def test_show_dumps_what_is_no_text(s3: Any) -> None:
    result = ops(*SHOW, quarantined(b"", 3)[0])
    assert "00000000  00 ff 00 ff 00 ff 00 ff 00 ff 00 ff 00 ff 00 ff  ................" in result.stdout
    assert "... and 1,952 bytes more; --data writes all of them" in result.stdout


def test_show_of_a_batch(s3: Any) -> None:
    result = ops(*SHOW, BATCH[0])
    assert re.search(r"^ *2 +2026-11-23T10:00:00.125Z +tutor tut_2 +\d+ +0+5 +key 5 *$", result.stdout, re.MULTILINE)
    assert "records:         3" in result.stdout
    one = ops(*SHOW, BATCH[0], "--record", "1")
    assert "shard:           shardId-000000000006" in one.stdout
    assert '"student_id": "stu_1"' in one.stdout
    records = json.loads(ops(*SHOW, BATCH[0], "--output", "json").stdout)["records"]
    assert [each["event"] is None for each in records] == [False, False, True]
    assert [base64.b64decode(each["data"]) for each in records][::2] == [GOOD, b"\xff"]


def test_show_data_is_byte_by_byte(s3: Any) -> None:
    assert ops(*SHOW, quarantined(b"", 3)[0], "--data").stdout_bytes == b"\x00\xff" * 2_000
    assert ops(*SHOW, BATCH[0], "--record", "3", "--data").stdout_bytes == b"\xff"


def test_show_data_goes_to_no_terminal(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", terminal)
    with pytest.raises(aws.UserError, match="--data writes to a file, not to a terminal"):
        write(b"\x1b[2J")
    assert terminal.getvalue() == ""


def test_a_poison_record_is_mended_in_three_steps(s3: Any, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(ops(*SHOW, REFUSED[0], "--data").stdout_bytes)
    unchanged = ops(*REDRIVE, REFUSED[0], "--data", str(file))
    assert unchanged.exit_code == 1
    assert "The data is what is stored, byte by byte: nothing has been corrected." in unchanged.stdout
    assert "would refuse this record, invalid_field: call_id is True" in unchanged.stdout
    file.write_bytes(GOOD + b"\n")

    dry = ops(*REDRIVE, REFUSED[0], "--data", str(file))
    assert dry.exit_code == 0
    assert "The processor takes this record in: ib_call_logged of student stu_1." in dry.stdout
    assert "Dry run: nothing was put or removed. Repeat with --execute to do it." in dry.stdout
    assert (REFUSED[0] in keys(s3), on_stream()) == (True, [])

    done = ops(*REDRIVE, REFUSED[0], "--data", str(file), "--execute")
    assert done.exit_code == 0
    assert f"1 record put on the stream, {REFUSED[0]} removed." in done.stdout
    assert REFUSED[0] not in keys(s3)
    (put,) = on_stream()
    assert (put["PartitionKey"], json.loads(put["Data"])["ingested_at"]) == ("key 1", to_iso(ARRIVAL))


def test_mending_from_standard_input_as_json(s3: Any) -> None:
    arguments = [*REDRIVE, REFUSED[0], "--data", "-", "--execute", "--output", "json"]
    refused = json.loads(CliRunner().invoke(app, arguments, input=b"{").stdout)
    assert (refused["objects"]["left"], refused["check"]["accepted"]) == (1, False)
    assert refused["check"]["reason"] == "not_json"
    done = json.loads(CliRunner().invoke(app, arguments, input=GOOD).stdout)
    assert (done["objects"]["removed"], done["records_put"]) == (1, 1)
    assert done["check"]["entities"] == [{"entity_type": "student", "entity_id": "stu_1"}]


def test_the_deployed_tolerance_counts(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, outputs = tmp_path / "record.json", tmp_path / "outputs.json"
    monkeypatch.setattr("functions.aws.clock.now_ms", lambda: ARRIVAL)
    file.write_bytes(event_json("ib_call_logged", {"student_id": "s"}, timestamp=to_iso(ARRIVAL + HOUR_MS)))
    outputs.write_text(
        json.dumps({"QuarantineBucketName": BUCKET, "EventStreamName": STREAM, "ProcessFunctionName": "processor"})
    )

    class Lambda:
        tolerance = "3600"

        def get_function_configuration(self, FunctionName: str) -> Any:
            assert FunctionName == "processor"
            return {"Environment": {"Variables": ENVIRONMENT | {"FUTURE_TOLERANCE_SECONDS": self.tolerance}}}

    function, make = Lambda(), aws.client
    monkeypatch.setattr(aws, "client", lambda service: function if service == "lambda" else make(service))
    command = ("quarantine", "redrive", REFUSED[0], "--data", str(file), "--stack-outputs", str(outputs))
    assert ops(*command).exit_code == 0
    function.tolerance = "600"
    assert "would refuse this record, future_timestamp" in ops(*command).stdout


def test_one_object_is_redriven_by_its_key(s3: Any) -> None:
    result = ops("redrive", *WHERE, "--stream", STREAM, BATCH[0], "--execute")
    assert result.exit_code == 0
    assert "3 records put on the stream, 1 objects removed." in result.stdout
    assert len(keys(s3)) == 4


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        ((*SHOW, "records/none.json"), 254, f"there is no object records/none.json in the bucket {BUCKET}: see"),
        ((*SHOW, "none.json"), 2, "'none.json' is no key of the quarantine: keys start with records/ or aws/lambda/"),
        ((*SHOW, REFUSED[0], "--record", "2"), 2, f"--record is 2, but {REFUSED[0]} has 1: give 1 to 1"),
        ((*SHOW, BATCH[0], "--data"), 2, "is a batch of 3 records: give --record N to say which one's data"),
        ((*REDRIVE, "records/none.json"), 254, "there is no object records/none.json"),
        ((*REDRIVE, REFUSED[0], "--failed"), 2, "give it, or options that select several, but not both"),
        ((*REDRIVE, REFUSED[0], "--since", "1h"), 2, "give it, or options that select several, but not both"),
        ((*REDRIVE, "--data", "f"), 2, "--data is for one record: give its KEY too"),
        ((*REDRIVE, REFUSED[0], "--data", "/nowhere/f"), 2, "--data /nowhere/f cannot be read: No such file"),
        ((*REDRIVE, BATCH[0], "--data", "f"), 2, "is a batch of 3 records that was given up"),
        ((*LIST, "--since", "2026-11-24", "--until", "2026-11-23"), 2, "--since is not before --until"),
        ((*LIST, "--key", "elsewhere"), 2, "keys start with"),
        (("quarantine", "list", "--bucket", "none"), 254, "the bucket none does not exist: check its name"),
        (("quarantine", "list"), 2, "--bucket is missing: give it, or --stack NAME"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_message(
    s3: Any, arguments: tuple[str, ...], exit_code: int, says: str
) -> None:
    result = ops(*arguments)
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert says in said(result)
    assert len(keys(s3)) == 5
