"""Several processes on one entity at once, against a DynamoDB that is atomic: nothing lost, nothing counted twice."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.aws import clock
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.state_table import StateTable, Tails
from functions.aws.table import MetricsTable, Written
from functions.aws.update import Processor
from functions.entities import tails
from functions.entities.arrivals import Arrivals, gather
from functions.entities.fact_columns import FactColumns, facts_of
from functions.entities.item import State
from functions.entities.plan import Rules, Write, plan
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.events.decode import decode
from functions.model import EntityKey
from local.deploy import Deployment
from tests.e2e.conftest import InProcess
from tests.helpers.deployment import NOW, event_json, record

RULES = Rules()


def deadline() -> Deadline:
    return Deadline(lambda: 120_000)


def arrivals(*events: bytes) -> Arrivals:
    batch = decode([record(data, position) for position, data in enumerate(events)], 600_000)
    assert not batch.rejections
    return gather(batch.events)


def session(student: str, number: int) -> bytes:
    payload = {"session_id": f"{student}-{number}", "student_id": student, "subject": f"subject {number % 3}"}
    return event_json("session_started", payload, timestamp="2026-11-20T10:00:00Z")


def completion(student: str, number: int) -> bytes:
    payload = {"session_id": f"{student}-{number}", "student_id": student, "student_rating": 4}
    return event_json("session_completed", payload, timestamp="2026-11-20T11:00:00Z")


def call(student: str, number: int) -> bytes:
    return event_json("ib_call_logged", {"student_id": student, "call_id": f"{student}-{number}"})


@pytest.fixture(params=["fast", "standard"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With either codec of the AWS clients; entities bear its name."""
    monkeypatch.setenv("AWS_CLIENT_CODEC", request.param)
    return str(request.param)


@pytest.fixture
def table(deployment: Deployment, in_process: InProcess, codec: str) -> MetricsTable:
    """The deployed table, as the processor uses it."""
    return MetricsTable(deployment.outputs["MetricsTableName"], StateTable(config().state_table_name))


@pytest.fixture
def processor(in_process: InProcess) -> Processor:
    """The processor as the deployed one is configured, at a clock that stands still."""
    in_process.now_ms = NOW
    return Processor(config())


def states(table: MetricsTable, *names: str) -> list[State]:
    keys = [EntityKey("student", name) for name in names]
    read = table.read(keys, NOW, deadline())
    assert not read.failed
    return [read.states[key] for key in keys]


def writes(before: Sequence[State], arriving: Arrivals) -> list[Write]:
    return list(plan(before, arriving, NOW, NOW, RULES).writes.values())


def test_an_item_is_read_as_it_was_written(table: MetricsTable, codec: str) -> None:
    same = f"stu_same_{codec}"
    arriving = arrivals(*(session(same, number) for number in range(5)), call(same, 1))
    (write,) = writes(states(table, same), arriving)

    assert table.write([write], deadline()) == Written()
    (found,) = states(table, same)
    assert found == write.after
    assert not plan([found], arriving, NOW, NOW, RULES).writes


def test_of_two_writers_of_one_version_one_loses_and_nothing_is_half_written(table: MetricsTable, codec: str) -> None:
    raced = f"stu_raced_{codec}"
    for attempt in range(2):  # first both insert the item, then both update it
        before = states(table, raced)
        (one,) = writes(before, arrivals(session(raced, 10 + attempt)))
        (other,) = writes(before, arrivals(session(raced, 20 + attempt)))

        assert table.write([one], deadline()) == Written()
        assert table.write([other], deadline()) == Written(lost={0})
        assert states(table, raced) == [one.after]


def test_a_lost_write_leaves_its_neighbours_in_the_call_alone(table: MetricsTable, codec: str) -> None:
    names = [f"stu_many_{codec}_{number}" for number in range(30)]
    arriving = arrivals(*(session(name, 1) for name in names))
    planned = writes(states(table, *names), arriving)
    stolen = [3, 17, 28]
    assert table.write([planned[position] for position in stolen], deadline()) == Written()

    assert table.write(planned, deadline()) == Written(lost=set(stolen))
    assert [state.version for state in states(table, *names)] == [1] * 30


def test_processes_that_race_for_one_entity_lose_nothing_and_tell_once(
    processor: Processor, table: MetricsTable, codec: str
) -> None:
    hot = f"stu_hot_{codec}"
    deliveries = [
        arrivals(
            *(session(hot, number) for number in range(part, 40, 4)),
            call(hot, part % 3),
            call(hot, 3),
        )
        for part in range(4)
    ]
    with ThreadPoolExecutor(len(deliveries)) as pool:
        outcomes = list(pool.map(lambda each: processor.run(each, deadline()), deliveries * 2))

    assert not any(outcome.failed for outcome in outcomes)
    (state,) = states(table, hot)
    assert state.stored["sessions_7d"] == {"N": "40"}
    assert state.stored["ib_calls_14d"] == {"N": "4"}
    assert {name: (e.episode, e.notification) for name, e in state.alerts.episodes.items()} == {
        "high_ib_call_frequency": (1, 1)
    }
    assert state.alerts.outbox == ()
    assert sum(outcome.conflicts for outcome in outcomes) > 0, "nobody raced"


