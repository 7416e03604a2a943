"""Fills the report from a deployed stack: its table, its quarantine, and what its functions have logged.

Reads only, and only so much: what is cut off is counted, so that the page can say it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappush, heappushpop
from typing import Any, Final

import polars as pl
from botocore.exceptions import ClientError

from functions.aws.clients import in_parallel
from functions.entities import packing
from functions.entities.alerts import SEVERITIES, AlertRules
from functions.entities.item import INTERNAL, Attributes, from_attribute
from functions.model import DAY_MS, HOUR_MS, from_datetime, from_iso
from ops import aws, function_logs
from ops.quarantine import stored_objects
from ops.quarantine.stored_objects import StoredObject
from ops.report.data import (
    DAYS,
    HEALTH_STEP,
    Balance,
    Batch,
    Entity,
    Episode,
    Firing,
    Health,
    Quarantine,
    Reason,
    Report,
    Table,
    Throughput,
    Timeline,
    Traffic,
)

SHOWN: Final[Mapping[str, int]] = {"student": 250, "tutor": 100, "subject": 75, "region": 75}
"""How many entities of each type the page shows."""
MOST_EPISODES: Final = 300
MOST_LISTED: Final = 20_000
"""Objects of the quarantine that are listed; their reasons are in them, and only the latest are read."""
MOST_READ: Final = 1_000
MOST_BATCHES: Final = 10_000

_NOT_READABLE: Final = (KeyError, ValueError, TypeError, AttributeError)
_EMPTY_DAYS: Final = (0,) * DAYS
_LOGGED: Final = "EventsByHour"
"""What only the processor's metrics document has."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read: clients of boto3's kind, and names."""

    dynamodb: Any
    s3: Any
    logs: Any
    table: str
    bucket: str
    processor: str
    notifier: str | None
    """None for a stack without one."""


def gather(
    sources: Sources,
    rules: AlertRules,
    now_ms: int,
    *,
    alerts_since_ms: int,
    batches_since_ms: int,
    report: Callable[[int, int | None], None] = lambda _number, _total: None,
) -> Report:
    """Reads everything that the page shows.

    Parameters
    ----------
    sources
        Where from.
    rules
        The deployed processor's thresholds.
    now_ms
        The moment that the page is of, epoch ms.
    alerts_since_ms, batches_since_ms
        From when on the journal of alerts and the processor's log are read, epoch ms.
    report
        Called with the number of items of each page of the table, and None.

    Raises
    ------
    ClientError, BotoCoreError
        When something cannot be read. That a function has no log yet is no error.
    """
    reading = _Items(now_ms, rules)
    for page in sources.dynamodb.get_paginator("scan").paginate(TableName=sources.table):
        reading.take(page["Items"])
        report(len(page["Items"]), None)
    return Report(
        sources.table,
        now_ms,
        reading.table(),
        _timeline(sources, reading.firing, alerts_since_ms),
        _quarantine(sources.s3, sources.bucket),
        _throughput(sources, batches_since_ms, now_ms),
    )


# -- the table --------------------------------------------------------------------------------------------------------


class _Items:
    """Takes the table in page by page; keeps the entities with most to say, and sums of all."""

    def __init__(self, now_ms: int, rules: AlertRules) -> None:
        self._now_ms = now_ms
        self._rules = rules
        self._kept: dict[str, list[tuple[tuple[float, ...], str, Entity]]] = {name: [] for name in SHOWN}
        self._counts: Counter[str] = Counter()
        self._unreadable = 0
        self._daily = [0] * DAYS
        self._subjects: list[Entity] = []
        self._health = [0] * (100 // HEALTH_STEP)
        self._unreported = 0
        self._balances: list[Balance] = []
        self.firing: dict[str, Episode] = {}
        """Every alert that fires now, by its episode_id."""

    def take(self, items: Sequence[Attributes]) -> None:
        daily = self._daily_sessions(items)
        for position, attributes in enumerate(items):
            try:
                self._take(attributes, daily.get(position, ()))
            except _NOT_READABLE:
                self._unreadable += 1

    def _take(self, attributes: Attributes, daily: Sequence[int]) -> None:
        item = {name: from_attribute(value) for name, value in attributes.items() if name not in INTERNAL}
        entity = _entity(item, daily)
        episodes = {
            each["episode_id"]: Episode(
                entity.entity_type,
                entity.entity_id,
                name,
                each["severity"],
                from_iso(each["since"]),
                None,
                firing=True,
                message="",
            )
            for name, each in item["alerts"].items()
        }
        balances = _balances(item) if entity.entity_type == "subject" else ()
        self._counts[entity.entity_type] += 1
        self.firing |= episodes
        self._balances += balances
        if entity.entity_type == "student":
            self._daily = [one + other for one, other in zip(self._daily, daily or _EMPTY_DAYS, strict=True)]
            if "reported" in item:
                self._health[min(int(item["health_score"] // HEALTH_STEP), len(self._health) - 1)] += 1
            else:
                self._unreported += 1
        if entity.entity_type == "subject" and entity.figures.get("sessions_30d"):
            self._subjects.append(entity)
        kept = self._kept[entity.entity_type]
        add = heappush if len(kept) < SHOWN[entity.entity_type] else heappushpop
        add(kept, (_weight(entity), entity.entity_id, entity))

    def _daily_sessions(self, items: Sequence[Attributes]) -> dict[int, list[int]]:
        """Sessions in each of the last 32 days by the item's position; nothing of facts that cannot be read."""
        positions, stored = [], []
        for position, attributes in enumerate(items):
            if "facts" not in attributes:
                continue
            try:
                stored.append(packing.read(bytes(attributes["facts"]["B"])))
            except _NOT_READABLE:
                continue
            positions.append(position)
        if not stored:
            return {}
        day = DAYS - 1 - (self._now_ms - pl.col("time")) // DAY_MS
        counted = (
            packing.things(stored)
            .lazy()
            .filter("session", day.is_between(0, DAYS - 1))
            .group_by("entity", day=day)
            .agg(pl.col("weight").sum())
            .collect()
        )
        found = {position: list(_EMPTY_DAYS) for position in positions}
        for entity, at, sessions in counted.iter_rows():
            found[positions[entity]][at] = sessions
        return found

    def table(self) -> Table:
        ranked = [entry for kept in self._kept.values() for entry in kept]
        ranked.sort(key=lambda entry: entry[:2], reverse=True)
        self._subjects.sort(key=lambda entity: (-entity.figures["sessions_30d"], entity.entity_id))
        self._balances.sort(key=lambda each: (each.subject, each.region))
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
            Firing(name, each["severity"], from_iso(each["since"]))
            for name, each in sorted(item["alerts"].items(), key=lambda alert: -SEVERITIES.index(alert[1]["severity"]))
        ],
        daily if item["entity_type"] in ("student", "tutor") else (),
        item.get("balance_status", ""),
        from_iso(item["last_updated"]),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weight(entity: Entity) -> tuple[float, ...]:
    """The greater, the more an entity has to say: its alerts, then how busy it is."""
    figures = entity.figures.get
    return (
        max((SEVERITIES.index(each.severity) for each in entity.firing), default=0),
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


# -- alerts -----------------------------------------------------------------------------------------------------------


def _timeline(sources: Sources, firing: Mapping[str, Episode], since_ms: int) -> Timeline:
    """What fires, from the table, and what was told of, from the journal."""
    told: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    note = ""
    if sources.notifier is None:
        note = "This stack has no notifier, which keeps the journal of alerts: only what fires now is shown."
    else:
        try:
            for each in function_logs.alerts(sources.logs, sources.notifier, since_ms):
                if isinstance(episode_id := each.alert.get("episode_id"), str):
                    told[episode_id].append(each.alert)
        except ClientError as error:
            if not aws.is_missing(error):
                raise
            note = "The notifier has not logged anything yet: only what fires now is shown."
    episodes = [
        episode
        for episode_id in {**firing, **told}
        if (episode := _episode(firing.get(episode_id), told.get(episode_id, ()))) is not None
    ]
    episodes.sort(
        key=lambda each: (
            not each.firing,
            -SEVERITIES.index(each.severity) if each.firing else 0,
            each.started_ms if each.firing else -(each.ended_ms or each.started_ms),
            each.entity_id,
        )
    )
    return Timeline(
        episodes[:MOST_EPISODES],
        max(0, len(episodes) - MOST_EPISODES),
        Counter(each.severity for each in firing.values()),
        sum(each.ended_ms is not None for each in episodes),
        since_ms,
        note,
    )


def _episode(firing: Episode | None, told: Sequence[Mapping[str, Any]]) -> Episode | None:
    """One episode of what the table and the journal say of it; None when the journal's words are no alert of ours."""
    try:
        ordered = sorted(told, key=lambda alert: (from_iso(alert["timestamp"]), alert["status"] == "resolved"))
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
    except _NOT_READABLE:
        return firing


# -- quarantine -------------------------------------------------------------------------------------------------------


def _quarantine(s3: Any, bucket: str) -> Quarantine:
    found: list[tuple[int, str]] = []
    more = False
    for prefix in stored_objects.prefixes(""):
        listed = 0
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            contents = page.get("Contents", ())
            found += ((from_datetime(each["LastModified"]), each["Key"]) for each in contents)
            listed += len(contents)
            if listed >= MOST_LISTED:
                more = more or page["IsTruncated"]
                break
    latest = [key for _, key in sorted(found, reverse=True)[:MOST_READ]]
    read = in_parallel(lambda key: _read(s3, bucket, key), latest)
    reasons: dict[tuple[str, str], list[StoredObject]] = defaultdict(list)
    for each in read:
        if each is not None:
            reasons[each.kind, each.reason].append(each)
    summed = [
        Reason(
            reason,
            kind,
            len(each),
            sum(len(one.records) for one in each),
            min(entry.arrival_ms for one in each for entry in one.records),
            max(entry.arrival_ms for one in each for entry in one.records),
            each[0].detail,
        )
        for (kind, reason), each in reasons.items()
    ]
    summed.sort(key=lambda one: (-one.records, one.kind, one.reason))
    return Quarantine(summed, len(found), len(latest), read.count(None), more)


def _read(s3: Any, bucket: str, key: str) -> StoredObject | None:
    """One object; None when it is gone by now or not as it should be."""
    try:
        return stored_objects.parse(key, s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    except (ValueError, RecursionError):
        return None


# -- the processor's log ----------------------------------------------------------------------------------------------


def _throughput(sources: Sources, asked_ms: int, now_ms: int) -> Throughput:
    """Batches hour by hour back from now, until all that is asked for is there, or as many as the page takes."""
    batches: list[Batch] = []
    events: Counter[tuple[str, int]] = Counter()
    until_ms = now_ms + 1
    note = ""
    try:
        while until_ms > asked_ms and len(batches) < MOST_BATCHES:
            since_ms = max(asked_ms, until_ms - HOUR_MS)
            for line in function_logs.lines(sources.logs, sources.processor, _LOGGED, since_ms, until_ms):
                document = function_logs.json_object(line.text)
                try:
                    batches.append(_batch(document))
                    events.update(_events(document))
                except _NOT_READABLE:  # some other line that has the word in it
                    continue
            until_ms = since_ms
    except ClientError as error:
        if not aws.is_missing(error):
            raise
        note = "The processor has not logged anything yet."
    else:
        if not batches:
            note = "The processor has taken in no batch in this time."
    oldest_ms = now_ms - DAYS * DAY_MS
    return Throughput(
        sorted(batches, key=lambda batch: batch.at_ms),
        [Traffic(kind, hour, count) for (kind, hour), count in sorted(events.items()) if hour >= oldest_ms],
        sum(count for (_, hour), count in events.items() if hour < oldest_ms),
        until_ms,
        asked_ms,
        note,
    )


def _batch(document: Mapping[str, Any]) -> Batch:
    """A batch of its metrics document (CloudWatch, embedded metric format: each metric is a list of its values)."""
    lag = document.get("BatchLag")
    records, duplicates, quarantined, failed = (
        int(sum(document[name])) for name in ("Records", "Duplicates", "Quarantined", "FailedRecords")
    )
    return Batch(
        int(document["_aws"]["Timestamp"]),
        records,
        duplicates,
        quarantined,
        failed,
        None if lag is None else float(max(lag)),
        float(document["BatchMilliseconds"]),
    )


def _events(document: Mapping[str, Any]) -> dict[tuple[str, int], int]:
    return {
        (event_type, from_iso(f"{hour}:00:00.000Z")): count
        for event_type, hours in document[_LOGGED].items()
        for hour, count in hours.items()
    }
