"""The events by type and time."""

from typing import Any, Final

import altair as alt

from functions.model import DAY_MS, HOUR_MS
from ops.report.charts.batches import covered
from ops.report.charts.figure import Figure, Legend, colour, spec, start_axis
from ops.report.data import DAYS, Throughput
from ops.report.wording import moment, number_of, words

EVENT_TYPES: Final = (
    "session_started",
    "session_completed",
    "ib_call_logged",
    "customer_health_update",
    "tutor_availability_updated",
    "supply_demand_update",
)
"""The order of the chart: that of the contract. Unknown types come after them."""


def draw(throughput: Throughput) -> Figure:
    """Stacked bars: events of each type, by their own time."""
    name, title = "traffic", "Traffic by type"
    if not throughput.traffic:
        return Figure(name, title, throughput.note or "No event came.", wide=True)
    first, last = (pick(hour.hour_ms for hour in throughput.traffic) for pick in (min, max))
    width = HOUR_MS if last - first < 3 * DAY_MS else 6 * HOUR_MS if last - first < 10 * DAY_MS else DAY_MS
    sums: dict[tuple[int, str], int] = {}
    for hour in throughput.traffic:
        key = hour.hour_ms - hour.hour_ms % width, hour.event_type
        sums[key] = sums.get(key, 0) + hour.events
    kinds = [*EVENT_TYPES, *sorted({kind for _, kind in sums} - set(EVENT_TYPES))]
    totals = {kind: sum(count for (_, counted), count in sums.items() if counted == kind) for kind in kinds}
    kinds = [kind for kind in kinds if totals[kind]]
    starts = sorted({start for start, _ in sums})
    most = max(starts, key=lambda start: sum(sums.get((start, kind), 0) for kind in kinds))
    each_bin = {HOUR_MS: "hour", 6 * HOUR_MS: "six hours", DAY_MS: "day"}[width]
    summary = (
        f"{number_of(sum(totals.values()), 'event')} of {number_of(len(kinds), 'type')}, the most of them "
        f"{words(max(kinds, key=lambda kind: totals[kind]))} ({max(totals.values()):,}). The busiest {each_bin} began "
        f"at {moment(most)[:16]} UTC with {sum(sums.get((most, kind), 0) for kind in kinds):,}."
    )
    note = f"By the events' own time, as delivered, duplicates included; {covered(throughput)}."
    if throughput.older_events:
        note += f" {number_of(throughput.older_events, 'event')} from before the last {DAYS} days are not drawn."
    legend = [
        (words(kind), f"c{EVENT_TYPES.index(kind) + 1}" if kind in EVENT_TYPES else "line-strong") for kind in kinds
    ]
    values = [
        {"from": start, "to": start + width, "type": words(kind), "events": count, "order": kinds.index(kind)}
        for (start, kind), count in sorted(sums.items())
    ]
    return Figure(
        name,
        title,
        summary,
        ("from (UTC)", *(words(kind) for kind in kinds)),
        [(moment(start)[:16], *(f"{sums.get((start, kind), 0):,}" for kind in kinds)) for start in starts],
        legend,
        spec(_bars(each_bin, legend), values, 260),
        wide=True,
        note=note,
    )


def _bars(each_bin: str, legend: Legend) -> Any:
    return (
        alt.Chart()
        .mark_bar(orient="vertical", stroke="var(--card)", strokeWidth=0.6)
        .encode(
            x=start_axis("from"),
            x2="to:T",
            y=alt.Y("sum(events):Q").title(f"events per {each_bin}"),
            color=colour("type", legend),
            order="order:Q",
            tooltip=[
                alt.Tooltip("from:T", title="from (UTC)", format="%Y-%m-%d %H:%M", formatType="utc"),
                alt.Tooltip("type:N"),
                alt.Tooltip("sum(events):Q", title="events", format=","),
            ],
        )
    )
