"""Which alerts an entity's figures call for, and at which level. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from functions.entities.alerts.rules import (
    ALERT_TYPES,
    CRITICAL,
    DEMAND_SURGE,
    FIRST_SESSION_SUCCESS_LOW,
    HIGH_IB_CALL_FREQUENCY,
    INFO,
    LOW_HEALTH_SCORE,
    NO_TUTORS_AVAILABLE,
    SESSION_VELOCITY_DROP,
    SUPPLY_DEMAND_IMBALANCE,
    WARNING,
    AlertRules,
)
from functions.entities.registers import REPORTED, Register, high_demand
from functions.entities.totals import Totals
from functions.model import EntityKey


class EntityFigures(NamedTuple):
    """One entity's figures: alerts are judged by them, and their texts name them."""

    key: EntityKey
    metrics: Mapping[str, Any]
    """Its public attributes, as `item.public_metrics` gives them."""
    registers: Mapping[str, Register]
    totals: Totals | None = None
    counted_7d: int = 0
    """A student's sessions of 7 days among the facts, without those that only a health report counts."""


class Weeks(NamedTuple):
    """Counted sessions of the last 7 days and of the 7 days before."""

    last: int
    before: int


def weeks_of(entity: EntityFigures) -> Weeks | None:
    """Return an entity's counted sessions; None for a subject that no rollup has counted yet."""
    if entity.key.entity_type == "student":
        last, velocity = entity.counted_7d, entity.metrics["session_velocity"]
    elif entity.totals is not None:
        last, velocity = (int(entity.totals.figures[name]) for name in ("sessions_7d", "session_velocity"))
    else:
        return None
    return Weeks(last, last - velocity)


def _calls_often(entity: EntityFigures, rules: AlertRules) -> bool:
    return int(entity.metrics["ib_calls_14d"]) >= rules.ib_calls_warning


def _level_of_health(entity: EntityFigures, rules: AlertRules) -> int:
    score = entity.metrics["health_score"]
    if REPORTED not in entity.registers:
        return 0
    if score < rules.health_critical:
        return CRITICAL
    return WARNING if score < rules.health_warning else 0


def _first_sessions_fail(entity: EntityFigures, rules: AlertRules) -> bool:
    totals = entity.totals
    return (
        totals is not None
        and totals.first_outcomes >= rules.first_sessions_least
        and totals.figures["first_session_success_rate"] < rules.first_session_success_below
    )


def _velocity_drops(entity: EntityFigures, rules: AlertRules) -> bool:
    weeks = weeks_of(entity) if rules.velocity_drop_share else None
    # 7 of 100 are not below a share of 0.07, although the product in floats is above 7: round it.
    return (
        weeks is not None
        and weeks.before >= rules.velocity_drop_least
        and weeks.last < round(rules.velocity_drop_share * weeks.before, 6)
    )


def _nobody_teaches(entity: EntityFigures, rules: AlertRules) -> bool:
    figures = entity.metrics
    return rules.no_tutors_alert and figures.get("available_tutors") == 0 and figures.get("active_students", 0) > 0


def _demand_surges(entity: EntityFigures, rules: AlertRules) -> bool:
    totals = entity.totals
    return (
        totals is not None
        and totals.surge_score is not None
        and totals.surge_score >= rules.demand_surge_score > 0
        and totals.figures["sessions_7d"] >= rules.demand_surge_least
    )


_LEVELS: Final[Mapping[str, Callable[[EntityFigures, AlertRules], int]]] = {
    HIGH_IB_CALL_FREQUENCY: lambda entity, rules: WARNING if _calls_often(entity, rules) else 0,
    LOW_HEALTH_SCORE: _level_of_health,
    SUPPLY_DEMAND_IMBALANCE: lambda entity, _: INFO if high_demand(entity.registers) else 0,
    FIRST_SESSION_SUCCESS_LOW: lambda entity, rules: WARNING if _first_sessions_fail(entity, rules) else 0,
    SESSION_VELOCITY_DROP: lambda entity, rules: WARNING if _velocity_drops(entity, rules) else 0,
    NO_TUTORS_AVAILABLE: lambda entity, rules: CRITICAL if _nobody_teaches(entity, rules) else 0,
    DEMAND_SURGE: lambda entity, rules: INFO if _demand_surges(entity, rules) else 0,
}
"""The level of each alert."""


def levels_of(entity: EntityFigures, rules: AlertRules) -> dict[str, int]:
    """Return the level (an index into `SEVERITIES`) of each alert that the entity can have.

    >>> figures = {"ib_calls_14d": 3, "health_score": 100, "session_velocity": 0}
    >>> levels_of(EntityFigures(EntityKey("student", "stu_1"), figures, {}), AlertRules())["high_ib_call_frequency"]
    2
    """
    return {alert_type: _LEVELS[alert_type](entity, rules) for alert_type in ALERT_TYPES[entity.key.entity_type]}
