"""Alerts: when each fires, the whole life of one, and what is told in which words."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities.alerts import (
    ALERT_TYPES,
    DEMAND_SURGE,
    FIRST_SESSION_SUCCESS_LOW,
    HIGH_IB_CALL_FREQUENCY,
    LOW_HEALTH_SCORE,
    MOST_IN_OUTBOX,
    NO_ALERTS,
    NO_TUTORS_AVAILABLE,
    SESSION_VELOCITY_DROP,
    SEVERITIES,
    SUPPLY_DEMAND_IMBALANCE,
    AlertRules,
    Alerts,
    EntityFigures,
    Notification,
    details_and_message,
    judge,
    levels_of,
    next_reminder,
    without,
)
from functions.entities.registers import REPORTED, Register
from functions.entities.totals import Totals
from functions.model import HIGH_DEMAND, HOUR_MS, EntityKey, to_iso
from tests.helpers.deployment import NOW

STUDENT = EntityFigures(
    EntityKey("student", "stu_1"),
    {"health_score": 45, "sessions_7d": 9, "ib_calls_14d": 3, "session_velocity": -5},
    {},
    counted_7d=2,
)
QUIET = dict.fromkeys(ALERT_TYPES["student"], 0)
ALWAYS_ON = (HIGH_IB_CALL_FREQUENCY, LOW_HEALTH_SCORE, SUPPLY_DEMAND_IMBALANCE)
WARNING, CRITICAL = SEVERITIES.index("warning"), SEVERITIES.index("critical")


def level(rules: AlertRules | None = None, **figures: float | None) -> dict[str, str]:
    """The severities that these figures amount to, of a student and of a subject together."""
    given = {"ib_calls_14d": 0, "health_score": 100.0, "reported_at": NOW, "high_demand": 0} | figures
    reported = {} if given["reported_at"] is None else {REPORTED: Register(NOW, {})}
    student = STUDENT._replace(metrics={**STUDENT.metrics, **given}, registers=reported)
    regions = {
        f"r{number}": Register(NOW, {"balance_status": HIGH_DEMAND}) for number in range(int(given["high_demand"] or 0))
    }
    subject = EntityFigures(EntityKey("subject", "algebra"), {}, regions)
    found = levels_of(student, rules or AlertRules()) | levels_of(subject, rules or AlertRules())
    return {alert_type: SEVERITIES[value] for alert_type, value in found.items() if value}


@pytest.mark.parametrize(
    ("figures", "firing"),
    [
        ({}, {}),
        ({"ib_calls_14d": 2}, {}),
        ({"ib_calls_14d": 3}, {HIGH_IB_CALL_FREQUENCY: "warning"}),
        ({"ib_calls_14d": 1_000}, {HIGH_IB_CALL_FREQUENCY: "warning"}),
        ({"health_score": 70.0}, {}),
        ({"health_score": 69.999}, {LOW_HEALTH_SCORE: "warning"}),
        ({"health_score": 50.0}, {LOW_HEALTH_SCORE: "warning"}),
        ({"health_score": 49.999}, {LOW_HEALTH_SCORE: "critical"}),
        ({"health_score": 0.0}, {LOW_HEALTH_SCORE: "critical"}),
        ({"high_demand": 1}, {SUPPLY_DEMAND_IMBALANCE: "info"}),
        ({"high_demand": 200}, {SUPPLY_DEMAND_IMBALANCE: "info"}),
        (
            {"ib_calls_14d": 3, "health_score": 1.0},
            {HIGH_IB_CALL_FREQUENCY: "warning", LOW_HEALTH_SCORE: "critical"},
        ),
    ],
)
def test_alerts_fire_at_their_thresholds(figures: dict[str, Any], firing: dict[str, str]) -> None:
    assert level(**figures) == firing


def test_thresholds_are_configuration() -> None:
    rules = AlertRules(ib_calls_warning=5, health_warning=80.5, health_critical=20)
    assert level(rules, ib_calls_14d=4, health_score=80.5) == {}
    assert level(rules, ib_calls_14d=5, health_score=80.0) == {
        HIGH_IB_CALL_FREQUENCY: "warning",
        LOW_HEALTH_SCORE: "warning",
    }
    assert level(rules, health_score=19.0) == {LOW_HEALTH_SCORE: "critical"}


# -- those that are off by default ------------------------------------------------------------------------------------


def rolled_subject(sessions: int = 70, before: int = 20, **given: Any) -> EntityFigures:
    """Subject algebra with a rollup's figures."""
    figures = {
        "sessions_7d": sessions,
        "session_velocity": sessions - before,
        "first_sessions_30d": 12,
        "first_session_success_rate": 0.4,
    }
    figures |= {name: value for name, value in given.items() if name in figures}
    beside = {name: value for name, value in given.items() if name not in figures}
    return EntityFigures(
        EntityKey("subject", "algebra"), {}, {}, Totals(NOW, figures, **({"first_outcomes": 10} | beside))
    )


