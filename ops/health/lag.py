"""How far a deployment is behind: the stream, the last batch, notifications to send, the roll and the rollup.

Each check adds findings for its part and reads only. `Limits` says from when on a part is too far behind.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from functions.aws.state_table import StateTable
from functions.model import MINUTE_MS, SECOND_MS, from_datetime, to_iso
from ops import aws, function_logs
from ops.health import audit, due_wakes
from ops.health.check_results import Findings
from ops.health.cloudwatch import is_local, logged_number, metrics, newest_line
from ops.health.due_wakes import DueWakes
from ops.quarantine import stored_objects
from ops.target import Target

BATCH: Final = "BatchLag"
"""A word in the line with each batch's metrics, which is logged at every log level."""

_ROLLUP: Final = "RolledUp"
"""A word in the line of each complete rollup."""

_RECENT_MS: Final = 15 * MINUTE_MS
"""The span of CloudWatch's metrics that is looked at."""
_MOST_OBJECTS: Final = 10_000
_BAD_RESULTS: Final = ("PROBLEM", "FAILED")


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is too far behind."""

    age_minutes: int = 10
    """How long records may wait on the stream."""
    overdue_minutes: int = audit.OVERDUE_SECONDS // 60
    """How long wakes may be due."""
    unsent_minutes: int = 15
    """How long notifications may wait to be put on the bus."""
    rollup_minutes: int = 45
    """How long ago the last rollup may be: three of its default intervals."""
    dead_letters: int = 0
    """How many undelivered alerts may wait."""
    failed_batches: int = 0
    """How many batches that the mapping gave up may wait."""


def measure(target: Target, limits: Limits, now_ms: int) -> Findings:
    """Checks how far behind each part is.

    Raises
    ------
    UserError
        When the stack's outputs lack a name.
    ClientError, BotoCoreError
        For errors of AWS other than a missing permission, throttling or a missing thing.
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
    """Checks whether the event source mapping reads the stream."""
    part = "event source mapping"
    function, name = target.name("function"), target.name("stream")
    with findings.checking(part):
        pages = target.client("lambda").get_paginator("list_event_source_mappings").paginate(FunctionName=function)
        mappings = [
            described
            for page in pages
            for described in page["EventSourceMappings"]
            if str(described.get("EventSourceArn", "")).endswith(f":stream/{name}")
        ]
        if not mappings:
            findings.wrong(part, f"the function {function} does not read the stream {name}", "run `pulumi up`")
        for described in mappings:
            state, result = described.get("State", ""), str(described.get("LastProcessingResult", ""))
            figures = {"uuid": described["UUID"], "state": state, "last_result": result}
            reason = described.get("StateTransitionReason", "")
            if state != "Enabled":
                do = f"enable it: aws lambda update-event-source-mapping --uuid {described['UUID']} --enabled"
                findings.wrong(part, f"it is {state} ({reason}); records wait on the stream", do, **figures)
            elif result.startswith(_BAD_RESULTS):
                do = "mend what it names, as a rule a permission: `pulumi up` puts back what the program declares"
                findings.wrong(part, f"it is enabled, but its last result is {result}", do, **figures)
            else:
                findings.ok(part, f"enabled, last result: {result}", **figures)


def stream(findings: Findings, target: Target, limits: Limits, now_ms: int) -> None:
    """Checks how long records wait on the stream, and whether the function is called for them."""
    part = "iterator age"
    function, name = target.name("function"), target.name("stream")
    with findings.checking(part):
        values = metrics(
            target,
            {
                "age": ("AWS/Lambda", "IteratorAge", {"FunctionName": function}, "Maximum"),
                "calls": ("AWS/Lambda", "Invocations", {"FunctionName": function}, "Sum"),
                "arrived": ("AWS/Kinesis", "IncomingRecords", {"StreamName": name}, "Sum"),
            },
            now_ms - _RECENT_MS,
            now_ms,
        )
        arrived = int(sum(values["arrived"]))
        if values["age"]:
            age_ms = values["age"][0]
            findings.judge(
                part,
                f"records have waited {long(age_ms)}",
                "see docs/operations.md, iterator-age",
                is_wrong=age_ms > limits.age_minutes * MINUTE_MS,
                iterator_age_ms=age_ms,
            )
        elif arrived and not sum(values["calls"]):
            said = f"{arrived:,} records have arrived in 15 minutes, and the function {function} was not called"
            findings.wrong(part, said, "see docs/operations.md, stream-unread", arrived=arrived)
        elif is_local(target):
            findings.skipped(part, "a local AWS has no such figure")
        else:
            findings.skipped(part, "CloudWatch has no figure of the last 15 minutes, in which nothing was taken in")


def last_batch(findings: Findings, target: Target, now_ms: int) -> None:
    """Checks when the processor's last batch was complete, by its log, and whether records of it failed."""
    part, function = "last batch", target.name("function")
    with findings.checking(part, log_group=function_logs.log_group(function)):
        line = newest_line(target, function, BATCH, now_ms)
        if line is None:
            findings.skipped(part, "the processor has taken in nothing for a day")
            return
        document = function_logs.json_object(line.text)
        records, failed, lag_ms = (logged_number(document, name) for name in ("Records", "FailedRecords", "BatchLag"))
        said = f"{long(now_ms - line.at_ms)} ago: {records:,} records, the oldest {long(lag_ms)} after its arrival"
        findings.judge(
            part,
            f"{said}; {failed:,} of them failed" if failed else said,
            "see why in its log; they come again: docs/operations.md, failed-records",
            is_wrong=failed > 0,
            at=to_iso(line.at_ms),
            records=records,
            failed=failed,
            lag_ms=lag_ms,
        )


