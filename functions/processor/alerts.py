"""Alerts are states, not events: which fire, what changed since they were last judged, and what is to be told.

`levels` are computed in the same query as the windows; `judge` compares them with the stored state and makes the
notifications, which are stored in the same write. Nothing is sent here. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from .model import HIGH_DEMAND, HOUR_MS, EntityKey, to_iso
from .registers import Register

HIGH_IB_CALL_FREQUENCY: Final = "high_ib_call_frequency"
LOW_HEALTH_SCORE: Final = "low_health_score"
SUPPLY_DEMAND_IMBALANCE: Final = "supply_demand_imbalance"

ALERT_TYPES: Final = (HIGH_IB_CALL_FREQUENCY, LOW_HEALTH_SCORE, SUPPLY_DEMAND_IMBALANCE)
SEVERITIES: Final = ("none", "info", "warning", "critical")
"""By level: 0 is no alert."""

MOST_IN_OUTBOX: Final = 20
_MOST_REGIONS_NAMED: Final = 20
_NOT_KNOWN: Final = "n/a"

Status = Literal["firing", "reminder", "resolved"]


@dataclass(frozen=True, slots=True)
class AlertRules:
    """The thresholds and rhythm of alerts (contract section 3)."""

    ib_calls_warning: int = 3
    """high_ib_call_frequency fires at this many calls in 14 days."""
    health_warning: float = 70
    """low_health_score fires below this ..."""
    health_critical: float = 50
    """... and is critical below this."""
    renotify_hours: float = 24
    """A lasting alert is told again after this long ..."""
    max_reminders: int = 5
    """... at most so many times an episode."""


class Firing(NamedTuple):
    """An alert now firing: what users see in `alerts`."""

    severity: str
    since: str
    """ISO-8601 of the as_of at which the episode was first seen."""
    episode_id: str


class Episodes(NamedTuple):
    """What is remembered of one alert type beside its public state; it outlives the episode."""

    episode: int = 0
    """How many episodes there have been."""
    notification: int = 0
    """The number of the last notification in the current or last episode."""
    sent_at: int = 0
    """When that was made, epoch ms."""
    highest: int = 0
    """The highest level of the episode."""
    reminders: int = 0
    """How many reminders the episode has had."""


class Alerts(NamedTuple):
    """An item's alert state."""

    firing: Mapping[str, Firing]
    episodes: Mapping[str, Episodes]
    outbox: tuple[str, ...]
    """Notifications not yet known to be sent, oldest first: each the Detail of an EventBridge entry, as JSON."""


NO_ALERTS: Final = Alerts({}, {}, ())


class Subject(NamedTuple):
    """What there is to say of the entity at hand."""

    key: EntityKey
    metrics: Mapping[str, Any]
    """Its public attributes."""
    registers: Mapping[str, Register]


@cache
def levels(rules: AlertRules) -> list[pl.Expr]:
    """Each alert type's level (an index into `SEVERITIES`, UInt8) over the frame that `windows.measure` gives."""
    health = pl.col("health_score")
    no_alert = pl.lit(0)
    firing: dict[str, pl.Expr] = {
        HIGH_IB_CALL_FREQUENCY: pl.when(pl.col("ib_calls_14d") >= rules.ib_calls_warning).then(2).otherwise(no_alert),
        LOW_HEALTH_SCORE: pl.when(pl.col("reported_at").is_null())
        .then(no_alert)
        .when(health < rules.health_critical)
        .then(3)
        .when(health < rules.health_warning)
        .then(2)
        .otherwise(no_alert),
        SUPPLY_DEMAND_IMBALANCE: pl.when(pl.col("high_demand") > 0).then(1).otherwise(no_alert),
    }
    return [level.cast(pl.UInt8).alias(alert_type) for alert_type, level in firing.items()]


