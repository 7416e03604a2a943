"""Forgetting: what is found of a person, what is removed, whose records are never lost, wherever a run ends."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.aws import clients, retry
from functions.aws.config import Config
from functions.entities import wakes
from functions.entities.attribute_values import to_attribute
from functions.entities.facts import CALL, told
from functions.entities.open_facts import pack
from functions.entities.tails import Tail, tail_attributes
from functions.entities.wakes import Rhythm, Wake
from functions.model import DAY_MS, HOUR_MS, EntityKey, to_iso
from ops import aws
from ops.entities.forget import PEOPLE, REMAINS, REMAINS_OF, Places, Report, find, forget
from proof.invocation import nothing_kept
from tests.helpers.deployment import ENVIRONMENT, NOW, deployed, event_json
from tests.helpers.metrics_table import make_state_table, make_table
from tests.helpers.ops_command import ops, said
from tests.helpers.quarantine_objects import BUCKET, STREAM, Aws, Died, delivered, given_up, quarantined

TABLE, STATE_TABLE = "metrics", ENVIRONMENT["STATE_TABLE_NAME"]
PLACES = Places(TABLE, STATE_TABLE, Rhythm(lanes=2))
STUDENT, TUTOR = EntityKey("student", "stu_1"), EntityKey("tutor", "tut_1")


def named(person_id: Any, name: str = "student_id", **payload: Any) -> bytes:
    return event_json("ib_call_logged", {name: person_id, **payload}, timestamp="2026-11-23T09:00:00Z")


@dataclass
class World(Aws):
    """A bucket that may keep versions, a stream and a table in memory."""

    versions: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    """Former versions by key: identifier and body."""
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def get_paginator(self, operation: str) -> Any:
        if operation == "query":
            return SimpleNamespace(paginate=self.query)
        return self if operation == "list_object_versions" else super().get_paginator(operation)

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        def listed() -> list[dict[str, Any]]:
            latest = [{"Key": key, "VersionId": "null", "IsLatest": True} for key in sorted(self.objects)]
            former = [
                {"Key": key, "VersionId": version, "IsLatest": False}
                for key, each in sorted(self.versions.items())
                for version, _ in each
            ]
            return [each for each in latest + former if str(each["Key"]).startswith(Prefix)]

        yield {}  # a page without any
        yield {"Versions": self._count("list", listed)}

    def get_object(self, *, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:
        if not VersionId:
            return super().get_object(Bucket=Bucket, Key=Key)
        return {"Body": io.BytesIO(self._count("get", lambda: dict(self.versions[Key])[VersionId]))}

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str = "") -> None:
        def former() -> None:
            self.versions[Key] = [each for each in self.versions[Key] if each[0] != VersionId]

        if not VersionId:
            super().delete_object(Bucket=Bucket, Key=Key)
        else:
            self._count("delete", former)

    state: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """The internal table."""

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> dict[str, Any]:
        assert ConsistentRead
        held, key = self._place(TableName, Key)
        item = self._count("get item", lambda: held.get(key))
        return {"Item": item} if item else {}

    def delete_item(self, *, TableName: str, Key: dict[str, Any], ReturnValues: str) -> dict[str, Any]:
        assert ReturnValues == "ALL_OLD"
        held, key = self._place(TableName, Key)
        old = self._count("delete item", lambda: held.pop(key, None))
        return {"Attributes": old} if old else {}

    def _place(self, table: str, key: dict[str, Any]) -> tuple[dict[tuple[str, str], Any], tuple[str, str]]:
        if table == STATE_TABLE:
            return self.state, (key["pk"]["S"], key["sk"]["S"])
        assert table == TABLE
        return self.items, (key["entity_type"]["S"], key["entity_id"]["S"])

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((table, requests),) = RequestItems.items()
        assert table == STATE_TABLE

        def write() -> None:
            for request in requests:
                if "PutRequest" in request:
                    item = request["PutRequest"]["Item"]
                    self.state[item["pk"]["S"], item["sk"]["S"]] = item
                else:
                    del self.state[self._place(table, request["DeleteRequest"]["Key"])[1]]

        self._count("batch write", write)
        return {"UnprocessedItems": {}}

    def query(self, *, TableName: str, ExpressionAttributeValues: dict[str, Any], **_: Any) -> Iterator[dict[str, Any]]:
        assert TableName == STATE_TABLE
        lane, after = (ExpressionAttributeValues[name]["S"] for name in (":lane", ":after"))
        due = [item for (pk, sk), item in sorted(self.state.items()) if pk == lane and sk < after]
        yield {"Items": self._count("query", lambda: due)}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "back_off", lambda _: None)


@contextmanager
def processor_clients(world: World) -> Iterator[None]:
    """The processor's own clients, by which wakes are read and written, are of this world."""
    with mock.patch.object(clients, "make", return_value=world), nothing_kept():
        yield


