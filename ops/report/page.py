"""The report as one HTML file that needs no network: charts, styles and scripts are in it.

Everything that comes from data is text to the page: the template escapes it, JSON is written so that it cannot end its
element, and the page's own policy lets no script run but the two that are in it. Pure.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from functions.entities.alerts import SEVERITIES
from functions.model import ENTITY_TYPES, SECOND_MS
from ops.report.charts import CONFIG, NONE, SEVERITY_MARKS, duration, figure_text, figures, moment, number_of, words
from ops.report.data import DAYS, Entity, Report

_HERE: Final = Path(__file__).parent
_SPARK_WIDTH: Final = 3 * DAYS
_SPARK_HEIGHT: Final = 22

COLUMNS: Final = (
    ("sessions_7d", "7 d", "sessions in 7 days"),
    ("sessions_14d", "14 d", "sessions in 14 days"),
    ("sessions_30d", "30 d", "sessions in 30 days"),
    ("session_velocity", "Change", "sessions of the last 7 days minus those of the 7 before"),
    ("avg_rating", "Rating", "mean rating of 30 days"),
    ("ib_calls_14d", "Calls 14 d", "inbound calls in 14 days"),
    ("health_score", "Health", "health score, 100 until one is reported"),
    ("available_tutors", "Tutors", "available tutors, latest report"),
    ("active_students", "Students", "active students, latest report"),
)
"""The numbers of the table of entities: attribute, heading, meaning."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at the top."""

    label: str
    value: str
    detail: str
    tone: str = ""
    """A severity, for a number that wants attention."""


def render(report: Report) -> str:
    """The page."""
    made = figures(report)
    charts = {name: figure.spec for name, figure in made.items() if figure.spec is not None}
    scripts = [_vega(), _text("page.js")]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    table = report.table
    page: str = _template().render(
        report=report,
        figures=made,
        tiles=_tiles(report),
        policy=policy,
        style=_text("page.css"),
        scripts=scripts,
        charts=_json({"config": CONFIG, "specs": charts}),
        columns=COLUMNS,
        entities=table.entities,
        left_out=sum(table.counts.values()) - len(table.entities),
        types=[kind for kind in ENTITY_TYPES if table.counts.get(kind)],
        days=DAYS,
    )
    return page


def _tiles(report: Report) -> Sequence[Tile]:
    counts, firing, throughput = report.table.counts, report.timeline.firing, report.throughput
    worst = next((severity for severity in SEVERITY_MARKS if firing.get(severity)), "")
    waiting = sum(each.records for each in report.quarantine.reasons)
    took = sorted(batch.took_ms for batch in throughput.batches)
    unreadable = report.table.unreadable
    kinds = ", ".join(number_of(count, kind) for kind, count in sorted(counts.items(), key=lambda each: -each[1]))
    return (
        Tile(
            "entities",
            f"{sum(counts.values()):,}",
            kinds + (f"; {unreadable:,} unreadable" if unreadable else ""),
            "warning" if unreadable else "",
        ),
        Tile(
            "alerts firing",
            f"{sum(firing.values()):,}",
            ", ".join(f"{firing[severity]:,} {severity}" for severity in SEVERITY_MARKS if firing.get(severity))
            or "all is quiet",
            worst,
        ),
        Tile(
            "records taken in",
            f"{sum(batch.records for batch in throughput.batches):,}",
            f"since {moment(throughput.since_ms)[:16]} UTC",
        ),
        Tile(
            "records in quarantine",
            f"{waiting:,}",
            f"for {number_of(len(report.quarantine.reasons), 'reason')}" if waiting else "nothing waits",
            "warning" if waiting else "",
        ),
        Tile(
            "a batch takes",
            NONE if not took else _took(took[len(took) // 2]),
            f"median of {number_of(len(took), 'batch', 'batches')}",
        ),
    )


def _took(ms: float) -> str:
    return f"{ms:,.0f} ms" if ms < SECOND_MS else f"{ms / SECOND_MS:,.1f} s" if ms < 60 * SECOND_MS else duration(ms)


# -- small charts -----------------------------------------------------------------------------------------------------


def spark(entity: Entity) -> Markup:
    """What an entity's row has for a chart: sessions day by day, or how two figures compare; empty without any."""
    if entity.daily:
        return _bars(entity.daily)
    for one, other in (("demand_score", "supply_score"), ("active_students", "available_tutors")):
        if one in entity.figures and other in entity.figures:
            return _pair((one, entity.figures[one]), (other, entity.figures[other]))
    return Markup()


def _bars(daily: Sequence[int]) -> Markup:
    most = max(*daily, 1)
    older, recent = (
        "".join(_bar(day, daily[day] / most) for day in days) for days in (range(DAYS - 7), range(DAYS - 7, DAYS))
    )
    label = (
        f"{number_of(sum(daily), 'session')} in {DAYS} days, {sum(daily[-7:]):,} in the last 7, "
        f"at most {max(daily):,} a day"
    )
    return _svg(label, Markup('<path class="older" d="{}"/><path class="recent" d="{}"/>').format(older, recent))


def _bar(day: int, share: float) -> str:
    if not share:
        return f"M{3 * day} {_SPARK_HEIGHT}h2v-1h-2z"
    height = max(2, round(share * _SPARK_HEIGHT))
    return f"M{3 * day} {_SPARK_HEIGHT}v-{height}h2v{height}z"


def _pair(one: tuple[str, float], other: tuple[str, float]) -> Markup:
    most = max(one[1], other[1], 1)
    widths = [max(1, round(value / most * _SPARK_WIDTH)) for _, value in (one, other)]
    label = ", ".join(f"{words(name)} {figure_text(value)}" for name, value in (one, other))
    return _svg(
        label,
        Markup('<path class="demand" d="M0 2h{}v8h-{}z"/><path class="supply" d="M0 12h{}v8h-{}z"/>').format(
            widths[0], widths[0], widths[1], widths[1]
        ),
    )


def _svg(label: str, content: Markup) -> Markup:
    return Markup('<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        _SPARK_WIDTH, _SPARK_HEIGHT, label, label, content
    )


def spark_order(entity: Entity) -> float | None:
    """By what the column of small charts is sorted."""
    return sum(entity.daily) if entity.daily else None


def alert_order(entity: Entity) -> int:
    """By what the column of alerts is sorted: the worst severity, then how many."""
    return len(entity.firing) + 100 * max((SEVERITIES.index(each.severity) for each in entity.firing), default=0)


# -- what the page is made of -----------------------------------------------------------------------------------------


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"words": words, "moment": moment, "figure": figure_text, "spark": spark}
    environment.globals |= {
        "marks": SEVERITY_MARKS,
        "alert_order": alert_order,
        "spark_order": spark_order,
        "number_of": number_of,
        "none": NONE,
    }
    return environment.get_template("page.html")


@cache
def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; nothing in it may end the element that it is in."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that cannot end the element that it is in, whatever the strings in it say."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate({ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})
