"""The same cases before each DynamoDB: what the functions' own statements, transactions and wakes come to.

The model, by which all else is tested, must answer as the servers do. Limits, tokens, TTL and indexes are the servers'
alone.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.aws.clients import client
from functions.aws.table import Written
from functions.entities import tails, wakes
from functions.entities.arrivals import Arrivals, gather
from functions.entities.fact_columns import FactColumns, facts_of
from functions.entities.item import State
from functions.entities.plan import Rules, Write, plan
from functions.entities.wakes import Wake
from functions.events.decode import decode
from functions.model import DAY_MS, HOUR_MS, SECOND_MS, EntityKey, to_iso
from tests.helpers.deployment import NOW, event_json, record
from tests.storage.conftest import SERVERS, Engine, deadline

RULES = Rules()
ON_SERVERS = pytest.mark.parametrize("engine", SERVERS, indirect=True)
KIB = 1_024
TOO_LARGE = {"padding": {"B": bytes(400 * KIB)}}
"""With any key more than an item takes."""


def arrivals(*events: bytes) -> Arrivals:
    batch = decode([record(data, position) for position, data in enumerate(events)], 600_000)
    assert not batch.rejections
    return gather(batch.events)


def session(student: str, number: int) -> bytes:
    payload = {"session_id": f"{student[:9]}-{number}", "student_id": student}
    return event_json("session_started", payload, timestamp=to_iso(NOW - 3 * DAY_MS))


def completion(student: str, number: int) -> bytes:
    payload = {"session_id": f"{student[:9]}-{number}", "student_id": student, "student_rating": 4}
    return event_json("session_completed", payload, timestamp=to_iso(NOW - 3 * DAY_MS + HOUR_MS))


@pytest.fixture(autouse=True)
def _moving_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts move as soon as there are more than eight in a head."""
    monkeypatch.setattr(tails, "MOST_RECENT_ROWS", 8)


def planned(states: Sequence[State], *events: bytes) -> list[Write]:
    """The writes for students as they are stored, each named in the events."""
    arriving = arrivals(*events)
    by_key = {state.key: state for state in states}
    writes = plan([by_key[key] for key in arriving.keys], arriving, NOW, NOW, RULES).writes.values()
    return sorted(writes, key=lambda write: [state.key for state in states].index(write.after.key))


def adding(engine: Engine, *names: str) -> list[Write]:
    """Writes of a new session for each of these students, as statements."""
    writes = planned(engine.states(*names), *(session(name, 1_000) for name in names))
    assert not any(write.moves for write in writes)
    return writes


def moving(engine: Engine, *names: str) -> list[Write]:
    """Writes of so many new sessions for each of these students that each is a transaction."""
    writes = planned(engine.states(*names), *(session(name, number) for name in names for number in range(30)))
    assert all(write.moves for write in writes)
    return writes


def versions(engine: Engine, *names: str) -> list[tuple[int, bool]]:
    """Of each student the version, and whether there is a tail."""
    return [(state.version, state.tail.generation > 0) for state in engine.states(*names)]


def things(part: FactColumns) -> set[tuple[int, int]]:
    return {(fact.kind, fact.id) for fact in facts_of(part)}


# -- one call's answer -------------------------------------------------------------------------------------------------


def sent(engine: Engine, writes: Sequence[Write]) -> list[str | None]:
    """The code for each statement of a call, or for each action of a transaction: what AWS says, before any retry."""
    table, dynamodb = engine.metrics_table, client("dynamodb")
    if not writes[0].moves:
        answer = dynamodb.batch_execute_statement(Statements=[table._statement(write) for write in writes])
        return [response.get("Error", {}).get("Code") for response in answer["Responses"]]
    actions = [action for write in writes for action in table._actions(write)]
    try:
        dynamodb.transact_write_items(TransactItems=actions)
    except ClientError as error:
        reasons: Any = error.response["CancellationReasons"]
        codes = [str(reason["Code"]) for reason in reasons]
        return [None if code == "None" else code for code in codes]
    return [None] * len(actions)


Make = Callable[..., list[Write]]


@dataclass(frozen=True)
class Case:
    """Four students and one call with a write for each; what became of them before it, by position."""

    kind: Make
    """What the call holds: statements or moves."""
    inserted: frozenset[int] = frozenset()
    """Students whose items are made after the call's writes were planned."""
    changed: frozenset[int] = frozenset()
    """Students whose items are there, and change after the call's writes were planned."""
    deleted: frozenset[int] = frozenset()
    """Students whose items are there, and are deleted after the call's writes were planned."""
    there: frozenset[int] = frozenset()
    """Students whose items are there, and stay as they are."""
    codes: tuple[str | None, ...] = ()
    """The answer."""
    committed: frozenset[int] = frozenset()
    """Which of the call's writes are in the table afterwards."""


