"""The operators' command line: `python -m ops`, or `iops` where the project is installed.

Exit codes: 0 done, 1 something needs attention, 2 a mistake in the command, and the AWS CLI's 253 (credentials or
configuration), 254 (AWS refused) and 255 (anything else); 130 when interrupted.
"""

import typer

from ops.commands import audit, redrive

app = typer.Typer(
    help="Look after a deployed stack. Each command says what it needs: `iops COMMAND --help`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("redrive")(redrive.command)
app.command("audit")(audit.command)


if __name__ == "__main__":
    app()
