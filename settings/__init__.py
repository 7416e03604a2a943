"""The stack's settings: read from Pulumi's config once, checked together, and passed down as one frozen object.

Pulumi.yaml declares the same keys with the same defaults: the CLI applies those, everything else relies on the ones
here. No other module reads config, and this one creates nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

import pulumi

from settings.checks import Setting
from settings.groups import (
    AlarmSettings,
    BusSettings,
    ProcessorSettings,
    RollupSettings,
    SimulatorSettings,
    StackSettings,
    StreamSettings,
    TableSettings,
)

_EXISTING: Final = {("stream", "existing_arn"), ("table", "existing_arn"), ("bus", "existing_bus_arn")}
"""What a stack may adopt, by group and name: all of it must be in the stack's own account and region."""


class SettingsError(pulumi.RunError):
    """The config can't be used; the CLI prints the message alone, without a traceback."""


@dataclass(frozen=True)
class Settings:
    """Every setting of a stack, in groups."""

    stack: StackSettings = field(default_factory=StackSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    table: TableSettings = field(default_factory=TableSettings)
    bus: BusSettings = field(default_factory=BusSettings)
    processor: ProcessorSettings = field(default_factory=ProcessorSettings)
    rollup: RollupSettings = field(default_factory=RollupSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    simulator: SimulatorSettings = field(default_factory=SimulatorSettings)

    @classmethod
    def load(cls) -> "Settings":
        """Read the settings of the running stack.

        Raises
        ------
        SettingsError
            Naming every key that can't be used, its value and what is allowed.
        """
        config = pulumi.Config()
        values: dict[str, dict[str, Any]] = {group.name: {} for group in fields(cls)}
        problems: dict[str, str] = {}
        for group, name, setting, _ in cls().declared():
            text = config.get(setting.key)
            if text is None:
                continue
            try:
                values[group][name] = setting.parse(text)
            except ValueError:
                problems[setting.key] = f"{setting.key} is {text!r}: it must be {setting.allowed}"
        settings = cls(**{group: type(getattr(cls(), group))(**given) for group, given in values.items()})
        messages = list(problems.values())
        # A key that is wrong by itself already has its message; the default in its place proves nothing.
        messages += [text for keys, text in settings._conflicts() if not problems.keys() & keys]
        messages += settings._elsewhere(pulumi.Config("aws").get("region") or "")
        if messages:
            count = "1 setting" if len(messages) == 1 else f"{len(messages)} settings"
            raise SettingsError(
                f"{count} can't be used; correct them with `pulumi config set`:\n"
                + "\n".join(f"  {text}" for text in messages)
            )
        return settings

    def declared(self) -> Iterator[tuple[str, str, Setting, Any]]:
        """Yield every setting: its group, its name there, what is declared of it, and its value."""
        for group in fields(self):
            settings = getattr(self, group.name)
            for item in fields(settings):
                yield group.name, item.name, item.metadata["setting"], getattr(settings, item.name)

    def _elsewhere(self, region: str) -> Iterator[str]:
        """Yield the message of each existing resource that is not in the stack's region, or not with the others."""
        first = ""
        for group, name, setting, value in self.declared():
            if not value or (group, name) not in _EXISTING:
                continue
            _, partition, _, where, account, *_ = value.split(":")
            if region and where != region:
                yield f"{setting.key} is {value!r}: it must be in the region of the stack (aws:region is {region})"
            elif first and (partition, account) != (first.split(":")[1], first.split(":")[4]):
                yield f"{setting.key} is {value!r}: it must be in the account of {first!r}, which is the stack's own"
            first = first or value

    def _conflicts(self) -> Iterator[tuple[set[str], str]]:
        """Yield the keys and the message of each rule between settings that does not hold."""
        read, hours = self.processor, self.stream.retention_hours
        if read.health_critical >= read.health_warning:
            text = f"healthCritical is {read.health_critical}: it must be below healthWarning ({read.health_warning})"
            yield {"healthCritical", "healthWarning"}, text
        if read.max_retry_attempts == read.max_record_age_seconds == -1:
            # A batch that is retried for ever blocks its shard until the stream drops the records, and nobody has them.
            text = "maxRecordAgeSeconds is -1: it must be 60 to 604800 when maxRetryAttempts is -1"
            yield {"maxRetryAttempts", "maxRecordAgeSeconds"}, text
        if read.max_record_age_seconds >= hours * 3600:
            text = (
                f"maxRecordAgeSeconds is {read.max_record_age_seconds}: it must be below streamRetentionHours ({hours})"
            )
            yield {"maxRecordAgeSeconds", "streamRetentionHours"}, text
        if self.alarms.iterator_age_minutes >= hours * 60:
            # The stream would drop records before the alarm rings.
            text = (
                f"iteratorAgeAlarmMinutes is {self.alarms.iterator_age_minutes}: "
                f"it must be below streamRetentionHours ({hours})"
            )
            yield {"iteratorAgeAlarmMinutes", "streamRetentionHours"}, text
        lanes = self.stream.shards * read.parallelization_factor
        if -1 < read.reserved_concurrency < lanes and not self.stream.existing_arn:
            # The mapping calls the processor for each of them at once.
            text = (
                f"processorReservedConcurrency is {read.reserved_concurrency}: "
                f"it must be -1 or at least streamShards times parallelizationFactor ({lanes})"
            )
            yield {"processorReservedConcurrency", "streamShards", "parallelizationFactor"}, text
        for group, kind in ((self.stream, "Stream"), (self.table, "Table")):
            if group.existing_key_arn and not group.existing_arn:
                key, needed = f"existing{kind}KeyArn", f"existing{kind}Arn"
                yield {key, needed}, f"{key} is {group.existing_key_arn!r}: it must be empty without {needed}"


def arguments(accepted: type, stack: StackSettings, *groups: object, **more: Any) -> Any:
    """Put a component's arguments together: its groups' settings, `more`, and what it accepts of the stack's.

    Parameters
    ----------
    accepted
        The component's TypedDict of arguments.
    stack
        The settings that several components share; a component takes those that it accepts.
    groups
        Groups of settings that belong to the component alone.
    more
        Other arguments. They win over settings of the same name.

    Raises
    ------
    TypeError
        When a group or `more` names an argument that the component does not have.
    """
    own = {item.name: getattr(group, item.name) for group in groups for item in fields(group)} | more  # type: ignore[arg-type]
    if unknown := own.keys() - accepted.__annotations__.keys():
        raise TypeError(f"{accepted.__name__} has no {', '.join(sorted(unknown))}")
    shared = {item.name: getattr(stack, item.name) for item in fields(stack)}
    values = {name: value for name, value in shared.items() if name in accepted.__annotations__} | own
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
