"""A rollup's figures in an item: how two of them merge, and that everything else leaves them alone."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.update import Outcome, Processor
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import to_attribute
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals, later, newest
from functions.model import DAY_MS, HOUR_MS, EntityKey, to_iso
from tests.helpers.deployment import NOW, Deployment, deployed, event_json
from tests.helpers.faulty_aws import Call, Faults

ALGEBRA, TUTOR = EntityKey("subject", "algebra"), EntityKey("tutor", "tut_1")
WRITE = "batch_execute_statement"


def of_subject(as_of: int = NOW, sessions: int = 70, **given: Any) -> Totals:
    figures = {
        "sessions_7d": sessions,
        "sessions_14d": 100,
        "sessions_30d": 150,
        "session_velocity": 2 * sessions - 100,
        "avg_rating": 4.3333,
        "ratings_30d": 9,
        "active_students_30d": 12,
        "first_sessions_30d": 11,
        "first_session_success_rate": 0.4,
    }
    assert tuple(sorted(figures)) == tuple(sorted(TOTALS_ATTRIBUTES["subject"]))
    return Totals(**{"as_of": as_of, "figures": figures, "first_outcomes": 10, **given})


def of_tutor(as_of: int = NOW, rate: float = 1.0) -> Totals:
    return Totals(as_of, {"first_sessions_30d": 3, "first_session_success_rate": rate}, first_outcomes=2)


USUAL = of_subject(usual_daily=3.0, surge_score=4.2)
STORED = {
    **USUAL.figures,
    "rolled_up": {"as_of": NOW, "first_outcomes": 10, "usual_daily": 3, "surge_score": 4.2},
}
"""What a rollup writes, as it is read back."""


def roll_up(deployment: Deployment, totals: Mapping[EntityKey, Totals]) -> Outcome:
    """What the rollup does with what it has found out."""
    outcome = Processor(config()).run(Arrivals.of_totals(totals), Deadline.of(deployment.context))
    assert outcome.failed == {}
    return outcome


def session(session_id: str = "ses_1", age: int = 0, **said: Any) -> bytes:
    names = {"session_id": session_id, "student_id": "stu_1", "tutor_id": "tut_1", "subject": "algebra"}
    return event_json("session_completed", names | said, timestamp=to_iso(NOW - age))


def supply(region: str = "eu", **said: Any) -> bytes:
    return event_json("supply_demand_update", {"subject": "algebra", "region": region, "balance_status": "odd", **said})


# -- the join ---------------------------------------------------------------------------------------------------------

numbers = st.sampled_from([None, 0, 1.0, 2.5])
rollups = st.builds(
    lambda as_of, sessions, rate, *rest: Totals(
        as_of, {"sessions_7d": sessions, "first_session_success_rate": rate}, *rest
    ),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([0, 0.5, 1, 1.0]),
    st.integers(0, 1),
    numbers,
    numbers,
)


@given(rollups, rollups, rollups)
def test_the_merge_is_idempotent_commutative_and_associative(one: Totals, other: Totals, third: Totals) -> None:
    assert later(one, one) == one
    assert later(one, other) == later(other, one)
    assert later(later(one, other), third) == later(one, later(other, third))


@given(rollups, rollups)
def test_the_later_rollup_wins(one: Totals, other: Totals) -> None:
    merged = later(one, other)
    assert merged.as_of == max(one.as_of, other.as_of)
    assert merged in (one, other)


def test_a_rollup_that_finds_what_is_stored_changes_nothing_not_even_its_time() -> None:
    again = USUAL._replace(as_of=NOW + 1)
    assert newest(USUAL, again) is USUAL
    assert newest(USUAL, None) is USUAL
    assert newest(None, USUAL) is USUAL
    assert newest(None, None) is None
    for other in ({"first_outcomes": 9}, {"usual_daily": None}, {"surge_score": 4.3}):
        assert newest(USUAL, again._replace(**other)) == again._replace(**other)
    assert newest(again, of_subject(NOW, 71)) is again


# -- in the table -----------------------------------------------------------------------------------------------------


def test_figures_are_added_to_an_item_and_nothing_else_of_it_changes(deployment: Deployment) -> None:
    deployment.deliver(supply(available_tutors=3), session(tutor_rating=4))
    subject, tutor = deployment.item(*ALGEBRA), deployment.item(*TUTOR)
    assert roll_up(deployment, {TUTOR: of_tutor(), ALGEBRA: USUAL}).written == 2
    assert deployment.item(*ALGEBRA) == subject | STORED | {"version": 2}
    assert deployment.item(*TUTOR) == tutor | {
        "first_sessions_30d": 3,
        "first_session_success_rate": 1,
        "rolled_up": {"as_of": NOW, "first_outcomes": 2},
        "version": 2,
    }


def test_an_entity_that_has_no_item_gets_one(deployment: Deployment) -> None:
    assert roll_up(deployment, {ALGEBRA: USUAL, TUTOR: of_tutor()}).written == 2
    subject, tutor = deployment.item(*ALGEBRA), deployment.item(*TUTOR)
    assert subject == {
        "entity_id": "algebra",
        "entity_type": "subject",
        "version": 1,
        "as_of": NOW,
        "last_updated": to_iso(NOW),
        "regions": {},
        "alerts": {},
        "alert_episodes": {},
        **STORED,
    }
    assert (tutor["first_sessions_30d"], tutor["sessions_7d"], tutor["health_score"]) == (3, 0, 100)
    deployment.deliver(supply(), session())
    assert deployment.item(*ALGEBRA)["region"] == "eu"
    assert deployment.item(*TUTOR)["first_sessions_30d"] == 3


def test_a_rollup_of_the_same_figures_writes_nothing(deployment: Deployment) -> None:
    roll_up(deployment, {ALGEBRA: USUAL, TUTOR: of_tutor()})
    before = dict(deployment.aws.items)
    deployment.clock.ms += HOUR_MS
    again = {ALGEBRA: USUAL._replace(as_of=NOW + HOUR_MS, usual_daily=3), TUTOR: of_tutor(NOW + HOUR_MS, 1)}
    assert roll_up(deployment, again).written == 0
    assert deployment.aws.items == before


def test_a_rollup_writes_what_differs_alone(deployment: Deployment, faults: Faults) -> None:
    roll_up(deployment, {ALGEBRA: USUAL})
    deployment.clock.ms += HOUR_MS
    roll_up(deployment, {ALGEBRA: of_subject(NOW + HOUR_MS, 71)})
    (statement,) = faults.made[WRITE][-1]["Statements"]
    changed = {name for name in deployment.aws.items[ALGEBRA] if f'SET "{name}"' in statement["Statement"]}
    assert changed == {"version", "as_of", "sessions_7d", "session_velocity", "rolled_up"}
    assert deployment.item(*ALGEBRA)["last_updated"] == to_iso(NOW), "no event and no alert has changed it"
    assert "REMOVE" not in statement["Statement"]
    assert deployment.item(*ALGEBRA)["rolled_up"] == {"as_of": NOW + HOUR_MS, "first_outcomes": 10}


def test_an_older_rollup_that_comes_last_changes_nothing(deployment: Deployment) -> None:
    deployment.clock.ms += HOUR_MS
    roll_up(deployment, {ALGEBRA: of_subject(NOW + 1, 71)})
    assert roll_up(deployment, {ALGEBRA: USUAL}).written == 0
    assert deployment.item(*ALGEBRA)["sessions_7d"] == 71


def test_the_processor_and_the_roll_carry_figures_along_untouched(deployment: Deployment, faults: Faults) -> None:
    deployment.deliver(supply(), session())
    roll_up(deployment, {ALGEBRA: USUAL, TUTOR: of_tutor(rate=0.5)})
    totals = {
        "first_sessions_30d": 3,
        "first_session_success_rate": 0.5,
        "rolled_up": {"as_of": NOW, "first_outcomes": 2},
    }
    calls = len(faults.made[WRITE])
    deployment.deliver(supply("us", available_tutors=2), session("ses_2"), session("ses_3", age=DAY_MS))
    deployment.clock.ms += 7 * DAY_MS
    assert deployment.roll()["written"] >= 1
    assert deployment.item(*TUTOR)["sessions_7d"] == 0
    assert deployment.item(*ALGEBRA) | STORED == deployment.item(*ALGEBRA)
    assert deployment.item(*TUTOR) | totals == deployment.item(*TUTOR)
    for call in faults.made[WRITE][calls:]:
        for statement in call["Statements"]:
            assert "rolled_up" not in statement["Statement"]
            assert "first_" not in statement["Statement"].replace('"first_session"', "")


# -- races ------------------------------------------------------------------------------------------------------------


def overtaken(
    first: Callable[[Deployment], Any], overtaking: Callable[[Deployment], Any]
) -> tuple[dict[str, Any], int]:
    """The subject's item after one writer was overtaken by another between its reading and its writing, and in how
    many calls it was written."""
    with deployed() as deployment, pytest.MonkeyPatch.context() as monkeypatch:
        faults = Faults(deployment.aws)
        monkeypatch.setattr("functions.aws.clients.make", faults.client)
        deployment.deliver(supply())

        def overtake(call: Call, arguments: dict[str, Any]) -> Any:
            overtaking(deployment)
            return call(**arguments)

        faults.planned[WRITE] = [overtake]
        first(deployment)
        item = deployment.item(*ALGEBRA)
        del item["version"]
        return item, len(faults.made[WRITE]) - 1


def test_a_race_between_a_rollup_and_an_event_ends_the_same_whoever_wins() -> None:
    def event(deployment: Deployment) -> None:
        assert deployment.deliver(supply("us", available_tutors=2)) == []

    def rollup(deployment: Deployment) -> None:
        roll_up(deployment, {ALGEBRA: USUAL})

    (one, calls), (other, calls_then) = overtaken(event, rollup), overtaken(rollup, event)
    assert one == other
    assert one | STORED == one
    assert set(one["regions"]) == {"eu", "us"}
    assert (calls, calls_then) == (3, 3), "whoever loses writes again"


def test_a_race_between_two_rollups_is_won_by_the_later() -> None:
    def older(deployment: Deployment) -> None:
        roll_up(deployment, {ALGEBRA: of_subject(NOW - 1, 71)})

    def newer(deployment: Deployment) -> None:
        roll_up(deployment, {ALGEBRA: USUAL})

    (one, calls), (other, calls_then) = overtaken(newer, older), overtaken(older, newer)
    assert one == other
    assert one | STORED == one
    assert (calls, calls_then) == (3, 2), "the older has nothing left to write"


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessions_7d", "seven"),
        ("sessions_7d", 7.5),
        ("sessions_7d", None),
        ("avg_rating", True),
        ("first_session_success_rate", []),
        ("rolled_up", "yesterday"),
        ("rolled_up", {}),
        ("rolled_up", {"as_of": -1}),
        ("rolled_up", {"as_of": 1 << 47}),
        ("rolled_up", {"as_of": 1.5}),
        ("rolled_up", {"as_of": NOW, "first_outcomes": "ten"}),
        ("rolled_up", {"as_of": NOW, "usual_daily": "3"}),
        ("rolled_up", {"as_of": NOW, "unknown": 1}),
    ],
)
def test_an_item_whose_figures_are_damaged_fails_alone(deployment: Deployment, name: str, value: Any) -> None:
    roll_up(deployment, {ALGEBRA: USUAL})
    damaged = dict(deployment.aws.items[ALGEBRA])
    if value is None:
        del damaged[name]
    else:
        damaged[name] = to_attribute(value)
    deployment.aws.items[ALGEBRA] = damaged
    other = event_json("supply_demand_update", {"subject": "biology", "balance_status": "odd"})
    assert deployment.deliver(other, supply(), session()) == ["0" * 20 + "1"]
    assert deployment.aws.items[ALGEBRA] == damaged
    assert {("subject", "biology"), ("region", "eu"), ("student", "stu_1"), TUTOR} <= deployment.aws.items.keys()


# -- what it is told of -----------------------------------------------------------------------------------------------


def with_settings(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """The functions as deployed anew, with these variables beside the others."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config.cache_clear()


