"""What every figure of the page is made of: its text, its numbers, and a chart in Vega-Lite.

Colours are the custom properties of the page, so one chart serves light, dark and print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

Spec = dict[str, Any]
Legend = Sequence[tuple[str, str]]
"""What a figure's colours mean: names, and the page's custom properties. The page shows the legend, because Vega's own
legends do not break into lines."""


SEVERITY_MARKS: Final = {"critical": "◆", "warning": "▲", "info": "●"}
"""Shown beside the colour, for readers who cannot tell colours apart."""


MOST_ROWS: Final = 24
"""The most rows of a chart; the others are only in the numbers behind it."""


ROW_PIXELS: Final = 22


HEIGHT: Final = 230


_TIMES: Final = {
    "milliseconds": ".%L",
    "seconds": "%H:%M:%S",
    "minutes": "%H:%M",
    "hours": "%H:%M",
    "date": "%-d %b",
    "day": "%-d %b",
    "week": "%-d %b",
    "month": "%-d %b",
    "quarter": "%-d %b",
    "year": "%Y",
}
"""How an axis writes times, by how far apart its ticks are (Vega, "Time formats")."""


CONFIG: Final[Spec] = {
    "background": None,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    "aria": False,  # the figure around a chart describes it; a screen reader would read out hundreds of marks
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": 500,
        "titleFontSize": 12,
        "labelFontSize": 12,
        "gridColor": "var(--line)",
        "domainColor": "var(--line-strong)",
        "tickColor": "var(--line-strong)",
        "titlePadding": 8,
        "labelPadding": 5,
    },
    "axisX": {"grid": False, "labelOverlap": True, "labelFlush": True},
    "axisTop": {"labelLimit": 100},
    "axisY": {"domain": False, "ticks": False, "tickCount": 5},
    "text": {"fontSize": 12, "fill": "var(--ink)"},
}
"""The look of all charts; the page gives it to Vega once."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the page."""

    name: str
    """The id of its element, and the key of its chart."""
    title: str
    summary: str
    """The chart in one or two sentences."""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    """The numbers behind the chart."""
    legend: Legend = ()
    spec: Spec | None = None
    """The chart; None where there is nothing to draw."""
    wide: bool = False
    note: str = ""
    """What the figure covers and what it leaves out."""


def spec(chart: Any, values: Sequence[Mapping[str, Any]], height: int = HEIGHT) -> Spec:
    """Returns a chart as Vega-Lite, with these values and as wide as its place on the page.

    Parameters
    ----------
    chart
        Altair's chart, without data.
    values
        One mapping for each row of data.
    height
        Pixels.
    """
    specification: Spec = chart.properties(
        width="container", height=height, data=alt.Data(values=list(values)), autosize=alt.AutoSizeParams(type="fit-x")
    ).to_dict()
    specification.pop("config", None)  # Altair's defaults; `CONFIG` is used instead
    return specification


def time_axis(field: str) -> Any:
    """Returns a horizontal axis of moments."""
    return alt.X(f"{field}:T").scale(type="utc").title("UTC").axis(tickCount=6, format=_TIMES)


def start_axis(field: str) -> Any:
    """Returns a horizontal axis of the moments at which bars begin."""
    binned = alt.TimeUnitParams(binned=True, unit="utcyearmonthdatehoursminutesseconds")
    return alt.X(f"{field}:T", timeUnit=binned).title("UTC").axis(tickCount=6, format=_TIMES)


def colour(field: str, legend: Legend) -> Any:
    """Returns the colour of a mark by a field whose values are the legend's names."""
    names, colours = zip(*legend, strict=True)
    return alt.Color(f"{field}:N", legend=None).scale(domain=names, range=[f"var(--{name})" for name in colours])


def tooltip(fields: Sequence[tuple[str, str]]) -> list[Any]:
    """Returns a tooltip of texts: fields and their titles."""
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in fields]
