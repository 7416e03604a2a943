"""The report as one HTML file that needs no network: charts, styles and scripts are in it.

Data is only ever text to the page: the template escapes it, JSON is written so that it cannot end its element, and the
page's policy allows no script but the two in it. Nothing is read from AWS.
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

from functions.model import ENTITY_TYPES, SECOND_MS
from ops.report.charts import figures
from ops.report.charts.figure import CONFIG, SEVERITY_MARKS
from ops.report.data import DAYS, Report
from ops.report.sparks import alert_order, spark, spark_order
from ops.report.wording import NONE, duration, figure_text, moment, number_of, words

_HERE: Final = Path(__file__).parent
_STYLES: Final = ("colours", "text", "figures", "tables", "forms", "tooltips", "media")
"""The style sheets in `styles/`, in the order of the cascade."""

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
    """A severity, for a number that needs attention; empty otherwise."""


def render(report: Report) -> str:
    """Returns the page."""
    drawn = figures(report)
    charts = {name: figure.spec for name, figure in drawn.items() if figure.spec is not None}
    scripts = [_vega(), _text("page.js")]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    table = report.table
    page: str = _template().render(
        report=report,
        figures=drawn,
        tiles=_tiles(report),
        policy=policy,
        style="\n".join(_text(f"styles/{name}.css") for name in _STYLES),
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
    waiting = sum(reason.records for reason in report.quarantine.reasons)
    took = sorted(batch.took_ms for batch in throughput.batches)
    unreadable = report.table.unreadable
    kinds = ", ".join(number_of(count, kind) for kind, count in sorted(counts.items(), key=lambda entry: -entry[1]))
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
    """Returns Vega, Vega-Lite and Vega-Embed as one script, in which nothing ends its element."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json(value: Any) -> str:
    """Returns JSON that cannot end its element, whatever its strings are."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate({ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"})