ALL_ON = {
    "FIRST_SESSION_SUCCESS_BELOW": "0.5",
    "VELOCITY_DROP_SHARE": "0.9",
    "NO_TUTORS_ALERT": "true",
    "DEMAND_SURGE_SCORE": "3.5",
}
ALL_OFF = {
    "FIRST_SESSION_SUCCESS_BELOW": "0",
    "VELOCITY_DROP_SHARE": "0",
    "NO_TUTORS_ALERT": "false",
    "DEMAND_SURGE_SCORE": "0",
}
TELLING = {
    ALGEBRA: of_subject(sessions=45, usual_daily=3.0, surge_score=4.2),
    TUTOR: of_tutor(rate=0.0)._replace(first_outcomes=5),
}
NOBODY = supply(available_tutors=0, active_students=12)
SLOWING = [session(f"old_{each}", age=8 * DAY_MS) for each in range(4)] + [session("new")]
EXPECTED = {
    ("subject", "algebra", "first_session_success_low"): "warning",
    ("subject", "algebra", "session_velocity_drop"): "warning",
    ("subject", "algebra", "no_tutors_available"): "critical",
    ("subject", "algebra", "demand_surge"): "info",
    ("region", "eu", "no_tutors_available"): "critical",
    ("student", "stu_1", "session_velocity_drop"): "warning",
    ("tutor", "tut_1", "first_session_success_low"): "warning",
}


