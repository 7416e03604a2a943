"""How a setting's text becomes a value: one function for each kind of setting.

Each declares a dataclass field that carries the setting's config key, default and check.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

LOG_RETENTION_DAYS: Final = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""The only numbers of days that CloudWatch Logs takes (PutRetentionPolicy)."""


@dataclass(frozen=True)
class Setting:
    """What is known of one setting beside its value."""

    key: str
    """Its name in the config; Pulumi.yaml describes it."""
    parse: Callable[[str], Any]
    """Turns the config's text into the value; raises ValueError for a text that is not allowed."""
    allowed: str
    """What is allowed, as messages and the docs say it."""


def _require(ok: object) -> None:
    if not ok:
        raise ValueError


def _setting(key: str, default: Any, parse: Callable[[str], Any], allowed: str) -> Any:
    return field(default=default, metadata={"setting": Setting(key, parse, allowed)})


def whole(key: str, default: int, low: int, high: int, also: int | None = None) -> int:
    """Declare a whole number from `low` to `high`, or `also`."""

    def parse(text: str) -> int:
        _require(re.fullmatch(r"-?[0-9]{1,18}", text))
        value = int(text)
        _require(low <= value <= high or value == also)
        return value

    allowed = f"a whole number from {low} to {high}" + ("" if also is None else f", or {also}")
    setting: int = _setting(key, default, parse, allowed)
    return setting


def divisor_of_60(key: str, default: int) -> int:
    """Declare a number of minutes that divides an hour."""
    allowed = [minutes for minutes in range(1, 61) if 60 % minutes == 0]

    def parse(text: str) -> int:
        _require(text in map(str, allowed))
        return int(text)

    setting: int = _setting(key, default, parse, f"one of {', '.join(map(str, allowed))}")
    return setting


def number(key: str, default: float, low: float, high: float) -> float:
    """Declare a number from `low` to `high` with at most 4 decimals."""

    def parse(text: str) -> float:
        _require(re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", text))
        value = float(text)
        _require(low <= value <= high)
        return value

    allowed = f"a number from {low:g} to {high:g} with at most 4 decimals"
    setting: float = _setting(key, default, parse, allowed)
    return setting


def flag(key: str, default: bool) -> bool:
    """Declare a setting that is true or false."""

    def parse(text: str) -> bool:
        _require(text in ("true", "false"))
        return text == "true"

    setting: bool = _setting(key, default, parse, "true or false")
    return setting


def text(key: str, default: str, pattern: str, allowed: str) -> str:
    """Declare a text that matches a pattern as a whole."""

    def parse(value: str) -> str:
        _require(re.fullmatch(pattern, value))
        return value

    setting: str = _setting(key, default, parse, allowed)
    return setting


def one_of(key: str, default: str, *choices: str) -> str:
    """Declare a choice."""
    pattern = "|".join(map(re.escape, choices))
    return text(key, default, pattern, "one of " + ", ".join(choices))


def emails(key: str) -> tuple[str, ...]:
    """Declare a list of e-mail addresses, empty by default."""

    def parse(text: str) -> tuple[str, ...]:
        addresses = json.loads(text)
        _require(isinstance(addresses, list))
        _require(all(isinstance(a, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", a) for a in addresses))
        _require(len(set(addresses)) == len(addresses))
        return tuple(addresses)

    setting: tuple[str, ...] = _setting(key, (), parse, "a list of e-mail addresses, each once")
    return setting


def log_retention(key: str, default: int) -> int:
    """Declare how many days logs are kept."""

    def parse(text: str) -> int:
        _require(text in map(str, LOG_RETENTION_DAYS))
        return int(text)

    allowed = "one of " + ", ".join(map(str, LOG_RETENTION_DAYS))
    setting: int = _setting(key, default, parse, allowed)
    return setting
