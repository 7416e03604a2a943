"""The comparison finds what is wrong: each test spoils one thing."""

import json
from typing import Any

import pytest

from local.flow import Item
from proof import compare
from proof.oracle import DAY_MS, EntityKey, Record, Rules, iso

NOW = 1_795_428_000_000
RULES = Rules()
STUDENT, SUBJECT = ("student", "stu_1"), ("subject", "algebra")


def health_record(sequence: str, score: float) -> Record:
    data = f'{{"event_type": "customer_health_update", "timestamp": "{iso(NOW - 1000)}", "payload": '
    data += f'{{"student_id": "stu_1", "health_score": {score}}}}}'
    return Record(data.encode(), NOW, sequence)


RECORDS = [health_record("1", 45), Record(b"no json", NOW, "2")]


def item(**changes: Any) -> Item:
    right = {
        "entity_type": "student",
        "entity_id": "stu_1",
        "as_of": NOW,
        "version": 1,
        **dict.fromkeys(("sessions_7d", "sessions_14d", "sessions_30d", "session_velocity"), 0),
        **dict.fromkeys(("avg_rating", "ratings_30d", "ib_calls_7d", "ib_calls_14d"), 0),
        "health_score": 45,
        "reported": {"health_score": 45, "reported_at": iso(NOW - 1000)},
        "alerts": {"low_health_score": {"severity": "critical", "since": iso(NOW), "episode_id": "e"}},
    }
    return right | changes


def alert(**changes: str) -> dict[str, str]:
    right = {"alert_id": "1", "entity_type": "student", "entity_id": "stu_1", "alert_type": "low_health_score"}
    return right | {"severity": "critical", "status": "firing", "message": "low"} | changes


def differing(items: dict[EntityKey, Item]) -> list[str]:
    return compare.differing_items(compare.Reading(items), compare.History(RECORDS, RULES), NOW)


def test_equal_items_have_no_difference() -> None:
    assert differing({STUDENT: item()}) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"sessions_7d": 1}, "student stu_1.sessions_7d is 1, recomputed 0"),
        ({"health_score": "45"}, "student stu_1.health_score is 45, recomputed 45"),
        ({"sessions_7d": False}, "student stu_1.sessions_7d is False, recomputed 0"),
        ({"alerts": {}}, "student stu_1.alerts is {}, recomputed {'low_health_score': 'critical'}"),
    ],
)
def test_a_wrong_metric_is_a_difference(changes: dict[str, Any], difference: str) -> None:
    assert differing({STUDENT: item(**changes)}) == [difference]


def test_a_missing_and_a_surplus_item_are_differences() -> None:
    subject = {"entity_type": "subject", "entity_id": "algebra", "as_of": NOW, "region": "north", "alerts": {}}

    assert differing({SUBJECT: subject}) == [
        "student stu_1 is missing",
        "subject algebra.region is north, recomputed 0",
    ]


# -- what a rollup writes ---------------------------------------------------------------------------------------------

TUTOR = ("tutor", "tut_1")
ROLLED_AT = NOW - DAY_MS


def session_record(sequence: str, student: str, **said: Any) -> Record:
    named = {"session_id": "s", "student_id": student, "tutor_id": "tut_1", "subject": "algebra"}
    body = {"event_type": "session_completed", "timestamp": iso(NOW - 7 * DAY_MS), "payload": named | said}
    return Record(json.dumps(body).encode(), NOW - 6 * DAY_MS, sequence)


GROUP = [session_record("1", "stu_1", tutor_rating=4), session_record("2", "stu_2", completed_successfully=False)]
"""A session of two students, a week before `NOW`: in the last 7 days when it was rolled up."""


def rolled_up() -> dict[EntityKey, Item]:
    """The items of `GROUP`, rolled up at `ROLLED_AT`; those of the students as of then, the others as of `NOW`."""
    windows = {"sessions_7d": 1, "sessions_14d": 1, "sessions_30d": 1, "session_velocity": 1}
    first = {"first_session_success_rate": 0, "rolled_up": {"as_of": ROLLED_AT, "first_outcomes": 1}}
    student = windows | {"as_of": ROLLED_AT, "avg_rating": 0, "ratings_30d": 0, "ib_calls_7d": 0, "ib_calls_14d": 0}
    week_later = {"as_of": NOW, "sessions_7d": 0, "sessions_14d": 1, "sessions_30d": 1, "session_velocity": -1}
    rated = {"avg_rating": 4, "ratings_30d": 1}
    items: dict[EntityKey, Item] = {
        ("student", "stu_1"): student | {"health_score": 100},
        ("student", "stu_2"): student | {"health_score": 100},
        TUTOR: week_later | rated | first | {"health_score": 100, "first_sessions_30d": 2},
        SUBJECT: windows
        | rated
        | first
        | {"as_of": NOW, "regions": {}, "active_students_30d": 2, "first_sessions_30d": 2},
    }
    return {key: {"entity_type": key[0], "entity_id": key[1], "alerts": {}} | item for key, item in items.items()}


def differing_from_group(items: dict[EntityKey, Item], rolled_up_ms: int | None = ROLLED_AT) -> list[str]:
    return compare.differing_items(compare.Reading(items, rolled_up_ms), compare.History(GROUP, RULES), NOW)


