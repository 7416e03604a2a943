"""What an alert says: its details, for machines, and its message, for people (contract section 3). Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from functions.entities.alerts.levels import EntityFigures, weeks_of
from functions.entities.alerts.rules import (
    DEMAND_SURGE,
    FIRST_SESSION_SUCCESS_LOW,
    HIGH_IB_CALL_FREQUENCY,
    LOW_HEALTH_SCORE,
    NO_TUTORS_AVAILABLE,
    SESSION_VELOCITY_DROP,
    SUPPLY_DEMAND_IMBALANCE,
)
from functions.model import HIGH_DEMAND

_MOST_REGIONS_NAMED: Final = 20
_NOT_KNOWN: Final = "n/a"


def details_and_message(alert_type: str, entity: EntityFigures) -> tuple[dict[str, Any], str]:
    """Return an alert's details and its message, with the entity's figures of now."""
    return _DETAILS[alert_type](entity)


def _details_of_calls(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    metrics = entity.metrics
    details = {name: metrics[name] for name in ("ib_calls_14d", "health_score")}
    return details, f"{_named(entity)} has {metrics['ib_calls_14d']} IB calls in 14 days"


def _details_of_health(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    metrics = entity.metrics
    details = {name: metrics[name] for name in ("health_score", "sessions_7d", "ib_calls_14d")}
    return details, f"{_named(entity)} has low health score: {float(metrics['health_score'])}"


def _details_of_imbalance(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    high = sorted(
        (register.time, region)
        for region, register in entity.registers.items()
        if register.value["balance_status"] == HIGH_DEMAND
    )
    newest = entity.registers[high[-1][1]].value if high else {}
    figures = {name: newest.get(name, _NOT_KNOWN) for name in ("balance_status", "demand_score", "supply_score")}
    details = {
        **figures,
        "regions": sorted(region for _, region in high)[:_MOST_REGIONS_NAMED],
        "regions_total": len(high),
    }
    name, demand, supply = entity.key.entity_id, figures["demand_score"], figures["supply_score"]
    return details, f"High demand detected for {name} (Demand: {demand}, Supply: {supply})"


def _details_of_first_sessions(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    figures = _totals_or_not_known(entity)
    rate, known = figures["first_session_success_rate"], figures["first_outcomes"]
    # Four decimals of the rate are enough to compute the number back for up to 10,000 sessions.
    share = f" ({round(rate * known)} of {known})" if rate != _NOT_KNOWN else ""
    details = {name: figures[name] for name in ("first_session_success_rate", "first_outcomes", "first_sessions_30d")}
    return details, f"{_named(entity)} has a first session success rate of {_decimal(rate)}{share}"


def _details_of_velocity(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    last, before = weeks_of(entity) or (_NOT_KNOWN, _NOT_KNOWN)
    details = {"counted_7d": last, "counted_7d_before": before}
    return details, f"{_named(entity)} has {last} sessions in 7 days after {before} in the 7 before"


def _details_of_no_tutors(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    details = {name: entity.metrics.get(name, _NOT_KNOWN) for name in ("available_tutors", "active_students")}
    students = details["active_students"]
    return details, f"No tutors available for {entity.key.entity_id} (Active students: {students})"


def _details_of_surge(entity: EntityFigures) -> tuple[dict[str, Any], str]:
    figures = _totals_or_not_known(entity)
    details = {name: figures[name] for name in ("sessions_7d", "usual_daily", "surge_score")}
    sessions, usual = figures["sessions_7d"], _decimal(figures["usual_daily"])
    return details, f"Demand surge for {entity.key.entity_id}: {sessions} sessions in 7 days, usually {usual} a day"


_DETAILS: Final[Mapping[str, Callable[[EntityFigures], tuple[dict[str, Any], str]]]] = {
    HIGH_IB_CALL_FREQUENCY: _details_of_calls,
    LOW_HEALTH_SCORE: _details_of_health,
    SUPPLY_DEMAND_IMBALANCE: _details_of_imbalance,
    FIRST_SESSION_SUCCESS_LOW: _details_of_first_sessions,
    SESSION_VELOCITY_DROP: _details_of_velocity,
    NO_TUTORS_AVAILABLE: _details_of_no_tutors,
    DEMAND_SURGE: _details_of_surge,
}


def _named(entity: EntityFigures) -> str:
    return f"{entity.key.entity_type.capitalize()} {entity.key.entity_id}"


def _decimal(number: Any) -> Any:
    return number if number == _NOT_KNOWN else float(number)


def _totals_or_not_known(entity: EntityFigures) -> dict[str, Any]:
    """Return the rollup's figures of an entity, `n/a` for each that is not known."""
    totals = entity.totals
    given = {} if totals is None else {**totals.figures, **totals._asdict()}
    names = ("sessions_7d", "first_sessions_30d", "first_session_success_rate")
    found = {name: given.get(name) for name in (*names, "first_outcomes", "usual_daily", "surge_score")}
    return {name: _NOT_KNOWN if value is None else value for name, value in found.items()}
