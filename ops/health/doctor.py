"""Checks a deployment from end to end by reading: whether every part is there, enabled, and does what it should.

Nothing is written. `probe` tries what reading cannot show.
"""

from collections.abc import Mapping
from typing import Final

from functions.aws.state_table import StateTable
from functions.model import HOUR_MS, MINUTE_MS, to_iso
from ops import aws, function_logs
from ops.health import lag
from ops.health.check_results import PUT_BACK, Findings
from ops.health.cloudwatch import is_local, metrics, newest_line
from ops.health.lag import Limits
from ops.target import Target

_TOPICS: Final = {"critical": "CriticalTopicArn", "warning": "WarningTopicArn", "info": "InfoTopicArn"}
_SETTLED_MS: Final = 5 * MINUTE_MS
"""CloudWatch has made metrics of a log line after this time."""


def examine(target: Target, now_ms: int) -> Findings:
    """Checks every part of the stack; raises as `lag.measure` does."""
    findings, limits = Findings(target), Limits()
    _stream(findings, target)
    environment = _function(findings, target, "processor", "function")
    lag.mapping(findings, target)
    last = _log(findings, target, now_ms)
    _metrics(findings, target, environment, last, now_ms)
    _table(findings, target, "table", target.name("table"))
    _internal_table(findings, target)
    _function(findings, target, "roll's function", "roll")
    _schedule(findings, target, "roll's schedule", "roll")
    lag.roll(findings, target, limits, now_ms)
    if "RollupFunctionName" in target.outputs:
        _function(findings, target, "rollup's function", "rollup")
        _schedule(findings, target, "rollup's schedule", "rollup")
        lag.rollup(findings, target, limits, now_ms)
    _bus(findings, target)
    if "NotifierFunctionName" in target.outputs:
        _function(findings, target, "notifier", "notifier")
    _topics(findings, target)
    lag.dead_letters(findings, target, limits)
    lag.quarantine(findings, target, limits)
    return findings


def _stream(findings: Findings, target: Target) -> None:
    part, name = "stream", target.name("stream")
    with findings.checking(part):
        described = target.client("kinesis").describe_stream_summary(StreamName=name)
        status = described["StreamDescriptionSummary"]["StreamStatus"]
        is_wrong = status not in ("ACTIVE", "UPDATING")
        said = f"{name} is {status} and takes no records" if is_wrong else f"{name} takes records"
        findings.judge(part, said, "wait until it is ACTIVE", is_wrong=is_wrong, status=status)


def _function(findings: Findings, target: Target, part: str, kind: str) -> Mapping[str, str]:
    """Checks whether a function can be called; returns its environment, empty when it cannot be read."""
    name = target.name(kind)
    with findings.checking(part, function=name):
        described = target.client("lambda").get_function_configuration(FunctionName=name)
        environment: Mapping[str, str] = described.get("Environment", {}).get("Variables", {})
        state, update = described.get("State", "Active"), described.get("LastUpdateStatus", "Successful")
        # A function that was not called for long is Inactive; a call wakes it.
        if state == "Failed" or update == "Failed":
            why = described.get("StateReason") or described.get("LastUpdateStatusReason") or "AWS does not say why"
            findings.wrong(part, f"{name} cannot be called: {why}", PUT_BACK, state=state, last_update=update)
            return environment
        if kind == "function":
            aws.deployed_config(name)  # a setting that is not allowed fails each call
        findings.ok(part, f"{name} is {state}", state=state, last_update=update)
        return environment
    return {}


def _log(findings: Findings, target: Target, now_ms: int) -> int | None:
    """Checks the processor's log; returns when its last batch was complete, epoch ms, or None."""
    part, function = "log", target.name("function")
    last = None
    with findings.checking(part, log_group=function_logs.log_group(function)):
        line = newest_line(target, function, lag.BATCH, now_ms)
        if line is None:
            said = "the processor has logged no batch for a day: nothing was sent, or nothing is taken in"
            findings.skipped(part, said, "send something, with `iops doctor --probe`")
        else:
            last = line.at_ms
            findings.ok(part, f"the last batch was complete {lag.long(now_ms - last)} ago", at=to_iso(last))
    part = "errors"
    with findings.checking(part, log_group=function_logs.log_group(function)):
        errors = _errors(target, function, now_ms - HOUR_MS)
        said = "none in the processor's log of the last hour"
        if errors:
            said = f"{len(errors):,} in the processor's log of the last hour, one of them: {errors[-1]}"
        do = "see docs/operations.md, processor-errors and failed-records"
        findings.judge(part, said, do, is_wrong=bool(errors), lines=len(errors))
    return last


def _errors(target: Target, function: str, since_ms: int) -> list[str]:
    """Returns the errors in a function's log: the logged ones, then the timeouts."""
    logs = target.client("logs")
    lines = function_logs.lines(logs, function, "ERROR", since_ms)
    documents = [function_logs.json_object(line.text) for line in lines]
    errors = [str(document.get("message")) for document in documents if document.get("level") == "ERROR"]
    timeouts = function_logs.lines(logs, function, "Task timed out", since_ms)
    return errors + [line.text.strip() for line in timeouts]


