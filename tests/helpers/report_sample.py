"""A report of everything that the page can show, for the tests of its charts, of its HTML and in the browser."""

from collections.abc import Sequence

from functions.model import DAY_MS, HOUR_MS, SECOND_MS, EntityType
from ops.report.data import (
    DAYS,
    Balance,
    Batch,
    Entity,
    Episode,
    Firing,
    Health,
    Quarantine,
    Reason,
    Report,
    Table,
    Throughput,
    Timeline,
    Traffic,
)
from tests.helpers.deployment import NOW

HOSTILE = "</script><script>window.harmed = true</script><img src=x onerror='window.harmed = true'>"
"""An id that would run as a script if anything in the page took it for more than text."""

TYPES = (
    "session_started",
    "session_completed",
    "ib_call_logged",
    "customer_health_update",
    "tutor_availability_updated",
    "supply_demand_update",
)


def student(number: int, entity_id: str = "", firing: Sequence[Firing] = ()) -> Entity:
    """A student with `number` sessions in 30 days, all of the first days, and calls the more the fewer sessions."""
    figures: dict[str, float] = {
        "sessions_7d": 0,
        "sessions_14d": number // 2,
        "sessions_30d": number,
        "session_velocity": -(number // 2),
        "avg_rating": 4.25,
        "ib_calls_14d": max(0, 10 - number),
        "health_score": 100 - number,
    }
    return entity("student", entity_id or f"stu_{number:02d}", figures, firing, [number, *(0,) * (DAYS - 1)])


def entity(
    entity_type: EntityType,
    entity_id: str,
    figures: dict[str, float],
    firing: Sequence[Firing] = (),
    daily: Sequence[int] = (),
) -> Entity:
    """One row of the table."""
    return Entity(entity_type, entity_id, figures, firing, daily, "", NOW - HOUR_MS)


def episode(entity_id: str, severity: str, hours: float, lasted: float | None = None) -> Episode:
    """A health alert that began so many hours ago and fires, or lasted so many hours."""
    started = NOW - round(hours * HOUR_MS)
    ended = None if lasted is None else started + round(lasted * HOUR_MS)
    message = f"Student {entity_id} has low health score: 45.0"
    return Episode("student", entity_id, "low_health_score", severity, started, ended, ended is None, message)


def batch(seconds_ago: int, took_ms: float = 100, lag_ms: float | None = 500, records: int = 100) -> Batch:
    """A batch without anything special."""
    return Batch(NOW - seconds_ago * SECOND_MS, records, 2, 0, 0, lag_ms, took_ms)


def table() -> Table:
    """Forty students, a subject and a region."""
    critical = Firing("low_health_score", "critical", NOW - 3 * HOUR_MS)
    warning = Firing("high_ib_call_frequency", "warning", NOW - 5 * HOUR_MS)
    algebra = entity(
        "subject",
        "algebra",
        {
            "sessions_7d": 10,
            "sessions_14d": 25,
            "sessions_30d": 40,
            "session_velocity": -5,
            "avg_rating": 4.5,
            "active_students": 12,
            "available_tutors": 3,
            "demand_score": 90,
            "supply_score": 20,
        },
    )
    entities = [
        student(5, HOSTILE, [critical, warning]),
        *(student(number) for number in range(1, 41)),
        algebra,
        entity("region", "north", {"active_students": 12, "available_tutors": 3, "high_demand_subjects": 1}),
    ]
    return Table(
        entities,
        {"student": 41, "subject": 1, "region": 1},
        0,
        list(range(DAYS)),
        [algebra],
        Health([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 3, 0, 0, 0, 0, 30], 5, 70, 50),
        [
            Balance("algebra", "north", "high_demand", 90, 20, 3, 12, NOW),
            Balance("algebra", HOSTILE, "oversupplied", 10, 60, 30, 2, NOW),
            Balance("physics", "north", "balanced", None, None, None, None, NOW),
        ],
    )


def timeline() -> Timeline:
    """Two alerts that fire and one that is over."""
    return Timeline(
        [episode(HOSTILE, "critical", 3), episode("stu_02", "warning", 30), episode("stu_03", "warning", 20, 4)],
        0,
        {"critical": 1, "warning": 1},
        1,
        NOW - 30 * DAY_MS,
        "",
    )


def report() -> Report:
    """Something of everything."""
    return Report(
        "iops-dashboard-metrics",
        NOW,
        table(),
        timeline(),
        Quarantine(
            [
                Reason("not_json", "quarantined", 3, 3, NOW - DAY_MS, NOW, f"the data is {HOSTILE}"),
                Reason("RetryAttemptsExhausted", "failed", 1, 100, NOW, NOW, ""),
            ],
            objects=4,
            read=4,
            unreadable=0,
            more=False,
        ),
        Throughput(
            [batch(seconds, 100 + seconds) for seconds in range(300, 0, -10)],
            [Traffic(kind, NOW - hours * HOUR_MS, 10 + hours) for hours in range(24) for kind in TYPES],
            0,
            NOW - DAY_MS,
            NOW - DAY_MS,
            "",
        ),
    )


def empty() -> Report:
    """A stack that has just been deployed."""
    note = "The processor has not logged anything yet."
    return Report(
        "iops-dashboard-metrics",
        NOW,
        Table([], {}, 0, (0,) * DAYS, [], Health((0,) * 20, 0, 70, 50), []),
        Timeline([], 0, {}, 0, NOW - 30 * DAY_MS, "This stack has no notifier."),
        Quarantine([], 0, 0, 0, more=False),
        Throughput([], [], 0, NOW - DAY_MS, NOW - DAY_MS, note),
    )
