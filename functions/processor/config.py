"""The function's environment, read once and checked: what the program sets, under the contract's names."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from .alerts import AlertRules
from .model import SECOND_MS
from .plan import Rules

N = TypeVar("N", int, float)


class ConfigError(ValueError):
    """An environment variable that is missing or has a value that is not allowed."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the processor and the roll are told by their environment."""

    table_name: str
    event_bus_name: str
    quarantine_bucket: str
    future_tolerance_ms: int
    rules: Rules

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

        def number(name: str, default: N, low: N, parse: Callable[[str], N]) -> N:
            given = environment.get(name)
            if given is None:
                return default
            try:
                value = parse(given)
            except ValueError:
                value = None
            if value is None or not low <= value < math.inf:
                kind = "a whole number" if parse is int else "a number"
                raise ConfigError(f"environment variable {name} is {given!r}, allowed: {kind} from {low}")
            return value

        defaults = Rules()
        alerts = AlertRules(
            ib_calls_warning=number("IB_CALLS_WARNING", defaults.alerts.ib_calls_warning, 1, int),
            health_warning=number("HEALTH_WARNING", defaults.alerts.health_warning, 0.0, float),
            health_critical=number("HEALTH_CRITICAL", defaults.alerts.health_critical, 0.0, float),
            renotify_hours=number("RENOTIFY_HOURS", defaults.alerts.renotify_hours, 0.0, float),
            max_reminders=number("MAX_REMINDERS", defaults.alerts.max_reminders, 0, int),
        )
        return cls(
            table_name=text("DYNAMODB_TABLE_NAME"),
            event_bus_name=text("EVENT_BUS_NAME"),
            quarantine_bucket=text("QUARANTINE_BUCKET_NAME"),
            future_tolerance_ms=number("FUTURE_TOLERANCE_SECONDS", 600, 0, int) * SECOND_MS,
            rules=Rules(alerts, number("DUE_PARTITIONS", defaults.due_partitions, 1, int)),
        )


@cache
def config() -> Config:
    """This process's configuration."""
    return Config.from_environment(os.environ)
