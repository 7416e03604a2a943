"""How the students' health scores are spread."""

from typing import Any, Final

import altair as alt

from ops.report.charts.figure import Figure, Legend, colour, spec
from ops.report.data import HEALTH_STEP, Health
from ops.report.wording import figure_text, number_of

_GRADES: Final[Legend] = (("critical", "critical"), ("warning", "warning"), ("healthy", "healthy"))


def draw(health: Health) -> Figure:
    """Bars: students by reported health score, with the thresholds of the alerts."""
    name, title = "health", "Health of students"
    reported = sum(health.counts)
    not_drawn = (
        f"Not drawn: {number_of(health.unreported, 'student')} without a report, whose score is 100 until there is one."
    )
    if not reported:
        return Figure(name, title, "No student's health was reported yet.", note=not_drawn if health.unreported else "")
    steps = [(number * HEALTH_STEP, count) for number, count in enumerate(health.counts)]
    grades = {score: _grade(score, health) for score, _ in steps}
    sums = {grade: sum(count for score, count in steps if grades[score] == grade) for grade, _ in _GRADES}
    values = [
        {"from": score, "from_end": score + HEALTH_STEP, "students": count, "grade": grades[score]}
        for score, count in steps
    ]
    summary = (
        f"Of {number_of(reported, 'student')} with a report, {sums['critical']:,} are below "
        f"{figure_text(health.critical)} (critical), {sums['warning']:,} below {figure_text(health.warning)} "
        f"(warning), {sums['healthy']:,} are healthy."
    )
    return Figure(
        name,
        title,
        summary,
        ("score", "students", ""),
        [(f"{score} to {score + HEALTH_STEP}", f"{count:,}", grades[score]) for score, count in steps],
        _GRADES,
        spec(_bars(health), values),
        note="The dashed lines are the thresholds of the alerts. " + (not_drawn if health.unreported else ""),
    )


def _grade(score: float, health: Health) -> str:
    return _GRADES[0 if score < health.critical else 1 if score < health.warning else 2][0]


def _bars(health: Health) -> Any:
    bars = (
        alt.Chart()
        .mark_bar(stroke="var(--card)", strokeWidth=1)
        .encode(
            x=alt.X("from:Q").bin("binned").scale(domain=[0, 100], nice=False).title("health score").axis(tickCount=10),
            x2="from_end:Q",  # the name that Vega-Lite gives the end of a step
            y=alt.Y("students:Q").title("students").axis(tickMinStep=1),
            color=colour("grade", _GRADES),
            tooltip=[
                alt.Tooltip("from:Q", title="from"),
                alt.Tooltip("from_end:Q", title="to under"),
                alt.Tooltip("students:Q", format=","),
            ],
        )
    )
    bounds = (
        alt.Chart(alt.Data(values=[{"bound": health.critical}, {"bound": health.warning}]))
        .mark_rule(strokeDash=[4, 3], stroke="var(--ink)", opacity=0.55)
        .encode(x=alt.X("bound:Q").scale(domain=[0, 100], nice=False))
    )
    return alt.layer(bars, bounds)
