"""The stack's settings: read from Pulumi's config once, checked together, and passed down as one frozen object.

Pulumi.yaml declares the same keys with the same defaults: the CLI applies those, everything else relies on the ones
here. No other module reads config, and this one creates nothing.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import pulumi

# CloudWatch Logs, PutRetentionPolicy: the only numbers of days it takes.
LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


class SettingsError(pulumi.RunError):
    """The config can't be used; the CLI prints the message alone, without a traceback."""


@dataclass(frozen=True)
class _Rule:
    parse: Callable[[str], Any]
    """Turns config's text into the value; raises ValueError for what isn't allowed."""
    allowed: str


def _require(ok: object) -> None:
    if not ok:
        raise ValueError


def _setting(default: Any, parse: Callable[[str], Any], allowed: str) -> Any:
    return field(default=default, metadata={"rule": _Rule(parse, allowed)})


def _whole(default: int, low: int, high: int, also: int | None = None) -> int:
    def parse(text: str) -> int:
        _require(re.fullmatch(r"-?[0-9]{1,18}", text))
        value = int(text)
        _require(low <= value <= high or value == also)
        return value

    allowed = f"a whole number from {low} to {high}" + ("" if also is None else f", or {also}")
    setting: int = _setting(default, parse, allowed)
    return setting


