"""`redrive`: puts quarantined records and failed batches back on the stream, one of them mended if need be."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from functions.aws import clock
from ops import aws, show
from ops.aws import UserError
from ops.command import Output, OutputOption, ago, targeted
from ops.quarantine import kept, objects, redrive
from ops.target import Target

_FUTURE_TOLERANCE_MS: Final = 600_000
"""Contract section 1; what counts where no stack says otherwise."""


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


@targeted
def command(
    target: Target,
    object_key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="One object, by its S3 key; by default what the options select."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Put what this file holds (`-`: standard input) in the place of KEY's data."),
    ] = None,
    bucket: BucketOption = None,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="The stream to put the records on.")] = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    key: PrefixOption = "",
    failed: FailedOption = False,
    quarantined: QuarantinedOption = False,
    force: Annotated[bool, typer.Option("--force", help="Include too_late records.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without this nothing is changed.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put quarantined records and failed batches back on the stream.

    Says what it would do; with --execute it does it. An object is removed only after the stream has accepted all of its
    records, so a run may be interrupted and repeated at any point: a repeat makes duplicates at most, which the
    processor drops. A record that is still refused comes back to the quarantine under a new key.

    A poison record is mended in three steps: `iops quarantine show KEY --data > record.json`, correct the file, and
    redrive KEY with --data record.json. The processor's own validation looks at it first; what it would refuse is not
    put. Partition key and first arrival stay the record's own.

    Exit code 1 when an object had to be left, or the corrected record would be refused.

    Example: iops redrive --stack prod --reason too_many --since 2026-11-23 --execute
    """
    bucket = target.name("bucket", bucket, "--bucket")
    stream = target.name("stream", stream, "--stream")
    chosen = selection(key, reason, since, until, failed=failed, quarantined=quarantined, force=force)
    if object_key is not None:
        if chosen != redrive.Selection(force=force):
            raise UserError(f"KEY {object_key} is one object: give it, or options that select several, but not both", 2)
        found = objects.get(target.client("s3"), bucket, object_key)
        if data is not None:
            _mend(target, found, data, bucket, stream, execute=execute, output=output)
            return
        chosen = redrive.Selection(prefix=found.key, force=force)
    elif data is not None:
        raise UserError("--data is for one record: give its KEY too, as `iops quarantine list` says", 2)
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
                chosen,
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


def _mend(
    target: Target, found: kept.Kept, file: Path, bucket: str, stream: str, *, execute: bool, output: Output
) -> None:
    """Puts a file's content in a quarantined record's place, if the processor would take it."""
    if found.kind != "quarantined":
        raise UserError(
            f"{found.key} is a batch of {len(found.entries):,} records that was given up, not one that was refused: "
            "run it without --data",
            2,
        )
    (entry,) = found.entries
    data = _content(file)
    tolerance_ms = _FUTURE_TOLERANCE_MS
    if target.known():
        tolerance_ms = aws.deployed_config(target.name("function")).future_tolerance_ms
    check = objects.check(entry, data, clock.now_ms(), tolerance_ms)
    outcome = redrive.outcome_of(found, "left" if check.reason else "selected", detail=check.detail)
    if execute and not check.reason:
        outcome = objects.mend(target.client("s3"), target.client("kinesis"), bucket, stream, found, data)
    if output is Output.JSON:
        report = redrive.Report([outcome])
        show.print_json(
            show.redriven_json(report, bucket, stream, executed=execute, complete=True)
            | {
                "check": {
                    "accepted": not check.reason,
                    "reason": check.reason,
                    "detail": check.detail,
                    "event_type": check.event_type,
                    "entities": [each._asdict() for each in check.entities],
                }
            }
        )
    else:
        _print_mended(outcome, check, changed=data != entry.data, executed=execute)
    if check.reason or outcome.status == "left":
        raise typer.Exit(1)


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(
            f"--data {file} cannot be read: {error.strerror or error}; make it with `iops quarantine show KEY --data`",
            2,
        ) from None


def _print_mended(outcome: redrive.Outcome, check: objects.Check, *, changed: bool, executed: bool) -> None:
    console = show.output()
    if not changed:
        console.print("The data is what is stored, byte by byte: nothing has been corrected.")
    if check.reason:
        console.print(
            show.escaped(
                f"The processor would refuse this record, {check.reason}: {check.detail}. Nothing was put or removed."
            ),
            markup=False,
        )
        return
    counts_for = ", ".join(f"{each.entity_type} {each.entity_id}" for each in check.entities)
    said = f"The processor takes this record in: {check.event_type} of {counts_for}."
    console.print(show.escaped(said), markup=False)
    if outcome.status == "removed":
        console.print(f"1 record put on the stream, {outcome.key} removed.", markup=False)
    elif executed:
        console.print(show.escaped(f"left {outcome.key}: {outcome.detail}"), markup=False)
    else:
        console.print("Dry run: nothing was put or removed. Repeat with --execute to do it.")


def selection(
    key: str,
    reason: list[str] | None,
    since: int | None,
    until: int | None,
    *,
    failed: bool,
    quarantined: bool,
    force: bool = False,
) -> redrive.Selection:
    """What the options of a command select.

    Raises
    ------
    UserError
        When they can select nothing.
    """
    if since is not None and until is not None and since >= until:
        raise UserError("--since is not before --until, so nothing can be selected: give an earlier --since", 2)
    prefix = _prefix(key, failed=failed, quarantined=quarantined)
    return redrive.Selection(prefix, frozenset(reason or ()), since, until, force)


def _prefix(key: str, *, failed: bool, quarantined: bool) -> str:
    """The S3 prefix that a choice of kinds and a key come to."""
    kinds = {kept.ON_FAILURE: failed, kept.QUARANTINED: quarantined}
    chosen = [place for place, asked in kinds.items() if asked] or list(kinds)
    if not any(place.startswith(key) or key.startswith(place) for place in chosen):
        raise UserError(f"--key {key!r} selects nothing: keys start with {' or '.join(chosen)}", 2)
    return max(chosen[0], key, key=len) if len(chosen) == 1 else key
