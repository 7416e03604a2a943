"""The table: reads in hundreds, with tails; writes in twenty-fives, each statement with a fate of its own; moves in
transactions. Retries are counted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.aws import table
from functions.aws.deadline import Deadline
from functions.aws.state_table import StateTable
from functions.aws.table import MetricsTable
from functions.entities.arrivals import gather
from functions.entities.attribute_values import Attributes, size_of
from functions.entities.item import State
from functions.entities.plan import Rules, Write, plan
from functions.entities.tails import Tail, ends_ms, tail_attributes
from functions.events.decode import decode
from functions.model import DAY_MS, EntityKey, to_iso
from proof.invocation import nothing_kept
from proof.memory_aws import cancelled
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, event_json, record
from tests.helpers.faulty_aws import Call, Fault, Faults, after, down, refusing
from tests.helpers.frames import always_moving
from tests.helpers.over_http import OverHttp

NAME = ENVIRONMENT["DYNAMODB_TABLE_NAME"]
STATE = ENVIRONMENT["STATE_TABLE_NAME"]
TABLE = MetricsTable(NAME, StateTable(STATE))
LONG = Deadline(lambda: 120_000)
READ, WRITE, MOVE = "batch_get_item", "batch_execute_statement", "transact_write_items"


def deadline(*passed: bool) -> Deadline:
    """A deadline that answers like this and then the same for ever."""
    left = chain([120_000], (0 if each else 120_000 for each in passed), repeat(0 if passed[-1] else 120_000))
    return Deadline(lambda: next(left))


def students(count: int) -> list[EntityKey]:
    return [EntityKey("student", f"stu_{number}") for number in range(count)]


def writes(states: Sequence[State], age: int = 0) -> list[Write]:
    """What an inbound call of each of these students writes."""
    calls = [
        event_json(
            "ib_call_logged", {"student_id": state.key.entity_id, "call_id": str(age)}, timestamp=to_iso(NOW - age)
        )
        for state in states
    ]
    events = decode([record(data) for data in calls], 0).events
    return list(plan(states, gather(events), NOW, NOW, Rules()).writes.values())


def inserts(count: int) -> list[Write]:
    return writes([State(key) for key in students(count)])


@pytest.fixture
def faults(over_http: Faults) -> Faults:
    """By real clients of either codec."""
    return over_http


# -- reading ----------------------------------------------------------------------------------------------------------


def test_keys_are_read_in_hundreds_and_consistently(faults: Faults) -> None:
    read = TABLE.read(students(250), NOW, LONG)
    requests = [call["RequestItems"][NAME] for call in faults.made[READ]]
    assert sorted(len(request["Keys"]) for request in requests) == [50, 100, 100]
    assert all(request["ConsistentRead"] for request in requests)
    assert read.states == {key: State(key) for key in students(250)}
    assert read.failed == {}


def test_what_was_written_is_read(faults: Faults) -> None:
    made = inserts(3)
    TABLE.write(made, LONG)
    assert TABLE.read(students(4), NOW, LONG).states == {
        **{write.after.key: write.after for write in made},
        students(4)[3]: State(students(4)[3]),
    }


def unprocessed(call: Call, arguments: dict[str, Any]) -> Any:
    """Answers for all keys but the first."""
    first, *rest = arguments["RequestItems"][NAME]["Keys"]
    answer = call(RequestItems={NAME: {"Keys": rest}}) if rest else {"Responses": {}}
    return answer | {"UnprocessedKeys": {NAME: {"Keys": [first], "ConsistentRead": True}}}


def test_unprocessed_keys_alone_are_asked_for_again(faults: Faults) -> None:
    made = inserts(3)
    TABLE.write(made, LONG)
    faults.planned[READ] = [unprocessed, unprocessed]
    read = TABLE.read(students(3), NOW, LONG)
    assert read.states == {write.after.key: write.after for write in made}
    assert [len(call["RequestItems"][NAME]["Keys"]) for call in faults.made[READ]] == [3, 1, 1]
    assert all(call["RequestItems"][NAME]["ConsistentRead"] for call in faults.made[READ])


def test_what_stays_unprocessed_is_failed_alone(faults: Faults) -> None:
    faults.planned[READ] = [unprocessed] * 100
    read = TABLE.read(students(3), NOW, LONG)
    assert read.failed == {students(1)[0]: f"{NAME} did not answer in time"}
    assert set(read.states) == set(students(3)[1:])
    assert len(faults.made[READ]) == 6


def test_a_read_that_fails_fails_its_keys(faults: Faults) -> None:
    faults.planned[READ] = [down]
    read = TABLE.read(students(2), NOW, LONG)
    assert read.states == {}
    assert set(read.failed) == set(students(2))
    assert all(reason.startswith(f"reading from {NAME}: ") for reason in read.failed.values())
    assert all("ServiceUnavailable" in reason for reason in read.failed.values())


def test_a_read_that_fails_on_the_way_keeps_what_it_has(faults: Faults) -> None:
    faults.planned[READ] = [unprocessed, down]
    read = TABLE.read(students(3), NOW, LONG)
    assert set(read.failed) == {students(1)[0]}
    assert set(read.states) == set(students(3)[1:])


def test_past_the_deadline_nothing_is_read(faults: Faults) -> None:
    read = TABLE.read(students(2), NOW, deadline(True))
    assert (read.states, set(read.failed), faults.made[READ]) == ({}, set(students(2)), [])


def test_past_the_deadline_unprocessed_keys_are_not_asked_for_again(faults: Faults) -> None:
    faults.planned[READ] = [unprocessed]
    read = TABLE.read(students(2), NOW, deadline(False, False, True))
    assert (set(read.states), set(read.failed)) == ({students(2)[1]}, {students(2)[0]})
    assert len(faults.made[READ]) == 1


ONE_FACT_AFTER_ALL_TIME = bytes.fromhex("01 0100 000000000000 80000000 ffffffffffffffff 0000 0000 fe")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"facts": {"B": b"\x09" + bytes(31)}}, "facts are stored in format version 9"),
        ({"facts": {"B": b"\x01" + bytes(30)}}, "facts end before the tutors' names"),
        ({"alerts": {"M": {"low_health_score": {"M": {"mood": {"S": "low"}}}}}}, "mood"),
        ({"reported": {"M": {"reported_at": {"S": "yesterday"}}}}, "yesterday"),
        ({"alert_episodes": {"M": {"low_health_score": {"L": []}}}}, "mapping"),
        ({"first_session": {"M": {"outcome": {"S": "draw"}}}}, "draw"),
        ({"alerts": {"S": "none"}}, "items"),
        ({"version": {"S": "one"}}, "version is 'one', not a whole number"),
        ({"as_of": {"N": "1e40"}}, "as_of is 1"),
        ({"tail": {"S": "yesterday"}}, "KeyError('N')"),
        ({"tail": {"N": "0.5"}}, "0.5"),
        ({"moved": {"S": "once"}}, "moved is 'once', not a whole number"),
        ({"outbox": {"L": [{"S": "{}"}]}}, "timestamp"),
        ({"outbox": {"L": [{"S": "told"}]}}, "JSONDecodeError"),
        (
            {"facts": {"B": bytes.fromhex("01 0100 000000000000 80000000 ffffffffffffffff 0000 0000 fe")}},
            "0xffffffffffffffff",
        ),
    ],
)
def test_an_unreadable_item_is_failed_and_its_neighbours_are_read(
    faults: Faults, change: dict[str, Any], said: str
) -> None:
    made = inserts(2)
    TABLE.write(made, LONG)
    faults.aws.items["student", "stu_0"] |= change
    read = TABLE.read(students(2), NOW, LONG)
    assert set(read.states) == {students(2)[1]}
    (reason,) = read.failed.values()
    assert reason.startswith("the stored item is not readable and is left as it is: ")
    assert said in reason


# -- writing ----------------------------------------------------------------------------------------------------------


def test_statements_go_in_twenty_fives_each_with_its_own_version(faults: Faults) -> None:
    written = TABLE.write(inserts(60), LONG)
    assert (written.lost, written.failed) == (set(), {})
    assert sorted(len(call["Statements"]) for call in faults.made[WRITE]) == [10, 25, 25]
    assert {key for _, key in faults.aws.items} == {key.entity_id for key in students(60)}


def test_a_new_item_is_an_insert_with_parameters_alone(faults: Faults) -> None:
    (write,) = inserts(1)
    TABLE.write([write], LONG)
    ((statement,),) = (call["Statements"] for call in faults.made[WRITE])
    names = list(write.after.stored)
    assert statement["Statement"] == f'INSERT INTO "{NAME}" VALUE {{{", ".join(f"{name!r}: ?" for name in names)}}}'
    assert statement["Parameters"] == list(write.after.stored.values())
    assert {"entity_id", "entity_type", "version", "facts"} <= set(names)


def test_a_known_item_is_an_update_of_what_changed_on_condition_of_its_version(faults: Faults) -> None:
    (insert,) = inserts(1)
    (write,) = writes([insert.after], age=8 * DAY_MS)
    TABLE.write([insert, write], LONG)
    statement = faults.made[WRITE][0]["Statements"][1]
    assert set(write.changes) == {"ib_calls_14d", "version", "facts"}
    sets = "".join(f' SET "{name}" = ?' for name in write.changes)
    where = '"entity_id" = ? AND "entity_type" = ? AND "version" = ?'
    assert statement["Statement"] == f'UPDATE "{NAME}"{sets} WHERE {where}'
    assert statement["Parameters"] == [*write.changes.values(), {"S": "stu_0"}, {"S": "student"}, {"N": "1"}]
    assert faults.aws.items["student", "stu_0"]["version"] == {"N": "2"}


def test_attributes_that_are_no_more_are_removed(faults: Faults) -> None:
    (insert,) = inserts(1)
    later = NOW + 33 * DAY_MS
    report = event_json("customer_health_update", {"student_id": "stu_0", "health_score": 90}, timestamp=to_iso(later))
    events = decode([record(report, arrival_ms=later)], 0).events
    (write,) = plan([insert.after], gather(events), later, later, Rules()).writes.values()
    TABLE.write([insert, write], LONG)
    statement = faults.made[WRITE][0]["Statements"][1]["Statement"]
    assert ' REMOVE "facts"' in statement
    assert statement.count("REMOVE") == 1
    assert set(insert.after.stored) - set(faults.aws.items["student", "stu_0"]) == {"facts"}


@pytest.mark.parametrize("code", ["ConditionalCheckFailed", "DuplicateItem"])
def test_a_lost_race_is_said_and_not_tried_again(faults: Faults, code: str) -> None:
    faults.planned[WRITE] = [refusing(code, 0, 2)]
    written = TABLE.write(inserts(4), LONG)
    assert (written.lost, written.failed) == ({0, 2}, {})
    assert len(faults.made[WRITE]) == 1


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "InternalServerError",
        "TransactionConflict",
    ],
)
def test_throttled_statements_alone_are_sent_again(faults: Faults, code: str) -> None:
    faults.planned[WRITE] = [refusing(code, 1, 3), refusing(code, 0)]
    written = TABLE.write(inserts(4), LONG)
    assert (written.lost, written.failed) == (set(), {})
    sent = [[each["Parameters"][0]["S"] for each in call["Statements"]] for call in faults.made[WRITE]]
    assert sent == [["stu_0", "stu_1", "stu_2", "stu_3"], ["stu_1", "stu_3"], ["stu_1"]]
    assert len(faults.aws.items) == 4


def test_statements_throttled_for_good_are_failed(faults: Faults) -> None:
    faults.planned[WRITE] = [refusing("ThrottlingError", 1), *[refusing("ThrottlingError", 0)] * 99]
    written = TABLE.write(inserts(2), LONG)
    assert (written.lost, written.failed) == (set(), {1: f"{NAME} did not take the write in time"})
    assert len(faults.made[WRITE]) == 6


@pytest.mark.parametrize(
    "code", ["ValidationError", "ResourceNotFound", "AccessDenied", "ItemCollectionSizeLimitExceeded", "SomethingNew"]
)
def test_a_statement_refused_for_good_is_failed_at_once(faults: Faults, code: str) -> None:
    faults.planned[WRITE] = [refusing(code, 1)]
    written = TABLE.write(inserts(3), LONG)
    assert (written.lost, written.failed) == (set(), {1: f"{code}: Refused"})
    assert len(faults.made[WRITE]) == 1


def test_a_call_that_fails_fails_its_statements(faults: Faults) -> None:
    faults.planned[WRITE] = [down]
    written = TABLE.write(inserts(2), LONG)
    assert set(written.failed) == {0, 1}
    assert all(reason.startswith(f"writing to {NAME}: ") for reason in written.failed.values())


def test_a_retry_that_fails_fails_what_was_still_to_be_written(faults: Faults) -> None:
    def mixed(call: Call, arguments: dict[str, Any]) -> Any:
        lost, throttled = {"Error": {"Code": "DuplicateItem"}}, {"Error": {"Code": "ThrottlingError"}}
        call(Statements=arguments["Statements"][2:])
        return {"Responses": [lost, throttled, {}]}

    faults.planned[WRITE] = [mixed, down]
    written = TABLE.write(inserts(3), LONG)
    assert (written.lost, set(written.failed)) == ({0}, {1})


def test_past_the_deadline_nothing_is_written(faults: Faults) -> None:
    written = TABLE.write(inserts(2), deadline(True))
    assert (written.lost, set(written.failed), faults.made[WRITE]) == (set(), {0, 1}, [])


def test_past_the_deadline_throttled_statements_are_not_sent_again(faults: Faults) -> None:
    faults.planned[WRITE] = [refusing("ThrottlingError", 1)]
    written = TABLE.write(inserts(2), deadline(False, True))
    assert (set(written.failed), len(faults.made[WRITE])) == ({1}, 1)


def test_positions_are_those_of_the_writes_in_whatever_call_they_go(faults: Faults) -> None:
    def full(call: Call, arguments: dict[str, Any]) -> Any:
        names = [each["Parameters"][0]["S"] for each in arguments["Statements"]]
        unlucky = [each for each, name in enumerate(names) if name in ("stu_3", "stu_27", "stu_59")]
        return refusing("ValidationError", *unlucky)(call, arguments)

    faults.planned[WRITE] = [full] * 3
    assert set(TABLE.write(inserts(60), LONG).failed) == {3, 27, 59}


def test_nothing_to_read_or_write_is_no_call(faults: Faults) -> None:
    assert TABLE.read([], NOW, LONG).states == {}
    assert TABLE.write([], LONG).failed == {}
    assert not faults.made


# -- moves ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def moving() -> Iterator[None]:
    """Facts move to the tail in every write with news."""
    with always_moving():
        yield


def moved(faults: Faults) -> list[list[str]]:
    """The students of each transaction, in order."""
    return [
        [action["Put"]["Item"]["entity_id"]["S"] for action in call["TransactItems"][::2]] for call in faults.made[MOVE]
    ]


def tail_of(faults: Faults, student: str) -> Attributes:
    return faults.aws.state[f"tail#student#{student}", "facts"]


@pytest.mark.usefixtures("moving")
def test_a_move_writes_the_item_and_its_tail_on_condition_of_the_version_that_was_read(faults: Faults) -> None:
    (first,) = inserts(1)
    (second,) = writes([first.after], age=DAY_MS)
    assert (first.moves, second.moves) == (True, True)
    for write in (first, second):
        written = TABLE.write([write], LONG)
        assert (written.lost, written.failed, written.cancelled) == (set(), {}, 0)
    new, known = (call["TransactItems"] for call in faults.made[MOVE])
    assert not faults.made[WRITE]
    assert [action["Put"]["TableName"] for action in (*new, *known)] == [NAME, STATE, NAME, STATE]
    assert new[0]["Put"]["ConditionExpression"] == "attribute_not_exists(entity_id)"
    assert known[0]["Put"]["ConditionExpression"] == "version = :version"
    assert known[0]["Put"]["ExpressionAttributeValues"] == {":version": {"N": "1"}}
    assert all("ConditionExpression" not in tail["Put"] for _, tail in (new, known))
    for (item, tail), write in ((new, first), (known, second)):
        assert item["Put"]["Item"] == write.after.stored
        assert tail["Put"]["Item"] == tail_attributes(write.after.key, write.after.tail)
        assert item["Put"]["Item"]["tail"] == tail["Put"]["Item"]["generation"]
    assert faults.aws.items["student", "stu_0"] == second.after.stored
    assert tail_of(faults, "stu_0")["facts"] == {"B": second.after.tail.facts.blob}
    assert "facts" not in second.after.stored


def test_other_writes_than_moves_stay_statements(faults: Faults) -> None:
    kept = inserts(3)
    with always_moving():
        (move,) = writes([State(EntityKey("student", "stu_9"))])
    assert TABLE.write([*kept[:2], move, kept[2]], LONG) == table.Written()
    assert (moved(faults), [len(call["Statements"]) for call in faults.made[WRITE]]) == ([["stu_9"]], [3])


@pytest.mark.usefixtures("moving")
def test_moves_go_in_twenty_fives_fifty_actions_a_transaction(faults: Faults) -> None:
    assert TABLE.write(inserts(60), LONG) == table.Written()
    assert sorted(map(len, moved(faults))) == [10, 25, 25]
    assert len(faults.aws.items) == len(faults.aws.state) == 60


@pytest.mark.usefixtures("moving")
def test_a_transaction_has_no_more_than_4_mb_of_items(faults: Faults) -> None:
    def large(write: Write) -> Write:
        stored = write.after.stored | {"outbox": {"L": [{"S": "x" * 300_000}]}}
        return replace(write, after=replace(write.after, stored=stored))

    assert TABLE.write(list(map(large, inserts(30))), LONG) == table.Written()
    sizes = [sum(size_of(each["Put"]["Item"]) for each in call["TransactItems"]) for call in faults.made[MOVE]]
    assert sorted(map(len, moved(faults))) == [4, 13, 13]
    assert max(sizes) <= 4_000_000


@pytest.mark.usefixtures("moving")
def test_a_move_that_lost_its_race_cancels_the_others_which_are_tried_again(faults: Faults) -> None:
    stale, *others = inserts(3)
    (winner,) = writes([State(students(1)[0])], age=DAY_MS)
    TABLE.write([winner], LONG)
    tail = tail_of(faults, "stu_0")
    written = TABLE.write([others[0], stale, others[1]], LONG)
    assert (written.lost, written.failed, written.cancelled) == ({1}, {}, 1)
    assert moved(faults) == [["stu_0"], ["stu_1", "stu_0", "stu_2"], ["stu_1", "stu_2"]]
    assert faults.aws.items["student", "stu_0"] == winner.after.stored
    assert tail_of(faults, "stu_0") is tail
    assert tail_of(faults, "stu_1")["generation"] == faults.aws.items["student", "stu_1"]["tail"]


def cancelling(code: str, action: int) -> Fault:
    """A TransactWriteItems that is cancelled because of one of its actions."""

    def fault(_: Call, arguments: dict[str, Any]) -> Any:
        reasons = [{"Code": "None"} for _ in arguments["TransactItems"]]
        reasons[action] = {"Code": code, "Message": "Refused"}
        raise cancelled(reasons)

    return fault


@pytest.mark.usefixtures("moving")
@pytest.mark.parametrize("action", [2, 3], ids=["item", "tail"])
@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "InternalServerError",
        "TransactionConflict",
    ],
)
def test_a_transaction_that_was_throttled_or_in_conflict_is_tried_again(faults: Faults, code: str, action: int) -> None:
    faults.planned[MOVE] = [cancelling(code, action), cancelling(code, action)]
    written = TABLE.write(inserts(3), LONG)
    assert (written.lost, written.failed, written.cancelled) == (set(), {}, 2)
    assert len(moved(faults)) == 3
    assert len(faults.aws.items) == len(faults.aws.state) == 3


@pytest.mark.usefixtures("moving")
def test_a_transaction_that_is_in_conflict_for_good_is_failed(faults: Faults) -> None:
    faults.planned[MOVE] = [cancelling("TransactionConflict", 0)] * 99
    written = TABLE.write(inserts(2), LONG)
    assert written.failed == dict.fromkeys((0, 1), f"{NAME} did not take the write in time")
    assert (len(faults.made[MOVE]), written.cancelled) == (6, 6)
    assert not faults.aws.items


@pytest.mark.usefixtures("moving")
@pytest.mark.parametrize("action", [2, 3], ids=["item", "tail"])
def test_a_move_refused_for_good_is_failed_alone(faults: Faults, action: int) -> None:
    faults.planned[MOVE] = [cancelling("ItemCollectionSizeLimitExceeded", action)]
    written = TABLE.write(inserts(3), LONG)
    assert (written.lost, written.failed) == (set(), {1: "ItemCollectionSizeLimitExceeded: Refused"})
    assert set(faults.aws.items) == {("student", "stu_0"), ("student", "stu_2")}


@pytest.mark.usefixtures("moving")
def test_a_transaction_that_is_refused_fails_its_moves(faults: Faults) -> None:
    faults.planned[MOVE] = [down]
    written = TABLE.write(inserts(2), LONG)
    assert set(written.failed) == {0, 1}
    assert all(reason.startswith(f"writing to {NAME}: ") for reason in written.failed.values())
    assert written.cancelled == 0


@pytest.mark.usefixtures("moving")
def test_past_the_deadline_nothing_is_moved(faults: Faults) -> None:
    written = TABLE.write(inserts(2), deadline(True))
    assert (set(written.failed), faults.made[MOVE]) == ({0, 1}, [])


def broken(call: Call, arguments: dict[str, Any]) -> Any:
    """The call is carried out, and its answer is that the service had an error."""
    call(**arguments)
    raise ClientError({"Error": {"Code": "InternalServerError", "Message": "Later"}}, "TransactWriteItems")


@pytest.mark.usefixtures("moving")
def test_a_move_whose_answer_was_lost_is_failed_and_the_next_read_brings_it(faults: Faults) -> None:
    (write,) = inserts(1)
    faults.planned[MOVE] = [broken]
    assert set(TABLE.write([write], LONG).failed) == {0}
    assert TABLE.read(students(1), NOW, LONG).states == {write.after.key: write.after}


@pytest.mark.usefixtures("moving")
def test_a_transaction_that_the_sdk_sends_again_has_its_token_and_is_carried_out_once(
    deployment: Deployment, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(deployment.aws)
    twice = OverHttp(faults, codec, Config(retries={"mode": "standard", "total_max_attempts": 2}))
    monkeypatch.setattr("functions.aws.clients.make", twice.client)
    faults.planned[MOVE] = [broken]
    first, second = inserts(2)
    assert TABLE.write([first], LONG) == table.Written()
    assert TABLE.write([second], LONG) == table.Written()
    tokens = [call["ClientRequestToken"] for call in faults.made[MOVE]]
    assert tokens[0] == tokens[1] != tokens[2]
    assert faults.aws.calls["move"] == 2


@pytest.mark.usefixtures("moving")
def test_a_move_that_lost_its_race_is_read_again_and_decided_again(deployment: Deployment, faults: Faults) -> None:
    def call(name: str) -> bytes:
        return event_json("ib_call_logged", {"student_id": "stu_1", "call_id": name}, timestamp=to_iso(NOW - DAY_MS))

    def another() -> None:
        with nothing_kept():
            assert deployment.deliver(call("c2")) == []

    assert deployment.deliver(call("c1")) == []
    reads = len(faults.made[READ])
    faults.planned[MOVE] = [after(another)]
    assert deployment.deliver(call("c3")) == []
    assert deployment.item("student", "stu_1")["ib_calls_7d"] == 3
    assert moved(faults) == [["stu_1"]] * 4
    assert len(faults.made[READ]) > reads + 2


# -- reading tails ----------------------------------------------------------------------------------------------------


@pytest.fixture
def moved_twice(faults: Faults, moving: None) -> list[State]:
    """The states of a student after each of two moves, the later of them in the tables, forgotten by the process."""
    (first,) = inserts(1)
    (second,) = writes([first.after], age=DAY_MS)
    for write in (first, second):
        assert TABLE.write([write], LONG) == table.Written()
    table._remembered._drop(first.after.key)
    faults.made.clear()
    return [first.after, second.after]


def read_tables(faults: Faults) -> list[str]:
    return [name for call in faults.made[READ] for name in call["RequestItems"]]


def test_a_tail_is_read_after_its_item_unless_it_is_remembered(faults: Faults, moved_twice: list[State]) -> None:
    key = students(1)[0]
    assert TABLE.read([key], NOW, LONG).states == {key: moved_twice[1]}
    assert read_tables(faults) == [NAME, STATE]
    assert all(request["ConsistentRead"] for call in faults.made[READ] for request in call["RequestItems"].values())
    faults.aws.items["student", "stu_0"]["ib_calls_7d"] = {"N": "99"}
    assert TABLE.read([key], NOW, LONG).states[key].tail == moved_twice[1].tail
    assert read_tables(faults) == [NAME, STATE, NAME]


def test_a_tail_that_has_changed_since_its_item_was_read_makes_both_read_again(
    faults: Faults, moved_twice: list[State]
) -> None:
    first, second = moved_twice
    faults.aws.items["student", "stu_0"] = first.stored

    def meanwhile() -> None:
        faults.aws.items["student", "stu_0"] = second.stored

    faults.planned[READ] = [None, after(meanwhile)]
    assert TABLE.read([second.key], NOW, LONG).states == {second.key: second}
    assert read_tables(faults) == [NAME, STATE, NAME, STATE]


def test_a_remembered_tail_of_another_generation_is_not_taken(faults: Faults, moved_twice: list[State]) -> None:
    first, second = moved_twice
    table._remembered.keep([first])
    assert TABLE.read([second.key], NOW, LONG).states == {second.key: second}
    assert read_tables(faults) == [NAME, STATE]


@pytest.mark.parametrize("stored", ["another", "none"])
def test_an_item_without_the_tail_that_it_names_is_failed(
    faults: Faults, moved_twice: list[State], stored: str
) -> None:
    first, second = moved_twice
    if stored == "none":
        del faults.aws.state["tail#student#stu_0", "facts"]
    else:
        faults.aws.items["student", "stu_0"] = first.stored
    read = TABLE.read([first.key, *students(2)[1:]], NOW, LONG)
    assert set(read.states) == {students(2)[1]}
    reason = f"{NAME} did not give the item, and its tail of the generation that the item names, in time"
    assert read.failed == {second.key: reason}
    assert len(faults.made[READ]) == 12


def test_a_tail_whose_facts_have_all_expired_is_not_read(faults: Faults, moved_twice: list[State]) -> None:
    del faults.aws.state["tail#student#stu_0", "facts"]
    key, generation = moved_twice[1].key, moved_twice[1].tail.generation
    assert TABLE.read([key], ends_ms(generation) - 1, LONG).states == {}
    faults.made.clear()
    state = TABLE.read([key], ends_ms(generation), LONG).states[key]
    assert (state.tail, read_tables(faults)) == (Tail(generation), [NAME])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"facts": {"B": b"\x09"}}, "facts are stored in format version 9"),
        ({"facts": {"S": "none"}}, "KeyError('B')"),
        ({"folded_before": {"X": "monday"}}, "ValueError"),
    ],
)
def test_a_damaged_tail_fails_its_item_alone(
    faults: Faults, moved_twice: list[State], change: dict[str, Any], said: str
) -> None:
    (other,) = inserts(2)[1:]
    TABLE.write([other], LONG)
    tail_of(faults, "stu_0").update(change)
    read = TABLE.read(students(2), NOW, LONG)
    assert set(read.states) == {other.after.key}
    reason = read.failed[moved_twice[1].key]
    assert reason.startswith("the stored tail is not readable and is left as it is: ")
    assert said in reason


def test_a_tail_that_cannot_be_read_fails_its_item(faults: Faults, moved_twice: list[State]) -> None:
    faults.planned[READ] = [None, down]
    read = TABLE.read([moved_twice[1].key], NOW, LONG)
    (reason,) = read.failed.values()
    assert reason.startswith(f"reading from {STATE}: ")
    assert read.states == {}


# -- with botocore's own checks ---------------------------------------------------------------------------------------


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """A real client whose answers are given; botocore checks parameters and answers against the service's model."""
    real = boto3.client("dynamodb", region_name="us-east-1")
    monkeypatch.setattr(table, "client", lambda _: real)
    with Stubber(real) as stub:
        yield stub


