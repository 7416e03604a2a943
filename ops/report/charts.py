"""The figures of the report page: a chart each, a sentence that says the same, and the numbers behind it.

Vega-Lite by Altair. Colours are the page's own custom properties, so that light, dark and print need no other chart.
Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, to_iso
from ops.report.data import DAYS, HEALTH_STEP, Balance, Batch, Episode, Quarantine, Report, Table, Throughput, Timeline

Spec = dict[str, Any]
Legend = Sequence[tuple[str, str]]
"""What a figure's colours mean: names, and the page's custom properties. The page shows it, since Vega's own legends
do not break into lines."""

SEVERITY_MARKS: Final = {"critical": "◆", "warning": "▲", "info": "●"}
"""Beside the colour, for whoever cannot tell colours apart."""
EVENT_TYPES: Final = (
    "session_started",
    "session_completed",
    "ib_call_logged",
    "customer_health_update",
    "tutor_availability_updated",
    "supply_demand_update",
)
"""In the order of the contract; what else there may be comes after them."""

NONE: Final = "\N{EN DASH}"
"""Where there is no number."""

_MOST_ROWS: Final = 24
"""Rows of the timeline and subjects that a chart has; the rest is in the numbers behind it."""
_MOST_REGIONS: Final = 8
_MOST_BINS: Final = 60
_BINS: Final = tuple(
    seconds * SECOND_MS
    for seconds in (1, 2, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 86_400, 604_800, 2_592_000)
)
_ROW_PIXELS: Final = 22
_HEIGHT: Final = 230
_SEVERITIES: Final[Legend] = tuple((severity, severity) for severity in SEVERITY_MARKS)
_WINDOWS: Final[Legend] = (
    ("last 7 days", "w1"),
    ("8 to 14 days ago", "w2"),
    ("15 to 30 days ago", "w3"),
    ("before", "w4"),
)
_LEVELS: Final[Legend] = (
    ("much more demand", "d2"),
    ("more demand", "d1"),
    ("in balance", "d0"),
    ("more supply", "s1"),
    ("much more supply", "s2"),
)
_GRADES: Final[Legend] = (("critical", "critical"), ("warning", "warning"), ("healthy", "healthy"))
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
_KINDS: Final[Legend] = (("quarantined record", "c1"), ("given up batch", "c3"))

CONFIG: Final[Spec] = {
    "background": None,
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
    "aria": False,  # the figure around a chart says it all; hundreds of marks would only be in the way
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
"""How all charts look; given to Vega once."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the page."""

    name: str
    """Its id."""
    title: str
    summary: str
    """What there is to see, in words."""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    """The numbers behind it."""
    legend: Legend = ()
    spec: Spec | None = None
    """The chart; None where there is nothing to draw."""
    wide: bool = False
    note: str = ""
    """What it covers and what it leaves out."""


def figures(report: Report) -> dict[str, Figure]:
    """All figures by name."""
    made = (
        _timeline(report.timeline, report.made_ms),
        _traffic(report.throughput),
        _daily(report.table, report.made_ms),
        _subjects(report.table),
        _health(report.table),
        _balances(report.table.balances),
        _quarantine(report.quarantine),
        _records(report.throughput),
        _latency(report.throughput),
    )
    return {figure.name: figure for figure in made}


def words(name: str) -> str:
    """A name of the contract's as words: `low_health_score` as `low health score`."""
    return name.replace("_", " ")


def moment(ms: int) -> str:
    """To the second, for people."""
    return to_iso(ms)[:19].replace("T", " ")


def duration(ms: float) -> str:
    """How long, in the largest unit that fits: `850 ms`, `12 s`, `3 h`, `5 days`."""
    for unit, size in ((" days", DAY_MS), (" h", HOUR_MS), (" min", MINUTE_MS), (" s", SECOND_MS)):
        if ms >= 2 * size:
            return f"{ms / size:,.0f}{unit}"
    return f"{ms:,.0f} ms"


def figure_text(value: float | None) -> str:
    """A number for people, a dash for none."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def number_of(count: int, one: str, many: str | None = None) -> str:
    """`1 record`, `2 records`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)


