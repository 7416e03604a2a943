"""`quarantine list`: the objects in the quarantine bucket."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.measure import Measurement

from functions.model import to_iso
from ops import printing
from ops.options import Output, OutputOption
from ops.quarantine import browse
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
from ops.quarantine.printing import named_in, names
from ops.quarantine.stored_objects import StoredObject
from ops.running import targeted
from ops.target import Target

_ANY_WIDTH: Final = 10_000


@targeted
def command(
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
    selected = selection(key, reason, since, until, failed=failed, quarantined=quarantined)
    with printing.progress("reading") as move:
        found = browse.find(target.client("s3"), bucket, selected, report=move)
    if output is Output.JSON:
        printing.print_json(_listed_json(found, bucket, limit, by_reason=by_reason))
    else:
        _print_listed(found, limit, by_reason=by_reason)
    if found.unreadable:
        raise typer.Exit(1)


def _listed_json(found: browse.Found, bucket: str, limit: int, *, by_reason: bool) -> dict[str, Any]:
    listed: dict[str, Any] = {"bucket": bucket, "selected": len(found.objects)}
    if by_reason:
        listed["reasons"] = [
            {
                **{name: group[name] for name in ("kind", "reason", "objects", "records")},
                "first_arrival": to_iso(group["first_arrival_ms"]),
                "last_arrival": to_iso(group["last_arrival_ms"]),
            }
            for group in browse.by_reason(found.objects)
        ]
    else:
        listed["objects"] = [
            {
                "key": stored.key,
                "kind": stored.kind,
                "reason": stored.reason,
                "detail": stored.detail,
                "records": len(stored.records),
                "first_arrival": to_iso(min(record.arrival_ms for record in stored.records)),
                "last_arrival": to_iso(max(record.arrival_ms for record in stored.records)),
                "entities": [name._asdict() for name in named_in(stored.records)],
            }
            for stored in found.objects[:limit]
        ]
    return listed | {"unreadable": [{"key": outcome.key, "detail": outcome.detail} for outcome in found.unreadable]}


def _print_listed(found: browse.Found, limit: int, *, by_reason: bool) -> None:
    console = printing.output()
    if found.objects and by_reason:
        rows = printing.table(
            "kind",
            "reason",
            "objects",
            "records",
            "first arrival",
            "last arrival",
            right=("objects", "records"),
            whole=("kind", "first arrival", "last arrival"),
        )
        for group in browse.by_reason(found.objects):
            arrivals = (to_iso(group[name])[:19].replace("T", " ") for name in ("first_arrival_ms", "last_arrival_ms"))
            counts = (f"{group[name]:,}" for name in ("objects", "records"))
            rows.add_row(group["kind"], printing.cell(group["reason"]), *counts, *arrivals)
        console.print(rows)
    elif found.objects:
        _print_each(console, found.objects[:limit])
    for outcome in found.unreadable:
        console.print(printing.escaped(f"{outcome.key}: {outcome.detail}"), markup=False)
    records = sum(len(stored.records) for stored in found.objects)
    if not found.objects:
        console.print("Nothing is there, or nothing is selected.")
    elif by_reason or len(found.objects) <= limit:
        console.print(f"{len(found.objects):,} objects with {records:,} records.")
    else:
        console.print(
            f"{limit:,} of {len(found.objects):,} objects with {records:,} records; --limit shows more, --by-reason "
            "sums up."
        )


def _print_each(console: Console, objects: Sequence[StoredObject]) -> None:
    """Prints a table where it fits. A narrow terminal gets lines instead, so that a key stays in one piece."""
    rows = printing.table(
        "arrived (UTC)", "reason", "entity", "detail", "key", whole=("arrived (UTC)", "reason", "key")
    )
    lines = []
    for stored in objects:
        arrived = to_iso(max(record.arrival_ms for record in stored.records))[:19].replace("T", " ")
        detail = stored.detail or f"a batch of {len(stored.records):,} records that was given up"
        entities = names(named_in(stored.records))
        rows.add_row(arrived, *map(printing.cell, (stored.reason, entities, detail, stored.key)))
        lines += [f"{arrived}  {stored.reason}  {entities}", f"  {detail}", f"  {stored.key}"]
    if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), rows).maximum <= console.width:
        console.print(rows)
        return
    for line in lines:
        console.print(printing.escaped(line), markup=False, soft_wrap=True)
