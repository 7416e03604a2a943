"""`redrive`: puts quarantined records and failed batches back on the stream."""

from typing import Annotated

import typer

from ops import redrive, show
from ops.aws import UserError
from ops.commands.base import Output, OutputOption, moment, targeted
from ops.target import Target


@targeted
def command(
    target: Target,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The quarantine bucket.")] = None,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="The stream to put the records on.")] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            help="Only what is there for this reason, such as not_json or RetryAttemptsExhausted; repeatable."
        ),
    ] = None,
    since: Annotated[
        int | None, typer.Option(parser=moment, metavar="ISO", help="Only what arrived then or later.")
    ] = None,
    until: Annotated[int | None, typer.Option(parser=moment, metavar="ISO", help="Only what arrived before.")] = None,
    key: Annotated[str, typer.Option(metavar="PREFIX", help="Only objects whose S3 key starts so.")] = "",
    failed: Annotated[
        bool, typer.Option("--failed", help="Only batches that the event source mapping gave up.")
    ] = False,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Only records that the processor quarantined.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Include too_late records.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without this nothing is changed.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put quarantined records and failed batches back on the stream.

    Says what it would do; with --execute it does it. An object is removed only after the stream has accepted all of its
    records, so a run may be interrupted and repeated at any point: a repeat makes duplicates at most, which the
    processor drops. A record that is still refused comes back to the quarantine under a new key.

    Exit code 1 when an object had to be left.

    Example: iops redrive --stack prod --reason too_many --since 2026-11-23 --execute
    """
    bucket = target.name("bucket", bucket, "--bucket")
    stream = target.name("stream", stream, "--stream")
    if since is not None and until is not None and since >= until:
        raise UserError("--since is not before --until, so nothing can be selected: give an earlier --since", 2)
    prefix = _prefix(key, failed=failed, quarantined=quarantined)
    selection = redrive.Selection(prefix, frozenset(reason or ()), since, until, force)
    report = redrive.Report()
    complete = False
    try:
        with show.progress("redriving" if execute else "reading") as move:

            def settled(outcome: redrive.Outcome, total: int) -> None:
                report.outcomes.append(outcome)
                move(1, total)

            redrive.redrive(
                target.client("s3"),
                target.client("kinesis"),
                bucket,
                stream,
                selection,
                execute=execute,
                report=settled,
            )
        complete = True
    finally:
        if complete or report.put:  # what is done is told even when the rest is not
            if output is Output.JSON:
                show.print_json(show.redriven_json(report, bucket, stream, executed=execute, complete=complete))
            else:
                show.print_redriven(report, executed=execute)
    if report.objects("left"):
        raise typer.Exit(1)


def _prefix(key: str, *, failed: bool, quarantined: bool) -> str:
    """The S3 prefix that a choice of kinds and a key come to."""
    kinds = {redrive.ON_FAILURE: failed, redrive.QUARANTINED: quarantined}
    chosen = [place for place, asked in kinds.items() if asked] or list(kinds)
    if not any(place.startswith(key) or key.startswith(place) for place in chosen):
        raise UserError(f"--key {key!r} selects nothing: keys start with {' or '.join(chosen)}", 2)
    return max(chosen[0], key, key=len) if len(chosen) == 1 else key
