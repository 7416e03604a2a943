"""`recent`: the entities that changed last."""

from typing import Annotated

import typer

from functions.model import ENTITY_TYPES, EntityType
from ops.entities import ranking
from ops.entities.printing import LimitOption, TableOption, print_list
from ops.metrics_table import MetricsTable
from ops.options import Output, OutputOption, entity_type
from ops.running import targeted
from ops.target import Target


@targeted
def command(
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

    What counts is a change by an event, an alert or an operator. A figure that falls by time alone is none.

    Reads no more than it lists from LastUpdatedIndex; from a table without it, all items.

    Example: iops recent students --limit 5 --local
    """
    table = target.name("table", table, "--table")
    listed = ranking.recent(MetricsTable(target.client("dynamodb"), table), kind, limit=limit)
    print_list(listed, table, kind, output)