def look(world: World, person: EntityKey = STUDENT, *, mentions: bool = False) -> Report:
    with processor_clients(world):
        return find(world, world, BUCKET, PLACES, person, mentions=mentions)


def run(world: World, person: EntityKey = STUDENT, *, mentions: bool = False) -> Report:
    found = look(world, person, mentions=mentions)
    with processor_clients(world):
        forget(world, world, world, BUCKET, STREAM, PLACES, person, found)
    return found


def statuses(report: Report) -> dict[str, str]:
    return {trace.key: trace.status for trace in report.traces}


# -- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "record", "status"),
    [
        (STUDENT, named("stu_1"), "found"),
        (STUDENT, named("stu_1", tutor_id="tut_1"), "found"),
        (TUTOR, named("stu_1", tutor_id="tut_1"), "found"),
        (EntityKey("student", "17"), named(17), "found"),
        (EntityKey("student", "é"), b'{"payload": {"student_id": "\\u00e9"}}', "found"),
        (EntityKey("student", "key 1"), named("stu_2"), "found"),  # put under the person's id
        (TUTOR, named("tut_1"), "mentioned"),
        (STUDENT, named("stu_2", "tutor_id", note="call stu_1 back"), "mentioned"),
        (STUDENT, named({"id": "stu_1"}), "mentioned"),
        (STUDENT, b'[{"student_id": "stu_\\u0031"}]', "mentioned"),
        (EntityKey("student", "17"), b'{"payload": {"x": [17]}}', "mentioned"),
        (STUDENT, b'{"payload": {"student_id": "stu_1"', "mentioned"),
        (STUDENT, b"\xff stu_1 \xff", "mentioned"),
        (STUDENT, named("stu_10"), None),
        (STUDENT, named("xstu_1"), None),
        (STUDENT, b"\xff my-stu_1", None),
        (EntityKey("student", "17"), named(175), None),
        (EntityKey("student", "True"), named(True), None),
        (STUDENT, b"", None),
    ],
)
def test_what_is_the_person_s(person: EntityKey, record: bytes, status: str | None) -> None:
    made = quarantined(record, 1)
    world = World(dict([made]))
    assert statuses(look(world, person)) == ({made[0]: status} if status else {})
    found = look(world, person, mentions=True)
    assert statuses(found) == ({made[0]: "found"} if status else {})
    run(world, person)
    assert bool(world.objects) == (status != "found")
    run(world, person, mentions=True)
    assert bool(world.objects) == (status is None)


def test_an_object_that_is_nobody_s_is_searched_for_the_id() -> None:
    world = World({"records/odd.json": b"about stu_1.", "records/other.json": b"about stu_10"})
    (trace,) = look(world).traces
    assert (trace.key, trace.status, trace.holds) == ("records/odd.json", "mentioned", None)
    assert trace.detail.startswith("it cannot be read (Expecting value")
    run(world)
    assert len(world.objects) == 2
    run(world, mentions=True)
    assert list(world.objects) == ["records/other.json"]


def test_looking_changes_nothing() -> None:
    world = a_world()
    before = (dict(world.objects), dict(world.items), dict(world.state))
    report = look(world)
    assert report.item is not None
    assert (report.item.alerts, report.item.removed) == (["low_health_score"], False)
    assert (report.state.tail, len(report.state.wakes), report.state_removed) == (True, 2, False)
    assert set(world.calls) == {"get item", "query", "list", "get"}
    assert (world.objects, world.items, world.state) == before


# -- what is removed --------------------------------------------------------------------------------------------------

MINE = named("stu_1", call_id="mine")
OTHERS = [named("stu_2", call_id=str(number)) for number in range(3)]


