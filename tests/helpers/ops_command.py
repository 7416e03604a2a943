"""Runs the command line in this process."""

import re

from typer.testing import CliRunner, Result

from ops.__main__ import app


def ops(*arguments: str) -> Result:
    """What a command came to: its exit code, standard output and standard error."""
    return CliRunner().invoke(app, list(arguments))


def said(result: Result) -> str:
    """Standard error without frames and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
