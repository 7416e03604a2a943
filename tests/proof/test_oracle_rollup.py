"""What a rollup must find out, against expectations computed by hand: whose a session is, and what it counts for."""

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest

from proof.oracle import DAY_MS, EntityKey, Record, Rules, Totals, recompute, roll_up
from tests.helpers.oracle_records import AS_OF, event, records

HOUR_MS = DAY_MS // 24
ALGEBRA, BIOLOGY, TUTOR = ("subject", "algebra"), ("subject", "biology"), ("tutor", "t")


def started(age: int, session_id: Any = "s", **named: Any) -> bytes:
    return event("session_started", AS_OF - age, session_id=session_id, **{"student_id": "a", **named})


def completed(age: int, session_id: Any = "s", **named: Any) -> bytes:
    return event("session_completed", AS_OF - age, session_id=session_id, **{"student_id": "a", **named})


def totals(*data: bytes, as_of: int = AS_OF) -> dict[EntityKey, Totals]:
    return roll_up(records(*data), as_of)


def figures(entity: EntityKey, *data: bytes) -> dict[str, Any]:
    return totals(*data)[entity].attributes


def some(found: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(found[name] for name in names)


# -- sessions of a subject --------------------------------------------------------------------------------------------


def test_a_group_session_is_one_session_of_three_students() -> None:
    group = [
        each
        for student in ("a", "b", "c")
        for each in (
            started(2 * HOUR_MS, student_id=student, tutor_id="t", subject="algebra"),
            completed(HOUR_MS, student_id=student, tutor_id="t", subject="algebra", tutor_rating=4.5),
        )
    ]
    own = started(DAY_MS, "alone", tutor_id="t", subject="algebra")
    assert figures(ALGEBRA, *group, own) == {
        "sessions_7d": 2,
        "sessions_14d": 2,
        "sessions_30d": 2,
        "session_velocity": 2,
        "avg_rating": 4.5,
        "ratings_30d": 1,
        "active_students_30d": 3,
        "first_sessions_30d": 3,
        "first_session_success_rate": 0,
    }


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (0, (1, 1, 1, 1, 1)),
        (7 * DAY_MS - 1, (1, 1, 1, 1, 1)),
        (7 * DAY_MS, (0, 1, 1, 1, 1)),
        (14 * DAY_MS - 1, (0, 1, 1, 1, 1)),
        (14 * DAY_MS, (0, 0, 1, 1, 1)),
        (30 * DAY_MS - 1, (0, 0, 1, 1, 1)),
        (30 * DAY_MS, (0, 0, 0, 0, 0)),
        (-600_000, (1, 1, 1, 1, 1)),
    ],
)
def test_every_window_is_exact_to_the_millisecond(age: int, counts: tuple[int, ...]) -> None:
    data = completed(age, tutor_id="t", subject="algebra", tutor_rating=3, completed_successfully=True)
    found = figures(ALGEBRA, data)
    names = ("sessions_7d", "sessions_14d", "sessions_30d", "active_students_30d", "first_sessions_30d")
    assert some(found, *names) == counts
    assert some(found, "ratings_30d", "avg_rating") == (counts[2], 3 * counts[2])
    assert figures(TUTOR, data) == {"first_sessions_30d": counts[2], "first_session_success_rate": counts[2]}


def test_a_session_that_two_subjects_claim_is_the_one_s_that_was_named_first() -> None:
    late = completed(HOUR_MS, subject="algebra", tutor_id="t")
    early = started(2 * HOUR_MS, student_id="b", subject="biology")
    for data in ((early, late), (late, early)):
        found = totals(*data)
        assert found[ALGEBRA].attributes["sessions_7d"] == 0
        assert found[BIOLOGY].attributes["sessions_7d"] == 1
        # Student a knows of algebra only.
        assert found[ALGEBRA].attributes["active_students_30d"] == 1
        assert found[BIOLOGY].attributes["active_students_30d"] == 1
    # Named in the same millisecond: the smaller name.
    assert figures(ALGEBRA, started(0, subject="biology"), completed(0, subject="algebra"))["sessions_7d"] == 1


