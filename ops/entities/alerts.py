"""The alerts that fire now, as the items have them, and those that come, as the notifier's log has them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from functions.aws import clock
from functions.entities.alerts import ALERT_TYPES
from functions.model import DAY_MS, SECOND_MS, EntityKey, EntityType
from ops import function_logs
from ops.function_logs import LoggedAlert
from ops.table_indexes import Indexes

KNOWN_TYPES: Final = tuple(dict.fromkeys(name for names in ALERT_TYPES.values() for name in names))

_LATE_MS: Final = 60 * SECOND_MS
"""Lines can be read some time after they were logged, and not in their order: so far back each look goes again."""
_REMEMBERED_MS: Final = DAY_MS
"""EventBridge tries to deliver for 24 hours (EventBridge user guide, "Event retry policy"): no repeat is later."""
_PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that an item has."""

    key: EntityKey
    alert_type: str
    severity: str
    since: str
    """ISO-8601."""
    episode_id: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which alerts are wanted; an empty part selects all."""

    severities: frozenset[str] = frozenset()
    alert_types: frozenset[str] = frozenset()

    def has(self, alert_type: object, severity: object) -> bool:
        """Whether such an alert is wanted."""
        return (not self.alert_types or alert_type in self.alert_types) and (
            not self.severities or severity in self.severities
        )

    def entity_types(self) -> list[EntityType]:
        """The types of entities that can have one of them."""
        return [each for each, names in ALERT_TYPES.items() if not self.alert_types or self.alert_types & {*names}]


def firing(indexes: Indexes, selection: Selection) -> list[FiringAlert]:
    """The alerts that fire now, the oldest first.

    Raises
    ------
    UserError
        When no index has the alerts of a type of entities.
    """
    found = [
        FiringAlert(EntityKey(entity_type, row["entity_id"]), alert_type, **alert)
        for entity_type in selection.entity_types()
        for row in indexes.rows(indexes.with_attribute(entity_type, "alerts"), entity_type, ("alerts",), firing=True)
        for alert_type, alert in row["alerts"].items()
        if selection.has(alert_type, alert["severity"])
    ]
    return sorted(found, key=lambda alert: (alert.since, alert.key, alert.alert_type))


def follow(logs: Any, function_name: str, since_ms: int, selection: Selection) -> Iterator[LoggedAlert]:
    """The alerts that the notifier is told of from `since_ms` on, as they come, each `alert_id` once; never ends.

    Raises
    ------
    ClientError, BotoCoreError
        When its log cannot be read.
    """
    seen: dict[str, int] = {}
    read_until = since_ms
    while True:
        looked_at = clock.now_ms()
        for told in function_logs.alerts(logs, function_name, max(since_ms, read_until - _LATE_MS)):
            name = str(told.alert.get("alert_id") or told.event_id)
            if name not in seen:
                seen[name] = told.at_ms
                if selection.has(told.alert.get("alert_type"), told.alert.get("severity")):
                    yield told
        read_until = looked_at
        seen = {name: at_ms for name, at_ms in seen.items() if at_ms > read_until - _REMEMBERED_MS}
        time.sleep(_PAUSE_SECONDS)