def test_what_a_rollup_has_written_is_compared_as_of_the_rollup() -> None:
    assert differing_from_group(rolled_up()) == []
    assert differing_from_group(rolled_up(), NOW) == [
        "subject algebra.session_velocity is 1, recomputed -1",
        "subject algebra.sessions_7d is 1, recomputed 0",
    ]


@pytest.mark.parametrize(
    ("entity", "changes", "difference"),
    [
        (SUBJECT, {"sessions_14d": 2}, "subject algebra.sessions_14d is 2, recomputed 1"),
        (SUBJECT, {"active_students_30d": 1}, "subject algebra.active_students_30d is 1, recomputed 2"),
        (TUTOR, {"first_session_success_rate": 1}, "tutor tut_1.first_session_success_rate is 1, recomputed 0"),
        (TUTOR, {"rolled_up": {"as_of": NOW}}, "tutor tut_1.rolled_up.first_outcomes is None, recomputed 1"),
        (
            SUBJECT,
            {"rolled_up": {"as_of": ROLLED_AT, "first_outcomes": 1, "surge_score": 2.5}},
            "subject algebra.rolled_up.surge_score is 2.5, recomputed None",
        ),
    ],
)
def test_a_wrong_figure_of_a_rollup_is_a_difference(
    entity: EntityKey, changes: dict[str, Any], difference: str
) -> None:
    items = rolled_up()
    items[entity] |= changes
    assert differing_from_group(items) == [difference]


def test_a_subject_that_only_sessions_name_must_be_there_once_a_rollup_has_counted_one() -> None:
    items = rolled_up()
    del items[SUBJECT]
    assert differing_from_group(items) == ["subject algebra is missing"]
    assert differing_from_group(items, NOW + 31 * DAY_MS)[0] != "subject algebra is missing"
    zeros = dict.fromkeys(compare.ROLLED_ATTRIBUTES["subject"], 0)
    items[SUBJECT] = rolled_up()[SUBJECT] | zeros | {"rolled_up": {"as_of": NOW, "first_outcomes": 0}}
    late = differing_from_group(items, NOW + 31 * DAY_MS)
    assert [each for each in late if "subject" in each] == []


def test_a_tutor_without_the_figures_of_a_rollup_is_a_difference() -> None:
    items = rolled_up()
    del items[TUTOR]["first_sessions_30d"], items[TUTOR]["rolled_up"]
    assert differing_from_group(items) == [
        "tutor tut_1.first_sessions_30d is None, recomputed 2",
        "tutor tut_1.rolled_up.first_outcomes is None, recomputed 1",
    ]


def test_a_subject_some_of_whose_sessions_are_folded_is_not_compared_with_what_a_rollup_should_have_found() -> None:
    items = rolled_up()
    items[TUTOR]["folded_before"] = NOW
    items[SUBJECT] |= {"sessions_7d": 0, "ratings_30d": 0}
    assert differing_from_group(items) == []
    items[SUBJECT]["regions"] = {"north": {}}
    assert differing_from_group(items) == ["subject algebra.regions is {'north': {}}, recomputed {}"]


# -- quarantine and alerts --------------------------------------------------------------------------------------------


def test_the_quarantine_is_compared_by_record_and_reason() -> None:
    def differences(quarantined: dict[str, str]) -> list[str]:
        bodies = [{"sequence_number": number, "reason": reason} for number, reason in quarantined.items()]
        return compare.differing_quarantine(bodies, RECORDS, RULES)

    assert differences({"2": "not_json"}) == []
    assert differences({}) == ["record 2 is not quarantined, recomputed quarantined as not_json"]
    assert differences({"2": "not_utf8"}) == ["record 2 is quarantined as not_utf8, recomputed quarantined as not_json"]
    assert len(differences({"1": "not_json", "2": "not_json"})) == 1


@pytest.mark.parametrize(
    ("told", "delivered", "differences"),
    [
        ([alert()], [alert()], 0),
        ([alert(status="resolved"), alert(alert_id="2")], [alert(), alert(alert_id="2")], 0),
        ([], [], 1),
        ([alert(), alert(alert_id="2", status="resolved")], [alert(), alert(alert_id="2")], 1),
        ([alert(severity="warning")], [], 1),
        ([alert()], [], 1),
        ([alert()], [alert(), alert(alert_id="other")], 1),
    ],
)
def test_alerts_are_compared_with_what_was_told_and_delivered(
    told: list[Any], delivered: list[Any], differences: int
) -> None:
    assert len(compare.differing_alerts({STUDENT: item()}, told, {"critical": delivered})) == differences


def test_an_alert_without_a_change_is_unexplained() -> None:
    history = compare.History(RECORDS, RULES)
    reading = compare.Reading({STUDENT: item()})

    assert compare.unexplained_alerts([alert(status="reminder")], reading, reading, history) == []
    assert compare.unexplained_alerts([alert(), alert(status="resolved")], reading, reading, history) == [
        "firing low_health_score of student stu_1: low",
        "resolved low_health_score of student stu_1: low",
    ]


def test_records_without_a_time_of_their_own_are_new_when_repeated() -> None:
    timeless = b'{"event_type": "ib_call_logged", "payload": {"student_id": "stu_1"}}'
    first = [*RECORDS, Record(timeless, NOW, "3")]
    again = [Record(record.data, record.arrival_ms + 1, f"1{record.sequence}") for record in first]

    assert [record.sequence for record in compare.new_when_repeated(first, again, RULES)] == ["13"]
