"""The internal table: wakes are written and deleted in twenty-fives, and read lane by lane, oldest first."""

from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.aws import state_table
from functions.aws.deadline import Deadline
from functions.aws.state_table import StateTable
from functions.entities import wakes
from functions.entities.wakes import Wake
from functions.model import EntityKey
from tests.helpers.deployment import ENVIRONMENT, NOW
from tests.helpers.faulty_aws import Call, Fault, Faults, down, lost_answer
from tests.helpers.metrics_table import make_state_table

NAME = ENVIRONMENT["STATE_TABLE_NAME"]
TABLE = StateTable(NAME)
LONG = Deadline(lambda: 120_000)
WRITE = "batch_write_item"
DUE = NOW // 1_000


def deadline(*passed: bool) -> Deadline:
    """A deadline that answers like this and then the same for ever."""
    left = chain([120_000], (0 if each else 120_000 for each in passed), repeat(0 if passed[-1] else 120_000))
    return Deadline(lambda: next(left))


def wakes_of(count: int, lane: int = 0, due: int = DUE) -> list[Wake]:
    """Wakes of one student each, a second apart."""
    return [Wake(lane, due + number, (EntityKey("student", f"stu_{number}"),)) for number in range(count)]


def stored(faults: Faults) -> list[Wake]:
    return [wakes.parse(faults.aws.state[key]) for key in sorted(faults.aws.state)]


def unprocessed(*which: int) -> Fault:
    """A BatchWriteItem that leaves these requests undone."""

    def fault(call: Call, arguments: dict[str, Any]) -> Any:
        requests = arguments["RequestItems"][NAME]
        if done := [each for number, each in enumerate(requests) if number not in which]:
            call(RequestItems={NAME: done})
        return {"UnprocessedItems": {NAME: [requests[each] for each in which]}}

    return fault


@pytest.fixture
def http(over_http: Faults) -> Faults:
    """By real clients of either codec."""
    return over_http


Change = Callable[[list[Wake], Deadline], dict[Wake, str]]
CHANGES = pytest.mark.parametrize("change", [TABLE.put_wakes, TABLE.delete_wakes], ids=["put", "delete"])


# -- writing ----------------------------------------------------------------------------------------------------------


def test_wakes_are_written_and_deleted_in_twenty_fives(http: Faults) -> None:
    made = wakes_of(60)
    assert TABLE.put_wakes(made, LONG) == {}
    assert stored(http) == made
    assert TABLE.delete_wakes(made[:55], LONG) == {}
    assert stored(http) == made[55:]
    sizes = [len(call["RequestItems"][NAME]) for call in http.made[WRITE]]
    assert (sorted(sizes[:3]), sorted(sizes[3:])) == ([10, 25, 25], [5, 25, 25])


def test_no_wakes_are_no_call(http: Faults) -> None:
    assert TABLE.put_wakes([], LONG) == TABLE.delete_wakes([], LONG) == {}
    assert not http.made


def test_to_delete_what_is_not_there_is_no_failure(http: Faults) -> None:
    assert TABLE.delete_wakes(wakes_of(2), LONG) == {}


@CHANGES
def test_unprocessed_requests_alone_are_sent_again(http: Faults, change: Change) -> None:
    http.planned[WRITE] = [unprocessed(1, 3), unprocessed(0)]
    made = wakes_of(4)
    assert change(made, LONG) == {}
    sent = [[state_table._key_of_request(each)[1] for each in call["RequestItems"][NAME]] for call in http.made[WRITE]]
    keys = [wakes.key_of(wake)["sk"]["S"] for wake in made]
    assert sent == [keys, [keys[1], keys[3]], [keys[1]]]
    assert stored(http) == (made if change == TABLE.put_wakes else [])


@CHANGES
def test_what_stays_unprocessed_is_failed_alone(http: Faults, change: Change) -> None:
    http.planned[WRITE] = [unprocessed(1), *[unprocessed(0)] * 99]
    made = wakes_of(3)
    assert change(made, LONG) == {made[1]: f"{NAME} did not take the write in time"}
    assert len(http.made[WRITE]) == 6


@CHANGES
def test_a_call_that_fails_fails_its_wakes(http: Faults, change: Change) -> None:
    http.planned[WRITE] = [down]
    made = wakes_of(3)
    failed = change(made, LONG)
    assert list(failed) == made
    assert all(reason.startswith(f"writing to {NAME}: ") for reason in failed.values())
    assert all("ServiceUnavailable" in reason for reason in failed.values())
    assert len(http.made[WRITE]) == 1


def test_a_retry_that_fails_fails_what_was_still_to_be_written(http: Faults) -> None:
    http.planned[WRITE] = [unprocessed(1), down]
    made = wakes_of(3)
    assert list(TABLE.put_wakes(made, LONG)) == [made[1]]
    assert stored(http) == [made[0], made[2]]


def test_a_request_that_comes_back_in_another_form_is_still_known(faults: Faults) -> None:
    def written_otherwise(call: Call, arguments: dict[str, Any]) -> Any:
        (request,) = arguments["RequestItems"][NAME]
        item = request["PutRequest"]["Item"]
        item |= {"expires": {"N": f"{item['expires']['N']}.0"}}
        return {"UnprocessedItems": {NAME: [{"PutRequest": {"Item": item}}]}}

    made = wakes_of(1)
    faults.planned[WRITE] = [written_otherwise, down]
    assert list(TABLE.put_wakes(made, LONG)) == made


