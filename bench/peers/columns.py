"""Decoded events aggregated as columns: the windows of `plain.aggregate`, with nothing packed into bytes as there."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from bench.peers.in_memory import ARRIVING, InMemory
from bench.peers.stream import Metrics
from functions.entities.facts import CALL, SESSION
from functions.model import Event

_FIELDS: Final = {
    "student_id": pl.String,
    "student_rating": pl.UInt32,
    "tutor_id": pl.String,
    "tutor_rating": pl.UInt32,
}
_IS_CALL: Final = pl.col("event_type") == "ib_call_logged"
_IS_SESSION: Final = pl.col("event_type").str.starts_with("session_")


def aggregate(events: Sequence[Event], as_of: int) -> dict[str, Metrics]:
    """Each entity's windows (`Metrics.entity` is 0 here), by the entity's id."""
    given = [event.fields for event in events]
    told = pl.DataFrame(
        {
            "event_type": [event.event_type for event in events],
            "identity": [event.identity for event in events],
            "time": [event.time_ms for event in events],
            **{name: pl.Series([fields.get(name) for fields in given], dtype=dtype) for name, dtype in _FIELDS.items()},
        }
    )
    ids = pl.concat([told["student_id"], told["tutor_id"]]).drop_nulls().unique()
    things = told.filter(_IS_CALL | _IS_SESSION).with_columns(
        pl.col("student_id", "tutor_id").cast(pl.Enum(ids)).to_physical(),
        kind=pl.when(_IS_CALL).then(CALL).otherwise(SESSION),
        # Hashed with the kind as seed: a call is no session of the same name.
        id=pl.when(_IS_CALL).then(pl.col("identity").hash(CALL)).otherwise(pl.col("identity").hash(SESSION)),
    )
    arriving = [
        things.select(
            pl.col(f"{who}_id").alias("entity"), "kind", "id", "time", pl.col(f"{who}_rating").alias("rating")
        )
        for who in ("student", "tutor")
    ]
    rows = InMemory().take(pl.concat(arriving).drop_nulls("entity").cast(ARRIVING), as_of)
    names = ids.to_list()
    nothing = Metrics(0, *[0] * (len(Metrics._fields) - 1))
    return dict.fromkeys(names, nothing) | {names[entity]: Metrics(0, *row) for entity, *row in rows}
