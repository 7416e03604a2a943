"""Facts kept in memory: what the processor's windows cost when state need not be unpacked and packed in each batch.

Rows are replaced by marking the old ones and appending the new; a compaction once a day drops what is marked or too
old, and brings each entity's rows together. Entities are small numbers. Nothing is stored, and nothing is folded.
"""

from typing import Any, Final

import polars as pl

from bench.windows_core import COLUMNS, standing
from functions.entities.facts import RETENTION_MS, SESSION
from functions.entities.windows import measure
from functions.model import DAY_MS

ARRIVING: Final = pl.Schema(
    {
        "entity": pl.UInt32,
        "kind": pl.UInt8,  # SESSION or CALL
        "id": pl.UInt64,  # a hash of kind and identity
        "time": pl.Int64,  # epoch ms
        "rating": pl.UInt32,  # ten-thousandths, at most 50,000, or null
    }
)
"""What events tell: one row for each entity that an event names."""

_ROWS: Final = pl.Schema(
    {
        "key": pl.UInt64,
        "entity": pl.UInt32,  # null once another row has replaced this one
        "session": pl.Boolean,
        "time": pl.Int64,  # of the earliest event
        "last": pl.Int64,  # of the latest event
        "rated": pl.Int64,  # the time of the latest rated event and its rating in one number: the greatest counts
    }
)

_RATING_BITS: Final = 16
_MIXER: Final = 0x9E37_79B9_7F4A_7C15  # odd, so that one id has another key in each entity

_TOLD: Final = (
    # Ids are hashes of 64 bits, and so are keys: two are alike no more often, and one column groups faster than two.
    (pl.col("id") ^ pl.col("entity").cast(pl.UInt64) * _MIXER).alias("key"),
    pl.col("entity"),
    (pl.col("kind") == SESSION).alias("session"),
    pl.col("time"),
    pl.col("time").alias("last"),
    (pl.col("time") * 2**_RATING_BITS + pl.col("rating")).alias("rated"),
)
_MERGED: Final = (pl.col("entity", "session").first(), pl.col("time").min(), pl.col("last", "rated").max())
_THINGS: Final = (
    pl.col("session"),
    pl.col("time"),
    pl.col("last"),
    pl.lit(1, pl.Int64).alias("weight"),
    (pl.col("rated") & 2**_RATING_BITS - 1).fill_null(0).alias("rating_sum"),
    pl.col("rated").is_not_null().cast(pl.Int64).alias("rating_count"),
)
# A batch's frames are small: planning takes longer than running, and the streaming engine longer to begin.
_OPTIMIZATIONS: Final = pl.QueryOptFlags.none().update(projection_pushdown=True)


class InMemory:
    """The facts of many entities, as rows of one frame."""

    def __init__(self) -> None:
        self._rows = pl.DataFrame(schema=_ROWS)
        self._entities = 0
        self._compacted_at = 0

    def take(self, arriving: pl.DataFrame, as_of: int) -> list[tuple[Any, ...]]:
        """Takes in `ARRIVING`, at least one row; gives of each entity named the entity itself and `COLUMNS`."""
        if as_of - self._compacted_at > DAY_MS:
            self._compact(as_of)
        told = arriving.select(_TOLD)
        named = told["entity"].unique()
        places = self._places(named)
        is_named = places.gather(self._rows["entity"]).is_not_null()
        rows = self._rows.filter(is_named)
        is_touched = rows["key"].is_in(told["key"].implode())
        merged = pl.concat([rows.filter(is_touched), told]).group_by("key").agg(*_MERGED)
        self._replace(is_named.arg_true().filter(is_touched), merged)
        rows = pl.concat([rows.filter(~is_touched), merged])
        things = rows.select(places.gather(rows["entity"]).alias("entity"), *_THINGS)
        query = measure(things, standing(as_of, len(named))).select(COLUMNS)
        return query.collect(engine="in-memory", optimizations=_OPTIMIZATIONS).insert_column(0, named).rows()

    def _places(self, named: pl.Series) -> pl.Series:
        """By entity: its position in `named`, or null."""
        self._entities = max(self._entities, 1 + named.sort()[-1])
        nowhere = pl.repeat(None, self._entities, dtype=pl.UInt32, eager=True)
        return nowhere.scatter(named, pl.int_range(len(named), dtype=pl.UInt32, eager=True))

    def _replace(self, old: pl.Series, new: pl.DataFrame) -> None:
        """Rows at these positions by others."""
        self._rows.replace_column(_ROWS.names().index("entity"), self._rows["entity"].scatter(old, None))
        self._rows.extend(new)

    def _compact(self, as_of: int) -> None:
        kept = pl.col("entity").is_not_null() & (pl.col("last") > as_of - RETENTION_MS)
        self._rows = self._rows.filter(kept).sort("entity")
        self._compacted_at = as_of
