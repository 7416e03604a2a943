"""The facts of many entities as one frame: for windows, and for the rollup. Pure."""

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import polars as pl

from functions.entities.fact_columns import FactColumns, Table
from functions.entities.facts import SESSION
from functions.model import HOUR_MS

SESSIONS: Final = pl.Schema(
    {
        "entity": pl.UInt32,
        "id": pl.UInt64,
        "time": pl.Int64,  # epoch ms, as are the others
        "subject": pl.String,
        "subject_time": pl.Int64,  # null without a subject
        "rating": pl.UInt16,  # ten-thousandths
        "rating_time": pl.Int64,  # null without a rating
    }
)
"""One row a session of an entity."""

_DTYPES: Final = {1: pl.UInt8, 2: pl.UInt16, 4: pl.UInt32, 8: pl.UInt64}


def things(parts: Sequence[tuple[int, FactColumns]]) -> pl.DataFrame:
    """Return what windows are made of, `windows.THINGS`: every row of these parts, folded ones included.

    A part is an entity's position and some of its facts. An entity may have several.
    """
    session, rating = pl.col("kind") == SESSION, pl.col("rating")
    entities, stored = [entity for entity, _ in parts], [facts for _, facts in parts]
    facts = _joined([part.facts for part in stored], "time", "kind", "rating", entities=entities).select(
        "entity",
        session=session,
        time=pl.col("base") + pl.col("time"),
        weight=pl.lit(1, pl.Int64),
        rating_sum=rating - (rating > 0),
        rating_count=(rating > 0).cast(pl.Int64),
    )
    if not any(part.hours.rows for part in stored):
        return facts
    hour = (pl.col("base") + pl.col("hour")) * HOUR_MS
    sums = pl.col("weight", "rating_sum", "rating_count")
    names = ("hour", "kind", "weight", "rating_sum", "rating_count")
    hours = _joined([part.hours for part in stored], *names, entities=entities)
    return pl.concat([facts, hours.select("entity", sums, session=session, time=hour).select(facts.columns)])


def sessions(parts: Sequence[tuple[int, FactColumns]], cutoff: int) -> tuple[pl.DataFrame, list[int]]:
    """Return the sessions of these parts, as `SESSIONS`; folded ones have no identity and are left out.

    A part is an entity's position and some of its facts. Facts whose latest event is at `cutoff` (epoch ms) or before
    have expired and are left out too. Returns also the positions of entities that refer to a missing subject: their
    parts that do have no row.
    """
    names = ("time", "kind", "id", "lasted", "rating", "subject")
    stored = [facts for _, facts in parts]
    rows = _joined([part.facts for part in stored], *names)
    last = pl.col("base") + pl.col("time") + pl.col("lasted")
    rows = rows.with_columns(*_exceptions(stored, rows.height)).filter((pl.col("kind") == SESSION) & (last > cutoff))
    # All parts' subjects in one list: a part's begin where those of the parts before it end.
    counts = pl.Series([len(entity_facts.subjects) for entity_facts in stored], dtype=pl.Int64)
    subjects = pl.Series([name for entity_facts in stored for name in entity_facts.subjects], dtype=pl.String)
    damaged = rows.filter(pl.col("subject") > counts.gather(rows["entity"]))["entity"].unique().sort()
    if damaged.len():
        rows = rows.filter(~pl.col("entity").is_in(damaged.implode()))
    begin = (counts.cum_sum() - counts).gather(rows["entity"])
    rated, named = pl.col("rating") > 0, pl.col("subject") > 0
    place = rows.select(pl.when(named).then(begin + pl.col("subject") - 1)).to_series()
    time = pl.col("base") + pl.col("time")
    found = rows.select(
        "entity",
        "id",
        time=time,
        subject=subjects.gather(place),
        subject_time=pl.when(named).then(pl.coalesce("subject_time", time)),
        rating=pl.when(rated).then(pl.col("rating") - 1).cast(pl.UInt16),
        rating_time=pl.when(rated).then(pl.coalesce("rating_time", time + pl.col("lasted"))),
    )
    owners = pl.Series([entity for entity, _ in parts], dtype=pl.UInt32)
    found = found.with_columns(entity=owners.gather(found["entity"]))
    return found, sorted({parts[part][0] for part in damaged})


def _exceptions(stored: Sequence[FactColumns], rows: int) -> list[pl.Series]:
    """The `rating_time` and `subject_time` of exceptions, null for all other facts."""
    begins = accumulate((entity_facts.facts.rows for entity_facts in stored), initial=0)
    found = [
        (begin + row, rating_time, subject_time)
        for begin, entity_facts in zip(begins, stored, strict=False)
        for row, (rating_time, _, subject_time, _) in entity_facts.exceptions.items()
        if row < entity_facts.facts.rows
    ]
    places, *times = zip(*found, strict=True) if found else ([], [], [])
    nulls = pl.repeat(None, rows, dtype=pl.Int64, eager=True)
    names = ("rating_time", "subject_time")
    return [nulls.clone().scatter(places, values).alias(name) for name, values in zip(names, times, strict=True)]


def _joined(tables: Sequence[Table], *names: str, entities: Sequence[int] | None = None) -> pl.DataFrame:
    """Columns of tables, one table below the other: Int64, `id` UInt64.

    With them come `entity` (UInt32), which each row's table belongs to, its position by default, and `base` (Int64).
    """
    rows = sum(table.rows for table in tables)
    owners = range(len(tables)) if entities is None else entities
    numbers = {
        "entity": b"".join(
            [entity.to_bytes(4, "little") * table.rows for entity, table in zip(owners, tables, strict=True)]
        ),
        "base": b"".join([table.base.to_bytes(8, "little") * table.rows for table in tables]),
        **{name: _join([table.column(name) for table in tables]) for name in names},
    }
    # Each is one value of many bytes, read as an array of numbers.
    columns = []
    for name, column in numbers.items():
        dtype = pl.UInt32 if name == "entity" else pl.UInt64 if name == "id" else pl.Int64
        if rows:
            width = _DTYPES[len(column) // rows]
            read = pl.lit(column, pl.Binary).bin.reinterpret(dtype=pl.Array(width, rows)).explode()
        columns.append((read if rows else pl.lit(pl.Series([], dtype=dtype))).cast(dtype).alias(name))
    return pl.select(*columns)


def _join(columns: Sequence["array[int]"]) -> bytes:
    """The columns one after the other, all as wide as the widest."""
    columns = [column for column in columns if column]
    typecode = max((column.typecode for column in columns), key="BHIQ".index, default="B")
    return b"".join([column if column.typecode == typecode else array(typecode, column) for column in columns])
