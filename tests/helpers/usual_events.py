"""An event of each type as producers usually write it."""

from typing import Any

SESSION: dict[str, Any] = {"session_id": "ses_1", "student_id": "stu_1", "tutor_id": "tut_1", "subject": "français"}


USUAL: dict[str, dict[str, Any]] = {
    "session_started": SESSION | {"session_type": "one_on_one", "scheduled_duration_minutes": 60},
    "session_completed": SESSION | {"student_rating": 4.5, "tutor_rating": None, "completed_successfully": True},
    "ib_call_logged": {"call_id": None, "student_id": "stu_1", "duration_seconds": 61.5, "resolved": False},
    "tutor_availability_updated": {
        "tutor_id": "tut_1",
        "available_hours_this_week": 12.5,
        "subjects": ["algebra", "français"],
        "timezone": "America/Argentina/ComodRivadavia",
        "accepts_instant_book": False,
    },
    "customer_health_update": {
        "student_id": "stu_1",
        "health_score": 67.5,
        "sessions_last_7_days": 3,
        "sessions_last_30_days": 9,
        "ib_calls_last_14_days": 0,
        "avg_session_rating": 4.0,
        "churn_risk": "low",
    },
    "supply_demand_update": {
        "subject": "algebra",
        "region": None,
        "available_tutors": 5,
        "active_students": 9,
        "demand_score": 40,
        "supply_score": "55.5",
        "balance_status": "balanced",
    },
}
