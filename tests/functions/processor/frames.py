"""Frames of facts as tests write them, and what arrives for Hypothesis."""

from collections.abc import Iterable
from typing import Any

import polars as pl
from hypothesis import strategies as st

from functions.processor.arrivals import ARRIVING
from functions.processor.facts import CALL, FAILURE, FOLDED, ROWS, SESSION, SUCCESS, UNKNOWN, Merged, absorb
from functions.processor.model import DAY_MS

from .deployment import NOW

Row = dict[str, Any]

NO_ROWS = pl.DataFrame(schema=ROWS)
NO_HOURS = pl.DataFrame(schema=FOLDED)


def told(
    time: int,
    identity: int = 1,
    *,
    entity: int = 0,
    kind: int = SESSION,
    rating: int | None = None,
    outcome: int = UNKNOWN,
    subject: str | None = None,
) -> Row:
    """What one event says of one thing, as a row."""
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
    }


def rows(*made: Row) -> pl.DataFrame:
    """Rows as a frame of `ROWS`, in the order given."""
    return pl.DataFrame(list(made), schema=ROWS)


def arriving(made: Iterable[Row]) -> pl.DataFrame:
    """Rows as they arrive, each from a record of its own."""
    return pl.DataFrame([{**row, "record": record} for record, row in enumerate(made)], schema=ARRIVING)


def hours(*made: tuple[int, int, int, int, int]) -> pl.DataFrame:
    """Folded rows of entity 0: kind, time, weight, rating_sum, rating_count."""
    return pl.DataFrame([(0, *each) for each in made], schema=FOLDED, orient="row")


def take(stored: Merged | None, made: Iterable[Row], as_of: int = NOW, entities: int = 1) -> Merged:
    """`absorb` of what arrives into what an earlier one left."""
    frames = (NO_ROWS, NO_HOURS, {}) if stored is None else (stored.rows, stored.folded, stored.folded_before)
    return absorb(*frames, arriving(made), pl.Series([as_of] * entities, dtype=pl.Int64))


def moments(*days: int) -> st.SearchStrategy[int]:
    """Times up to `NOW`, many of them within two milliseconds of the edge of a window of so many days."""
    edges = st.builds(lambda day, off: NOW - day * DAY_MS + off, st.sampled_from(days), st.integers(-2, 2))
    return st.one_of(edges, st.integers(NOW - 33 * DAY_MS, NOW))


things = st.builds(
    told,
    moments(0, 7, 14, 30, 32),
    st.integers(1, 4),
    entity=st.integers(0, 1),
    kind=st.sampled_from([SESSION, CALL]),
    rating=st.sampled_from([None, 0, 12_345, 50_000]),
    outcome=st.sampled_from([UNKNOWN, FAILURE, SUCCESS]),
    subject=st.sampled_from([None, "algebra", "biology", "Ökologie"]),
)
"""What one event says of one of a few things of two entities: few identities and times, so that everything meets."""
