"""Figures of subjects and tutors over the sessions in all students' and tutors' items: what no single item can tell.

A session stands in several items: its student's, its tutor's, and a group session in those of many students. So they
are made distinct by identity before anything is counted: partition by identity, never add partial sums. A sum over
items, or over parts of the table, would count a session as often as it stands there. Two kinds of sums may be added,
exactly: those over partitions by identity, since no session is in two of them (`daily`), and those of what is local to
a student, since no student is in two segments (`local`). `added` adds either.

Three callers share this: one process that does all, and the map and reduce steps of a run by many. Pure: frames in,
frames out; `as_of` is an argument.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

import polars as pl

from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.entities.windows import DAYS_30
from functions.model import DAY_MS, EntityKey, EntityType

COPIES: Final = pl.Schema(
    {
        "id": pl.UInt64,
        "time": pl.Int64,  # epoch ms, as are the others
        "subject": pl.String,
        "subject_time": pl.Int64,  # null without a subject
        "rating": pl.UInt16,  # ten-thousandths, of tutors' copies alone
        "rating_time": pl.Int64,  # null without a rating
    }
)
"""What one item says of a session: one row for each item in which it stands with its identity."""

OWN: Final = pl.Schema({"entity": pl.UInt32, "time": pl.Int64, "subject": pl.String})
"""Sessions as their student's item has them; `entity` tells students apart within a frame."""

FIRST: Final = pl.Schema({"time": pl.Int64, "subject": pl.String, "tutor_id": pl.String, "success": pl.Boolean})
"""Students' first sessions; `success` is null while the outcome is unknown."""

KEY: Final = ("entity_type", "entity_id")

LOCAL: Final = pl.Schema(
    {
        "entity_type": pl.String,
        "entity_id": pl.String,
        "active_students_30d": pl.Int64,
        "first_sessions_30d": pl.Int64,
        "first_outcomes": pl.Int64,
        "first_successes": pl.Int64,
    }
)
"""Of some students, what they have to do with a subject or tutor: one row each."""

DAILY: Final = pl.Schema(
    {
        "subject": pl.String,
        "day": pl.Int64,  # 0 to 29 whole days before as_of; what is ahead of it is of day 0
        "sessions": pl.Int64,
        "ratings": pl.Int64,
        "rating_sum": pl.Int64,  # ten-thousandths
    }
)
"""Distinct sessions of some partitions, by subject and day."""

TOTALS_SCHEMA: Final = pl.Schema(
    {
        "entity_type": pl.String,
        "entity_id": pl.String,
        "sessions_7d": pl.Int64,  # null of a tutor, as are all but the first sessions'
        "sessions_14d": pl.Int64,
        "sessions_30d": pl.Int64,
        "session_velocity": pl.Int64,
        "avg_rating": pl.Int64,  # ten-thousandths
        "ratings_30d": pl.Int64,
        "active_students_30d": pl.Int64,
        "first_sessions_30d": pl.Int64,
        "first_session_success_rate": pl.Int64,  # ten-thousandths
        "first_outcomes": pl.Int64,
        "usual_daily": pl.Int64,  # null below 1
        "surge_score": pl.Int64,  # tenths; null without a usual day
    }
)
"""What a rollup finds out, or what an item already has of it: one row an entity, all null where it has nothing yet.

All whole, so that what is stored and read again is the same."""

_PARTS: Final = {"avg_rating": 10_000, "first_session_success_rate": 10_000, "surge_score": 10}
_IDENTIFYING: Final = frozenset({*KEY, "subject", "day"})
_DAYS: Final = 30
_LATEST_DAYS: Final = 7
_NEVER: Final = (1 << 63) - 1


