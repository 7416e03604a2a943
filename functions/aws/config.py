"""The function's environment, read once and checked: what the program sets, under the contract's names."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from functions.entities.alerts import AlertRules
from functions.entities.plan import Rules
from functions.model import SECOND_MS

N = TypeVar("N", int, float)


class ConfigError(ValueError):
    """An environment variable that is missing or has a value that is not allowed."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """When a rollup is done by many functions, and with what."""

    items: int = 0
    """How many one function takes on; of larger tables it takes many. 0 when there are no others."""
    bucket: str = ""
    state_machine_arn: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What the processor, the roll and the rollup are told by their environment."""

    table_name: str
    event_bus_name: str
    quarantine_bucket: str
    future_tolerance_ms: int
    rules: Rules
    distribution: Distribution = Distribution()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Config":
        """Reads and checks the variables.

        Raises
        ------
        ConfigError
            Naming the variable, its value and what is allowed.
        """

        def text(name: str) -> str:
            if not (value := environment.get(name, "")):
                raise ConfigError(f"environment variable {name} is missing; it must name the deployed resource")
            return value

        def number(name: str, default: N, low: N, parse: Callable[[str], N], high: float = math.inf) -> N:
            given = environment.get(name)
            if given is None:
                return default
            try:
                value = parse(given)
            except ValueError:
                value = None
            if value is None or not low <= value <= high or value == math.inf:
                kind = "a whole number" if parse is int else "a number"
                upper = "" if high == math.inf else f" to {high}"
                raise ConfigError(f"environment variable {name} is {given!r}, allowed: {kind} from {low}{upper}")
            return value

        def flag(name: str, *, default: bool) -> bool:
            given = environment.get(name, json.dumps(default))
            if given not in ("true", "false"):
                raise ConfigError(f"environment variable {name} is {given!r}, allowed: true or false")
            return given == "true"

        usual = AlertRules()
        alerts = AlertRules(
            ib_calls_warning=number("IB_CALLS_WARNING", usual.ib_calls_warning, 1, int),
            health_warning=number("HEALTH_WARNING", usual.health_warning, 0.0, float),
            health_critical=number("HEALTH_CRITICAL", usual.health_critical, 0.0, float),
            renotify_hours=number("RENOTIFY_HOURS", usual.renotify_hours, 0.0, float),
            max_reminders=number("MAX_REMINDERS", usual.max_reminders, 0, int),
            first_session_success_below=number(
                "FIRST_SESSION_SUCCESS_BELOW", usual.first_session_success_below, 0.0, float, 1.0
            ),
            first_sessions_least=number("FIRST_SESSIONS_LEAST", usual.first_sessions_least, 1, int),
            velocity_drop_share=number("VELOCITY_DROP_SHARE", usual.velocity_drop_share, 0.0, float, 1.0),
            velocity_drop_least=number("VELOCITY_DROP_LEAST", usual.velocity_drop_least, 1, int),
            no_tutors_alert=flag("NO_TUTORS_ALERT", default=usual.no_tutors_alert),
            demand_surge_score=number("DEMAND_SURGE_SCORE", usual.demand_surge_score, 0.0, float),
            demand_surge_least=number("DEMAND_SURGE_LEAST", usual.demand_surge_least, 1, int),
        )
        items = number("ROLLUP_DISTRIBUTED_ITEMS", 0, 0, int)
        return cls(
            table_name=text("DYNAMODB_TABLE_NAME"),
            event_bus_name=text("EVENT_BUS_NAME"),
            quarantine_bucket=text("QUARANTINE_BUCKET_NAME"),
            future_tolerance_ms=number("FUTURE_TOLERANCE_SECONDS", 600, 0, int) * SECOND_MS,
            rules=Rules(alerts, number("DUE_PARTITIONS", Rules().due_partitions, 1, int)),
            distribution=Distribution(items, text("ROLLUP_BUCKET_NAME"), text("ROLLUP_STATE_MACHINE_ARN"))
            if items
            else Distribution(),
        )


@cache
def config() -> Config:
    """This process's configuration."""
    return Config.from_environment(os.environ)