def judge(state: Alerts, subject: Subject, level: Mapping[str, int], as_of: int, rules: AlertRules) -> Alerts:
    """The alert state at `as_of`, with a notification in the outbox for each transition and reminder due.

    While the outbox is full nothing is judged, so that no transition goes by unsaid.
    """
    if not state.firing and not any(level[alert_type] for alert_type in ALERT_TYPES):
        return state
    firing, episodes, outbox = dict(state.firing), dict(state.episodes), list(state.outbox)
    for alert_type in ALERT_TYPES:
        if len(outbox) >= MOST_IN_OUTBOX:
            break
        now, before = level[alert_type], firing.get(alert_type)
        if not now and before is None:
            continue
        past = episodes.get(alert_type, Episodes())
        current, status = _next(past, before, now, as_of, rules)
        if status is None:
            continue
        since = to_iso(as_of) if before is None else before.since
        episode_id = _digest(*subject.key, alert_type, current.episode)
        episodes[alert_type] = current
        if now:
            firing[alert_type] = Firing(SEVERITIES[now], since, episode_id)
        else:
            del firing[alert_type]
        details, message = describe(alert_type, subject)
        outbox.append(
            json.dumps(
                {
                    "alert_id": _digest(*subject.key, alert_type, current.episode, current.notification),
                    "episode_id": episode_id,
                    "alert_type": alert_type,
                    "severity": SEVERITIES[now or current.highest],
                    "status": status,
                    "entity_id": subject.key.entity_id,
                    "entity_type": subject.key.entity_type,
                    "details": details,
                    "message": message if now else f"Resolved: {message}",
                    "timestamp": to_iso(as_of),
                    "started_at": since,
                },
                ensure_ascii=False,
            )
        )
    return Alerts(firing, episodes, tuple(outbox)) if len(outbox) > len(state.outbox) else state


def _next(
    past: Episodes, before: Firing | None, now: int, as_of: int, rules: AlertRules
) -> tuple[Episodes, Status | None]:
    """The episode's state after this judgement, and what is to be told, if anything."""
    if before is None:
        return Episodes(past.episode + 1, 1, as_of, now, 0), "firing"
    told = past._replace(notification=past.notification + 1, sent_at=as_of, highest=max(past.highest, now))
    if not now:
        return told, "resolved"
    if SEVERITIES[now] != before.severity:
        return told, "firing"
    if past.reminders < rules.max_reminders and as_of >= _reminder_at(past, rules):
        return told._replace(reminders=past.reminders + 1), "reminder"
    return past, None


def _reminder_at(episodes: Episodes, rules: AlertRules) -> int:
    return episodes.sent_at + round(rules.renotify_hours * HOUR_MS)


def next_reminder(state: Alerts, rules: AlertRules) -> int | None:
    """When the next reminder of a firing alert is due, epoch ms."""
    return min(
        (
            _reminder_at(state.episodes[alert_type], rules)
            for alert_type in state.firing
            if state.episodes[alert_type].reminders < rules.max_reminders
        ),
        default=None,
    )


def describe(alert_type: str, subject: Subject) -> tuple[dict[str, Any], str]:
    """An alert's details and its message, with the entity's figures as they are now."""
    metrics, name = subject.metrics, subject.key.entity_id
    if alert_type == HIGH_IB_CALL_FREQUENCY:
        details = {each: metrics[each] for each in ("ib_calls_14d", "health_score")}
        return details, f"Student {name} has {metrics['ib_calls_14d']} IB calls in 14 days"
    if alert_type == LOW_HEALTH_SCORE:
        details = {each: metrics[each] for each in ("health_score", "sessions_7d", "ib_calls_14d")}
        return details, f"Student {name} has low health score: {float(metrics['health_score'])}"
    high = sorted(
        (register.time, region)
        for region, register in subject.registers.items()
        if register.value["balance_status"] == HIGH_DEMAND
    )
    newest = subject.registers[high[-1][1]].value if high else {}
    figures = {each: newest.get(each, _NOT_KNOWN) for each in ("balance_status", "demand_score", "supply_score")}
    details = {
        **figures,
        "regions": sorted(region for _, region in high)[:_MOST_REGIONS_NAMED],
        "regions_total": len(high),
    }
    return details, (
        f"High demand detected for {name} (Demand: {figures['demand_score']}, Supply: {figures['supply_score']})"
    )


def without(state: Alerts, sent: frozenset[str]) -> Alerts:
    """The state without the notifications that have these ids."""
    return state._replace(outbox=tuple(each for each in state.outbox if json.loads(each)["alert_id"] not in sent))


def _digest(*parts: object) -> str:
    """A name for a notification or episode, the same whenever it is made from the same parts."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
