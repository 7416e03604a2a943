"""Supply and demand of each subject in each region."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from ops.report.charts.figure import MOST_ROWS, Figure, Legend, colour, spec, tooltip
from ops.report.data import Balance
from ops.report.wording import NONE, figure_text, listed, moment, number_of, words

_MOST_REGIONS: Final = 8


_LEVELS: Final[Legend] = (
    ("much more demand", "d2"),
    ("more demand", "d1"),
    ("in balance", "d0"),
    ("more supply", "s1"),
    ("much more supply", "s2"),
)
_BALANCE_MARKS: Final = {"high_demand": "▲", "oversupplied": "▼"}
_TOOLTIP: Final = (
    ("subject", "subject"),
    ("region", "region"),
    ("status", "status"),
    ("scores", "demand / supply"),
    ("tutors", "available tutors"),
    ("students", "active students"),
    ("updated", "reported (UTC)"),
)


def draw(balances: Sequence[Balance]) -> Figure:
    """A grid of subjects and regions, with demand and supply in each cell."""
    name, title = "balance", "Supply and demand"
    if not balances:
        return Figure(name, title, "No supply and demand was reported yet.")
    subjects = _widest_gaps(balances, "subject", MOST_ROWS)
    regions = _widest_gaps(balances, "region", _MOST_REGIONS)
    drawn = [balance for balance in balances if balance.subject in subjects and balance.region in regions]
    note = "Demand / supply, as last reported; ▲ is high demand, ▼ oversupplied."
    if left_out := len(balances) - len(drawn):
        note += f" The chart leaves out {number_of(left_out, 'pair')}, those most in balance."
    return Figure(
        name,
        title,
        _summary(balances),
        ("subject", "region", "status", "demand", "supply", "tutors", "students", "reported (UTC)"),
        [_numbers(balance) for balance in balances],
        _LEVELS,
        spec(_cells(), [_value(balance) for balance in drawn], len(subjects) * 28),
        note=note,
    )


def _summary(balances: Sequence[Balance]) -> str:
    high = [balance for balance in balances if balance.status == "high_demand"]
    summary = f"{number_of(len(balances), 'pair')} of subject and region: {len(high):,} in high demand"
    if not high:
        return f"{summary}."
    named = listed([f"{balance.subject} in {balance.region}" for balance in high[:4]])
    return f"{summary} ({named}" + (f" and {len(high) - 4:,} more)." if len(high) > 4 else ").")


def _widest_gaps(balances: Sequence[Balance], field: str, most: int) -> list[str]:
    """Returns the subjects, or the regions, of the pairs that are least in balance."""
    gaps: dict[str, float] = {}
    for balance in balances:
        name = getattr(balance, field)
        gaps[name] = max(gaps.get(name, 0), abs(_gap(balance)))
    return sorted(gaps, key=lambda name: (-gaps[name], name))[:most]


def _value(balance: Balance) -> dict[str, str]:
    return {
        "subject": balance.subject,
        "region": balance.region,
        "level": _level(_gap(balance)),
        "text": f"{_BALANCE_MARKS.get(balance.status, '')}{_short(balance.demand)}/{_short(balance.supply)}",
        "scores": f"{figure_text(balance.demand)} / {figure_text(balance.supply)}",
        "status": words(balance.status),
        "tutors": figure_text(balance.tutors),
        "students": figure_text(balance.students),
        "updated": moment(balance.updated_ms),
    }


def _numbers(balance: Balance) -> tuple[str, ...]:
    return (
        balance.subject,
        balance.region,
        words(balance.status),
        *map(figure_text, (balance.demand, balance.supply, balance.tutors, balance.students)),
        moment(balance.updated_ms),
    )


def _cells() -> Any:
    base = alt.Chart().encode(
        x=alt.X("region:N")
        .title(None)
        .axis(
            orient="top",
            labelAngle=0,
            labelFlush=False,
            labelOverlap=False,
            labelColor="var(--ink)",
            domain=False,
            ticks=False,
        ),
        y=alt.Y("subject:N").title(None).axis(labelColor="var(--ink)"),
        tooltip=tooltip(_TOOLTIP),
    )
    cells = base.mark_rect(stroke="var(--card)", strokeWidth=3, cornerRadius=5).encode(color=colour("level", _LEVELS))
    return alt.layer(cells, base.mark_text(fontSize=11).encode(text="text:N"))


def _short(score: float | None) -> str:
    """Returns a score in so few characters that it fits into a cell: 87, 1.2k."""
    if score is None:
        return NONE
    return f"{score:.0f}" if score < 1_000 else f"{score / 1_000:.3g}k" if score < 1_000_000 else f"{score / 1e6:.3g}M"


def _gap(balance: Balance) -> float:
    """Returns the balance from -1 (supply alone) to 1 (demand alone); 0 when nothing is known."""
    demand, supply = balance.demand or 0, balance.supply or 0
    return (demand - supply) / (demand + supply) if demand + supply else 0


def _level(gap: float) -> str:
    return _LEVELS[0 if gap > 0.4 else 1 if gap > 0.1 else 2 if gap >= -0.1 else 3 if gap >= -0.4 else 4][0]
