"""`replay`: sends what is still on the stream through the processor again."""

from typing import Annotated, Any

import typer

from functions.aws import clock
from functions.model import to_iso
from ops import printing
from ops.aws import UserError
from ops.options import Output, OutputOption, ago
from ops.quarantine import replay, stream_reader
from ops.quarantine.stream_reader import Shard, Source
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
    source = stream_reader.source(target.client("kinesis"), stream)
    shards = stream_reader.chosen(source, shard or ())
    if execute:
        _replay(target, source, shards, function, since, until, batch_size, output)
    else:
        _look(target, source, shards, function, since, until, output)


def _head(source: Source, function: str, since: int, until: int, *, executed: bool) -> dict[str, Any]:
    """Returns the part of the JSON that a dry run and a replay have in common."""
    return {
        "stream": source.name,
        "function": function,
        "executed": executed,
        "since": to_iso(since),
        "until": to_iso(until),
    }


def _look(
    target: Target, source: Source, shards: list[Shard], function: str, since: int, until: int, output: Output
) -> None:
    """Prints what a replay would read."""
    kinesis = target.client("kinesis")
    firsts = [stream_reader.first_arrival(kinesis, source.name, shard.shard_id, since, until) for shard in shards]
    if output is Output.JSON:
        head = _head(source, function, since, until, executed=False)
        printing.print_json(head | {"shards": _shards_json(shards, firsts)})
    else:
        _print_dry(source, shards, firsts, since, until, function)


def _replay(
    target: Target,
    source: Source,
    shards: list[Shard],
    function: str,
    since: int,
    until: int,
    batch_size: int,
    output: Output,
) -> None:
    """Replays the shards, and prints what is done and what is not, also after an error or Ctrl-C."""
    progress = replay.Progress()
    complete = interrupted = False
    try:
        with printing.progress("replaying", "records") as move:
            replay.replay(
                target.client("kinesis"),
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
    finally:
        rest = progress.rest([shard.shard_id for shard in shards], since)
        if output is Output.JSON:
            head = _head(source, function, since, until, executed=True)
            printing.print_json(head | _replayed_json(progress, rest, complete=complete))
        else:
            _print_replayed(progress, rest, until)
    if interrupted:
        raise UserError("`iops replay` was interrupted; run it again with the options above to go on", INTERRUPTED)
    if progress.failed:
        raise typer.Exit(1)


def _shards_json(shards: list[Shard], firsts: list[int | None]) -> list[dict[str, Any]]:
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
    source: Source,
    shards: list[Shard],
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
            {"shard_id": record.shard_id, "sequence_number": record.sequence_number, "why": record.why}
            for record in progress.failed
        ],
        "rest": [{"shards": list(part.shard_ids), "since": to_iso(part.since_ms)} for part in rest],
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
    for part in rest:
        where = " ".join(f"--shard {shard_id}" for shard_id in part.shard_ids)
        console.print(
            f"Still to be done: --since {to_iso(part.since_ms)} --until {to_iso(until)} {where}",
            markup=False,
            soft_wrap=True,
        )