def item(entity_type: str, entity_id: str) -> dict[str, Any]:
    content = {
        "entity_id": entity_id,
        "entity_type": entity_type,
        "last_updated": "2026-11-23T10:00:00.000Z",
        "alerts": {"low_health_score": {"severity": "warning"}},
    }
    return {name: to_attribute(value) for name, value in content.items()}


def a_world() -> World:
    """The person's item and records, alone and among those of others; and what is others' alone."""
    return World(
        dict(
            [
                quarantined(MINE, 1),
                quarantined(named("stu_2", call_id="kept"), 2),
                given_up(delivered(OTHERS[0], 3), delivered(MINE, 4), delivered(OTHERS[1], 5)),
                given_up(delivered(MINE, 6), number=2),
                given_up(delivered(OTHERS[2], 7), number=3),
            ]
        ),
        items={(kind, name): item(kind, name) for kind, name in (STUDENT, OTHER, NAMESAKE)},
        state={(each["pk"]["S"], each["sk"]["S"]): each for each in internal()},
    )


OTHER, NAMESAKE = EntityKey("student", "stu_2"), EntityKey("tutor", "stu_1")
WAKES = (
    Wake(0, 100, (STUDENT,)),
    Wake(1, 200, (STUDENT, OTHER, NAMESAKE), put_off=3),
    Wake(1, 300, (OTHER, NAMESAKE)),
)


def internal() -> list[dict[str, Any]]:
    """Tails of the person and of another, and wakes that name the person alone, among others, and not."""
    parts = [tail_attributes(key, Tail(NOW, pack([told(CALL, 1, NOW)], []))) for key in (STUDENT, OTHER)]
    return parts + [wakes.attributes_of(wake) for wake in WAKES]


def left_in(world: World) -> set[Wake]:
    """All wakes. The only tail must be of another."""
    assert [part for part, _ in world.state if part.startswith("tail#")] == ["tail#student#stu_2"]
    return {wakes.parse(each) for (part, _), each in world.state.items() if part.startswith("wake#")}


def held(world: World) -> set[bytes]:
    """The data of all records in the bucket, former versions included."""
    found: set[bytes] = set()
    for body in [*world.objects.values(), *(body for each in world.versions.values() for _, body in each)]:
        content = json.loads(body)
        if "data" in content:
            found.add(base64.b64decode(content["data"]))
        else:
            found |= {base64.b64decode(each["kinesis"]["data"]) for each in json.loads(content["payload"])["Records"]}
    return found


def test_the_person_is_gone_and_nobody_else() -> None:
    world = a_world()
    report = run(world)
    assert report.item is not None
    assert report.item.removed
    assert set(world.items) == {("student", "stu_2"), ("tutor", "stu_1")}
    assert sorted(world.data) == sorted(OTHERS[:2])
    assert held(world) == {named("stu_2", call_id="kept"), OTHERS[2]}
    assert (report.state.tail, report.state.wakes, report.state_removed) == (True, list(WAKES[:2]), True)
    assert left_in(world) == {Wake(1, 200, (OTHER, NAMESAKE), put_off=3), WAKES[2]}
    assert {trace.put for trace in report.traces} == {0, 2}
    assert set(statuses(report).values()) == {"removed"}
    again = run(world)
    assert (again.item, again.traces, bool(again.state), again.state_removed) == (None, [], False, False)


def test_records_of_others_that_the_stream_refuses_keep_their_object() -> None:
    world = a_world()
    world.refuse = lambda record: "InternalFailure" if record["Data"] == OTHERS[1] else None
    report = run(world)
    (left,) = report.only("left")
    assert left.detail == "the stream refused 1 of its records: InternalFailure (1)"
    assert left.put == 1
    assert left.key in world.objects
    assert len(report.only("removed")) == 2
    assert STUDENT not in world.items


def test_former_versions_go_too() -> None:
    world = a_world()
    batch, body = given_up(delivered(MINE, 8), delivered(OTHERS[0], 9), number=9)
    single, single_body = quarantined(MINE, 10)
    world.versions = {batch: [("v1", body)], single: [("v2", single_body), ("v3", quarantined(OTHERS[0], 10)[1])]}
    report = run(world)
    assert world.versions == {batch: [], single: [("v3", quarantined(OTHERS[0], 10)[1])]}
    assert {(trace.version_id, trace.put) for trace in report.traces if trace.version_id} == {("v1", 0), ("v2", 0)}