def _spec(chart: Any, values: Sequence[Mapping[str, Any]], height: int | None = _HEIGHT) -> Spec:
    size = {} if height is None else {"height": height}
    made: Spec = chart.properties(
        width="container", data=alt.Data(values=list(values)), autosize=alt.AutoSizeParams(type="fit-x"), **size
    ).to_dict()
    made.pop("config", None)  # Altair's own defaults; the page's are given to Vega
    return made


def _time(field: str) -> Any:
    return alt.X(f"{field}:T").scale(type="utc").title("UTC").axis(tickCount=6, format=_TIMES)


def _from(field: str) -> Any:
    """A time at which a step of known width begins, for bars from there to its end."""
    binned = alt.TimeUnitParams(binned=True, unit="utcyearmonthdatehoursminutesseconds")
    return alt.X(f"{field}:T", timeUnit=binned).title("UTC").axis(tickCount=6, format=_TIMES)


def _colour(field: str, legend: Legend) -> Any:
    names, colours = zip(*legend, strict=True)
    return alt.Color(f"{field}:N", legend=None).scale(domain=names, range=[f"var(--{name})" for name in colours])


# -- alerts -----------------------------------------------------------------------------------------------------------


def _timeline(timeline: Timeline, now_ms: int) -> Figure:
    name, title = "timeline", "Alerts from firing to resolved"
    covers = f"Told since {moment(timeline.since_ms)} UTC." if not timeline.note else timeline.note
    firing = sum(timeline.firing.values())
    if not timeline.episodes:
        return Figure(name, title, "No alert fires, and none has.", note=covers, wide=True)
    by_severity = [
        f"{timeline.firing[severity]:,} {severity}" for severity in SEVERITY_MARKS if timeline.firing.get(severity)
    ]
    summary = (
        f"{number_of(firing, 'alert fires', 'alerts fire')} now" + (f": {listed(by_severity)}" if by_severity else "")
    ) + f". {number_of(timeline.ended, 'alert')} ended in the time shown."
    if firing and (oldest := min(each.started_ms for each in timeline.episodes if each.firing)):
        summary += f" The longest has fired for {duration(now_ms - oldest)}."
    drawn = _drawn(timeline.episodes)
    values = [
        {
            "row": _row(each),
            "start": each.started_ms,
            "end": each.ended_ms or now_ms,
            "severity": each.severity,
            "state": _state(each),
            "since": moment(each.started_ms),
            "lasted": duration((each.ended_ms or now_ms) - each.started_ms),
            "message": each.message,
        }
        for each in drawn
    ]
    left_out = timeline.left_out + len(timeline.episodes) - len(drawn)
    note = covers + (f" The chart leaves out {number_of(left_out, 'episode')}." if left_out else "")
    y = alt.Y("row:N").sort(None).title(None).axis(grid=True, labelPadding=10, labelColor="var(--ink)")
    tooltip = [
        alt.Tooltip(f"{field}:N", title=title)
        for field, title in (
            ("row", "alert"),
            ("severity", "severity"),
            ("state", "state"),
            ("since", "since (UTC)"),
            ("lasted", "for"),
            ("message", "message"),
        )
    ]
    base = alt.Chart().encode(y=y, color=_colour("severity", _SEVERITIES))
    lasting = base.mark_bar(height=7, opacity=0.85, minBandSize=3).encode(x=_time("start"), x2="end:T", tooltip=tooltip)
    shape = alt.Shape("severity:N", legend=None).scale(
        domain=list(SEVERITY_MARKS), range=["diamond", "triangle-up", "circle"]
    )
    started = base.mark_point(filled=True, size=85, opacity=1).encode(x=_time("start"), shape=shape, tooltip=tooltip)
    still = (
        base.transform_filter("datum.state == 'firing'")
        .mark_point(filled=True, size=60, shape="triangle-right", opacity=1)
        .encode(x=_time("end"), tooltip=tooltip)
    )
    rows = len({value["row"] for value in values})
    return Figure(
        name,
        title,
        summary,
        ("entity", "alert", "severity", "state", "since (UTC)", "until (UTC)", "message"),
        [
            (
                f"{each.entity_type} {each.entity_id}",
                words(each.alert_type),
                each.severity,
                _state(each),
                moment(each.started_ms),
                NONE if each.ended_ms is None else moment(each.ended_ms),
                each.message,
            )
            for each in timeline.episodes
        ],
        _SEVERITIES,
        _spec(alt.layer(lasting, started, still), values, max(3, rows) * _ROW_PIXELS),
        wide=True,
        note=note,
    )


