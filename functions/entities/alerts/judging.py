"""Judges alerts: which fire, what has changed since the last judgement, and which notifications to send. Pure.

`judge` compares the levels that an entity's figures call for with the stored state and adds a notification to the
outbox for each transition and each reminder that is due. State and outbox are stored in one write. `judge` sends
nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from functions.entities.alerts.details import details_and_message
from functions.entities.alerts.levels import EntityFigures
from functions.entities.alerts.rules import SEVERITIES, AlertRules
from functions.model import HOUR_MS, from_iso, to_iso

MOST_IN_OUTBOX: Final = 18
"""This many of the longest notifications leave an item room for everything else (docs/state.md, "Room")."""

Status = Literal["firing", "reminder", "resolved"]


class Firing(NamedTuple):
    """An alert now firing: what users see in `alerts`."""

    severity: str
    since: str
    """ISO-8601 of the as_of at which the episode was first seen."""
    episode_id: str


class Episodes(NamedTuple):
    """The state that an item keeps of one alert type beside its public state. It outlives the episode."""

    episode: int = 0
    """How many episodes there have been."""
    notification: int = 0
    """The number of the last notification in the current or last episode."""
    sent_at: int = 0
    """When `judge` made that notification, epoch ms."""
    highest: int = 0
    """The highest level of the episode."""
    reminders: int = 0
    """How many reminders the episode has had."""


class Notification(NamedTuple):
    """One entry for the bus."""

    alert_id: str
    alert_type: str
    made_at: int
    """The as_of at which it was made, epoch ms."""
    detail: str
    """The entry's Detail: the JSON text that is stored and sent, byte for byte."""

    @classmethod
    def parse(cls, detail: str) -> "Notification":
        """Parse a stored Detail.

        Raises
        ------
        KeyError, ValueError, TypeError
            When `judge` has not made it.
        """
        fields = json.loads(detail)
        made_at = from_iso(fields["timestamp"])
        return cls(fields["alert_id"], fields["alert_type"], made_at, detail)


class Alerts(NamedTuple):
    """An item's alert state."""

    firing: Mapping[str, Firing]
    episodes: Mapping[str, Episodes]
    outbox: tuple[Notification, ...]
    """Notifications that the bus is not yet known to have accepted, oldest first."""


NO_ALERTS: Final = Alerts({}, {}, ())


def judge(state: Alerts, entity: EntityFigures, levels: Mapping[str, int], as_of: int, rules: AlertRules) -> Alerts:
    """Return the alert state at `as_of`, with a notification in the outbox for each transition and reminder due.

    While the outbox is full, `judge` changes nothing, so that no transition is lost.

    Parameters
    ----------
    state
        Before.
    entity
        Its figures.
    levels
        From `levels_of`.
    as_of
        Epoch ms.
    rules
        The rhythm.
    """
    if not state.firing and not any(levels.values()):
        return state
    firing, episodes, outbox = dict(state.firing), dict(state.episodes), list(state.outbox)
    for alert_type, level in levels.items():
        if len(outbox) >= MOST_IN_OUTBOX:
            break
        before = firing.get(alert_type)
        if not level and before is None:
            continue
        past = episodes.get(alert_type, Episodes())
        current, status = _next(past, before, level, as_of, rules)
        if status is None:
            continue
        since = to_iso(as_of) if before is None else before.since
        episode_id = _digest(*entity.key, alert_type, current.episode)
        episodes[alert_type] = current
        if level:
            firing[alert_type] = Firing(SEVERITIES[level], since, episode_id)
        else:
            del firing[alert_type]
        details, message = details_and_message(alert_type, entity)
        alert_id = _digest(*entity.key, alert_type, current.episode, current.notification)
        detail = {
            "alert_id": alert_id,
            "episode_id": episode_id,
            "alert_type": alert_type,
            "severity": SEVERITIES[level or current.highest],
            "status": status,
            "entity_id": entity.key.entity_id,
            "entity_type": entity.key.entity_type,
            "details": details,
            "message": message if level else f"Resolved: {message}",
            "timestamp": to_iso(as_of),
            "started_at": since,
        }
        outbox.append(Notification(alert_id, alert_type, as_of, json.dumps(detail, ensure_ascii=False)))
    return Alerts(firing, episodes, tuple(outbox))


def _next(
    past: Episodes, before: Firing | None, level: int, as_of: int, rules: AlertRules
) -> tuple[Episodes, Status | None]:
    """Return the episode's state after this judgement, and the status of the notification to send, if any."""
    if before is None:
        return Episodes(past.episode + 1, 1, as_of, level, 0), "firing"
    notified = past._replace(notification=past.notification + 1, sent_at=as_of, highest=max(past.highest, level))
    if not level:
        return notified, "resolved"
    if SEVERITIES[level] != before.severity:
        return notified, "firing"
    if past.reminders < rules.max_reminders and as_of >= _reminder_at(past, rules):
        return notified._replace(reminders=past.reminders + 1), "reminder"
    return past, None


def _reminder_at(episodes: Episodes, rules: AlertRules) -> int:
    return episodes.sent_at + round(rules.renotify_hours * HOUR_MS)


def next_reminder(state: Alerts, rules: AlertRules) -> int | None:
    """Return when the next reminder of a firing alert is due, epoch ms; None when none is."""
    return min(
        (
            _reminder_at(state.episodes[alert_type], rules)
            for alert_type in state.firing
            if state.episodes[alert_type].reminders < rules.max_reminders
        ),
        default=None,
    )


def without(state: Alerts, sent: frozenset[str]) -> Alerts:
    """Return the state without the notifications that have these ids."""
    return state._replace(outbox=tuple(kept for kept in state.outbox if kept.alert_id not in sent))


def _digest(*parts: object) -> str:
    """Return an id for a notification or episode: the same parts give the same id."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
