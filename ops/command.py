"""What all commands share: where they look (`targeted`), how they print, how they end when they cannot go on."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from functions import model
from functions.aws import clock
from functions.aws.observability import logger
from functions.model import DAY_MS, ENTITY_TYPES, HOUR_MS, MINUTE_MS, SECOND_MS, from_datetime
from ops import aws, show
from ops.target import Target

_UNITS_MS: Final = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


def moment(text: str) -> int:
    """An ISO-8601 date or time, UTC unless it says otherwise, as epoch milliseconds; the parser of an option.

    Raises
    ------
    typer.BadParameter
        When it is none.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO-8601 date or time, such as 2026-11-23T10:00:00Z") from None
    return from_datetime(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


def ago(text: str) -> int:
    """How long ago, such as 30m, 2h or 7d, or a moment as `moment` takes it, as epoch milliseconds; the parser of an
    option.

    Raises
    ------
    typer.BadParameter
        When it is neither.
    """
    if length := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return clock.now_ms() - int(length[1]) * _UNITS_MS[length[2]]
    return moment(text)


def entity_type(text: str) -> model.EntityType:
    """An entity type, in the singular or the plural; the parser of an argument.

    Raises
    ------
    typer.BadParameter
        When there is none such.
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
_TARGET_OPTIONS: Final[dict[str, Any]] = {
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


def targeted(function: Callable[..., None]) -> Callable[..., None]:
    """Makes a command of a function whose first parameter is a `Target`.

    The options that say where to look take that parameter's place, and whatever a user can do something about ends the
    command with one message.
    """
    own = inspect.signature(function, eval_str=True)
    (first, *others) = own.parameters.values()
    if first.annotation is not Target:
        raise TypeError(f"{function.__qualname__} takes {first.annotation!r} first, not a Target")

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        where = {name: arguments.pop(name) for name in _TARGET_OPTIONS}
        target = Target()
        with telling(target):
            target.find(**where)
            function(target, **arguments)

    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "local" else None,
            annotation=annotation,
        )
        for name, annotation in _TARGET_OPTIONS.items()
    ]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in others]
    command.__signature__ = inspect.Signature([*parameters, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (*parameters, *options)}
    return command


@contextmanager
def telling(target: Target) -> Iterator[None]:
    """Ends the command with one message, and no traceback, for whatever a user can do something about."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        _end(aws.explain(error, target.names))
    except aws.UserError as error:
        _end(error)
    except KeyboardInterrupt:
        _end(aws.UserError("`iops` was interrupted; run the same command again to go on", INTERRUPTED))


def _end(error: aws.UserError) -> None:
    show.messages().print(f"error: {error}", markup=False, soft_wrap=True)
    raise typer.Exit(error.exit_code) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the processor's log off standard output; what went wrong is in the result."""
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)
