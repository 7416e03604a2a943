"""Facts: the sessions and calls of the last 32 days of each entity, and how two of one thing are one.

`join` is idempotent, commutative and associative, and from that alone follows that counts are right for duplicates,
retries, replays and any order. Guard this property above all. Pure.
"""

import hashlib
from typing import Final, NamedTuple

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


class NewFact(NamedTuple):
    """A fact that is new or has changed."""

    fact: Fact
    known: Fact | None
    """What was stored of it before."""


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

    >>> start, end = told(SESSION, 7, 1_000, subject="algebra"), told(SESSION, 7, 4_000, rating=45_000)
    >>> fact = join(start, end)
    >>> fact.time, fact.last, fact.rating, fact.rating_time, fact.subject, fact.subject_time
    (1000, 4000, 45000, 4000, 'algebra', 1000)
    """
    kind, identity, time, last, rating, rated, outcome, ended, subject, named, tutor, taught = one
    _, _, time_2, last_2, rating_2, rated_2, outcome_2, ended_2, subject_2, named_2, tutor_2, taught_2 = other
    if rated_2 is not None and (rated is None or (rated_2, rating_2) > (rated, rating)):
        rating, rated = rating_2, rated_2
    if ended_2 is not None and (ended is None or (ended_2, outcome_2) > (ended, outcome)):
        outcome, ended = outcome_2, ended_2
    if named_2 is not None and (named is None or (named_2, subject_2) < (named, subject)):
        subject, named = subject_2, named_2
    if taught_2 is not None and (taught is None or (taught_2, tutor_2) < (taught, tutor)):
        tutor, taught = tutor_2, taught_2
    return Fact(
        kind,
        identity,
        min(time, time_2),
        max(last, last_2),
        rating,
        rated,
        outcome,
        ended,
        subject,
        named,
        tutor,
        taught,
    )
