"""The rollup's hard cases, each as a story of its own: what delivery, time and other processes do to its figures.

That any of its calls may fail in any way is shown by the enumeration; that all figures equal the recomputation and a
second rollup writes nothing, by `World.check`.
"""

from typing import Any

import pytest

from functions.model import DAY_MS, HOUR_MS
from functions.rollup.scan import RollupIncomplete
from proof.stored import public_items, states
from proof.world import BEGINNING, EVERY_ALERT, World, world
from tests.helpers.hard_cases import (
    MINUTE_MS,
    STUDENT,
    TUTOR,
    WRITE,
    before_once,
    completion,
    deliver,
    down,
    event,
    health,
    invoke,
    item,
    put,
    session,
    told,
)

ALGEBRA, BIOLOGY = ("subject", "algebra"), ("subject", "biology")


def figures(here: World, key: tuple[str, str] = ALGEBRA, *names: str) -> tuple[Any, ...]:
    """Of an item some figures; without names, how many sessions of 7, 14 and 30 days."""
    found = public_items(here.memory)[key]
    return tuple(found[name] for name in names or ("sessions_7d", "sessions_14d", "sessions_30d"))


def market(at: int = BEGINNING - HOUR_MS, **given: Any) -> bytes:
    named = {"subject": "algebra", "region": "eu", "balance_status": "balanced"}
    return event("supply_demand_update", at, **named | given)


# -- however it is delivered ------------------------------------------------------------------------------------------


def test_a_group_session_in_many_lanes_told_twice_and_backwards_is_one_session() -> None:
    with world(parallelization_factor=10, batch_size=2) as here:
        group = [
            part(f"s{number}", BEGINNING - number * DAY_MS, student_id=f"stu_{student}", subject="algebra", **rated)
            for number in range(10)
            for student in range(12)
            for part, rated in ((session, {}), (completion, {"tutor_rating": number % 6}))
        ]
        for number, each in enumerate([*reversed(group), *group]):
            put(here, each, key=str(number % 17))
        here.mapping.drain()
        assert here.rollup()["written"] == 2, "the subject, which is made, and the tutor"
        assert figures(here) == (7, 10, 10)
        assert figures(here, ALGEBRA, "active_students_30d", "ratings_30d", "avg_rating") == (12, 10, 2.1)
        here.settle()
        here.check()


def test_a_late_start_moves_a_session_its_subject_and_whose_first_it_was() -> None:
    with world(EVERY_ALERT) as here:
        put(here, completion("s1", subject="algebra", completed_successfully=False))
        put(here, completion("s2", BEGINNING, subject="algebra", tutor_id="tut_2", completed_successfully=True))
        here.mapping.drain()
        here.rollup()
        assert figures(here) == (2, 2, 2)
        assert item(here, ALGEBRA)["alerts"].keys() == {"first_session_success_low"}

        put(here, session("s2", BEGINNING - 8 * DAY_MS, subject="biology", tutor_id="tut_2"))
        here.mapping.drain()
        here.now_ms += MINUTE_MS
        here.rollup()
        assert (figures(here), figures(here, BIOLOGY)) == ((1, 1, 1), (0, 1, 1))
        firsts = ("first_sessions_30d", "first_session_success_rate")
        assert [figures(here, key, *firsts) for key in (ALGEBRA, TUTOR)] == [(0, 0), (0, 0)]
        assert [figures(here, key, *firsts) for key in (BIOLOGY, ("tutor", "tut_2"))] == [(1, 1), (1, 1)]
        assert item(here, ALGEBRA)["alerts"] == {}
        here.settle()
        here.check()


def test_a_day_replayed_and_rolled_up_every_hour_writes_only_what_is_new() -> None:
    with world(EVERY_ALERT) as here:
        for hour in range(24):
            here.now_ms += HOUR_MS
            at = here.now_ms
            put(here, session(f"s{hour}", at, subject="algebra"), completion(f"s{hour}", at + 1, tutor_rating=hour % 6))
            put(here, event("session_started", at, session_id=f"s{hour}", student_id=f"stu_{hour % 5}"))
            here.mapping.drain()
            here.roll()
            assert here.rollup()["written"] >= 1
            assert here.rollup()["written"] == 0
        here.mapping.replay()
        here.mapping.drain()
        assert here.rollup()["written"] == 0
        assert figures(here) == (24, 24, 24)
        here.settle()
        here.check()