def test_a_late_completion_brings_subject_and_rating_to_the_session_of_its_start() -> None:
    start, end = started(8 * DAY_MS), completed(6 * DAY_MS, tutor_id="t", subject="algebra", tutor_rating=2)
    for data in ((start, end), (end, start)):
        found = figures(ALGEBRA, *data)
        assert some(found, "sessions_7d", "sessions_14d", "ratings_30d", "avg_rating") == (0, 1, 1, 2)
        assert found["session_velocity"] == -1
    # A start before the window takes its completion with it.
    start, end = started(31 * DAY_MS), completed(29 * DAY_MS, tutor_id="t", subject="algebra", tutor_rating=2)
    early = [Record(start, AS_OF - 31 * DAY_MS, "1"), Record(end, AS_OF - 29 * DAY_MS, "2")]
    assert not any(roll_up(early, AS_OF)[ALGEBRA].attributes.values())


def test_what_arrives_32_days_late_names_its_subject_and_counts_nothing() -> None:
    late = started(32 * DAY_MS, tutor_id="t", subject="algebra")
    assert not any(figures(ALGEBRA, late).values())
    again = completed(0, subject="biology")
    found = totals(late, again)
    assert found[ALGEBRA].attributes["sessions_30d"] == 0
    assert some(found[BIOLOGY].attributes, "sessions_7d", "first_sessions_30d") == (1, 1)
    assert found[TUTOR].attributes["first_sessions_30d"] == 0


def test_the_rating_is_a_tutor_rating_of_a_completion_that_names_a_tutor() -> None:
    given = {"subject": "algebra", "student_rating": 1}
    nameless = completed(0, tutor_rating=5, **given)
    assert some(figures(ALGEBRA, nameless), "sessions_7d", "ratings_30d", "avg_rating") == (1, 0, 0)
    earlier = completed(2, tutor_id="t", tutor_rating=5, **given)
    later = completed(1, tutor_id="u", tutor_rating=3, **given)
    larger = completed(1, tutor_id="t", tutor_rating=4, **given)
    assert figures(ALGEBRA, nameless, later, earlier)["avg_rating"] == 3
    assert figures(ALGEBRA, later, larger, earlier)["avg_rating"] == 4
    # Of 4, 4 and 5: thirteen thirds.
    more = [completed(0, n, tutor_id="t", tutor_rating=rating, **given) for n, rating in enumerate((4, 5))]
    assert some(figures(ALGEBRA, larger, *more), "avg_rating", "ratings_30d") == (4.3333, 3)


def test_a_session_without_subject_is_nobody_s() -> None:
    found = totals(started(0, tutor_id="t"))
    assert found.keys() == {TUTOR}
    assert found[TUTOR].attributes["first_sessions_30d"] == 1


# -- first sessions ---------------------------------------------------------------------------------------------------


def test_the_outcome_of_a_first_session_comes_in_any_order() -> None:
    events = (
        started(3 * HOUR_MS, "first", subject="algebra", tutor_id="t"),
        completed(2 * HOUR_MS, "first", completed_successfully=False),
        completed(HOUR_MS, "first", completed_successfully=True),
        completed(0, "first"),
        started(2 * HOUR_MS, "second", subject="biology", tutor_id="u"),
        completed(2 * HOUR_MS, "second", completed_successfully=False),
    )
    for data in permutations(events):
        found = totals(*data)
        for entity in (ALGEBRA, TUTOR):
            assert found[entity].first_outcomes == 1
            rate = some(found[entity].attributes, "first_sessions_30d", "first_session_success_rate")
            assert rate == (1, 1)
        for entity in (BIOLOGY, ("tutor", "u")):
            assert (found[entity].first_outcomes, found[entity].attributes["first_sessions_30d"]) == (0, 0)


def test_success_wins_over_failure_at_the_same_time() -> None:
    data = [completed(0, subject="algebra", completed_successfully=success) for success in (True, False)]
    assert figures(ALGEBRA, *data)["first_session_success_rate"] == 1


def test_an_earlier_session_takes_the_place_of_what_was_the_first() -> None:
    known = completed(DAY_MS, "known", subject="algebra", completed_successfully=True)
    assert totals(known)[ALGEBRA].first_outcomes == 1
    found = totals(known, started(31 * DAY_MS, "earlier", subject="biology"))
    assert found[ALGEBRA].attributes["first_sessions_30d"] == 0
    assert found[BIOLOGY].attributes["first_sessions_30d"] == 0


def test_of_two_first_sessions_in_one_millisecond_that_with_the_smaller_id_is_the_first() -> None:
    # 64 bits of BLAKE2b of "0:id:s2" are 8e8dc36d8303e0e2, of "0:id:s3" 3a2a0520ceffc434.
    data = [started(0, "s2", subject="algebra"), started(0, "s3", subject="biology")]
    assert figures(ALGEBRA, *data)["first_sessions_30d"] == 0
    assert figures(BIOLOGY, *data)["first_sessions_30d"] == 1


