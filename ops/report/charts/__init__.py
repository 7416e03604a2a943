"""The figures of the report page: each is a chart, a sentence that says the same, and the numbers behind it.

One module for each figure, with a function `draw`. Nothing is read or written.
"""

from ops.report.charts import (
    balance,
    health,
    latency,
    quarantine,
    sessions,
    subjects,
    throughput,
    timeline,
    traffic,
)
from ops.report.charts.figure import Figure
from ops.report.data import Report


def figures(report: Report) -> dict[str, Figure]:
    """Returns all figures by name."""
    drawn = (
        timeline.draw(report.timeline, report.made_ms),
        traffic.draw(report.throughput),
        sessions.draw(report.table, report.made_ms),
        subjects.draw(report.table),
        health.draw(report.table.health),
        balance.draw(report.table.balances),
        quarantine.draw(report.quarantine),
        throughput.draw(report.throughput),
        latency.draw(report.throughput),
    )
    return {figure.name: figure for figure in drawn}
