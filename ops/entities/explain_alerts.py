"""Explains which alerts of an item fire and why. Nothing is read or written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from functions.entities import alerts
from functions.entities.alerts import AlertRules, Alerts, EntityFigures, Episodes
from functions.entities.item import State
from functions.entities.plan import Rules
from functions.entities.registers import REPORTED
from functions.entities.windows import DAYS_7
from functions.model import HIGH_DEMAND, to_iso
from ops.due import figures_at
from ops.items import rows_of_facts


@dataclass(frozen=True, slots=True)
class AlertExplained:
    """An alert that an entity can have: whether it fires, and why."""

    alert_type: str
    firing: bool
    severity: str
    """`none` when it does not fire."""
    since: str | None
    episode_id: str | None
    episodes: int
    """How many episodes there have been."""
    reminders: int
    """How many reminders the last episode has sent."""
    next_reminder: str | None
    """ISO-8601; None when the alert does not fire or has sent all its reminders."""
    why: str


def explain_alerts(state: State, rules: Rules) -> list[AlertExplained]:
    """Explains each alert that an entity of its type can have, firing or not."""
    (figures,) = figures_at([state], [state.as_of], rules)
    in_7_days = rows_of_facts(state).filter(pl.col("session") & (pl.col("time") > state.as_of - DAYS_7))
    counted_7d = int(in_7_days["weight"].sum())
    entity = EntityFigures(state.key, figures, state.registers, state.totals, counted_7d)
    explained = []
    for alert_type in alerts.ALERT_TYPES[state.key.entity_type]:
        firing, episodes = state.alerts.firing.get(alert_type), state.alerts.episodes.get(alert_type, Episodes())
        reminder = None
        if firing is not None:
            reminder = alerts.next_reminder(Alerts({alert_type: firing}, state.alerts.episodes, ()), rules.alerts)
        explained.append(
            AlertExplained(
                alert_type,
                firing is not None,
                firing.severity if firing else "none",
                firing.since if firing else None,
                firing.episode_id if firing else None,
                episodes.episode,
                episodes.reminders,
                None if reminder is None else to_iso(reminder),
                _CONDITIONS[alert_type](entity, rules.alerts),
            )
        )
    return explained


def _calls(entity: EntityFigures, rules: AlertRules) -> str:
    calls = entity.metrics["ib_calls_14d"]
    return f"{calls} calls in 14 days; a warning from {rules.ib_calls_warning} on (ibCallsWarning)"


def _health(entity: EntityFigures, rules: AlertRules) -> str:
    if REPORTED not in entity.registers:
        return "no health report has come; it fires on a reported score alone"
    return (
        f"health_score is {entity.metrics['health_score']}; a warning below {rules.health_warning:g} (healthWarning), "
        f"critical below {rules.health_critical:g} (healthCritical)"
    )


def _imbalance(entity: EntityFigures, rules: AlertRules) -> str:  # noqa: ARG001 - one signature for all
    high = sorted(
        region for region, register in entity.registers.items() if register.value.get("balance_status") == HIGH_DEMAND
    )
    if high:
        return f"in high demand: {', '.join(high)}"
    return f"none of its {len(entity.registers)} regions is in high demand by its latest update"


def _first_sessions(entity: EntityFigures, rules: AlertRules) -> str:
    if not rules.first_session_success_below:
        return _OFF.format("firstSessionSuccessBelow")
    if entity.totals is None:
        return _NOT_ROLLED
    return (
        f"{entity.totals.figures['first_session_success_rate']} of {entity.totals.first_outcomes} first sessions "
        f"succeeded; a warning below {rules.first_session_success_below:g} (firstSessionSuccessBelow) of at least "
        f"{rules.first_sessions_least} (firstSessionsLeast)"
    )


def _velocity(entity: EntityFigures, rules: AlertRules) -> str:
    if not rules.velocity_drop_share:
        return _OFF.format("velocityDropShare")
    if entity.key.entity_type == "subject" and entity.totals is None:
        return _NOT_ROLLED
    weeks, _ = alerts.details_and_message(alerts.SESSION_VELOCITY_DROP, entity)
    return (
        f"{weeks['counted_7d']} sessions in 7 days after {weeks['counted_7d_before']} in the 7 before; a warning below "
        f"{rules.velocity_drop_share:g} of them (velocityDropShare) when they were at least "
        f"{rules.velocity_drop_least} (velocityDropLeast)"
    )


def _no_tutors(entity: EntityFigures, rules: AlertRules) -> str:
    if not rules.no_tutors_alert:
        return "switched off: noTutorsAlertEnabled is false"
    tutors, students = (entity.metrics.get(name, "not known") for name in ("available_tutors", "active_students"))
    return f"available_tutors is {tutors}, active_students {students}; critical at no tutor for some student"


def _surge(entity: EntityFigures, rules: AlertRules) -> str:
    if not rules.demand_surge_score:
        return _OFF.format("demandSurgeScore")
    if entity.totals is None:
        return _NOT_ROLLED
    if entity.totals.surge_score is None:
        return "fewer than one session on a usual day: there is nothing to compare the last 7 days with"
    return (
        f"{entity.totals.figures['sessions_7d']} sessions in 7 days, usually {entity.totals.usual_daily} a day: a "
        f"score of {entity.totals.surge_score}; told from {rules.demand_surge_score:g} (demandSurgeScore) and "
        f"{rules.demand_surge_least} sessions (demandSurgeLeast) on"
    )


_OFF: Final = "switched off: {} is 0"
_NOT_ROLLED: Final = "no rollup has counted its sessions yet"
_CONDITIONS: Final[Mapping[str, Callable[[EntityFigures, AlertRules], str]]] = {
    alerts.HIGH_IB_CALL_FREQUENCY: _calls,
    alerts.LOW_HEALTH_SCORE: _health,
    alerts.SUPPLY_DEMAND_IMBALANCE: _imbalance,
    alerts.FIRST_SESSION_SUCCESS_LOW: _first_sessions,
    alerts.SESSION_VELOCITY_DROP: _velocity,
    alerts.NO_TUTORS_AVAILABLE: _no_tutors,
    alerts.DEMAND_SURGE: _surge,
}
"""What each alert type depends on, in words, with its thresholds."""
