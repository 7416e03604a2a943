"""Events of the bus as the notifier gets them."""

from typing import Any

DETAIL: dict[str, Any] = {
    "alert_id": "a1",
    "episode_id": "e1",
    "alert_type": "low_health_score",
    "severity": "critical",
    "status": "firing",
    "entity_id": "stu_1",
    "entity_type": "student",
    "details": {"health_score": 45, "sessions_7d": 1, "ib_calls_14d": 2},
    "message": "Student stu_1 has low health score: 45.0",
    "timestamp": "2026-11-23T10:00:00.000Z",
    "started_at": "2026-11-23T10:00:00.000Z",
}


def event(**changes: Any) -> dict[str, Any]:
    """An alert of the processor with some fields changed."""
    return event_of({**DETAIL, **changes})


def event_of(detail: dict[str, Any], source: str = "iops-dashboard.processor") -> dict[str, Any]:
    """An event with this detail, in the form of EventBridge (user guide, "Event structure")."""
    return {
        "version": "0",
        "id": "5d2dde0b-ba22-452a-80f4-8bf77c3dbd67",
        "detail-type": "low_health_score",
        "source": source,
        "account": "123456789012",
        "time": "2026-11-23T10:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }
