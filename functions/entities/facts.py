"""Facts: the sessions and calls of the last 32 days of each entity, and how two of one thing are one.

`join` is idempotent, commutative and associative, and from that alone follows that counts are right for duplicates,
retries, replays and any order. Guard this property above all. Pure.
"""

import hashlib
from typing import Any, Final, NamedTuple

from functions.model import DAY_MS

SESSION: Final = 0
CALL: Final = 1

UNKNOWN: Final = 0
FAILURE: Final = 1
SUCCESS: Final = 2
"""Outcomes; of two at the same time the greater wins."""

RETENTION_MS: Final = 32 * DAY_MS
"""Facts are kept this long after the latest event known of them."""


def fact_id(kind: int, identity: str) -> int:
    """The 64-bit name of a thing, the same in every entity's item and every release: BLAKE2b of kind and identity."""
    return int.from_bytes(hashlib.blake2b(b"%d:%s" % (kind, identity.encode()), digest_size=8).digest())


class Fact(NamedTuple):
    """What is known of one thing that names an entity, and equally what one event says of it."""

    kind: int
    """SESSION or CALL."""
    id: int
    """From `fact_id`."""
    time: int
    """Of the earliest event, epoch ms."""
    last: int
    """Of the latest event."""
    rating: int | None = None
    """Ten-thousandths."""
    rating_time: int | None = None
    outcome: int = UNKNOWN
    outcome_time: int | None = None
    subject: str | None = None
    subject_time: int | None = None
    tutor: str | None = None
    tutor_time: int | None = None


def told(
    kind: int,
    identity: int,
    time: int,
    *,
    rating: int | None = None,
    outcome: int = UNKNOWN,
    subject: str | None = None,
    tutor: str | None = None,
) -> Fact:
    """What one event says of one thing: whatever it says has the event's own time."""
    return Fact(
        kind,
        identity,
        time,
        time,
        rating,
        None if rating is None else time,
        outcome,
        None if outcome == UNKNOWN else time,
        subject,
        None if subject is None else time,
        tutor,
        None if tutor is None else time,
    )


def join(one: Fact, other: Fact) -> Fact:
    """What two facts of one kind and id amount to.

    The earlier time; the later last; the rating of the later rated completion (of equal times the larger); the outcome
    of the later completion that has one (success over failure); subject and tutor of the earlier event that names one
    (the smaller name). Idempotent, commutative and associative.
    """
    rated = _greater((one.rating_time, one.rating), (other.rating_time, other.rating))
    ended = _greater((one.outcome_time, one.outcome), (other.outcome_time, other.outcome))
    named = _smaller((one.subject_time, one.subject), (other.subject_time, other.subject))
    taught = _smaller((one.tutor_time, one.tutor), (other.tutor_time, other.tutor))
    return Fact(
        one.kind,
        one.id,
        min(one.time, other.time),
        max(one.last, other.last),
        rated[1],
        rated[0],
        ended[1],
        ended[0],
        named[1],
        named[0],
        taught[1],
        taught[0],
    )


def _greater(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
    """The later of two timed values, of equal times the greater; one without a time is none."""
    if one[0] is None or other[0] is None:
        return other if one[0] is None else one
    return max(one, other)


def _smaller(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
    if one[0] is None or other[0] is None:
        return other if one[0] is None else one
    return min(one, other)
