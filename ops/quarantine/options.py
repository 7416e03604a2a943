"""The options by which the quarantine's commands select objects, and what they select."""

from typing import Annotated

import typer

from ops.aws import UserError
from ops.options import ago
from ops.quarantine import stored_objects
from ops.quarantine.redrive import Selection

BucketOption = Annotated[str | None, typer.Option(metavar="NAME", help="The quarantine bucket.")]
ReasonOption = Annotated[
    list[str] | None,
    typer.Option(help="Only what is there for this reason, such as not_json or RetryAttemptsExhausted; repeatable."),
]
SinceOption = Annotated[
    int | None,
    typer.Option(
        parser=ago, metavar="TIME", help="Only what arrived then or later: ISO-8601, or 2h for two hours ago."
    ),
]
UntilOption = Annotated[int | None, typer.Option(parser=ago, metavar="TIME", help="Only what arrived before.")]
PrefixOption = Annotated[str, typer.Option(metavar="PREFIX", help="Only objects whose S3 key starts so.")]
FailedOption = Annotated[bool, typer.Option("--failed", help="Only batches that the event source mapping gave up.")]
QuarantinedOption = Annotated[bool, typer.Option("--quarantined", help="Only records that the processor quarantined.")]


def selection(
    key: str,
    reason: list[str] | None,
    since: int | None,
    until: int | None,
    *,
    failed: bool,
    quarantined: bool,
    force: bool = False,
) -> Selection:
    """Returns what the options of a command select.

    Raises
    ------
    UserError
        When they can select nothing.
    """
    if since is not None and until is not None and since >= until:
        raise UserError("--since is not before --until, so nothing can be selected: give an earlier --since", 2)
    prefix = _prefix(key, failed=failed, quarantined=quarantined)
    return Selection(prefix, frozenset(reason or ()), since, until, force)


def _prefix(key: str, *, failed: bool, quarantined: bool) -> str:
    """Returns the S3 prefix of all objects of the chosen kinds whose keys start with `key`."""
    kinds = {stored_objects.ON_FAILURE: failed, stored_objects.QUARANTINED: quarantined}
    chosen = [prefix for prefix, is_chosen in kinds.items() if is_chosen] or list(kinds)
    if not any(prefix.startswith(key) or key.startswith(prefix) for prefix in chosen):
        raise UserError(f"--key {key!r} selects nothing: keys start with {' or '.join(chosen)}", 2)
    return max(chosen[0], key, key=len) if len(chosen) == 1 else key
