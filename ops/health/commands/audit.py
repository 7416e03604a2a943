"""`audit`: recomputes what is stored."""

from typing import Annotated

import typer

from functions.entities.plan import Rules
from ops import aws, show
from ops.command import Output, OutputOption, quiet, targeted
from ops.health import audit
from ops.target import Target


@targeted
def command(
    target: Target,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")] = None,
    function: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The processor's function, whose settings are read; --repair needs them."),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Rewrite the items that differ.")] = False,
    segments: Annotated[int, typer.Option(min=1, max=64, help="Parts of the table to scan side by side.")] = 4,
    overdue_minutes: Annotated[
        int, typer.Option(min=0, help="How late the roll may be before an item is reported.")
    ] = audit.OVERDUE_SECONDS // 60,
    output: OutputOption = Output.TABLE,
) -> None:
    """Recompute every item's attributes from its facts and report what differs.

    Reads the whole table. With --repair the items that differ are rewritten by the processor's own conditional write,
    which judges their alerts too, hence the need for its settings; what is to be told of them the next roll sends.

    Exit code 1 when items differ (and were not repaired), cannot be read, or should have been rolled long ago.

    Example: iops audit --stack prod --output json
    """
    table = target.name("table", table, "--table")
    deployed = bool(function) or target.known()
    if repair and not deployed:
        raise aws.UserError(
            "--repair needs --function, --stack, --stack-outputs or --local: the alerts of what is rewritten are "
            "judged by the deployed processor's settings",
            2,
        )
    rules = aws.deployed_rules(target.name("function", function, "--function")) if deployed else Rules()
    with show.progress("auditing") as move:
        report = audit.audit(
            target.client("dynamodb"),
            table,
            rules,
            segments=segments,
            overdue_seconds=overdue_minutes * 60,
            report=lambda items: move(items, None),
        )
    if repair and report.differing:
        with show.progress("repairing") as move, quiet():
            audit.repair(
                report.differing,
                table,
                rules,
                report=lambda items: move(items, len(report.differing)),
            )
    if output is Output.JSON:
        show.print_json(show.audited_json(report, table, deployed_rules=deployed))
    else:
        show.print_audited(report, deployed_rules=deployed, repaired=repair)
    if not report.clean:
        raise typer.Exit(1)
