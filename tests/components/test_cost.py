"""What docs/cost.md says of an idle `dev`: its sums are right, and its figures are those of the program."""

import re
from collections.abc import Callable

from bench.cost import HOURS_A_MONTH
from bench.prices import PRICES
from tests.helpers.recorded_program import ROOT, Recorded

Run = Callable[[str], Recorded]
PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


def idle() -> dict[str, list[float]]:
    """Of each row of the table, the dollars of its three columns; an empty one is 0."""
    table = PAGE[PAGE.index("### An idle dev") : PAGE.index("```console", PAGE.index("### An idle dev"))]
    rows = [[cell.strip(" *") for cell in row.strip("|").split("|")] for row in table.splitlines() if row[:2] == "| "]
    return {name: [float(cell or 0) for cell in cells] for name, *cells in rows[1:]}


def test_the_sums_are_right() -> None:
    rows = idle()
    together = rows.pop("together")
    assert len(rows) == 9
    for column, total in enumerate(together):
        assert round(sum(cells[column] for cells in rows.values()), 2) == total


def test_without_alarms_dashboard_and_rollup_it_is_under_15_dollars() -> None:
    assert idle()["together"][-1] < 15


def test_the_large_rows_are_of_the_program_and_the_price_list(program: Run) -> None:
    rows, dev = idle(), program("dev")
    metrics = [
        metric
        for alarm in dev.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
        for metric in alarm.inputs.get("metricQueries", [alarm.inputs])
        if "metric" in metric or "metricName" in metric
    ]
    assert rows[f"alarms, {len(metrics)} metrics"][0] == round(len(metrics) * PRICES["alarm"].dollars, 2)
    alarms = len(dev.of_type("aws:cloudwatch/metricAlarm:MetricAlarm"))
    assert f"`dev` has {alarms} alarms with {len(metrics)} metrics" in PAGE
    assert rows["dashboard"][0] == PRICES["dashboard"].dollars
    shards = dev.one("aws:kinesis/stream:Stream").inputs["shardCount"]
    assert rows["stream, one shard"][0] == round(shards * HOURS_A_MONTH * PRICES["kinesis_shard"].dollars, 2)
    for row, number in re.findall(r"(custom metrics of the \w+, (\d+))", PAGE):
        assert rows[row][0] == round(int(number) * PRICES["metric"].dollars, 2)
