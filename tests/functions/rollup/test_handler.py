"""The rollup: what it finds is the recomputation's, whatever happens on the way, and it writes what is new alone."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.aws import config
from functions.aws.deadline import Deadline
from functions.entities.attribute_values import to_attribute
from functions.entities.facts import SESSION, told
from functions.entities.open_facts import pack
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.model import DAY_MS, to_iso
from functions.rollup import finish, scan, spool, sums
from functions.rollup import handler as rollup
from functions.rollup.scan import RollupIncomplete, Scanned
from functions.rollup.spool import Spool
from proof import memory_aws, oracle
from proof.faults import FaultyAws, Killed
from proof.invocation import nothing_kept
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, deployed, event_json, record
from tests.helpers.faulty_aws import Call, Faults, after, down, lost_answer
from tests.helpers.frames import always_moving
from tests.helpers.logs import Logs, emitted
from tests.helpers.strategies import streams

READ, WRITE = "batch_get_item", "batch_execute_statement"
TABLE = ENVIRONMENT["DYNAMODB_TABLE_NAME"]


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """Few partitions and segments, so that calls are few."""
    # Not by monkeypatch: what `faults` puts in place with it has to be gone before `deployment` is.
    with mock.patch.object(spool, "_FEWEST", 3), mock.patch.object(scan, "PARALLEL_CALLS", 2):
        yield


def session(
    number: int, *, student: str = "stu_1", tutor: str = "tut_1", subject: str = "algebra", age: int = 0, **said: Any
) -> bytes:
    payload = {"session_id": f"s{number}", "student_id": student, "tutor_id": tutor, "subject": subject, **said}
    return event_json("session_completed" if said else "session_started", payload, timestamp=to_iso(NOW - age))


def supply(subject: str) -> bytes:
    return event_json(
        "supply_demand_update",
        {"subject": subject, "region": "eu", "balance_status": "balanced"},
        timestamp=to_iso(NOW),
    )


def several() -> list[bytes]:
    """Sessions of several students, tutors and subjects."""
    return [
        session(
            each,
            student=f"stu_{each % 7}",
            tutor=f"tut_{each % 3}",
            subject=("algebra", "biology", "zoology")[each % 6 // 2],
            age=each * DAY_MS // 2,
            tutor_rating=each % 6,
            completed_successfully=each % 3 > 0,
        )
        for each in range(40)
    ]


def stored(deployment: Deployment) -> dict[tuple[str, str], dict[str, Any]]:
    """What a rollup has written, without its moment."""
    found = {}
    for key in deployment.aws.items:
        item = deployment.item(*key)
        names = TOTALS_ATTRIBUTES.get(key[0], ())
        if "rolled_up" in item and item.keys() >= set(names):
            rest = {name: value for name, value in item["rolled_up"].items() if name != "as_of"}
            found[key] = {name: item[name] for name in names} | rest
    return found


# -- what it finds ----------------------------------------------------------------------------------------------------


def check(deployment: Deployment, stream: list[bytes]) -> None:
    """Compares with the recomputation."""
    records = [record(data, position) for position, data in enumerate(stream)]
    told_of = [oracle.Record(base64.b64decode(each.data), each.arrival_ms, each.sequence_number) for each in records]
    found = stored(deployment)
    for key, expected in oracle.roll_up(told_of, deployment.clock.ms).items():
        if key not in deployment.aws.items:
            assert not any(expected.attributes.values()), key
            continue
        surge = {"usual_daily": expected.usual_daily, "surge_score": expected.surge_score}
        assert found.pop(key) == {
            **expected.attributes,
            "first_outcomes": expected.first_outcomes,
            **{name: value for name, value in surge.items() if value is not None},
        }
    # Of subjects that sessions have never named there is nothing but what supply and demand say.
    assert not any(number for figures in found.values() for number in figures.values())


@given(
    streams,
    st.lists(st.integers(0, 12 * 86_400).map(lambda seconds: seconds * 1000), max_size=2),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 8), st.sampled_from([1, 5, 1_000])),
    st.booleans(),
)
def test_figures_are_the_recomputations_at_any_time_however_the_table_is_parted(
    stream: list[bytes], steps: list[int], parts: tuple[int, int, int, int], moving: bool
) -> None:
    with (
        deployed() as deployment,
        always_moving() if moving else nullcontext(),
        mock.patch.object(scan, "PARALLEL_CALLS", parts[0]),
        mock.patch.object(spool, "_FEWEST", parts[1]),
        mock.patch.object(memory_aws, "_ITEMS_A_PAGE", parts[2]),
        mock.patch.object(spool, "_ROWS_IN_MEMORY", parts[3]),
    ):
        deployment.deliver(*stream)
        for step in (0, *steps):
            deployment.clock.ms += step
            assert deployment.rollup()["as_of"] == deployment.clock.ms
            check(deployment, stream)
            assert deployment.rollup()["written"] == 0


def test_it_says_how_many_items_it_read_and_wrote(deployment: Deployment) -> None:
    deployment.deliver(session(1), session(2, tutor="tut_2", subject="biology"), supply("algebra"), supply("zoology"))
    # A student, two tutors, the subjects that supply names, and their region.
    assert deployment.rollup() == {"items": 6, "written": 5, "alerts_sent": 0, "as_of": NOW}
    assert deployment.item("subject", "biology")["sessions_30d"] == 1


def test_a_subject_whose_sessions_are_gone_falls_to_zero(deployment: Deployment) -> None:
    deployment.deliver(session(1), session(1, tutor_rating=4, completed_successfully=True))
    deployment.rollup()
    assert deployment.item("subject", "algebra")["avg_rating"] == 4
    assert deployment.item("tutor", "tut_1")["first_session_success_rate"] == 1
    for days in (30, 1_000):
        deployment.clock.ms = NOW + days * DAY_MS
        deployment.roll()
        assert deployment.rollup()["written"] == (2 if days == 30 else 0)
        for entity in (("subject", "algebra"), ("tutor", "tut_1")):
            assert not any(deployment.item(*entity)[name] for name in TOTALS_ATTRIBUTES[entity[0]])


def test_what_has_not_changed_is_not_written(deployment: Deployment) -> None:
    deployment.deliver(*several())
    assert deployment.rollup()["written"] == 6
    writes, items = deployment.aws.writes(), dict(deployment.aws.items)
    deployment.clock.ms += 60_000
    assert deployment.rollup() == {"items": 13, "written": 0, "alerts_sent": 0, "as_of": NOW + 60_000}
    assert (deployment.aws.writes(), deployment.aws.items) == (writes, items)


def test_what_else_is_in_an_item_is_left_alone(deployment: Deployment) -> None:
    deployment.deliver(session(1), supply("algebra"))
    before = {key: dict(item) for key, item in deployment.aws.items.items()}
    deployment.rollup()
    for key, item in before.items():
        written = {*TOTALS_ATTRIBUTES.get(key[0], ()), "rolled_up", "version", "as_of", "last_updated"}
        assert {name: each for name, each in deployment.aws.items[key].items() if name not in written} == {
            name: each for name, each in item.items() if name not in written
        }


def test_alerts_are_judged_by_what_it_finds(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VELOCITY_DROP_SHARE", "0.5")
    config.config.cache_clear()
    deployment.deliver(*(session(each, student=f"stu_{each}", age=8 * DAY_MS) for each in range(6)))
    assert deployment.rollup()["alerts_sent"] == 1
    (alert,) = deployment.told()
    assert (alert["alert_type"], alert["entity_id"]) == ("session_velocity_drop", "algebra")


# -- what it asks of DynamoDB -----------------------------------------------------------------------------------------


def test_no_more_is_asked_of_an_item_than_is_needed(faults: Faults, deployment: Deployment) -> None:
    deployment.deliver(*several())
    deployment.rollup()
    pages = list(scan._pages(0, 1, Deadline(lambda: 120_000)))
    items = {item["entity_id"]["S"]: item for page in pages for item in page}
    keys = {"entity_id", "entity_type"}
    assert items["stu_1"].keys() >= {"facts", "first_session"}
    assert items["stu_1"]["first_session"]["M"].keys() == {"time", "subject", "tutor_id", "outcome"}
    assert items["algebra"].keys() == {*keys, *TOTALS_ATTRIBUTES["subject"], "rolled_up"}
    assert items["tut_1"].keys() - set(TOTALS_ATTRIBUTES["subject"]) == {*keys, "facts", "rolled_up"}
    assert [len(page) for page in pages] == [7, 6]
    assert {request["Segment"] for request in faults.made["scan"]} == {0, 1}


@pytest.mark.usefixtures("moto")
def test_the_table_is_scanned_as_dynamodb_understands_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    config.config.cache_clear()
    dynamodb = boto3.client("dynamodb")
    names = ("entity_id", "entity_type")
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": names[0], "KeyType": "HASH"}, {"AttributeName": names[1], "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        BillingMode="PAY_PER_REQUEST",
    )
    first = {"time": 1, "session": 2, "subject": "algebra", "tutor_id": "tut_1", "outcome": "success"}
    for each in range(30):
        item: dict[str, Any] = {"entity_id": f"stu_{each}", "entity_type": "student", "alerts": {}}
        attributes = {name: to_attribute(value) for name, value in {**item, "first_session": first}.items()}
        dynamodb.put_item(TableName=TABLE, Item=attributes | {"facts": {"B": b"\x00\xff"}})
    assert rollup._describe_table()["ItemCount"] == 30
    found = [
        item for segment in range(3) for page in scan._pages(segment, 3, Deadline(lambda: 120_000)) for item in page
    ]
    assert sorted(item["entity_id"]["S"] for item in found) == sorted(f"stu_{each}" for each in range(30))
    del first["session"]
    for item in found:
        assert item.keys() == {*names, "facts", "first_session"}
        assert (item["facts"], item["first_session"]) == ({"B": b"\x00\xff"}, to_attribute(first))


def test_it_is_the_same_over_http(over_http: Faults, deployment: Deployment) -> None:
    deployment.deliver(*several())
    over_http.planned["scan"] = [down]
    assert deployment.rollup()["written"] == 6
    check(deployment, several())


# -- when something fails ---------------------------------------------------------------------------------------------


def test_a_page_that_is_not_given_is_asked_for_again(faults: Faults, deployment: Deployment, logs: Logs) -> None:
    deployment.deliver(*several())
    faults.planned["scan"] = [down, lost_answer, None, down]
    assert deployment.rollup()["written"] == 6
    check(deployment, several())
    assert logs.messages("WARNING") == ["A page of the table was not read"] * 3


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("scan", rf"segment [01] of 2 of {TABLE} could not be read: .*ServiceUnavailable.*Try later"),
        ("describe_table", rf"{TABLE} could not be described: .*ServiceUnavailable"),
    ],
)
def test_without_all_of_the_table_nothing_is_written(
    faults: Faults, deployment: Deployment, operation: str, message: str
) -> None:
    deployment.deliver(*several())
    writes = deployment.aws.writes()
    faults.planned[operation] = [down] * 100
    with pytest.raises(RollupIncomplete, match=message):
        deployment.rollup()
    assert deployment.aws.writes() == writes
    faults.planned.clear()
    assert deployment.rollup()["written"] == 6


@pytest.mark.filterwarnings("ignore:No application metrics")  # of who dies
def test_it_may_die_between_any_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PARALLEL_CALLS", 1)
    monkeypatch.setattr(finish, "_ENTITIES_AT_ONCE", 2)
    monkeypatch.setattr(memory_aws, "_ITEMS_A_PAGE", 5)
    with deployed() as whole:
        whole.deliver(*several())
        whole.rollup()
        expected = stored(whole)

    def calls(at: int | None, kind: str) -> list[str]:
        """The operations of a rollup, which dies at one of them and is run again."""
        with deployed() as deployment:
            deployment.deliver(*several())
            faulty = FaultyAws(deployment.aws)
            dies = kind if at is not None else None
            faulty.choose = lambda _operation, index: dies if index == at else None
            with mock.patch("functions.aws.clients.make", faulty.client), nothing_kept():
                if at is not None:
                    with pytest.raises(Killed):
                        deployment.rollup()
                deployment.clock.ms += 1_000
                deployment.rollup()
            assert stored(deployment) == expected
            return faulty.calls

    made = calls(None, "")
    assert set(made) == {"describe_table", "scan", READ, WRITE}
    for at, operation in enumerate(made):
        for kind in ("died before", "died after"):
            if operation in (READ, WRITE) or kind == "died before":
                calls(at, kind)


@pytest.mark.parametrize("moment", ["describe_table", "scan", READ, WRITE])
def test_two_at_once_do_no_harm(faults: Faults, deployment: Deployment, moment: str) -> None:
    def other() -> None:
        deployment.clock.ms += 1_000
        deployment.rollup()

    deployment.deliver(*several())
    faults.planned[moment] = [after(other)]
    deployment.rollup()
    check(deployment, several())
    deployment.clock.ms += 1_000
    assert deployment.rollup()["written"] == 0


def test_an_earlier_rollup_that_ends_later_takes_nothing_back(faults: Faults, deployment: Deployment) -> None:
    def later() -> None:
        deployment.clock.ms += 7 * DAY_MS
        deployment.rollup()

    deployment.deliver(session(1))
    faults.planned[READ] = [after(later)]
    assert deployment.rollup()["as_of"] == NOW
    algebra = deployment.item("subject", "algebra")
    assert (algebra["sessions_7d"], algebra["rolled_up"]["as_of"]) == (0, NOW + 7 * DAY_MS)


# -- tails ------------------------------------------------------------------------------------------------------------

STATE = ENVIRONMENT["STATE_TABLE_NAME"]


def divide(deployment: Deployment) -> None:
    """Delivers `several`, the first half into tails and the others into heads."""
    sessions = several()
    with always_moving():
        assert deployment.deliver(*sessions[:20]) == []
    assert deployment.deliver(*sessions[20:]) == []
    facts = [name for name, item in deployment.aws.items.items() if {"facts", "tail"} <= item.keys()]
    assert len(facts) == 10


def move(deployment: Deployment) -> None:
    """Another process moves all facts to tails, with news that no rollup counts."""
    calls = [
        event_json("ib_call_logged", {"student_id": f"stu_{each}", "call_id": "c"}, timestamp=to_iso(NOW))
        for each in range(7)
    ]
    hours = [
        event_json("tutor_availability_updated", {"tutor_id": f"tut_{each}", "timezone": "UTC"}, timestamp=to_iso(NOW))
        for each in range(3)
    ]
    with always_moving(), nothing_kept():
        assert deployment.deliver(*calls, *hours) == []
    assert not any("facts" in item for item in deployment.aws.items.values())


def test_tails_are_read_by_their_keys_of_those_items_alone_that_name_one(
    faults: Faults, deployment: Deployment
) -> None:
    divide(deployment)
    deployment.deliver(supply("algebra"), session(100, student="stu_9", tutor="tut_0", age=DAY_MS))
    faults.made.clear()
    deployment.rollup()
    asked = [call["RequestItems"][STATE] for call in faults.made[READ] if STATE in call["RequestItems"]]
    keys = sorted(key["pk"]["S"] for request in asked for key in request["Keys"])
    assert keys == sorted([f"tail#student#stu_{each}" for each in range(7)] + [f"tail#tutor#tut_{n}" for n in range(3)])
    assert all(request["ConsistentRead"] for request in asked)


@pytest.mark.parametrize(
    ("operation", "which"),
    [("scan", 0), ("scan", 1), (READ, 0), (READ, 1)],
    ids=["before any head", "between heads", "between heads and tails", "between tails"],
)
def test_a_move_while_heads_and_tails_are_read_neither_loses_nor_doubles_a_fact(
    faults: Faults, deployment: Deployment, operation: str, which: int
) -> None:
    divide(deployment)
    faults.made.clear()
    faults.planned[operation] = [*[None] * which, after(lambda: move(deployment))]
    deployment.rollup()
    assert not faults.planned[operation]
    check(deployment, several())


def test_the_tail_of_an_item_that_was_deleted_meanwhile_is_left_out(faults: Faults, deployment: Deployment) -> None:
    with always_moving():
        deployment.deliver(session(1, student="stu_1", tutor="tut_1"), session(2, student="stu_2", tutor="tut_2"))

    def forget() -> None:
        for key in (("student", "stu_1"), ("tutor", "tut_1")):
            del deployment.aws.items[key]
            del deployment.aws.state["#".join(("tail", *key)), "facts"]

    faults.planned[READ] = [after(forget)]
    deployment.rollup()
    assert deployment.item("subject", "algebra")["active_students_30d"] == 1


@pytest.mark.parametrize("stored", ["none", "another"])
def test_without_the_tail_that_an_item_names_nothing_is_written(deployment: Deployment, stored: str) -> None:
    divide(deployment)
    tail = deployment.aws.state["tail#student#stu_1", "facts"]
    if stored == "none":
        del deployment.aws.state["tail#student#stu_1", "facts"]
    else:
        deployment.aws.state["tail#student#stu_1", "facts"] = tail | {"generation": {"N": "1"}}
    writes = deployment.aws.writes()
    with pytest.raises(RollupIncomplete, match=r"the tails of 1 items could not be read, the first: .*stu_1"):
        deployment.rollup()
    assert deployment.aws.writes() == writes


def test_a_tail_that_cannot_be_read_is_an_error(faults: Faults, deployment: Deployment) -> None:
    divide(deployment)
    faults.planned[READ] = [down]
    with pytest.raises(RollupIncomplete, match=f"reading from {STATE}: .*ServiceUnavailable"):
        deployment.rollup()


def test_a_tail_whose_facts_have_all_expired_is_not_read(faults: Faults, deployment: Deployment) -> None:
    divide(deployment)
    deployment.clock.ms = NOW + 33 * DAY_MS
    deployment.aws.state = {key: item for key, item in deployment.aws.state.items() if not key[0].startswith("tail")}
    faults.made.clear()
    deployment.rollup()
    assert not [call for call in faults.made[READ] if STATE in call["RequestItems"]]


Damage = Callable[[dict[str, Any]], dict[str, Any]]


def torn(item: dict[str, Any]) -> dict[str, Any]:
    """Facts that refer to a subject that there is not."""
    facts = pack([told(SESSION, 7, NOW, subject="algebra"), told(SESSION, 8, NOW, subject="biology")], [])
    return {"facts": {"B": facts.blob.replace(b"biology\xff", b"")}}


def odd(item: dict[str, Any]) -> dict[str, Any]:
    """A first session that ended as none does."""
    return {"first_session": {"M": item["first_session"]["M"] | {"outcome": {"S": "odd"}}}}


@pytest.mark.parametrize(
    ("key", "damage", "message"),
    [
        (("student", "stu_1"), lambda _: {"facts": {"B": b"\x02"}}, "UnreadableFacts.*format version 2"),
        (("tutor", "tut_1"), lambda _: {"facts": {"B": b"\x01\x00"}}, "UnreadableFacts.*shorter than their header"),
        (("student", "stu_1"), torn, "facts refer to a subject that there is not"),
        (("student", "stu_1"), odd, "KeyError.*odd"),
        (("tutor", "tut_2"), lambda _: {"rolled_up": {"M": {"as_of": {"S": "now"}}}}, "KeyError"),
    ],
)
def test_what_is_damaged_is_left_out_alone_and_said(
    deployment: Deployment, key: tuple[str, str], damage: Damage, message: str
) -> None:
    deployment.deliver(*several())
    sound = deployment.aws.items[key]
    deployment.aws.items[key] = sound | damage(sound)
    with pytest.raises(
        RollupIncomplete, match=rf"1 items not all could be read, the first: {' '.join(key)}: {message}"
    ):
        deployment.rollup()
    others = {("subject", "algebra"), ("subject", "biology"), ("tutor", "tut_0")} - {key}
    assert stored(deployment).keys() >= others
    # A session stands in its other items too.
    assert deployment.item("subject", "algebra")["sessions_30d"] == 14
    deployment.aws.items[key] = sound
    deployment.clock.ms += 1
    deployment.rollup()
    check(deployment, several())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facts": {"B": b"\x02"}}, "the stored tail is not readable and is left as it is: UnreadableFacts.*version 2"),
        ({"facts": torn({})["facts"]}, "facts refer to a subject that there is not"),
        ({"folded_before": {"S": "monday"}}, "the stored tail is not readable and is left as it is: ValueError"),
    ],
)
def test_a_damaged_tail_is_left_out_alone_and_said(
    deployment: Deployment, change: dict[str, Any], message: str
) -> None:
    divide(deployment)
    deployment.aws.state["tail#student#stu_1", "facts"] |= change
    with pytest.raises(RollupIncomplete, match=rf"1 items not all could be read, the first: student stu_1: {message}"):
        deployment.rollup()
    # A session stands in its other items too.
    assert deployment.item("subject", "algebra")["sessions_30d"] == 14


def test_an_item_that_cannot_be_written_is_said_when_all_others_are_done(
    deployment: Deployment,
) -> None:
    deployment.deliver(*several())
    tutor = deployment.aws.items["tutor", "tut_1"]
    deployment.aws.items["tutor", "tut_1"] = tutor | {"alerts": {"S": "none"}}
    with pytest.raises(RollupIncomplete, match=r"1 of 6 items failed, the first: tutor tut_1: the stored item is not"):
        deployment.rollup()
    assert len(stored(deployment)) == 5


def test_when_time_runs_out_in_the_scan_nothing_is_written(faults: Faults, deployment: Deployment) -> None:
    def last(call: Call, arguments: dict[str, Any]) -> Any:
        deployment.remaining_ms = 0
        return call(**arguments)

    deployment.deliver(*several())
    writes = deployment.aws.writes()
    faults.planned["scan"] = [None, last]
    with pytest.raises(RollupIncomplete, match="could not be read: no time is left"):
        deployment.rollup()
    assert deployment.aws.writes() == writes


def test_when_time_runs_out_between_two_partitions_nothing_is_written(tmp_path: Path) -> None:
    for partition in (4, 5):
        (tmp_path / spool.name(partition)).mkdir()
    with pytest.raises(RollupIncomplete, match="no time is left to sum partition 4 and those after it"):
        finish.reduce(tmp_path, range(8), NOW, Deadline(lambda: 0))


def test_when_time_runs_out_later_what_is_left_is_said(
    faults: Faults, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last(call: Call, arguments: dict[str, Any]) -> Any:
        deployment.remaining_ms = 0
        return call(**arguments)

    monkeypatch.setattr(finish, "_ENTITIES_AT_ONCE", 2)
    deployment.deliver(*several())
    faults.planned[WRITE] = [None, last]
    with pytest.raises(RollupIncomplete, match="no time was left for 2 of 6 items"):
        deployment.rollup()
    assert len(stored(deployment)) == 4
    deployment.remaining_ms = 120_000
    assert deployment.rollup()["written"] == 2


# -- what it says -----------------------------------------------------------------------------------------------------


def test_it_logs_and_measures_what_it_did(
    faults: Faults, deployment: Deployment, logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow() -> None:
        deployment.clock.ms += 90_000

    deployment.deliver(*several())
    capsys.readouterr()
    faults.planned["describe_table"] = [after(slow)]
    deployment.rollup()
    found = emitted(capsys.readouterr().out)
    assert found == {
        "RolledUp": (1, "Count"),
        "RollupItems": (10, "Count"),
        "RollupWritten": (6, "Count"),
        "RollupSeconds": (90, "Seconds"),
        "Sessions7d": (14, "None"),
        "Sessions30d": (40, "None"),
        "FirstSessions30d": (7, "None"),
        "AvgRating": (2.4, "None"),
        "FirstSessionSuccessRate": (pytest.approx(4 / 7), "None"),
    }
    line = logs.lines()[-1]
    assert line["message"] == "Rollup complete"
    assert (line["items"], line["written"], line["complete"], line["seconds"]) == (10, 6, True, 90)

    deployment.aws.items["student", "stu_1"]["facts"] = {"B": b"\x02"}
    with pytest.raises(RollupIncomplete):
        deployment.rollup()
    found = emitted(capsys.readouterr().out)
    assert (found["RollupIncomplete"], found["RollupFailed"]) == ((1, "Count"), (1, "Count"))
    assert "RolledUp" not in found


# -- its steps, apart -------------------------------------------------------------------------------------------------


@pytest.fixture
def steps(tmp_path: Path) -> Callable[[Deployment], dict[str, int]]:
    """A rollup by functions that have nothing in common but files: one for each segment and for each partition."""

    def run(deployment: Deployment) -> dict[str, int]:
        deadline, as_of = Deadline(lambda: 120_000), deployment.clock.ms
        for segment in range(3):
            own = tmp_path / f"segment-{segment}"
            spool = Spool(own / "spooled", 2)
            scan.scan_segment(segment, 3, as_of, spool, deadline).save(own / "scanned")
            for file in (own / "spooled").rglob("*.parquet"):
                alone = tmp_path / f"partition-{int(file.parent.name)}" / file.parent.name
                alone.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, alone / f"{segment}-{file.name}")
        daily = []
        for partition in range(2):
            alone, summed = tmp_path / f"partition-{partition}", tmp_path / f"{partition}.parquet"
            finish.reduce(alone, [partition], as_of, deadline).write_parquet(summed)
            daily.append(pl.read_parquet(summed))
        scanned = Scanned.of(Scanned.load(tmp_path / f"segment-{segment}" / "scanned") for segment in range(3))
        return finish.finish(scanned, sums.added(daily, sums.DAILY), as_of, deadline)

    return run


def test_steps_in_functions_of_their_own_find_the_same(
    deployment: Deployment, steps: Callable[[Deployment], dict[str, int]]
) -> None:
    deployment.deliver(*several())
    assert steps(deployment) == {"items": 10, "written": 6, "alerts_sent": 0, "as_of": NOW}
    check(deployment, several())
    assert deployment.rollup()["written"] == 0


def test_what_a_step_could_not_read_is_said_by_the_last(
    deployment: Deployment, steps: Callable[[Deployment], dict[str, int]]
) -> None:
    deployment.deliver(*several())
    deployment.aws.items["student", "stu_1"]["facts"] = {"B": b"\x02"}
    with pytest.raises(RollupIncomplete, match="the first: student stu_1"):
        steps(deployment)
    assert len(stored(deployment)) == 6


def test_what_is_saved_is_a_description_in_plain_files(tmp_path: Path, deployment: Deployment) -> None:
    deployment.deliver(*several())
    scanned = scan.scan(NOW, Spool(tmp_path / "spooled", 2), Deadline(lambda: 120_000))
    scanned.save(tmp_path / "scanned")
    assert json.loads((tmp_path / "scanned" / "scanned.json").read_text()) == {"items": 10, "damaged": []}
    again = Scanned.load(tmp_path / "scanned")
    assert again.local.equals(scanned.local)
    assert again.known.equals(scanned.known)
