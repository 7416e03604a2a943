"""Folding: the oldest facts of an entity that has too many become one row an hour and kind, without identities.

It bounds an item's size (contract section 5: under 100 KB). Counts stay exact but for the hour at a window's edge.
Pure.
"""

from typing import Final

import polars as pl

from .facts import FOLDED, KEY
from .model import HOUR_MS
from .packing import HEADER_BYTES, NARROW_BYTES, WIDE_BYTES, Packed, stored_bytes

MOST_ROWS: Final = 1_000
"""Above this many rows an entity's oldest are folded ..."""
ROWS_AFTER_FOLD: Final = 700
"""... until this many are left."""
MOST_BYTES: Final = 48_000
"""Above this many bytes of rows and of the names that they refer to they are folded too ..."""
BYTES_AFTER_FOLD: Final = 33_600
"""... until this many are left."""


def is_too_much(packed: Packed) -> bool:
    """Whether these facts are to be folded."""
    rows = len(packed.narrow) // NARROW_BYTES + len(packed.wide) // WIDE_BYTES
    return rows > MOST_ROWS or len(packed.blob) - HEADER_BYTES - len(packed.folded) > MOST_BYTES


def fold(rows: pl.DataFrame, folded: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, dict[int, int]]:
    """Folds what is too much.

    Parameters
    ----------
    rows, folded
        Frames of `ROWS` and `FOLDED`, sorted.

    Returns
    -------
    tuple
        The rows that are left, the folded rows, and by entity the edge (epoch ms): what was told of last before it has
        been folded, now or earlier, so it never goes back. Things of the same millisecond are never parted by it:
        where they straddle it they stay, unless that would leave too many.
    """
    names = sum((pl.col(name).str.len_bytes().fill_null(0).sum() for name in ("subject", "tutor")), start=pl.lit(0))
    suspects = (
        rows.group_by("entity")
        .agg(rows=pl.len(), bytes=pl.len() * WIDE_BYTES + names)
        .filter((pl.col("rows") > MOST_ROWS) | (pl.col("bytes") > MOST_BYTES))
    )
    if suspects.is_empty():
        return rows, folded, {}
    # The edge is between latest events, so that no event of a folded thing, delivered again, looks like a new thing.
    # From the newest to the oldest: a name is stored once, so its newest row pays for it.
    newest_first = rows.join(suspects.select("entity"), on="entity").sort(
        "entity", "last", "kind", "id", descending=[False, True, True, True]
    )
    measured = newest_first.select(
        "entity",
        "last",
        rows=pl.int_range(1, pl.len() + 1).over("entity"),
        bytes=stored_bytes().cum_sum().over("entity"),
    )
    too_much = (pl.col("rows") > MOST_ROWS) | (pl.col("bytes") > MOST_BYTES)
    fits = (pl.col("rows") <= ROWS_AFTER_FOLD) & (pl.col("bytes") <= BYTES_AFTER_FOLD)
    edge = pl.col("last").filter(fits).min()
    crowded = (too_much & (pl.col("last") >= edge)).any()
    edges = (
        measured.group_by("entity")
        .agg(too_much.any().alias("too_much"), edge=edge + crowded.cast(pl.Int64))
        .filter("too_much")
        .select("entity", "edge")
    )
    old = rows.join(edges, on="entity").filter(pl.col("last") < pl.col("edge"))
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
    return rows.join(old, on=KEY, how="anti", maintain_order="left"), folded, dict(edges.iter_rows())