def test_sessions_that_a_tutor_s_item_has_folded_are_still_counted_by_their_students() -> None:
    with world(batch_size=10_000) as here:
        for number in range(1_100):
            at = BEGINNING - number * 20 * MINUTE_MS
            put(here, completion(f"s{number}", at, student_id=f"stu_{number % 4}", subject="algebra", tutor_rating=4))
        deliver(here)
        tutor = states(here.memory)[TUTOR]
        assert tutor.tail.folded_before is not None
        here.rollup()
        week = 7 * DAY_MS // (20 * MINUTE_MS)
        assert figures(here) == (week, 2 * week, 1_100)
        assert figures(here, ALGEBRA, "active_students_30d", "ratings_30d", "avg_rating") == (
            4,
            tutor.facts.facts.rows + 700,
            4,
        )


# -- several processes at once ----------------------------------------------------------------------------------------


def test_the_processor_writes_a_subject_between_the_rollup_s_read_and_its_write() -> None:
    with world(EVERY_ALERT) as here:
        put(here, market(), session("s1", subject="algebra"))
        here.mapping.drain()
        other = put(here, market(BEGINNING, region="us", available_tutors=0, active_students=3))
        here.aws.before = before_once(WRITE, lambda: invoke(here, *other))
        here.rollup()
        now = item(here, ALGEBRA)
        assert (now["sessions_7d"], now["region"], now["alerts"].keys()) == (1, "us", {"no_tutors_available"})
        here.settle()
        here.check()


def test_the_rollup_writes_a_subject_between_the_processor_s_read_and_its_write() -> None:
    with world(EVERY_ALERT) as here:
        put(here, market(), completion("s1", subject="algebra", completed_successfully=False))
        here.mapping.drain()
        put(here, market(BEGINNING, region="us", available_tutors=0, active_students=3))
        here.aws.before = before_once(WRITE, here.rollup)
        deliver(here)
        now = item(here, ALGEBRA)
        assert (now["sessions_7d"], now["region"]) == (1, "us")
        assert now["alerts"].keys() == {"no_tutors_available", "first_session_success_low"}
        here.settle()
        here.check()


def test_a_subject_is_made_by_both_at_once() -> None:
    with world() as here:
        put(here, session("s1", subject="algebra"))
        here.mapping.drain()
        first = put(here, market())
        here.aws.before = before_once(WRITE, lambda: invoke(here, *first))
        here.rollup()
        assert (figures(here), item(here, ALGEBRA)["regions"].keys()) == ((1, 1, 1), {"eu"})
        here.settle()
        here.check()


def test_a_rollup_that_is_paused_while_another_lives_does_not_put_the_clock_back() -> None:
    with world(EVERY_ALERT) as here:
        put(here, completion("s1", BEGINNING - 7 * DAY_MS + MINUTE_MS, subject="algebra"))
        here.mapping.drain()
        here.remaining_ms = 2 * HOUR_MS

        def an_hour() -> None:
            here.now_ms += HOUR_MS
            invoke(here, *put(here, session("s2", here.now_ms, subject="algebra")))
            here.rollup()

        here.aws.before = before_once(WRITE, an_hour)
        here.rollup()
        assert figures(here) == (1, 2, 2)
        assert item(here, ALGEBRA)["rolled_up"]["as_of"] == BEGINNING + HOUR_MS
        here.settle()
        here.check()


@pytest.mark.parametrize("again", [0, 1, 2])
def test_two_rollups_at_once_do_no_harm(again: int) -> None:
    """The second lives between two calls of the first: before its scan, between two segments, before it reads."""
    with world(EVERY_ALERT) as here:
        put(here, market(), completion("s1", subject="algebra", completed_successfully=False))
        here.mapping.drain()
        calls = [0]

        def another(operation: str) -> None:
            if operation in ("scan", "batch_get_item"):
                calls[0] += 1
                if calls[0] == again + 1:
                    here.rollup()

        here.aws.before = another
        here.rollup()
        assert calls[0] > again + 1
        assert [alert["status"] for alert in told(here)] == ["firing"] * 2
        here.settle()
        here.check()


