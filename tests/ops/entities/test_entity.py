"""One entity: what is told of it, and that each number becomes what was foretold when nothing new arrives."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from rich.console import Console

from functions.aws import clock
from functions.entities.alerts import ALERT_TYPES, AlertRules
from functions.entities.attribute_values import Attributes, to_attribute
from functions.entities.plan import Rules
from functions.entities.tails import NO_TAIL, tail_attributes
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.entities.wakes import Rhythm
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, EntityKey, from_iso, to_iso
from ops import printing
from ops.aws import UserError
from ops.entities import entity
from ops.entities.commands.entity import chart
from ops.entities.entity import Portrait
from ops.entities.explain import Explained
from ops.wholes import Tables, Whole, with_tails
from tests.helpers import metrics_table
from tests.helpers.account import FUNCTION, OUTPUTS, TABLE, Account, refused
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, deployed, event_json
from tests.helpers.ops_command import ops, said

RULES = Rules()
STUDENT = EntityKey("student", "stu_1")


def portrait(item: Attributes | Whole, rules: Rules = RULES, now_ms: int = NOW) -> Portrait:
    whole = item if isinstance(item, Whole) else Whole(item, NO_TAIL)
    return entity.portray(whole, rules, now_ms, deployed=True)


def numbers(told: Portrait) -> dict[str, Explained]:
    return {each.attribute: each for each in told.explained}


@pytest.fixture(scope="module")
def items() -> dict[tuple[str, str], Attributes]:
    made = metrics_table.stored(*metrics_table.events())
    return {(each["entity_type"]["S"], each["entity_id"]["S"]): each for each in made}


# -- what is foretold -------------------------------------------------------------------------------------------------

_AGES = st.integers(0, 31 * 24 * 60).map(lambda minutes: minutes * 60_000)


@st.composite
def histories(draw: st.DrawFn) -> list[bytes]:
    """Sessions, some of them rated, calls, and perhaps a health report, of one student."""
    told = []
    for number, age in enumerate(draw(st.lists(_AGES, max_size=12))):
        payload: dict[str, Any] = {"session_id": f"s{number}", "student_id": "stu_1"}
        if draw(st.booleans()):
            payload["student_rating"] = draw(st.integers(0, 50)) / 10
        told.append(event_json("session_completed", payload, timestamp=to_iso(NOW - age)))
    for number, age in enumerate(draw(st.lists(_AGES, max_size=5))):
        payload = {"call_id": f"c{number}", "student_id": "stu_1"}
        told.append(event_json("ib_call_logged", payload, timestamp=to_iso(NOW - age)))
    names = ("sessions_last_7_days", "sessions_last_30_days", "ib_calls_last_14_days")
    if draw(st.booleans()) or not told:
        figures = {name: draw(st.integers(0, 9)) for name in names}
        report = {"student_id": "stu_1", "health_score": draw(st.integers(0, 100)), **figures}
        told.append(event_json("customer_health_update", report, timestamp=to_iso(NOW - draw(_AGES))))
    return told


def stored_at(made: Deployment, moment: int) -> dict[str, Any]:
    """The item as the first roll from that moment on leaves it; the clock only goes on."""
    made.clock.ms = RULES.rhythm.next_roll(moment) * SECOND_MS
    made.roll()
    return made.item(*STUDENT)


@given(histories())
def test_each_number_becomes_what_was_foretold(history: list[bytes]) -> None:
    with deployed() as made:
        assert made.deliver(*history) == []
        told = portrait(made.aws.items[STUDENT])
        assert not told.differing
        changes = []
        for each in told.explained:
            assert each.value == made.item(*STUDENT)[each.attribute]
            if each.next_leaves:
                changes.append((from_iso(each.next_leaves.at), each.attribute, each.next_leaves.to))
            if each.report:
                changes.append((from_iso(each.report.until), each.attribute, each.report.then))
        for moment, attribute, to in sorted(changes):
            assert stored_at(made, moment)[attribute] == to, (attribute, to_iso(moment))


@given(histories())
def test_what_stands_in_a_window_is_counted(history: list[bytes]) -> None:
    with deployed() as made:
        made.deliver(*history)
        told = portrait(made.aws.items[STUDENT])
        counted = [each for each in history if b"customer_health_update" not in each]
        made.aws.items.clear()
        made.deliver(*counted)
        without_report = made.item(*STUDENT) if counted else {}
    for name, each in numbers(told).items():
        if name.startswith(("sessions", "ib_calls", "ratings")):
            assert each.facts == without_report.get(name, 0)
            if each.report:
                assert each.value > each.facts
            assert (each.earliest is None) == (each.facts == 0) == (each.next_leaves is None)


def test_why(items: dict[tuple[str, str], Attributes]) -> None:
    told = numbers(portrait(items[STUDENT]))
    week = told["sessions_7d"]
    assert (week.value, week.facts) == (6, 3)
    assert (week.earliest, week.latest) == (to_iso(NOW - 6 * DAY_MS - HOUR_MS), to_iso(NOW - HOUR_MS))
    assert week.next_leaves is not None
    assert asdict(week.next_leaves) == {"at": to_iso(NOW + DAY_MS - HOUR_MS), "to": 6}
    assert week.report is not None
    assert asdict(week.report) == {
        "field": "sessions_last_7_days",
        "reported_at": to_iso(NOW - DAY_MS),
        "until": to_iso(NOW + 6 * DAY_MS),
        "then": 1,
    }
    assert week.why == (
        "the health report of 2026-11-22 10:00 UTC says 6, more than the 3 counted; it counts until "
        "2026-11-29 10:00 UTC, then the number is 1"
    )
    assert told["sessions_14d"].why.startswith("5 counted, but it is never below that of a shorter window")
    assert told["sessions_30d"].why == "9 sessions within 30 days"
    assert told["ib_calls_14d"].why == "3 calls within 14 days"
    assert told["avg_rating"].why == "the mean of 4 rated sessions; of a session's ratings the latest counts"
    assert told["session_velocity"].why == "3 sessions counted in 7 days, less 2 in the 7 before"
    assert told["health_score"].why == "the latest health report, of 2026-11-22 10:00 UTC"
    tutor = numbers(portrait(items["tutor", "tut_1"]))
    assert tutor["health_score"].why == "always 100: health reports are of students"
    assert "ib_calls_7d" not in tutor


def test_a_student_of_whom_little_is_known() -> None:
    (item,) = metrics_table.stored(
        event_json("ib_call_logged", {"call_id": "c", "student_id": "stu_1"}, timestamp=to_iso(NOW))
    )
    told = portrait(item)
    assert numbers(told)["avg_rating"].why == "0: none of its sessions of 30 days is rated"
    assert numbers(told)["health_score"].why == "100 until a health report comes"
    assert numbers(told)["session_velocity"].next_leaves is None
    assert told.first_session is None
    (health,) = (each for each in told.alerts if each.alert_type == "low_health_score")
    assert health.why == "no health report has come; it fires on a reported score alone"


def test_a_subject_and_a_region(items: dict[tuple[str, str], Attributes]) -> None:
    subject = portrait(items["subject", "algebra"])
    why = numbers(subject)["demand_score"].why
    assert why == "the latest update, of the region us at 2026-11-22 10:00 UTC"
    assert set(subject.attributes["regions"]) == {"eu", "us"}
    assert subject.days == ()
    (imbalance,) = (each for each in subject.alerts if each.firing)
    assert (imbalance.alert_type, imbalance.severity, imbalance.why) == (
        "supply_demand_imbalance",
        "info",
        "in high demand: eu",
    )
    region = portrait(items["region", "us"])
    assert numbers(region)["active_students"].why == "the sum over its 1 subjects' latest updates"
    assert numbers(region)["high_demand_subjects"].value == 0
    assert region.due_at is None
    assert region.due_because == "nothing changes by itself"


def rolled_up(item: Attributes) -> Attributes:
    """A subject as a rollup leaves it."""
    figures = dict.fromkeys(TOTALS_ATTRIBUTES["subject"], 4) | {"first_session_success_rate": 0.4}
    more = {
        **figures,
        "rolled_up": {"as_of": NOW - HOUR_MS, "first_outcomes": 10, "usual_daily": 2, "surge_score": 3.5},
    }
    return {**item, **{name: to_attribute(value) for name, value in more.items()}}


def test_figures_of_a_rollup(items: dict[tuple[str, str], Attributes]) -> None:
    told = portrait(rolled_up(items["subject", "algebra"]))
    assert told.rolled_up == {
        "as_of": to_iso(NOW - HOUR_MS),
        "first_outcomes": 10,
        "usual_daily": 2,
        "surge_score": 3.5,
    }
    why = numbers(told)
    assert why["sessions_7d"].why.startswith("over all students' and tutors' sessions at the rollup of 2026-11-23 09")
    assert why["first_session_success_rate"].why.startswith("of 10 first sessions with a known outcome")


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_why_an_alert_fires_and_when_it_is_told_again(items: dict[tuple[str, str], Attributes]) -> None:
    rules = Rules(AlertRules(renotify_hours=12))
    told = {each.alert_type: each for each in portrait(items[STUDENT], rules).alerts}
    assert list(told) == list(ALERT_TYPES["student"])
    calls = told["high_ib_call_frequency"]
    assert (calls.firing, calls.severity, calls.since, calls.episodes, calls.reminders) == (
        True,
        "warning",
        to_iso(NOW),
        1,
        0,
    )
    assert calls.next_reminder == to_iso(NOW + 12 * HOUR_MS)
    assert calls.why == "3 calls in 14 days; a warning from 3 on (ibCallsWarning)"
    assert told["low_health_score"].why == (
        "health_score is 45.5; a warning below 70 (healthWarning), critical below 50 (healthCritical)"
    )
    assert not told["session_velocity_drop"].firing
    none_left = Rules(AlertRules(max_reminders=0))
    assert {each.next_reminder for each in portrait(items[STUDENT], none_left).alerts} == {None}


ON = AlertRules(
    first_session_success_below=0.5,
    velocity_drop_share=0.5,
    no_tutors_alert=True,
    demand_surge_score=3.5,
)


def test_why_the_alerts_that_are_off_by_default(items: dict[tuple[str, str], Attributes]) -> None:
    subject, key = items["subject", "algebra"], ("subject", "algebra")
    off = {each.alert_type: each.why for each in portrait(subject).alerts}
    assert off == {
        "supply_demand_imbalance": "in high demand: eu",
        "first_session_success_low": "switched off: firstSessionSuccessBelow is 0",
        "session_velocity_drop": "switched off: velocityDropShare is 0",
        "no_tutors_available": "switched off: noTutorsAlertEnabled is false",
        "demand_surge": "switched off: demandSurgeScore is 0",
    }
    on = {each.alert_type: each.why for each in portrait(subject, Rules(ON)).alerts}
    for name in ("first_session_success_low", "session_velocity_drop", "demand_surge"):
        assert on[name] == "no rollup has counted its sessions yet"
    assert (
        on["no_tutors_available"] == "available_tutors is 3, active_students 30; critical at no tutor for some student"
    )
    reasons = {each.alert_type: each.why for each in portrait(rolled_up(items[key]), Rules(ON)).alerts}
    assert reasons["first_session_success_low"] == (
        "0.4 of 10 first sessions succeeded; a warning below 0.5 (firstSessionSuccessBelow) of at least 5 "
        "(firstSessionsLeast)"
    )
    assert reasons["session_velocity_drop"] == (
        "4 sessions in 7 days after 0 in the 7 before; a warning below 0.5 of them (velocityDropShare) when they were "
        "at least 4 (velocityDropLeast)"
    )
    assert reasons["demand_surge"] == (
        "4 sessions in 7 days, usually 2 a day: a score of 3.5; told from 3.5 (demandSurgeScore) and 10 sessions "
        "(demandSurgeLeast) on"
    )
    quiet = {**rolled_up(items[key]), "rolled_up": to_attribute({"as_of": NOW, "first_outcomes": 0})}
    (surge,) = (each.why for each in portrait(quiet, Rules(ON)).alerts if each.alert_type == "demand_surge")
    assert surge.startswith("fewer than one session on a usual day")
    student = {each.alert_type: each.why for each in portrait(items[STUDENT], Rules(ON)).alerts}
    assert student["session_velocity_drop"].startswith(
        "3 sessions in 7 days after 2 in the 7 before; a warning below 0.5"
    )


# -- what is due, facts, days -----------------------------------------------------------------------------------------


def test_when_it_changes_next_by_itself(items: dict[tuple[str, str], Attributes]) -> None:
    told = portrait(items[STUDENT])
    assert told.due_at == to_iso(NOW + DAY_MS - HOUR_MS)
    assert told.due_because.startswith("the next fact leaves a window")
    assert not told.overdue
    assert not portrait(items[STUDENT], now_ms=NOW + DAY_MS - HOUR_MS + 14 * MINUTE_MS).overdue
    assert portrait(items[STUDENT], now_ms=NOW + DAY_MS - HOUR_MS + 15 * MINUTE_MS).overdue
    seldom = Rhythm(11 * HOUR_MS)
    roll = seldom.next_roll(NOW + DAY_MS - HOUR_MS) * SECOND_MS
    assert roll > NOW + DAY_MS - HOUR_MS
    assert portrait(items[STUDENT], Rules(rhythm=seldom)).due_at == to_iso(roll)
    subject = portrait(items["subject", "algebra"])
    assert (subject.due_at, subject.due_because) == (to_iso(NOW + DAY_MS), "an alert is told again")
    often = portrait(items["subject", "algebra"], Rules(AlertRules(renotify_hours=1)))
    assert (often.due_at, often.overdue) == (to_iso(NOW + HOUR_MS), False)
    late = NOW + HOUR_MS + 15 * MINUTE_MS
    assert portrait(items["subject", "algebra"], Rules(AlertRules(renotify_hours=1)), late).overdue
    with deployed() as made:
        made.aws.refuse_entries = 10**6
        made.deliver(*metrics_table.events())
        waiting = portrait(made.aws.items[STUDENT])
    assert (waiting.unsent, waiting.due_because) == (2, "notifications wait to be published")


def test_facts_in_words(items: dict[tuple[str, str], Attributes]) -> None:
    told = portrait(items[STUDENT])
    assert len(told.facts) == 12
    assert [each.window for each in told.facts if each.kind == "session"] == [
        "30d",
        "30d",
        "30d",
        "30d",
        "14d",
        "14d",
        "7d",
        "7d",
        "7d",
    ]
    third = next(each for each in told.facts if each.time == to_iso(NOW - 9 * DAY_MS - HOUR_MS))
    assert asdict(third) == {
        "kind": "session",
        "time": to_iso(NOW - 9 * DAY_MS - HOUR_MS),
        "id": third.id,
        "window": "14d",
        "leaves": to_iso(NOW + 5 * DAY_MS - HOUR_MS),
        "subject": "algebra",
        "tutor": "tut_1",
        "rating": 1.5,
        "rated_at": to_iso(NOW - 9 * DAY_MS),
        "outcome": "failure",
        "in_tail": False,
    }
    assert len({each.id for each in told.facts}) == 12
    assert all(len(each.id) == 16 for each in told.facts)
    assert told.first_session is not None
    assert told.first_session["time"] == told.facts[0].time
    assert told.first_session["session"] == told.facts[0].id
    assert told.first_session["tutor_id"] == "tut_1"
    kept = portrait({**items[STUDENT], "as_of": to_attribute(NOW + 6 * DAY_MS + 2 * HOUR_MS)})
    assert kept.facts[0].window == "none"
    assert kept.facts[0].leaves == to_iso(from_iso(kept.facts[0].time) + 32 * DAY_MS)


def test_facts_that_were_folded() -> None:
    sessions = [
        event_json(
            "session_completed",
            {"session_id": str(number), "tutor_id": "tut_1", "tutor_rating": number % 2 * 5},
            timestamp=to_iso(NOW - number * HOUR_MS // 4),
        )
        for number in range(1_100)
    ]
    (item,) = metrics_table.wholes(*sessions)
    told = portrait(item)
    assert told.folded_before is not None
    assert sum(fact.in_tail for fact in told.facts) > 600
    assert len(told.facts) + sum(hour.number for hour in told.folded) == 1_100
    assert {hour.kind for hour in told.folded} == {"session"}
    assert told.folded[1].avg_rating == 2.5
    assert sum(day.sessions for day in told.days) == 1_100
    assert sum(each.ratings for each in told.folded) + len(told.facts) == 1_100


def moved_sessions(number: int) -> list[bytes]:
    """Sessions of a student, an hour apart, of whom most are in the tail then."""
    return [
        event_json(
            "session_started", {"session_id": f"s{each}", "student_id": "stu_1"}, timestamp=to_iso(NOW - each * HOUR_MS)
        )
        for each in range(number)
    ]


def test_facts_of_head_and_tail_are_all_told() -> None:
    with deployed() as made:
        assert made.deliver(*moved_sessions(600)) == []
        late = event_json("session_started", {"session_id": "late", "student_id": "stu_1"}, timestamp=to_iso(NOW - 1))
        assert made.deliver(late) == []
        tables = Tables("metrics", ENVIRONMENT["STATE_TABLE_NAME"])
        (item,) = with_tails([made.aws.items[STUDENT]], tables, NOW)
    told = portrait(item)
    assert not told.differing
    assert len(told.facts) == 601
    assert [fact.time for fact in told.facts] == sorted(fact.time for fact in told.facts)
    assert (told.facts[0].in_tail, told.facts[-1].in_tail) == (True, False)
    assert {fact.in_tail for fact in told.facts} == {True, False}
    assert told.due_at == to_iso(NOW + HOUR_MS)
    assert sum(day.sessions for day in told.days) == 601


def test_days(items: dict[tuple[str, str], Attributes]) -> None:
    days = {each.day: (each.sessions, each.calls) for each in portrait(items[STUDENT]).days}
    assert len(days) == 30
    assert min(days) == "2026-10-25"
    assert days["2026-11-23"] == (1, 1)
    assert days["2026-11-18"] == (0, 1)
    assert days["2026-11-20"] == (1, 0)
    assert sum(sessions for sessions, _ in days.values()) == 9


def test_a_chart() -> None:
    assert chart([0, 1, 2, 4, 8, 1200], rows=2) == [
        "1,200 │          ██",
        "      │  ▁▁▁▁▁▁▁▁██",
        "    0 └──────────┴─",
    ]
    assert chart([0, 0, 0, 0, 0, 0, 0, 1]) == ["1 │              ██", "0 └┴─────────────┴─"]
    assert chart([0, 0, 0, 0, 0, 0, 0, 4], rows=1) == ["4 │              ██", "0 └┴─────────────┴─"]


def test_what_its_facts_do_not_make_is_told(items: dict[tuple[str, str], Attributes]) -> None:
    told = portrait({**items[STUDENT], "sessions_30d": to_attribute(99)})
    assert [(each.attribute, each.stored, each.recomputed) for each in told.differing] == [("sessions_30d", 99, 9)]


def test_an_item_that_cannot_be_read(items: dict[tuple[str, str], Attributes]) -> None:
    with pytest.raises(
        UserError, match="the item of student stu_1 is damaged or of another release: it cannot be read"
    ):
        portrait({**items[STUDENT], "facts": {"B": b"\x07"}})


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(items: dict[tuple[str, str], Attributes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(clock, "now_ms", lambda: NOW)
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, list(items.values()))
        yield dynamodb


AT = ("--table", metrics_table.TABLE)


def test_an_entity(table: Any) -> None:
    result = ops("entity", "student", "stu_1", *AT)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "student stu_1" in lines
    assert "as of 2026-11-23 10:00 UTC" in lines
    assert "sessions_7d 6" in lines
    assert "low_health_score critical 2026-11-23 10:00" in lines
    assert "health report of 2026-11-22 10:00 UTC: health_score 45.5, sessions_last_7_days 6" in lines
    assert "first session: 2026-10-30 09:00 UTC, of algebra, with tut_1, outcome unknown" in lines
    assert "sessions a day, 2026-10-25 to 2026-11-23: 9 in all" in lines
    assert "calls a day, 2026-10-25 to 2026-11-23: 3 in all" in lines
    assert "identity" not in result.stdout
    assert result.stderr == ""


def test_an_entity_with_facts(table: Any) -> None:
    result = ops("entity", "students", "stu_1", "--facts", *AT)
    assert "12 facts, and 0 folded into 0 hours." in result.stdout
    assert "failure" in result.stdout


def test_an_entity_explained(table: Any) -> None:
    result = ops("entity", "student", "stu_1", "--explain", *AT)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "sessions_7d 6 3 11-17 11-23 2026-11-24 09:00 6" in lines
    assert "ib_calls_14d 3 3 calls within 14 days" in lines
    assert "Thresholds are the default ones: give --stack, --local or --function for the deployed ones." in lines
    assert (
        "high_ib_call_frequency: 3 calls in 14 days; a warning from 3 on (ibCallsWarning); 0 reminders sent, the next "
        "at 2026-11-24 10:00 UTC"
    ) in lines
    assert "session_velocity_drop: switched off: velocityDropShare is 0" in lines


def test_on_a_narrow_terminal_nothing_is_cut_off(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "output", lambda: Console(highlight=False, width=60))
    for command in (("entity", "student", "stu_1", "--facts"), ("entity", "subject", "algebra"), ("recent",)):
        result = ops(*command, *AT)
        assert "…" not in result.stdout
        words = set(result.stdout.split())
        wanted = {"entity": {"2026-11-22"}, "recent": {"low_health_score", "algebra", "info"}}
        assert words >= wanted[command[0]]
    assert "leaves (UTC)      subject  tutor" in ops("entity", "student", "stu_1", "--facts", *AT).stdout


def test_a_subject_shown(table: Any) -> None:
    lines = [" ".join(line.split()) for line in ops("entity", "subject", "algebra", *AT).stdout.splitlines()]
    assert "eu 3 30 90 20 high_demand 2026-11-22 10:00" in lines
    assert "supply_demand_imbalance info 2026-11-23 10:00" in lines
    assert not any("a day" in line for line in lines)


def test_as_json_all_of_it_is_there(table: Any, items: dict[tuple[str, str], Attributes]) -> None:
    result = ops("entity", "student", "stu_1", "--output", "json", *AT)
    told = replace(portrait(items[STUDENT]), settings="default")
    assert json.loads(result.stdout) == json.loads(json.dumps(asdict(told)))


def test_there_is_no_such_entity(table: Any) -> None:
    result = ops("entity", "student", "stu_l", *AT)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said(result) == (
        "error: there is no student stu_l in the table metrics (near it: student stu_2, student stu_1): check the id "
        "and the stack"
    )
    assert "(near it: tutor tut_1, student stu_1)" in said(ops("entity", "student", "tut_1", *AT))
    assert "there is no region nowhere in the table metrics: check the id" in said(
        ops("entity", "region", "nowhere", *AT)
    )


@pytest.mark.parametrize("off", [("LastUpdatedIndex",), ("EntityTypeHealthIndex", "LastUpdatedIndex")])
def test_near_ids_whatever_indexes_there_are(items: dict[tuple[str, str], Attributes], off: tuple[str, ...]) -> None:
    with mock_aws():
        metrics_table.make(boto3.client("dynamodb"), list(items.values()), off=off)
        student = said(ops("entity", "student", "stu_l", *AT))
        subject = said(ops("entity", "subject", "algebre", *AT))
    assert "(near it: student stu_2, student stu_1)" in student
    assert "(near it: subject algebra)" in subject


def test_near_ids_are_an_extra(account: Account) -> None:
    account.answers |= {"get_item": {}, "describe_table": account.table(), "scan": refused("Scan")}
    assert "there is no student x in the table metrics: check" in said(ops("entity", "student", "x", *AT))
    account.answers["batch_get_item"] = refused("BatchGetItem")
    assert ops("entity", "student", "x", *AT).exit_code == 1


def explained(account: Account, outputs: Path, items: dict[tuple[str, str], Attributes], *options: str) -> Any:
    account.answers["get_item"] = {"Item": items[STUDENT]}
    return ops("entity", "student", "stu_1", "--stack-outputs", str(outputs), *options)


def test_thresholds_are_the_deployed_ones(
    account: Account, outputs: Path, items: dict[tuple[str, str], Attributes]
) -> None:
    account.answers["get_function_configuration"] = {
        "Environment": {"Variables": {**ENVIRONMENT, "IB_CALLS_WARNING": "9"}}
    }
    result = explained(account, outputs, items, "--explain")
    assert "a warning from 9 on (ibCallsWarning)" in result.stdout
    assert "Thresholds are the default ones" not in result.stdout
    (read,) = [arguments for name, arguments in account.calls if name == "get_item"]
    assert (read["TableName"], read["ConsistentRead"]) == (TABLE, True)
    account.answers["get_function_configuration"] = refused("GetFunctionConfiguration")
    result = explained(account, outputs, items)  # without --explain no threshold is shown
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_tail_is_read_from_the_table_that_the_function_names(account: Account, outputs: Path) -> None:
    (whole,) = metrics_table.wholes(*moved_sessions(600))
    assert whole.tail is not None
    tail = tail_attributes(STUDENT, whole.tail)
    state_table = ENVIRONMENT["STATE_TABLE_NAME"]
    account.answers["get_item"] = {"Item": whole.head}
    account.answers["batch_get_item"] = {"Responses": {state_table: [tail]}}
    result = ops("entity", "student", "stu_1", "--stack-outputs", str(outputs), "--facts")
    assert "600 facts, and 0 folded into 0 hours." in result.stdout
    asked = [arguments["RequestItems"] for name, arguments in account.calls if name == "batch_get_item"]
    assert [list(each) for each in asked] == [[state_table]]
    result = ops("entity", "student", "stu_1", "--table", TABLE)
    assert result.exit_code == 2
    assert "the older facts of student stu_1 are in the internal table" in said(result)
    account.answers["batch_get_item"] = {"Responses": {}}
    result = ops("entity", "student", "stu_1", "--stack-outputs", str(outputs))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the student stu_1 was removed while it was read" in said(result)


def test_thresholds_that_may_not_be_read(
    account: Account, outputs: Path, items: dict[tuple[str, str], Attributes]
) -> None:
    account.answers["get_function_configuration"] = refused("GetFunctionConfiguration")
    result = explained(account, outputs, items, "--explain", "--output", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["settings"] == "default"
    assert f"warning: GetFunctionConfiguration on the function {FUNCTION} is not allowed" in said(result)
    assert "the default thresholds are shown" in said(result)
    account.answers["get_function_configuration"] = refused("GetFunctionConfiguration", "ResourceNotFoundException")
    result = explained(account, outputs, items, "--explain")
    assert result.exit_code == 254
    assert f"the function {FUNCTION} does not exist" in said(result)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "AccessDeniedException",
            f"GetItem on the table {OUTPUTS['MetricsTableName']} is not allowed: dynamodb:GetItem",
        ),
        ("ResourceNotFoundException", f"the table {OUTPUTS['MetricsTableName']} does not exist"),
        ("ProvisionedThroughputExceededException", "AWS throttles GetItem on the table"),
    ],
)
def test_what_aws_refuses(account: Account, outputs: Path, code: str, says: str) -> None:
    account.answers["get_item"] = refused("GetItem", code)
    result = ops("entity", "student", "stu_1", "--stack-outputs", str(outputs))
    assert result.exit_code == 254
    assert says in said(result)


def test_mistakes() -> None:
    assert "'elf' is no type of entity" in said(ops("entity", "elf", "x", *AT))
    assert ops("entity", "student", *AT).exit_code == 2
    assert "--table is missing" in said(ops("entity", "student", "x"))