def _row(episode: Episode) -> str:
    return f"{episode.entity_id} · {words(episode.alert_type)}"


def _state(episode: Episode) -> str:
    if episode.firing:
        return "firing"
    return "end not told" if episode.ended_ms is None else "resolved"


def _drawn(episodes: Sequence[Episode]) -> list[Episode]:
    """So many that they fit: two thirds of the rows for what fires, as far as there is something over."""
    firing, over = [each for each in episodes if each.firing], [each for each in episodes if not each.firing]
    for_over = min(len({_row(each) for each in over}), max(_MOST_ROWS // 3, _MOST_ROWS - len(firing)))
    rows: dict[str, None] = {}
    chosen = []
    for group, most in ((firing, _MOST_ROWS - for_over), (over, _MOST_ROWS)):
        for each in group:
            if _row(each) in rows or len(rows) < most:
                rows[_row(each)] = None
                chosen.append(each)
    return chosen


# -- what came --------------------------------------------------------------------------------------------------------


def _traffic(throughput: Throughput) -> Figure:
    name, title = "traffic", "Traffic by type"
    if not throughput.traffic:
        return Figure(name, title, throughput.note or "No event came.", wide=True)
    first, last = (pick(each.hour_ms for each in throughput.traffic) for pick in (min, max))
    width = HOUR_MS if last - first < 3 * DAY_MS else 6 * HOUR_MS if last - first < 10 * DAY_MS else DAY_MS
    sums: dict[tuple[int, str], int] = {}
    for each in throughput.traffic:
        key = each.hour_ms - each.hour_ms % width, each.event_type
        sums[key] = sums.get(key, 0) + each.events
    kinds = [*EVENT_TYPES, *sorted({kind for _, kind in sums} - set(EVENT_TYPES))]
    totals = {kind: sum(count for (_, each), count in sums.items() if each == kind) for kind in kinds}
    kinds = [kind for kind in kinds if totals[kind]]
    starts = sorted({start for start, _ in sums})
    most = max(starts, key=lambda start: sum(sums.get((start, kind), 0) for kind in kinds))
    each_bin = {HOUR_MS: "hour", 6 * HOUR_MS: "six hours", DAY_MS: "day"}[width]
    summary = (
        f"{number_of(sum(totals.values()), 'event')} of {number_of(len(kinds), 'type')}, the most of them "
        f"{words(max(kinds, key=lambda kind: totals[kind]))} ({max(totals.values()):,}). The busiest {each_bin} began "
        f"at {moment(most)[:16]} UTC with {sum(sums.get((most, kind), 0) for kind in kinds):,}."
    )
    note = f"By the events' own time, as delivered, duplicates included; {_covered(throughput)}."
    if throughput.older_events:
        note += f" {number_of(throughput.older_events, 'event')} from before the last {DAYS} days are not drawn."
    legend = [
        (words(kind), f"c{EVENT_TYPES.index(kind) + 1}" if kind in EVENT_TYPES else "line-strong") for kind in kinds
    ]
    values = [
        {"from": start, "to": start + width, "type": words(kind), "events": count, "order": kinds.index(kind)}
        for (start, kind), count in sorted(sums.items())
    ]
    chart = (
        alt.Chart()
        .mark_bar(orient="vertical", stroke="var(--card)", strokeWidth=0.6)
        .encode(
            x=_from("from"),
            x2="to:T",
            y=alt.Y("sum(events):Q").title(f"events per {each_bin}"),
            color=_colour("type", legend),
            order="order:Q",
            tooltip=[
                alt.Tooltip("from:T", title="from (UTC)", format="%Y-%m-%d %H:%M", formatType="utc"),
                alt.Tooltip("type:N"),
                alt.Tooltip("sum(events):Q", title="events", format=","),
            ],
        )
    )
    return Figure(
        name,
        title,
        summary,
        ("from (UTC)", *(words(kind) for kind in kinds)),
        [(moment(start)[:16], *(f"{sums.get((start, kind), 0):,}" for kind in kinds)) for start in starts],
        legend,
        _spec(chart, values, 260),
        wide=True,
        note=note,
    )


def _covered(throughput: Throughput) -> str:
    text = f"from batches taken in since {moment(throughput.since_ms)} UTC"
    if throughput.since_ms > throughput.asked_ms:
        text += f" (asked for since {moment(throughput.asked_ms)}, but there are more than a page reads)"
    return text


def _records(throughput: Throughput) -> Figure:
    name, title = "throughput", "Throughput"
    if not throughput.batches:
        return Figure(name, title, throughput.note)
    bins, width = _binned(throughput.batches)
    rates = {start: sum(batch.records for batch in each) * SECOND_MS / width for start, each in bins.items()}
    records = sum(batch.records for batch in throughput.batches)
    busiest = max(rates, key=lambda start: rates[start])
    values = [
        {
            "from": start,
            "to": start + width,
            "rate": rates[start],
            "records": sum(batch.records for batch in batches),
            "batches": len(batches),
        }
        for start, batches in bins.items()
    ]
    duplicates, failed = (
        sum(getattr(batch, field) for batch in throughput.batches) for field in ("duplicates", "failed")
    )
    summary = (
        f"{number_of(records, 'record')} in {number_of(len(throughput.batches), 'batch', 'batches')}; "
        f"{number_of(duplicates, 'fact')} said nothing new, {number_of(failed, 'record')} failed and came again. "
        f"At most {rates[busiest]:,.1f} records a second, at {moment(busiest)} UTC."
    )
    chart = (
        alt.Chart()
        .mark_bar(orient="vertical", color="var(--accent)", stroke="var(--card)", strokeWidth=0.6)
        .encode(
            x=_from("from"),
            x2="to:T",
            y=alt.Y("rate:Q").title("records a second"),
            tooltip=[
                alt.Tooltip("from:T", title="from (UTC)", format="%Y-%m-%d %H:%M:%S", formatType="utc"),
                alt.Tooltip("records:Q", format=","),
                alt.Tooltip("batches:Q", format=","),
                alt.Tooltip("rate:Q", title="records a second", format=",.1f"),
            ],
        )
    )
    return Figure(
        name,
        title,
        summary,
        ("from (UTC)", "batches", "records", "records a second"),
        [
            (
                moment(start),
                f"{len(batches):,}",
                f"{sum(batch.records for batch in batches):,}",
                f"{rates[start]:,.1f}",
            )
            for start, batches in bins.items()
        ],
        spec=_spec(chart, values),
        note=f"In steps of {duration(width)}, {_covered(throughput)}.",
    )


_MEASURES: Final[Legend] = (
    ("wait of the oldest record, 95%", "c3"),
    ("batch, 95%", "c1"),
    ("batch, median", "c4"),
)


def _latency(throughput: Throughput) -> Figure:
    name, title = "latency", "Batch latency"
    if not throughput.batches:
        return Figure(name, title, throughput.note)
    bins, width = _binned(throughput.batches)
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
    colour = _colour("measure", _MEASURES)
    dash = alt.StrokeDash("measure:N", legend=None).scale(
        domain=[measure for measure, _ in _MEASURES], range=[[1, 0], [6, 3], [2, 2]]
    )
    y = alt.Y("ms:Q").scale(type="log", nice=True).title("milliseconds").axis(tickCount=4, format="~s")
    tooltip = [
        alt.Tooltip("at:T", title="about (UTC)", format="%Y-%m-%d %H:%M:%S", formatType="utc"),
        alt.Tooltip("measure:N"),
        alt.Tooltip("ms:Q", title="ms", format=","),
    ]
    base = alt.Chart().encode(x=_time("at"), y=y, color=colour, tooltip=tooltip)
    chart = alt.layer(
        base.mark_line(strokeWidth=2).encode(strokeDash=dash), base.mark_point(filled=True, size=34, opacity=1)
    )
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
        _spec(chart, values),
        note=f"In steps of {duration(width)}, {_covered(throughput)}. Each tenfold step is the same height.",
    )


def _ms(ms: float | None) -> str:
    return NONE if ms is None else f"{ms:,.0f} ms" if ms < 10 * SECOND_MS else duration(ms)


def _latencies(batches: Sequence[Batch]) -> tuple[float | None, float, float]:
    waits = [batch.lag_ms for batch in batches if batch.lag_ms is not None]
    took = [batch.took_ms for batch in batches]
    return _quantile(waits, 0.95) if waits else None, _quantile(took, 0.95), _quantile(took, 0.5)


def _quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _binned(batches: Sequence[Batch]) -> tuple[dict[int, list[Batch]], int]:
    """Batches by the start of a time step, and how wide one is."""
    span = batches[-1].at_ms - batches[0].at_ms
    width = next((width for width in _BINS if span < _MOST_BINS * width), _BINS[-1])
    bins: dict[int, list[Batch]] = {}
    for batch in batches:
        bins.setdefault(batch.at_ms - batch.at_ms % width, []).append(batch)
    return bins, width


# -- what is stored ---------------------------------------------------------------------------------------------------


def _daily(table: Table, now_ms: int) -> Figure:
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
            x=_from("from"),
            x2="to:T",
            y=alt.Y("sessions:Q").title("sessions"),
            color=_colour("window", _WINDOWS),
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
        _WINDOWS,
        _spec(chart, values),
        note="Each bar is 24 hours, counted back from the moment of this page; a session counts once for each of its "
        "students.",
    )