def test_rollups_that_race_with_processors_for_one_subject_leave_all_of_both(
    processor: Processor, table: MetricsTable, codec: str
) -> None:
    key = EntityKey("subject", f"subject hot {codec}")

    def supply(region: int) -> Arrivals:
        payload = {"subject": key.entity_id, "region": f"region {codec} {region}", "balance_status": "balanced"}
        return arrivals(event_json("supply_demand_update", payload))

    def figures(number: int) -> Arrivals:
        counted = dict.fromkeys(TOTALS_ATTRIBUTES["subject"], 0) | {"sessions_30d": number}
        return Arrivals.of_totals({key: Totals(NOW + number, counted)})

    deliveries = [each for number in range(6) for each in (supply(number), figures(number))]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda each: processor.run(each, deadline()), deliveries))

    assert not any(outcome.failed for outcome in outcomes)
    state = table.read([key], NOW, deadline()).states[key]
    assert state.registers.keys() == {f"region {codec} {number}" for number in range(6)}
    assert (state.totals, state.stored["sessions_30d"]) == (deliveries[-1].totals[0], {"N": "5"})
    assert sum(outcome.conflicts for outcome in outcomes) > 0, "nobody raced"


def test_a_writer_that_pauses_longer_than_another_lives_merges_into_what_it_finds(
    processor: Processor, table: MetricsTable, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"stu_paused_{codec}"
    other = arrivals(session(name, 2), call(name, 1))
    write, pauses = MetricsTable.write, iter([True])

    def paused(self: MetricsTable, planned: Sequence[Write], by: Deadline) -> Written:
        if next(pauses, False):
            assert not processor.run(other, deadline()).failed
        return write(self, planned, by)

    monkeypatch.setattr(MetricsTable, "write", paused)
    outcome = processor.run(arrivals(session(name, 1), session(name, 2)), deadline())

    assert (outcome.conflicts, outcome.failed) == (1, {})
    (state,) = states(table, name)
    assert (state.stored["sessions_7d"], state.stored["ib_calls_14d"]) == ({"N": "2"}, {"N": "1"})
    assert clock.now_ms() == NOW


def things(part: FactColumns) -> set[tuple[int, int]]:
    """The kinds and ids of the facts of a head or a tail."""
    return {(fact.kind, fact.id) for fact in facts_of(part)}


@pytest.fixture
def moving_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts move as soon as there are more than eight in a head."""
    monkeypatch.setattr(tails, "MOST_RECENT_ROWS", 8)


@pytest.mark.usefixtures("moving_early")
def test_processes_that_move_facts_and_change_a_tail_race_with_those_that_add(
    processor: Processor, table: MetricsTable, codec: str, in_process: InProcess
) -> None:
    name = f"stu_moved_{codec}"
    assert not processor.run(arrivals(*(session(name, number) for number in range(20))), deadline()).failed
    (begun,) = states(table, name)
    assert len(things(begun.tail.facts)) > 8
    of_the_tail = [arrivals(*(completion(name, number) for number in range(part, 20, 4))) for part in range(4)]
    new = [arrivals(*(session(name, number) for number in range(20 + part, 60, 4))) for part in range(4)]
    deliveries = [each for pair in zip(of_the_tail, new, strict=True) for each in pair]
    with ThreadPoolExecutor(len(deliveries)) as pool:
        outcomes = list(pool.map(lambda each: processor.run(each, deadline()), deliveries * 2))

    assert not any(outcome.failed for outcome in outcomes)
    in_process.forget()
    (state,) = states(table, name)
    assert (state.stored["sessions_7d"], state.stored["ratings_30d"]) == ({"N": "60"}, {"N": "20"})
    assert things(state.facts).isdisjoint(things(state.tail.facts))
    assert len(things(state.facts) | things(state.tail.facts)) == 60
    assert state.tail.generation > begun.tail.generation
    assert sum(outcome.conflicts for outcome in outcomes) > 0, "nobody raced"


@pytest.mark.usefixtures("moving_early")
@pytest.mark.parametrize("paused_moves", [True, False])
def test_a_writer_that_pauses_while_another_moves_or_adds_merges_into_what_it_finds(
    processor: Processor, table: MetricsTable, codec: str, paused_moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"stu_paused_{paused_moves}_{codec}"
    few, many = arrivals(session(name, 100)), arrivals(*(session(name, number) for number in range(20)))
    assert not processor.run(arrivals(call(name, 1)), deadline()).failed
    first, second = (many, few) if paused_moves else (few, many)
    write, pauses = MetricsTable.write, iter([True])

    def paused(self: MetricsTable, planned: Sequence[Write], by: Deadline) -> Written:
        if next(pauses, False):
            assert planned[0].moves == paused_moves
            assert not processor.run(second, deadline()).failed
        return write(self, planned, by)

    monkeypatch.setattr(MetricsTable, "write", paused)
    outcome = processor.run(first, deadline())

    assert (outcome.conflicts, outcome.cancelled, outcome.failed) == (1, int(paused_moves), {})
    (state,) = states(table, name)
    assert state.stored["sessions_7d"] == {"N": "21"}
    assert len(things(state.facts) | things(state.tail.facts)) == 22


@pytest.mark.usefixtures("moving_early")
def test_a_tail_that_changes_while_it_is_read_is_read_again_with_its_item(
    processor: Processor, table: MetricsTable, codec: str, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"stu_read_{codec}"
    processor.run(arrivals(*(session(name, number) for number in range(20))), deadline())
    read_tails, pauses = StateTable.read_tails, iter([True])

    def paused(self: StateTable, keys: Sequence[EntityKey], by: Deadline) -> Tails:
        if next(pauses, False):
            assert not processor.run(arrivals(completion(name, 0)), deadline()).failed
            in_process.forget()
        return read_tails(self, keys, by)

    in_process.forget()
    monkeypatch.setattr(StateTable, "read_tails", paused)
    (state,) = states(table, name)
    assert (state.version, state.stored["ratings_30d"]) == (2, {"N": "1"})
    assert next(pauses, False) is False