def of_student(last: int, before: int, key: EntityKey = STUDENT.key) -> EntityFigures:
    return STUDENT._replace(key=key, metrics={**STUDENT.metrics, "session_velocity": last - before}, counted_7d=last)


def of_supply(entity_type: Any, **figures: int) -> EntityFigures:
    return EntityFigures(EntityKey(entity_type, "algebra"), figures, {})


def fires(subject: EntityFigures, **rules: Any) -> dict[str, str]:
    """What fires of the alerts that are off by default."""
    found = levels_of(subject, AlertRules(**rules))
    return {name: SEVERITIES[value] for name, value in found.items() if value and name not in ALWAYS_ON}


@pytest.mark.parametrize("entity_type", ["subject", "tutor"])
@pytest.mark.parametrize(
    ("rate", "known", "below", "least", "firing"),
    [
        (0.3999, 10, 0.4, 10, True),
        (0.4, 10, 0.4, 10, False),
        (0.4001, 10, 0.4, 10, False),
        (0.3999, 9, 0.4, 10, False),
        (0.3999, 11, 0.4, 10, True),
        (0, 1, 0.0001, 1, True),
        (0, 10, 0, 1, False),
        (0.9999, 10, 1, 1, True),
        (1, 10, 1, 1, False),
    ],
)
def test_first_session_success_is_low_below_the_bound_with_enough_of_known_outcome(
    entity_type: Any, rate: float, known: int, below: float, least: int, firing: bool
) -> None:
    subject = rolled_subject(first_session_success_rate=rate, first_outcomes=known)
    subject = subject._replace(key=EntityKey(entity_type, "e1"))
    rules = {"first_session_success_below": below, "first_sessions_least": least}
    assert fires(subject, **rules) == ({FIRST_SESSION_SUCCESS_LOW: "warning"} if firing else {})


@pytest.mark.parametrize("made", [of_student, rolled_subject], ids=["student", "subject"])
@pytest.mark.parametrize(
    ("last", "before", "share", "least", "firing"),
    [
        (2, 6, 0.5, 4, True),
        (3, 6, 0.5, 4, False),
        (4, 6, 0.5, 4, False),
        (0, 3, 0.5, 4, False),
        (0, 4, 0.5, 4, True),
        (3, 4, 1, 4, True),
        (4, 4, 1, 4, False),
        (0, 9, 0, 1, False),
        (0, 0, 1, 1, False),
        (7, 100, 0.07, 4, False),  # the product in floats is 7.000000000000001
        (6, 100, 0.07, 4, True),
        (1, 7, 0.1428572, 4, False),  # a seventh, rounded up in its last decimal
    ],
)
def test_velocity_drops_below_a_share_of_a_week_that_had_enough(
    made: Callable[[int, int], EntityFigures], last: int, before: int, share: float, least: int, firing: bool
) -> None:
    rules = {"velocity_drop_share": share, "velocity_drop_least": least}
    assert fires(made(last, before), **rules) == ({SESSION_VELOCITY_DROP: "warning"} if firing else {})