def split(rows: pl.DataFrame, of_tutor: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What items say of sessions (`fact_frames.SESSIONS`) as `COPIES`, and of them the students' as `OWN`.

    `of_tutor` (Boolean) says of each entity, by its position, whether it is a tutor: students rate something else.
    """
    taught = of_tutor.gather(rows["entity"])
    ratings = pl.when(taught).then(pl.col("rating", "rating_time"))
    return rows.select("id", "time", "subject", "subject_time", ratings), rows.filter(~taught).select(OWN.names())


# -- sums that may be added -------------------------------------------------------------------------------------------


def local(own: pl.LazyFrame, first: pl.LazyFrame, as_of: int) -> pl.LazyFrame:
    """What these students, all of whose rows are here, have to do with subjects and tutors: `LOCAL`.

    Parameters
    ----------
    own
        `OWN`. A student is active in a subject that such a session of the last 30 days has.
    first
        `FIRST`. Those of the last 30 days count for their subject and for their tutor.
    as_of
        The rollup's moment, epoch ms.
    """
    recent = pl.col("time") > as_of - DAYS_30
    active = (
        own.filter(recent & pl.col("subject").is_not_null())
        .unique(["entity", "subject"])
        .group_by(entity_type=pl.lit("subject"), entity_id="subject")
        .agg(active_students_30d=pl.len())
    )
    begun = [
        first.filter(recent & pl.col(name).is_not_null())
        .group_by(entity_type=pl.lit(entity_type), entity_id=name)
        .agg(
            first_sessions_30d=pl.len(),
            first_outcomes=pl.col("success").count(),
            first_successes=pl.col("success").sum(),
        )
        for entity_type, name in (("subject", "subject"), ("tutor", "tutor_id"))
    ]
    each = pl.concat([active, *begun], how="diagonal")
    return each.group_by(KEY).agg(pl.col(name).sum().cast(LOCAL[name]) for name in LOCAL if name not in KEY)


def daily(copies: pl.LazyFrame, as_of: int) -> pl.LazyFrame:
    """The distinct sessions of whole partitions, counted by subject and day: `DAILY`.

    A session's time is the earliest of its copies; its subject that of the copy with the earliest subject_time (of
    equal ones the smaller name); its rating that of the latest rating_time (of equal ones the larger).

    Parameters
    ----------
    copies
        `COPIES`, with all copies of every session of which there is one.
    as_of
        The rollup's moment, epoch ms.
    """
    named = pl.struct(pl.col("subject_time").fill_null(_NEVER), "subject")
    rated = pl.struct(pl.col("rating_time").fill_null(-1), "rating")
    distinct = copies.group_by("id").agg(
        pl.col("time").min(), pl.col("subject").min_by(named), pl.col("rating").max_by(rated).cast(pl.Int64)
    )
    return (
        distinct.filter((pl.col("time") > as_of - DAYS_30) & pl.col("subject").is_not_null())
        .group_by("subject", day=((as_of - pl.col("time")) // DAY_MS).clip(0))
        .agg(
            sessions=pl.len().cast(pl.Int64),
            ratings=pl.col("rating").count().cast(pl.Int64),
            rating_sum=pl.col("rating").sum(),
        )
    )


def added(parts: Sequence[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    """The sum of frames of `LOCAL` over different students, or of `DAILY` over different partitions."""
    parts = [part for part in parts if part.height]
    if len(parts) < 2:
        return parts[0] if parts else schema.to_frame()
    keys = [name for name in schema if name in _IDENTIFYING]
    return pl.concat(parts).group_by(keys).agg(pl.col(name).sum() for name in schema if name not in _IDENTIFYING)


# -- figures ----------------------------------------------------------------------------------------------------------


def figures(daily: pl.DataFrame, local: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """What subjects and tutors amount to: `TOTALS_SCHEMA`, sorted by key.

    Parameters
    ----------
    daily
        `DAILY` over all partitions.
    local
        `LOCAL` over all students.
    known
        `TOTALS_SCHEMA` of what is stored. Every subject and tutor that has an item or is counted in `daily` or `local`
        gets figures: zeros where nothing is left of it.
    """
    counted = daily.lazy().rename({"subject": "entity_id"})
    of_subject = pl.col("entity_type") == "subject"
    keys = pl.concat(
        [
            known.lazy().select(KEY),
            counted.select(pl.lit("subject").alias("entity_type"), "entity_id"),
            local.lazy().select(KEY),
        ]
    ).unique()
    days = pl.LazyFrame({"day": range(_DAYS)}, schema={"day": pl.Int64})
    subjects = (
        keys.filter(of_subject)
        .join(days, how="cross")
        .join(counted, on=["entity_id", "day"], how="left")
        .with_columns(pl.col("sessions", "ratings", "rating_sum").fill_null(0))
        .group_by(KEY)
        .agg(**_OVER_DAYS)
        .with_columns(**_SUBJECTS)
        .with_columns(**_SURGE)
    )
    whole = keys.join(subjects, on=KEY, how="left").join(local.lazy(), on=KEY, how="left")
    firsts = pl.col("first_sessions_30d", "first_outcomes", "first_successes").fill_null(0)
    return (
        whole.with_columns(
            firsts, active_students_30d=pl.when(of_subject).then(pl.col("active_students_30d").fill_null(0))
        )
        .with_columns(first_session_success_rate=_mean("first_successes", "first_outcomes", 10_000))
        .select(TOTALS_SCHEMA.names())
        .sort(KEY)
        .collect()
    )


def overall(daily: pl.DataFrame, local: pl.DataFrame) -> dict[str, int | float]:
    """What all subjects amount to together, by the names of their attributes; the arguments are those of `figures`.

    Returns
    -------
    dict
        `sessions_7d`, `sessions_30d` and `first_sessions_30d`; `avg_rating` and `first_session_success_rate` where
        there is one. Who is active in two subjects would be counted twice: active students are not among them.
    """
    of_subjects = local.filter(pl.col("entity_type") == "subject").sum().row(0, named=True)
    latest, whole = (part.sum().row(0, named=True) for part in (daily.filter(_DAY < _LATEST_DAYS), daily))
    found: dict[str, int | float] = {
        "sessions_7d": latest["sessions"],
        "sessions_30d": whole["sessions"],
        "first_sessions_30d": of_subjects["first_sessions_30d"],
    }
    if whole["ratings"]:
        found["avg_rating"] = whole["rating_sum"] / whole["ratings"] / 10_000
    if of_subjects["first_outcomes"]:
        found["first_session_success_rate"] = of_subjects["first_successes"] / of_subjects["first_outcomes"]
    return found


def changed(found: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Of `TOTALS_SCHEMA` those that are not what is stored."""
    figures = [name for name in TOTALS_SCHEMA if name not in KEY]
    stored = known.rename({name: f"stored {name}" for name in figures})
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"stored {name}")) for name in figures)
    return found.join(stored, on=KEY, how="left", maintain_order="left").filter(differs).select(TOTALS_SCHEMA.names())


