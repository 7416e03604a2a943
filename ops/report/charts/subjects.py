"""The sessions of each subject."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from ops.report.charts.figure import MOST_ROWS, ROW_PIXELS, Figure, colour, spec
from ops.report.charts.sessions import WINDOWS
from ops.report.data import Entity, Table
from ops.report.wording import figure_text


def draw(table: Table) -> Figure:
    """Stacked bars: the sessions of each subject by window."""
    name, title = "subjects", "Sessions per subject"
    if not table.subjects:
        nothing = "No subject has sessions in 30 days, or the rollup, which counts them, has not run yet."
        return Figure(name, title, nothing)
    shown = table.subjects[:MOST_ROWS]
    values = []
    for subject in shown:
        week, fortnight, month = (int(subject.figures.get(f"sessions_{days}d", 0)) for days in (7, 14, 30))
        parts = (week, fortnight - week, month - fortnight)
        values += [
            {"subject": subject.entity_id, "window": window, "sessions": sessions, "order": order}
            for order, ((window, _), sessions) in enumerate(zip(WINDOWS[:3], parts, strict=True))
        ]
    rising = max(shown, key=_velocity)
    falling = min(shown, key=_velocity)
    summary = f"{shown[0].entity_id} has the most: {shown[0].figures['sessions_30d']:,} sessions in 30 days."
    if (more := int(_velocity(rising))) > 0:
        summary += f" {rising.entity_id} rises most, by {more:,} in the last 7 days over the 7 before."
    if (fewer := int(_velocity(falling))) < 0:
        summary += f" {falling.entity_id} falls most, by {-fewer:,}."
    fields = ("sessions_7d", "sessions_14d", "sessions_30d", "session_velocity", "avg_rating", "active_students_30d")
    return Figure(
        name,
        title,
        summary,
        ("subject", "7 days", "14 days", "30 days", "change", "rating", "students", "first sessions that succeed"),
        [
            (
                subject.entity_id,
                *(figure_text(subject.figures.get(field)) for field in fields),
                figure_text(subject.figures.get("first_session_success_rate")),
            )
            for subject in table.subjects
        ],
        WINDOWS[:3],
        spec(_bars([subject.entity_id for subject in shown]), values, len(shown) * ROW_PIXELS + 10),
        note="Distinct sessions, as the last rollup counted them."
        + (f" The chart shows the {len(shown)} with the most." if len(shown) < len(table.subjects) else ""),
    )


def _velocity(subject: Entity) -> float:
    return subject.figures.get("session_velocity", 0)


def _bars(names: Sequence[str]) -> Any:
    return (
        alt.Chart()
        .mark_bar(stroke="var(--card)", strokeWidth=1)
        .encode(
            y=alt.Y("subject:N").sort(names).title(None).axis(labelColor="var(--ink)"),
            x=alt.X("sum(sessions):Q").title("sessions in 30 days").axis(grid=True, tickCount=5),
            color=colour("window", WINDOWS[:3]),
            order="order:Q",
            tooltip=[
                alt.Tooltip("subject:N"),
                alt.Tooltip("window:N"),
                alt.Tooltip("sum(sessions):Q", title="sessions"),
            ],
        )
    )
