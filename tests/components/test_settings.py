"""Settings: declared once more in Pulumi.yaml, each checked, all problems in one message."""

from typing import Any, TypedDict

import pytest

from settings import Settings, SettingsError, arguments
from settings.checks import LOG_RETENTION_DAYS
from settings.groups import StackSettings, StreamSettings
from tests.helpers.recorded_program import DECLARED, PROJECT, record, stack_config

UNUSABLE = "setting can't be used; correct them with `pulumi config set`:"


def load(**config: Any) -> Settings:
    loaded: list[Settings] = []
    record(lambda: loaded.append(Settings.load()), config)
    return loaded[0]


def values(settings: Settings) -> dict[str, Any]:
    """All settings by their keys."""
    return {setting.key: value for _, _, setting, value in settings.declared()}


def test_pulumi_yaml_declares_the_same_keys_and_defaults() -> None:
    own = values(Settings())
    # Pulumi declares no type for numbers that are not whole: these are strings.
    as_declared = {
        key: f"{v:g}" if isinstance(v, float) else list(v) if isinstance(v, tuple) else v for key, v in own.items()
    }
    assert {key: item["default"] for key, item in DECLARED.items()} == as_declared


@pytest.mark.parametrize("key", DECLARED)
def test_each_declaration_has_type_and_description(key: str) -> None:
    types = {bool: "boolean", int: "integer", str: "string", list: "array"}
    assert DECLARED[key]["type"] == types[type(DECLARED[key]["default"])]
    assert DECLARED[key]["description"].endswith(".")


@pytest.mark.parametrize("key", DECLARED)
def test_each_declared_default_is_allowed(key: str) -> None:
    assert load(**{key: DECLARED[key]["default"]}) == Settings()


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_stack_files_have_declared_keys_only(stack: str) -> None:
    keys = {key.removeprefix(f"{PROJECT}:") for key in stack_config(stack) if key.startswith(f"{PROJECT}:")}
    assert keys <= DECLARED.keys()


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_stack_files_are_as_the_cli_writes_them(stack: str) -> None:
    """`pulumi stack init` and `pulumi config set` write the whole file anew, with texts for numbers and booleans."""
    for key, value in stack_config(stack).items():
        assert isinstance(value, str), f"{key} is {value!r}"


def test_values_are_read_by_their_types() -> None:
    settings = load(
        namePrefix="ours", production=True, batchSize=250, maxRetryAttempts=-1, maxRecordAgeSeconds=3600,
        architecture="arm64", alertEmailsCritical=["ops@example.org", "cto@example.org"],
        velocityDropShare="0.25", demandSurgeScore=3.5, firstSessionSuccessBelow=1, noTutorsAlertEnabled=True,
    )  # fmt: skip
    assert values(settings) == values(Settings()) | {
        "namePrefix": "ours", "production": True, "batchSize": 250, "maxRetryAttempts": -1, "maxRecordAgeSeconds": 3600,
        "architecture": "arm64", "alertEmailsCritical": ("ops@example.org", "cto@example.org"),
        "velocityDropShare": 0.25, "demandSurgeScore": 3.5, "firstSessionSuccessBelow": 1.0,
        "noTutorsAlertEnabled": True,
    }  # fmt: skip


