"""Checks a deployment from end to end: is everything there and enabled, does it say what it does, and, when asked to
probe, does an event become a metric and an alert.

Without a probe nothing is written. A probe is one subject of its own, whose alert is of the lowest severity, and which
is removed when it is done.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from functions.aws import clock
from functions.entities.alerts import SUPPLY_DEMAND_IMBALANCE
from functions.entities.item import from_attribute, to_attribute
from functions.model import HIGH_DEMAND, HOUR_MS, MINUTE_MS, to_iso
from functions.processor.roll import DUE_INDEX
from ops import aws
from ops.entities import indexes
from ops.entities.indexes import Indexes
from ops.health import lag
from ops.health.findings import Findings
from ops.health.lag import Limits
from ops.quarantine import journal
from ops.target import Target

PROBE: Final = "iops-doctor-"
"""How the subject of a probe is called; the moment follows, so that no two have one alert_id."""

_TOPICS: Final = {"critical": "CriticalTopicArn", "warning": "WarningTopicArn", "info": "InfoTopicArn"}
_PUT_BACK: Final = "run `pulumi up`, which puts back what the program declares"
_SETTLED_MS: Final = 5 * MINUTE_MS
"""CloudWatch has made metrics of a log line after so long."""
_PAUSE_SECONDS: Final = 0.5
_RACES: Final = 10


def examine(target: Target, now_ms: int) -> Findings:
    """What can be found out by reading alone; raises as `lag.measure` does."""
    findings, limits = Findings(target), Limits()
    _stream(findings, target)
    environment = _function(findings, target, "processor", "function")
    lag.mapping(findings, target)
    last = _log(findings, target, now_ms)
    _metrics(findings, target, environment, last, now_ms)
    _table(findings, target)
    _function(findings, target, "roll's function", "roll")
    _schedule(findings, target, "roll's schedule", "roll", rests_without=DUE_INDEX)
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
    with findings.looking(part):
        status = target.client("kinesis").describe_stream_summary(StreamName=name)["StreamDescriptionSummary"][
            "StreamStatus"
        ]
        if status in ("ACTIVE", "UPDATING"):
            findings.ok(part, f"{name} takes records", status=status)
        else:
            findings.wrong(part, f"{name} is {status} and takes no records", "wait until it is ACTIVE", status=status)


def _function(findings: Findings, target: Target, part: str, kind: str) -> Mapping[str, str]:
    """Whether a function can be called, and its environment."""
    name = target.name(kind)
    with findings.looking(part, function=name):
        found = target.client("lambda").get_function_configuration(FunctionName=name)
        environment: Mapping[str, str] = found.get("Environment", {}).get("Variables", {})
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        # One that was not called for long is Inactive, and wakes when it is.
        if state == "Failed" or update == "Failed":
            why = found.get("StateReason") or found.get("LastUpdateStatusReason") or "AWS does not say why"
            findings.wrong(part, f"{name} cannot be called: {why}", _PUT_BACK, state=state, last_update=update)
            return environment
        if kind == "function":
            aws.deployed_config(name)  # a setting that is not allowed fails each call
        findings.ok(part, f"{name} is {state}", state=state, last_update=update)
        return environment
    return {}


def _log(findings: Findings, target: Target, now_ms: int) -> int | None:
    """What the processor has logged; gives when its last batch was complete."""
    part, function = "log", target.name("function")
    last = None
    with findings.looking(part, log_group=journal.log_group(function)):
        line = lag.newest(target, function, lag.BATCH, now_ms)  # whatever the log level
        if line is None:
            said = "the processor has logged no batch for a day: nothing was sent, or nothing is taken in"
            findings.skipped(part, said, "send something, with `iops doctor --probe`")
        else:
            last = line.at_ms
            ago = f"the last batch was complete {lag.long(now_ms - last)} ago"
            findings.ok(part, ago, at=to_iso(last))
    part = "errors"
    with findings.looking(part, log_group=journal.log_group(function)):
        logs, since = target.client("logs"), now_ms - HOUR_MS
        told = [journal.as_object(each.text) for each in journal.lines(logs, function, "ERROR", since)]
        said_so = [str(each.get("message")) for each in told if each.get("level") == "ERROR"]
        said_so += [each.text.strip() for each in journal.lines(logs, function, "Task timed out", since)]
        if said_so:
            said = f"{len(said_so):,} in the processor's log of the last hour, one of them: {said_so[-1]}"
            do = "see docs/operations.md, processor-errors and failed-records"
            findings.wrong(part, said, do, lines=len(said_so))
        else:
            findings.ok(part, "none in the processor's log of the last hour", lines=0)
    return last


def _metrics(
    findings: Findings, target: Target, environment: Mapping[str, str], last_batch: int | None, now_ms: int
) -> None:
    """Whether CloudWatch makes metrics of what the processor logs."""
    part, namespace = "metrics", environment.get("POWERTOOLS_METRICS_NAMESPACE", "")
    if not namespace or last_batch is None or now_ms - last_batch > HOUR_MS:
        findings.skipped(part, "no batch of the last hour to make metrics of")
        return
    with findings.looking(part):
        wanted = {"records": (namespace, "Records", {"service": "processor"}, "Sum")}
        records = int(sum(lag.metrics(target, wanted, now_ms - HOUR_MS, now_ms)["records"]))
        if records:
            findings.ok(part, f"{records:,} records counted in the last hour, in {namespace}", records=records)
        elif lag.is_local(target):
            findings.skipped(part, "a local AWS makes no metrics of log lines")
        elif now_ms - last_batch < _SETTLED_MS:
            findings.skipped(part, "the last batch is too young: CloudWatch needs some minutes", "look again then")
        else:
            said = f"batches were logged, and the namespace {namespace} has no Records of the last hour"
            findings.wrong(part, said, "look at the function's logging configuration; " + _PUT_BACK)


def _table(findings: Findings, target: Target) -> None:
    part, name = "table", target.name("table")
    with findings.looking(part):
        dynamodb = target.client("dynamodb")
        table = dynamodb.describe_table(TableName=name)["Table"]
        made = {
            each["IndexName"]: each.get("IndexStatus", "ACTIVE") for each in table.get("GlobalSecondaryIndexes", ())
        }
        states = {name: table["TableStatus"], **made}
        busy = [f"{each} is {status}" for each, status in states.items() if status != "ACTIVE"]
        if busy:
            findings.skipped(part, ", ".join(busy), "wait until it is ACTIVE", indexes=sorted(made))
        else:
            off = [f"{each} ({setting})" for each, setting in indexes.SETTINGS.items() if each not in made]
            said = f"{name} is ACTIVE" + (f"; switched off: {', '.join(off)}" if off else ", with all its indexes")
            findings.ok(part, said, indexes=sorted(made))


def _schedule(findings: Findings, target: Target, part: str, kind: str, rests_without: str | None = None) -> None:
    name = f"{target.name(kind)}-schedule"
    with findings.looking(part, schedule=name):
        found = target.client("scheduler").get_schedule(Name=name)
        state, rhythm = found["State"], found["ScheduleExpression"]
        told = {"state": state, "expression": rhythm}
        if state == "ENABLED":
            findings.ok(part, f"{name} is enabled, {rhythm}", **told)
        elif rests_without and rests_without not in Indexes(target.client("dynamodb"), target.name("table")):
            findings.skipped(part, f"it rests, as there is no {rests_without}", **told)
        else:
            findings.wrong(part, f"{name} is {state}: what changes by time alone stands still", _PUT_BACK, **told)


def _bus(findings: Findings, target: Target) -> None:
    part, bus = "rules", target.name("bus")
    with findings.looking(part):
        events = target.client("events")
        rules = [
            rule for page in events.get_paginator("list_rules").paginate(EventBusName=bus) for rule in page["Rules"]
        ]
        found = {rule["Name"]: rule for rule in rules}
        wrong = []
        for arn in _topic_arns(target).values():
            name = arn.rpartition(":")[2]  # a rule has the name of its topic
            if name not in found:
                wrong.append(f"{name} is not there")
            elif found[name].get("State") != "ENABLED":
                wrong.append(f"{name} is {found[name].get('State')}")
            elif not events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]:
                wrong.append(f"{name} has no target")
        if wrong:
            findings.wrong(part, f"on the bus {bus}: {', '.join(wrong)}; such alerts reach nobody", _PUT_BACK)
        else:
            findings.ok(part, f"{len(found)} on the bus {bus}, those of all severities enabled and with a target")


def _topic_arns(target: Target) -> dict[str, str]:
    return {name: str(target.outputs[output]) for name, output in _TOPICS.items() if output in target.outputs}


def _topics(findings: Findings, target: Target) -> None:
    for severity, arn in _topic_arns(target).items():
        part = f"topic of {severity} alerts"
        with findings.looking(part, topic=arn):
            attributes = target.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
            confirmed, pending = (int(attributes.get(f"Subscriptions{each}", 0)) for each in ("Confirmed", "Pending"))
            told = {"confirmed": confirmed, "pending": pending}
            if pending:
                said = f"{pending} of its subscribers have not followed the link in AWS's first message"
                findings.wrong(part, said, "ask them to; the link is valid for three days, then subscribe anew", **told)
            elif confirmed:
                findings.ok(part, f"{confirmed} subscribers", **told)
            else:
                do = f"set alertEmails{severity.capitalize()}"
                findings.skipped(part, "nobody is subscribed, so nobody is told", do, **told)


# -- the probe --------------------------------------------------------------------------------------------------------


class _TookTooLong(Exception):
    """What was waited for did not come; the message says what, `do` what to do."""

    def __init__(self, message: str, do: str) -> None:
        super().__init__(message)
        self.do = do


def probe(findings: Findings, target: Target, timeout_seconds: int, tell: Callable[[str], None]) -> None:
    """Sends an event of a subject of its own and waits for its metric and its alert; then for the alert's end, and
    removes the item.

    Parameters
    ----------
    findings
        Gets one for each step.
    target
        The stack.
    timeout_seconds
        For each step.
    tell
        Called with what is waited for.

    Raises
    ------
    UserError, ClientError, BotoCoreError
        As `lag.measure`.
    """
    trial = _Trial(target, timeout_seconds)
    coming = {"event in": trial.send, "metric out": trial.metric, "alert out": trial.alert}
    if "NotifierFunctionName" in target.outputs:
        coming["alert delivered"] = trial.delivery
    going = {"alert resolved": trial.resolve, "removed": trial.remove}
    try:
        _go(findings, coming, tell)
    finally:
        # Also when nothing came, or Ctrl-C was pressed: what is on the stream must not fire for ever.
        if trial.sent:
            _go(findings, going, tell)


def _go(findings: Findings, steps: Mapping[str, Callable[[], str]], tell: Callable[[str], None]) -> None:
    """Takes one step after the other, until one fails."""
    for name, take in steps.items():
        part, done = f"probe: {name}", False
        tell(part)
        with findings.looking(part):
            try:
                findings.ok(part, take())
                done = True
            except _TookTooLong as late:
                findings.wrong(part, str(late), late.do)
        if not done:
            return


class _Trial:
    """A probe's event on its way."""

    def __init__(self, target: Target, timeout_seconds: int) -> None:
        self._target, self._timeout = target, timeout_seconds
        self._began = clock.now_ms()
        self._subject = PROBE + to_iso(self._began).translate({ord(each): None for each in ":.-"})
        self._key = {"entity_id": to_attribute(self._subject), "entity_type": to_attribute("subject")}
        self._stream, self._table = target.name("stream"), target.name("table")
        self._dynamodb = target.client("dynamodb")
        self.sent = False

    def send(self) -> str:
        self._put(HIGH_DEMAND)
        self.sent = True
        return f"the stream {self._stream} took an event of the subject {self._subject}"

    def metric(self) -> str:
        seconds = self._wait(
            lambda: self._item().get("balance_status") == HIGH_DEMAND,
            f"the subject {self._subject} is not in the table {self._table}",
            "look at the mapping, the log and the errors above",
        )
        return f"its item was in the table after {seconds:.1f} s"

    def alert(self) -> str:
        seconds = self._wait(
            lambda: SUPPLY_DEMAND_IMBALANCE in (item := self._item()).get("alerts", {}) and not item.get("outbox"),
            "its item has no alert that the bus has taken",
            "look at the errors above, and at docs/operations.md, unsent-alerts",
        )
        return f"the bus had its alert after {seconds:.1f} s more"

    def delivery(self) -> str:
        name = self._target.name("notifier")
        self._target.names["log group"] = journal.log_group(name)
        logs = self._target.client("logs")
        seconds = self._wait(
            lambda: any(
                told.alert.get("entity_id") == self._subject for told in journal.alerts(logs, name, self._began)
            ),
            f"the notifier {name} has logged no alert of {self._subject}",
            "look at the rules and the dead letters above, and at the notifier's log",
        )
        return f"the notifier had it after {seconds:.1f} s more"

    def resolve(self) -> str:
        self._put("balanced")
        seconds = self._wait(
            lambda: (
                (item := self._item()).get("balance_status") == "balanced"
                and not item["alerts"]
                and not item.get("outbox")
            ),
            f"the subject {self._subject} is left behind: its second event has not come through",
            "once the stream is read again its alert ends by itself; the item stays, and does no harm",
        )
        return f"its end was on the bus {seconds:.1f} s after the second event"

    def remove(self) -> str:
        for _ in range(_RACES):
            version = self._item()["version"]
            try:
                self._dynamodb.delete_item(
                    TableName=self._table,
                    Key=self._key,
                    ConditionExpression="version = :read",
                    ExpressionAttributeValues={":read": to_attribute(version)},
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                continue  # a rollup was faster
            return f"the subject {self._subject} is gone from the table"
        raise _TookTooLong(
            f"the subject {self._subject} changes again and again, and is left behind", "it stays, and does no harm"
        )

    def _put(self, balance_status: str) -> None:
        event = {
            "event_type": "supply_demand_update",
            "timestamp": to_iso(clock.now_ms()),
            "payload": {"subject": self._subject, "balance_status": balance_status},
        }
        self._target.client("kinesis").put_record(
            StreamName=self._stream, Data=json.dumps(event).encode(), PartitionKey=event["event_type"]
        )

    def _item(self) -> dict[str, Any]:
        found = self._dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        return {name: from_attribute(value) for name, value in found.get("Item", {}).items()}

    def _wait(self, has_come: Callable[[], bool], late: str, do: str) -> float:
        """Waits for something; gives the seconds that it took."""
        began = time.monotonic()
        while not has_come():
            if time.monotonic() - began > self._timeout:
                raise _TookTooLong(f"{late}, after {self._timeout} s", do)
            time.sleep(_PAUSE_SECONDS)
        return time.monotonic() - began
