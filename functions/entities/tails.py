"""Heads and tails: which of an entity's facts are in its item, the head, and which beside it, in its tail.

New facts are in the head, so that most writes are small. A move takes the older ones into the tail. One transaction
writes both and gives both the same generation, so that each fact is in one of the two. In which one depends on history
and changes nothing that is public. Only tails are folded. Pure.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from functions.entities import fact_columns
from functions.entities.attribute_values import Attributes, from_attribute, size_of, to_attribute
from functions.entities.fact_columns import NOTHING, FactColumns, facts_of
from functions.entities.facts import RETENTION_MS, SESSION, UNKNOWN, Fact
from functions.entities.folding import fold, is_too_much
from functions.entities.open_facts import OpenFacts, pack
from functions.model import DAY_MS, HOUR_MS, SECOND_MS, EntityKey, EntityType, ceil_div

MOST_RECENT_ROWS: Final = 500
MOST_RECENT_BYTES: Final = 16_000
"""Above either, facts move whatever it costs: a head stays small."""
GOES_ON_MS: Final = 4 * HOUR_MS
"""A session that began within this time and has not ended may be going on."""
_UNIT: Final = 1_024
"""DynamoDB bills a write for each 1,024 bytes of an item."""
_FACTS_NAME: Final = len("facts")
_NEW_ITEM_BYTES: Final = 500
"""The size of a new item without facts, about."""
_AROUND_A_TAIL: Final = 150
"""Bytes of a tail's item beside its facts, about."""


class Tail(NamedTuple):
    """An entity's older facts, and the hours that were folded."""

    generation: int
    """When it was written last, epoch ms, and greater than any before; 0 when there is no tail. The head names it."""
    facts: FactColumns = NOTHING
    folded_before: int | None = None
    """Facts whose latest event is before this moment (epoch ms) have been folded."""


NO_TAIL: Final = Tail(0)


def ends_ms(generation: int) -> int:
    """Return when (epoch ms) all facts of a tail have certainly expired. It need not be there any longer."""
    return generation + RETENTION_MS + DAY_MS


class Head(NamedTuple):
    """What decides whether an entity's recent facts move."""

    attributes: Attributes
    """The item as it is stored; empty when there is none yet."""
    writes: int
    """How often the item was written since the last move."""

    @property
    def other_bytes(self) -> int:
        """The size of the item without its facts."""
        others = {name: value for name, value in self.attributes.items() if name != "facts"}
        return size_of(others) if others else _NEW_ITEM_BYTES


def pays(recent: FactColumns, tail: Tail, head: Head) -> bool:
    """Return whether a move pays: the units that facts have added to writes since the last move have reached its own.

    Half of the writes, times what facts add to a write now, estimates what they have added since the last move. A move
    is a transaction of head and tail, which costs double.
    """
    if recent.facts.rows > MOST_RECENT_ROWS or len(recent.blob) > MOST_RECENT_BYTES:
        return True
    facts_bytes = _FACTS_NAME + len(recent.blob)
    tail_units = _units(_AROUND_A_TAIL + len(tail.facts.blob) + len(recent.blob))
    if head.writes * _units(facts_bytes) < 4 * (1 + tail_units):
        return False  # whatever else the item holds, whose size takes long to tell
    other_bytes = head.other_bytes
    added = _units(other_bytes + facts_bytes) - _units(other_bytes)
    return head.writes * added >= 4 * (_units(other_bytes) + tail_units)


def _units(size: int) -> int:
    return max(1, ceil_div(size, _UNIT))


def move(recent: FactColumns, tail: Tail, as_of: int) -> tuple[FactColumns, Tail]:
    """Return the head's facts and the tail after a move, the tail folded when it has become too large.

    All facts move but sessions that may be going on. The more room the head has, the later the next move pays.

    Parameters
    ----------
    recent
        The head's facts.
    tail
        With what has changed in it already.
    as_of
        Epoch ms. What has expired by then is dropped.

    Raises
    ------
    UnreadableFacts
        When a fact refers to a missing name.
    """
    staying, moving = _parted(recent, as_of)
    opened = OpenFacts(tail.facts)
    opened.drop(as_of - RETENTION_MS)
    opened.drop_hours(as_of - RETENTION_MS)
    for fact in moving:
        opened.put(fact, None)
    facts, folded_before = opened.close(), tail.folded_before
    if is_too_much(facts):
        facts, folded_before = fold(facts)
    return pack(staying, ()), Tail(max(as_of, tail.generation + 1), facts, folded_before)


def _parted(recent: FactColumns, as_of: int) -> tuple[Sequence[Fact], Sequence[Fact]]:
    """Part the head's facts into those that stay and those that move.

    A session that may be going on stays: its end would soon change the tail. The latest stay if there are very many.
    """
    newest_first = sorted(facts_of(recent), key=lambda fact: (fact.last, fact.kind, fact.id), reverse=True)
    staying: list[Fact] = []
    moving: list[Fact] = []
    for fact in newest_first:
        stays = len(staying) < MOST_RECENT_ROWS // 2 and _may_go_on(fact, as_of)
        (staying if stays else moving).append(fact)
    return staying, moving


def _may_go_on(fact: Fact, as_of: int) -> bool:
    has_ended = fact.outcome != UNKNOWN or fact.rating is not None
    return fact.kind == SESSION and not has_ended and fact.last > as_of - GOES_ON_MS


# -- stored form ------------------------------------------------------------------------------------------------------

_PREFIX: Final = "tail"
_SORT_KEY: Final = "facts"


def tail_key(key: EntityKey) -> Attributes:
    """Return the key of an entity's tail in the internal table.

    >>> tail_key(EntityKey("student", "stu_1"))["pk"]
    {'S': 'tail#student#stu_1'}
    """
    return {"pk": {"S": f"{_PREFIX}#{key.entity_type}#{key.entity_id}"}, "sk": {"S": _SORT_KEY}}


def is_tail(attributes: Attributes) -> bool:
    """Return whether an item of the internal table is a tail."""
    return str(attributes["pk"]["S"]).startswith(_PREFIX + "#")


def entity_of(attributes: Attributes) -> EntityKey:
    """Return whose tail an item of the internal table is, or the key of such an item.

    >>> entity_of(tail_key(EntityKey("student", "a#b")))
    EntityKey(entity_type='student', entity_id='a#b')
    """
    _, kind, name = attributes["pk"]["S"].split("#", 2)
    return EntityKey(cast(EntityType, kind), name)


def tail_attributes(key: EntityKey, tail: Tail) -> Attributes:
    """Return a tail as it is stored."""
    attributes = tail_key(key) | {
        "generation": to_attribute(tail.generation),
        "facts": {"B": tail.facts.blob},
        "expires": to_attribute(ceil_div(ends_ms(tail.generation), SECOND_MS)),
    }
    return attributes | ({} if tail.folded_before is None else {"folded_before": to_attribute(tail.folded_before)})


def parse_tail(attributes: Attributes) -> Tail:
    """Return a stored tail.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When it is not what `tail_attributes` writes.
    """
    return Tail(
        _moment(attributes, "generation"),
        fact_columns.read(bytes(attributes["facts"]["B"])),
        _moment(attributes, "folded_before") if "folded_before" in attributes else None,
    )


def _moment(attributes: Attributes, name: str) -> int:
    moment = from_attribute(attributes[name])
    if type(moment) is not int or not 0 <= moment < 1 << 47:
        raise ValueError(f"{name} is {moment!r}, not a whole number below 2^47")
    return moment