@pytest.mark.parametrize("dies_after", [False, True])
def test_interrupted_at_any_call_and_repeated_the_person_is_gone_and_nothing_else_is_lost(dies_after: bool) -> None:
    everybody_else = {*OTHERS, named("stu_2", call_id="kept")}
    undisturbed = a_world()
    run(undisturbed)
    assert len(undisturbed.calls) >= 24
    for index in range(len(undisturbed.calls)):
        world = a_world()
        world.dies_at, world.dies_after = index, dies_after
        with pytest.raises(Died):
            run(world)
        assert everybody_else <= held(world) | set(world.data)
        assert {(wake.due, key) for wake in every_wake(world) for key in wake.entities} >= OTHERS_ARE_WOKEN
        world.dies_at = None
        run(world)
        assert STUDENT not in world.items
        assert left_in(world) == {Wake(1, 200, (OTHER, NAMESAKE), put_off=3), WAKES[2]}
        assert MINE not in held(world)
        assert MINE not in world.data
        assert everybody_else == held(world) | set(world.data)


OTHERS_ARE_WOKEN = {(wake.due, key) for wake in WAKES for key in wake.entities if key != STUDENT}


def every_wake(world: World) -> list[Wake]:
    return [wakes.parse(each) for (part, _), each in world.state.items() if part.startswith("wake#")]


def test_the_item_goes_before_the_tail_and_the_wakes() -> None:
    """Without the item neither a move nor a roll writes them anew."""
    world = a_world()
    run(world)
    order = [call for call in world.calls if call in ("delete item", "batch write")]
    assert order == ["delete item", "delete item", "batch write", "batch write"]
    deaths = [index for index, call in enumerate(world.calls) if call == "delete item"]
    world = a_world()
    world.dies_at = deaths[1]
    with pytest.raises(Died):
        run(world)
    assert STUDENT not in world.items
    assert ("tail#student#stu_1", "facts") in world.state


def test_lanes_that_are_used_no_more_are_searched_too() -> None:
    world = a_world()
    old = wakes.attributes_of(Wake(6, 100, (STUDENT,)))
    world.state[old["pk"]["S"], old["sk"]["S"]] = old
    world.state["lanes", "most"] = {"lanes": {"N": "7"}}
    run(world)
    assert not [key for wake in every_wake(world) for key in wake.entities if key == STUDENT]


def test_a_wake_that_cannot_be_read_and_holds_the_id_is_told_and_left() -> None:
    world = a_world()
    for sort_key, name in (("00#x", "stu_1"), ("00#y", "stu_10")):
        key = {"pk": {"S": "wake#0"}, "sk": {"S": sort_key}}
        world.state["wake#0", sort_key] = key | {"entities": {"S": name}}
    assert look(world).state.unreadable == ["wake#0 00#x"]
    report = run(world)
    assert (report.state.unreadable, len(report.state.wakes)) == (["wake#0 00#x"], 2)
    assert ("wake#0", "00#x") in world.state


def test_nothing_in_either_table_holds_the_id_afterwards() -> None:
    """Of a student with a tail, and wakes shared with others."""
    with deployed() as made, mock_aws():
        sessions = [
            event_json(
                "session_started",
                {"session_id": f"s{number}", "student_id": "stu_gone", "tutor_id": "tut_1"},
                timestamp=to_iso(NOW - number * HOUR_MS),
            )
            for number in range(600)
        ]
        assert made.deliver(*sessions, named("stu_gone", call_id="1"), named("stu_2", call_id="2")) == []
        heads, state = list(made.aws.items.values()), list(made.aws.state.values())
    person = EntityKey("student", "stu_gone")
    shared = [each for each in state if "stu_gone" in str(each) and "tut_1" in str(each)]
    assert shared
    with mock_aws(), nothing_kept():
        s3, kinesis, dynamodb = boto3.client("s3"), boto3.client("kinesis"), boto3.client("dynamodb")
        s3.create_bucket(Bucket=BUCKET)
        make_table(dynamodb, TABLE)
        for head in heads:
            dynamodb.put_item(TableName=TABLE, Item=head)
        make_state_table(dynamodb, STATE_TABLE, state)

        def holding() -> dict[str, int]:
            tables = (TABLE, STATE_TABLE)
            return {name: str(dynamodb.scan(TableName=name)["Items"]).count("stu_gone") for name in tables}

        assert min(holding().values()) > 0
        places = Places(TABLE, STATE_TABLE, Rhythm())
        forget(s3, kinesis, dynamodb, BUCKET, STREAM, places, person, find(s3, dynamodb, BUCKET, places, person))
        assert holding() == {TABLE: 0, STATE_TABLE: 0}
        left = dynamodb.scan(TableName=STATE_TABLE)["Items"]
        assert "tail#tutor#tut_1" in {each["pk"]["S"] for each in left}
        assert woken(left) == {(due, key) for due, key in woken(state) if key != person}


