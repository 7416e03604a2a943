"""A change of one setting changes only the resources that it is about: two recorded runs compared for each setting."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pulumi
import pytest

from tests.helpers.recorded_program import DECLARED, Recorded, arn, record_program

Run = Callable[[str], Recorded]


def named(prefix: str, *names: str) -> set[str]:
    return {f"{prefix}-{name}" for name in names}


PROCESSOR_AND_ROLL = {"processor-function", "processor-roll-function"}
ROLLUPS = {"rollup-function", "rollup-map-function", "rollup-reduce-function"}
JUDGING = PROCESSOR_AND_ROLL | {"rollup-function"}
FUNCTIONS = PROCESSOR_AND_ROLL | ROLLUPS | {"simulator-function", "alerts-notifier-function"}
DASHBOARD = {"operations-dashboard"}
TOPICS = named("alerts", "critical-topic", "warning-topic", "info-topic") | {"operations-topic"}
ROUTES = {
    f"alerts-{severity}-{part}"
    for severity in ("critical", "warning", "info")
    for part in ("rule", "target", "permission")
}
INDEXES = {"metrics-table", "operations-table-throttles-alarm"} | DASHBOARD
ROLL_ALARMS = named(
    "operations",
    "overdue-wakes-alarm",
    "roll-duration-alarm",
    "roll-errors-alarm",
    "roll-failures-alarm",
    "roll-missing-alarm",
    "roll-throttles-alarm",
    "unsent-alerts-alarm",
    "wakes-put-off-alarm",
)
ROLLUP_ALARMS = {f"operations-rollup-{name}-alarm" for name in ("missing", "errors", "duration", "runs")}
ALARMS = (
    ROLL_ALARMS
    | ROLLUP_ALARMS
    | named(
        "operations",
        "stream-unread-alarm",
        "iterator-age-alarm",
        "processor-errors-alarm",
        "processor-throttles-alarm",
        "processor-duration-alarm",
        "failed-records-alarm",
        "quarantined-records-alarm",
        "failed-batches-alarm",
        "lost-records-alarm",
        "notifier-errors-alarm",
        "notifier-throttles-alarm",
        "failed-deliveries-alarm",
        "lost-alerts-alarm",
        "dead-letters-alarm",
        "table-errors-alarm",
        "table-throttles-alarm",
        "transactions-cancelled-alarm",
    )
)
OF_MANY = {
    *ROLLUPS,
    *named(
        "rollup", "policy", "runs-bucket", "runs-access", "runs-encryption", "runs-lifecycle", "runs-policy", "steps"
    ),
    *(f"rollup-{step}-{part}" for step in ("map", "reduce", "steps") for part in ("role", "policy", "logs")),
}
"""What a rollup over many functions consists of, and what names it."""
KEY = arn("kms", "key/1234")
THEIR_STREAM = {"existingStreamArn": arn("kinesis", "stream/theirs")}
THEIR_TABLE = {"existingTableArn": arn("dynamodb", "table/theirs")}
THEIR_BUS = {"existingBusArn": arn("events", "event-bus/theirs")}

# Of each setting: a value that is not the default, and the logical names of all resources that it may add, change or
# remove. None stands for all: it is in every physical name.
CHANGES: dict[str, tuple[Any, set[str] | None]] = {
    "namePrefix": ("other", None),
    "production": (
        True,
        {"events-stream", "metrics-table", "metrics-state", "alerts-bus", "alerts-dlq"}
        | {"processor-mapping", "processor-quarantine-bucket", "rollup-runs-bucket"}
        | TOPICS,
    ),
    "existingStreamArn": (
        THEIR_STREAM["existingStreamArn"],
        {"events-stream", "processor-mapping", "processor-policy", "simulator-function", "simulator-policy"}
        | {"operations-stream-unread-alarm"}
        | DASHBOARD,
    ),
    "existingStreamKeyArn": (KEY, {"processor-policy", "simulator-policy"}),
    "existingTableArn": (
        THEIR_TABLE["existingTableArn"],
        {"metrics-table", "processor-policy", "processor-roll-policy", "rollup-policy", "rollup-map-policy"}
        | named("operations", "table-errors-alarm", "table-throttles-alarm")
        | PROCESSOR_AND_ROLL
        | ROLLUPS
        | DASHBOARD,
    ),
    "existingTableKeyArn": (
        KEY,
        {"processor-policy", "processor-roll-policy", "rollup-policy", "rollup-map-policy"},
    ),
    "existingBusArn": (
        THEIR_BUS["existingBusArn"],
        {"alerts-bus", "alerts-bus-policy", "alerts-dlq-policy"}
        | {"processor-policy", "processor-roll-policy", "rollup-policy"}
        | named("operations", "failed-deliveries-alarm", "lost-alerts-alarm")
        | ROUTES
        | PROCESSOR_AND_ROLL
        | ROLLUPS
        | DASHBOARD,
    ),
    "streamShards": (3, {"events-stream"}),
    "streamRetentionHours": (48, {"events-stream"}),
    "batchSize": (7, {"processor-mapping"}),
    "batchingWindowSeconds": (8, {"processor-mapping"}),
    "maxRetryAttempts": (9, {"processor-mapping"}),
    "maxRecordAgeSeconds": (1000, {"processor-mapping"}),
    "parallelizationFactor": (2, {"processor-mapping"}),
    "architecture": ("arm64", {"processor-layer"} | FUNCTIONS),
    "layerDirectory": ("", {"processor-layer-object"}),
    "processorMemoryMb": (300, PROCESSOR_AND_ROLL | DASHBOARD),
    "processorTimeoutSeconds": (
        33,
        named("operations", "processor-duration-alarm", "roll-duration-alarm") | PROCESSOR_AND_ROLL | DASHBOARD,
    ),
    "processorReservedConcurrency": (5, {"processor-function"}),
    "logLevel": ("DEBUG", FUNCTIONS - {"alerts-notifier-function"}),
    "logRetentionDays": (
        3,
        {"processor-logs", "processor-roll-logs", "simulator-logs", "alerts-notifier-logs"}
        | named("rollup", "logs", "map-logs", "reduce-logs", "steps-logs"),
    ),
    "logKeyArn": (
        KEY,
        {"processor-logs", "processor-roll-logs", "simulator-logs", "alerts-notifier-logs"}
        | named("rollup", "logs", "map-logs", "reduce-logs", "steps-logs"),
    ),
    "tracingEnabled": (
        True,
        named("processor", "policy", "roll-policy")
        | {"simulator-policy", "alerts-notifier-policy"}
        | named("rollup", "policy", "map-policy", "reduce-policy", "steps-policy", "steps")
        | FUNCTIONS,
    ),
    "ibCallsWarning": (4, JUDGING),
    "healthWarning": (71, JUDGING),
    "healthCritical": (51, JUDGING),
    "renotifyHours": (25, JUDGING),
    "maxReminders": (6, JUDGING),
    "firstSessionSuccessBelow": ("0.5", JUDGING),
    "firstSessionsLeast": (6, JUDGING),
    "velocityDropShare": ("0.4", JUDGING),
    "velocityDropLeast": (5, JUDGING),
    "noTutorsAlertEnabled": (True, JUDGING),
    "demandSurgeScore": ("3.5", JUDGING),
    "demandSurgeLeast": (11, JUDGING),
    "futureToleranceMinutes": (11, JUDGING),
    "rollIntervalMinutes": (1, {"processor-roll-schedule", "processor-roll-schedule-retries"} | ROLL_ALARMS | JUDGING),
    "lanes": (17, JUDGING),
    "rollupEnabled": (False, {"rollup-schedule"} | ROLLUP_ALARMS | DASHBOARD),
    "rollupIntervalMinutes": (20, {"rollup-schedule", "rollup-schedule-retries"} | ROLLUP_ALARMS),
    "rollupDistributedItems": (0, OF_MANY | {"operations-rollup-runs-alarm"} | DASHBOARD),
    "rollupMaxConcurrency": (5, {"rollup-steps"}),
    "rollupMemoryMb": (2000, ROLLUPS | DASHBOARD),
    "rollupStorageMb": (3000, ROLLUPS),
    "entityTypeHealthIndexEnabled": (False, INDEXES),
    "lastUpdatedIndexEnabled": (True, INDEXES),
    "alertEmailsCritical": (["c@d.org"], {"alerts-critical-email-83aa898c"}),
    "alertEmailsWarning": (["w@d.org"], {"alerts-warning-email-a83d0b3b"}),
    "alertEmailsInfo": (["i@d.org"], {"alerts-info-email-c3dc67b7"}),
    "topicKeyEnabled": (True, {"alerts-key", "alerts-key-alias", "alerts-notifier-policy"} | TOPICS),
    "dlqRetentionDays": (13, {"alerts-dlq"}),
    "quarantineExpiryDays": (31, {"processor-quarantine-lifecycle"}),
    "alarmsEnabled": (False, ALARMS | DASHBOARD),
    "dashboardEnabled": (False, DASHBOARD),
    "operationsEmails": (["o@d.org"], {"operations-email-c6036e77"}),
    "iteratorAgeAlarmMinutes": (20, {"operations-iterator-age-alarm"} | DASHBOARD),
    "functionErrorsAlarmCount": (
        2,
        named(
            "operations", "processor-errors-alarm", "roll-errors-alarm", "rollup-errors-alarm", "notifier-errors-alarm"
        ),
    ),
    "functionThrottlesAlarmCount": (
        11,
        named("operations", "processor-throttles-alarm", "roll-throttles-alarm", "notifier-throttles-alarm"),
    ),
    "durationAlarmPercent": (
        50,
        named("operations", "processor-duration-alarm", "roll-duration-alarm", "rollup-duration-alarm") | DASHBOARD,
    ),
    "quarantineAlarmRecords": (4, {"operations-quarantined-records-alarm"}),
    "tableFailuresAlarmCount": (
        12,
        named("operations", "table-errors-alarm", "table-throttles-alarm", "transactions-cancelled-alarm"),
    ),
    "rollAlarmIntervals": (5, named("operations", "overdue-wakes-alarm", "roll-missing-alarm")),
    "rollupAlarmIntervals": (4, {"operations-rollup-missing-alarm"}),
    "unsentAlarmMinutes": (14, {"operations-unsent-alerts-alarm"} | DASHBOARD),
    "simulatorEnabled": (True, {"simulator-schedule"}),
    "simulatorStreams": (51, {"simulator-function"}),
    "simulatorEventsPerStream": (12, {"simulator-function"}),
}
# Settings that are refused without another one, which both runs then have.
ONLY_WITH = {"existingStreamKeyArn": THEIR_STREAM, "existingTableKeyArn": THEIR_TABLE}


def comparable(value: Any) -> Any:
    """An input such that it equals the same input of another run: archives by what they are made of."""
    match value:
        case dict():
            return {key: comparable(each) for key, each in value.items()}
        case list():
            return [comparable(each) for each in value]
        case pulumi.AssetArchive():
            return comparable(value.assets)
        case pulumi.FileArchive() | pulumi.FileAsset():
            return str(Path(value.path).resolve())
    return value


def declared(recorded: Recorded) -> dict[str, Any]:
    """What the engine would compare with its state, by logical name: inputs and options."""
    return {
        r.name: (r.type, comparable(r.inputs), r.protect, r.retain_on_delete) for r in recorded.resources if r.custom
    }


def changed(before: Recorded, after: Recorded) -> set[str]:
    """The logical names of the resources that are new, gone or not the same."""
    old, new = declared(before), declared(after)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_changes_only_what_it_is_about(program: Run, built_layer: Path, tmp_path: Path, key: str) -> None:
    value, expected = CHANGES[key]
    if key == "layerDirectory":
        value = str(tmp_path / built_layer.name)
        copytree(built_layer, value)
        for stamp in built_layer.parent.glob(f"{built_layer.name}.*"):
            (tmp_path / stamp.name).write_bytes(stamp.read_bytes())
    both = {"layerDirectory": str(built_layer), **ONLY_WITH.get(key, {})}
    before = record_program("dev", **both) if key in ONLY_WITH else program("dev")
    found = changed(before, record_program("dev", **{**both, key: value}))
    assert found == (declared(before).keys() if expected is None else expected)


def test_two_runs_of_the_same_settings_are_the_same(program: Run, built_layer: Path) -> None:
    assert changed(program("dev"), record_program("dev", layerDirectory=str(built_layer))) == set()


def test_every_setting_is_changed_above() -> None:
    assert list(CHANGES) == list(DECLARED)