# -- failures ---------------------------------------------------------------------------------------------------------


def test_a_table_that_cannot_be_read_whole_is_not_rolled_up_at_all() -> None:
    with world() as here:
        put(here, *(session(f"s{each}", student_id=f"stu_{each}", subject="algebra") for each in range(30)))
        here.mapping.drain()
        writes, scans = here.memory.writes(), [0]

        def the_last_page_fails(operation: str, _: int) -> str | None:
            scans[0] += operation == "scan"
            return "refused" if operation == "scan" and scans[0] > 4 else None

        here.aws.choose = the_last_page_fails
        with pytest.raises(
            RollupIncomplete, match=r"segment 1 of 2 of metrics could not be read: .*ServiceUnavailable"
        ):
            here.rollup()
        assert here.memory.writes() == writes
        here.settle()
        assert figures(here) == (30, 30, 30)
        here.check()


def test_figures_that_could_not_be_written_are_written_by_the_next_rollup() -> None:
    with world() as here:
        put(here, *(session(f"s{each}", tutor_id=f"tut_{each}", subject=f"subject {each}") for each in range(40)))
        here.mapping.drain()
        here.aws.choose = down(WRITE, how="statements refused")
        with pytest.raises(RollupIncomplete, match="AccessDenied"):
            here.rollup()
        half = sum(kind == "subject" for kind, _ in here.memory.items)
        assert 0 < half < 40
        here.settle()
        assert sum(kind == "subject" for kind, _ in here.memory.items) == 40
        here.check()


def test_with_no_time_left_nothing_is_rolled_up_and_nothing_harmed() -> None:
    with world() as here:
        put(here, session("s1", subject="algebra"))
        here.mapping.drain()
        before = dict(here.memory.items)
        here.remaining_ms = 0
        with pytest.raises(RollupIncomplete):
            here.rollup()
        assert here.memory.items == before
        here.remaining_ms = 120_000
        here.settle()
        assert figures(here) == (1, 1, 1)
        here.check()


def test_an_item_that_cannot_be_read_is_named_and_left_as_it_is_and_all_others_are_rolled_up() -> None:
    with world() as here:
        put(here, session("s1", subject="algebra"), session("s2", student_id="stu_2", tutor_id=None, subject="algebra"))
        here.mapping.drain()
        known = here.memory.items["student", "stu_2"]
        unknown = known | {"facts": {"B": b"\xff" + known["facts"]["B"][1:]}}
        here.memory.items["student", "stu_2"] = dict(unknown)
        with pytest.raises(RollupIncomplete, match=r"student stu_2.*format version 255"):
            here.rollup()
        assert here.memory.items["student", "stu_2"] == unknown
        assert figures(here) == (1, 1, 1)
        here.memory.items["student", "stu_2"] = known
        here.settle()
        assert figures(here) == (2, 2, 2)
        here.check()


# -- time -------------------------------------------------------------------------------------------------------------


def test_figures_fall_as_time_passes_and_alerts_end_with_them() -> None:
    with world(EVERY_ALERT) as here:
        for number in range(4):
            put(
                here,
                completion(
                    f"s{number}",
                    BEGINNING - number * DAY_MS,
                    student_id=f"stu_{number}",
                    subject="algebra",
                    tutor_rating=3,
                    completed_successfully=number == 0,
                ),
            )
        seen = []
        for days in (0, 8, 15, 31):
            here.now_ms = BEGINNING + days * DAY_MS
            here.settle()
            here.check_metrics()
            seen.append((figures(here), set(item(here, ALGEBRA)["alerts"]), set(item(here, TUTOR)["alerts"])))
        low, drop = "first_session_success_low", "session_velocity_drop"
        assert seen == [
            ((4, 4, 4), {low}, {low}),
            ((0, 4, 4), {low, drop}, {low}),
            ((0, 0, 4), {low}, {low}),
            ((0, 0, 0), set(), set()),
        ]
        assert not any(value for name, value in item(here, ALGEBRA).items() if name.endswith(("_30d", "_rate")))
        assert {alert["status"] for alert in told(here)} == {"firing", "reminder", "resolved"}


