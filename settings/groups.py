"""Every setting: its config key, default and check, in groups by component.

A group's fields have the names of the component's arguments. Pulumi.yaml declares the same keys and defaults for the
CLI and describes each setting; a test compares the two.
"""

from dataclasses import dataclass
from typing import Final

from settings.checks import divisor_of_60, emails, flag, log_retention, number, one_of, text, whole

_KMS_KEY: Final = r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?"


@dataclass(frozen=True)
class StackSettings:
    """What several components share."""

    # The longest suffix of a physical name is a bucket's, and S3 leaves a prefix 37 characters.
    name_prefix: str = text(
        "namePrefix",
        "iops-dashboard",
        r"[a-z][a-z0-9-]{1,23}[a-z0-9]",
        "3 to 25 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen",
    )
    protect: bool = flag("production", False)
    architecture: str = one_of("architecture", "x86_64", "x86_64", "arm64")
    layer_directory: str = text("layerDirectory", "", r".*", "a path or empty")
    log_level: str = one_of("logLevel", "INFO", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    log_retention_days: int = log_retention("logRetentionDays", 14)
    log_key_arn: str = text("logKeyArn", "", _KMS_KEY, "a KMS key's ARN or empty")
    tracing: bool = flag("tracingEnabled", False)


@dataclass(frozen=True)
class StreamSettings:
    """The Kinesis stream."""

    existing_arn: str = text(
        "existingStreamArn",
        "",
        r"(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[A-Za-z0-9_.-]{1,128})?",
        "a Kinesis stream's ARN or empty",
    )
    existing_key_arn: str = text("existingStreamKeyArn", "", _KMS_KEY, "a KMS key's ARN or empty")
    shards: int = whole("streamShards", 1, 0, 500)
    retention_hours: int = whole("streamRetentionHours", 24, 24, 8760)


@dataclass(frozen=True)
class TableSettings:
    """The metrics table."""

    existing_arn: str = text(
        "existingTableArn",
        "",
        r"(arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255})?",
        "a DynamoDB table's ARN or empty",
    )
    existing_key_arn: str = text("existingTableKeyArn", "", _KMS_KEY, "a KMS key's ARN or empty")
    entity_type_health_index: bool = flag("entityTypeHealthIndexEnabled", True)
    last_updated_index: bool = flag("lastUpdatedIndexEnabled", False)


@dataclass(frozen=True)
class BusSettings:
    """The alert bus and its topics."""

    existing_bus_arn: str = text(
        "existingBusArn",
        "",
        r"(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9_.-]{1,256})?",
        "an event bus's ARN or empty",
    )
    critical_emails: tuple[str, ...] = emails("alertEmailsCritical")
    warning_emails: tuple[str, ...] = emails("alertEmailsWarning")
    info_emails: tuple[str, ...] = emails("alertEmailsInfo")
    topic_key: bool = flag("topicKeyEnabled", False)
    dlq_retention_days: int = whole("dlqRetentionDays", 14, 1, 14)


@dataclass(frozen=True)
class ProcessorSettings:
    """The processor and the roll: how the stream is read, when alerts fire, how often the roll runs."""

    batch_size: int = whole("batchSize", 100, 1, 10_000)
    batching_window_seconds: int = whole("batchingWindowSeconds", 0, 0, 300)
    max_retry_attempts: int = whole("maxRetryAttempts", 3, 0, 10_000, also=-1)
    max_record_age_seconds: int = whole("maxRecordAgeSeconds", -1, 60, 604_800, also=-1)
    parallelization_factor: int = whole("parallelizationFactor", 1, 1, 10)
    memory_mb: int = whole("processorMemoryMb", 1024, 256, 10_240)
    timeout_seconds: int = whole("processorTimeoutSeconds", 120, 10, 900)
    reserved_concurrency: int = whole("processorReservedConcurrency", -1, 1, 100_000, also=-1)
    ib_calls_warning: int = whole("ibCallsWarning", 3, 1, 1_000_000)
    health_warning: int = whole("healthWarning", 70, 0, 100)
    health_critical: int = whole("healthCritical", 50, 0, 100)
    renotify_hours: int = whole("renotifyHours", 24, 1, 720)
    max_reminders: int = whole("maxReminders", 5, 0, 1000)
    first_session_success_below: float = number("firstSessionSuccessBelow", 0.0, 0, 1)
    first_sessions_least: int = whole("firstSessionsLeast", 5, 1, 1_000_000)
    velocity_drop_share: float = number("velocityDropShare", 0.0, 0, 1)
    velocity_drop_least: int = whole("velocityDropLeast", 4, 1, 1_000_000)
    no_tutors_alert: bool = flag("noTutorsAlertEnabled", False)
    demand_surge_score: float = number("demandSurgeScore", 0.0, 0, 1000)
    demand_surge_least: int = whole("demandSurgeLeast", 10, 1, 1_000_000)
    future_tolerance_minutes: int = whole("futureToleranceMinutes", 10, 0, 1440)
    roll_interval_minutes: int = divisor_of_60("rollIntervalMinutes", 5)
    lanes: int = whole("lanes", 4, 1, 256)
    quarantine_expiry_days: int = whole("quarantineExpiryDays", 30, 1, 3650)


@dataclass(frozen=True)
class RollupSettings:
    """The rollup."""

    enabled: bool = flag("rollupEnabled", True)
    interval_minutes: int = whole("rollupIntervalMinutes", 15, 1, 720)
    distributed_items: int = whole("rollupDistributedItems", 2_000_000, 0, 1_000_000_000)
    max_concurrency: int = whole("rollupMaxConcurrency", 16, 1, 1000)
    memory_mb: int = whole("rollupMemoryMb", 1024, 256, 10_240)
    storage_mb: int = whole("rollupStorageMb", 2048, 512, 10_240)


@dataclass(frozen=True)
class AlarmSettings:
    """The operators' alarms, who gets them, and the dashboard."""

    alarms: bool = flag("alarmsEnabled", True)
    dashboard: bool = flag("dashboardEnabled", True)
    emails: tuple[str, ...] = emails("operationsEmails")
    iterator_age_minutes: int = whole("iteratorAgeAlarmMinutes", 10, 1, 10_080)
    function_errors: int = whole("functionErrorsAlarmCount", 1, 1, 1_000_000)
    function_throttles: int = whole("functionThrottlesAlarmCount", 10, 1, 1_000_000)
    duration_percent: int = whole("durationAlarmPercent", 75, 10, 100)
    quarantined_records: int = whole("quarantineAlarmRecords", 1, 1, 1_000_000)
    table_failures: int = whole("tableFailuresAlarmCount", 10, 1, 1_000_000)
    roll_intervals: int = whole("rollAlarmIntervals", 3, 2, 10)
    rollup_intervals: int = whole("rollupAlarmIntervals", 3, 2, 10)
    unsent_minutes: int = whole("unsentAlarmMinutes", 15, 1, 1440)


@dataclass(frozen=True)
class SimulatorSettings:
    """The simulator."""

    enabled: bool = flag("simulatorEnabled", False)
    streams: int = whole("simulatorStreams", 50, 1, 1000)
    events_per_stream: int = whole("simulatorEventsPerStream", 10, 1, 1000)
