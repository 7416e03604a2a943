"""`report`: writes the report page."""

from pathlib import Path
from typing import Annotated

import typer

from functions.aws import clock
from functions.model import DAY_MS
from ops import aws, printing
from ops.aws import UserError
from ops.options import Output, OutputOption, ago
from ops.report.data import Report
from ops.report.gather import Sources, gather
from ops.running import targeted
from ops.target import OUTPUTS, Target
from ops.wholes import Tables

_ALERTS_DAYS = 30
_BATCHES_DAYS = 1


@targeted
def command(
    target: Target,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the page.")] = Path("report.html"),
    since: Annotated[
        int | None,
        typer.Option(
            parser=ago,
            metavar="TIME",
            help=f"Show alerts from so long ago (12h, 7d) or then (ISO-8601) on; by default {_ALERTS_DAYS}d.",
        ),
    ] = None,
    batches_since: Annotated[
        int | None,
        typer.Option(
            parser=ago,
            metavar="TIME",
            help=f"The same for traffic, throughput and latency; by default {_BATCHES_DAYS}d.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write one HTML page to look at: alerts, traffic, sessions, health, supply and demand, entities, latency.

    The page holds all that it shows and loads nothing, so it can be sent or kept. The whole table, the quarantine and
    the logs of the processor and of the notifier are read for it; it says what it covers and what it leaves out.

    Example: iops report --stack prod --out monday.html
    """
    now_ms = clock.now_ms()
    processor = target.name("function")
    config = aws.deployed_config(processor)
    sources = Sources(
        target.client("dynamodb"),
        target.client("s3"),
        target.client("logs"),
        Tables(target.name("table"), config.state_table_name),
        target.name("bucket"),
        processor,
        target.name("notifier") if OUTPUTS["notifier"] in target.outputs else None,
    )
    with printing.progress("reading") as move:
        report = gather(
            sources,
            config.rules.alerts,
            now_ms,
            alerts_since_ms=now_ms - _ALERTS_DAYS * DAY_MS if since is None else since,
            batches_since_ms=now_ms - _BATCHES_DAYS * DAY_MS if batches_since is None else batches_since,
            report=move,
        )
    size, entities = _write(report, out), sum(report.table.counts.values())
    if output is Output.JSON:
        printing.print_json({"path": str(out), "bytes": size, "entities": entities})
    else:
        printing.output().print(f"{out}: {size / 1e6:.1f} MB, {entities:,} entities", markup=False)


def _write(report: Report, out: Path) -> int:
    """Writes the page; returns its size in bytes."""
    from ops.report.page import render  # its libraries take a second to load, which no other command needs

    page = render(report).encode("utf-8", "replace")  # a log may hold half of a character
    try:
        out.write_bytes(page)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}; give another --out", 2) from None
    return len(page)