@pytest.mark.parametrize("entity_type", ["subject", "region"])
@pytest.mark.parametrize(
    ("figures", "firing"),
    [
        ({"available_tutors": 0, "active_students": 1}, True),
        ({"available_tutors": 1, "active_students": 1}, False),
        ({"available_tutors": 0, "active_students": 0}, False),
        ({"available_tutors": 0}, False),
        ({"active_students": 1}, False),
        ({}, False),
    ],
)
def test_no_tutors_are_available_when_there_are_none_and_somebody_is_there_to_be_taught(
    entity_type: Any, figures: dict[str, int], firing: bool
) -> None:
    found = fires(of_supply(entity_type, **figures), no_tutors_alert=True)
    assert found == ({NO_TUTORS_AVAILABLE: "critical"} if firing else {})


@pytest.mark.parametrize(
    ("score", "sessions", "bound", "least", "firing"),
    [
        (3.4, 70, 3.5, 10, False),
        (3.5, 70, 3.5, 10, True),
        (3.6, 70, 3.5, 10, True),
        (99.9, 9, 3.5, 10, False),
        (99.9, 10, 3.5, 10, True),
        (None, 70, 3.5, 10, False),
        (99.9, 70, 0, 1, False),
        (0.0, 70, 0, 1, False),
    ],
)
def test_demand_surges_from_the_score_on_with_enough_sessions(
    score: float | None, sessions: int, bound: float, least: int, firing: bool
) -> None:
    subject = rolled_subject(sessions, usual_daily=3.0, surge_score=score)
    rules = {"demand_surge_score": bound, "demand_surge_least": least}
    assert fires(subject, **rules) == ({DEMAND_SURGE: "info"} if firing else {})


@pytest.mark.parametrize(
    ("subject", "switch", "firing"),
    [
        (rolled_subject(first_outcomes=4), {"first_session_success_below": 0.5}, set()),
        (rolled_subject(first_outcomes=5), {"first_session_success_below": 0.5}, {FIRST_SESSION_SUCCESS_LOW}),
        (of_student(0, 3), {"velocity_drop_share": 0.5}, set()),
        (of_student(0, 4), {"velocity_drop_share": 0.5}, {SESSION_VELOCITY_DROP}),
        (rolled_subject(9, surge_score=9.0), {"demand_surge_score": 3.5}, set()),
        (rolled_subject(10, surge_score=9.0), {"demand_surge_score": 3.5}, {DEMAND_SURGE}),
        (rolled_subject(1_000, surge_score=99.0), {}, set()),
    ],
)
def test_what_is_switched_on_and_set_no_further_asks_for_the_contracts_least(
    subject: EntityFigures, switch: dict[str, float], firing: set[str]
) -> None:
    assert fires(subject, **switch).keys() == firing


ALL_ON: dict[str, Any] = {
    "first_session_success_below": 1,
    "first_sessions_least": 1,
    "velocity_drop_share": 1,
    "velocity_drop_least": 1,
    "no_tutors_alert": True,
    "demand_surge_score": 0.1,
    "demand_surge_least": 1,
}


@pytest.mark.parametrize(
    ("entity_type", "firing"),
    [
        ("student", {SESSION_VELOCITY_DROP}),
        ("tutor", {FIRST_SESSION_SUCCESS_LOW}),
        ("subject", {FIRST_SESSION_SUCCESS_LOW, SESSION_VELOCITY_DROP, NO_TUTORS_AVAILABLE, DEMAND_SURGE}),
        ("region", {NO_TUTORS_AVAILABLE}),
    ],
)
def test_no_entity_is_judged_for_what_cannot_be_of_it(entity_type: Any, firing: set[str]) -> None:
    """Even one that has all figures of all types."""
    subject = rolled_subject(1, 9, usual_daily=1.0, surge_score=9.0)._replace(
        key=EntityKey(entity_type, "e1"),
        metrics={
            "available_tutors": 0,
            "active_students": 1,
            "session_velocity": -8,
            "ib_calls_14d": 0,
            "health_score": 100,
        },
        counted_7d=1,
    )
    assert set(fires(subject, **ALL_ON)) == firing
    assert fires(subject) == {}
    assert levels_of(subject, AlertRules()).keys() == set(ALERT_TYPES[subject.key.entity_type])


