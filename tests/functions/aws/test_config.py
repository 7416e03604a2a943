"""The environment: defaults, and messages that name the variable, its value and what is allowed."""

import pytest

from functions.aws.config import Config, ConfigError, Distribution
from functions.entities.alerts import AlertRules
from functions.entities.plan import Rules
from functions.entities.wakes import Rhythm
from functions.model import MINUTE_MS

NAMES = {
    "DYNAMODB_TABLE_NAME": "iops-dashboard-metrics",
    "STATE_TABLE_NAME": "iops-dashboard-state",
    "EVENT_BUS_NAME": "iops-dashboard-alerts",
    "QUARANTINE_BUCKET_NAME": "iops-dashboard-quarantine",
}


def test_the_resources_names_suffice() -> None:
    assert Config.from_environment(NAMES) == Config(
        table_name="iops-dashboard-metrics",
        state_table_name="iops-dashboard-state",
        event_bus_name="iops-dashboard-alerts",
        quarantine_bucket="iops-dashboard-quarantine",
        future_tolerance_ms=600_000,
        rules=Rules(AlertRules(3, 70, 50, 24, 5, 0, 5, 0, 4, False, 0, 10), Rhythm(5 * MINUTE_MS, lanes=4)),
    )


def test_every_number_can_be_set() -> None:
    numbers = {
        "FUTURE_TOLERANCE_SECONDS": "0",
        "ROLL_INTERVAL_MINUTES": "60",
        "WAKE_LANES": "256",
        "IB_CALLS_WARNING": "10",
        "HEALTH_WARNING": "80.5",
        "HEALTH_CRITICAL": "60",
        "RENOTIFY_HOURS": "0.5",
        "MAX_REMINDERS": "0",
        "FIRST_SESSION_SUCCESS_BELOW": "0.5",
        "FIRST_SESSIONS_LEAST": "6",
        "VELOCITY_DROP_SHARE": "1",
        "VELOCITY_DROP_LEAST": "7",
        "NO_TUTORS_ALERT": "true",
        "DEMAND_SURGE_SCORE": "3.5",
        "DEMAND_SURGE_LEAST": "8",
    }
    config = Config.from_environment(NAMES | numbers)
    assert config.future_tolerance_ms == 0
    assert config.rules == Rules(
        AlertRules(10, 80.5, 60.0, 0.5, 0, 0.5, 6, 1.0, 7, True, 3.5, 8), Rhythm(60 * MINUTE_MS, lanes=256)
    )


OF_MANY = {
    "ROLLUP_DISTRIBUTED_ITEMS": "1000",
    "ROLLUP_BUCKET_NAME": "iops-dashboard-rollup-1",
    "ROLLUP_STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:iops-dashboard-rollup",
}


def test_a_rollup_of_many_functions_is_told_where_its_parts_are() -> None:
    assert Config.from_environment(NAMES | OF_MANY).distribution == Distribution(
        1000, OF_MANY["ROLLUP_BUCKET_NAME"], OF_MANY["ROLLUP_STATE_MACHINE_ARN"]
    )
    assert Config.from_environment(NAMES | OF_MANY | {"ROLLUP_DISTRIBUTED_ITEMS": "0"}).distribution == Distribution()
    for name in ("ROLLUP_BUCKET_NAME", "ROLLUP_STATE_MACHINE_ARN"):
        with pytest.raises(ConfigError, match=f"environment variable {name} is missing"):
            Config.from_environment(NAMES | OF_MANY | {name: ""})


@pytest.mark.parametrize(("name", "value"), [("EVENT_BUS_NAME", ""), ("WAKE_LANES", "0"), ("NO_TUTORS_ALERT", "")])
def test_a_value_that_is_not_allowed_is_an_error_of_the_configuration(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"environment variable {name} is "):
        Config.from_environment(NAMES | {name: value})
