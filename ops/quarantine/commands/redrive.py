"""`redrive`: puts quarantined records and failed batches back on the stream, one of them mended if need be."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from functions.aws import clock
from ops import aws, printing
from ops.aws import UserError
from ops.options import Output, OutputOption
from ops.quarantine import browse, correction, redrive
from ops.quarantine.options import (
    BucketOption,
    FailedOption,
    PrefixOption,
    QuarantinedOption,
    ReasonOption,
    SinceOption,
    UntilOption,
    selection,
)
from ops.quarantine.printing import print_redriven, redriven_json
from ops.quarantine.redrive import Selection
from ops.quarantine.stored_objects import StoredObject
from ops.running import targeted
from ops.target import Target

_FUTURE_TOLERANCE_MS: Final = 600_000
"""The default of contract section 1, for a command that is given no stack."""


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
        if chosen != Selection(force=force):
            raise UserError(f"KEY {object_key} is one object: give it, or options that select several, but not both", 2)
        stored = browse.get(target.client("s3"), bucket, object_key)
        if data is not None:
            _redrive_corrected(target, stored, data, bucket, stream, execute=execute, output=output)
            return
        chosen = Selection(prefix=stored.key, force=force)
    elif data is not None:
        raise UserError("--data is for one record: give its KEY too, as `iops quarantine list` says", 2)
    _redrive_selected(target, chosen, bucket, stream, execute=execute, output=output)


def _redrive_selected(
    target: Target, chosen: Selection, bucket: str, stream: str, *, execute: bool, output: Output
) -> None:
    """Redrives what is selected, and prints what became of it even when the run is interrupted."""
    report = redrive.Report()
    complete = False
    try:
        with printing.progress("redriving" if execute else "reading") as move:

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
        if complete or report.put:
            if output is Output.JSON:
                printing.print_json(redriven_json(report, bucket, stream, executed=execute, complete=complete))
            else:
                print_redriven(report, executed=execute)
    if report.objects("left"):
        raise typer.Exit(1)


def _redrive_corrected(
    target: Target, quarantined: StoredObject, file: Path, bucket: str, stream: str, *, execute: bool, output: Output
) -> None:
    """Puts a file's content in the place of a quarantined record, if the processor would accept it."""
    if quarantined.kind != "quarantined":
        raise UserError(
            f"{quarantined.key} is a batch of {len(quarantined.records):,} records that was given up, not one that was "
            "refused: run it without --data",
            2,
        )
    (record,) = quarantined.records
    data = _content(file)
    tolerance_ms = _FUTURE_TOLERANCE_MS
    if target.known():
        tolerance_ms = aws.deployed_config(target.name("function")).future_tolerance_ms
    check = correction.check(record, data, clock.now_ms(), tolerance_ms)
    outcome = redrive.outcome_of(quarantined, "left" if check.reason else "selected", detail=check.detail)
    if execute and not check.reason:
        outcome = correction.mend(target.client("s3"), target.client("kinesis"), bucket, stream, quarantined, data)
    if output is Output.JSON:
        report = redrive.Report([outcome])
        printing.print_json(
            redriven_json(report, bucket, stream, executed=execute, complete=True)
            | {
                "check": {
                    "accepted": not check.reason,
                    "reason": check.reason,
                    "detail": check.detail,
                    "event_type": check.event_type,
                    "entities": [entity._asdict() for entity in check.entities],
                }
            }
        )
    else:
        _print_corrected(outcome, check, changed=data != record.data, executed=execute)
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


def _print_corrected(outcome: redrive.Outcome, check: correction.Check, *, changed: bool, executed: bool) -> None:
    console = printing.output()
    if not changed:
        console.print("The data is what is stored, byte by byte: nothing has been corrected.")
    if check.reason:
        console.print(
            printing.escaped(
                f"The processor would refuse this record, {check.reason}: {check.detail}. Nothing was put or removed."
            ),
            markup=False,
        )
        return
    counts_for = ", ".join(f"{entity.entity_type} {entity.entity_id}" for entity in check.entities)
    accepted = f"The processor takes this record in: {check.event_type} of {counts_for}."
    console.print(printing.escaped(accepted), markup=False)
    if outcome.status == "removed":
        console.print(f"1 record put on the stream, {outcome.key} removed.", markup=False)
    elif executed:
        console.print(printing.escaped(f"left {outcome.key}: {outcome.detail}"), markup=False)
    else:
        console.print("Dry run: nothing was put or removed. Repeat with --execute to do it.")