def test_before_the_first_rollup_nothing_is_known_of_what_it_finds_out() -> None:
    for entity_type in ("subject", "tutor"):
        assert fires(of_supply(entity_type), **ALL_ON) == {}


# -- the life of an alert ---------------------------------------------------------------------------------------------


class Life:
    """A student's alert of low health as hours pass; what is told is sent at once."""

    def __init__(self, **rules: float) -> None:
        self.rules = AlertRules(**rules)  # type: ignore[arg-type]
        self.state = NO_ALERTS
        self.told: list[dict[str, Any]] = []

    def at(self, hour: float, now: int) -> list[tuple[str, str]]:
        """What is told (status, severity) when the level is `now`, so many hours in."""
        judged = judge(self.state, STUDENT, QUIET | {LOW_HEALTH_SCORE: now}, NOW + round(hour * HOUR_MS), self.rules)
        new = [json.loads(notification.detail) for notification in judged.outbox]
        self.told += new
        self.state = without(judged, frozenset(each["alert_id"] for each in new))
        assert self.state.outbox == ()
        return [(each["status"], each["severity"]) for each in new]


def test_an_alert_is_told_when_it_starts_and_not_again_while_nothing_changes() -> None:
    life = Life()
    assert life.at(0, WARNING) == [("firing", "warning")]
    assert life.at(1, WARNING) == []
    assert life.at(23.999, WARNING) == []


def test_a_change_of_severity_is_told_up_and_down() -> None:
    life = Life()
    told = [life.at(hour, now) for hour, now in enumerate((WARNING, CRITICAL, WARNING, CRITICAL))]
    assert told == [[("firing", severity)] for severity in ("warning", "critical", "warning", "critical")]
    assert life.state.firing[LOW_HEALTH_SCORE].severity == "critical"


def test_a_lasting_alert_is_told_again_every_24_hours_five_times() -> None:
    life = Life()
    life.at(0, WARNING)
    told = [hour for hour in range(1, 300) if life.at(hour, WARNING) == [("reminder", "warning")]]
    assert told == [24, 48, 72, 96, 120]


def test_reminders_missed_are_made_up_for_by_one() -> None:
    life = Life()
    life.at(0, WARNING)
    assert life.at(100, WARNING) == [("reminder", "warning")]
    assert life.at(123.9, WARNING) == []
    assert life.at(124, WARNING) == [("reminder", "warning")]


def test_a_change_of_severity_restarts_the_clock_but_not_the_count() -> None:
    life = Life(max_reminders=2)
    life.at(0, WARNING)
    assert life.at(24, WARNING) == [("reminder", "warning")]
    assert life.at(40, CRITICAL) == [("firing", "critical")]
    assert life.at(48, CRITICAL) == []
    assert life.at(64, CRITICAL) == [("reminder", "critical")]
    assert life.at(200, CRITICAL) == []
    assert life.at(201, WARNING) == [("firing", "warning")]
    assert life.at(400, WARNING) == []


def test_the_rhythm_of_reminders_is_configuration() -> None:
    life = Life(renotify_hours=0.5, max_reminders=1)
    life.at(0, WARNING)
    assert life.at(0.5, WARNING) == [("reminder", "warning")]
    assert life.at(1, WARNING) == []


def test_reminders_can_be_switched_off() -> None:
    life = Life(max_reminders=0)
    life.at(0, WARNING)
    assert life.at(1_000, WARNING) == []
    assert next_reminder(life.state, life.rules) is None


def test_the_end_is_told_once_with_the_highest_severity_of_the_episode() -> None:
    life = Life()
    for hour, now in enumerate((WARNING, CRITICAL, WARNING)):
        life.at(hour, now)
    assert life.at(3, 0) == [("resolved", "critical")]
    assert life.at(4, 0) == []
    assert life.state.firing == {}
    assert life.at(5, WARNING) == [("firing", "warning")]
    assert life.at(6, 0) == [("resolved", "warning")], "the episode before has no say in it"