def _metrics(
    findings: Findings, target: Target, environment: Mapping[str, str], last_batch: int | None, now_ms: int
) -> None:
    """Checks whether CloudWatch makes metrics of what the processor logs."""
    part, namespace = "metrics", environment.get("POWERTOOLS_METRICS_NAMESPACE", "")
    if not namespace or last_batch is None or now_ms - last_batch > HOUR_MS:
        findings.skipped(part, "no batch of the last hour to make metrics of")
        return
    with findings.checking(part):
        wanted = {"records": (namespace, "Records", {"service": "processor"}, "Sum")}
        records = int(sum(metrics(target, wanted, now_ms - HOUR_MS, now_ms)["records"]))
        if records:
            findings.ok(part, f"{records:,} records counted in the last hour, in {namespace}", records=records)
        elif is_local(target):
            findings.skipped(part, "a local AWS makes no metrics of log lines")
        elif now_ms - last_batch < _SETTLED_MS:
            findings.skipped(part, "the last batch is too young: CloudWatch needs some minutes", "look again then")
        else:
            said = f"batches were logged, and the namespace {namespace} has no Records of the last hour"
            findings.wrong(part, said, "look at the function's logging configuration; " + PUT_BACK)


def _table(findings: Findings, target: Target, part: str, name: str) -> None:
    with findings.checking(part, table=name):
        dynamodb = target.client("dynamodb")
        table = dynamodb.describe_table(TableName=name)["Table"]
        indexes = {
            index["IndexName"]: index.get("IndexStatus", "ACTIVE") for index in table.get("GlobalSecondaryIndexes", ())
        }
        states = {name: table["TableStatus"], **indexes}
        busy = [f"{changing} is {status}" for changing, status in states.items() if status != "ACTIVE"]
        if busy:
            findings.skipped(part, ", ".join(busy), "wait until it is ACTIVE", indexes=sorted(indexes))
        else:
            said = f"{name} is ACTIVE, with {', '.join(sorted(indexes)) or 'no index'}"
            findings.ok(part, said, indexes=sorted(indexes))


def _internal_table(findings: Findings, target: Target) -> None:
    """Checks the table of tails and wakes: whether it is there, and whether it can be read."""
    part, function = "internal table", target.name("function")
    with findings.checking(part):
        name = aws.deployed_config(function).state_table_name
        with findings.checking(part, table=name):
            StateTable(name).lanes_ever(0)  # only reads: nothing is kept for 0 lanes
            _table(findings, target, part, name)


def _schedule(findings: Findings, target: Target, part: str, kind: str) -> None:
    name = f"{target.name(kind)}-schedule"
    with findings.checking(part, schedule=name):
        schedule = target.client("scheduler").get_schedule(Name=name)
        state, expression = schedule["State"], schedule["ScheduleExpression"]
        figures = {"state": state, "expression": expression}
        if state == "ENABLED":
            findings.ok(part, f"{name} is enabled, {expression}", **figures)
        else:
            findings.wrong(part, f"{name} is {state}: what changes by time alone stands still", PUT_BACK, **figures)


def _bus(findings: Findings, target: Target) -> None:
    part, bus = "rules", target.name("bus")
    with findings.checking(part):
        events = target.client("events")
        rules = [
            rule for page in events.get_paginator("list_rules").paginate(EventBusName=bus) for rule in page["Rules"]
        ]
        by_name = {rule["Name"]: rule for rule in rules}
        wrong = []
        for arn in _topic_arns(target).values():
            name = arn.rpartition(":")[2]  # a rule has the name of its topic
            if name not in by_name:
                wrong.append(f"{name} is not there")
            elif by_name[name].get("State") != "ENABLED":
                wrong.append(f"{name} is {by_name[name].get('State')}")
            elif not events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]:
                wrong.append(f"{name} has no target")
        said = f"{len(rules)} on the bus {bus}, those of all severities enabled and with a target"
        if wrong:
            said = f"on the bus {bus}: {', '.join(wrong)}; such alerts reach nobody"
        findings.judge(part, said, PUT_BACK, is_wrong=bool(wrong))


def _topic_arns(target: Target) -> dict[str, str]:
    return {name: str(target.outputs[output]) for name, output in _TOPICS.items() if output in target.outputs}


def _topics(findings: Findings, target: Target) -> None:
    for severity, arn in _topic_arns(target).items():
        part = f"topic of {severity} alerts"
        with findings.checking(part, topic=arn):
            attributes = target.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
            confirmed, pending = (int(attributes.get(f"Subscriptions{state}", 0)) for state in ("Confirmed", "Pending"))
            figures = {"confirmed": confirmed, "pending": pending}
            if pending:
                said = f"{pending} of its subscribers have not followed the link in AWS's first message"
                do = "ask them to; the link is valid for three days, then subscribe anew"
                findings.wrong(part, said, do, **figures)
            elif confirmed:
                findings.ok(part, f"{confirmed} subscribers", **figures)
            else:
                do = f"set alertEmails{severity.capitalize()}"
                findings.skipped(part, "nobody is subscribed, so nobody is told", do, **figures)
