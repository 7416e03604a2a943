"""How far a deployment is behind: the stream, the last batch, what waits to be told, what the roll and the rollup owe.

Reads only. Each part is a finding of its own; what is too far behind is for the caller to say, by `Limits`.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from functions.aws.clients import chunks
from functions.entities.item import from_attribute, to_attribute
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, EntityKey, from_datetime, from_iso, to_iso
from functions.processor.roll import DUE_INDEX, due_query
from ops import aws
from ops.entities.indexes import Indexes
from ops.health import audit
from ops.health.findings import Findings
from ops.quarantine import journal, kept
from ops.quarantine.journal import Line
from ops.target import Target

BATCH: Final = "BatchLag"
"""A word of the line with each batch's metrics, which is logged at every log level."""

_ROLLUP: Final = "RolledUp"
"""The same of each complete rollup."""

_RECENT_MS: Final = 15 * MINUTE_MS
"""Over so long CloudWatch's metrics are looked at."""
_PERIOD_SECONDS: Final = 60
_SPANS_MS: Final = (5 * MINUTE_MS, HOUR_MS, DAY_MS)
"""Log lines are read from the oldest on, so the newest is looked for in a short span first."""
_MOST_DUE: Final = 5_000
"""Of each of the index's partitions no more are counted."""
_MOST_OUTBOXES: Final = 500
_KEYS_A_READ: Final = 100  # BatchGetItem
_READS: Final = 5
_MOST_KEPT: Final = 10_000
_BAD_RESULTS: Final = ("PROBLEM", "FAILED")


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is too far behind."""

    age_minutes: int = 10
    """How long records may wait on the stream."""
    overdue_minutes: int = audit.OVERDUE_SECONDS // 60
    """How long items may be due for the roll."""
    unsent_minutes: int = 15
    """How long alerts may wait to be put on the bus."""
    rollup_minutes: int = 45
    """How long ago the last rollup may be: three of its default intervals."""
    dead_letters: int = 0
    """How many undelivered alerts may wait."""
    failed_batches: int = 0
    """How many batches that the mapping gave up may wait."""


def measure(target: Target, limits: Limits, now_ms: int) -> Findings:
    """How far behind each part is.

    Raises
    ------
    UserError
        When the stack's outputs lack a name.
    ClientError, BotoCoreError
        For what AWS answers beside a missing permission, throttling or a missing thing.
    """
    findings = Findings(target)
    mapping(findings, target)
    stream(findings, target, limits, now_ms)
    last_batch(findings, target, now_ms)
    roll(findings, target, limits, now_ms)
    rollup(findings, target, limits, now_ms)
    dead_letters(findings, target, limits)
    quarantine(findings, target, limits)
    return findings


def mapping(findings: Findings, target: Target) -> None:
    """Whether the event source mapping reads the stream."""
    part = "event source mapping"
    function, name = target.name("function"), target.name("stream")
    with findings.looking(part):
        pages = target.client("lambda").get_paginator("list_event_source_mappings").paginate(FunctionName=function)
        found = [
            each
            for page in pages
            for each in page["EventSourceMappings"]
            if str(each.get("EventSourceArn", "")).endswith(f":stream/{name}")
        ]
        if not found:
            findings.wrong(part, f"the function {function} does not read the stream {name}", "run `pulumi up`")
        for each in found:
            state, result = each.get("State", ""), str(each.get("LastProcessingResult", ""))
            told = {"uuid": each["UUID"], "state": state, "last_result": result}
            reason = each.get("StateTransitionReason", "")
            if state != "Enabled":
                do = f"enable it: aws lambda update-event-source-mapping --uuid {each['UUID']} --enabled"
                findings.wrong(part, f"it is {state} ({reason}); records wait on the stream", do, **told)
            elif result.startswith(_BAD_RESULTS):
                do = "mend what it names, as a rule a permission: `pulumi up` puts back what the program declares"
                findings.wrong(part, f"it is enabled, but its last result is {result}", do, **told)
            else:
                findings.ok(part, f"enabled, last result: {result}", **told)


def stream(findings: Findings, target: Target, limits: Limits, now_ms: int) -> None:
    """How long records wait on the stream, and whether they are taken in at all."""
    part = "iterator age"
    function, name = target.name("function"), target.name("stream")
    with findings.looking(part):
        figures = metrics(
            target,
            {
                "age": ("AWS/Lambda", "IteratorAge", {"FunctionName": function}, "Maximum"),
                "calls": ("AWS/Lambda", "Invocations", {"FunctionName": function}, "Sum"),
                "arrived": ("AWS/Kinesis", "IncomingRecords", {"StreamName": name}, "Sum"),
            },
            now_ms - _RECENT_MS,
            now_ms,
        )
        arrived = int(sum(figures["arrived"]))
        if figures["age"]:
            age_ms = figures["age"][0]
            said, told = f"records have waited {long(age_ms)}", {"iterator_age_ms": age_ms}
            if age_ms > limits.age_minutes * MINUTE_MS:
                findings.wrong(part, said, "see docs/operations.md, iterator-age", **told)
            else:
                findings.ok(part, said, **told)
        elif arrived and not sum(figures["calls"]):
            said = f"{arrived:,} records have arrived in 15 minutes, and the function {function} was not called"
            findings.wrong(part, said, "see docs/operations.md, stream-unread", arrived=arrived)
        elif is_local(target):
            findings.skipped(part, "a local AWS has no such figure")
        else:
            findings.skipped(part, "CloudWatch has no figure of the last 15 minutes, in which nothing was taken in")


def last_batch(findings: Findings, target: Target, now_ms: int) -> None:
    """When the processor took in its last batch, by its log."""
    part, function = "last batch", target.name("function")
    with findings.looking(part, log_group=journal.log_group(function)):
        line = newest(target, function, BATCH, now_ms)
        if line is None:
            findings.skipped(part, "the processor has taken in nothing for a day")
            return
        told = journal.as_object(line.text)
        records, failed, lag_ms = (_figure(told, name) for name in ("Records", "FailedRecords", "BatchLag"))
        said = f"{long(now_ms - line.at_ms)} ago: {records:,} records, the oldest {long(lag_ms)} after its arrival"
        figures = {"at": to_iso(line.at_ms), "records": records, "failed": failed, "lag_ms": lag_ms}
        if failed:
            do = "see why in its log; they come again: docs/operations.md, failed-records"
            findings.wrong(part, f"{said}; {failed:,} of them failed", do, **figures)
        else:
            findings.ok(part, said, **figures)


def roll(findings: Findings, target: Target, limits: Limits, now_ms: int) -> None:
    """What the roll should have looked at, and the alerts among it that wait to be sent."""
    part, table, function = "roll", target.name("table"), target.name("function")
    dynamodb = target.client("dynamodb")
    with findings.looking(part):
        if DUE_INDEX not in Indexes(dynamodb, table):
            findings.skipped(part, "the table has no DueIndex (dueIndexEnabled), so the roll rests")
            return
        due = Due.read(dynamodb, table, aws.deployed_rules(function).due_partitions, now_ms)
        figures = {
            "due": due.number,
            "all_counted": due.complete,
            "since": None if due.since_ms is None else to_iso(due.since_ms),
        }
        number = f"{due.number:,}{'' if due.complete else ' or more'} items"
        if due.since_ms is None:
            findings.ok(part, "nothing is due", **figures)
        elif now_ms - due.since_ms > limits.overdue_minutes * MINUTE_MS:
            said = f"{number} are due, the first for {long(now_ms - due.since_ms)}: their numbers are too high"
            findings.wrong(part, said, "see docs/operations.md, roll-missing and overdue-items", **figures)
        else:
            findings.ok(part, f"{number} are due, the first for {long(now_ms - due.since_ms)}", **figures)
        part = "outboxes"
        unsent = _oldest_unsent(dynamodb, table, due.keys)
        if unsent is None:
            findings.ok(part, "no alert waits to be sent", oldest=None)
        elif now_ms - unsent > limits.unsent_minutes * MINUTE_MS:
            said = f"an alert has waited {long(now_ms - unsent)} to be put on the bus"
            findings.wrong(part, said, "see docs/operations.md, unsent-alerts", oldest=to_iso(unsent))
        else:
            findings.ok(part, f"the oldest alert waits for {long(now_ms - unsent)}", oldest=to_iso(unsent))


@dataclass(frozen=True, slots=True)
class Due:
    """Items that are due for the roll."""

    number: int
    complete: bool
    """Whether all were counted."""
    since_ms: int | None
    """When the first of them was due; None without any."""
    keys: Sequence[EntityKey]
    """Those that have been due longest."""

    @classmethod
    def read(cls, dynamodb: Any, table: str, partitions: int, now_ms: int) -> "Due":
        """What is due now, from the DueIndex."""
        found: list[tuple[int, EntityKey]] = []
        complete = True
        for partition in range(partitions):
            items = list(_due(dynamodb, table, partition, now_ms))
            complete = complete and len(items) < _MOST_DUE
            found += items
        found.sort()
        return cls(
            len(found),
            complete,
            found[0][0] if found else None,
            [key for _, key in found[:_MOST_OUTBOXES]],
        )


def _due(dynamodb: Any, table: str, partition: int, now_ms: int) -> Iterator[tuple[int, EntityKey]]:
    pages = dynamodb.get_paginator("query").paginate(
        **due_query(table, partition, now_ms // SECOND_MS),
        PaginationConfig={"MaxItems": _MOST_DUE},
    )
    for page in pages:
        for item in page["Items"]:
            key = EntityKey(item["entity_type"]["S"], item["entity_id"]["S"])
            yield from_attribute(item["due_at"]) * SECOND_MS, key


def _oldest_unsent(dynamodb: Any, table: str, keys: Sequence[EntityKey]) -> int | None:
    """When the oldest notification in these items' outboxes was made; an item with one is always due."""
    found = []
    for part in chunks(keys, _KEYS_A_READ):
        wanted = [{name: to_attribute(value) for name, value in key._asdict().items()} for key in part]
        for _ in range(_READS):
            answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted, "ProjectionExpression": "outbox"}})
            for item in answer["Responses"].get(table, ()):
                notifications = map(journal.as_object, from_attribute(item.get("outbox", {"L": []})))
                found += [from_iso(str(each["timestamp"])) for each in notifications]
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if not wanted:
                break
    return min(found, default=None)


