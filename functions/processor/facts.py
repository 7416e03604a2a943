"""Facts: the sessions and calls of the last 32 days of each entity, as rows that merge.

`merge` is a join (idempotent, commutative, associative), and from that alone follows that counts are right for
duplicates, retries, replays and any order. Guard this property above all. Pure: frames in, frames out, `as_of` an
argument.

A *row* frame has the columns of `ROWS`, one row for each thing (a session or a call) that names the entity; a *folded*
frame has those of `FOLDED`, one row an hour, for entities with more things than rows are kept for. Column `entity` is
the entity's position in the list at hand.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import polars as pl

from .model import DAY_MS, HOUR_MS

SESSION: Final = 0
CALL: Final = 1

UNKNOWN: Final = 0
FAILURE: Final = 1
SUCCESS: Final = 2
"""Outcomes; of two at the same time the greater wins."""

RETENTION_MS: Final = 32 * DAY_MS
"""Facts are kept this long after the latest event known of them."""

MOST_ROWS: Final = 1_000
"""Above this many rows an entity's oldest are folded into hours ..."""
ROWS_AFTER_FOLD: Final = 700
"""... until this many are left."""

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


def merge(*frames: pl.DataFrame) -> pl.DataFrame:
    """The join of row frames: the union of their rows, those of one key reduced to one.

    The earlier time; the later last; the rating of the latest rated completion (of equal times the larger); the outcome
    of the latest completion that has one (success over failure); the subject of the earliest event that names one (the
    smaller name). Sorted by entity, time, kind, id.
    """
    rows = pl.concat([frame.select(ROWS.names()) for frame in frames])
    latest_rating = pl.col("rating_time") == pl.col("rating_time").max()
    latest_outcome = pl.col("outcome_time") == pl.col("outcome_time").max()
    earliest_subject = pl.col("subject_time") == pl.col("subject_time").min()
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
        )
        .select(ROWS.names())
        .sort("entity", "time", "kind", "id")
        .collect()
    )


class Merged(NamedTuple):
    """What became of stored and arriving facts."""

    rows: pl.DataFrame
    """`ROWS`, of all entities, sorted by entity, time, kind, id."""
    folded: pl.DataFrame
    """`FOLDED`, sorted by entity, time, kind."""
    folded_before: dict[int, int]
    """By entity: facts before this moment (epoch ms) have lost their identities."""
    changed: set[int]
    """The entities whose stored facts differ from the merged ones."""
    too_late: pl.DataFrame
    """The arriving rows that a folded entity cannot take: columns entity, record."""


def absorb(
    stored: pl.DataFrame,
    folded: pl.DataFrame,
    folded_before: Mapping[int, int],
    arriving: pl.DataFrame,
    as_of: pl.Series,
) -> Merged:
    """Merges arriving facts into the stored ones, drops what is past retention, and folds what is above the cap.

    Parameters
    ----------
    stored, folded
        Frames of `ROWS` and `FOLDED`, as unpacked.
    folded_before
        By entity, where it has been folded.
    arriving
        `ROWS` and a column `record` (UInt32), several rows a key where several events tell of one thing.
    as_of
        Int64, epoch ms, one value for each entity in the order of their positions.
    """
    alive = pl.col("last") > _at(as_of - RETENTION_MS)
    kept = stored.filter(alive)
    kept_folded = folded.filter(pl.col("time") > _at(as_of - RETENTION_MS))
    changed: set[int] = set()
    for before, after in ((stored, kept), (folded, kept_folded)):
        if after.height < before.height:
            gone = before.join(after, on=before.columns, how="anti", nulls_equal=True)
            changed |= set(gone["entity"].unique())

    accepted = arriving.filter(alive)
    too_late = _too_late(kept, folded_before, accepted)
    if too_late.height:
        accepted = accepted.join(too_late, on=["entity", "record"], how="anti")
    touched = kept.join(accepted, on=KEY, how="semi")
    news = merge(touched, accepted).join(touched, on=ROWS.names(), how="anti", nulls_equal=True)
    if news.height:
        changed |= set(news["entity"].unique())
        kept = pl.concat([kept.join(news, on=KEY, how="anti"), news]).sort("entity", "time", "kind", "id")

    return _fold(kept, kept_folded, dict(folded_before), changed, too_late)


def _at(per_entity: pl.Series) -> pl.Expr:
    """The value of a per-entity series for each row's entity."""
    return pl.lit(per_entity).gather(pl.col("entity"))


def _too_late(stored: pl.DataFrame, folded_before: Mapping[int, int], arriving: pl.DataFrame) -> pl.DataFrame:
    """The arriving rows older than their entity's fold whose identity neither the stored rows nor a newer one knows."""
    if not folded_before or arriving.is_empty():
        return arriving.select("entity", "record").clear()
    edges = pl.DataFrame(
        {"entity": list(folded_before), "edge": list(folded_before.values())},
        schema={"entity": pl.UInt32, "edge": pl.Int64},
    )
    late = pl.col("time") < pl.col("edge")
    dated = arriving.join(edges, on="entity")
    return (
        dated.filter(late)
        .join(stored, on=KEY, how="anti")
        .join(dated.filter(~late), on=KEY, how="anti")
        .select("entity", "record")
        .unique(maintain_order=True)
    )


def _fold(
    rows: pl.DataFrame,
    folded: pl.DataFrame,
    folded_before: dict[int, int],
    changed: set[int],
    too_late: pl.DataFrame,
) -> Merged:
    """Folds the oldest rows of entities that have more than `MOST_ROWS` into hours, until `ROWS_AFTER_FOLD` are left.

    Things of the same millisecond are never parted, since the edge is a time: where they straddle it they stay, unless
    that would leave too many rows.
    """
    sizes = rows.group_by("entity").len().filter(pl.col("len") > MOST_ROWS)
    if sizes.height:
        over = rows.join(sizes, on="entity")
        edge = pl.col("time").sort().get(pl.len() - ROWS_AFTER_FOLD)
        crowded = (pl.col("time") >= edge).sum() > MOST_ROWS
        edges = over.group_by("entity").agg(edge=edge + crowded.cast(pl.Int64))
        old = over.join(edges, on="entity").filter(pl.col("time") < pl.col("edge"))
        hours = old.select(
            "entity",
            "kind",
            time=pl.col("time") // HOUR_MS * HOUR_MS,
            weight=pl.lit(1, pl.Int64),
            rating_sum=pl.col("rating").fill_null(0).cast(pl.Int64),
            rating_count=pl.col("rating").is_not_null().cast(pl.Int64),
        )
        folded = (
            pl.concat([folded, hours])
            .group_by("entity", "kind", "time")
            .agg(pl.col("weight", "rating_sum", "rating_count").sum())
            .select(FOLDED.names())
            .sort("entity", "time", "kind")
        )
        rows = rows.join(old, on=KEY, how="anti")
        for entity, moment in edges.iter_rows():
            folded_before[entity] = max(moment, folded_before.get(entity, moment))
            changed.add(entity)
    return Merged(rows, folded, folded_before, changed, too_late)
