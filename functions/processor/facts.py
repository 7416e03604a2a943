"""Facts: the sessions and calls of the last 32 days of each entity, as rows that merge.

`merge` is a join (idempotent, commutative, associative), and from that alone follows that counts are right for
duplicates, retries, replays and any order. Guard this property above all. Pure: frames in, frames out, `as_of` an
argument.

A *row* frame has the columns of `ROWS`, one row for each thing (a session or a call) that names the entity; a *folded*
frame has those of `FOLDED`, one row an hour, for entities with more things than rows are kept for. Column `entity` is
the entity's position in the list at hand.
"""

import hashlib
from typing import Any, Final

import polars as pl

from .model import DAY_MS

SESSION: Final = 0
CALL: Final = 1

UNKNOWN: Final = 0
FAILURE: Final = 1
SUCCESS: Final = 2
"""Outcomes; of two at the same time the greater wins."""

RETENTION_MS: Final = 32 * DAY_MS
"""Facts are kept this long after the latest event known of them."""

KEY: Final = ["entity", "kind", "id"]

ROWS: Final = pl.Schema(
    {
        "entity": pl.UInt32,
        "kind": pl.UInt64,  # SESSION or CALL
        "id": pl.UInt64,  # fact_id of kind and identity
        "time": pl.Int64,  # the earliest event, epoch ms
        "last": pl.Int64,  # the latest event, epoch ms
        "rating": pl.UInt64,  # ten-thousandths, or null
        "rating_time": pl.Int64,  # of the completion that gave the rating
        "outcome": pl.UInt64,  # UNKNOWN, FAILURE or SUCCESS
        "outcome_time": pl.Int64,  # of the completion that said so, or null
        "subject": pl.String,
        "subject_time": pl.Int64,  # of the earliest event that named the subject
        "tutor": pl.String,  # in a student's facts: who taught
        "tutor_time": pl.Int64,  # of the earliest event that named the tutor
    }
)

FOLDED: Final = pl.Schema(
    {
        "entity": pl.UInt32,
        "kind": pl.UInt64,
        "time": pl.Int64,  # the hour's start, epoch ms
        "weight": pl.Int64,  # how many things
        "rating_sum": pl.Int64,  # ten-thousandths
        "rating_count": pl.Int64,
    }
)


def fact_id(kind: int, identity: str) -> int:
    """The 64-bit name of a thing, the same in every entity's item and every release: BLAKE2b of kind and identity."""
    return int.from_bytes(hashlib.blake2b(b"%d:%s" % (kind, identity.encode()), digest_size=8).digest())


def row_of(
    entity: int,
    kind: int,
    identity: int,
    time: int,
    *,
    rating: int | None = None,
    outcome: int = UNKNOWN,
    subject: str | None = None,
    tutor: str | None = None,
) -> dict[str, Any]:
    """What one event says of one thing, as a row of `ROWS`: whatever it says has the event's own time."""
    return {
        "entity": entity,
        "kind": kind,
        "id": identity,
        "time": time,
        "last": time,
        "rating": rating,
        "rating_time": None if rating is None else time,
        "outcome": outcome,
        "outcome_time": None if outcome == UNKNOWN else time,
        "subject": subject,
        "subject_time": None if subject is None else time,
        "tutor": tutor,
        "tutor_time": None if tutor is None else time,
    }


def merge(*frames: pl.DataFrame) -> pl.DataFrame:
    """The join of row frames: the union of their rows, those of one key reduced to one.

    The earlier time; the later last; the rating of the latest rated completion (of equal times the larger); the outcome
    of the latest completion that has one (success over failure); subject and tutor of the earliest event that names one
    (the smaller name). Sorted by entity, time, kind, id.
    """
    rows = pl.concat([frame.select(ROWS.names()) for frame in frames])
    latest_rating = pl.col("rating_time") == pl.col("rating_time").max()
    latest_outcome = pl.col("outcome_time") == pl.col("outcome_time").max()
    earliest_subject = pl.col("subject_time") == pl.col("subject_time").min()
    earliest_tutor = pl.col("tutor_time") == pl.col("tutor_time").min()
    return (
        rows.lazy()
        .group_by(KEY)
        .agg(
            pl.col("time").min(),
            pl.col("last").max(),
            pl.col("rating").filter(latest_rating).max(),
            pl.col("rating_time").max(),
            pl.col("outcome").filter(latest_outcome).max().fill_null(UNKNOWN),
            pl.col("outcome_time").max(),
            pl.col("subject").filter(earliest_subject).min(),
            pl.col("subject_time").min(),
            pl.col("tutor").filter(earliest_tutor).min(),
            pl.col("tutor_time").min(),
        )
        .select(ROWS.names())
        .sort("entity", "time", "kind", "id")
        .collect()
    )
