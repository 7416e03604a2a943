"""`top`: the entities that come first by a figure."""

from typing import Annotated

import typer

from ops.aws import UserError
from ops.entities import ranking
from ops.entities.printing import LimitOption, TableOption, print_list
from ops.metrics_table import MetricsTable
from ops.options import Output, OutputOption, TypeArgument
from ops.running import targeted
from ops.target import Target


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

    Reads no more than it lists for --health, from EntityTypeHealthIndex; for other figures, and from a table without
    that index, all items. Entities without the figure are left out.

    Example: iops top students --by ib_calls_14d --limit 10 --stack prod
    """
    if health == (by is not None):
        raise UserError(
            f"give either --by ATTRIBUTE or --health; a {kind} can be sorted by {', '.join(ranking.RANKED[kind])}", 2
        )
    table = target.name("table", table, "--table")
    listed = ranking.ranked(
        MetricsTable(target.client("dynamodb"), table),
        kind,
        by or "health_score",
        ascending=ascending or health,
        limit=limit,
    )
    print_list(listed, table, kind, output)
