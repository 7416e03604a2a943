"""The environment of the processor, the roll and the rollup: every variable once.

Components, tests, benchmarks and the local run write it by `written`; `functions.aws.config` reads it. Pure data of the
standard library, so that a Pulumi program can import it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class Variable:
    """One variable: its name, and the values that it may have."""

    name: str
    default: str | int | float | bool | None
    """The value when the variable is not set, which also says its type. None: a text that must be set."""
    low: float = 0
    high: float = math.inf
    kind: type[int] | type[float] = int
    """Whether a number must be whole."""

    def parse(self, environment: Mapping[str, str]) -> Any:
        """Return the variable's value in an environment.

        Raises
        ------
        ValueError
            Naming the variable, its value and what is allowed.
        """
        text = environment.get(self.name)
        if self.default is None:
            if not text:
                raise ValueError(f"environment variable {self.name} is missing; it must name the deployed resource")
            return text
        if text is None:
            return self.default
        if isinstance(self.default, str):
            return text
        if isinstance(self.default, bool):
            if text not in ("true", "false"):
                raise ValueError(f"environment variable {self.name} is {text!r}, allowed: true or false")
            return text == "true"
        return self._number(text)

    def _number(self, text: str) -> float:
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        if self.low <= value <= self.high and value != math.inf:
            return value
        words = "a whole number" if self.kind is int else "a number"
        upper = "" if self.high == math.inf else f" to {self.kind(self.high)}"
        raise ValueError(
            f"environment variable {self.name} is {text!r}, allowed: {words} from {self.kind(self.low)}{upper}"
        )


RESOURCES: Final = (
    Variable("DYNAMODB_TABLE_NAME", None),
    Variable("STATE_TABLE_NAME", None),
    Variable("EVENT_BUS_NAME", None),
    Variable("QUARANTINE_BUCKET_NAME", None),
)
"""The deployed resources. Every function has them."""

LOGGING: Final = (
    Variable("LOG_LEVEL", "INFO"),
    Variable("POWERTOOLS_METRICS_NAMESPACE", "iops-dashboard"),
    Variable("POWERTOOLS_SERVICE_NAME", "processor"),
)
"""What Powertools for AWS Lambda reads. Every function has them."""

THRESHOLDS: Final = (
    Variable("IB_CALLS_WARNING", 3, low=1),
    Variable("HEALTH_WARNING", 70, kind=float),
    Variable("HEALTH_CRITICAL", 50, kind=float),
    Variable("RENOTIFY_HOURS", 24, kind=float),
    Variable("MAX_REMINDERS", 5),
    Variable("FIRST_SESSION_SUCCESS_BELOW", 0.0, high=1, kind=float),
    Variable("FIRST_SESSIONS_LEAST", 5, low=1),
    Variable("VELOCITY_DROP_SHARE", 0.0, high=1, kind=float),
    Variable("VELOCITY_DROP_LEAST", 4, low=1),
    Variable("NO_TUTORS_ALERT", False),
    Variable("DEMAND_SURGE_SCORE", 0.0, kind=float),
    Variable("DEMAND_SURGE_LEAST", 10, low=1),
)
"""When alerts fire. `AlertRules` and the components' arguments have the same names in small letters."""

FUTURE_TOLERANCE: Final = Variable("FUTURE_TOLERANCE_SECONDS", 600)
ROLL_INTERVAL: Final = Variable("ROLL_INTERVAL_MINUTES", 5, low=1, high=60)
LANES: Final = Variable("WAKE_LANES", 4, low=1, high=256)

DISTRIBUTED_ITEMS: Final = Variable("ROLLUP_DISTRIBUTED_ITEMS", 0)
DISTRIBUTION: Final = (Variable("ROLLUP_BUCKET_NAME", None), Variable("ROLLUP_STATE_MACHINE_ARN", None))
"""Where a rollup of many functions keeps its parts, and what runs it; set where `DISTRIBUTED_ITEMS` is not 0."""

STEP: Final = frozenset(variable.name for variable in (*RESOURCES, *LOGGING))
"""What the steps of a rollup of many functions need: they judge no alerts."""
_EVERY: Final = frozenset(
    variable.name
    for variable in (
        *RESOURCES,
        *LOGGING,
        *THRESHOLDS,
        FUTURE_TOLERANCE,
        ROLL_INTERVAL,
        LANES,
        DISTRIBUTED_ITEMS,
        *DISTRIBUTION,
    )
)


def written(values: Mapping[str, V]) -> dict[str, V]:
    """Return these variables, once their names have been checked.

    Raises
    ------
    ValueError
        When no function reads one of them, or a resource is not named.
    """
    if unknown := values.keys() - _EVERY:
        raise ValueError(f"no function reads the environment variables {', '.join(sorted(unknown))}")
    if missing := {variable.name for variable in RESOURCES} - values.keys():
        raise ValueError(
            f"the environment variables {', '.join(sorted(missing))} are missing; every function reads them"
        )
    return dict(values)


def text_of(value: object) -> str:
    """Return a value as a variable has it: numbers as they are written, flags as true or false.

    >>> text_of(0.5), text_of(False), text_of("INFO")
    ('0.5', 'false', 'INFO')
    """
    return value if isinstance(value, str) else json.dumps(value)