def woken(stored: list[dict[str, Any]]) -> set[tuple[int, EntityKey]]:
    found = [wakes.parse(each) for each in stored if each["pk"]["S"].startswith("wake#")]
    return {(wake.due, key) for wake in found for key in wake.entities}


def test_a_bucket_that_keeps_versions_keeps_none_of_the_person() -> None:
    with mock_aws(), nothing_kept():
        s3, kinesis, dynamodb = boto3.client("s3"), boto3.client("kinesis"), boto3.client("dynamodb")
        make_state_table(dynamodb, STATE_TABLE)
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        make_table(dynamodb, TABLE)
        world = a_world()
        for key, body in world.objects.items():
            for _ in range(2):  # a retry writes the same object again
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        s3.delete_object(Bucket=BUCKET, Key=quarantined(b"", 1)[0])  # redriven meanwhile
        found = find(s3, dynamodb, BUCKET, PLACES, STUDENT)
        assert len(found.traces) == 6
        forget(s3, kinesis, dynamodb, BUCKET, STREAM, PLACES, STUDENT, found)
        assert [trace.put for trace in found.traces if trace.put] == [2]
        assert found.item is None
        left = s3.list_object_versions(Bucket=BUCKET)["Versions"]
        bodies = [s3.get_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"]) for each in left]
        assert len(bodies) == 4
        assert not any(base64.b64encode(MINE) in body["Body"].read() for body in bodies)
        assert find(s3, dynamodb, BUCKET, PLACES, STUDENT).traces == []


def test_a_roll_that_still_knows_of_a_forgotten_student_does_not_make_them_anew() -> None:
    """As it happens when a batch has written a wake since."""
    with deployed() as made:
        made.clock.ms = NOW
        assert made.deliver(named("stu_1", call_id="1")) == []
        del made.aws.items[STUDENT]
        made.clock.ms = NOW + 8 * DAY_MS
        assert made.roll() == {"due": 1, "written": 0, "alerts_sent": 0, "complete": True}
        assert STUDENT not in made.aws.items


# -- the command ------------------------------------------------------------------------------------------------------

FORGET = ("--table", TABLE, "--bucket", BUCKET, "--stream", STREAM, "--function", "processor")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any, Any]]:
    """S3, Kinesis and DynamoDB clients of a small world."""
    monkeypatch.setattr(aws, "deployed_config", lambda _: Config.from_environment(ENVIRONMENT))
    with mock_aws(), nothing_kept():
        s3, kinesis, dynamodb = boto3.client("s3"), boto3.client("kinesis"), boto3.client("dynamodb")
        s3.create_bucket(Bucket=BUCKET)
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        make_table(dynamodb, TABLE)
        world = a_world()
        for key, body in (*world.objects.items(), quarantined(b"\xff stu_1", 11, "not_utf8")):
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        for each in world.items.values():
            dynamodb.put_item(TableName=TABLE, Item=each)
        make_state_table(dynamodb, STATE_TABLE, list(world.state.values()))
        yield s3, kinesis, dynamodb


def left(stack: tuple[Any, Any, Any]) -> tuple[int, int]:
    """How many objects and items there are."""
    s3, _, dynamodb = stack
    return s3.list_objects_v2(Bucket=BUCKET)["KeyCount"], dynamodb.scan(TableName=TABLE)["Count"]


def test_forget_is_a_dry_run_at_first(stack: tuple[Any, Any, Any]) -> None:
    result = ops("forget", "student", "stu_1", *FORGET)
    assert result.exit_code == 0
    assert "student stu_1, last updated 2026-11-23T10:00:00.000Z, firing: low_health_score" in result.stdout
    assert (
        "Dry run: the item and 3 objects would be removed, 2 records of others be put back on the stream. "
        "Repeat with --execute to do it."
    ) in result.stdout
    assert "1 objects only mention the id and stay: look with `iops quarantine show KEY`; --mentions" in result.stdout
    assert "Nobody is told that the alerts of the item have ended." in result.stdout
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "tail the internal table found" in lines
    assert "wakes 2 in the internal table found" in lines
    assert all(f"- {line}" in result.stdout for line in (REMAINS_OF["student"], *REMAINS))
    assert left(stack) == (6, 3)


