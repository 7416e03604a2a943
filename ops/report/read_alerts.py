"""Reads the episodes of alerts for the report page, from the table and the notifier's log."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from functions.entities.alerts import SEVERITIES
from functions.model import from_iso
from ops import aws, function_logs
from ops.report.data import Episode, Timeline
from ops.report.read_table import NOT_READABLE


def read_timeline(logs: Any, notifier: str | None, firing: Mapping[str, Episode], since_ms: int, most: int) -> Timeline:
    """Reads the notifier's log and joins it with the alerts that fire.

    Parameters
    ----------
    logs
        A client of boto3's kind.
    notifier
        The notifier's function; None for a stack without one.
    firing
        The alerts that fire now, by episode_id.
    since_ms
        From when on the log is read, epoch ms.
    most
        How many episodes to return.
    """
    notifications, note = _notifications(logs, notifier, since_ms)
    episodes = [
        episode
        for episode_id in {**firing, **notifications}
        if (episode := _episode(firing.get(episode_id), notifications.get(episode_id, ()))) is not None
    ]
    episodes.sort(
        key=lambda episode: (
            not episode.firing,
            -SEVERITIES.index(episode.severity) if episode.firing else 0,
            episode.started_ms if episode.firing else -(episode.ended_ms or episode.started_ms),
            episode.entity_id,
        )
    )
    return Timeline(
        episodes[:most],
        max(0, len(episodes) - most),
        Counter(episode.severity for episode in firing.values()),
        sum(episode.ended_ms is not None for episode in episodes),
        since_ms,
        note,
    )


def _notifications(
    logs: Any, notifier: str | None, since_ms: int
) -> tuple[Mapping[str, Sequence[Mapping[str, Any]]], str]:
    """Returns what the notifier has logged by episode_id, and why there is nothing."""
    notifications: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    if notifier is None:
        return {}, "This stack has no notifier, which keeps the journal of alerts: only what fires now is shown."
    try:
        for logged in function_logs.alerts(logs, notifier, since_ms):
            if isinstance(episode_id := logged.alert.get("episode_id"), str):
                notifications[episode_id].append(logged.alert)
    except ClientError as error:
        if not aws.is_missing(error):
            raise
        return notifications, "The notifier has not logged anything yet: only what fires now is shown."
    return notifications, ""


def _episode(firing: Episode | None, notifications: Sequence[Mapping[str, Any]]) -> Episode | None:
    """Joins what the table and the notifier's log say of one episode; None when the log has no alert of ours."""
    try:
        ordered = sorted(notifications, key=lambda alert: (from_iso(alert["timestamp"]), alert["status"] == "resolved"))
        severities = [alert["severity"] for alert in ordered] + ([firing.severity] if firing else [])
        severity = max(severities, key=SEVERITIES.index)
        if not ordered:
            return firing
        last = ordered[-1]
        over = firing is None and last["status"] == "resolved"
        return Episode(
            str(last["entity_type"]),
            str(last["entity_id"]),
            str(last["alert_type"]),
            severity,
            from_iso(last["started_at"]),
            from_iso(last["timestamp"]) if over else None,
            firing is not None,
            str(last["message"]),
        )
    except NOT_READABLE:
        return firing