LOST = "ConditionalCheckFailed"
CASES = {
    "new items": Case(adding, codes=(None,) * 4, committed=frozenset(range(4))),
    "changed items": Case(adding, there=frozenset(range(4)), codes=(None,) * 4, committed=frozenset(range(4))),
    "an item that another has made": Case(
        adding, inserted=frozenset({2}), codes=(None, None, "DuplicateItem", None), committed=frozenset({0, 1, 3})
    ),
    "items that others have changed": Case(
        adding,
        there=frozenset({1, 2}),
        changed=frozenset({0, 3}),
        codes=(LOST, None, None, LOST),
        committed=frozenset({1, 2}),
    ),
    "an item that another has deleted": Case(
        adding, deleted=frozenset({1}), codes=(None, LOST, None, None), committed=frozenset({0, 2, 3})
    ),
    "all at once": Case(
        adding,
        inserted=frozenset({0}),
        changed=frozenset({1}),
        deleted=frozenset({2}),
        codes=("DuplicateItem", LOST, LOST, None),
        committed=frozenset({3}),
    ),
    "new items that move": Case(moving, codes=(None,) * 8, committed=frozenset(range(4))),
    "items that move": Case(moving, there=frozenset(range(4)), codes=(None,) * 8, committed=frozenset(range(4))),
    "a move of an item that another has made": Case(
        moving, inserted=frozenset({1}), codes=(None, None, LOST, None, None, None, None, None)
    ),
    "a move of an item that another has changed": Case(
        moving, there=frozenset({0}), changed=frozenset({3}), codes=(None, None, None, None, None, None, LOST, None)
    ),
    "a move of an item that another has deleted": Case(
        moving, deleted=frozenset({0}), codes=(LOST, None, None, None, None, None, None, None)
    ),
    "moves that others have overtaken": Case(
        moving,
        inserted=frozenset({0}),
        changed=frozenset({1}),
        deleted=frozenset({2}),
        codes=(LOST, None, LOST, None, LOST, None, None, None),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer(engine: Engine, case: Case) -> None:
    names = [f"stu_{number}" for number in range(4)]
    for number in case.there | case.changed | case.deleted:
        assert not engine.processor.run(arrivals(session(names[number], 2_000)), deadline()).failed
    writes = case.kind(engine, *names)
    for number in case.inserted | case.changed:
        assert not engine.processor.run(arrivals(session(names[number], 3_000)), deadline()).failed
    for number in case.deleted:
        delete(engine, names[number])
    before = engine.states(*names)

    assert sent(engine, writes) == list(case.codes)

    after = engine.states(*names)
    expected = [writes[number].after if number in case.committed else state for number, state in enumerate(before)]
    assert after == expected


def delete(engine: Engine, name: str) -> None:
    """Delete an item, which the functions never do."""
    if engine.name == "model":
        del engine.aws.items["student", name]
        return
    key = {"entity_id": {"S": name}, "entity_type": {"S": "student"}}
    engine.dynamodb.delete_item(TableName=engine.metrics_table._name, Key=key)


# -- what the functions make of it -------------------------------------------------------------------------------------


def test_of_moves_in_one_transaction_those_that_lost_are_lost_and_the_sound_ones_are_made(engine: Engine) -> None:
    names = [f"stu_{number}" for number in range(30)]
    writes = moving(engine, *names)
    stolen = {3, 17, 28}
    table = engine.metrics_table
    assert table.write(adding(engine, *(names[number] for number in stolen)), deadline()) == Written()

    assert table.write(writes, deadline()) == Written(lost=stolen, cancelled=2)
    assert versions(engine, *names) == [(1, number not in stolen) for number in range(30)]


def test_an_item_and_its_tail_are_read_as_they_were_written(engine: Engine) -> None:
    (write,) = moving(engine, "stu_1")
    assert engine.metrics_table.write([write], deadline()) == Written()
    assert engine.states("stu_1") == [write.after]


def test_statements_and_transactions_that_race_for_one_item_lose_nothing_and_double_nothing(engine: Engine) -> None:
    name = "stu_hot"
    assert not engine.processor.run(arrivals(*(session(name, number) for number in range(30))), deadline()).failed
    (begun,) = engine.states(name)
    in_tail = things(begun.tail.facts)
    assert len(in_tail) > 8

    def complete() -> int:
        """Ends sessions whose facts are in the tail, one a batch: each is a transaction."""
        outcomes = [engine.processor.run(arrivals(completion(name, number)), deadline()) for number in range(30)]
        assert not any(outcome.failed for outcome in outcomes)
        return sum(outcome.conflicts + outcome.cancelled for outcome in outcomes)

    def add() -> int:
        outcomes = [engine.processor.run(arrivals(session(name, number)), deadline()) for number in range(30, 60)]
        assert not any(outcome.failed for outcome in outcomes)
        return sum(outcome.conflicts + outcome.cancelled for outcome in outcomes)

    with ThreadPoolExecutor(2) as pool:
        raced = [future.result() for future in (pool.submit(complete), pool.submit(add))]

    (state,) = engine.states(name)
    assert (state.stored["sessions_7d"], state.stored["ratings_30d"]) == ({"N": "60"}, {"N": "30"})
    recent, older = things(state.facts), things(state.tail.facts)
    assert recent.isdisjoint(older)
    assert len(recent | older) == 60
    assert engine.name == "model" or sum(raced) > 0, "nobody raced"


# -- wakes -------------------------------------------------------------------------------------------------------------

DUE = NOW // SECOND_MS


def wakes_of(count: int, ids: int = 1, due: int = DUE, lane: int = 0) -> list[Wake]:
    """Wakes a second apart, with so many entities each."""
    return [
        Wake(lane, due + number, tuple(EntityKey("student", f"stu_{each:06}") for each in range(ids)))
        for number in range(count)
    ]


def due_at(engine: Engine, now: int, lane: int = 0) -> list[Wake]:
    return [wakes.parse(stored) for stored in engine.state_table.due_wakes(lane, now)]


def test_wakes_are_written_read_in_order_page_by_page_and_deleted(engine: Engine) -> None:
    """A page of a query ends at a mebibyte; each of these wakes has some sixty kilobytes."""
    table = engine.state_table
    large, small = wakes_of(40, ids=4_000, due=DUE - 1_000), wakes_of(60, due=DUE - 29)
    elsewhere = wakes_of(3, lane=1)
    assert table.put_wakes([*small[::-1], *elsewhere, *large[::-1]], deadline()) == {}

    assert due_at(engine, DUE) == [*large, *small[:30]]
    assert due_at(engine, DUE, lane=1) == elsewhere[:1]
    assert due_at(engine, DUE, lane=2) == []
    if engine.name != "model":
        query = engine.dynamodb.query(
            TableName=table._name,
            KeyConditionExpression="pk = :lane",
            ExpressionAttributeValues={":lane": {"S": wakes.lane_key(0)}},
        )
        assert "LastEvaluatedKey" in query, "one page holds all of them"
    assert table.delete_wakes([*large, *small[:29], *wakes_of(1, due=DUE + 999)], deadline()) == {}
    assert due_at(engine, DUE) == small[29:30]
    assert due_at(engine, DUE + 1_000) == small[29:]


def test_a_wake_that_is_written_twice_is_one(engine: Engine) -> None:
    for _ in range(2):
        assert engine.state_table.put_wakes(wakes_of(3), deadline()) == {}
    assert due_at(engine, DUE + 9) == wakes_of(3)


def test_the_number_of_lanes_is_kept(engine: Engine) -> None:
    assert [engine.state_table.lanes_ever(lanes) for lanes in (4, 2, 8, 1)] == [4, 4, 8, 8]


# -- what servers alone know -------------------------------------------------------------------------------------------


@ON_SERVERS
def test_a_transaction_whose_answer_is_lost_is_repeated_under_its_token_and_is_no_conflict(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb = client("dynamodb")
    http = dynamodb._endpoint.http_session
    send, lose, tokens = http.send, iter([True]), []

    def send_and_lose(request: Any) -> Any:
        answer = send(request)
        if request.headers["X-Amz-Target"] == b"DynamoDB_20120810.TransactWriteItems":
            tokens.append(request.body)
            if next(lose, False):
                raise ReadTimeoutError(endpoint_url=request.url)
        return answer

    writes = moving(engine, "stu_1", "stu_2")
    monkeypatch.setattr(http, "send", send_and_lose)
    assert engine.metrics_table.write(writes, deadline()) == Written()
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]
    assert engine.states("stu_1", "stu_2") == [write.after for write in writes]


@ON_SERVERS
def test_a_token_is_for_one_transaction(engine: Engine) -> None:
    one, other = moving(engine, "stu_1", "stu_2")

    def transact(write: Write) -> None:
        actions = engine.metrics_table._actions(write)
        client("dynamodb").transact_write_items(TransactItems=actions, ClientRequestToken="the same")

    for _ in range(2):
        transact(one)
    with pytest.raises(ClientError, match="IdempotentParameterMismatchException"):
        transact(other)
    assert versions(engine, "stu_1", "stu_2") == [(1, True), (0, False)]


def larger(write: Write, attributes: dict[str, Any]) -> Write:
    """The write with more attributes than it was planned with."""
    after = replace(write.after, stored=write.after.stored | attributes)
    return replace(write, after=after, changes={**write.changes, **attributes})


@ON_SERVERS
@pytest.mark.parametrize("there", [False, True], ids=["insert", "update"])
def test_a_statement_for_too_large_an_item_fails_and_its_neighbours_are_written(engine: Engine, there: bool) -> None:
    names = ["stu_1", "stu_2", "stu_3"]
    if there:
        assert not engine.processor.run(arrivals(*(session(name, 2_000) for name in names)), deadline()).failed
    one, two, three = adding(engine, *names)
    written = engine.metrics_table.write([one, larger(two, TOO_LARGE), three], deadline())
    assert (written.lost, list(written.failed)) == (set(), [1])
    assert "size" in written.failed[1]
    assert engine.states(*names) == [one.after, two.before, three.after]


@ON_SERVERS
def test_a_transaction_with_too_large_an_item_writes_nothing_and_fails(engine: Engine) -> None:
    one, two = moving(engine, "stu_1", "stu_2")
    written = engine.metrics_table.write([larger(two, TOO_LARGE)], deadline())
    assert (written.lost, list(written.failed)) == (set(), [0])
    assert "size" in written.failed[0]
    assert engine.metrics_table.write([one], deadline()) == Written()
    assert versions(engine, "stu_1", "stu_2") == [(1, True), (0, False)]


@ON_SERVERS
def test_moves_of_more_than_4_mb_are_taken(engine: Engine) -> None:
    names = [f"stu_{number:02}" for number in range(25)]
    writes = [larger(write, {"padding": {"S": "x" * 170 * KIB}}) for write in moving(engine, *names)]
    assert engine.metrics_table.write(writes, deadline()) == Written()
    assert versions(engine, *names) == [(1, True)] * 25


def test_the_longest_id_has_an_item_a_tail_and_a_wake(engine: Engine) -> None:
    name = "é" * 512
    (write,) = moving(engine, name)
    assert engine.metrics_table.write([write], deadline()) == Written()
    assert engine.states(name) == [write.after]
    wake = Wake(0, DUE, (EntityKey("student", name),))
    assert engine.state_table.put_wakes([wake], deadline()) == {}
    assert due_at(engine, DUE) == [wake]


@ON_SERVERS
def test_what_expires_says_when_in_whole_seconds_for_ttl(engine: Engine) -> None:
    name = engine.state_table._name
    setting = {"AttributeName": "expires", "Enabled": True}
    assert (
        engine.dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=setting)["TimeToLiveSpecification"]
        == setting
    )
    (write,) = moving(engine, "stu_1")
    engine.metrics_table.write([write], deadline())
    engine.state_table.put_wakes(wakes_of(1), deadline())
    engine.state_table.lanes_ever(4)
    description = engine.dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert description["AttributeName"] == "expires"
    assert description["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    expires = {
        item["pk"]["S"].partition("#")[0]: item.get("expires")
        for item in engine.dynamodb.scan(TableName=name, ConsistentRead=True)["Items"]
    }
    generation = write.after.tail.generation
    assert expires == {
        "tail": {"N": str((generation + 33 * DAY_MS) // SECOND_MS)},
        "wake": {"N": str(DUE + 30 * DAY_MS // SECOND_MS)},
        "lanes": None,
    }


@ON_SERVERS
def test_an_index_gives_keys_and_nothing_else(engine: Engine) -> None:
    reports = [
        event_json(
            "customer_health_update", {"student_id": f"stu_{score}", "health_score": score}, timestamp=to_iso(NOW)
        )
        for score in (80, 90.5, 75)
    ]
    assert not engine.processor.run(arrivals(*reports), deadline()).failed
    found = engine.dynamodb.query(
        TableName=engine.metrics_table._name,
        IndexName="EntityTypeHealthIndex",
        KeyConditionExpression="entity_type = :type AND health_score > :score",
        ExpressionAttributeValues={":type": {"S": "student"}, ":score": {"N": "75"}},
    )["Items"]
    assert found == [
        {"entity_id": {"S": f"stu_{score}"}, "entity_type": {"S": "student"}, "health_score": {"N": score}}
        for score in ("80", "90.5")
    ]