def roll(findings: Findings, target: Target, limits: Limits, now_ms: int) -> None:
    """Checks which wakes the roll should have looked at, and which notifications wait to be sent."""
    part, table, function = "roll", target.name("table"), target.name("function")
    with findings.checking(part):
        config = aws.deployed_config(function)
        with findings.checking(part, table=config.state_table_name):
            due = due_wakes.read(StateTable(config.state_table_name), config.rules.rhythm, now_ms)
            _judge_due(findings, due, limits, now_ms)
            with findings.checking("outboxes", table=table):
                oldest_ms = due_wakes.oldest_unsent(target.client("dynamodb"), table, due.suspects)
                _judge_unsent(findings, oldest_ms, limits, now_ms)


def _judge_due(findings: Findings, due: DueWakes, limits: Limits, now_ms: int) -> None:
    since_ms, do = due.since_ms, "see docs/operations.md, roll-missing, overdue-wakes and roll-failures"
    figures = {
        "due_wakes": due.number,
        "entities": due.entities,
        "all_counted": due.complete,
        "since": None if since_ms is None else to_iso(since_ms),
        "unreadable": due.unreadable,
    }
    said, is_late = "no wake is due", False
    if since_ms is not None:
        is_late = now_ms - since_ms > limits.overdue_minutes * MINUTE_MS
        number = f"{due.number:,}{'' if due.complete else ' or more'} wakes"
        said = f"{number} are due, of {due.entities:,} entities, the first for {long(now_ms - since_ms)}"
        if is_late:
            said += ": counts are too high"
    if due.unreadable:
        said += f"; {due.unreadable:,} wakes cannot be read"
    findings.judge("roll", said, do, is_wrong=is_late or due.unreadable > 0, **figures)


def _judge_unsent(findings: Findings, oldest_ms: int | None, limits: Limits, now_ms: int) -> None:
    if oldest_ms is None:
        findings.ok("outboxes", "no alert waits to be sent", oldest=None)
        return
    waited = long(now_ms - oldest_ms)
    is_wrong = now_ms - oldest_ms > limits.unsent_minutes * MINUTE_MS
    findings.judge(
        "outboxes",
        f"an alert has waited {waited} to be put on the bus" if is_wrong else f"the oldest alert waits for {waited}",
        "see docs/operations.md, unsent-alerts",
        is_wrong=is_wrong,
        oldest=to_iso(oldest_ms),
    )


def rollup(findings: Findings, target: Target, limits: Limits, now_ms: int) -> None:
    """Checks when the last rollup was complete; adds nothing for a stack without a rollup."""
    if "RollupFunctionName" not in target.outputs:
        return
    part, function = "rollup", target.name("rollup")
    with findings.checking(part, log_group=function_logs.log_group(function)):
        line = newest_line(target, function, _ROLLUP, now_ms)
        do = "see its log and whether its schedule is enabled; the next one makes up for all that were missed"
        if line is not None:
            age_ms = now_ms - line.at_ms
            findings.judge(
                part,
                f"the last was complete {long(age_ms)} ago",
                do,
                is_wrong=age_ms > limits.rollup_minutes * MINUTE_MS,
                at=to_iso(line.at_ms),
            )
            return
        deployed_at = target.client("lambda").get_function_configuration(FunctionName=function)["LastModified"]
        age_ms = now_ms - from_datetime(datetime.fromisoformat(deployed_at))
        if age_ms > limits.rollup_minutes * MINUTE_MS:
            findings.wrong(part, "no rollup was complete for a day: the figures of subjects stand still", do)
        else:
            findings.skipped(part, f"its function was deployed {long(age_ms)} ago: the first rollup is still to come")


def dead_letters(findings: Findings, target: Target, limits: Limits) -> None:
    """Checks how many alerts could not be delivered."""
    part, url = "dead letters", target.name("dead-letter queue")
    with findings.checking(part):
        answer = target.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )
        number = sum(map(int, answer["Attributes"].values()))
        findings.judge(
            part,
            f"{number:,} undelivered alerts wait in the queue" if number else "no alert is undelivered",
            "see docs/operations.md, dead-letters",
            is_wrong=number > limits.dead_letters,
            messages=number,
        )


def quarantine(findings: Findings, target: Target, limits: Limits) -> None:
    """Checks how many records and batches wait in the quarantine."""
    part, bucket = "quarantine", target.name("bucket")
    with findings.checking(part):
        s3 = target.client("s3")
        records = _count_objects(s3, bucket, stored_objects.QUARANTINED)
        batches = _count_objects(s3, bucket, stored_objects.ON_FAILURE)
        findings.judge(
            part,
            f"{_up_to(records)} records and {_up_to(batches)} failed batches wait",
            "what is in the batches is missing in the metrics: mend the cause, then `iops redrive --failed`",
            is_wrong=batches > limits.failed_batches,
            records=records,
            failed_batches=batches,
        )


def _count_objects(s3: Any, bucket: str, prefix: str) -> int:
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": _MOST_OBJECTS}
    )
    return sum(len(page.get("Contents", ())) for page in pages)


def _up_to(number: int) -> str:
    return f"{number:,}" if number < _MOST_OBJECTS else f"{number:,} or more"


def long(ms: float) -> str:
    """Returns a length of time in the largest unit of which there are at least two: `3 h`, `59 s`."""
    seconds = max(0, round(ms / SECOND_MS))
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
