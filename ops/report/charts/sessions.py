"""All students' sessions, day by day."""

from typing import Final

import altair as alt

from functions.model import DAY_MS
from ops.report.charts.figure import Figure, Legend, colour, spec, start_axis
from ops.report.data import DAYS, Table
from ops.report.wording import moment

WINDOWS: Final[Legend] = (
    ("last 7 days", "w1"),
    ("8 to 14 days ago", "w2"),
    ("15 to 30 days ago", "w3"),
    ("before", "w4"),
)


def draw(table: Table, now_ms: int) -> Figure:
    """Bars: sessions in each of the last `DAYS` times 24 hours."""
    name, title = "sessions", "Sessions a day"
    sums = {days: sum(table.daily[-days:]) for days in (7, 14, 30)}
    before = sums[14] - sums[7]
    change = (
        "as many as"
        if sums[7] == before
        else f"{abs(sums[7] - before):,} {'more' if sums[7] > before else 'fewer'} than"
    )
    summary = (
        f"All students together: {sums[7]:,} sessions in 7 days, {sums[14]:,} in 14 and {sums[30]:,} in 30. "
        f"The last 7 days have {change} the 7 before."
    )
    starts = [now_ms - (DAYS - day) * DAY_MS for day in range(DAYS)]
    values = [
        {"from": start, "to": start + DAY_MS, "sessions": sessions, "window": _window((now_ms - start) // DAY_MS - 1)}
        for start, sessions in zip(starts, table.daily, strict=True)
    ]
    chart = (
        alt.Chart()
        .mark_bar(orient="vertical", stroke="var(--card)", strokeWidth=1)
        .encode(
            x=start_axis("from"),
            x2="to:T",
            y=alt.Y("sessions:Q").title("sessions"),
            color=colour("window", WINDOWS),
            tooltip=[
                alt.Tooltip("from:T", title="24 hours from (UTC)", format="%Y-%m-%d %H:%M", formatType="utc"),
                alt.Tooltip("sessions:Q", format=","),
                alt.Tooltip("window:N"),
            ],
        )
    )
    return Figure(
        name,
        title,
        summary,
        ("24 hours from (UTC)", "sessions", "window"),
        [
            (moment(start)[:16], f"{sessions:,}", _window((now_ms - start) // DAY_MS - 1))
            for start, sessions in zip(starts, table.daily, strict=True)
        ],
        WINDOWS,
        spec(chart, values),
        note="Each bar is 24 hours, counted back from the moment of this page; a session counts once for each of its "
        "students.",
    )


def _window(days_ago: int) -> str:
    """Returns the shortest window that a day of so many days ago is in."""
    return WINDOWS[0 if days_ago < 7 else 1 if days_ago < 14 else 2 if days_ago < 30 else 3][0]
