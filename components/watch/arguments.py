"""The arguments of Observability, and figures that alarms and dashboard both take from them."""

from typing import Final, NotRequired, TypedDict

import pulumi

# At most this many (CloudWatch user guide, "Create an alarm based on a metric math expression").
_METRICS_AN_ALARM: Final = 10


class ObservabilityArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the names: topic `{name_prefix}-operations`, alarms `{name_prefix}-{alarm}`, dashboard `{name_prefix}`.
    It is also the namespace of the functions' own metrics."""
    stream_name: pulumi.Input[str]
    """The stream of events."""
    mapping_uuid: pulumi.Input[str]
    """The event source mapping that reads it, with its event counts enabled."""
    function_name: pulumi.Input[str]
    """The processor."""
    roll_function_name: pulumi.Input[str]
    """The roll."""
    rollup_function_name: pulumi.Input[str]
    """The rollup."""
    table_name: pulumi.Input[str]
    """The table of metrics."""
    state_table_name: pulumi.Input[str]
    """The internal table."""
    bus_name: pulumi.Input[str]
    """The bus of alerts."""
    rule_names: list[pulumi.Input[str]]
    """Its rules, 1 to 9."""
    notifier_function_name: pulumi.Input[str]
    """The function by which alerts come to the topics."""
    alert_topic_arns: list[pulumi.Input[str]]
    """Those topics."""
    dead_letter_queue_arn: pulumi.Input[str]
    """The queue of what the rules or the notifier could not deliver."""
    index_names: NotRequired[list[str]]
    """The table's indexes, up to 3. Default the one that MetricsStore has by default."""
    alarms: NotRequired[bool]
    """Whether there are alarms. Default True."""
    dashboard: NotRequired[bool]
    """Whether there is a dashboard. Default True."""
    emails: NotRequired[list[str]]
    """Addresses subscribed to the topic. Default none."""
    topic_key_arn: NotRequired[pulumi.Input[str]]
    """A customer managed key for the topic, which lets CloudWatch use it; empty for none. Default none: CloudWatch
    can't publish to a topic under the AWS managed key."""
    memory_mb: NotRequired[int]
    """Memory of the processor and the roll. Default 1024."""
    timeout_seconds: NotRequired[int]
    """Timeout of the processor and the roll. Default 120."""
    roll_interval_minutes: NotRequired[int]
    """Minutes between two rolls. Default 5."""
    rollup_step_names: NotRequired[list[pulumi.Input[str]]]
    """The functions that a rollup over many has beside it. Default none."""
    rollup_state_machine_arn: NotRequired[pulumi.Input[str]]
    """What calls them; watched where there are such functions. Default none."""
    rollup_memory_mb: NotRequired[int]
    """Memory of the rollup and of those functions. Default 1024."""
    rollup_timeout_seconds: NotRequired[int]
    """Their timeout. Default 900."""
    rollup_interval_minutes: NotRequired[int]
    """Minutes between two rollups. Default 15."""
    rollup_enabled: NotRequired[bool]
    """Whether the rollup's schedule runs; without it the rollup has no alarms. Default True."""
    iterator_age_minutes: NotRequired[int]
    """How long records may wait to be taken in. Default 10."""
    function_errors: NotRequired[int]
    """Failed invocations of a function that are too many, in five minutes or, of the roll, an interval. Default 1."""
    function_throttles: NotRequired[int]
    """Refused invocations of a function that are too many in the same times. Default 10."""
    duration_percent: NotRequired[int]
    """Share of the timeout that is too long. Default 75."""
    quarantined_records: NotRequired[int]
    """Quarantined records that are too many in five minutes. Default 1."""
    table_failures: NotRequired[int]
    """Failed, and throttled, requests to the table that are too many in five minutes. Default 10."""
    roll_intervals: NotRequired[int]
    """How many roll intervals may pass without a roll, and how many may what is due be late. Default 3."""
    rollup_intervals: NotRequired[int]
    """How many rollup intervals may pass without a rollup that came to its end. Default 3."""
    unsent_minutes: NotRequired[int]
    """How long a notification may stay unsent. Default 15."""
    protect: NotRequired[bool]
    """Protect the topic with its confirmed subscriptions. Default False."""


def check(args: ObservabilityArgs) -> None:
    """Check that one alarm can watch all rules, and one all indexes.

    Raises
    ------
    ValueError
        When there are more rules or indexes than that, or no rule.
    """
    # One of the metrics is the notifier's; an index has two.
    for name, names, low, high in (
        ("rule_names", args["rule_names"], 1, _METRICS_AN_ALARM - 1),
        ("index_names", index_names(args), 0, _METRICS_AN_ALARM // 2 - 2),
    ):
        if not low <= len(names) <= high:
            raise ValueError(
                f"{name} has {len(names)} names: it must have {low} to {high}, since one alarm watches them all"
            )


def index_names(args: ObservabilityArgs) -> list[str]:
    """Return the table's indexes."""
    return args.get("index_names", ["EntityTypeHealthIndex"])


def duration_limit_ms(args: ObservabilityArgs) -> int:
    """Return how long an invocation of the processor or the roll may take."""
    return args.get("timeout_seconds", 120) * args.get("duration_percent", 75) * 10


def last_part(arn: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the name at the end of a topic's or queue's ARN: their metrics have it as dimension."""
    return pulumi.Output.from_input(arn).apply(lambda text: text.rpartition(":")[2])