def test_a_call_that_fails_leaves_those_beside_it_alone(http: Faults) -> None:
    made = wakes_of(60)
    http.planned[WRITE] = [None, down]
    failed = TABLE.put_wakes(made, LONG)
    assert len(failed) in (10, 25)
    assert stored(http) == [wake for wake in made if wake not in failed]


@CHANGES
def test_when_the_answer_is_lost_the_wakes_count_as_failed(faults: Faults, change: Change) -> None:
    """Whoever calls does without them: it writes no item, or looks at the entities again."""
    faults.planned[WRITE] = [lost_answer]
    made = wakes_of(2)
    assert list(change(made, LONG)) == made
    assert stored(faults) == (made if change == TABLE.put_wakes else [])


def test_a_wake_that_is_written_again_is_the_same_item(http: Faults) -> None:
    for _ in range(2):
        assert TABLE.put_wakes(wakes_of(3), LONG) == {}
    assert stored(http) == wakes_of(3)


@CHANGES
def test_past_the_deadline_nothing_is_written(http: Faults, change: Change) -> None:
    made = wakes_of(2)
    assert change(made, deadline(True)) == dict.fromkeys(made, f"{NAME} did not take the write in time")
    assert not http.made


def test_past_the_deadline_unprocessed_requests_are_not_sent_again(http: Faults) -> None:
    http.planned[WRITE] = [unprocessed(1)]
    made = wakes_of(2)
    assert list(TABLE.put_wakes(made, deadline(False, True))) == [made[1]]
    assert len(http.made[WRITE]) == 1


# -- reading ----------------------------------------------------------------------------------------------------------


def test_what_is_due_of_a_lane_comes_page_by_page_oldest_first(faults: Faults) -> None:
    TABLE.put_wakes(wakes_of(60, due=DUE - 29), LONG)
    TABLE.put_wakes(wakes_of(5, lane=1, due=DUE - 100), LONG)
    found = [wakes.parse(each) for each in TABLE.due_wakes(0, DUE)]
    assert found == wakes_of(30, due=DUE - 29)
    assert list(TABLE.due_wakes(2, DUE)) == []


# -- lanes ------------------------------------------------------------------------------------------------------------


def test_lanes_that_were_ever_in_use_are_remembered(http: Faults) -> None:
    assert [TABLE.lanes_ever(lanes) for lanes in (4, 4, 2, 1, 8, 4)] == [4, 4, 4, 4, 8, 8]
    assert len(http.made["put_item"]) == 2, "once for each number that was raised"
    assert all(call["ConsistentRead"] for call in http.made["get_item"])


@pytest.mark.parametrize("operation", ["get_item", "put_item"])
def test_when_the_lanes_are_not_known_or_cannot_be_kept_nothing_is_read(http: Faults, operation: str) -> None:
    http.planned[operation] = [down]
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        TABLE.lanes_ever(4)
    assert TABLE.lanes_ever(4) == 4


def test_the_number_of_lanes_is_in_no_lane(faults: Faults) -> None:
    TABLE.lanes_ever(4)
    ((key, _),) = faults.aws.state
    assert key not in {wakes.lane_key(lane) for lane in range(wakes.MOST_LANES)}


# -- with botocore's own checks ---------------------------------------------------------------------------------------


def test_requests_and_answers_are_such_as_dynamodb_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    real = boto3.client("dynamodb", region_name="us-east-1")
    monkeypatch.setattr(state_table, "client", lambda _: real)
    monkeypatch.setattr("time.sleep", lambda _: None)
    one, other = wakes_of(2)
    left = {"PutRequest": {"Item": wakes.attributes_of(other)}}
    with Stubber(real) as stub:
        stub.add_response(WRITE, {"UnprocessedItems": {NAME: [left]}})
        stub.add_response(WRITE, {}, {"RequestItems": {NAME: [left]}})
        assert TABLE.put_wakes([one, other], LONG) == {}
        stub.add_client_error(WRITE, "ProvisionedThroughputExceededException", "Slow down", 400)
        assert set(TABLE.delete_wakes([one, other], LONG)) == {one, other}
        stub.assert_no_pending_responses()


@pytest.mark.usefixtures("moto")
def test_a_table_takes_gives_and_forgets_wakes() -> None:
    make_state_table(boto3.client("dynamodb"), NAME)
    made = wakes_of(60, due=DUE - 29)
    many = Wake(0, DUE - 100, tuple(EntityKey("student", f"stu_{number:05}") for number in range(5_000)), 2)
    assert TABLE.put_wakes([*made, *wakes_of(3, lane=1), many], LONG) == {}
    assert [wakes.parse(each) for each in TABLE.due_wakes(0, DUE)] == [many, *made[:30]]
    assert TABLE.delete_wakes([many, *made[:30]], LONG) == {}
    assert list(TABLE.due_wakes(0, DUE)) == []
    assert [wakes.parse(each) for each in TABLE.due_wakes(0, DUE + 100)] == made[30:]
    assert [TABLE.lanes_ever(lanes) for lanes in (4, 8, 2)] == [4, 8, 8]


@pytest.mark.usefixtures("moto")
def test_a_table_that_is_not_there_fails_its_wakes() -> None:
    (reason,) = TABLE.put_wakes(wakes_of(1), LONG).values()
    assert "ResourceNotFoundException" in reason
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        list(TABLE.due_wakes(0, DUE))