def rollup(findings: Findings, target: Target, limits: Limits, now_ms: int) -> None:
    """When the last rollup was complete; nothing for a stack that has none."""
    if "RollupFunctionName" not in target.outputs:
        return
    part, function = "rollup", target.name("rollup")
    with findings.looking(part, log_group=journal.log_group(function)):
        line = newest(target, function, _ROLLUP, now_ms)
        do = "see its log and whether its schedule is enabled; the next one makes up for all that were missed"
        if line is None:
            made = target.client("lambda").get_function_configuration(FunctionName=function)["LastModified"]
            age_ms = now_ms - from_datetime(datetime.fromisoformat(made))
            if age_ms > limits.rollup_minutes * MINUTE_MS:
                findings.wrong(part, "no rollup was complete for a day: the figures of subjects stand still", do)
            else:
                findings.skipped(
                    part, f"its function was deployed {long(age_ms)} ago: the first rollup is still to come"
                )
            return
        said = f"the last was complete {long(now_ms - line.at_ms)} ago"
        if now_ms - line.at_ms > limits.rollup_minutes * MINUTE_MS:
            findings.wrong(part, said, do, at=to_iso(line.at_ms))
        else:
            findings.ok(part, said, at=to_iso(line.at_ms))


def dead_letters(findings: Findings, target: Target, limits: Limits) -> None:
    """How many alerts could not be delivered."""
    part, url = "dead letters", target.name("dead-letter queue")
    with findings.looking(part):
        answer = target.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )
        number = sum(map(int, answer["Attributes"].values()))
        said = f"{number:,} undelivered alerts wait in the queue" if number else "no alert is undelivered"
        if number > limits.dead_letters:
            findings.wrong(part, said, "see docs/operations.md, dead-letters", messages=number)
        else:
            findings.ok(part, said, messages=number)


