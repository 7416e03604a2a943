"""Gathering: what each type of event says of which entity."""

from typing import Any

from functions.entities.arrivals import Arrivals, gather
from functions.entities.facts import CALL, SESSION, SUCCESS, Fact, fact_id, told
from functions.entities.registers import Register, Update
from functions.entities.totals import Totals
from functions.events.decode import decode
from functions.model import EntityKey
from tests.helpers.deployment import NOW, event_json, record
from tests.helpers.usual_events import USUAL

SESSION_1, STUDENT, TUTOR = fact_id(SESSION, "id:ses_1"), EntityKey("student", "stu_1"), EntityKey("tutor", "tut_1")


def gathered(*events: tuple[str, dict[str, Any]]) -> Arrivals:
    batch = decode([record(event_json(*event), position) for position, event in enumerate(events)], 0)
    assert not batch.rejections
    return gather(batch.events)


def test_a_session_is_a_fact_of_its_student_and_of_its_tutor() -> None:
    arrivals = gathered(
        ("session_started", USUAL["session_started"]), ("session_completed", USUAL["session_completed"])
    )
    named: dict[str, Any] = {"subject": "français"}
    started, completed = (
        (told(SESSION, SESSION_1, NOW, **named, tutor=tutor) for tutor in ("tut_1", None)),
        (
            told(SESSION, SESSION_1, NOW, rating=45_000, outcome=SUCCESS, **named, tutor="tut_1"),
            told(SESSION, SESSION_1, NOW, outcome=SUCCESS, **named),
        ),
    )
    student, tutor = ([(0, one), (1, other)] for one, other in zip(started, completed, strict=True))
    assert (arrivals.keys, arrivals.facts, arrivals.updates) == ([STUDENT, TUTOR], {0: student, 1: tutor}, {})


def test_a_call_is_a_fact_of_its_student() -> None:
    arrivals = gathered(("ib_call_logged", {"student_id": "stu_1", "call_id": "c1"}))
    assert (arrivals.keys, arrivals.facts) == ([STUDENT], {0: [(0, Fact(CALL, fact_id(CALL, "id:c1"), NOW, NOW))]})


def test_a_report_is_a_register_of_all_that_it_gives_but_whose_it_is() -> None:
    for event_type, key, slot, owner in (
        ("customer_health_update", STUDENT, "reported", "student_id"),
        ("tutor_availability_updated", TUTOR, "availability", "tutor_id"),
    ):
        payload = USUAL[event_type]
        value = {name: given for name, given in payload.items() if name != owner}
        arrivals = gathered((event_type, payload))
        assert (arrivals.keys, arrivals.facts) == ([key], {})
        assert arrivals.updates == {0: [Update(0, slot, Register(NOW, value))]}


def test_supply_and_demand_are_a_register_of_the_subject_and_of_the_region_if_it_has_one() -> None:
    payload = {"subject": "algebra", "available_tutors": 5, "balance_status": "odd"}
    register = Register(NOW, {"available_tutors": 5, "balance_status": "odd"})
    event_type, subject, region = "supply_demand_update", EntityKey("subject", "algebra"), EntityKey("region", "eu")
    arrivals = gathered((event_type, payload | {"region": "eu"}))
    assert arrivals.keys == [subject, region]
    assert arrivals.updates == {0: [Update(0, "eu", register)], 1: [Update(0, "algebra", register)]}
    for nowhere in ({}, {"region": ""}, {"region": "unspecified"}):
        arrivals = gathered((event_type, payload | nowhere))
        assert arrivals.keys == [subject]
        assert arrivals.updates == {0: [Update(0, "unspecified", register)]}


def test_the_records_of_an_entity_are_all_that_name_it() -> None:
    call, health = (
        ("ib_call_logged", {"student_id": "stu_1"}),
        ("customer_health_update", USUAL["customer_health_update"]),
    )
    other = ("ib_call_logged", {"student_id": "stu_2"})
    arrivals = gathered(call, other, health, ("session_started", USUAL["session_started"]), call)
    assert [sorted(arrivals.records(entity)) for entity in range(3)] == [[0, 2, 3, 4], [1], [3]]
    assert sorted(arrivals.only([1, 0]).records(1)) == [0, 2, 3, 4]


def test_what_a_rollup_has_found_out_is_by_entity_and_stays_so_in_a_part() -> None:
    tutor, subject = (Totals(NOW, {"first_sessions_30d": number}) for number in range(2))
    arrivals = Arrivals.of_totals({TUTOR: tutor, EntityKey("subject", "algebra"): subject})
    assert arrivals == Arrivals([TUTOR, EntityKey("subject", "algebra")], {}, {}, {0: tutor, 1: subject})
    assert arrivals.only([1]) == Arrivals([EntityKey("subject", "algebra")], {}, {}, {0: subject})
    assert arrivals.only([1]).only([]) == Arrivals.none([])
    assert arrivals.records(0) == []