def test_forget_executed(stack: tuple[Any, Any, Any]) -> None:
    result = ops("forget", "student", "stu_1", *FORGET, "--execute")
    assert result.exit_code == 0
    assert "Removed the item and 3 objects; 2 records of others put back on the stream." in result.stdout
    assert left(stack) == (3, 2)
    result = ops("forget", "students", "stu_1", *FORGET, "--execute", "--mentions")
    assert "Removed no item and 1 objects; 0 records of others put back on the stream." in result.stdout
    assert left(stack) == (2, 2)
    result = ops("forget", "student", "stu_1", *FORGET, "--execute", "--mentions")
    assert result.exit_code == 1
    assert said(result) == (
        f"error: there is nothing of the student stu_1 in the tables {TABLE} and {STATE_TABLE} and the bucket "
        f"{BUCKET}: check the type and the id, in which capitals count"
    )


def test_forget_as_json(stack: tuple[Any, Any, Any]) -> None:
    result = ops("forget", "tutor", "stu_1", *FORGET, "--execute", "--output", "json")
    answer = json.loads(result.stdout)
    assert (answer["entity_type"], answer["entity_id"], answer["executed"], answer["complete"]) == (
        "tutor",
        "stu_1",
        True,
        True,
    )
    assert answer["item"] == {
        "last_updated": "2026-11-23T10:00:00.000Z",
        "alerts": ["low_health_score"],
        "removed": True,
    }
    assert (answer["tail"], answer["wakes"], answer["state_removed"], answer["unreadable_wakes"]) == (
        False,
        2,
        True,
        [],
    )
    assert {each["status"] for each in answer["objects"]} == {"mentioned"}
    assert answer["remains"] == [REMAINS_OF["tutor"], *REMAINS]
    assert left(stack) == (6, 2)


def test_what_is_removed_is_told_even_when_the_rest_is_not(
    stack: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = aws.client

    class Forbids:
        def __init__(self, client: Any) -> None:
            self.get_item = client.get_item

        def delete_item(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DeleteItem")

    def client(service: str) -> Any:
        return Forbids(make(service)) if service == "dynamodb" else make(service)

    monkeypatch.setattr(aws, "client", client)
    result = ops("forget", "student", "stu_1", *FORGET, "--execute")
    assert result.exit_code == 254
    assert "Removed no item and 3 objects; 2 records of others put back on the stream. That is not all" in result.stdout
    assert said(result) == (
        f"error: DeleteItem on the table {TABLE} is not allowed: dynamodb:DeleteItem is needed (no)"
    )


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("forget", "subject", "algebra", *FORGET), 2, "a subject is no person: give student or tutor"),
        (("forget", "pupil", "stu_1", *FORGET), 2, "'pupil' is no type of entity"),
        (("forget", "student", "", *FORGET), 2, "ID '' is no id: give 1 to 1,024 bytes"),
        (("forget", "student", "x" * 1_025, *FORGET), 2, "give 1 to 1,024 bytes"),
        (("forget", "student", "stu_9", *FORGET), 1, "there is nothing of the student stu_9 in the tables metrics"),
        (("forget", "student"), 2, "Missing argument 'ID'"),
        (("forget", "student", "stu_1", *FORGET[2:]), 2, "--table is missing: give it, or --stack NAME"),
        (("forget", "student", "stu_1", *FORGET, "--table", "none"), 254, "the table none does not exist"),
        (("forget", "student", "stu_1", *FORGET, "--bucket", "none"), 254, "the bucket none does not exist"),
    ],
)
def test_what_cannot_be_forgotten_is_told(
    stack: tuple[Any, Any, Any], arguments: tuple[str, ...], exit_code: int, says: str
) -> None:
    result = ops(*arguments)
    assert result.exit_code == exit_code
    assert says in said(result)
    assert left(stack) == (6, 3)


def test_what_remains_is_said_of_every_type_of_person() -> None:
    assert REMAINS_OF.keys() == PEOPLE.keys()
