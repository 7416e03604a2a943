"""The baseline does what a plain handler does: adds one, keeps the latest, tells at each event."""

from decimal import Decimal
from typing import Any

from bench.baseline import process, warmed

SESSION = {"session_id": "s", "student_id": "stu_1", "tutor_id": "tut_1", "subject": "algebra"}


def item(items: list[dict[str, Any]], entity_type: str) -> dict[str, Any]:
    (found,) = (each for each in items if each["entity_type"] == entity_type)
    return found


def test_each_event_adds_one_even_when_it_comes_twice() -> None:
    items = warmed([("session_started", SESSION), ("session_started", SESSION)])
    for entity_type in ("student", "tutor"):
        assert item(items, entity_type)["sessions_7d"] == 2


def test_ratings_are_averaged() -> None:
    items = warmed([("session_completed", {**SESSION, "student_rating": rating}) for rating in (5, 4.5, None)])
    assert item(items, "student")["avg_rating"] == Decimal("4.75")
    assert item(items, "student")["ratings_30d"] == 2


def test_an_alert_is_told_at_each_event_whose_condition_holds() -> None:
    items: dict[tuple[str, str], dict[str, Any]] = {}
    told: list[tuple[str, str]] = []

    def save(item: dict[str, Any]) -> None:
        items[item["entity_type"], item["entity_id"]] = item

    for _ in range(4):
        process(
            "ib_call_logged",
            {"student_id": "stu_1"},
            lambda *key: items.get(key),
            save,
            lambda alert_type, severity, _: told.append((alert_type, severity)),
        )
    assert told == [("high_ib_call_frequency", "warning")] * 2


def test_supply_and_demand_belong_to_subject_and_region() -> None:
    update = {"available_tutors": 1, "active_students": 2, "balance_status": "high_demand"}
    update |= {"demand_score": 80.5, "supply_score": 20, "subject": "algebra", "region": "north"}
    items = warmed([("supply_demand_update", update)])
    assert {each["entity_type"] for each in items} == {"subject", "region"}
    assert item(items, "region")["demand_score"] == Decimal("80.5")
