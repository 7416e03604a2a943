"""The alerts from firing to resolved."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from ops.report.charts.figure import (
    MOST_ROWS,
    ROW_PIXELS,
    SEVERITY_MARKS,
    Figure,
    Legend,
    colour,
    spec,
    time_axis,
    tooltip,
)
from ops.report.data import Episode, Timeline
from ops.report.wording import NONE, duration, listed, moment, number_of, words

_SEVERITIES: Final[Legend] = tuple((severity, severity) for severity in SEVERITY_MARKS)
_TOOLTIP: Final = (
    ("row", "alert"),
    ("severity", "severity"),
    ("state", "state"),
    ("since", "since (UTC)"),
    ("lasted", "for"),
    ("message", "message"),
)


def draw(timeline: Timeline, now_ms: int) -> Figure:
    """Bars from the start of an alert to its end, one row for each alert of an entity."""
    name, title = "timeline", "Alerts from firing to resolved"
    covers = f"Told since {moment(timeline.since_ms)} UTC." if not timeline.note else timeline.note
    if not timeline.episodes:
        return Figure(name, title, "No alert fires, and none has.", note=covers, wide=True)
    drawn = _drawn(timeline.episodes)
    values = [
        {
            "row": _row(episode),
            "start": episode.started_ms,
            "end": episode.ended_ms or now_ms,
            "severity": episode.severity,
            "state": _state(episode),
            "since": moment(episode.started_ms),
            "lasted": duration((episode.ended_ms or now_ms) - episode.started_ms),
            "message": episode.message,
        }
        for episode in drawn
    ]
    left_out = timeline.left_out + len(timeline.episodes) - len(drawn)
    rows = len({value["row"] for value in values})
    return Figure(
        name,
        title,
        _summary(timeline, now_ms),
        ("entity", "alert", "severity", "state", "since (UTC)", "until (UTC)", "message"),
        [_numbers(episode) for episode in timeline.episodes],
        _SEVERITIES,
        spec(_bars(), values, max(3, rows) * ROW_PIXELS),
        wide=True,
        note=covers + (f" The chart leaves out {number_of(left_out, 'episode')}." if left_out else ""),
    )


def _summary(timeline: Timeline, now_ms: int) -> str:
    firing = sum(timeline.firing.values())
    by_severity = [
        f"{timeline.firing[severity]:,} {severity}" for severity in SEVERITY_MARKS if timeline.firing.get(severity)
    ]
    summary = (
        f"{number_of(firing, 'alert fires', 'alerts fire')} now" + (f": {listed(by_severity)}" if by_severity else "")
    ) + f". {number_of(timeline.ended, 'alert')} ended in the time shown."
    if firing:
        oldest_ms = min(episode.started_ms for episode in timeline.episodes if episode.firing)
        summary += f" The longest has fired for {duration(now_ms - oldest_ms)}."
    return summary


def _numbers(episode: Episode) -> tuple[str, ...]:
    return (
        f"{episode.entity_type} {episode.entity_id}",
        words(episode.alert_type),
        episode.severity,
        _state(episode),
        moment(episode.started_ms),
        NONE if episode.ended_ms is None else moment(episode.ended_ms),
        episode.message,
    )


def _bars() -> Any:
    y = alt.Y("row:N").sort(None).title(None).axis(grid=True, labelPadding=10, labelColor="var(--ink)")
    hints = tooltip(_TOOLTIP)
    base = alt.Chart().encode(y=y, color=colour("severity", _SEVERITIES))
    lasting = base.mark_bar(height=7, opacity=0.85, minBandSize=3)
    shape = alt.Shape("severity:N", legend=None).scale(
        domain=list(SEVERITY_MARKS), range=["diamond", "triangle-up", "circle"]
    )
    started = base.mark_point(filled=True, size=85, opacity=1)
    still_firing = base.transform_filter("datum.state == 'firing'").mark_point(
        filled=True, size=60, shape="triangle-right", opacity=1
    )
    return alt.layer(
        lasting.encode(x=time_axis("start"), x2="end:T", tooltip=hints),
        started.encode(x=time_axis("start"), shape=shape, tooltip=hints),
        still_firing.encode(x=time_axis("end"), tooltip=hints),
    )


def _row(episode: Episode) -> str:
    return f"{episode.entity_id} · {words(episode.alert_type)}"


def _state(episode: Episode) -> str:
    if episode.firing:
        return "firing"
    return "end not told" if episode.ended_ms is None else "resolved"


def _drawn(episodes: Sequence[Episode]) -> list[Episode]:
    """Returns the episodes that fit the chart: up to two thirds of the rows for firing alerts."""
    firing = [episode for episode in episodes if episode.firing]
    over = [episode for episode in episodes if not episode.firing]
    for_over = min(len({_row(episode) for episode in over}), max(MOST_ROWS // 3, MOST_ROWS - len(firing)))
    rows: dict[str, None] = {}
    chosen = []
    for group, most in ((firing, MOST_ROWS - for_over), (over, MOST_ROWS)):
        for episode in group:
            if _row(episode) in rows or len(rows) < most:
                rows[_row(episode)] = None
                chosen.append(episode)
    return chosen
