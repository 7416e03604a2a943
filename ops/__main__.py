"""The operators' command line: `python -m ops`, or `iops` where the project is installed.

Exit codes: 0 done, 1 something needs attention or is not there, 2 a mistake in the command, and the AWS CLI's 253
(credentials or configuration), 254 (AWS refused) and 255 (anything else); 130 when interrupted.
"""

import typer

from ops.entities.commands import alerts, entity, forget, top
from ops.health.commands import audit, health
from ops.quarantine.commands import quarantine, redrive, replay
from ops.report.command import command as report
from ops.traffic.command import command as simulate

app = typer.Typer(
    help="Look after a deployed stack. Each command says what it needs: `iops COMMAND --help`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("entity")(entity.command)
app.command("top")(top.command)
app.command("recent")(top.recent_command)
app.command("alerts")(alerts.command)
app.command("lag")(health.lag_command)
app.command("doctor")(health.doctor_command)
app.command("report")(report)
app.command("redrive")(redrive.command)
app.add_typer(quarantine.app, name="quarantine")
app.command("replay")(replay.command)
app.command("simulate")(simulate)
app.command("forget")(forget.command)
app.command("audit")(audit.command)


if __name__ == "__main__":
    app()
