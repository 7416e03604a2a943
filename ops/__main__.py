"""The operators' command line: `python -m ops`, or `iops` where the project is installed.

This is its table of contents. The command `NAME` is the function `command` in `ops/*/commands/NAME.py`.

Exit codes: 0 done, 1 something needs attention or is not there, 2 a mistake in the command, and the AWS CLI's 253
(credentials or configuration), 254 (AWS refused) and 255 (anything else); 130 when interrupted.
"""

import typer

from ops.entities.commands import alerts, entity, forget, recent, top
from ops.health.commands import audit, doctor, lag
from ops.quarantine.commands import quarantine_list, quarantine_show, redrive, replay
from ops.report.commands import report
from ops.traffic.commands import simulate

app = typer.Typer(
    help="Look after a deployed stack. Each command says what it needs: `iops COMMAND --help`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
quarantine = typer.Typer(
    help="Records that could not be taken in: what is there, why, and back on the stream with it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
quarantine.command("list")(quarantine_list.command)
quarantine.command("show")(quarantine_show.command)
quarantine.command("redrive")(redrive.command)

app.command("entity")(entity.command)
app.command("top")(top.command)
app.command("recent")(recent.command)
app.command("alerts")(alerts.command)
app.command("lag")(lag.command)
app.command("doctor")(doctor.command)
app.command("report")(report.command)
app.command("redrive")(redrive.command)
app.add_typer(quarantine, name="quarantine")
app.command("replay")(replay.command)
app.command("simulate")(simulate.command)
app.command("forget")(forget.command)
app.command("audit")(audit.command)


if __name__ == "__main__":
    app()
