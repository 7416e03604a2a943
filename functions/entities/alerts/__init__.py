"""Alerts: the rules, the levels that figures call for, the state machine, and what a notification says. Pure."""

from functions.entities.alerts.details import details_and_message
from functions.entities.alerts.judging import (
    MOST_IN_OUTBOX,
    NO_ALERTS,
    Alerts,
    Episodes,
    Firing,
    Notification,
    judge,
    next_reminder,
    without,
)
from functions.entities.alerts.levels import EntityFigures, levels_of, weeks_of
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
    SEVERITIES,
    SUPPLY_DEMAND_IMBALANCE,
    WARNING,
    AlertRules,
)

__all__ = [
    "ALERT_TYPES",
    "CRITICAL",
    "DEMAND_SURGE",
    "FIRST_SESSION_SUCCESS_LOW",
    "HIGH_IB_CALL_FREQUENCY",
    "INFO",
    "LOW_HEALTH_SCORE",
    "MOST_IN_OUTBOX",
    "NO_ALERTS",
    "NO_TUTORS_AVAILABLE",
    "SESSION_VELOCITY_DROP",
    "SEVERITIES",
    "SUPPLY_DEMAND_IMBALANCE",
    "WARNING",
    "AlertRules",
    "Alerts",
    "EntityFigures",
    "Episodes",
    "Firing",
    "Notification",
    "details_and_message",
    "judge",
    "levels_of",
    "next_reminder",
    "weeks_of",
    "without",
]
