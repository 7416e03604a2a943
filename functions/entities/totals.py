"""What a rollup finds out about an entity from other entities' items: figures of subjects and of tutors.

Beside facts and registers, the third thing of which an item is made. `later` is a join like theirs. Pure.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

TOTALS_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "subject": (
        "sessions_7d",
        "sessions_14d",
        "sessions_30d",
        "session_velocity",
        "avg_rating",
        "ratings_30d",
        "active_students_30d",
        "first_sessions_30d",
        "first_session_success_rate",
    ),
    "tutor": ("first_sessions_30d", "first_session_success_rate"),
}
"""The public attributes that a rollup gives, by entity type."""


class Totals(NamedTuple):
    """One rollup's figures of one entity."""

    as_of: int
    """The moment they are of, epoch ms."""
    figures: Mapping[str, int | float]
    """The public attributes that `TOTALS_ATTRIBUTES` names for the entity's type, each as it is stored."""
    first_outcomes: int = 0
    """How many of the first sessions have a known outcome: what the success rate is over."""
    usual_daily: float | None = None
    """A subject's median of sessions a day over days 8 to 30; None below 1."""
    surge_score: float | None = None
    """How far the last 7 days stand above it, in robust standard deviations; None without a usual day."""


def later(one: Totals, other: Totals) -> Totals:
    """The join of two rollups: the later; of two of the same moment the one with the greater figures, in the order of
    their names."""
    return max(one, other, key=_order)


def newest(stored: Totals | None, totals: Totals | None) -> Totals | None:
    """What an entity's figures are after a rollup. One that finds what is stored changes nothing, not even `as_of`."""
    if totals is None or stored is None:
        return stored if totals is None else totals
    return stored if totals[1:] == stored[1:] else later(stored, totals)


def _order(totals: Totals) -> tuple[Any, ...]:
    usual, score = (-math.inf if number is None else number for number in (totals.usual_daily, totals.surge_score))
    return totals.as_of, sorted(totals.figures.items()), totals.first_outcomes, usual, score
