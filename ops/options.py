"""The options and arguments that many commands have, and the parsers of their values.

The options that say where a command looks (`--stack` and the like) are added by `running.targeted`.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from functions import model
from functions.aws import clock
from functions.model import DAY_MS, ENTITY_TYPES, HOUR_MS, MINUTE_MS, SECOND_MS, from_datetime

_UNITS_MS: Final = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


def moment(text: str) -> int:
    """Parses an ISO-8601 date or time into epoch milliseconds. A time without an offset is UTC.

    Raises
    ------
    typer.BadParameter
        When the text is not a date or time.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO-8601 date or time, such as 2026-11-23T10:00:00Z") from None
    return from_datetime(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


def ago(text: str) -> int:
    """Parses a time in the past into epoch milliseconds: a length such as 30m, 2h or 7d, or what `moment` accepts.

    Raises
    ------
    typer.BadParameter
        When the text is neither.
    """
    if length := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return clock.now_ms() - int(length[1]) * _UNITS_MS[length[2]]
    return moment(text)


def entity_type(text: str) -> model.EntityType:
    """Parses an entity type, in the singular or the plural.

    Raises
    ------
    typer.BadParameter
        When the text names no entity type.
    """
    singular = text.lower().removesuffix("s")
    for known in ENTITY_TYPES:
        if singular == known:
            return known
    raise typer.BadParameter(f"{text!r} is no type of entity: choose one of {', '.join(ENTITY_TYPES)}")


def _endpoint(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"https?://[^/\s]+\S*", text):
        raise typer.BadParameter(f"{text!r} is no URL, such as http://127.0.0.1:4566")
    return text


TypeArgument = Annotated[
    model.EntityType,
    typer.Argument(
        parser=entity_type,
        metavar="TYPE",
        autocompletion=lambda: list(ENTITY_TYPES),
        help="student, tutor, subject or region; the plural will do.",
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", help="How to print the result.")]

_WHERE: Final = "Where"
TARGET_OPTIONS: Final[dict[str, Any]] = {
    "stack": Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            envvar="IOPS_STACK",
            rich_help_panel=_WHERE,
            help="The stack, whose outputs the Pulumi CLI reads.",
        ),
    ],
    "stack_outputs": Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="IOPS_STACK_OUTPUTS",
            rich_help_panel=_WHERE,
            help="The same from a file: what `pulumi stack output --json` has written.",
        ),
    ],
    "local": Annotated[
        bool,
        typer.Option("--local", rich_help_panel=_WHERE, help="The local AWS that `make demo KEEP=1` has left running."),
    ],
    "region": Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_WHERE, help="AWS region; by default the stack's, or the environment's."
        ),
    ],
    "profile": Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=_WHERE, help="AWS profile; by default that of the environment."),
    ],
    "endpoint_url": Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            callback=_endpoint,
            rich_help_panel=_WHERE,
            help="Another AWS endpoint, such as a local AWS's.",
        ),
    ],
}
"""The options that say where a command looks, by parameter name: what `Target.find` takes."""