DAYS = ", ".join(map(str, LOG_RETENTION_DAYS))
DIVISORS = "1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60"
NAME = "3 to 25 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen"
BAD = [
    *[("namePrefix", bad, NAME) for bad in ("", "ab", "a" * 26, "Iops", "1ops", "iops-", "io_ps", "io\n")],
    *[("production", bad, "true or false") for bad in ("yes", "1", "True", "")],
    ("existingStreamArn", "events", "a Kinesis stream's ARN or empty"),
    ("existingStreamArn", "arn:aws:kinesis:eu-west-1:1:stream/x", "a Kinesis stream's ARN or empty"),
    ("existingStreamKeyArn", "alias/mine", "a KMS key's ARN or empty"),
    ("existingTableArn", "metrics", "a DynamoDB table's ARN or empty"),
    ("existingTableArn", "arn:aws:dynamodb:eu-west-1:123456789012:table/x/index/y", "a DynamoDB table's ARN or empty"),
    ("existingTableKeyArn", "alias/mine", "a KMS key's ARN or empty"),
    ("existingBusArn", "default", "an event bus's ARN or empty"),
    ("streamShards", "501", "a whole number from 0 to 500"),
    ("streamRetentionHours", "23", "a whole number from 24 to 8760"),
    ("batchSize", "0", "a whole number from 1 to 10000"),
    ("batchSize", "10001", "a whole number from 1 to 10000"),
    ("batchSize", "ten", "a whole number from 1 to 10000"),
    ("batchSize", "1.5", "a whole number from 1 to 10000"),
    ("batchSize", "٣", "a whole number from 1 to 10000"),
    ("batchingWindowSeconds", "301", "a whole number from 0 to 300"),
    ("maxRetryAttempts", "-2", "a whole number from 0 to 10000, or -1"),
    ("maxRecordAgeSeconds", "59", "a whole number from 60 to 604800, or -1"),
    ("parallelizationFactor", "11", "a whole number from 1 to 10"),
    ("architecture", "arm", "one of x86_64, arm64"),
    ("processorMemoryMb", "128", "a whole number from 256 to 10240"),
    ("processorTimeoutSeconds", "901", "a whole number from 10 to 900"),
    ("logLevel", "info", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("logRetentionDays", "8", f"one of {DAYS}"),
    ("logKeyArn", "alias/logs", "a KMS key's ARN or empty"),
    ("processorReservedConcurrency", "0", "a whole number from 1 to 100000, or -1"),
    ("ibCallsWarning", "0", "a whole number from 1 to 1000000"),
    ("healthWarning", "101", "a whole number from 0 to 100"),
    ("healthCritical", "-1", "a whole number from 0 to 100"),
    ("renotifyHours", "0", "a whole number from 1 to 720"),
    ("maxReminders", "-1", "a whole number from 0 to 1000"),
    *[
        ("firstSessionSuccessBelow", bad, "a number from 0 to 1 with at most 4 decimals")
        for bad in ("1.0001", "-0.1", ".5", "0.12345", "50%", "nan", "")
    ],
    ("firstSessionsLeast", "0", "a whole number from 1 to 1000000"),
    ("velocityDropShare", "2", "a number from 0 to 1 with at most 4 decimals"),
    ("velocityDropLeast", "1.5", "a whole number from 1 to 1000000"),
    ("noTutorsAlertEnabled", "on", "true or false"),
    ("demandSurgeScore", "1000.5", "a number from 0 to 1000 with at most 4 decimals"),
    ("demandSurgeLeast", "0", "a whole number from 1 to 1000000"),
    ("futureToleranceMinutes", "1441", "a whole number from 0 to 1440"),
    *[("rollIntervalMinutes", bad, f"one of {DIVISORS}") for bad in ("0", "7", "45", "120", "5.0", "05", "")],
    ("lanes", "257", "a whole number from 1 to 256"),
    ("dlqRetentionDays", "15", "a whole number from 1 to 14"),
    ("iteratorAgeAlarmMinutes", "0", "a whole number from 1 to 10080"),
    ("functionErrorsAlarmCount", "0", "a whole number from 1 to 1000000"),
    ("functionThrottlesAlarmCount", "0", "a whole number from 1 to 1000000"),
    ("durationAlarmPercent", "101", "a whole number from 10 to 100"),
    ("quarantineAlarmRecords", "0", "a whole number from 1 to 1000000"),
    ("tableFailuresAlarmCount", "0", "a whole number from 1 to 1000000"),
    ("rollAlarmIntervals", "1", "a whole number from 2 to 10"),
    ("unsentAlarmMinutes", "1441", "a whole number from 1 to 1440"),
    ("quarantineExpiryDays", "0", "a whole number from 1 to 3650"),
    ("simulatorStreams", "0", "a whole number from 1 to 1000"),
    ("simulatorEventsPerStream", "1001", "a whole number from 1 to 1000"),
    *[
        ("alertEmailsCritical", bad, "a list of e-mail addresses, each once")
        for bad in ("ops@example.org", '"ops@example.org"', '["ops"]', "[1]", '["a@b.org", "a@b.org"]', "{")
    ],
]


@pytest.mark.parametrize(("key", "value", "allowed"), BAD)
def test_a_bad_value_is_named_with_what_is_allowed(key: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(**{key: value})
    assert str(raised.value) == f"1 {UNUSABLE}\n  {key} is {value!r}: it must be {allowed}"


KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
LANES = "it must be -1 or at least streamShards times parallelizationFactor (6)"
CONFLICTS = [
    ({"healthCritical": 70}, "healthCritical is 70: it must be below healthWarning (70)"),
    ({"maxRetryAttempts": -1}, "maxRecordAgeSeconds is -1: it must be 60 to 604800 when maxRetryAttempts is -1"),
    ({"maxRecordAgeSeconds": 86_400}, "maxRecordAgeSeconds is 86400: it must be below streamRetentionHours (24)"),
    ({"iteratorAgeAlarmMinutes": 1440}, "iteratorAgeAlarmMinutes is 1440: it must be below streamRetentionHours (24)"),
    ({"existingStreamKeyArn": KEY}, f"existingStreamKeyArn is {KEY!r}: it must be empty without existingStreamArn"),
    ({"existingTableKeyArn": KEY}, f"existingTableKeyArn is {KEY!r}: it must be empty without existingTableArn"),
    (
        {"processorReservedConcurrency": 5, "streamShards": 2, "parallelizationFactor": 3},
        f"processorReservedConcurrency is 5: {LANES}",
    ),
]


STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/x"
TABLE = "arn:aws:dynamodb:eu-west-1:999999999999:table/theirs"
ELSEWHERE = [
    (
        {"existingStreamArn": STREAM, "existingTableArn": TABLE},
        f"existingTableArn is {TABLE!r}: it must be in the account of {STREAM!r}, which is the stack's own",
    ),
    (
        {"existingTableArn": TABLE, "aws:region": "us-east-1"},
        f"existingTableArn is {TABLE!r}: it must be in the region of the stack (aws:region is us-east-1)",
    ),
]


@pytest.mark.parametrize(("config", "message"), [*CONFLICTS, *ELSEWHERE])
def test_settings_that_contradict_each_other(config: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(**config)
    assert str(raised.value) == f"1 {UNUSABLE}\n  {message}"


@pytest.mark.parametrize(
    "config",
    [
        {"processorReservedConcurrency": 6, "streamShards": 2, "parallelizationFactor": 3},
        {"processorReservedConcurrency": 1, "streamShards": 0},
        {"processorReservedConcurrency": 1, "existingStreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/x"},
    ],
)
def test_concurrency_is_reserved_for_all_lanes_that_are_known(config: dict[str, Any]) -> None:
    assert load(**config).processor.reserved_concurrency == config["processorReservedConcurrency"]


def test_all_problems_are_told_at_once_and_none_that_only_follows() -> None:
    with pytest.raises(SettingsError) as raised:
        load(batchSize=0, healthWarning=1000, healthCritical=90, maxRetryAttempts=-1)
    assert str(raised.value).splitlines() == [
        "3 settings can't be used; correct them with `pulumi config set`:",
        "  batchSize is '0': it must be a whole number from 1 to 10000",
        "  healthWarning is '1000': it must be a whole number from 0 to 100",
        "  maxRecordAgeSeconds is -1: it must be 60 to 604800 when maxRetryAttempts is -1",
    ]


def test_config_of_one_run_does_not_reach_the_next() -> None:
    assert load(batchSize=7).processor.batch_size == 7
    assert load() == Settings()


class Args(TypedDict):
    name_prefix: str
    shards: int
    existing_arn: str
    existing_key_arn: str
    retention_hours: int
    rules: list[str]


def test_arguments_are_a_groups_settings_and_what_a_component_takes_of_the_stacks() -> None:
    assert arguments(Args, StackSettings(), StreamSettings(shards=2), rules=("a",)) == {
        "name_prefix": "iops-dashboard", "shards": 2, "existing_arn": "", "existing_key_arn": "", "retention_hours": 24,
        "rules": ["a"],
    }  # fmt: skip


def test_an_argument_that_the_component_does_not_have_is_named() -> None:
    with pytest.raises(TypeError, match="Args has no colour, taste"):
        arguments(Args, StackSettings(), taste=1, colour=2)
