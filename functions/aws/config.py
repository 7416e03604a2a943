"""The function's configuration, read from its environment once and checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from functions import environment as variables
from functions.entities.alerts import AlertRules
from functions.entities.plan import Rules
from functions.entities.wakes import Rhythm
from functions.model import MINUTE_MS, SECOND_MS


class ConfigError(ValueError):
    """An environment variable that is missing or has a value that is not allowed."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """When many functions compute a rollup, and which resources they use."""

    items: int = 0
    """How many items one function handles. Larger tables take many functions. 0: one function handles all."""
    bucket: str = ""
    state_machine_arn: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of the processor, the roll and the rollup."""

    table_name: str
    state_table_name: str
    event_bus_name: str
    quarantine_bucket: str
    future_tolerance_ms: int
    rules: Rules
    distribution: Distribution = Distribution()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Config":
        """Read and check the variables that `functions.environment` describes.

        Raises
        ------
        ConfigError
            Naming the variable, its value and what is allowed.
        """
        try:
            table_name, state_table_name, event_bus_name, quarantine_bucket = (
                variable.parse(environment) for variable in variables.RESOURCES
            )
            thresholds = {variable.name.lower(): variable.parse(environment) for variable in variables.THRESHOLDS}
            interval_ms = variables.ROLL_INTERVAL.parse(environment) * MINUTE_MS
            rules = Rules(AlertRules(**thresholds), Rhythm(interval_ms, variables.LANES.parse(environment)))
            distribution = Distribution()
            if items := variables.DISTRIBUTED_ITEMS.parse(environment):
                distribution = Distribution(items, *(place.parse(environment) for place in variables.DISTRIBUTION))
            future_tolerance_ms = variables.FUTURE_TOLERANCE.parse(environment) * SECOND_MS
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return cls(
            table_name,
            state_table_name,
            event_bus_name,
            quarantine_bucket,
            future_tolerance_ms,
            rules,
            distribution,
        )


@cache
def config() -> Config:
    """Return this process's configuration."""
    return Config.from_environment(os.environ)