def _number(default: float, low: float, high: float) -> float:
    def parse(text: str) -> float:
        _require(re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", text))
        value = float(text)
        _require(low <= value <= high)
        return value

    setting: float = _setting(default, parse, f"a number from {low:g} to {high:g} with at most 4 decimals")
    return setting


def _flag(default: bool) -> bool:
    def parse(text: str) -> bool:
        _require(text in ("true", "false"))
        return text == "true"

    setting: bool = _setting(default, parse, "true or false")
    return setting


def _text(default: str, pattern: str, allowed: str) -> str:
    def parse(text: str) -> str:
        _require(re.fullmatch(pattern, text))
        return text

    setting: str = _setting(default, parse, allowed)
    return setting


def _one_of(default: str, *choices: str) -> str:
    return _text(default, "|".join(map(re.escape, choices)), "one of " + ", ".join(choices))


def _emails() -> tuple[str, ...]:
    def parse(text: str) -> tuple[str, ...]:
        addresses = json.loads(text)
        _require(isinstance(addresses, list))
        _require(all(isinstance(a, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", a) for a in addresses))
        _require(len(set(addresses)) == len(addresses))
        return tuple(addresses)

    setting: tuple[str, ...] = _setting((), parse, "a list of e-mail addresses, each once")
    return setting


def _log_retention(default: int) -> int:
    def parse(text: str) -> int:
        _require(text in map(str, LOG_RETENTION_DAYS))
        return int(text)

    setting: int = _setting(default, parse, "one of " + ", ".join(map(str, LOG_RETENTION_DAYS)))
    return setting


@dataclass(frozen=True)
class Settings:
    """Every setting under its Python name; Pulumi.yaml describes each under its key (`batch_size` is `batchSize`)."""

    # The longest suffix of a physical name is a bucket's, and S3 leaves a prefix 37 characters.
    name_prefix: str = _text(
        "iops-dashboard",
        r"[a-z][a-z0-9-]{1,23}[a-z0-9]",
        "3 to 25 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen",
    )
    production: bool = _flag(False)

    existing_stream_arn: str = _text(
        "",
        r"(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[A-Za-z0-9_.-]{1,128})?",
        "a Kinesis stream's ARN or empty",
    )
    existing_stream_key_arn: str = _text(
        "", r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?", "a KMS key's ARN or empty"
    )
    existing_table_arn: str = _text(
        "",
        r"(arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255})?",
        "a DynamoDB table's ARN or empty",
    )
    existing_table_key_arn: str = _text(
        "", r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?", "a KMS key's ARN or empty"
    )
    existing_bus_arn: str = _text(
        "",
        r"(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9_.-]{1,256})?",
        "an event bus's ARN or empty",
    )
    stream_shards: int = _whole(0, 0, 500)
    stream_retention_hours: int = _whole(24, 24, 8760)

    batch_size: int = _whole(100, 1, 10_000)
    batching_window_seconds: int = _whole(0, 0, 300)
    max_retry_attempts: int = _whole(3, 0, 10_000, also=-1)
    max_record_age_seconds: int = _whole(-1, 60, 604_800, also=-1)
    parallelization_factor: int = _whole(1, 1, 10)

    architecture: str = _one_of("x86_64", "x86_64", "arm64")
    layer_directory: str = _text("", r".*", "a path or empty")
    processor_memory_mb: int = _whole(1024, 256, 10_240)
    processor_timeout_seconds: int = _whole(120, 10, 900)
    log_level: str = _one_of("INFO", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    log_retention_days: int = _log_retention(14)
    tracing_enabled: bool = _flag(False)

    ib_calls_warning: int = _whole(3, 1, 1_000_000)
    health_warning: int = _whole(70, 0, 100)
    health_critical: int = _whole(50, 0, 100)
    renotify_hours: int = _whole(24, 1, 720)
    max_reminders: int = _whole(5, 0, 1000)
    first_session_success_below: float = _number(0.0, 0, 1)
    first_sessions_least: int = _whole(5, 1, 1_000_000)
    velocity_drop_share: float = _number(0.0, 0, 1)
    velocity_drop_least: int = _whole(4, 1, 1_000_000)
    no_tutors_alert_enabled: bool = _flag(False)
    demand_surge_score: float = _number(0.0, 0, 1000)
    demand_surge_least: int = _whole(10, 1, 1_000_000)
    future_tolerance_minutes: int = _whole(10, 0, 1440)

    roll_interval_minutes: int = _whole(5, 1, 60)
    due_partitions: int = _whole(16, 1, 256)
    rollup_enabled: bool = _flag(True)
    rollup_interval_minutes: int = _whole(15, 1, 720)
    rollup_distributed_items: int = _whole(2_000_000, 0, 1_000_000_000)
    rollup_max_concurrency: int = _whole(16, 1, 1000)
    rollup_memory_mb: int = _whole(1024, 256, 10_240)
    rollup_storage_mb: int = _whole(2048, 512, 10_240)

    entity_type_health_index_enabled: bool = _flag(True)
    last_updated_index_enabled: bool = _flag(True)
    due_index_enabled: bool = _flag(True)

    alert_emails_critical: tuple[str, ...] = _emails()
    alert_emails_warning: tuple[str, ...] = _emails()
    alert_emails_info: tuple[str, ...] = _emails()
    topic_key_enabled: bool = _flag(False)
    dlq_retention_days: int = _whole(14, 1, 14)
    quarantine_expiry_days: int = _whole(30, 1, 3650)

    operations_emails: tuple[str, ...] = _emails()
    iterator_age_alarm_minutes: int = _whole(10, 1, 10_080)
    function_errors_alarm_count: int = _whole(1, 1, 1_000_000)
    function_throttles_alarm_count: int = _whole(10, 1, 1_000_000)
    duration_alarm_percent: int = _whole(75, 10, 100)
    quarantine_alarm_records: int = _whole(1, 1, 1_000_000)
    table_failures_alarm_count: int = _whole(10, 1, 1_000_000)
    roll_alarm_intervals: int = _whole(3, 2, 10)
    rollup_alarm_intervals: int = _whole(3, 2, 10)
    unsent_alarm_minutes: int = _whole(15, 1, 1440)

    simulator_enabled: bool = _flag(False)
    simulator_streams: int = _whole(50, 1, 1000)
    simulator_events_per_stream: int = _whole(10, 1, 1000)

    @classmethod
    def load(cls) -> "Settings":
        """The settings of the running stack.

        Raises
        ------
        SettingsError
            Naming every key that can't be used, its value and what is allowed.
        """
        config = pulumi.Config()
        values: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for item in fields(cls):
            key, rule = key_of(item.name), item.metadata["rule"]
            text = config.get(key)
            if text is None:
                continue
            try:
                values[item.name] = rule.parse(text)
            except ValueError:
                problems[key] = f"{key} is {text!r}: it must be {rule.allowed}"
        messages = list(problems.values())
        # A key that is wrong by itself already has its message; the default in its place proves nothing.
        messages += [text for keys, text in cls(**values)._conflicts() if not problems.keys() & keys]
        if messages:
            count = "1 setting" if len(messages) == 1 else f"{len(messages)} settings"
            raise SettingsError(
                f"{count} can't be used; correct them with `pulumi config set`:\n"
                + "\n".join(f"  {text}" for text in messages)
            )
        return cls(**values)

    def _conflicts(self) -> Iterator[tuple[set[str], str]]:
        """The keys and the message of each rule between settings that doesn't hold."""
        if self.health_critical >= self.health_warning:
            text = f"healthCritical is {self.health_critical}: it must be below healthWarning ({self.health_warning})"
            yield {"healthCritical", "healthWarning"}, text
        if self.max_retry_attempts == self.max_record_age_seconds == -1:
            # Retried for ever, a batch would block its shard until the stream drops the records, and nobody has them.
            text = "maxRecordAgeSeconds is -1: it must be 60 to 604800 when maxRetryAttempts is -1"
            yield {"maxRetryAttempts", "maxRecordAgeSeconds"}, text
        hours = self.stream_retention_hours
        if self.max_record_age_seconds >= hours * 3600:
            text = (
                f"maxRecordAgeSeconds is {self.max_record_age_seconds}: it must be below streamRetentionHours ({hours})"
            )
            yield {"maxRecordAgeSeconds", "streamRetentionHours"}, text
        if self.iterator_age_alarm_minutes >= hours * 60:
            # The stream would drop records before anybody hears of it.
            text = (
                f"iteratorAgeAlarmMinutes is {self.iterator_age_alarm_minutes}: "
                f"it must be below streamRetentionHours ({hours})"
            )
            yield {"iteratorAgeAlarmMinutes", "streamRetentionHours"}, text
        if self.existing_stream_key_arn and not self.existing_stream_arn:
            text = (
                f"existingStreamKeyArn is {self.existing_stream_key_arn!r}: it must be empty without existingStreamArn"
            )
            yield {"existingStreamKeyArn", "existingStreamArn"}, text
        if self.existing_table_key_arn and not self.existing_table_arn:
            text = f"existingTableKeyArn is {self.existing_table_key_arn!r}: it must be empty without existingTableArn"
            yield {"existingTableKeyArn", "existingTableArn"}, text


def key_of(name: str) -> str:
    """The config key of a field: `batch_size` -> `batchSize`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
