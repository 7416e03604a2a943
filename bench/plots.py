"""The plots of the results, as SVG. It measures nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from bench.report import PER_1000, SIZES


def plots(directory: Path, results: Mapping[str, Any]) -> None:
    """The plots, as SVG."""
    if "end-to-end" in results:
        _plot_ratios(results["end-to-end"]["small"]).save(directory / "ratios.svg")
    if "growth" in results:
        _plot_growth(results["growth"]).save(directory / "growth.svg")
    if "peers" in results:
        _plot_peers(results["peers"]).save(directory / "peers.svg")
    if "core" in results:
        _plot_steps(results["core"]["steps"]).save(directory / "steps.svg")


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    return alt.Data(values=list(rows))


def _plot_ratios(small: Any) -> alt.Chart:
    names = ("calls", "cpu_ms", "wall_ms_at_4_ms", "write_units")
    rows = [
        {"batch": f"{int(size):,}", "what": PER_1000[name], "factor": small[size]["ratio"][name]}
        for size in SIZES
        for name in names
    ]
    return (
        alt.Chart(_data(rows), title="How many times less than the baseline")
        .mark_line(point=True)
        .encode(
            x=alt.X("batch:O", sort=None, title="records a batch"),
            y=alt.Y("factor:Q", scale=alt.Scale(type="log"), title="times less"),
            color=alt.Color("what:N", sort=None, title=None),
        )
        .properties(width=420, height=260)
    )


def _plot_growth(growth: Any) -> alt.Chart:
    rows = [
        {"what": f"{name} ({each['slope']:.2f})", "quantity": x, "ms": y}
        for name, each in growth.items()
        for x, y in each["points"]
    ]
    return (
        alt.Chart(_data(rows), title="CPU of a batch as one thing grows (slope)")
        .mark_line(point=True)
        .encode(
            x=alt.X("quantity:Q", scale=alt.Scale(type="log"), title="how many"),
            y=alt.Y("ms:Q", scale=alt.Scale(type="log"), title="CPU, ms"),
            color=alt.Color("what:N", sort=None, title=None, legend=alt.Legend(labelLimit=400)),
        )
        .properties(width=420, height=260)
    )


def _plot_peers(peers: Any) -> alt.Chart:
    rows = [
        {"batch": f"{int(size):,}", "engine": name, "rate": rate}
        for size in ("1000", "10000")
        for name, rate in peers[size]["events_per_cpu_second"].items()
    ]
    return (
        alt.Chart(_data(rows), title="The same windows, events a CPU second")
        .mark_bar()
        .encode(
            x=alt.X("batch:N", sort=None, title="events a batch"),
            xOffset=alt.XOffset("engine:N", sort=None),
            y=alt.Y("rate:Q", title="events a CPU second"),
            color=alt.Color("engine:N", sort=None, title=None),
        )
        .properties(width=420, height=260)
    )


def _plot_steps(steps: Any) -> alt.Chart:
    rows = [
        {"batch": f"{int(size):,}", "step": name, "us": ms / int(size) * 1_000, "order": order}
        for size, each in steps.items()
        for order, (name, ms) in enumerate(each["ms"].items())
    ]
    return (
        alt.Chart(_data(rows), title="The core, microseconds of CPU a record")
        .mark_bar()
        .encode(
            y=alt.Y("batch:N", sort=None, title="records a batch"),
            x=alt.X("us:Q", title="microseconds"),
            color=alt.Color("step:N", sort=None, title=None),
            order="order:Q",
        )
        .properties(width=420, height=140)
    )
