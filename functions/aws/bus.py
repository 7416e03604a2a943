"""Puts notifications on the EventBridge bus in tens, and says which of them it has accepted."""

from collections.abc import Sequence
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.parallel import chunks, in_parallel
from functions.aws.retry import attempts
from functions.entities.alerts import Notification

SOURCE: Final = "iops-dashboard.processor"
_ENTRIES_A_CALL: Final = 10  # PutEvents
_ATTEMPTS: Final = 4


class AlertBus:
    """The bus under its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def send(self, notifications: Sequence[Notification], deadline: Deadline) -> dict[str, str]:
        """Send each notification. Entries that the bus refuses are sent again; those that it has accepted are not.

        Returns
        -------
        dict
            The `alert_id`s of those that the bus accepted, with their types. The rest stay in their outboxes, for the
            next roll.
        """
        accepted: dict[str, str] = {}
        for part in in_parallel(lambda chunk: self._send(chunk, deadline), chunks(notifications, _ENTRIES_A_CALL)):
            accepted |= part
        return accepted

    def _send(self, notifications: Sequence[Notification], deadline: Deadline) -> dict[str, str]:
        accepted: dict[str, str] = {}
        pending = list(notifications)
        for attempt in attempts(_ATTEMPTS, deadline):
            try:
                answer = client("events").put_events(Entries=[self._entry(notification) for notification in pending])
            except (ClientError, BotoCoreError) as error:
                logger.error(
                    "EventBridge took no alerts; the roll will send them",
                    error=str(error),
                    alerts=len(pending),
                )
                break
            refused = []
            for notification, result in zip(pending, answer["Entries"], strict=True):
                if "EventId" in result:
                    accepted[notification.alert_id] = notification.alert_type
                else:
                    refused.append((notification, result.get("ErrorCode")))
            if not refused:
                break
            logger.warning(
                "EventBridge refused alerts",
                codes=sorted({str(code) for _, code in refused}),
                attempt=attempt,
            )
            pending = [notification for notification, _ in refused]
        return accepted

    def _entry(self, notification: Notification) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": notification.alert_type,
            "Detail": notification.detail,
            "Time": notification.made_at / 1000,
        }
