"""Explains an item: why each number is what it is, and when that changes without an event.

The processor's core computes what a number will be at another moment. This module only counts facts and puts results
into words. Nothing is read or written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from functions.entities.item import State
from functions.entities.plan import Rules
from functions.entities.registers import REPORTED
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.entities.windows import DAYS_7, DAYS_14, DAYS_30
from functions.model import DAY_MS, to_iso
from ops.due import figures_at, figures_of
from ops.items import rows_of_facts

Number = int | float


@dataclass(frozen=True, slots=True)
class _Window:
    """An attribute that follows from an entity's own facts in one window."""

    attribute: str
    unit: str
    includes: pl.Expr
    """Which rows of `windows.THINGS` count."""
    column: str
    """The column that is summed."""
    length: int
    """Milliseconds."""
    report: str = ""
    """The field of a health report that says the same; empty for none."""


_RATED: Final = ("rated sessions", pl.col("rating_count") > 0, "rating_count")
_WINDOWS: Final = (
    _Window("sessions_7d", "sessions", pl.col("session"), "weight", DAYS_7, "sessions_last_7_days"),
    _Window("sessions_14d", "sessions", pl.col("session"), "weight", DAYS_14),
    _Window("sessions_30d", "sessions", pl.col("session"), "weight", DAYS_30, "sessions_last_30_days"),
    _Window("ib_calls_7d", "calls", ~pl.col("session"), "weight", DAYS_7),
    _Window("ib_calls_14d", "calls", ~pl.col("session"), "weight", DAYS_14, "ib_calls_last_14_days"),
    _Window("ratings_30d", *_RATED, DAYS_30),
    _Window("avg_rating", *_RATED, DAYS_30),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a number becomes, and when."""

    at: str
    """ISO-8601."""
    to: Number


@dataclass(frozen=True, slots=True)
class FromReport:
    """A health report's figure that is larger than the count."""

    field: str
    reported_at: str
    """ISO-8601."""
    until: str
    """When the report is as old as its window and no longer counts."""
    then: Number
    """What the number is then."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a number is what it is, at the item's `as_of`."""

    attribute: str
    value: Any
    why: str
    """In words."""
    facts: int | None = None
    """How many sessions or calls count in its window; None for a number without a window."""
    earliest: str | None = None
    latest: str | None = None
    """ISO-8601 of the first and the last of them."""
    next_leaves: Change | None = None
    """When the next of them leaves the window, and what the number is then."""
    report: FromReport | None = None


def explain_numbers(state: State, rules: Rules) -> list[Explained]:
    """Explains each number of an item.

    Parameters
    ----------
    state
        The stored item.
    rules
        The processor's settings.
    """
    public = figures_of(state)
    if state.key.entity_type in ("student", "tutor"):
        explained = [*_explain_windows(state, public, rules), _explain_health(state, public)]
    else:
        explained = _explain_supply(state, public)
    return explained + _explain_rolled(state, public)


# -- windows ----------------------------------------------------------------------------------------------------------


def _explain_windows(state: State, public: Mapping[str, Any], rules: Rules) -> list[Explained]:
    rows, as_of = rows_of_facts(state), state.as_of
    inside = {
        window.attribute: rows.filter(window.includes & (pl.col("time") > as_of - window.length)) for window in _WINDOWS
    }
    leaves = {
        window.attribute: min(inside[window.attribute]["time"]) + window.length
        for window in _WINDOWS
        if not inside[window.attribute].is_empty()
    }
    recent, before = (
        rows.filter(pl.col("session") & (pl.col("time") > as_of - since) & (pl.col("time") <= as_of - until))
        for since, until in ((DAYS_7, 0), (DAYS_14, DAYS_7))
    )
    # The velocity falls when a session becomes one of the 7 days before, and rises when it leaves those.
    velocity_changes = [
        min(part["time"]) + length for part, length in ((recent, DAYS_7), (before, DAYS_14)) if len(part)
    ]
    report = state.registers.get(REPORTED)
    report_ends = {window.attribute: report.time + window.length for window in _WINDOWS if report and window.report}
    moments = sorted({*leaves.values(), *velocity_changes, *(end for end in report_ends.values() if end > as_of)})
    then = dict(zip(moments, figures_at([state] * len(moments), moments, rules), strict=True))
    explained = [
        _explain_window(window, state, public, inside[window.attribute], leaves.get(window.attribute), then)
        for window in _WINDOWS
        if window.attribute in public
    ]
    counts = [int(part["weight"].sum()) for part in (recent, before)]
    next_change = min(velocity_changes, default=None)
    explained.append(
        Explained(
            "session_velocity",
            public["session_velocity"],
            f"{counts[0]} sessions counted in 7 days, less {counts[1]} in the 7 before",
            facts=sum(counts),
            next_leaves=_change("session_velocity", next_change, then),
        )
    )
    return explained


def _explain_window(
    window: _Window,
    state: State,
    public: Mapping[str, Any],
    inside: pl.DataFrame,
    leaves: int | None,
    then: Mapping[int, Mapping[str, Any]],
) -> Explained:
    """Explains one window's number.

    Parameters
    ----------
    window
        The window.
    state
        The stored item.
    public
        Its public attributes.
    inside
        The rows of its facts that count in the window.
    leaves
        When the first of them leaves, epoch ms.
    then
        The public attributes at later moments, by epoch ms.
    """
    name, value, counted = window.attribute, public[window.attribute], int(inside[window.column].sum())
    report, from_report = state.registers.get(REPORTED), None
    if report and value > counted and report.value.get(window.report) == value:
        end = report.time + window.length
        if end > state.as_of:
            from_report = FromReport(window.report, to_iso(report.time), to_iso(end), then[end][name])
    return Explained(
        name,
        value,
        _why(window, public, counted, from_report),
        facts=counted,
        earliest=to_iso(min(inside["time"])) if len(inside) else None,
        latest=to_iso(max(inside["time"])) if len(inside) else None,
        next_leaves=_change(name, leaves, then),
        report=from_report,
    )


def _change(name: str, moment: int | None, then: Mapping[int, Mapping[str, Any]]) -> Change | None:
    return None if moment is None else Change(to_iso(moment), then[moment][name])


def _why(window: _Window, public: Mapping[str, Any], counted: int, report: FromReport | None) -> str:
    value = public[window.attribute]
    if window.attribute == "avg_rating":
        if not counted:
            return "0: none of its sessions of 30 days is rated"
        return f"the mean of {counted} {window.unit}; of a session's ratings the latest counts"
    if report is not None:
        return (
            f"the health report of {_minute(report.reported_at)} says {value}, more than the {counted} counted; it "
            f"counts until {_minute(report.until)}, then the number is {report.then}"
        )
    if value > counted:
        return f"{counted} counted, but it is never below that of a shorter window, which a health report has raised"
    return f"{counted} {window.unit} within {window.length // DAY_MS} days"


def _explain_health(state: State, public: Mapping[str, Any]) -> Explained:
    report = state.registers.get(REPORTED)
    if report is not None:
        why = f"the latest health report, of {_minute(to_iso(report.time))}"
    elif state.key.entity_type == "student":
        why = "100 until a health report comes"
    else:
        why = "always 100: health reports are of students"
    return Explained("health_score", public["health_score"], why)


def _minute(iso: str) -> str:
    return f"{iso[:16].replace('T', ' ')} UTC"


# -- registers and rollups --------------------------------------------------------------------------------------------


def _explain_supply(state: State, public: Mapping[str, Any]) -> list[Explained]:
    if state.key.entity_type == "region":
        names = ("available_tutors", "active_students", "high_demand_subjects")
        why = dict.fromkeys(names, f"the sum over its {len(state.registers)} subjects' latest updates")
        why["high_demand_subjects"] = f"how many of its {len(state.registers)} subjects are in high demand"
    elif "region" in public:
        latest = state.registers[public["region"]]
        source = f"the latest update, of the region {public['region']} at {_minute(to_iso(latest.time))}"
        why = dict.fromkeys(("region", *latest.value), source)
    else:
        why = {}
    return [Explained(name, public[name], reason) for name, reason in why.items() if name in public]


def _explain_rolled(state: State, public: Mapping[str, Any]) -> list[Explained]:
    totals, kind = state.totals, state.key.entity_type
    if totals is None:
        return []
    when = _minute(to_iso(totals.as_of))
    source = f"over all students' and tutors' sessions at the rollup of {when}; later ones found the same"
    why = dict.fromkeys(TOTALS_ATTRIBUTES[kind], source)
    why["first_session_success_rate"] = f"of {totals.first_outcomes} first sessions with a known outcome, {source}"
    return [Explained(name, public[name], why[name]) for name in TOTALS_ATTRIBUTES[kind]]
