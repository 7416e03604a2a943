"""Measures each entity's facts and registers at a moment. Pure.

A window of N days at `as_of` holds the things whose time is later than `as_of - N days`. Each measurement counts the
facts anew; no count is ever added to.
"""

from typing import Final

import polars as pl

from functions.model import DAY_MS

DAYS_7: Final = 7 * DAY_MS
DAYS_14: Final = 14 * DAY_MS
DAYS_30: Final = 30 * DAY_MS

THINGS: Final = pl.Schema(
    {
        "entity": pl.UInt32,
        "session": pl.Boolean,  # else a call
        "time": pl.Int64,  # epoch ms; a folded row's is its hour
        "weight": pl.Int64,  # how many sessions or calls
        "rating_sum": pl.Int64,  # ten-thousandths
        "rating_count": pl.Int64,
    }
)
"""The rows that windows count: a session, a call, or an hour of folded ones."""

STANDING: Final = pl.Schema(
    {
        "as_of": pl.Int64,  # epoch ms
        "reported_at": pl.Int64,  # of a student's health report; null without one, as are the next four
        "health_score": pl.Float64,
        "sessions_last_7_days": pl.Int64,
        "sessions_last_30_days": pl.Int64,
        "ib_calls_last_14_days": pl.Int64,
    }
)
"""What the windows need of each entity beside its facts: one row an entity, in the order of their positions."""

MEASURED: Final = pl.Schema(
    {
        "sessions_7d": pl.Int64,
        "sessions_14d": pl.Int64,
        "sessions_30d": pl.Int64,
        "ib_calls_7d": pl.Int64,
        "ib_calls_14d": pl.Int64,
        "avg_rating": pl.Int64,  # ten-thousandths
        "ratings_30d": pl.Int64,
        "session_velocity": pl.Int64,
        "counted_7": pl.Int64,  # sessions of 7 days among the facts alone
        "health_score": pl.Float64,  # 100 until one is reported
    }
)
"""What `measure` adds to `STANDING`, one row an entity in the same order."""


def measure(things: pl.DataFrame, standing: pl.DataFrame) -> pl.LazyFrame:
    """Measure each entity at its `as_of`.

    Parameters
    ----------
    things
        The entities' facts: `THINGS`, in any order.
    standing
        `STANDING`.

    Returns
    -------
    pl.LazyFrame
        `STANDING` and `MEASURED`, so that alert levels can be added before one `collect`.
    """
    as_of = standing["as_of"].gather(things["entity"])
    counted = things.with_columns(as_of=as_of).lazy().group_by("entity").agg(**_COUNTED)
    measured = standing.lazy().with_row_index("entity").join(counted, on="entity", how="left", maintain_order="left")
    for step in _STEPS:
        measured = measured.with_columns(step)
    return measured.select(*(name for name in STANDING if name not in MEASURED), *MEASURED)


def run(query: pl.LazyFrame) -> pl.DataFrame:
    """Run such a query as it is written.

    Over a few hundred rows, planning it or starting Polars' streaming engine takes as long as running it.
    """
    return query.collect(engine="in-memory", optimizations=pl.QueryOptFlags.none())


def _within(window: int) -> pl.Expr:
    """Return whether a thing is in the window of so many milliseconds."""
    return pl.col("as_of") - pl.col("time") < window


def _number(window: int, which: pl.Expr) -> pl.Expr:
    """Return how many sessions or calls are in a window."""
    return (pl.col("weight") * (_within(window) & which)).sum()


def _younger(window: int) -> pl.Expr:
    return pl.col("reported_at") > pl.col("as_of") - window


def _reported(name: str, window: int) -> pl.Expr:
    """Return a health report's figure while the report is younger than the figure's window; else null."""
    return pl.when(_younger(window)).then(pl.col(name))


# The query's expressions are made once: to make them takes as long as to run them over a small batch.

_SESSION: Final = pl.col("session")
_COUNTED: Final = {
    "counted_7": _number(DAYS_7, _SESSION),
    "counted_14": _number(DAYS_14, _SESSION),
    "counted_30": _number(DAYS_30, _SESSION),
    "calls_7": _number(DAYS_7, ~_SESSION),
    "calls_14": _number(DAYS_14, ~_SESSION),
    "rating_sum": (pl.col("rating_sum") * _within(DAYS_30)).sum(),
    "ratings_30d": (pl.col("rating_count") * _within(DAYS_30)).sum(),
}
"""The sums over each entity's things. They multiply by masks, because a filter within a group is slow."""
_STEPS: Final = (
    [pl.col(name).fill_null(0) for name in _COUNTED],
    [
        pl.max_horizontal("counted_7", _reported("sessions_last_7_days", DAYS_7)).alias("sessions_7d"),
        pl.col("calls_7").alias("ib_calls_7d"),
        (2 * pl.col("counted_7") - pl.col("counted_14")).alias("session_velocity"),
        # Sums of ten-thousandths are exact, and so is the tie that half-even decides.
        pl.when(pl.col("ratings_30d") > 0)
        .then((pl.col("rating_sum") / pl.col("ratings_30d")).round(mode="half_to_even"))
        .otherwise(0)
        .cast(pl.Int64)
        .alias("avg_rating"),
        pl.col("health_score").fill_null(100.0),
    ],
    [
        pl.max_horizontal("counted_14", "sessions_7d").alias("sessions_14d"),
        pl.max_horizontal("calls_14", _reported("ib_calls_last_14_days", DAYS_14), "ib_calls_7d").alias("ib_calls_14d"),
    ],
    [
        pl.max_horizontal("counted_30", _reported("sessions_last_30_days", DAYS_30), "sessions_14d").alias(
            "sessions_30d"
        )
    ],
)