def test_an_episode_keeps_its_id_and_start_and_another_one_has_others() -> None:
    life = Life()
    for hour, now in ((0, WARNING), (1, CRITICAL), (25, CRITICAL), (26, 0), (27, WARNING), (28, 0)):
        life.at(hour, now)
    first, second = life.told[:4], life.told[4:]
    assert [each["status"] for each in life.told] == ["firing", "firing", "reminder", "resolved", "firing", "resolved"]
    assert {each["started_at"] for each in first} == {to_iso(NOW)}
    assert {each["started_at"] for each in second} == {to_iso(NOW + 27 * HOUR_MS)}
    assert [len({each["episode_id"] for each in episode}) for episode in (first, second)] == [1, 1]
    assert first[0]["episode_id"] != second[0]["episode_id"]
    assert len({each["alert_id"] for each in life.told}) == 6
    assert [each["timestamp"] for each in first] == [to_iso(NOW + hour * HOUR_MS) for hour in (0, 1, 25, 26)]


def test_a_new_episode_has_its_own_count_of_reminders() -> None:
    life = Life(max_reminders=1)
    life.at(0, WARNING)
    assert life.at(24, WARNING) == [("reminder", "warning")]
    life.at(25, 0)
    life.at(26, WARNING)
    assert life.at(50, WARNING) == [("reminder", "warning")]


def test_firing_says_severity_since_and_episode() -> None:
    life = Life()
    life.at(0, WARNING)
    life.at(5, CRITICAL)
    assert life.state.firing[LOW_HEALTH_SCORE]._asdict() == {
        "severity": "critical",
        "since": to_iso(NOW),
        "episode_id": life.told[0]["episode_id"],
    }


def test_judging_again_from_the_same_state_makes_the_same_notification() -> None:
    level = QUIET | {LOW_HEALTH_SCORE: CRITICAL}
    once, again = (judge(NO_ALERTS, STUDENT, level, NOW, AlertRules()) for _ in range(2))
    assert once == again
    assert judge(once, STUDENT, level, NOW + 1, AlertRules()) == once


def test_no_two_entities_or_types_share_an_id() -> None:
    rules, everything = AlertRules(), dict.fromkeys((HIGH_IB_CALL_FREQUENCY, LOW_HEALTH_SCORE), WARNING)
    others = [
        STUDENT,
        STUDENT._replace(key=EntityKey("student", "stu_2")),
        STUDENT._replace(key=EntityKey("tutor", "stu_1")),
    ]
    told = [json.loads(each.detail) for one in others for each in judge(NO_ALERTS, one, everything, NOW, rules).outbox]
    for name in ("alert_id", "episode_id"):
        assert len({each[name] for each in told}) == 6


def test_ids_never_change() -> None:
    """Consumers drop a notification whose id they know, whichever version of this code has sent it."""
    life = Life()
    for hour, now in ((0, WARNING), (1, CRITICAL), (2, 0), (3, WARNING)):
        life.at(hour, now)
    assert [(told["episode_id"], told["alert_id"]) for told in life.told] == [
        ("5af38fc8d76cb81df23f7c3c7b0d5a85", "ba9bea089e59b5424cc62c6d972c5d6f"),
        ("5af38fc8d76cb81df23f7c3c7b0d5a85", "d52d824ab5dc217dbec29b6a3b35cf2d"),
        ("5af38fc8d76cb81df23f7c3c7b0d5a85", "d2cda6437fd00dd62c59899cbbe54167"),
        ("229ddb5643a51d85275555cf4283e111", "bb2504aee6ea8594d7c8478d79cc6aff"),
    ]


def test_the_next_reminder_is_the_earliest_of_those_still_due() -> None:
    rules = AlertRules(max_reminders=1)
    state = judge(NO_ALERTS, STUDENT, QUIET | {LOW_HEALTH_SCORE: WARNING}, NOW, rules)
    both = QUIET | {LOW_HEALTH_SCORE: WARNING, HIGH_IB_CALL_FREQUENCY: WARNING}
    state = judge(state, STUDENT, both, NOW + HOUR_MS, rules)
    assert next_reminder(state, rules) == NOW + 24 * HOUR_MS
    state = judge(state, STUDENT, both, NOW + 24 * HOUR_MS, rules)
    assert next_reminder(state, rules) == NOW + 25 * HOUR_MS
    state = judge(state, STUDENT, both, NOW + 25 * HOUR_MS, rules)
    assert next_reminder(state, rules) is None
    assert next_reminder(NO_ALERTS, rules) is None


