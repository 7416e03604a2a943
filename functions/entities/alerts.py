"""Alerts are states, not events: which fire, what changed since they were last judged, and what is to be told.

`levels` are computed in the same query as the windows, those of alerts that are off by default by `judge` itself, from
what stands in the item. It compares them with the stored state and makes the notifications, which are stored in the
same write. Nothing is sent here. Pure.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from functions.entities.registers import Register
from functions.entities.totals import Totals
from functions.model import HIGH_DEMAND, HOUR_MS, EntityKey, EntityType, to_iso

HIGH_IB_CALL_FREQUENCY: Final = "high_ib_call_frequency"
LOW_HEALTH_SCORE: Final = "low_health_score"
SUPPLY_DEMAND_IMBALANCE: Final = "supply_demand_imbalance"
FIRST_SESSION_SUCCESS_LOW: Final = "first_session_success_low"
SESSION_VELOCITY_DROP: Final = "session_velocity_drop"
NO_TUTORS_AVAILABLE: Final = "no_tutors_available"
DEMAND_SURGE: Final = "demand_surge"

ALERT_TYPES: Final[Mapping[EntityType, tuple[str, ...]]] = {
    "student": (HIGH_IB_CALL_FREQUENCY, LOW_HEALTH_SCORE, SESSION_VELOCITY_DROP),
    "tutor": (FIRST_SESSION_SUCCESS_LOW,),
    "subject": (
        *(SUPPLY_DEMAND_IMBALANCE, FIRST_SESSION_SUCCESS_LOW, SESSION_VELOCITY_DROP),
        *(NO_TUTORS_AVAILABLE, DEMAND_SURGE),
    ),
    "region": (NO_TUTORS_AVAILABLE,),
}
"""Which alerts an entity may have; it is judged for no other."""
SEVERITIES: Final = ("none", "info", "warning", "critical")
"""By level: 0 is no alert."""
_INFO, _WARNING, _CRITICAL = 1, 2, 3

MOST_IN_OUTBOX: Final = 18
"""So many of the longest leave an item room for everything else (docs/state.md, "Room")."""
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
    first_session_success_below: float = 0
    """first_session_success_low fires at a success rate (0 to 1) below this; 0 is off."""
    first_sessions_least: int = 5
    """... of at least so many first sessions of 30 days whose outcome is known."""
    velocity_drop_share: float = 0
    """session_velocity_drop fires at fewer counted sessions in 7 days than this share (0 to 1) of those of the 7 days
    before; 0 is off."""
    velocity_drop_least: int = 4
    """... which were at least so many."""
    no_tutors_alert: bool = False
    """Whether no_tutors_available fires."""
    demand_surge_score: float = 0
    """demand_surge fires at a modified z-score of at least this; 0 is off.

    The score says how far a subject's mean of the last 7 daily counts of sessions stands above the median of the 23
    before, in standard deviations estimated as 1.4826 times their median absolute deviation: B. Iglewicz and D. C.
    Hoaglin, "How to Detect and Handle Outliers" (ASQC Basic References in Quality Control 16, 1993), who take 3.5 for
    an outlier. The estimate is at least the square root of the median, by which counts of a Poisson process scatter by
    themselves.
    """
    demand_surge_least: int = 10
    """... with at least so many sessions in the 7 days."""


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
    """Its public attributes, as `item.public_metrics` gives them."""
    registers: Mapping[str, Register]
    totals: Totals | None = None
    counted_7d: int = 0
    """A student's sessions of 7 days among the facts: without what a health report has seen beside."""


@cache
def levels(rules: AlertRules) -> list[pl.Expr]:
    """The level (an index into `SEVERITIES`, UInt8) of each alert that is always on, over the frame that
    `windows.measure` gives."""
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


class _Weeks(NamedTuple):
    """Sessions that were counted, in the last 7 days and in the 7 before."""

    last: int
    before: int


