"""How every command runs: on which stack, and how it ends when it cannot go on."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.observability import logger
from ops import aws, printing
from ops.options import TARGET_OPTIONS
from ops.target import Target

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""


def targeted(function: Callable[..., None]) -> Callable[..., None]:
    """Decorates a function whose first parameter is a `Target`, so that it becomes a command.

    The command has the options of `TARGET_OPTIONS` in place of that parameter. It fills the target from them before it
    calls the function. An error that the user can act on ends the command with one message.
    """
    (first, *others) = inspect.signature(function, eval_str=True).parameters.values()
    if first.annotation is not Target:
        raise TypeError(f"{function.__qualname__} takes {first.annotation!r} first, not a Target")

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        where = {name: arguments.pop(name) for name in TARGET_OPTIONS}
        target = Target()
        with errors_as_messages(target):
            target.find(**where)
            function(target, **arguments)

    own_parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in others]
    target_parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "local" else None,
            annotation=annotation,
        )
        for name, annotation in TARGET_OPTIONS.items()
    ]
    parameters = [*own_parameters, *target_parameters]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


@contextmanager
def errors_as_messages(target: Target) -> Iterator[None]:
    """Ends the command with one message and no traceback after an error that the user can act on."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        _end(aws.explain(error, target.names))
    except aws.UserError as error:
        _end(error)
    except KeyboardInterrupt:
        _end(aws.UserError("`iops` was interrupted; run the same command again to go on", INTERRUPTED))


def _end(error: aws.UserError) -> None:
    printing.messages().print(f"error: {error}", markup=False, soft_wrap=True)
    raise typer.Exit(error.exit_code) from None


@contextmanager
def without_log() -> Iterator[None]:
    """Keeps the processor's log off standard output while a command runs the processor's code.

    The command reports failures in its own result.
    """
    level = logger.log_level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)
