"""The description of the functions' environment agrees with those who write and read it."""

from dataclasses import fields
from typing import Any

import pytest

from functions import environment
from functions.entities import wakes
from functions.entities.alerts import AlertRules
from functions.entities.plan import Rules
from functions.entities.wakes import Rhythm
from functions.model import MINUTE_MS

NAMES = {variable.name: "any" for variable in environment.RESOURCES}


def test_thresholds_and_alert_rules_are_the_same_with_the_same_defaults() -> None:
    assert {variable.name.lower(): variable.default for variable in environment.THRESHOLDS} == {
        item.name: item.default for item in fields(AlertRules)
    }


def test_the_rhythm_and_its_variables_have_the_same_defaults_and_limits() -> None:
    default = Rules().rhythm
    assert default == Rhythm()
    assert default.interval_ms // MINUTE_MS == environment.ROLL_INTERVAL.default
    assert default.lanes == environment.LANES.default
    assert environment.LANES.high == wakes.MOST_LANES


def test_a_variable_that_no_function_reads_is_refused() -> None:
    with pytest.raises(ValueError, match="no function reads the environment variables COLOUR"):
        environment.written({**NAMES, "COLOUR": "red"})


def test_a_resource_that_is_not_named_is_refused() -> None:
    with pytest.raises(ValueError, match="the environment variables EVENT_BUS_NAME are missing"):
        environment.written({name: value for name, value in NAMES.items() if name != "EVENT_BUS_NAME"})


VARIABLES = {
    variable.name: variable
    for variable in (
        *environment.RESOURCES,
        *environment.LOGGING,
        *environment.THRESHOLDS,
        environment.FUTURE_TOLERANCE,
        environment.ROLL_INTERVAL,
        environment.LANES,
        environment.DISTRIBUTED_ITEMS,
        *environment.DISTRIBUTION,
    )
}


def parsed(name: str, value: str) -> Any:
    return VARIABLES[name].parse({name: value})


@pytest.mark.parametrize("name", [*NAMES, "ROLLUP_BUCKET_NAME", "ROLLUP_STATE_MACHINE_ARN"])
def test_a_resource_must_be_named(name: str) -> None:
    assert parsed(name, "iops-dashboard") == "iops-dashboard"
    for given in ({}, {name: ""}):
        with pytest.raises(ValueError, match="missing") as refused:
            VARIABLES[name].parse(given)
        assert str(refused.value) == f"environment variable {name} is missing; it must name the deployed resource"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FUTURE_TOLERANCE_SECONDS", "-1", "a whole number from 0"),
        ("FUTURE_TOLERANCE_SECONDS", "1.5", "a whole number from 0"),
        ("ROLL_INTERVAL_MINUTES", "0", "a whole number from 1 to 60"),
        ("ROLL_INTERVAL_MINUTES", "61", "a whole number from 1 to 60"),
        ("WAKE_LANES", "257", "a whole number from 1 to 256"),
        ("WAKE_LANES", "", "a whole number from 1 to 256"),
        ("IB_CALLS_WARNING", "0", "a whole number from 1"),
        ("IB_CALLS_WARNING", "three", "a whole number from 1"),
        ("HEALTH_WARNING", "-0.1", "a number from 0.0"),
        ("HEALTH_CRITICAL", "nan", "a number from 0.0"),
        ("RENOTIFY_HOURS", "daily", "a number from 0.0"),
        ("MAX_REMINDERS", "-1", "a whole number from 0"),
        ("FIRST_SESSION_SUCCESS_BELOW", "1.1", "a number from 0.0 to 1.0"),
        ("FIRST_SESSIONS_LEAST", "0", "a whole number from 1"),
        ("VELOCITY_DROP_SHARE", "nan", "a number from 0.0 to 1.0"),
        ("VELOCITY_DROP_LEAST", "4.0", "a whole number from 1"),
        ("NO_TUTORS_ALERT", "True", "true or false"),
        ("NO_TUTORS_ALERT", "", "true or false"),
        ("DEMAND_SURGE_SCORE", "inf", "a number from 0.0"),
        ("DEMAND_SURGE_LEAST", "ten", "a whole number from 1"),
        ("ROLLUP_DISTRIBUTED_ITEMS", "-1", "a whole number from 0"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(ValueError, match="allowed") as refused:
        parsed(name, value)
    assert str(refused.value) == f"environment variable {name} is {value!r}, allowed: {allowed}"


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("LOG_LEVEL", "DEBUG", "DEBUG"),
        ("NO_TUTORS_ALERT", "true", True),
        ("NO_TUTORS_ALERT", "false", False),
        ("FUTURE_TOLERANCE_SECONDS", "0", 0),
        ("ROLLUP_DISTRIBUTED_ITEMS", "0", 0),
        ("ROLL_INTERVAL_MINUTES", "60", 60),
        ("WAKE_LANES", "256", 256),
        ("IB_CALLS_WARNING", "1", 1),
        ("FIRST_SESSIONS_LEAST", "1", 1),
        ("VELOCITY_DROP_LEAST", "1", 1),
        ("DEMAND_SURGE_LEAST", "1", 1),
        ("MAX_REMINDERS", "0", 0),
        ("HEALTH_WARNING", "0", 0),
        ("RENOTIFY_HOURS", "0.5", 0.5),
        ("FIRST_SESSION_SUCCESS_BELOW", "1", 1),
        ("VELOCITY_DROP_SHARE", "1", 1),
        ("DEMAND_SURGE_SCORE", "1e9", 1e9),
    ],
)
def test_the_values_at_the_edges_are_allowed(name: str, value: str, meant: object) -> None:
    assert parsed(name, value) == meant


def test_a_variable_that_is_not_set_has_its_default() -> None:
    assert environment.FUTURE_TOLERANCE.parse({}) == 600, "docs/contract.md: ten minutes"
    assert environment.DISTRIBUTED_ITEMS.parse({}) == 0, "one function computes a rollup"
