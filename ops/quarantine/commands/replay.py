"""`replay`: sends what is still on the stream through the processor again."""

from typing import Annotated, Any

import typer

from functions.aws import clock
from functions.model import to_iso
from ops import printing
from ops.aws import UserError
from ops.options import Output, OutputOption, ago
from ops.quarantine import replay
from ops.running import INTERRUPTED, targeted
from ops.target import Target

_LONGEST_FUNCTION_SECONDS = 900  # Lambda quotas, "Function timeout"
_MOST_LINES = 20


@targeted
def command(
    target: Target,
    since: Annotated[
        int, typer.Option(parser=ago, metavar="TIME", help="From when on: ISO-8601, or 2h for two hours ago.")
    ],
    until: Annotated[
        int | None, typer.Option(parser=ago, metavar="TIME", help="Only what arrived before; by default, until now.")
    ] = None,
    shard: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this shard; repeatable. By default all of them.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="How many records a call has at most.")] = 100,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="The stream to read.")] = None,
    function: Annotated[str | None, typer.Option(metavar="NAME", help="The processor's function.")] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Do it; without this the stream is only looked at.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Read the stream again from a time and send its records through the processor.

    Harmless by design: what the processor knows already changes nothing, and shards may be replayed in any order. It
    brings back what was lost behind the processor's back: after a restore of the table, or an item that was deleted.
    What was quarantined comes to the quarantine again, under its old key and mended or not; and a person who was
    forgotten comes back with their records.

    It shares each shard's read throughput (2 MB and five reads a second) with the processor's own mapping, whose
    iterator age may rise meanwhile. Shards are read one after the other, parents first; several runs, each with a
    `--shard` of its own, are faster and hungrier.

    Exit code 1 when records were not taken in, 130 after Ctrl-C, which says from where to go on.

    Example: iops replay --stack prod --since 2026-11-23T10:00Z --until 2026-11-23T12:00Z --execute
    """
    stream = target.name("stream", stream, "--stream")
    function = target.name("function", function, "--function")
    until = replay.until(since, until, clock.now_ms())
    kinesis = target.client("kinesis")
    source = replay.source(kinesis, stream)
    shards = replay.chosen(source, shard or ())
    progress = replay.Progress()
    said = {"stream": stream, "function": function, "executed": execute, "since": to_iso(since), "until": to_iso(until)}
    if not execute:
        firsts = [replay.first_arrival(kinesis, stream, each.shard_id, since, until) for each in shards]
        if output is Output.JSON:
            printing.print_json(said | {"shards": _shards_json(shards, firsts)})
        else:
            _print_dry(source, shards, firsts, since, until, function)
        return
    complete = interrupted = False
    try:
        with printing.progress("replaying", "records") as move:
            replay.replay(
                kinesis,
                target.client("lambda", read_timeout=_LONGEST_FUNCTION_SECONDS),
                source,
                shards,
                function,
                since,
                until,
                progress,
                batch_size=batch_size,
                report=lambda records: move(records, None),
            )
        complete = True
    except KeyboardInterrupt:
        interrupted = True
    finally:  # what is done, and what is not, is told whatever has happened
        rest = progress.rest([each.shard_id for each in shards], since)
        if output is Output.JSON:
            printing.print_json(said | _replayed_json(progress, rest, complete=complete))
        else:
            _print_replayed(progress, rest, until)
    if interrupted:
        raise UserError("`iops replay` was interrupted; run it again with the options above to go on", INTERRUPTED)
    if progress.failed:
        raise typer.Exit(1)


def _shards_json(shards: list[replay.Shard], firsts: list[int | None]) -> list[dict[str, Any]]:
    return [
        {
            "shard_id": shard.shard_id,
            "parents": list(shard.parents),
            "closed": shard.closed,
            "first_arrival": None if first is None else to_iso(first),
        }
        for shard, first in zip(shards, firsts, strict=True)
    ]


def _print_dry(
    source: replay.Source,
    shards: list[replay.Shard],
    firsts: list[int | None],
    since: int,
    until: int,
    function: str,
) -> None:
    console = printing.output()
    rows = printing.table("shard", "state", "first record", whole=("shard", "first record"))
    for shard, first in zip(shards, firsts, strict=True):
        state = "closed" if shard.closed else "open"
        rows.add_row(shard.shard_id, state, "none seen" if first is None else to_iso(first))
    console.print(rows)
    console.print(
        f"Dry run: what arrived on {source.name} from {to_iso(since)} until {to_iso(until)} would be sent through "
        f"{function}, shard after shard in this order. The stream keeps {source.retention_hours:,} hours. Nothing was "
        "sent. Repeat with --execute to do it."
    )


def _replayed_json(progress: replay.Progress, rest: list[replay.Rest], *, complete: bool) -> dict[str, Any]:
    return {
        "complete": complete,
        "records": progress.records,
        "calls": progress.calls,
        "items_written": progress.written,
        "quarantined": progress.quarantined,
        "failed": [
            {"shard_id": each.shard_id, "sequence_number": each.sequence_number, "why": each.why}
            for each in progress.failed
        ],
        "rest": [{"shards": list(each.shard_ids), "since": to_iso(each.since_ms)} for each in rest],
    }


def _print_replayed(progress: replay.Progress, rest: list[replay.Rest], until: int) -> None:
    console = printing.output()
    changed = ""
    if progress.written is not None and progress.quarantined is not None:
        changed = f": {progress.written:,} items written, {progress.quarantined:,} records quarantined"
    console.print(f"{progress.records:,} records sent through the processor in {progress.calls:,} calls{changed}.")
    for failed in progress.failed[:_MOST_LINES]:
        console.print(f"failed {failed.shard_id} {failed.sequence_number}: {failed.why}", markup=False)
    if len(progress.failed) > _MOST_LINES:
        console.print(f"... and {len(progress.failed) - _MOST_LINES:,} more; --output json has all of them")
    for each in rest:
        where = " ".join(f"--shard {shard_id}" for shard_id in each.shard_ids)
        console.print(
            f"Still to be done: --since {to_iso(each.since_ms)} --until {to_iso(until)} {where}",
            markup=False,
            soft_wrap=True,
        )
