"""Wakes: the moments at which entities must be looked at although no event names them. Pure.

Before an item is written, wakes are written for all later moments at which it changes by time alone: a fact leaves a
window, a health report becomes too old to count, a reminder is due, a notification is still to be sent. The roll reads
the wakes that are due. A wake too many does no harm. Without a wake, a count would not fall.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from functions.entities import alerts
from functions.entities.alerts import AlertRules, Alerts
from functions.entities.attribute_values import Attributes, from_attribute, to_attribute
from functions.entities.facts import CALL, SESSION, NewFact
from functions.entities.registers import Register
from functions.entities.windows import DAYS_7, DAYS_14, DAYS_30
from functions.model import DAY_MS, ENTITY_TYPES, MINUTE_MS, SECOND_MS, EntityKey, EntityType, ceil_div

MOST_BYTES: Final = 64_000
"""The most bytes of entity ids in one wake."""
MOST_LANES: Final = 256
KEPT_DAYS: Final = 30
"""How long after its moment a wake is kept when no roll deletes it."""

_WINDOWS: Final = {SESSION: (DAYS_7, DAYS_14, DAYS_30), CALL: (DAYS_7, DAYS_14)}
"""The windows that count each kind of fact."""
_REPORTED: Final = {"sessions_last_7_days": DAYS_7, "ib_calls_last_14_days": DAYS_14, "sessions_last_30_days": DAYS_30}
"""The fields of a health report that count, and how long they do."""
_DIGITS: Final = 12
"""Of a moment in a sort key: wakes sort by time."""


class Rhythm(NamedTuple):
    """When rolls run, and into how many lanes wakes are spread."""

    interval_ms: int = 5 * MINUTE_MS
    """The roll runs at multiples of this."""
    lanes: int = 4

    def next_roll(self, moment_ms: int) -> int:
        """Return when the first roll at a moment (epoch ms) or after it runs, epoch seconds.

        >>> Rhythm().next_roll(600_001)
        900
        """
        return ceil_div(moment_ms, self.interval_ms) * self.interval_ms // SECOND_MS

    def rolls(self, moments: Iterable[int], earliest_ms: int) -> frozenset[int]:
        """Return the rolls (epoch seconds) that look at these moments (epoch ms), none before the earliest."""
        return frozenset(self.next_roll(max(earliest_ms, moment)) for moment in moments)


class Wake(NamedTuple):
    """A note to look at these entities at a moment."""

    lane: int
    due: int
    """Epoch seconds, when a roll runs."""
    entities: tuple[EntityKey, ...]
    put_off: int = 0
    """How many rolls in a row could not bring the entities up to date."""


def of_facts(news: Iterable[NewFact], as_of: int) -> Iterator[int]:
    """Yield the moments (epoch ms) after `as_of` at which new or earlier facts leave a window."""
    for fact, known in news:
        if known is None or fact.time < known.time:
            yield from (leaves for window in _WINDOWS[fact.kind] if (leaves := fact.time + window) > as_of)


def of_report(report: Register, as_of: int) -> Iterator[int]:
    """Yield the moments (epoch ms) after `as_of` at which a field of a health report becomes too old to count."""
    for name, window in _REPORTED.items():
        if report.value.get(name) is not None and report.time + window > as_of:
            yield report.time + window


def of_alerts(before: Alerts, after: Alerts, rules: AlertRules, now_ms: int) -> Iterator[int]:
    """Yield when the next reminder is due, if that has changed, and now, if notifications are new (epoch ms)."""
    reminder = alerts.next_reminder(after, rules)
    if reminder is not None and reminder != alerts.next_reminder(before, rules):
        yield reminder
    if after.outbox and after.outbox != before.outbox:
        yield now_ms


def bundle(moments: Mapping[EntityKey, Iterable[int]], rhythm: Rhythm, put_off: int = 0) -> list[Wake]:
    """Return the wakes for entities and the rolls (epoch seconds) that must look at them; all in one lane.

    The same entities and moments give the same wakes.
    """
    by_due: dict[int, list[EntityKey]] = defaultdict(list)
    for key, dues in moments.items():
        for due in dues:
            by_due[due].append(key)
    if not by_due:
        return []
    first = min(moments)
    lane = int.from_bytes(hashlib.blake2b("\0".join(first).encode(), digest_size=2).digest()) % rhythm.lanes
    return [
        Wake(lane, due, entities, put_off) for due in sorted(by_due) for entities in _parts(sorted(set(by_due[due])))
    ]


def _parts(keys: Sequence[EntityKey]) -> Iterator[tuple[EntityKey, ...]]:
    part: list[EntityKey] = []
    size = 0
    for key in keys:
        length = len(key.entity_id.encode())
        if part and size + length > MOST_BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(key)
        size += length
    yield tuple(part)


# -- stored form ------------------------------------------------------------------------------------------------------


def lane_key(lane: int) -> str:
    """Return the partition key of a lane.

    >>> lane_key(3)
    'wake#3'
    """
    return f"wake#{lane}"


def first_after(due: int) -> str:
    """Return a sort key that is greater than those of all wakes up to a moment, and less than those of later ones.

    >>> first_after(1_764_000_000)
    '001764000001'
    """
    return f"{due + 1:0{_DIGITS}}"


def key_of(wake: Wake) -> Attributes:
    """Return a wake's key. The same entities and moment have the same key."""
    digest = hashlib.blake2b(repr([tuple(key) for key in wake.entities]).encode(), digest_size=8).hexdigest()
    return {
        "pk": to_attribute(lane_key(wake.lane)),
        "sk": to_attribute(f"{wake.due:0{_DIGITS}}#{digest}"),
    }


def attributes_of(wake: Wake) -> Attributes:
    """Return a wake as it is stored."""
    ids: dict[str, list[str]] = defaultdict(list)
    for key in wake.entities:
        ids[key.entity_type].append(key.entity_id)
    attributes = key_of(wake) | {
        "entities": to_attribute(dict(ids)),
        "expires": to_attribute(wake.due + KEPT_DAYS * DAY_MS // SECOND_MS),
    }
    return attributes | ({"put_off": to_attribute(wake.put_off)} if wake.put_off else {})


def parse(attributes: Attributes) -> Wake:
    """Return a stored wake.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When it is not what `attributes_of` writes.
    """
    ids = from_attribute(attributes["entities"])
    if unknown := ids.keys() - set(ENTITY_TYPES):
        raise ValueError(f"entities of the types {', '.join(sorted(unknown))}")
    wake = Wake(
        lane=int(attributes["pk"]["S"].removeprefix("wake#")),
        due=int(attributes["sk"]["S"].partition("#")[0]),
        entities=tuple(
            sorted(EntityKey(cast(EntityType, kind), name) for kind, names in ids.items() for name in names)
        ),
        put_off=from_attribute(attributes.get("put_off", {"N": "0"})),
    )
    if {name: attributes[name] for name in ("pk", "sk")} != key_of(wake):
        raise ValueError("the key is not that of these entities")
    if type(wake.put_off) is not int or wake.put_off < 0:
        raise ValueError(f"put_off is {wake.put_off!r}, not a whole number from 0")
    return wake
