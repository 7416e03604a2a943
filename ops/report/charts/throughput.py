"""The records that the processor took in."""

from typing import Any

import altair as alt

from functions.model import SECOND_MS
from ops.report.charts.batches import binned, covered
from ops.report.charts.figure import Figure, spec, start_axis
from ops.report.data import Throughput
from ops.report.wording import duration, moment, number_of


def draw(throughput: Throughput) -> Figure:
    """Bars: records a second, by the time of the batches."""
    name, title = "throughput", "Throughput"
    if not throughput.batches:
        return Figure(name, title, throughput.note)
    bins, width = binned(throughput.batches)
    rates = {start: sum(batch.records for batch in batches) * SECOND_MS / width for start, batches in bins.items()}
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
        spec=spec(_bars(), values),
        note=f"In steps of {duration(width)}, {covered(throughput)}.",
    )


def _bars() -> Any:
    return (
        alt.Chart()
        .mark_bar(orient="vertical", color="var(--accent)", stroke="var(--card)", strokeWidth=0.6)
        .encode(
            x=start_axis("from"),
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
