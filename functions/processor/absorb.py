"""Takes arriving facts into the stored ones: retention, what comes too late for a folded entity, the merge, the fold.

Pure: frames in, frames out, `as_of` an argument. The merge itself is `facts.merge`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from .facts import KEY, RETENTION_MS, ROWS, merge
from .folding import fold


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
    news: pl.DataFrame
    """`ROWS`: those that are new or not what they were, before any fold."""
    too_late: pl.DataFrame
    """The arriving rows that a folded entity cannot take: columns entity, record."""
    repeated: dict[int, int]
    """By entity: how many of the arriving rows said what was known or what another of them says."""


def absorb(
    stored: pl.DataFrame,
    folded: pl.DataFrame,
    folded_before: Mapping[int, int],
    arriving: pl.DataFrame,
    as_of: pl.Series,
) -> Merged:
    """Merges arriving facts into the stored ones, drops what is past retention, and folds what is too much.

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
    told = Counter(accepted["entity"])
    told.subtract(Counter(accepted.join(news, on=KEY, how="semi").select(ROWS.names()).unique()["entity"]))
    if news.height:
        changed |= set(news["entity"].unique())
        kept = pl.concat([kept.join(news, on=KEY, how="anti"), news]).sort("entity", "time", "kind", "id")

    rows, hours, edges = fold(kept, kept_folded)
    return Merged(rows, hours, {**folded_before, **edges}, changed | edges.keys(), news, too_late, +told)


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
