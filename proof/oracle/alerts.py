"""Which alerts fire on figures that several types of entities have, or that a rollup found (section 3)."""

from collections.abc import Mapping
from typing import Any

from proof.oracle.model import Rules, Totals


def rollup_alerts(totals: Totals, rules: Rules) -> dict[str, str]:
    figures = totals.attributes
    alerts = {}
    rate = figures["first_session_success_rate"]
    if totals.first_outcomes >= rules.first_sessions_least and rate < rules.first_session_success_below:
        alerts["first_session_success_low"] = "warning"
    if "sessions_7d" in figures:
        alerts |= velocity_drop(figures["sessions_7d"], figures["sessions_14d"], rules)
        surging = totals.surge_score is not None and totals.surge_score >= rules.demand_surge_score > 0
        if surging and figures["sessions_7d"] >= rules.demand_surge_least:
            alerts["demand_surge"] = "info"
    return alerts


def velocity_drop(counted_7: int, counted_14: int, rules: Rules) -> dict[str, str]:
    """Of counted sessions alone: what a health report knows has no place in the week before the last."""
    before = counted_14 - counted_7
    fires = before >= rules.velocity_drop_least and counted_7 < rules.velocity_drop_share * before
    return {"session_velocity_drop": "warning"} if fires else {}


def no_tutors(figures: Mapping[str, Any], rules: Rules) -> dict[str, str]:
    """Where figures are missing nothing fires: neither is known to be none."""
    fires = figures.get("available_tutors") == 0 and figures.get("active_students", 0) > 0
    return {"no_tutors_available": "critical"} if rules.no_tutors_alert and fires else {}
