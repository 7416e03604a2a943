"""Reads the alerts that fire now from the items, and new notifications from the notifier's log."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from functions.aws import clock
from functions.entities.alerts import ALERT_TYPES
from functions.model import DAY_MS, SECOND_MS, EntityKey
from ops import function_logs
from ops.function_logs import LoggedAlert
from ops.metrics_table import MetricsTable

KNOWN_TYPES: Final = tuple(dict.fromkeys(name for names in ALERT_TYPES.values() for name in names))

_LATE_MS: Final = 60 * SECOND_MS
"""Lines become readable late and out of order, so each look reads this span again."""
_REMEMBERED_MS: Final = DAY_MS
"""EventBridge tries to deliver for 24 hours (EventBridge user guide, "Event retry policy"): no repeat is later."""
_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that fires now."""

    key: EntityKey
    alert_type: str
    severity: str
    since: str
    """ISO-8601."""
    episode_id: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which alerts to show; an empty set selects all."""

    severities: frozenset[str] = frozenset()
    alert_types: frozenset[str] = frozenset()

    def includes(self, alert_type: object, severity: object) -> bool:
        """Whether such an alert is selected."""
        return (not self.alert_types or alert_type in self.alert_types) and (
            not self.severities or severity in self.severities
        )


def firing(table: MetricsTable, selection: Selection) -> list[FiringAlert]:
    """Reads the alerts that fire now, the oldest first."""
    found = [
        FiringAlert(EntityKey(row["entity_type"], row["entity_id"]), alert_type, **alert)
        for row in table.scan(None, ("alerts",), firing=True)
        for alert_type, alert in row["alerts"].items()
        if selection.includes(alert_type, alert["severity"])
    ]
    return sorted(found, key=lambda alert: (alert.since, alert.key, alert.alert_type))


def follow(logs: Any, function_name: str, since_ms: int, selection: Selection) -> Iterator[LoggedAlert]:
    """Yields the notifications that the notifier logs from `since_ms` on, each `alert_id` once. Never ends.

    Raises
    ------
    ClientError, BotoCoreError
        When the notifier's log cannot be read.
    """
    seen: dict[str, int] = {}
    read_until = since_ms
    while True:
        looked_at = clock.now_ms()
        for logged in function_logs.alerts(logs, function_name, max(since_ms, read_until - _LATE_MS)):
            name = str(logged.alert.get("alert_id") or logged.event_id)
            if name not in seen:
                seen[name] = logged.at_ms
                if selection.includes(logged.alert.get("alert_type"), logged.alert.get("severity")):
                    yield logged
        read_until = looked_at
        seen = {name: at_ms for name, at_ms in seen.items() if at_ms > read_until - _REMEMBERED_MS}
        time.sleep(_PAUSE_SECONDS)
