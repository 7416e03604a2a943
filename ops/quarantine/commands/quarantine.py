"""`quarantine`: looks into the quarantine bucket, and puts records from there back on the stream."""

import base64
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.measure import Measurement

from functions.model import EntityKey, to_iso
from ops import show
from ops.aws import UserError
from ops.command import Output, OutputOption, targeted
from ops.quarantine import objects
from ops.quarantine.commands import redrive as redriving
from ops.quarantine.commands.redrive import (
    BucketOption,
    FailedOption,
    PrefixOption,
    QuarantinedOption,
    ReasonOption,
    SinceOption,
    UntilOption,
)
from ops.quarantine.kept import Entry, Kept
from ops.target import Target

app = typer.Typer(
    help="Records that could not be taken in: what is there, why, and back on the stream with it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_NAMED_AT_MOST: Final = 3
_DUMPED_AT_MOST: Final = 2_048
_TEXT_AT_MOST: Final = 20_000
_ANY_WIDTH: Final = 10_000


@app.command("list")
@targeted
def list_objects(
    target: Target,
    bucket: BucketOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    key: PrefixOption = "",
    failed: FailedOption = False,
    quarantined: QuarantinedOption = False,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="How many for which reason, not one by one.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many objects to show.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what is in the quarantine, the latest arrival first.

    Reads every object whose key is selected: what an object is there for is written inside.

    Exit code 1 when an object cannot be read.

    Example: iops quarantine list --stack prod --reason invalid_field --since 2026-11-23
    """
    bucket = target.name("bucket", bucket, "--bucket")
    selection = redriving.selection(key, reason, since, until, failed=failed, quarantined=quarantined)
    with show.progress("reading") as move:
        found = objects.find(target.client("s3"), bucket, selection, report=move)
    if output is Output.JSON:
        show.print_json(_listed_json(found, bucket, limit, by_reason=by_reason))
    else:
        _print_listed(found, limit, by_reason=by_reason)
    if found.unreadable:
        raise typer.Exit(1)


def _listed_json(found: objects.Found, bucket: str, limit: int, *, by_reason: bool) -> dict[str, Any]:
    listed: dict[str, Any] = {"bucket": bucket, "selected": len(found.objects)}
    if by_reason:
        listed["reasons"] = [
            {
                **{name: group[name] for name in ("kind", "reason", "objects", "records")},
                "first_arrival": to_iso(group["first_arrival_ms"]),
                "last_arrival": to_iso(group["last_arrival_ms"]),
            }
            for group in objects.by_reason(found.objects)
        ]
    else:
        listed["objects"] = [
            {
                "key": each.key,
                "kind": each.kind,
                "reason": each.reason,
                "detail": each.detail,
                "records": len(each.entries),
                "first_arrival": to_iso(min(entry.arrival_ms for entry in each.entries)),
                "last_arrival": to_iso(max(entry.arrival_ms for entry in each.entries)),
                "entities": [name._asdict() for name in _named(each.entries)],
            }
            for each in found.objects[:limit]
        ]
    return listed | {"unreadable": [{"key": each.key, "detail": each.detail} for each in found.unreadable]}


def _print_listed(found: objects.Found, limit: int, *, by_reason: bool) -> None:
    console = show.output()
    if found.objects and by_reason:
        rows = show.table(
            *("kind", "reason", "objects", "records", "first arrival", "last arrival"),
            right=("objects", "records"),
            whole=("kind", "first arrival", "last arrival"),
        )
        for group in objects.by_reason(found.objects):
            arrivals = (to_iso(group[name])[:19].replace("T", " ") for name in ("first_arrival_ms", "last_arrival_ms"))
            counts = (f"{group[name]:,}" for name in ("objects", "records"))
            rows.add_row(group["kind"], show.cell(group["reason"]), *counts, *arrivals)
        console.print(rows)
    elif found.objects:
        _print_each(console, found.objects[:limit])
    for outcome in found.unreadable:
        console.print(show.escaped(f"{outcome.key}: {outcome.detail}"), markup=False)
    records = sum(len(each.entries) for each in found.objects)
    if not found.objects:
        console.print("Nothing is there, or nothing is selected.")
    elif by_reason or len(found.objects) <= limit:
        console.print(f"{len(found.objects):,} objects with {records:,} records.")
    else:
        console.print(
            f"{limit:,} of {len(found.objects):,} objects with {records:,} records; --limit shows more, --by-reason "
            "sums up."
        )


def _print_each(console: Console, objects: Sequence[Kept]) -> None:
    """A table where it fits; on a narrow terminal lines, in which a key stays in one piece."""
    rows = show.table(*("arrived (UTC)", "reason", "entity", "detail", "key"), whole=("arrived (UTC)", "reason", "key"))
    lines = []
    for each in objects:
        arrived = to_iso(max(entry.arrival_ms for entry in each.entries))[:19].replace("T", " ")
        detail = each.detail or f"a batch of {len(each.entries):,} records that was given up"
        names = _names(_named(each.entries))
        rows.add_row(arrived, *map(show.cell, (each.reason, names, detail, each.key)))
        lines += [f"{arrived}  {each.reason}  {names}", f"  {detail}", f"  {each.key}"]
    if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), rows).maximum <= console.width:
        console.print(rows)
        return
    for line in lines:
        console.print(show.escaped(line), markup=False, soft_wrap=True)


@app.command("show")
@targeted
def show_object(
    target: Target,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object's S3 key, as `iops quarantine list` says.")],
    bucket: BucketOption = None,
    record: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The Nth record of a batch that was given up.")
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Write the record's data alone, byte by byte as it was on the stream.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one object: why it is there, when and where it arrived, and what it says.

    JSON is shown on several lines, other text with its control characters escaped, anything else in hexadecimal. With
    --data the data goes to a file, there to be corrected, and `iops quarantine redrive KEY --data FILE` puts the
    corrected record on the stream.

    Exit code 254 when there is no such object.

    Example: iops quarantine show --stack prod records/shardId-000000000000/4965.json --data > record.json
    """
    bucket = target.name("bucket", bucket, "--bucket")
    found = objects.get(target.client("s3"), bucket, key)
    entries = found.entries
    if record is not None:
        if record > len(entries):
            raise UserError(f"--record is {record}, but {key} has {len(entries):,}: give 1 to {len(entries)}", 2)
        entries = [entries[record - 1]]
    if data:
        if len(entries) > 1:
            raise UserError(f"{key} is a batch of {len(entries):,} records: give --record N to say which one's data", 2)
        write(entries[0].data)
    elif output is Output.JSON:
        show.print_json(_shown_json(found, entries, bucket))
    else:
        _print_shown(found, entries)


def write(data: bytes) -> None:
    """Writes a record's data to standard output as it is.

    Raises
    ------
    UserError
        When that is a terminal.
    """
    if sys.stdout.isatty():
        raise UserError("--data writes to a file, not to a terminal, which data could command: add > record.json", 2)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _shown_json(found: Kept, entries: Sequence[Entry], bucket: str) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": found.key,
        "kind": found.kind,
        "reason": found.reason,
        "detail": found.detail,
        "records": [
            {
                "arrival_time": to_iso(entry.arrival_ms),
                "shard_id": entry.shard_id,
                "sequence_number": entry.sequence_number,
                "partition_key": entry.partition_key,
                "entities": [name._asdict() for name in objects.named(entry.data)],
                "event": objects.event_of(entry.data),
                "data": base64.b64encode(entry.data).decode(),
            }
            for entry in entries
        ],
    }


def _print_shown(found: Kept, entries: Sequence[Entry]) -> None:
    console = show.output()
    facts = {"key": found.key, "kind": found.kind, "reason": found.reason, "detail": found.detail}
    if len(entries) == 1:
        (entry,) = entries
        facts |= {
            "arrived": to_iso(entry.arrival_ms),
            "shard": entry.shard_id,
            "sequence number": entry.sequence_number,
            "partition key": entry.partition_key,
            "entity": _names(objects.named(entry.data)),
            "bytes": f"{len(entry.data):,}",
        }
        _print_facts(console, facts)
        _print_data(console, entry.data)
        return
    _print_facts(console, facts | {"records": f"{len(entries):,}"})
    rows = show.table(
        *("N", "arrived (UTC)", "entity", "bytes", "sequence number", "partition key"), right=("N", "bytes")
    )
    for number, entry in enumerate(entries, 1):
        named = _names(objects.named(entry.data))
        said = (to_iso(entry.arrival_ms), named, f"{len(entry.data):,}", entry.sequence_number, entry.partition_key)
        rows.add_row(str(number), *map(show.cell, said))
    console.print(rows)
    console.print("--record N shows one of them.")


def _print_facts(console: Console, facts: dict[str, str]) -> None:
    for name, value in facts.items():
        if value:
            console.print(show.escaped(f"{name + ':':<17}{value}"), markup=False, soft_wrap=True)


def _print_data(console: Console, data: bytes) -> None:
    console.print()
    text = objects.pretty(data)
    if text is None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            for line in objects.dump(data, _DUMPED_AT_MOST):
                console.print(line, markup=False, soft_wrap=True)
            if len(data) > _DUMPED_AT_MOST:
                console.print(f"... and {len(data) - _DUMPED_AT_MOST:,} bytes more; --data writes all of them")
            return
    for line in show.escaped(text[:_TEXT_AT_MOST]).split("\n"):
        console.print(line, markup=False, soft_wrap=True)
    if len(text) > _TEXT_AT_MOST:
        console.print(f"... and {len(text) - _TEXT_AT_MOST:,} characters more; --data writes all of them")


def _named(entries: Sequence[Entry]) -> list[EntityKey]:
    """Whom records name, each once, in order."""
    return list(dict.fromkeys(name for entry in entries for name in objects.named(entry.data)))


def _names(names: Sequence[EntityKey]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST:,} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(f"{each.entity_type} {each.entity_id}" for each in names[:_NAMED_AT_MOST]) + more


app.command("redrive")(redriving.command)
