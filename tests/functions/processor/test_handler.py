"""The handler: what it says, what it reports, and that no fault of any call loses or doubles anything."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from functions.aws.observability import logger
from functions.model import DAY_MS, HOUR_MS, Event, to_iso
from functions.processor import handler
from tests.helpers.deployment import NOW, Deployment, deployed, event_json, record
from tests.helpers.faulty_aws import Call, Died, Fault, Faults, after, done_dying, down, dying, lost_answer, refusing
from tests.helpers.logs import Logs, emitted

WRITE = "batch_execute_statement"


def call(student: str, call_id: str = "c1", age: int = 0) -> bytes:
    return event_json("ib_call_logged", {"student_id": student, "call_id": call_id}, timestamp=to_iso(NOW - age))


def session(student: str, tutor: str, session_id: str = "s1") -> bytes:
    payload = {"student_id": student, "tutor_id": tutor, "session_id": session_id, "tutor_rating": 4}
    return event_json("session_completed", payload, timestamp=to_iso(NOW))


def health(student: str, score: float, age: int = 0) -> bytes:
    payload = {"student_id": student, "health_score": score}
    return event_json("customer_health_update", payload, timestamp=to_iso(NOW - age))


def number(position: int) -> str:
    """The sequence number that a delivery gives to the record at a position."""
    return record(b"", position).sequence_number


# -- what it says -----------------------------------------------------------------------------------------------------


def test_it_says_what_it_does_in_the_contracts_words(deployment: Deployment, logs: Logs) -> None:
    deployment.deliver(health("stu_1", 10), health("stu_2", 60), b"poison")
    assert logs.messages() == [
        "Processing 3 records from Kinesis",
        "Sent 2 alerts to EventBridge",
        "Batch processing complete",
    ]
    assert logs.messages("DEBUG") == []
    assert {line["function_request_id"] for line in logs.lines()} == {"request"}


def test_without_alerts_it_says_nothing_of_them(deployment: Deployment, logs: Logs) -> None:
    deployment.deliver(call("stu_1"))
    assert logs.messages() == ["Processing 1 records from Kinesis", "Batch processing complete"]


def test_at_debug_level_it_names_each_valid_events_type(deployment: Deployment, logs: Logs) -> None:
    logger.setLevel("DEBUG")
    deployment.deliver(session("stu_1", "tut_1"), b"poison", call("stu_1"))
    assert logs.messages("DEBUG") == ["Processing event: session_completed", "Processing event: ib_call_logged"]


def test_at_the_end_it_says_what_became_of_the_batch(faults: Faults, deployment: Deployment, logs: Logs) -> None:
    faults.planned[WRITE] = [refusing("ValidationError", 1)]  # stu_1: who has something to tell is written first
    deployment.deliver(call("stu_1"), health("stu_2", 10), call("stu_1", "c2"), b"poison")
    done = logs.lines()[-1]
    assert {
        name: done[name] for name in ("records", "entities", "written", "quarantined", "failed", "alerts_sent")
    } == {
        "records": 4,
        "entities": 2,
        "written": 2,
        "quarantined": 1,
        "failed": 2,
        "alerts_sent": 1,
    }


def test_it_emits_metrics(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    deployment.deliver(record(call("stu_1"), 0, NOW - 5_000), record(b"poison", 1), record(health("stu_1", 10), 2))
    assert emitted(capsys.readouterr().out) == {
        "Records": (3, "Count"),
        "Quarantined": (1, "Count"),
        "Quarantined[reason=not_json]": (1, "Count"),
        "EntitiesWritten": (2, "Count"),  # the student, and once more to empty the outbox
        "AlertsSent": (1, "Count"),
        "AlertsSent[alert_type=low_health_score]": (1, "Count"),
        "BatchLag": (5_000, "Milliseconds"),
    }


def test_its_metrics_document_says_what_came_when_and_how_long_it_took(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Properties of the document, which are no metrics."""
    deployment.deliver(
        call("stu_1"),
        call("stu_1", "c2", HOUR_MS // 2),
        call("stu_2", "c3", 10 * 3_650 * DAY_MS),
        health("stu_1", 90),
        b"x",
    )
    (document,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "EventsByHour" in line)
    assert document["EventsByHour"] == {
        "ib_call_logged": {"2026-11-23T10": 1, "2026-11-23T09": 1, "1926-12-18T10": 1},
        "customer_health_update": {"2026-11-23T10": 1},
    }
    assert document["BatchMilliseconds"] == 0  # the clock stands still
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert not {"EventsByHour", "BatchMilliseconds"} & {metric["Name"] for metric in directive["Metrics"]}
    deployment.deliver(call("stu_3"))
    (document,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "EventsByHour" in line)
    assert document["EventsByHour"] == {"ib_call_logged": {"2026-11-23T10": 1}}  # of this batch alone


def test_what_came_when_fits_into_a_log_event_however_far_apart_it_was() -> None:
    """10,000 records, the largest batch, each of an hour of its own; a log event holds 256 KB."""
    events = [Event(number, "supply_demand_update", number * HOUR_MS, {}, "") for number in range(10_000)]
    assert len(json.dumps(handler._events_by_hour(events))) < 220_000


def test_what_says_nothing_new_and_what_comes_late_is_counted(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(*payloads: bytes) -> tuple[float, ...]:
        deployment.deliver(*payloads)
        figures = emitted(capsys.readouterr().out)
        return tuple(figures.get(name, (0, ""))[0] for name in ("Duplicates", "Late"))

    def told(event_type: str, hours_ago: float) -> bytes:
        at = to_iso(NOW - round(hours_ago * HOUR_MS))
        return event_json(event_type, {"session_id": "s1", "student_id": "stu_1", "tutor_id": "tut_1"}, timestamp=at)

    started, completed = told("session_started", 2), told("session_completed", 1)
    assert counted(started, completed) == (0, 1)  # two events of one session, each with something of its own to say
    assert counted(completed) == (2, 0)  # of the student, and of the tutor
    assert counted(started, call("stu_1"), call("stu_1")) == (3, 1)


def test_clearing_outboxes_shares_its_calls_with_the_other_entities_writes(
    faults: Faults, deployment: Deployment
) -> None:
    """Who has something to tell is written first, then told of, then cleared together with the rest."""
    deployment.deliver(*(call(f"stu_{each}") for each in range(40)), health("stu_39", 10))
    sizes = [len(each["Statements"]) for each in faults.made[WRITE]]
    assert sizes == [25, 16]  # 40 entities, and one outbox
    assert len(faults.made["put_events"]) == 1
    assert "outbox" not in deployment.item("student", "stu_39")


# -- what it reports --------------------------------------------------------------------------------------------------


def test_a_batch_without_records_or_of_poison_alone_is_done(deployment: Deployment) -> None:
    assert deployment.deliver() == []
    assert deployment.deliver(b"poison", b"") == []
    assert len(deployment.aws.objects) == 2
    assert deployment.aws.items == {}


def test_a_record_is_counted_for_every_entity_that_it_names(deployment: Deployment) -> None:
    assert deployment.deliver(session("stu_1", "tut_1"), session("stu_1", "tut_2", "s2")) == []
    counts = {key: deployment.item(*key)["sessions_7d"] for key in deployment.aws.items}
    assert counts == {("student", "stu_1"): 2, ("tutor", "tut_1"): 1, ("tutor", "tut_2"): 1}


def test_what_fails_for_one_entity_is_reported_by_its_records_alone_and_a_redelivery_repairs_it(
    faults: Faults, deployment: Deployment
) -> None:
    batch = [call("stu_1"), session("stu_2", "tut_1"), call("stu_3"), session("stu_3", "tut_1", "s2"), call("stu_2")]
    # Entities are written in the order in which the batch names them: stu_1, stu_2, tut_1, stu_3.
    faults.planned[WRITE] = [refusing("ValidationError", 2)]
    assert deployment.deliver(*batch) == [number(1), number(3)]
    assert set(deployment.aws.items) == {("student", f"stu_{each}") for each in (1, 2, 3)}
    assert deployment.deliver(*batch[1:]) == []
    assert deployment.item("tutor", "tut_1")["sessions_7d"] == 2
    assert [deployment.item("student", f"stu_{each}")["version"] for each in (1, 2, 3)] == [1, 1, 1]


def test_an_unreadable_item_is_left_as_it_is_and_its_records_are_reported(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"))
    damaged = deployment.aws.items["student", "stu_1"] | {"facts": {"B": b"\x02later format"}}
    deployment.aws.items["student", "stu_1"] = dict(damaged)
    assert deployment.deliver(call("stu_2"), call("stu_1", "c2")) == [number(1)]
    assert deployment.aws.items["student", "stu_1"] == damaged
    assert deployment.item("student", "stu_2")["ib_calls_7d"] == 1


def test_when_the_quarantine_cannot_be_written_the_record_is_reported_and_its_neighbours_are_committed(
    faults: Faults, deployment: Deployment
) -> None:
    faults.planned["put_object"] = [down]
    assert deployment.deliver(call("stu_1"), b"poison", call("stu_2")) == [number(1)]
    assert set(deployment.aws.items) == {("student", "stu_1"), ("student", "stu_2")}
    assert deployment.deliver(b"poison") == []
    assert len(deployment.aws.objects) == 1


def test_what_an_entity_cannot_take_is_quarantined_and_counts_for_the_others(deployment: Deployment) -> None:
    def demand(region: int) -> bytes:
        payload = {"subject": "algebra", "region": f"region_{region}", "balance_status": "balanced"}
        return event_json("supply_demand_update", payload)

    assert deployment.deliver(*map(demand, range(201))) == []
    (kept,) = map(json.loads, deployment.aws.objects.values())
    assert (kept["reason"], kept["sequence_number"]) == ("too_many", number(200))
    assert "region_200" not in deployment.item("subject", "algebra")["regions"]
    assert "algebra" in deployment.item("region", "region_200")["subjects"]


def test_without_time_everything_valid_is_reported_and_poison_is_still_quarantined(deployment: Deployment) -> None:
    deployment.remaining_ms = 0
    assert deployment.deliver(call("stu_1"), b"poison", call("stu_2")) == [number(0), number(2)]
    assert deployment.aws.items == {}
    assert len(deployment.aws.objects) == 1


@pytest.mark.parametrize("operation", ["batch_get_item", WRITE])
def test_when_time_runs_out_on_the_way_what_is_not_committed_is_reported(
    faults: Faults, deployment: Deployment, operation: str
) -> None:
    def out_of_time(call: Call, arguments: dict[str, Any]) -> Any:
        answer = refusing("ThrottlingError", 1)(call, arguments) if operation == WRITE else call(**arguments)
        deployment.remaining_ms = 0
        return answer

    faults.planned[operation] = [out_of_time]
    committed = {("student", "stu_1")} if operation == WRITE else set()
    assert deployment.deliver(call("stu_1"), call("stu_2")) == [number(each) for each in range(len(committed), 2)]
    assert set(deployment.aws.items) == committed


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_touched_item_is_brought_up_to_date_even_when_nothing_is_new(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"))
    deployment.clock.ms += 7 * DAY_MS
    deployment.deliver(call("stu_1"))
    item = deployment.item("student", "stu_1")
    assert (item["ib_calls_7d"], item["ib_calls_14d"]) == (0, 1)
    assert (item["version"], item["as_of"], item["last_updated"]) == (2, NOW + 7 * DAY_MS, to_iso(NOW))


def test_a_replay_writes_nothing_as_long_as_time_changes_nothing(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1"), health("stu_1", 10))
    writes = deployment.aws.writes()
    deployment.clock.ms += HOUR_MS
    assert deployment.deliver(call("stu_1"), health("stu_1", 10)) == []
    assert deployment.aws.writes() == writes


def test_as_of_never_goes_back(deployment: Deployment) -> None:
    deployment.deliver(call("stu_1", age=6 * DAY_MS))
    deployment.clock.ms -= 3 * DAY_MS
    deployment.deliver(call("stu_1", "c2", age=7 * DAY_MS))
    item = deployment.item("student", "stu_1")
    assert (item["as_of"], item["ib_calls_7d"], item["ib_calls_14d"]) == (NOW, 1, 2)


def test_the_first_session_is_the_same_in_whatever_order_its_events_come(deployment: Deployment) -> None:
    def told(student: str, session_id: str, age: int, **given: str) -> bytes:
        payload = {"student_id": student, "session_id": session_id} | given
        return event_json("session_completed", payload, timestamp=to_iso(NOW - age))

    for student, ages in (("stu_1", (10, 5, 7)), ("stu_2", (7, 5, 10))):
        for age in ages:
            named = {"tutor_id": "tut_1"} if age == 5 else {}
            deployment.deliver(told(student, "other" if age == 7 else "first", age, **named))
    assert deployment.item("student", "stu_1")["first_session"] == deployment.item("student", "stu_2")["first_session"]


# -- races and faults -------------------------------------------------------------------------------------------------


def test_two_lambdas_on_one_entity_lose_nothing(faults: Faults, deployment: Deployment) -> None:
    faults.planned[WRITE] = [after(lambda: deployment.deliver(call("stu_1", "c2"), call("stu_2", "c2")))]
    assert deployment.deliver(call("stu_1"), call("stu_3")) == []
    assert [deployment.item("student", f"stu_{each}")["ib_calls_7d"] for each in (1, 2, 3)] == [2, 1, 1]
    assert deployment.item("student", "stu_1")["version"] == 2


def test_two_lambdas_with_the_same_record_write_it_once(faults: Faults, deployment: Deployment) -> None:
    faults.planned[WRITE] = [after(lambda: deployment.deliver(health("stu_1", 10)))]
    assert deployment.deliver(health("stu_1", 10)) == []
    assert deployment.item("student", "stu_1")["version"] == 2, "written, and its outbox emptied"
    assert len(deployment.told()) == 1


def test_an_entity_that_loses_every_race_is_reported(faults: Faults, deployment: Deployment) -> None:
    faults.planned[WRITE] = [refusing("ConditionalCheckFailed", 0)] * 10
    assert deployment.deliver(call("stu_1"), call("stu_2")) == [number(0)]
    assert deployment.deliver(call("stu_1")) == []
    assert deployment.item("student", "stu_1")["ib_calls_7d"] == 1


BATCH = [
    record(data, position)
    for position, data in enumerate(
        [session("stu_1", "tut_1"), health("stu_1", 10), b"poison", call("stu_2"), health("stu_2", 60)]
    )
]


CALLED = ("batch_get_item", "batch_write_item", WRITE, "put_events", "put_object")
"""The operations that the batch needs."""


def left_behind(deployment: Deployment) -> tuple[Any, ...]:
    """What must be the same whatever went wrong: public figures, alerts, what was told, what is in quarantine."""
    items = {key: deployment.item(*key) for key in deployment.aws.items}
    for item in items.values():
        del item["version"]
    return items, {alert["alert_id"]: alert for alert in deployment.told()}, deployment.aws.objects


def undisturbed() -> tuple[tuple[Any, ...], dict[str, int]]:
    """The same batch when nothing goes wrong: what it leaves, and how many calls of which operation it makes."""
    with deployed() as deployment:
        assert deployment.deliver(*BATCH) == []
        calls = {name: deployment.aws.calls[name] for name in CALLED}
        return left_behind(deployment), calls


@pytest.mark.parametrize("fault", [down, lost_answer, dying, done_dying])
@pytest.mark.parametrize("recover", [Deployment.next_roll, lambda deployment: deployment.deliver(*BATCH)])
def test_whatever_happens_to_any_one_call_the_next_delivery_or_roll_completes_what_is_missing(
    fault: Fault, recover: Callable[[Deployment], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, calls = undisturbed()
    assert calls == {"batch_get_item": 1, "batch_write_item": 1, WRITE: 2, "put_events": 1, "put_object": 1}
    for operation, count in calls.items():
        for position in range(count):
            with deployed() as deployment, monkeypatch.context() as patch:
                faults = Faults(deployment.aws)
                patch.setattr("functions.aws.clients.make", faults.client)
                faults.planned[operation] = [None] * position + [fault]
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # a process that dies has no metrics
                        failed = deployment.deliver(*BATCH)
                except Died:
                    failed = [number(0)]
                # The mapping delivers from the lowest that was reported again.
                assert deployment.deliver(*BATCH[int(failed[0]) :] if failed else []) == []
                recover(deployment)
                assert left_behind(deployment) == expected, (operation, position)
