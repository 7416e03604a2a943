"""The comparison finds what is wrong: each test spoils one thing."""

from typing import Any

import pytest

from local import compare
from local.flow import Item
from local.oracle import EntityKey, Record, Rules, iso

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
    return compare.differing_items(items, compare.History(RECORDS, RULES), NOW)


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
    items = {STUDENT: item()}

    assert compare.unexplained_alerts([alert(status="reminder")], items, items, history) == []
    assert compare.unexplained_alerts([alert(), alert(status="resolved")], items, items, history) == [
        "firing low_health_score of student stu_1: low",
        "resolved low_health_score of student stu_1: low",
    ]


def test_records_without_a_time_of_their_own_are_new_when_repeated() -> None:
    timeless = b'{"event_type": "ib_call_logged", "payload": {"student_id": "stu_1"}}'
    first = [*RECORDS, Record(timeless, NOW, "3")]
    again = [Record(record.data, record.arrival_ms + 1, f"1{record.sequence}") for record in first]

    assert [record.sequence for record in compare.new_when_repeated(first, again, RULES)] == ["13"]