def totals(found: pl.DataFrame, as_of: int) -> dict[EntityKey, Totals]:
    """Rows of `TOTALS_SCHEMA` as what their entities take in."""
    made = {}
    for row in found.iter_rows(named=True):
        for name, parts in _PARTS.items():
            if row[name] is not None:
                row[name] /= parts
        key = EntityKey(cast(EntityType, row["entity_type"]), row["entity_id"])
        public = {name: row[name] for name in TOTALS_ATTRIBUTES[key.entity_type]}
        made[key] = Totals(as_of, public, row["first_outcomes"], row["usual_daily"], row["surge_score"])
    return made


def stored(totals: Mapping[EntityKey, Totals | None]) -> pl.DataFrame:
    """What items have of a rollup, as `TOTALS_SCHEMA`: the inverse of `totals`."""
    rows = []
    for key, known in totals.items():
        values = {} if known is None else {**known.figures, **known._asdict()}
        for name, parts in _PARTS.items():
            if values.get(name) is not None:
                values[name] = round(values[name] * parts)
        rows.append((*key, *(values.get(name) for name in TOTALS_SCHEMA if name not in KEY)))
    return pl.DataFrame(rows, schema=TOTALS_SCHEMA, orient="row")


def _mean(total: str, count: str, parts: int) -> pl.Expr:
    """`total / count` in ten-thousandths, half to even, when `total` times `parts` is; 0 without any."""
    # Sums of ten-thousandths are exact, and so is the tie that half-even decides.
    mean = (pl.col(total) * parts / pl.col(count)).round(mode="half_to_even")
    return pl.when(pl.col(count) > 0).then(mean).otherwise(0).cast(pl.Int64)


_DAY: Final = pl.col("day")
_COUNT: Final = pl.col("sessions")
_PAST: Final = _COUNT.filter(_DAY >= _LATEST_DAYS)
_OVER_DAYS: Final = {
    "sessions_7d": _COUNT.filter(_DAY < 7).sum(),
    "sessions_14d": _COUNT.filter(_DAY < 14).sum(),
    "sessions_30d": _COUNT.sum(),
    "ratings_30d": pl.col("ratings").sum(),
    "rating_sum": pl.col("rating_sum").sum(),
    "usual_daily": _PAST.median(),
    "deviation": (_PAST - _PAST.median()).abs().median(),
}
_SUBJECTS: Final = {
    "session_velocity": 2 * pl.col("sessions_7d") - pl.col("sessions_14d"),
    "avg_rating": _mean("rating_sum", "ratings_30d", 1),
    "usual_daily": pl.when(pl.col("usual_daily") >= 1).then("usual_daily").cast(pl.Int64),
}
# The modified z-score of the latest 7 days' mean: how far it is from the median of the 23 days before, in units of
# their median absolute deviation times 1.4826, which for a normal distribution is its standard deviation (B. Iglewicz
# and D. C. Hoaglin, "How to Detect and Handle Outliers", 1993; an outlier from 3.5 on). The unit is at least the square
# root of the median, a Poisson process's standard deviation: after a past without spread anything would be an outlier.
_SURGE: Final = {
    "surge_score": (
        (10 * (pl.col("sessions_7d") - _LATEST_DAYS * pl.col("usual_daily")))
        / (_LATEST_DAYS * pl.max_horizontal(1.4826 * pl.col("deviation"), pl.col("usual_daily").sqrt()))
    )
    .round(mode="half_to_even")
    .cast(pl.Int64)
}