def test_an_outcome_that_comes_late_ends_the_alert_of_a_first_session_and_is_told_once() -> None:
    with world(EVERY_ALERT) as here:
        put(here, session("s1", subject="algebra"))
        put(here, completion("s1", BEGINNING - MINUTE_MS, completed_successfully=False))
        here.settle()
        assert set(item(here, ALGEBRA)["alerts"]) == set(item(here, TUTOR)["alerts"]) == {"first_session_success_low"}
        put(here, completion("s1", BEGINNING, completed_successfully=True))
        here.settle()
        assert [(alert["entity_type"], alert["status"]) for alert in told(here)] == [
            *(("subject", "firing"), ("tutor", "firing")),
            *(("subject", "resolved"), ("tutor", "resolved")),
        ]
        assert told(here)[0]["message"] == "Subject algebra has a first session success rate of 0.0 (0 of 1)"
        here.check()


def test_a_student_whose_sessions_stop_is_told_of_by_time_alone() -> None:
    with world(EVERY_ALERT) as here:
        put(here, session("s1"), session("s2"), health(90))
        here.settle()
        assert told(here) == []
        here.now_ms = BEGINNING + 8 * DAY_MS
        here.roll()
        here.now_ms = BEGINNING + 15 * DAY_MS
        here.roll()
        assert [(alert["message"], alert["status"]) for alert in told(here)] == [
            ("Student stu_1 has 0 sessions in 7 days after 2 in the 7 before", "firing"),
            ("Resolved: Student stu_1 has 0 sessions in 7 days after 0 in the 7 before", "resolved"),
        ]
        assert item(here, STUDENT)["alerts"] == {}
        here.settle()
        here.check()


def test_a_subject_and_a_region_run_dry_and_recover() -> None:
    with world(EVERY_ALERT) as here:
        put(here, market(available_tutors=0, active_students=5))
        put(here, market(subject="biology", available_tutors=1, active_students=1))
        here.settle()
        assert set(item(here, ALGEBRA)["alerts"]) == {"no_tutors_available"}
        assert item(here, ("region", "eu"))["alerts"] == {}
        put(here, market(BEGINNING, subject="biology", available_tutors=0, active_students=1))
        here.settle()
        assert set(item(here, ("region", "eu"))["alerts"]) == {"no_tutors_available"}
        put(here, market(BEGINNING, available_tutors=2, active_students=5))
        here.settle()
        messages = [(alert["severity"], alert["message"]) for alert in told(here) if alert["entity_id"] != "biology"]
        assert messages == [
            ("critical", "No tutors available for algebra (Active students: 5)"),
            ("critical", "No tutors available for eu (Active students: 6)"),
            ("critical", "Resolved: No tutors available for algebra (Active students: 5)"),
            ("critical", "Resolved: No tutors available for eu (Active students: 6)"),
        ]
        here.check()


def test_a_surge_is_told_of_once_it_is_far_above_the_subject_s_own_past() -> None:
    with world(EVERY_ALERT, batch_size=1000) as here:
        put(
            here,
            *(
                session(f"{day} {each}", BEGINNING - day * DAY_MS, student_id=f"stu_{each}", subject="algebra")
                for day, count in enumerate([10] * 7 + [3] * 23)
                for each in range(count)
            ),
        )
        here.settle()
        (surge,) = [alert for alert in told(here) if alert["alert_type"] == "demand_surge"]
        assert surge["message"] == "Demand surge for algebra: 70 sessions in 7 days, usually 3.0 a day"
        assert (surge["severity"], surge["details"]["surge_score"]) == ("info", 4)
        here.check_nothing_is_lost()
        here.now_ms += 7 * DAY_MS
        here.settle()
        assert "demand_surge" not in item(here, ALGEBRA)["alerts"]
        here.check_metrics()
