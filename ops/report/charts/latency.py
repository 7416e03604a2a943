"""How long batches take, and how long their records waited."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import altair as alt

from functions.model import SECOND_MS
from ops.report.charts.batches import binned, covered
from ops.report.charts.figure import Figure, Legend, colour, spec, time_axis
from ops.report.data import Batch, Throughput
from ops.report.wording import NONE, duration, figure_text, moment

_MEASURES: Final[Legend] = (
    ("wait of the oldest record, 95%", "c3"),
    ("batch, 95%", "c1"),
    ("batch, median", "c4"),
)


def draw(throughput: Throughput) -> Figure:
    """Lines: the wait of the oldest record, and the duration of a batch, on a logarithmic scale."""
    name, title = "latency", "Batch latency"
    if not throughput.batches:
        return Figure(name, title, throughput.note)
    bins, width = binned(throughput.batches)
    rows = [(start, _latencies(batches)) for start, batches in bins.items()]
    wait, slow, median = _latencies(throughput.batches)
    summary = f"A batch takes {_ms(median)} by the median, and {_ms(slow)} at the 95th percentile." + (
        f" Its oldest record has then waited {_ms(wait)} at the 95th percentile." if wait is not None else ""
    )
    values = [
        {"at": start + width // 2, "measure": measure, "ms": max(1, round(ms))}
        for start, measured in rows
        for (measure, _), ms in zip(_MEASURES, measured, strict=True)
        if ms is not None
    ]
    return Figure(
        name,
        title,
        summary,
        ("from (UTC)", *(f"{measure} (ms)" for measure, _ in _MEASURES)),
        [
            (moment(start), *(figure_text(None if ms is None else round(ms)) for ms in measured))
            for start, measured in rows
        ],
        _MEASURES,
        spec(_lines(), values),
        note=f"In steps of {duration(width)}, {covered(throughput)}. Each tenfold step is the same height.",
    )


def _ms(ms: float | None) -> str:
    return NONE if ms is None else f"{ms:,.0f} ms" if ms < 10 * SECOND_MS else duration(ms)


def _latencies(batches: Sequence[Batch]) -> tuple[float | None, float, float]:
    """Returns what `_MEASURES` names, in ms."""
    waits = [batch.lag_ms for batch in batches if batch.lag_ms is not None]
    took = [batch.took_ms for batch in batches]
    return _quantile(waits, 0.95) if waits else None, _quantile(took, 0.95), _quantile(took, 0.5)


def _quantile(values: Iterable[float], share: float) -> float:
    """Returns the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _lines() -> Any:
    dash = alt.StrokeDash("measure:N", legend=None).scale(
        domain=[measure for measure, _ in _MEASURES], range=[[1, 0], [6, 3], [2, 2]]
    )
    y = alt.Y("ms:Q").scale(type="log", nice=True).title("milliseconds").axis(tickCount=4, format="~s")
    hints = [
        alt.Tooltip("at:T", title="about (UTC)", format="%Y-%m-%d %H:%M:%S", formatType="utc"),
        alt.Tooltip("measure:N"),
        alt.Tooltip("ms:Q", title="ms", format=","),
    ]
    base = alt.Chart().encode(x=time_axis("at"), y=y, color=colour("measure", _MEASURES), tooltip=hints)
    return alt.layer(
        base.mark_line(strokeWidth=2).encode(strokeDash=dash), base.mark_point(filled=True, size=34, opacity=1)
    )