def _window(days_ago: int) -> str:
    return _WINDOWS[0 if days_ago < 7 else 1 if days_ago < 14 else 2 if days_ago < 30 else 3][0]


def _subjects(table: Table) -> Figure:
    name, title = "subjects", "Sessions per subject"
    if not table.subjects:
        nothing = "No subject has sessions in 30 days, or the rollup, which counts them, has not run yet."
        return Figure(name, title, nothing)
    shown = table.subjects[:_MOST_ROWS]
    values = []
    for subject in shown:
        week, fortnight, month = (int(subject.figures.get(f"sessions_{days}d", 0)) for days in (7, 14, 30))
        parts = (week, fortnight - week, month - fortnight)
        values += [
            {"subject": subject.entity_id, "window": window, "sessions": sessions, "order": order}
            for order, ((window, _), sessions) in enumerate(zip(_WINDOWS[:3], parts, strict=True))
        ]
    rising = max(shown, key=lambda each: each.figures.get("session_velocity", 0))
    falling = min(shown, key=lambda each: each.figures.get("session_velocity", 0))
    summary = f"{shown[0].entity_id} has the most: {shown[0].figures['sessions_30d']:,} sessions in 30 days."
    if (more := int(rising.figures.get("session_velocity", 0))) > 0:
        summary += f" {rising.entity_id} rises most, by {more:,} in the last 7 days over the 7 before."
    if (fewer := int(falling.figures.get("session_velocity", 0))) < 0:
        summary += f" {falling.entity_id} falls most, by {-fewer:,}."
    names = [subject.entity_id for subject in shown]
    chart = (
        alt.Chart()
        .mark_bar(stroke="var(--card)", strokeWidth=1)
        .encode(
            y=alt.Y("subject:N").sort(names).title(None).axis(labelColor="var(--ink)"),
            x=alt.X("sum(sessions):Q").title("sessions in 30 days").axis(grid=True, tickCount=5),
            color=_colour("window", _WINDOWS[:3]),
            order="order:Q",
            tooltip=[
                alt.Tooltip("subject:N"),
                alt.Tooltip("window:N"),
                alt.Tooltip("sum(sessions):Q", title="sessions"),
            ],
        )
    )
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
        _WINDOWS[:3],
        _spec(chart, values, len(shown) * _ROW_PIXELS + 10),
        note="Distinct sessions, as the last rollup counted them."
        + (f" The chart shows the {len(shown)} with the most." if len(shown) < len(table.subjects) else ""),
    )


