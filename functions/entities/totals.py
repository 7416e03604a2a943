"""Keeps totals: what a rollup computes for a subject or tutor from other entities' items. Pure.

An item consists of facts, registers and totals. `later` is a join like those of the other two.
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
    """The figures of one entity from one rollup."""

    as_of: int
    """The moment they are of, epoch ms."""
    figures: Mapping[str, int | float]
    """The public attributes that `TOTALS_ATTRIBUTES` names for the entity's type, each as it is stored."""
    first_outcomes: int = 0
    """How many of the first sessions have a known outcome. The success rate is over these."""
    usual_daily: float | None = None
    """A subject's median of sessions a day over days 8 to 30. None below 1."""
    surge_score: float | None = None
    """How far the last 7 days stand above `usual_daily`, in robust standard deviations. None without a usual day."""


def later(one: Totals, other: Totals) -> Totals:
    """Return the join of two rollups: the later one.

    Of two rollups of the same moment, the greater figures win, in the order of their names.
    """
    return max(one, other, key=_order)


def newest(stored: Totals | None, totals: Totals | None) -> Totals | None:
    """Return an entity's totals after a rollup. Equal figures change nothing, not even `as_of`."""
    if totals is None or stored is None:
        return stored if totals is None else totals
    return stored if totals[1:] == stored[1:] else later(stored, totals)


def _order(totals: Totals) -> tuple[Any, ...]:
    usual, score = (-math.inf if number is None else number for number in (totals.usual_daily, totals.surge_score))
    return totals.as_of, sorted(totals.figures.items()), totals.first_outcomes, usual, score
