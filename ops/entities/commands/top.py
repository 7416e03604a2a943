"""`top` and `recent`: entities in an order, read from the table's indexes."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from functions.model import ENTITY_TYPES, EntityType
from ops import show
from ops.aws import UserError
from ops.command import Output, OutputOption, TypeArgument, entity_type, targeted
from ops.entities import top
from ops.entities.indexes import Indexes, Row
from ops.target import Target

TableOption = Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")]


@targeted
def command(
    target: Target,
    kind: TypeArgument,
    by: Annotated[str | None, typer.Option("--by", metavar="ATTRIBUTE", help="The figure to sort by.")] = None,
    health: Annotated[
        bool, typer.Option("--health", help="Worst health first: --by health_score --ascending.")
    ] = False,
    ascending: Annotated[bool, typer.Option("--ascending", help="Least first.")] = False,
    limit: LimitOption = 20,
    table: TableOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the students, tutors, subjects or regions that come first by a figure.

    Reads an index of the table, never its items: --health only as many entities as are listed, other figures all
    entities of the type. Those without the figure are left out.

    Exit code 1 when the stack has no index with the figure.

    Example: iops top students --by ib_calls_14d --limit 10 --stack prod
    """
    if health == (by is not None):
        raise UserError(
            f"give either --by ATTRIBUTE or --health; a {kind} can be sorted by {', '.join(top.RANKED[kind])}", 2
        )
    table = target.name("table", table, "--table")
    listed = top.ranked(
        Indexes(target.client("dynamodb"), table),
        kind,
        by or "health_score",
        ascending=ascending or health,
        limit=limit,
    )
    _print(listed, table, [kind], output)


@targeted
def recent_command(
    target: Target,
    kind: Annotated[
        EntityType | None,
        typer.Argument(
            parser=entity_type,
            metavar="[TYPE]",
            autocompletion=lambda: list(ENTITY_TYPES),
            help="student, tutor, subject or region; the plural will do. Default all.",
        ),
    ] = None,
    limit: LimitOption = 20,
    table: TableOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the entities that changed last, the newest first.

    An item changes by an event that says something new of it, or by time: when a fact leaves a window, say.

    Exit code 1 when the stack has no LastUpdatedIndex.

    Example: iops recent students --limit 5 --local
    """
    table = target.name("table", table, "--table")
    kinds = [kind] if kind else list(ENTITY_TYPES)
    _print(top.recent(Indexes(target.client("dynamodb"), table), kinds, limit=limit), table, kinds, output)


def _print(listed: top.Listed, table: str, kinds: Sequence[EntityType], output: Output) -> None:
    if output is Output.JSON:
        show.print_json({"table": table, "index": listed.index, "read": listed.read, "entities": list(listed.rows)})
        return
    console = show.output()
    if listed.rows:
        # What none of them has is no column.
        columns = [name for name in listed.columns if any(name in row for row in listed.rows)]
        numbers = {name for name in columns if all(isinstance(row.get(name, 0), int | float) for row in listed.rows)}
        rows = show.table(*_NAMES[len(kinds) > 1], *columns, right=numbers, whole=columns)
        for row in listed.rows:
            rows.add_row(*(Text(row[name]) for name in _NAMES[len(kinds) > 1]), *(_cell(row, name) for name in columns))
        show.print_whole(console, rows)
    looked_at = f", {listed.read:,} were looked at" if listed.read != len(listed.rows) else ""
    console.print(f"{len(listed.rows):,} entities, from {listed.index}{looked_at}.")


_NAMES = {False: ("entity_id",), True: ("entity_type", "entity_id")}


def _cell(row: Row, name: str) -> Text:
    value: Any = row.get(name)
    if name == "alerts" and isinstance(value, dict):
        return Text(", ").join(
            show.severity(alert["severity"]) + Text(f" {alert_type}") for alert_type, alert in sorted(value.items())
        )
    if name == "last_updated":
        return Text(show.minute(value))
    return Text(show.number(value) if value is None or isinstance(value, int | float) else str(value))
