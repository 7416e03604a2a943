"""`alerts`: the alerts that fire now, or each notification as it comes."""

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from functions.aws import clock
from functions.model import to_iso
from ops import function_logs, printing
from ops.aws import UserError
from ops.entities import alerts
from ops.entities.alerts import FiringAlert, Selection
from ops.function_logs import LoggedAlert
from ops.metrics_table import MetricsTable
from ops.options import Output, OutputOption, ago
from ops.running import targeted
from ops.target import Target


class Severity(StrEnum):
    """The severity of an alert."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@targeted
def command(
    target: Target,
    severity: Annotated[list[Severity] | None, typer.Option(help="Only of this severity; repeatable.")] = None,
    alert_type: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            autocompletion=lambda: list(alerts.KNOWN_TYPES),
            help="Only of this type, such as low_health_score; repeatable.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show alerts as they come, until Ctrl-C.")] = False,
    since: Annotated[
        int | None,
        typer.Option(
            parser=ago, metavar="TIME", help="With --follow, begin that long ago (30m, 2h, 1d) or then (ISO-8601)."
        ),
    ] = None,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")] = None,
    notifier: Annotated[str | None, typer.Option(metavar="NAME", help="The notifier's function.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the alerts that fire now, the oldest first; or, with --follow, each as it comes.

    What fires now is read from the items, by a scan of the table. What comes is read from the notifier's log: firing,
    reminders and resolved, of every source on the bus; a repeat of one notification is shown once. With --output json
    --follow prints one JSON object a line.

    Ctrl-C ends --follow with exit code 0.

    Example: iops alerts --severity critical --stack prod

    Example: iops alerts --follow --since 1h --local
    """
    unknown = sorted(set(alert_type or ()) - set(alerts.KNOWN_TYPES))
    if unknown and not follow:  # other sources have their own types
        raise UserError(
            f"--type {unknown[0]}: there is no such alert; choose one of {', '.join(alerts.KNOWN_TYPES)}", 2
        )
    if since is not None and not follow:
        raise UserError("--since goes with --follow: give both, or neither for what fires now", 2)
    selection = Selection(frozenset(severity or ()), frozenset(alert_type or ()))
    if follow:
        name = target.name("notifier", notifier, "--notifier")
        target.names["log group"] = function_logs.log_group(name)
        try:
            begin = clock.now_ms() if since is None else since
            for logged in alerts.follow(target.client("logs"), name, begin, selection):
                _print_notification(logged, output)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
    table = target.name("table", table, "--table")
    _print_firing(alerts.firing(MetricsTable(target.client("dynamodb"), table), selection), table, output)


def _print_firing(firing: Sequence[FiringAlert], table: str, output: Output) -> None:
    if output is Output.JSON:
        listed = []
        for alert in firing:
            values = dataclasses.asdict(alert)
            del values["key"]
            listed.append({**alert.key._asdict(), **values})
        printing.print_json({"table": table, "alerts": listed})
        return
    console = printing.output()
    if firing:
        rows = printing.table("since (UTC)", "severity", "alert", "entity", whole=("since (UTC)", "severity"))
        for alert in firing:
            rows.add_row(
                printing.minute(alert.since),
                printing.severity(alert.severity),
                alert.alert_type,
                Text(f"{alert.key.entity_type} {alert.key.entity_id}"),
            )
        console.print(rows)
    console.print(f"{len(firing):,} alerts are firing.")


def _print_notification(logged: LoggedAlert, output: Output) -> None:
    if output is Output.JSON:
        printing.print_json({"at": to_iso(logged.at_ms), "source": logged.source, **logged.alert}, line=True)
        return
    alert = logged.alert

    def text(name: str) -> str:
        value: Any = alert.get(name)
        return "" if value is None else str(value)

    line = Text.assemble(
        f"{to_iso(logged.at_ms)[:19].replace('T', ' ')}  ",
        printing.severity(text("severity")),
        f"  {text('status')}  {text('alert_type')}  {text('entity_type')} {text('entity_id')}: {text('message')}",
    )
    printing.output().print(line, soft_wrap=True)