# -- the outbox -------------------------------------------------------------------------------------------------------


def waiting(count: int) -> Alerts:
    """A state with so many notifications that nobody has taken yet."""
    return NO_ALERTS._replace(outbox=tuple(Notification(str(number), "any", NOW, "{}") for number in range(count)))


def test_while_the_outbox_is_full_nothing_is_judged_and_afterwards_nothing_is_lost() -> None:
    level = QUIET | {LOW_HEALTH_SCORE: CRITICAL, HIGH_IB_CALL_FREQUENCY: WARNING}
    full = waiting(MOST_IN_OUTBOX)
    assert judge(full, STUDENT, level, NOW, AlertRules()) == full
    state = judge(without(full, frozenset({"0"})), STUDENT, level, NOW, AlertRules())
    assert len(state.outbox) == MOST_IN_OUTBOX
    assert set(state.firing) == {HIGH_IB_CALL_FREQUENCY}
    state = judge(without(state, frozenset({"1", "2"})), STUDENT, level, NOW, AlertRules())
    assert set(state.firing) == {HIGH_IB_CALL_FREQUENCY, LOW_HEALTH_SCORE}
    assert [waits.alert_type for waits in state.outbox[-2:]] == [
        HIGH_IB_CALL_FREQUENCY,
        LOW_HEALTH_SCORE,
    ]


steps = st.lists(
    st.tuples(
        st.fixed_dictionaries(
            {
                HIGH_IB_CALL_FREQUENCY: st.sampled_from([0, WARNING]),
                LOW_HEALTH_SCORE: st.sampled_from([0, WARNING, CRITICAL]),
                SESSION_VELOCITY_DROP: st.sampled_from([0, WARNING]),
            }
        ),
        st.integers(1, 30),
        st.sampled_from([0, 0, 0, 1, MOST_IN_OUTBOX]),
    ),
    min_size=1,
    max_size=60,
)


@given(steps)
def test_however_slowly_the_outbox_empties_what_was_told_adds_up_to_what_is_firing(
    steps: list[tuple[dict[str, int], int, int]],
) -> None:
    rules, state, now = AlertRules(), NO_ALERTS, NOW
    told: list[dict[str, Any]] = []
    for level, hours, sent in [*steps, (steps[-1][0], 0, MOST_IN_OUTBOX), (steps[-1][0], 0, MOST_IN_OUTBOX)]:
        now += hours * HOUR_MS
        state = judge(state, STUDENT, level, now, rules)
        assert len(state.outbox) <= MOST_IN_OUTBOX
        going = [json.loads(each.detail) for each in state.outbox[:sent]]
        told += going
        state = without(state, frozenset(each["alert_id"] for each in going))

    assert state.outbox == ()
    assert {name: firing.severity for name, firing in state.firing.items()} == {
        name: SEVERITIES[now] for name, now in steps[-1][0].items() if now
    }
    assert len({each["alert_id"] for each in told}) == len(told)
    for alert_type in QUIET:
        mine = [each for each in told if each["alert_type"] == alert_type]
        episodes = dict.fromkeys(each["episode_id"] for each in mine)
        for number, episode in enumerate(episodes, 1):
            statuses = [each["status"] for each in mine if each["episode_id"] == episode]
            assert statuses[0] == "firing"
            assert statuses.count("reminder") <= rules.max_reminders
            over = number < len(episodes) or alert_type not in state.firing
            assert ("resolved" in statuses) == over
            assert statuses.count("resolved") == statuses[-1:].count("resolved")


# -- the words --------------------------------------------------------------------------------------------------------