def firing(deployment: Deployment) -> dict[tuple[str, str, str], str]:
    return {
        (*key, alert_type): alert["severity"]
        for key in deployment.aws.items
        for alert_type, alert in deployment.item(*key)["alerts"].items()
    }


def test_none_of_the_alerts_fires_unless_it_is_switched_on(deployment: Deployment) -> None:
    deployment.deliver(NOBODY, *SLOWING)
    assert roll_up(deployment, TELLING).alerts_sent == {}
    assert firing(deployment) == {}


def test_each_fires_for_what_it_can_be_of_and_is_told_when_it_is_committed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(monkeypatch, **ALL_ON)
    deployment.deliver(NOBODY, *SLOWING)
    outcome = roll_up(deployment, TELLING)
    assert firing(deployment) == EXPECTED
    assert outcome.alerts_sent == {"first_session_success_low": 2, "session_velocity_drop": 1, "demand_surge": 1}
    told = deployment.told()
    assert {(each["entity_type"], each["entity_id"], each["alert_type"]): each["severity"] for each in told} == EXPECTED
    assert {each["status"] for each in told} == {"firing"}
    assert not any("outbox" in deployment.item(*key) for key in deployment.aws.items)


def test_one_that_is_switched_off_while_it_fires_is_over(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(monkeypatch, **ALL_ON)
    deployment.deliver(NOBODY, *SLOWING)
    roll_up(deployment, TELLING)
    with_settings(monkeypatch, **ALL_OFF)
    told = len(deployment.told())
    deployment.clock.ms += DAY_MS  # with the first reminder at the latest
    deployment.roll()
    assert firing(deployment) == {}
    over = deployment.told()[told:]
    assert {(each["entity_type"], each["entity_id"], each["alert_type"]): each["severity"] for each in over} == EXPECTED
    assert {each["status"] for each in over} == {"resolved"}


def test_a_rollup_ends_what_a_rollup_began(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(monkeypatch, **ALL_ON)
    roll_up(deployment, TELLING)
    deployment.clock.ms += HOUR_MS
    none = dict.fromkeys(TOTALS_ATTRIBUTES["subject"], 0)
    roll_up(deployment, {ALGEBRA: Totals(NOW + HOUR_MS, none), TUTOR: of_tutor(NOW + HOUR_MS)})
    assert firing(deployment) == {}
    assert [each["message"] for each in deployment.told() if each["status"] == "resolved"] == [
        "Resolved: Subject algebra has a first session success rate of 0.0 (0 of 0)",
        "Resolved: Subject algebra has 0 sessions in 7 days after 0 in the 7 before",
        "Resolved: Demand surge for algebra: 0 sessions in 7 days, usually n/a a day",
        "Resolved: Tutor tut_1 has a first session success rate of 1.0 (2 of 2)",
    ]


def test_a_students_velocity_drops_by_time_alone_and_by_counted_sessions(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a report knows of beside raises sessions_7d, and is no reason to believe that nothing dropped."""
    with_settings(monkeypatch, VELOCITY_DROP_SHARE="0.5")
    report = {"student_id": "stu_1", "health_score": 90, "sessions_last_7_days": 50}
    deployment.deliver(event_json("customer_health_update", report, timestamp=to_iso(NOW)))
    deployment.deliver(*(session(f"ses_{each}", age=each * HOUR_MS) for each in range(4)))
    assert firing(deployment) == {}
    seen = []
    for hour in range(7 * 24 - 4, 14 * 24 + 1):
        deployment.clock.ms = NOW + hour * HOUR_MS
        deployment.roll()
        if hour == 7 * 24 - 1:
            assert deployment.item("student", "stu_1")["sessions_7d"] == 50
        seen.append((hour, len(firing(deployment))))
    fires = [hour for hour, count in seen if count]
    # All four are a week old from here on, and the first of them is two weeks old there.
    assert (fires[0], fires[-1], len(fires)) == (7 * 24, 14 * 24 - 4, 7 * 24 - 3)
    messages = [(each["status"], each["message"]) for each in deployment.told() if each["status"] != "reminder"]
    assert messages == [
        ("firing", "Student stu_1 has 0 sessions in 7 days after 4 in the 7 before"),
        ("resolved", "Resolved: Student stu_1 has 0 sessions in 7 days after 3 in the 7 before"),
    ]