def quarantine(findings: Findings, target: Target, limits: Limits) -> None:
    """How many records and batches were put aside."""
    part, bucket = "quarantine", target.name("bucket")
    with findings.looking(part):
        records, batches = (
            _count(target.client("s3"), bucket, prefix) for prefix in (kept.QUARANTINED, kept.ON_FAILURE)
        )
        said = f"{_up_to(records)} records and {_up_to(batches)} failed batches wait"
        if batches > limits.failed_batches:
            do = "what is in the batches is missing in the metrics: mend the cause, then `iops redrive --failed`"
            findings.wrong(part, said, do, records=records, failed_batches=batches)
        else:
            findings.ok(part, said, records=records, failed_batches=batches)


def _count(s3: Any, bucket: str, prefix: str) -> int:
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": _MOST_KEPT}
    )
    return sum(len(page.get("Contents", ())) for page in pages)


def _up_to(number: int) -> str:
    return f"{number:,}" if number < _MOST_KEPT else f"{number:,} or more"


# -- logs and metrics -------------------------------------------------------------------------------------------------

Metric = tuple[str, str, Mapping[str, str], str]
"""Namespace, name, dimensions, statistic."""


def metrics(target: Target, wanted: Mapping[str, Metric], since_ms: int, until_ms: int) -> dict[str, list[float]]:
    """Values of a minute each, the newest first, by the names given."""
    answer = target.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": name,
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace,
                        "MetricName": metric,
                        "Dimensions": [{"Name": each, "Value": value} for each, value in dimensions.items()],
                    },
                    "Period": _PERIOD_SECONDS,
                    "Stat": statistic,
                },
            }
            for name, (namespace, metric, dimensions, statistic) in wanted.items()
        ],
        StartTime=_datetime(since_ms),
        EndTime=_datetime(until_ms),
        ScanBy="TimestampDescending",
    )
    found: dict[str, list[float]] = {name: [] for name in wanted}
    for result in answer["MetricDataResults"]:
        found[result["Id"]] += result["Values"]
    return found


def is_local(target: Target) -> bool:
    """Whether CloudWatch is another's than Amazon's, which has no metrics of what functions do and log."""
    return "amazonaws" not in target.client("cloudwatch").meta.endpoint_url


def newest(target: Target, function: str, words: str, now_ms: int) -> Line | None:
    """The last line of a day that has these words in a function's log."""
    logs = target.client("logs")
    for span in _SPANS_MS:
        if last := deque(journal.lines(logs, function, words, now_ms - span), maxlen=1):
            return last[0]
    return None


def _figure(told: Mapping[str, Any], name: str) -> int:
    """A metric of a line in the embedded metric format, where values stand in lists."""
    value = told.get(name, 0)
    return int(value[0] if isinstance(value, list) else value)


def _datetime(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / SECOND_MS, UTC)


def long(ms: float) -> str:
    """A length of time as people say it."""
    seconds = max(0, round(ms / SECOND_MS))
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
