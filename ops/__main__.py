"""The operators' command line: `python -m ops`, or `iops` where the project is installed.

Exit codes: 0 done, 1 something needs attention or is not there, 2 a mistake in the command, and the AWS CLI's 253
(credentials or configuration), 254 (AWS refused) and 255 (anything else); 130 when interrupted.
"""

import typer

from ops.commands import alerts, audit, entity, forget, quarantine, redrive, replay, report, simulate, state, top

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
app.command("lag")(state.lag_command)
app.command("doctor")(state.doctor_command)
app.command("report")(report.command)
app.command("redrive")(redrive.command)
app.add_typer(quarantine.app, name="quarantine")
app.command("replay")(replay.command)
app.command("simulate")(simulate.command)
app.command("forget")(forget.command)
app.command("audit")(audit.command)


if __name__ == "__main__":
    app()
