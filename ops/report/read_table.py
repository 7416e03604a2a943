"""Reads the items of the metrics table for the report page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import heappush, heappushpop
from typing import Any, Final

import polars as pl

from functions.entities.alerts import SEVERITIES, AlertRules
from functions.entities.attribute_values import Attributes
from functions.model import DAY_MS, from_iso
from ops import items
from ops.report.data import DAYS, HEALTH_STEP, Balance, Entity, Episode, Firing, Health, Table
from ops.wholes import Whole

NOT_READABLE: Final = (KeyError, ValueError, TypeError, AttributeError)
"""What an item or a log line of another release raises where it is read."""

_EMPTY_DAYS: Final = (0,) * DAYS


class TableSummary:
    """Sums up the table page by page, and keeps the entities to show: those with the most alerts and sessions.

    Parameters
    ----------
    now_ms
        The moment of the page, epoch ms.
    rules
        The deployed processor's thresholds.
    shown
        How many entities of each type to keep.
    """

    def __init__(self, now_ms: int, rules: AlertRules, shown: Mapping[str, int]) -> None:
        self._now_ms = now_ms
        self._rules = rules
        self._shown = shown
        self._kept: dict[str, list[tuple[tuple[float, ...], str, Entity]]] = {name: [] for name in shown}
        self._counts: Counter[str] = Counter()
        self._unreadable = 0
        self._daily = [0] * DAYS
        self._subjects: list[Entity] = []
        self._health = [0] * (100 // HEALTH_STEP)
        self._unreported = 0
        self._balances: list[Balance] = []
        self.firing: dict[str, Episode] = {}
        """Every alert that fires now, by its episode_id."""

    def add(self, page: Sequence[Whole]) -> None:
        """Adds a page of the table."""
        daily = self._daily_sessions(page)
        for position, item in enumerate(page):
            try:
                self._add(item.head, daily.get(position, ()))
            except NOT_READABLE:
                self._unreadable += 1

    def _add(self, attributes: Attributes, daily: Sequence[int]) -> None:
        item = items.public_values(attributes)
        entity = _entity(item, daily)
        episodes = _firing_episodes(entity, item["alerts"])
        balances = _balances(item) if entity.entity_type == "subject" else ()
        self._counts[entity.entity_type] += 1
        self.firing |= episodes
        self._balances += balances
        if entity.entity_type == "student":
            self._add_student(item, daily)
        if entity.entity_type == "subject" and entity.figures.get("sessions_30d"):
            self._subjects.append(entity)
        kept = self._kept[entity.entity_type]
        push = heappush if len(kept) < self._shown[entity.entity_type] else heappushpop
        push(kept, (_weight(entity), entity.entity_id, entity))

    def _add_student(self, item: Mapping[str, Any], daily: Sequence[int]) -> None:
        self._daily = [total + sessions for total, sessions in zip(self._daily, daily or _EMPTY_DAYS, strict=True)]
        if "reported" in item:
            self._health[min(int(item["health_score"] // HEALTH_STEP), len(self._health) - 1)] += 1
        else:
            self._unreported += 1

    def _daily_sessions(self, page: Sequence[Whole]) -> dict[int, list[int]]:
        """Returns the sessions in each of the last `DAYS` times 24 hours, by the item's position in the page.

        Items without facts are left out, and those of which head or tail cannot be read.
        """
        rows = items.rows_of_stored_facts([(item.head, item.tail) for item in page], NOT_READABLE)
        day = DAYS - 1 - (self._now_ms - pl.col("time")) // DAY_MS
        counted = (
            rows.lazy()
            .filter("session", day.is_between(0, DAYS - 1))
            .group_by("entity", day=day)
            .agg(pl.col("weight").sum())
            .collect()
        )
        daily = {position: list(_EMPTY_DAYS) for position in rows["entity"].unique()}
        for position, day_counted, sessions in counted.iter_rows():
            daily[position][day_counted] = sessions
        return daily

    def table(self) -> Table:
        """Returns what was added, in the order of the page."""
        ranked = [entry for kept in self._kept.values() for entry in kept]
        ranked.sort(key=lambda entry: entry[:2], reverse=True)
        self._subjects.sort(key=lambda entity: (-entity.figures["sessions_30d"], entity.entity_id))
        self._balances.sort(key=lambda balance: (balance.subject, balance.region))
        rules = self._rules
        return Table(
            [entity for _, _, entity in ranked],
            dict(self._counts),
            self._unreadable,
            self._daily,
            self._subjects,
            Health(self._health, self._unreported, rules.health_warning, rules.health_critical),
            self._balances,
        )


def _entity(item: Mapping[str, Any], daily: Sequence[int]) -> Entity:
    return Entity(
        item["entity_type"],
        item["entity_id"],
        {name: value for name, value in item.items() if _is_number(value)},
        [
            Firing(alert_type, alert["severity"], from_iso(alert["since"]))
            for alert_type, alert in sorted(
                item["alerts"].items(), key=lambda entry: -SEVERITIES.index(entry[1]["severity"])
            )
        ],
        daily if item["entity_type"] in ("student", "tutor") else (),
        item.get("balance_status", ""),
        from_iso(item["last_updated"]),
    )


def _firing_episodes(entity: Entity, alerts: Mapping[str, Mapping[str, Any]]) -> dict[str, Episode]:
    """Returns an item's alerts that fire now, by episode_id."""
    return {
        alert["episode_id"]: Episode(
            entity.entity_type,
            entity.entity_id,
            alert_type,
            alert["severity"],
            from_iso(alert["since"]),
            None,
            firing=True,
            message="",
        )
        for alert_type, alert in alerts.items()
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weight(entity: Entity) -> tuple[float, ...]:
    """Returns by what entities are chosen and ordered: their alerts, then how busy they are."""
    figures = entity.figures.get
    return (
        max((SEVERITIES.index(alert.severity) for alert in entity.firing), default=0),
        len(entity.firing),
        figures("ib_calls_14d", 0),
        figures("sessions_30d", 0),
        figures("active_students", 0),
    )


def _balances(item: Mapping[str, Any]) -> list[Balance]:
    return [
        Balance(
            item["entity_id"],
            region,
            latest["balance_status"],
            latest.get("demand_score"),
            latest.get("supply_score"),
            latest.get("available_tutors"),
            latest.get("active_students"),
            from_iso(latest["updated_at"]),
        )
        for region, latest in item["regions"].items()
    ]