def _weeks(subject: Subject) -> _Weeks | None:
    """None while no rollup has counted a subject's."""
    if subject.key.entity_type == "student":
        last, velocity = subject.counted_7d, subject.metrics["session_velocity"]
    elif subject.totals is not None:
        last, velocity = (int(subject.totals.figures[name]) for name in ("sessions_7d", "session_velocity"))
    else:
        return None
    return _Weeks(last, last - velocity)


def _first_sessions_fail(subject: Subject, rules: AlertRules) -> bool:
    totals = subject.totals
    return (
        totals is not None
        and totals.first_outcomes >= rules.first_sessions_least
        and totals.figures["first_session_success_rate"] < rules.first_session_success_below
    )


def _velocity_drops(subject: Subject, rules: AlertRules) -> bool:
    weeks = _weeks(subject) if rules.velocity_drop_share else None
    # 7 of 100 are not below a share of 0.07, although its product in floats is above 7.
    return (
        weeks is not None
        and weeks.before >= rules.velocity_drop_least
        and weeks.last < round(rules.velocity_drop_share * weeks.before, 6)
    )


def _nobody_teaches(subject: Subject, rules: AlertRules) -> bool:
    figures = subject.metrics
    return rules.no_tutors_alert and figures.get("available_tutors") == 0 and figures.get("active_students", 0) > 0


def _demand_surges(subject: Subject, rules: AlertRules) -> bool:
    totals = subject.totals
    return (
        totals is not None
        and totals.surge_score is not None
        and totals.surge_score >= rules.demand_surge_score > 0
        and totals.figures["sessions_7d"] >= rules.demand_surge_least
    )


_OFF_BY_DEFAULT: Final[Mapping[str, tuple[int, Callable[[Subject, AlertRules], bool]]]] = {
    FIRST_SESSION_SUCCESS_LOW: (_WARNING, _first_sessions_fail),
    SESSION_VELOCITY_DROP: (_WARNING, _velocity_drops),
    NO_TUTORS_AVAILABLE: (_CRITICAL, _nobody_teaches),
    DEMAND_SURGE: (_INFO, _demand_surges),
}
"""Level and condition. What they look at is no window of the entity's own facts, or one figure beside it: expressions
over columns of it would cost every batch what few ask for."""


def levels_of(subject: Subject, measured: Mapping[str, Any], rules: AlertRules) -> dict[str, int]:
    """The levels of the alerts that an entity may have.

    Parameters
    ----------
    subject
        The entity.
    measured
        Its row of `levels`.
    rules
        The thresholds.
    """
    found = {}
    for alert_type in ALERT_TYPES[subject.key.entity_type]:
        if (judged := _OFF_BY_DEFAULT.get(alert_type)) is None:
            found[alert_type] = measured[alert_type]
        else:
            level, holds = judged
            found[alert_type] = level if holds(subject, rules) else 0
    return found


def judge(state: Alerts, subject: Subject, level: Mapping[str, int], as_of: int, rules: AlertRules) -> Alerts:
    """The alert state at `as_of`, with a notification in the outbox for each transition and reminder due.

    While the outbox is full nothing is judged, so that no transition goes by unsaid.

    Parameters
    ----------
    state
        Before.
    subject
        The entity.
    level
        From `levels_of`.
    as_of
        Epoch ms.
    rules
        The rhythm.
    """
    if not state.firing and not any(level.values()):
        return state
    firing, episodes, outbox = dict(state.firing), dict(state.episodes), list(state.outbox)
    for alert_type, now in level.items():
        if len(outbox) >= MOST_IN_OUTBOX:
            break
        before = firing.get(alert_type)
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
    return _DESCRIBED[alert_type](subject)


def _describe_calls(subject: Subject) -> tuple[dict[str, Any], str]:
    metrics = subject.metrics
    details = {each: metrics[each] for each in ("ib_calls_14d", "health_score")}
    return details, f"{_named(subject)} has {metrics['ib_calls_14d']} IB calls in 14 days"