def test_statements_and_answers_are_such_as_dynamodb_knows(stubbed: Stubber) -> None:
    first, second = inserts(2)
    (update,) = writes([second.after], age=DAY_MS)
    lost = {"Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}}
    stubbed.add_response(WRITE, {"Responses": [{"TableName": NAME}, lost]})
    written = TABLE.write([first, update], LONG)
    assert (written.lost, written.failed) == ({1}, {})
    stubbed.assert_no_pending_responses()


def test_a_call_refused_as_dynamodb_refuses_it_fails_its_statements(stubbed: Stubber) -> None:
    stubbed.add_client_error(WRITE, "ProvisionedThroughputExceededException", "Slow down", 400)
    assert set(TABLE.write(inserts(2), LONG).failed) == {0, 1}


def test_items_are_read_from_a_table(moto: None) -> None:
    made = inserts(120)
    dynamodb = boto3.client("dynamodb")
    keys = {"entity_id": "HASH", "entity_type": "RANGE"}
    dynamodb.create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    for write in made[:110]:
        dynamodb.put_item(TableName=NAME, Item=write.after.stored)
    read = TABLE.read(students(120), NOW, LONG)
    assert read.failed == {}
    assert read.states == {
        **{write.after.key: write.after for write in made[:110]},
        **{key: State(key) for key in students(120)[110:]},
    }


def test_a_table_that_is_not_there_fails_its_keys(moto: None) -> None:
    (reason,) = TABLE.read(students(1), NOW, LONG).failed.values()
    assert "ResourceNotFoundException" in reason


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_an_item_that_is_read_as_it_was_written_is_not_parsed_again(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = inserts(2)
    TABLE.write(made, LONG)
    monkeypatch.setattr(table, "parse", not_called)
    assert [TABLE.read(students(2), NOW, LONG).states[each.after.key] is each.after for each in made] == [True, True]


def test_an_item_that_others_have_written_meanwhile_is_parsed(faults: Faults) -> None:
    (made,) = inserts(1)
    TABLE.write([made], LONG)
    faults.aws.items["student", "stu_0"]["sessions_7d"] = {"N": "99"}
    state = TABLE.read(students(1), NOW, LONG).states[made.after.key]
    assert state.stored["sessions_7d"] == {"N": "99"}
    assert state is not made.after


def test_what_was_not_written_is_not_remembered(faults: Faults) -> None:
    (made,) = inserts(1)
    faults.planned[WRITE] = [refusing("ValidationError", 0)]
    TABLE.write([made], LONG)
    assert TABLE.read(students(1), NOW, LONG).states[made.after.key].version == 0


def test_the_oldest_are_forgotten_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MOST_REMEMBERED_BYTES", 20_000)
    remembered = table._Remembered()
    states = [write.after for write in inserts(3)]
    remembered.keep(states)
    again = [remembered.state(each.key, dict(each.stored)) is each for each in states]
    assert again == [False, True, True]


def not_called(*_: object) -> None:
    raise AssertionError("it was parsed")
