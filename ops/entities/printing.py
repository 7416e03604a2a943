"""What `top` and `recent` share: their options, and how they print a list of entities."""

from typing import Annotated, Any

import typer
from rich.text import Text

from functions.model import EntityType
from ops import printing
from ops.entities import ranking
from ops.metrics_table import Row
from ops.options import Output

TableOption = Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="How many to list.")]


def print_list(listed: ranking.Listed, table: str, kind: EntityType | None, output: Output) -> None:
    """Prints the entities that `top` or `recent` lists.

    Parameters
    ----------
    listed
        What to print.
    table
        The metrics table's name.
    kind
        Their entity type; for None each row says its own.
    output
        Table or JSON.
    """
    if output is Output.JSON:
        printing.print_json(
            {"table": table, "source": listed.source, "read": listed.read, "entities": list(listed.rows)}
        )
        return
    console = printing.output()
    keys = ("entity_id",) if kind else ("entity_type", "entity_id")
    if listed.rows:
        # An attribute that none of them has gets no column.
        columns = [name for name in listed.columns if any(name in row for row in listed.rows)]
        numbers = {name for name in columns if all(isinstance(row.get(name, 0), int | float) for row in listed.rows)}
        rows = printing.table(*keys, *columns, right=numbers, whole=columns)
        for row in listed.rows:
            rows.add_row(*(Text(row[name]) for name in keys), *(_cell(row, name) for name in columns))
        printing.print_whole(console, rows)
    looked_at = f", {listed.read:,} were looked at" if listed.read != len(listed.rows) else ""
    console.print(f"{len(listed.rows):,} entities, from {listed.source}{looked_at}.")


def _cell(row: Row, name: str) -> Text:
    value: Any = row.get(name)
    if name == "alerts" and isinstance(value, dict):
        return Text(", ").join(
            printing.severity(alert["severity"]) + Text(f" {alert_type}") for alert_type, alert in sorted(value.items())
        )
    if name == "last_updated":
        return Text(printing.minute(value))
    return Text(printing.number(value) if value is None or isinstance(value, int | float) else str(value))
