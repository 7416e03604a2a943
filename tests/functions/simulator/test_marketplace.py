"""Runs and months of the marketplace: consistent, in rhythm, valid by the contract, the same for the same seed."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from functions.simulator import live, month
from functions.simulator.disorder import _data
from functions.simulator.marketplace import SUBJECTS, Event, Marketplace
from proof.oracle import Record, accept

AFTERNOON = datetime(2026, 11, 18, 17, 0, 30, 250_000, tzinfo=UTC)
NIGHT = AFTERNOON.replace(hour=2)
ALL_TYPES = {
    "session_started",
    "session_completed",
    "ib_call_logged",
    "tutor_availability_updated",
    "customer_health_update",
    "supply_demand_update",
}


def ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def sessions(events: list[Event]) -> dict[tuple[str, Any], list[Event]]:
    """What is told of each session of each student in it."""
    found: dict[tuple[str, Any], list[Event]] = defaultdict(list)
    for event in events:
        payload = event.body["payload"]
        if event.event_type.startswith("session_") and "session_id" in payload:
            found[payload["session_id"], payload["student_id"]].append(event)
    return found


def ids(events: list[Event]) -> set[str]:
    payloads = [event.body["payload"] for event in events]
    return {payload[name] for payload in payloads for name in ("session_id", "call_id") if name in payload}


@pytest.fixture(scope="module")
def a_month() -> list[Event]:
    return month.month()


@pytest.fixture(scope="module")
def a_run() -> list[Event]:
    return live.run("1", AFTERNOON, 50, 10)


@pytest.mark.parametrize("made", ["a_month", "a_run"])
def test_events_are_valid_and_tell_their_time(made: str, request: pytest.FixtureRequest) -> None:
    events: list[Event] = request.getfixturevalue(made)
    assert {event.event_type for event in events} == ALL_TYPES
    for event in events:
        accepted = accept(Record(_data(event.body, event.time), ms(event.time), "1"))
        # The call centre's times have whole seconds.
        assert 0 <= ms(event.time) - accepted.time < (1000 if event.event_type == "ib_call_logged" else 1)
        assert event.body["payload"]["timestamp"]
        assert event.body["payload"]["source"]


@pytest.mark.parametrize("made", ["a_month", "a_run"])
def test_a_session_completes_after_it_starts_with_the_same_people(made: str, request: pytest.FixtureRequest) -> None:
    found = sessions(request.getfixturevalue(made))
    assert found
    for told in found.values():
        assert [event.event_type for event in told] in (
            ["session_started"],
            ["session_started", "session_completed"],
            # Of a session that began before the month only the end is told.
            *([["session_completed"]] if made == "a_month" else []),
        )
        for name in ("student_id", "tutor_id", "subject"):
            assert len({event.body["payload"][name] for event in told}) == 1
        minutes = [event.body["payload"].get("actual_duration_minutes") for event in told]
        if len(told) == 2:
            lasted = (told[1].time - told[0].time) / timedelta(minutes=1)
            assert minutes[1] <= lasted < minutes[1] + 1


@pytest.mark.parametrize("made", ["a_month", "a_run"])
def test_nobody_is_in_two_sessions_at_once(made: str, request: pytest.FixtureRequest) -> None:
    by_student: dict[Any, list[tuple[datetime, datetime]]] = defaultdict(list)
    for told in sessions(request.getfixturevalue(made)).values():
        by_student[told[0].body["payload"]["student_id"]].append((told[0].time, told[-1].time))
    for spans in by_student.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_group_session_is_of_one_tutor_and_subject_and_up_to_three_students(a_month: list[Event]) -> None:
    people: dict[str, set[Any]] = defaultdict(set)
    about: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for (session_id, student_id), told in sessions(a_month).items():
        people[session_id].add(student_id)
        about[session_id] |= {(event.body["payload"]["tutor_id"], event.body["payload"]["subject"]) for event in told}
    assert {len(students) for students in people.values()} == {1, 2, 3}
    assert {len(each) for each in about.values()} == {1}


def test_tutors_teach_what_they_offer(a_run: list[Event]) -> None:
    offers = {tutor.tutor_id: tutor.subjects for tutor in live.marketplace().tutors}
    for told in sessions(a_run).values():
        assert told[0].body["payload"]["subject"] in offers[told[0].body["payload"]["tutor_id"]]


def test_a_run_has_its_streams_in_order_and_ends_now(a_run: list[Event]) -> None:
    assert len(a_run) == 500
    times = [event.time for event in a_run]
    assert times == sorted(times)
    assert AFTERNOON - timedelta(minutes=1) < times[-1] <= AFTERNOON
    assert AFTERNOON - timedelta(hours=3) < times[0]


def test_a_long_stream_goes_back_in_time() -> None:
    events = live.run("1", AFTERNOON, 1000, 20)
    assert len(events) == 20_000
    assert events[-1].time <= AFTERNOON
    assert events[0].time < AFTERNOON - timedelta(hours=3)


def test_the_same_seed_and_time_make_the_same_run_and_others_share_no_id(a_run: list[Event]) -> None:
    assert live.run("1", AFTERNOON, 50, 10) == a_run
    for other in (live.run("2", AFTERNOON, 50, 10), live.run("1", AFTERNOON + timedelta(minutes=1), 50, 10)):
        assert ids(other)
        assert not ids(other) & ids(a_run)


def test_the_marketplace_of_all_runs_is_one(a_run: list[Event]) -> None:
    def tutors(events: list[Event]) -> set[str]:
        return {event.body["payload"]["tutor_id"] for event in events if "tutor_id" in event.body["payload"]}

    assert len(tutors(a_run) & tutors(live.run("2", AFTERNOON, 50, 10))) > 50


def test_afternoons_are_busier_than_nights(a_run: list[Event], a_month: list[Event]) -> None:
    night = Counter(event.event_type for event in live.run("1", NIGHT, 50, 10))
    assert set(night) == ALL_TYPES
    assert night["session_started"] * 3 < Counter(event.event_type for event in a_run)["session_started"]
    hours = Counter(event.time.hour for event in a_month if event.event_type == "session_started")
    assert sum(hours[hour] for hour in range(6)) * 8 < sum(hours[hour] for hour in range(14, 20))


def test_a_month_is_35_days_to_its_end(a_month: list[Event]) -> None:
    assert a_month[0].time > month.END - timedelta(days=35)
    assert a_month[0].time < month.END - timedelta(days=34)
    assert month.END - timedelta(hours=3) < a_month[-1].time <= month.END


def test_health_reports_agree_with_what_was_told(a_month: list[Event]) -> None:
    starts: dict[Any, list[datetime]] = defaultdict(list)
    for event in a_month:
        payload = event.body["payload"]
        if event.event_type == "session_started" or payload["source"] == "partner":
            starts[payload.get("student_id")].append(event.time)
    reports = [event for event in a_month if event.event_type == "customer_health_update"]
    late = [event for event in reports if event.time > a_month[0].time + timedelta(days=8)]
    for report in late:
        payload = report.body["payload"]
        told = [time for time in starts[payload["student_id"]] if report.time - timedelta(days=7) < time <= report.time]
        assert payload["sessions_last_7_days"] == len(told)
    # Reports of the first days know of sessions from before the month.
    assert any(event.body["payload"]["sessions_last_30_days"] > 3 for event in reports[:20])


def test_students_slip_and_recover_and_subjects_run_short_and_balance_again(a_month: list[Event]) -> None:
    scores: dict[Any, list[float]] = defaultdict(list)
    states: dict[Any, list[str]] = defaultdict(list)
    for event in a_month:
        payload = event.body["payload"]
        if event.event_type == "customer_health_update":
            scores[payload["student_id"]].append(payload["health_score"])
        if event.event_type == "supply_demand_update":
            states[payload["subject"], payload["region"]].append(payload["balance_status"])
    assert any(min(given) < 50 and given[-1] > 75 for given in scores.values())
    assert any(max(given) > 85 and given[-1] < 50 for given in scores.values())
    assert any("high_demand" in seen and seen[-1] != "high_demand" for seen in states.values())
    assert any(seen[-1] == "high_demand" for seen in states.values())
    assert {state for seen in states.values() for state in seen} == {"balanced", "high_demand", "oversupplied"}


def test_every_subject_has_a_tutor_however_small_the_marketplace() -> None:
    market = Marketplace("tiny", students=1, tutors=1)
    assert set(market.teachers) == set(SUBJECTS)
    assert all(market.teachers.values())


def test_events_are_json_with_the_payload_table_s_fields(a_run: list[Event]) -> None:
    fields = {
        "session_started": "session_id student_id tutor_id subject session_type scheduled_duration_minutes",
        "session_completed": "session_id student_id tutor_id subject actual_duration_minutes"
        " student_rating tutor_rating completed_successfully",
        "ib_call_logged": "call_id student_id reason duration_seconds resolved priority",
        "tutor_availability_updated": "tutor_id available_hours_this_week subjects timezone accepts_instant_book",
        "customer_health_update": "student_id health_score sessions_last_7_days sessions_last_30_days"
        " ib_calls_last_14_days avg_session_rating churn_risk",
        "supply_demand_update": "subject region available_tutors active_students demand_score supply_score"
        " balance_status",
    }
    for event in a_run:
        assert json.loads(json.dumps(event.body)) == event.body
        assert set(event.body["payload"]) == {*fields[event.event_type].split(), "timestamp", "source"}