def demand(**regions: tuple[int, str, int | None]) -> EntityFigures:
    """Subject algebra with, by region: time, balance_status, demand_score (supply is 20)."""
    registers = {
        region: Register(
            NOW + time,
            {"balance_status": status, "supply_score": 20} | ({} if score is None else {"demand_score": score}),
        )
        for region, (time, status, score) in regions.items()
    }
    return EntityFigures(EntityKey("subject", "algebra"), {}, registers)


@pytest.mark.parametrize(
    ("alert_type", "subject", "details", "message"),
    [
        (
            HIGH_IB_CALL_FREQUENCY,
            STUDENT,
            {"ib_calls_14d": 3, "health_score": 45},
            "Student stu_1 has 3 IB calls in 14 days",
        ),
        (
            LOW_HEALTH_SCORE,
            STUDENT,
            {"health_score": 45, "sessions_7d": 9, "ib_calls_14d": 3},
            "Student stu_1 has low health score: 45.0",
        ),
        (
            LOW_HEALTH_SCORE,
            STUDENT._replace(metrics={**STUDENT.metrics, "health_score": 49.75}),
            {"health_score": 49.75, "sessions_7d": 9, "ib_calls_14d": 3},
            "Student stu_1 has low health score: 49.75",
        ),
        (
            SUPPLY_DEMAND_IMBALANCE,
            demand(eu=(0, "high_demand", 90)),
            {
                "balance_status": "high_demand",
                "demand_score": 90,
                "supply_score": 20,
                "regions": ["eu"],
                "regions_total": 1,
            },
            "High demand detected for algebra (Demand: 90, Supply: 20)",
        ),
        (
            # The newest region that is in high demand; of those equally late the greater name.
            SUPPLY_DEMAND_IMBALANCE,
            demand(
                us=(1, "high_demand", 70),
                eu=(1, "high_demand", 90),
                asia=(0, "high_demand", 80),
                uk=(2, "balanced", 10),
            ),
            {
                "balance_status": "high_demand",
                "demand_score": 70,
                "supply_score": 20,
                "regions": ["asia", "eu", "us"],
                "regions_total": 3,
            },
            "High demand detected for algebra (Demand: 70, Supply: 20)",
        ),
        (
            SUPPLY_DEMAND_IMBALANCE,
            demand(eu=(0, "high_demand", None)),
            {
                "balance_status": "high_demand",
                "demand_score": "n/a",
                "supply_score": 20,
                "regions": ["eu"],
                "regions_total": 1,
            },
            "High demand detected for algebra (Demand: n/a, Supply: 20)",
        ),
        (
            SUPPLY_DEMAND_IMBALANCE,
            demand(eu=(0, "balanced", 90)),
            {
                "balance_status": "n/a",
                "demand_score": "n/a",
                "supply_score": "n/a",
                "regions": [],
                "regions_total": 0,
            },
            "High demand detected for algebra (Demand: n/a, Supply: n/a)",
        ),
        (
            FIRST_SESSION_SUCCESS_LOW,
            rolled_subject(),
            {"first_session_success_rate": 0.4, "first_outcomes": 10, "first_sessions_30d": 12},
            "Subject algebra has a first session success rate of 0.4 (4 of 10)",
        ),
        (
            FIRST_SESSION_SUCCESS_LOW,
            rolled_subject(first_session_success_rate=0, first_outcomes=7)._replace(key=EntityKey("tutor", "tut_1")),
            {"first_session_success_rate": 0, "first_outcomes": 7, "first_sessions_30d": 12},
            "Tutor tut_1 has a first session success rate of 0.0 (0 of 7)",
        ),
        (
            FIRST_SESSION_SUCCESS_LOW,
            rolled_subject(first_session_success_rate=0.6667, first_outcomes=9_999),
            {"first_session_success_rate": 0.6667, "first_outcomes": 9_999, "first_sessions_30d": 12},
            "Subject algebra has a first session success rate of 0.6667 (6666 of 9999)",
        ),
        (
            FIRST_SESSION_SUCCESS_LOW,
            rolled_subject()._replace(totals=None),
            dict.fromkeys(("first_session_success_rate", "first_outcomes", "first_sessions_30d"), "n/a"),
            "Subject algebra has a first session success rate of n/a",
        ),
        (
            SESSION_VELOCITY_DROP,
            of_student(1, 6),
            {"counted_7d": 1, "counted_7d_before": 6},
            "Student stu_1 has 1 sessions in 7 days after 6 in the 7 before",
        ),
        (
            SESSION_VELOCITY_DROP,
            rolled_subject(10, 60),
            {"counted_7d": 10, "counted_7d_before": 60},
            "Subject algebra has 10 sessions in 7 days after 60 in the 7 before",
        ),
        (
            SESSION_VELOCITY_DROP,
            rolled_subject()._replace(totals=None),
            {"counted_7d": "n/a", "counted_7d_before": "n/a"},
            "Subject algebra has n/a sessions in 7 days after n/a in the 7 before",
        ),
        (
            NO_TUTORS_AVAILABLE,
            of_supply("subject", available_tutors=0, active_students=12),
            {"available_tutors": 0, "active_students": 12},
            "No tutors available for algebra (Active students: 12)",
        ),
        (
            NO_TUTORS_AVAILABLE,
            of_supply("region"),
            {"available_tutors": "n/a", "active_students": "n/a"},
            "No tutors available for algebra (Active students: n/a)",
        ),
        (
            DEMAND_SURGE,
            rolled_subject(usual_daily=3, surge_score=4.2),
            {"sessions_7d": 70, "usual_daily": 3, "surge_score": 4.2},
            "Demand surge for algebra: 70 sessions in 7 days, usually 3.0 a day",
        ),
        (
            DEMAND_SURGE,
            rolled_subject(1),
            {"sessions_7d": 1, "usual_daily": "n/a", "surge_score": "n/a"},
            "Demand surge for algebra: 1 sessions in 7 days, usually n/a a day",
        ),
    ],
)
def test_details_and_messages(alert_type: str, subject: EntityFigures, details: dict[str, Any], message: str) -> None:
    assert details_and_message(alert_type, subject) == (details, message)


