"""The description of the functions' environment agrees with those who write and read it."""

from dataclasses import fields

import pytest

from functions import environment
from functions.entities.alerts import AlertRules
from functions.entities.plan import Rules

NAMES = {variable.name: "any" for variable in environment.RESOURCES}


def test_thresholds_and_alert_rules_are_the_same_with_the_same_defaults() -> None:
    assert {variable.name.lower(): variable.default for variable in environment.THRESHOLDS} == {
        item.name: item.default for item in fields(AlertRules)
    }
    assert Rules().due_partitions == environment.DUE_PARTITIONS.default


def test_a_variable_that_no_function_reads_is_refused() -> None:
    with pytest.raises(ValueError, match="no function reads the environment variables COLOUR"):
        environment.written({**NAMES, "COLOUR": "red"})


def test_a_resource_that_is_not_named_is_refused() -> None:
    with pytest.raises(ValueError, match="the environment variables EVENT_BUS_NAME are missing"):
        environment.written({name: value for name, value in NAMES.items() if name != "EVENT_BUS_NAME"})