def test_the_rate_is_over_known_outcomes_and_has_four_decimals() -> None:
    outcomes = (True, True, False, None, None)
    data = [
        completed(0, name, student_id=name, tutor_id="t", subject="algebra", completed_successfully=outcome)
        for name, outcome in zip("abcde", outcomes, strict=True)
    ]
    found = totals(*data)
    for entity in (ALGEBRA, TUTOR):
        assert found[entity].first_outcomes == 3
        rate = some(found[entity].attributes, "first_sessions_30d", "first_session_success_rate")
        assert rate == (5, 0.6667)


# -- demand surge -----------------------------------------------------------------------------------------------------


def busy(days: Iterable[int]) -> list[bytes]:
    """So many sessions of algebra on each day before `AS_OF`, the newest first; at the end of each day and within."""
    return [
        started(day * DAY_MS + each, f"{day} {each}", subject="algebra")
        for day, count in enumerate(days)
        for each in range(count)
    ]


@pytest.mark.parametrize(
    ("last", "past", "usual", "score"),
    [
        # (10 - 3) / sqrt 3: an even past scatters as a Poisson process does.
        ([10] * 7, [3] * 23, 3, 4),
        # The median is 3, of the distances 2, 0 and 3 it is 2: (12 - 3) / (1.4826 * 2).
        ([12] * 7, [1] * 8 + [3] * 7 + [6] * 8, 3, 3),
        # One week of extremes in the past moves neither: (36 / 7 - 4) / 2 = 0.571...
        ([0, 0, 0, 0, 0, 0, 36], [4] * 16 + [90] * 7, 4, 0.6),
        ([0] * 7, [4] * 23, 4, -2),
        # Of 23 days 12 are empty: there is no usual day.
        ([9] * 7, [5] * 11 + [0] * 12, None, None),
        ([9] * 7, [5] * 12 + [0] * 11, 5, 1.8),
    ],
)
def test_the_score_is_the_modified_z_score_of_the_last_week(
    last: list[int], past: list[int], usual: int | None, score: float | None
) -> None:
    found = totals(*busy([*last, *past]))[ALGEBRA]
    assert (found.usual_daily, found.surge_score) == (usual, score)


def test_a_tie_of_the_score_is_rounded_to_even_and_what_is_ahead_of_the_clock_is_today_s() -> None:
    # (17 - 16) / 4 = 0.25; of the 119 sessions one is a minute ahead.
    ahead = started(-60_000, "ahead", subject="algebra")
    found = totals(*busy([17] * 6 + [16] + [16] * 23), ahead)[ALGEBRA]
    assert (found.usual_daily, found.surge_score) == (16, 0.2)


def test_a_day_ends_24_hours_before_the_moment_of_the_rollup() -> None:
    data = [started(7 * DAY_MS + off, n, subject="algebra") for n, off in enumerate((-1, 0))]
    found = totals(*busy([0] * 7 + [1] * 23), *data)[ALGEBRA]
    # One of the two is of the last week: (1/7 - 1) / 1.
    assert (found.usual_daily, found.surge_score) == (1, -0.9)


# -- in the table -----------------------------------------------------------------------------------------------------


OFF = Rules()


def stored(data: list[bytes], rules: Rules = OFF) -> dict[EntityKey, dict[str, Any]]:
    return recompute(records(*data), AS_OF, rules, roll_up(records(*data), AS_OF, rules)).entities


def test_a_subject_that_only_sessions_name_has_an_item_once_something_was_counted_of_it() -> None:
    data = records(started(0, subject="algebra"), started(20 * DAY_MS, 2, subject="biology"))
    assert recompute(data, AS_OF).entities.keys() == {("student", "a")}
    found = recompute(data, AS_OF, totals=roll_up(data, AS_OF + 11 * DAY_MS))
    assert found.entities.keys() == {("student", "a"), ALGEBRA}
    assert found.entities[ALGEBRA] | {"regions": {}, "sessions_14d": 1, "alerts": {}} == found.entities[ALGEBRA]
    assert found.outlived.keys() == {BIOLOGY}
    assert not any(found.outlived[BIOLOGY].values())


def test_a_tutor_s_own_windows_and_a_subject_s_markets_stand_beside_what_was_rolled_up() -> None:
    market = {"region": "north", "balance_status": "balanced", "available_tutors": 3}
    found = stored(
        [
            completed(0, tutor_id="t", subject="algebra", tutor_rating=4, completed_successfully=True),
            event("supply_demand_update", AS_OF, subject="algebra", **market),
        ]
    )
    assert some(found[TUTOR], "sessions_7d", "avg_rating", "first_sessions_30d") == (1, 4, 1)
    assert some(found[ALGEBRA], "region", "available_tutors", "sessions_7d", "avg_rating") == ("north", 3, 1, 4)


