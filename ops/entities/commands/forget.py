"""`forget`: erases a person."""

from typing import Annotated, Any

import typer

from functions.model import EntityKey, EntityType
from ops import aws, printing
from ops.aws import UserError
from ops.entities import forget
from ops.options import Output, OutputOption, entity_type
from ops.running import targeted
from ops.target import Target

_LONGEST_ID_BYTES = 1_024  # contract section 1


def person_type(text: str) -> EntityType:
    """Parses an entity type that is a person, in the singular or the plural.

    Raises
    ------
    typer.BadParameter
        When the text names no such type.
    """
    known = entity_type(text)
    if known not in forget.PEOPLE:
        raise typer.BadParameter(f"a {known} is no person: give {' or '.join(forget.PEOPLE)}")
    return known


@targeted
def command(
    target: Target,
    person: Annotated[
        EntityType,
        typer.Argument(
            parser=person_type, metavar="TYPE", autocompletion=lambda: list(forget.PEOPLE), help="student or tutor."
        ),
    ],
    person_id: Annotated[str, typer.Argument(metavar="ID", help="Their id, as events give it.")],
    mentions: Annotated[
        bool,
        typer.Option(
            "--mentions", help="Remove records too that cannot be read, or name nobody, but hold the id somewhere."
        ),
    ] = False,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")] = None,
    bucket: Annotated[str | None, typer.Option(metavar="NAME", help="The quarantine bucket.")] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="The stream, to which other people's records go back.")
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The processor's function, whose settings name the internal table."),
    ] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without this nothing is changed.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Erase a student's or a tutor's item, tail and wakes, and their quarantined records.

    Says what it would remove; with --execute it removes it, and says what remains elsewhere and for how long. Every
    object of the quarantine is read, former versions included. Of a batch that was given up, the other people's records
    are put back on the stream before the object is removed. An event that arrives later makes the item anew: stop
    sending first. A run may be interrupted and repeated.

    Exit code 1 when there is nothing of the person, or something had to be left.

    Example: iops forget student stu_1 --stack prod --execute
    """
    places = _places(target, table, function)
    bucket = target.name("bucket", bucket, "--bucket")
    stream = target.name("stream", stream, "--stream")
    if not 1 <= len(person_id.encode(errors="surrogateescape")) <= _LONGEST_ID_BYTES:
        raise UserError(f"ID {person_id[:40]!r} is no id: give 1 to {_LONGEST_ID_BYTES:,} bytes", 2)
    key = EntityKey(person, person_id)
    with printing.progress("searching") as move:
        found = forget.find(
            target.client("s3"), target.client("dynamodb"), bucket, places, key, mentions=mentions, report=move
        )
    if found.item is None and not found.traces and not found.state:
        where = f"the tables {places.table} and {places.state_table} and the bucket {bucket}"
        check = "check the type and the id, in which capitals count"
        raise UserError(f"there is nothing of the {person} {person_id} in {where}: {check}", 1)
    if execute:
        _remove(target, found, key, bucket, stream, places, output)
    else:
        _show(found, key, output, executed=False, complete=True)
    if found.only("left") or found.state.unreadable:
        raise typer.Exit(1)


def _places(target: Target, table: str | None, function: str | None) -> forget.Places:
    table = target.name("table", table, "--table")
    config = aws.deployed_config(target.name("function", function, "--function"))
    return forget.Places(table, config.state_table_name, config.rules.rhythm)


def _remove(
    target: Target,
    found: forget.Report,
    key: EntityKey,
    bucket: str,
    stream: str,
    places: forget.Places,
    output: Output,
) -> None:
    """Removes what was found, and prints what is removed, also after an error or Ctrl-C."""
    s3, kinesis, dynamodb = target.client("s3"), target.client("kinesis"), target.client("dynamodb")
    complete = False
    try:
        with printing.progress("removing") as move:
            forget.forget(s3, kinesis, dynamodb, bucket, stream, places, key, found, report=move)
        complete = True
    finally:
        _show(found, key, output, executed=True, complete=complete)


def _show(found: forget.Report, key: EntityKey, output: Output, *, executed: bool, complete: bool) -> None:
    if output is Output.JSON:
        printing.print_json(_json(found, key, executed=executed, complete=complete))
    else:
        _print(found, key, executed=executed, complete=complete)


def _remains(key: EntityKey) -> list[str]:
    return [forget.REMAINS_OF[key.entity_type], *forget.REMAINS]


def _json(found: forget.Report, key: EntityKey, *, executed: bool, complete: bool) -> dict[str, Any]:
    return {
        **key._asdict(),
        "executed": executed,
        "complete": complete,
        "item": None
        if found.item is None
        else {
            "last_updated": found.item.last_updated,
            "alerts": list(found.item.alerts),
            "removed": found.item.removed,
        },
        "tail": found.state.tail,
        "wakes": len(found.state.wakes),
        "state_removed": found.state_removed,
        "unreadable_wakes": found.state.unreadable,
        "objects": [
            {
                "key": trace.key,
                "version_id": trace.version_id,
                "status": trace.status,
                "reason": trace.holds.reason if trace.holds else "",
                "records": len(trace.named),
                "mentions": len(trace.mentioned),
                "others_put": trace.put,
                "detail": trace.detail,
            }
            for trace in found.traces
        ],
        "remains": _remains(key),
    }


def _print(found: forget.Report, key: EntityKey, *, executed: bool, complete: bool) -> None:
    console = printing.output()
    rows = printing.table("what", "where", "records", "outcome", right=("records",), whole=("what",))
    if found.item is not None:
        alerts = f", firing: {', '.join(found.item.alerts)}" if found.item.alerts else ""
        where = f"{key.entity_type} {key.entity_id}, last updated {found.item.last_updated}{alerts}"
        rows.add_row("item", printing.cell(where), "", "removed" if found.item.removed else "found")
    done = "removed" if found.state_removed else "found"
    if found.state.tail:
        rows.add_row("tail", "the internal table", "", done)
    if found.state.wakes:
        rows.add_row("wakes", f"{len(found.state.wakes):,} in the internal table", "", done)
    for name in found.state.unreadable:
        rows.add_row("wake", printing.cell(name), "", "left: it cannot be read, but holds the id")
    for trace in found.traces:
        version = f" (version {trace.version_id})" if trace.version_id is not None else ""
        what = "unreadable" if trace.holds is None else trace.holds.kind
        count = "" if trace.holds is None else f"{len(trace.named) or len(trace.mentioned):,}"
        outcome = trace.status + (f": {trace.detail}" if trace.detail else "")
        rows.add_row(what, printing.cell(trace.key + version), count, printing.cell(outcome))
    console.print(rows)
    _print_summary(found, key, executed=executed, complete=complete)


def _print_summary(found: forget.Report, key: EntityKey, *, executed: bool, complete: bool) -> None:
    console = printing.output()
    removed, mentioned = found.only("removed"), found.only("mentioned")
    if executed:
        item = "the item" if found.item is not None and found.item.removed else "no item"
        others = sum(trace.put for trace in found.traces)
        console.print(
            f"Removed {item} and {len(removed):,} objects; {others:,} records of others put back on the stream."
            + ("" if complete else " That is not all: run the same command again.")
        )
    else:
        others = sum(len(trace.others) for trace in found.only("found") if trace.latest)
        console.print(
            f"Dry run: {'the item' if found.item else 'no item'} and {len(found.only('found')):,} objects would be "
            f"removed, {others:,} records of others be put back on the stream. Repeat with --execute to do it."
        )
    if mentioned:
        console.print(
            f"{len(mentioned):,} objects only mention the id and stay: look with `iops quarantine show KEY`; "
            "--mentions removes them too."
        )
    if found.item is not None and found.item.alerts:
        console.print("Nobody is told that the alerts of the item have ended.")
    console.print("What remains elsewhere:")
    for line in _remains(key):
        console.print(printing.escaped(f"- {line}"), markup=False)