def test_of_25_regions_20_are_named_and_all_are_counted() -> None:
    regions = {f"region_{number:02}": (number, "high_demand", number) for number in range(25)}
    details, _ = details_and_message(SUPPLY_DEMAND_IMBALANCE, demand(**regions))
    assert details["regions"] == sorted(regions)[:20]
    assert details["regions_total"] == 25
    assert details["demand_score"] == 24


def test_a_notification_is_exactly_the_contracts_detail() -> None:
    state = judge(NO_ALERTS, STUDENT, QUIET | {LOW_HEALTH_SCORE: CRITICAL}, NOW, AlertRules())
    (told,) = (json.loads(each.detail) for each in state.outbox)
    assert list(told) == [
        "alert_id",
        "episode_id",
        "alert_type",
        "severity",
        "status",
        "entity_id",
        "entity_type",
        "details",
        "message",
        "timestamp",
        "started_at",
    ]
    assert told == told | {
        "episode_id": state.firing[LOW_HEALTH_SCORE].episode_id,
        "alert_type": "low_health_score",
        "severity": "critical",
        "status": "firing",
        "entity_id": "stu_1",
        "entity_type": "student",
        "details": {"health_score": 45, "sessions_7d": 9, "ib_calls_14d": 3},
        "message": "Student stu_1 has low health score: 45.0",
        "timestamp": "2026-11-23T10:00:00.000Z",
        "started_at": "2026-11-23T10:00:00.000Z",
    }


def test_the_end_is_told_with_the_figures_of_then() -> None:
    state = judge(NO_ALERTS, STUDENT, QUIET | {LOW_HEALTH_SCORE: CRITICAL}, NOW, AlertRules())
    better = STUDENT._replace(metrics={**STUDENT.metrics, "health_score": 88})
    over = json.loads(judge(state, better, QUIET, NOW + 1, AlertRules()).outbox[-1].detail)
    assert over["message"] == "Resolved: Student stu_1 has low health score: 88.0"
    assert over["details"]["health_score"] == 88
