"""`recent`: the entities that changed last."""

from typing import Annotated

import typer

from functions.model import ENTITY_TYPES, EntityType
from ops.entities import ranking
from ops.entities.printing import LimitOption, TableOption, print_list
from ops.options import Output, OutputOption, entity_type
from ops.running import targeted
from ops.table_indexes import Indexes
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

    An item changes by an event that says something new of it, or by time: when a fact leaves a window, say.

    Exit code 1 when the stack has no LastUpdatedIndex.

    Example: iops recent students --limit 5 --local
    """
    table = target.name("table", table, "--table")
    kinds = [kind] if kind else list(ENTITY_TYPES)
    print_list(ranking.recent(Indexes(target.client("dynamodb"), table), kinds, limit=limit), table, kinds, output)