def _describe_health(subject: Subject) -> tuple[dict[str, Any], str]:
    metrics = subject.metrics
    details = {each: metrics[each] for each in ("health_score", "sessions_7d", "ib_calls_14d")}
    return details, f"{_named(subject)} has low health score: {float(metrics['health_score'])}"


def _describe_imbalance(subject: Subject) -> tuple[dict[str, Any], str]:
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
    name, demand, supply = subject.key.entity_id, figures["demand_score"], figures["supply_score"]
    return details, f"High demand detected for {name} (Demand: {demand}, Supply: {supply})"


def _describe_first_sessions(subject: Subject) -> tuple[dict[str, Any], str]:
    figures = _rolled_figures(subject)
    rate, known = figures["first_session_success_rate"], figures["first_outcomes"]
    # The rate's four decimals tell the number for up to 10,000 of them.
    of = f" ({round(rate * known)} of {known})" if rate != _NOT_KNOWN else ""
    details = {each: figures[each] for each in ("first_session_success_rate", "first_outcomes", "first_sessions_30d")}
    return details, f"{_named(subject)} has a first session success rate of {_decimal(rate)}{of}"


def _describe_velocity(subject: Subject) -> tuple[dict[str, Any], str]:
    last, before = _weeks(subject) or (_NOT_KNOWN, _NOT_KNOWN)
    details = {"counted_7d": last, "counted_7d_before": before}
    return details, f"{_named(subject)} has {last} sessions in 7 days after {before} in the 7 before"


def _describe_no_tutors(subject: Subject) -> tuple[dict[str, Any], str]:
    details = {each: subject.metrics.get(each, _NOT_KNOWN) for each in ("available_tutors", "active_students")}
    students = details["active_students"]
    return details, f"No tutors available for {subject.key.entity_id} (Active students: {students})"


def _describe_surge(subject: Subject) -> tuple[dict[str, Any], str]:
    figures = _rolled_figures(subject)
    details = {each: figures[each] for each in ("sessions_7d", "usual_daily", "surge_score")}
    sessions, usual = figures["sessions_7d"], _decimal(figures["usual_daily"])
    return details, f"Demand surge for {subject.key.entity_id}: {sessions} sessions in 7 days, usually {usual} a day"


_DESCRIBED: Final[Mapping[str, Callable[[Subject], tuple[dict[str, Any], str]]]] = {
    HIGH_IB_CALL_FREQUENCY: _describe_calls,
    LOW_HEALTH_SCORE: _describe_health,
    SUPPLY_DEMAND_IMBALANCE: _describe_imbalance,
    FIRST_SESSION_SUCCESS_LOW: _describe_first_sessions,
    SESSION_VELOCITY_DROP: _describe_velocity,
    NO_TUTORS_AVAILABLE: _describe_no_tutors,
    DEMAND_SURGE: _describe_surge,
}


def _named(subject: Subject) -> str:
    return f"{subject.key.entity_type.capitalize()} {subject.key.entity_id}"


def _decimal(number: Any) -> Any:
    return number if number == _NOT_KNOWN else float(number)


def _rolled_figures(subject: Subject) -> dict[str, Any]:
    """All that a rollup has found out; what is not known is so called, as when an alert ends for want of it."""
    totals = subject.totals
    given = {} if totals is None else {**totals.figures, **totals._asdict()}
    names = ("sessions_7d", "first_sessions_30d", "first_session_success_rate")
    found = {name: given.get(name) for name in (*names, "first_outcomes", "usual_daily", "surge_score")}
    return {name: _NOT_KNOWN if value is None else value for name, value in found.items()}


def without(state: Alerts, sent: frozenset[str]) -> Alerts:
    """The state without the notifications that have these ids."""
    return state._replace(outbox=tuple(each for each in state.outbox if json.loads(each)["alert_id"] not in sent))


def _digest(*parts: object) -> str:
    """A name for a notification or episode, the same whenever it is made from the same parts."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
