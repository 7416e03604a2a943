"""Sends one event through a deployed stack, waits for its metric and its alert, and removes what it leaves behind."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from functions.aws import clock
from functions.entities.alerts import SUPPLY_DEMAND_IMBALANCE
from functions.entities.attribute_values import to_attribute
from functions.entities.item import key_attributes
from functions.model import HIGH_DEMAND, EntityKey, to_iso
from ops import function_logs, items
from ops.health.check_results import Findings
from ops.target import Target

PROBE: Final = "iops-doctor-"
"""The start of a probe's subject; the moment follows, so that no two probes share an `alert_id`."""

_PAUSE_SECONDS: Final = 0.5
_RACES: Final = 10


class _TookTooLong(Exception):
    """A step did not end in time. The message says which, and `do` what to do about it."""

    def __init__(self, message: str, do: str) -> None:
        super().__init__(message)
        self.do = do


def probe(findings: Findings, target: Target, timeout_seconds: int, show_step: Callable[[str], None]) -> None:
    """Sends an event for a new subject and waits for its metric and alert; then ends the alert and removes the item.

    The alert has the lowest severity.

    Parameters
    ----------
    findings
        Gets one finding for each step.
    target
        The stack.
    timeout_seconds
        The time for each step.
    show_step
        Called with the step that begins.

    Raises
    ------
    UserError, ClientError, BotoCoreError
        As `lag.measure`.
    """
    trial = _Trial(target, timeout_seconds)
    steps = {"event in": trial.send, "metric out": trial.metric, "alert out": trial.alert}
    if "NotifierFunctionName" in target.outputs:
        steps["alert delivered"] = trial.delivery
    clean_up = {"alert resolved": trial.resolve, "removed": trial.remove}
    try:
        _take(findings, steps, show_step)
    finally:
        # Also after a failure or Ctrl-C: the event on the stream must not leave an alert that fires for ever.
        if trial.sent:
            _take(findings, clean_up, show_step)


def _take(findings: Findings, steps: Mapping[str, Callable[[], str]], show_step: Callable[[str], None]) -> None:
    """Takes one step after the other, until one fails."""
    for name, step in steps.items():
        part, done = f"probe: {name}", False
        show_step(part)
        with findings.checking(part):
            try:
                findings.ok(part, step())
                done = True
            except _TookTooLong as late:
                findings.wrong(part, str(late), late.do)
        if not done:
            return


class _Trial:
    """The subject of one probe. Each step returns what it has seen."""

    def __init__(self, target: Target, timeout_seconds: int) -> None:
        self._target, self._timeout = target, timeout_seconds
        self._began = clock.now_ms()
        self._subject = PROBE + to_iso(self._began).translate(dict.fromkeys(map(ord, ":.-")))
        self._key = key_attributes(EntityKey("subject", self._subject))
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
        self._target.names["log group"] = function_logs.log_group(name)
        logs = self._target.client("logs")
        seconds = self._wait(
            lambda: any(
                logged.alert.get("entity_id") == self._subject
                for logged in function_logs.alerts(logs, name, self._began)
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
                continue  # a rollup has written the item meanwhile
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
        answer = self._dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        return items.plain_values(answer.get("Item", {}))

    def _wait(self, has_come: Callable[[], bool], late: str, do: str) -> float:
        """Waits until `has_come` is true; returns the seconds that it took."""
        began = time.monotonic()
        while not has_come():
            if time.monotonic() - began > self._timeout:
                raise _TookTooLong(f"{late}, after {self._timeout} s", do)
            time.sleep(_PAUSE_SECONDS)
        return time.monotonic() - began