def _health(table: Table) -> Figure:
    name, title, health = "health", "Health of students", table.health
    reported = sum(health.counts)
    silent = (
        f"Not drawn: {number_of(health.unreported, 'student')} without a report, whose score is 100 until there is one."
    )
    if not reported:
        return Figure(name, title, "No student's health was reported yet.", note=silent if health.unreported else "")
    steps = [(each * HEALTH_STEP, count) for each, count in enumerate(health.counts)]

    def grade(score: float) -> str:
        return _GRADES[0 if score < health.critical else 1 if score < health.warning else 2][0]

    sums = {each: sum(count for score, count in steps if grade(score) == each) for each, _ in _GRADES}
    values = [
        {"from": score, "from_end": score + HEALTH_STEP, "students": count, "grade": grade(score)}
        for score, count in steps
    ]
    summary = (
        f"Of {number_of(reported, 'student')} with a report, {sums['critical']:,} are below "
        f"{figure_text(health.critical)} (critical), {sums['warning']:,} below {figure_text(health.warning)} "
        f"(warning), {sums['healthy']:,} are healthy."
    )
    bars = (
        alt.Chart()
        .mark_bar(stroke="var(--card)", strokeWidth=1)
        .encode(
            x=alt.X("from:Q").bin("binned").scale(domain=[0, 100], nice=False).title("health score").axis(tickCount=10),
            x2="from_end:Q",  # the name that Vega-Lite gives the end of a step
            y=alt.Y("students:Q").title("students").axis(tickMinStep=1),
            color=_colour("grade", _GRADES),
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
    return Figure(
        name,
        title,
        summary,
        ("score", "students", ""),
        [(f"{each['from']} to {each['from_end']}", f"{each['students']:,}", str(each["grade"])) for each in values],
        _GRADES,
        _spec(alt.layer(bars, bounds), values),
        note="The dashed lines are the thresholds of the alerts. " + (silent if health.unreported else ""),
    )


def _balances(balances: Sequence[Balance]) -> Figure:
    name, title = "balance", "Supply and demand"
    if not balances:
        return Figure(name, title, "No supply and demand was reported yet.")
    high = [each for each in balances if each.status == "high_demand"]
    summary = f"{number_of(len(balances), 'pair')} of subject and region: {len(high):,} in high demand" + (
        f" ({listed([f'{each.subject} in {each.region}' for each in high[:4]])}"
        + (f" and {len(high) - 4:,} more)." if len(high) > 4 else ").")
        if high
        else "."
    )
    gaps: dict[str, float] = {}
    for each in balances:
        for key in (f"s{each.subject}", f"r{each.region}"):
            gaps[key] = max(gaps.get(key, 0), abs(_gap(each)))
    subjects = sorted({each.subject for each in balances}, key=lambda each: (-gaps[f"s{each}"], each))[:_MOST_ROWS]
    regions = sorted({each.region for each in balances}, key=lambda each: (-gaps[f"r{each}"], each))[:_MOST_REGIONS]
    drawn = [each for each in balances if each.subject in subjects and each.region in regions]
    values = [
        {
            "subject": each.subject,
            "region": each.region,
            "level": _level(_gap(each)),
            "text": f"{_BALANCE_MARKS.get(each.status, '')}{_short(each.demand)}/{_short(each.supply)}",
            "scores": f"{figure_text(each.demand)} / {figure_text(each.supply)}",
            "status": words(each.status),
            "tutors": figure_text(each.tutors),
            "students": figure_text(each.students),
            "updated": moment(each.updated_ms),
        }
        for each in drawn
    ]
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
        tooltip=[
            alt.Tooltip(f"{field}:N", title=title)
            for field, title in (
                ("subject", "subject"),
                ("region", "region"),
                ("status", "status"),
                ("scores", "demand / supply"),
                ("tutors", "available tutors"),
                ("students", "active students"),
                ("updated", "reported (UTC)"),
            )
        ],
    )
    colour = _colour("level", _LEVELS)
    cells = base.mark_rect(stroke="var(--card)", strokeWidth=3, cornerRadius=5).encode(color=colour)
    texts = base.mark_text(fontSize=11).encode(text="text:N")
    note = "Demand / supply, as last reported; ▲ is high demand, ▼ oversupplied."
    if left_out := len(balances) - len(drawn):
        note += f" The chart leaves out {number_of(left_out, 'pair')}, those most in balance."
    return Figure(
        name,
        title,
        summary,
        ("subject", "region", "status", "demand", "supply", "tutors", "students", "reported (UTC)"),
        [
            (
                each.subject,
                each.region,
                words(each.status),
                *map(figure_text, (each.demand, each.supply, each.tutors, each.students)),
                moment(each.updated_ms),
            )
            for each in balances
        ],
        _LEVELS,
        _spec(alt.layer(cells, texts), values, len(subjects) * 28),
        note=note,
    )


_BALANCE_MARKS: Final = {"high_demand": "▲", "oversupplied": "▼"}


def _short(score: float | None) -> str:
    """A score in so few characters that it fits into a cell: 87, 1.2k."""
    if score is None:
        return NONE
    return f"{score:.0f}" if score < 1_000 else f"{score / 1_000:.3g}k" if score < 1_000_000 else f"{score / 1e6:.3g}M"


def _gap(balance: Balance) -> float:
    """From -1 (supply alone) to 1 (demand alone); 0 where nothing is known."""
    demand, supply = balance.demand or 0, balance.supply or 0
    return (demand - supply) / (demand + supply) if demand + supply else 0


def _level(gap: float) -> str:
    return _LEVELS[0 if gap > 0.4 else 1 if gap > 0.1 else 2 if gap >= -0.1 else 3 if gap >= -0.4 else 4][0]


def _quarantine(quarantine: Quarantine) -> Figure:
    name, title = "quarantine", "Quarantine by reason"
    note = ""
    if quarantine.objects > quarantine.read:
        at_least = "at least " if quarantine.more else ""
        note = f"Of {at_least}{quarantine.objects:,} objects the latest {quarantine.read:,} were read. "
    if quarantine.unreadable:
        note += f"{number_of(quarantine.unreadable, 'object')} could not be read."
    if not quarantine.reasons:
        return Figure(name, title, "The quarantine is empty.", wide=True, note=note)
    records = sum(each.records for each in quarantine.reasons)
    first = quarantine.reasons[0]
    summary = (
        f"{number_of(records, 'record')} for {number_of(len(quarantine.reasons), 'reason')}, most often "
        f"{words(first.reason)} ({first.records:,})."
    )
    values = [
        {
            "reason": words(each.reason),
            "records": each.records,
            "kind": _KINDS[each.kind == "failed"][0],
            "detail": each.detail,
        }
        for each in quarantine.reasons
    ]
    names = list(dict.fromkeys(value["reason"] for value in values))
    y = alt.Y("reason:N").sort(names).title(None).axis(labelColor="var(--ink)")
    x = alt.X("records:Q").title("records").axis(grid=True, tickMinStep=1, tickCount=5)
    bars = (
        alt.Chart()
        .mark_bar()
        .encode(
            y=y,
            x=x,
            color=_colour("kind", _KINDS),
            tooltip=[
                alt.Tooltip("reason:N"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("records:Q", format=","),
                alt.Tooltip("detail:N", title="the latest says"),
            ],
        )
    )
    return Figure(
        name,
        title,
        summary,
        ("reason", "kind", "records", "first (UTC)", "last (UTC)", "the latest says"),
        [
            (
                words(each.reason),
                _KINDS[each.kind == "failed"][0],
                f"{each.records:,}",
                moment(each.first_ms),
                moment(each.last_ms),
                each.detail,
            )
            for each in quarantine.reasons
        ],
        [each for each in _KINDS if each[0] in {value["kind"] for value in values}],
        _spec(bars, values, max(3, len(names)) * _ROW_PIXELS),
        wide=True,
        note=note,
    )
