"""`audit`: compares every item with what its facts make of it, and repairs on request."""

import dataclasses
import json
from typing import Annotated, Any

import typer
from rich.text import Text

from functions.entities.plan import Rules
from functions.model import SECOND_MS, EntityKey, to_iso
from ops import aws, printing
from ops.health import audit
from ops.options import Output, OutputOption
from ops.running import targeted, without_log
from ops.target import Target
from ops.wholes import Tables


@targeted
def command(
    target: Target,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")] = None,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The processor's function, whose settings are read; tails and --repair need them."
        ),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Rewrite the items that differ or are overdue.")] = False,
    segments: Annotated[int, typer.Option(min=1, max=64, help="Parts of the table to scan side by side.")] = 4,
    overdue_minutes: Annotated[
        int, typer.Option(min=0, help="How late the roll may be before an item is reported.")
    ] = audit.OVERDUE_SECONDS // 60,
    output: OutputOption = Output.TABLE,
) -> None:
    """Recompute every item's attributes from its facts and report what differs.

    Reads the whole table, and the tails. With --repair the items that differ or are overdue are rewritten by the
    processor's own conditional write, which judges their alerts too, hence the need for its settings; what is to be
    told of them a later roll sends. Wakes are written for all that time will change of them.

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
    config = aws.deployed_config(target.name("function", function, "--function")) if deployed else None
    rules, tables = config.rules if config else Rules(), Tables(table, config.state_table_name if config else None)
    with printing.progress("auditing") as move:
        report = audit.audit(
            target.client("dynamodb"),
            tables,
            rules,
            segments=segments,
            overdue_seconds=overdue_minutes * 60,
            report=lambda items: move(items, None),
        )
    if repair and report.to_repair:
        with printing.progress("repairing") as move, without_log():
            audit.repair(
                report.to_repair,
                tables,
                rules,
                report=lambda items: move(items, len(report.to_repair)),
            )
    if output is Output.JSON:
        printing.print_json(_json(report, table, deployed_rules=deployed))
    else:
        _print(report, deployed_rules=deployed, repaired=repair)
    if not report.clean:
        raise typer.Exit(1)


def _json(report: audit.Report, table: str, *, deployed_rules: bool) -> Any:
    """Returns an audit's report as JSON values."""
    return {
        "table": table,
        "settings": "deployed" if deployed_rules else "default",
        "items": report.items,
        "differing": [
            {
                **item.key._asdict(),
                "as_of": to_iso(item.as_of),
                "differences": [dataclasses.asdict(difference) for difference in item.differences],
                "repaired": item.repaired,
                "problem": item.problem,
            }
            for item in report.differing
        ],
        "unreadable": [{**item.key._asdict(), "reason": item.reason} for item in report.unreadable],
        "overdue": [
            {
                **item.key._asdict(),
                "due_at": to_iso(item.due_at * SECOND_MS),
                "because": item.because,
                "repaired": item.repaired,
                "problem": item.problem,
            }
            for item in report.overdue
        ],
    }


def _print(report: audit.Report, *, deployed_rules: bool, repaired: bool) -> None:
    """Prints an audit's report, a row for each attribute that differs."""
    console = printing.output()
    if report.differing:
        rows = printing.table(
            "entity", "attribute", "stored", "recomputed", "as of", *(("repaired",) if repaired else ())
        )
        for item in report.differing:
            outcome = ("yes" if item.repaired else f"no: {item.problem}",) if repaired else ()
            for difference in item.differences:
                stored, recomputed = _shown(difference.stored), _shown(difference.recomputed)
                values = (difference.attribute, stored, recomputed, to_iso(item.as_of), *outcome)
                rows.add_row(_name(item.key), *map(printing.cell, values))
        console.print(rows)
    printing.print_some(
        console, [f"unreadable {_name(item.key)}: {item.reason}" for item in report.unreadable], "items"
    )
    overdue = sorted(report.overdue, key=lambda item: item.due_at)
    printing.print_some(
        console,
        [
            f"overdue {_name(item.key)}: due {to_iso(item.due_at * SECOND_MS)}, {item.because}"
            + (f"; repaired: {'yes' if item.repaired else f'no: {item.problem}'}" if repaired else "")
            for item in overdue
        ],
        "items",
    )
    attributes = sum(len(item.differences) for item in report.differing)
    console.print(
        f"{report.items:,} items: {len(report.differing):,} differ in {attributes:,} attributes, "
        f"{len(report.unreadable):,} are unreadable, {len(report.overdue):,} are overdue."
    )
    if report.overdue:
        console.print(
            "The roll should have changed overdue items: see whether its schedule is enabled, what its log says, and "
            "`iops lag`. When it is well, their wakes are lost: --repair writes them anew."
        )
    if report.to_repair and not repaired:
        console.print("Nothing was written. Repeat with --repair to rewrite these items.")
    if report.differing and not deployed_rules:
        console.print(
            "Compared with the default settings: where the stack has others, give --function for what is due."
        )


def _name(key: EntityKey) -> Text:
    return printing.cell(f"{key.entity_type} {key.entity_id}")


def _shown(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
