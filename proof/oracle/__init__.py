"""The contract, executed the plain way: every public attribute recomputed from the records themselves.

The demo and the tests compare the table with it. It follows sections 1 to 3 of the contract rule by rule, in plain
Python over lists and dicts; speed does not matter. It must not import anything of `functions`, nor know how state is
stored. It does not model what storage adds: the folding of very large entities, and so the reason `too_late`.

`events.accept` reads a record, `entities.recompute` gives the items, `rollup.roll_up` a rollup's figures.
"""

from proof.oracle.entities import recompute
from proof.oracle.events import Event, Identity, accept
from proof.oracle.model import (
    DAY_MS,
    UNSPECIFIED_REGION,
    EntityKey,
    Recomputed,
    Record,
    Rejected,
    Rules,
    Totals,
    canonical_json,
)
from proof.oracle.rollup import roll_up
from proof.oracle.times import EPOCH, iso, own_time, time_ms

__all__ = [
    "DAY_MS",
    "EPOCH",
    "UNSPECIFIED_REGION",
    "EntityKey",
    "Event",
    "Identity",
    "Recomputed",
    "Record",
    "Rejected",
    "Rules",
    "Totals",
    "accept",
    "canonical_json",
    "iso",
    "own_time",
    "recompute",
    "roll_up",
    "time_ms",
]