RULES = Rules(
    first_session_success_below=0.5,
    first_sessions_least=3,
    velocity_drop_share=0.5,
    velocity_drop_least=4,
    no_tutors_alert=True,
    demand_surge_score=3.5,
    demand_surge_least=10,
)


def alerts(data: list[bytes], rules: Rules = RULES) -> dict[EntityKey, dict[str, str]]:
    return {entity: item["alerts"] for entity, item in stored(data, rules).items()}


@pytest.mark.parametrize(
    ("outcomes", "fires"),
    [
        ([True, False, False], True),
        ([True, False, False, True], False),
        ([False, False, None, None], False),
        ([False, False, False, None], True),
    ],
)
def test_few_first_sessions_that_succeed_are_an_alert_of_their_subject_and_tutor(
    outcomes: list[bool | None], fires: bool
) -> None:
    data = [
        completed(0, n, student_id=n, tutor_id="t", subject="algebra", completed_successfully=outcome)
        for n, outcome in enumerate(outcomes, 1)
    ]
    found = alerts(data)
    expected = {"first_session_success_low": "warning"} if fires else {}
    assert (found[ALGEBRA], found[TUTOR], found["student", "1"]) == (expected, expected, {})
    assert not any(alerts(data, OFF).values())


@pytest.mark.parametrize(
    ("last", "before", "fires"), [(1, 4, True), (2, 4, False), (1, 3, False), (0, 4, True), (2, 5, True), (3, 6, False)]
)
def test_a_week_under_a_share_of_the_one_before_is_an_alert(last: int, before: int, fires: bool) -> None:
    data = [started(DAY_MS, f"l{n}", subject="algebra", tutor_id="t") for n in range(last)]
    data += [started(8 * DAY_MS, f"b{n}", subject="algebra", tutor_id="t") for n in range(before)]
    # What a health report says of sessions that nobody told of is not counted.
    data.append(event("customer_health_update", AS_OF, student_id="a", health_score=99, sessions_last_7_days=50))
    found = alerts(data)
    expected = {"session_velocity_drop": "warning"} if fires else {}
    assert (found["student", "a"], found[ALGEBRA], found[TUTOR]) == (expected, expected, {})
    assert not any(alerts(data, OFF).values())


def test_a_surge_is_an_alert_of_its_subject_when_there_is_enough_of_it() -> None:
    data = busy([10] * 7 + [3] * 23)
    assert alerts(data)[ALGEBRA] == {"demand_surge": "info"}
    few = busy([2] * 5 + [0] * 2 + [1] * 23)
    scored = {**vars(RULES), "demand_surge_score": 0.4}
    assert alerts(few, Rules(**scored))[ALGEBRA] == {"demand_surge": "info"}
    assert alerts(few, Rules(**scored | {"demand_surge_least": 11}))[ALGEBRA] == {}
    assert not any(alerts(data, OFF).values())


@pytest.mark.parametrize(
    ("tutors", "students", "fires"), [(0, 1, True), (0, 0, False), (1, 5, False), (0, None, False)]
)
def test_nobody_to_teach_is_an_alert_of_subject_and_region(tutors: int, students: int | None, fires: bool) -> None:
    counts = {"available_tutors": tutors, "active_students": students}
    data = [event("supply_demand_update", AS_OF, subject="algebra", region="n", balance_status="balanced", **counts)]
    expected = {"no_tutors_available": "critical"} if fires else {}
    assert alerts(data) == {ALGEBRA: expected, ("region", "n"): expected}
    assert not any(alerts(data, OFF).values())


def test_the_latest_region_speaks_for_a_subject_and_the_sum_for_a_region() -> None:
    def balance(age: int, subject: str, region: str, tutors: int) -> bytes:
        counts = {"available_tutors": tutors, "active_students": 2, "balance_status": "balanced"}
        return event("supply_demand_update", AS_OF - age, subject=subject, region=region, **counts)

    found = alerts(
        [
            *(balance(1, "algebra", "n", 0), balance(0, "algebra", "s", 1), balance(0, "biology", "n", 4)),
            *(balance(1, "physics", "w", 1), balance(0, "physics", "e", 0)),
        ]
    )
    firing = {entity for entity, each in found.items() if each}
    assert firing == {("subject", "physics"), ("region", "e")}
