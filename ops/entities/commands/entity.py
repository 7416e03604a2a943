"""`entity`: everything about one entity."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import ClientError
from rich.console import Console
from rich.text import Text

from functions.aws import clock
from functions.aws.config import Config
from functions.entities.plan import Rules
from functions.model import EntityKey, ceil_div
from ops import aws, printing
from ops.aws import UserError
from ops.entities import entity
from ops.entities.entity import Portrait
from ops.options import Output, OutputOption, TypeArgument
from ops.running import targeted
from ops.target import Target
from ops.wholes import Tables, with_tails

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_CHART_ROWS: Final = 4
_REGISTER_MAPS: Final = {"subject": "regions", "region": "subjects"}
_REGISTER_FIELDS: Final = (
    "available_tutors",
    "active_students",
    "demand_score",
    "supply_score",
    "balance_status",
    "updated_at",
)


@targeted
def command(
    target: Target,
    kind: TypeArgument,
    entity_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, such as stu_1.")],
    facts: Annotated[bool, typer.Option("--facts", help="List the sessions and calls that are kept of it.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each number is what it is, and when it changes.")
    ] = False,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="The metrics table.")] = None,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The processor's function, whose settings are read: thresholds, and where tails are."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show an entity: its windows, its registers, its alerts, and its sessions and calls of 30 days.

    With --explain: which facts stand in which window, when the next one leaves and what the number then is, where a
    health report's figure is the larger one, and what each alert looks at. With --facts: the facts themselves; of an
    entity with very many of them old ones are folded into hours. --output json has all of it in any case.

    Exit code 1 when there is no such entity, or its item cannot be read.

    Example: iops entity student stu_1 --explain --stack prod
    """
    table = target.name("table", table, "--table")
    head = entity.read(target.client("dynamodb"), table, EntityKey(kind, entity_id))
    config = _config(target, function, warn=explain or output is Output.JSON)
    now_ms = clock.now_ms()
    items = with_tails([head], Tables(table, config.state_table_name if config else None), now_ms)
    if not items:
        raise UserError(f"the {kind} {entity_id} was removed while it was read", 1)
    rules = config.rules if config else Rules()
    portrait = entity.portray(items[0], rules, now_ms, deployed=config is not None)
    if output is Output.JSON:
        printing.print_json(dataclasses.asdict(portrait))
        return
    console = printing.output()
    _print_head(console, portrait)
    _print_numbers(console, portrait, explain=explain)
    _print_registers(console, portrait)
    _print_alerts(console, portrait, explain=explain)
    _print_chart(console, portrait)
    if facts:
        _print_facts(console, portrait)


def _config(target: Target, function: str | None, *, warn: bool) -> Config | None:
    """Reads the deployed settings; None, for the default ones, without a function or the permission to read it."""
    if not function and not target.known():
        return None
    name = target.name("function", function, "--function")
    try:
        return aws.deployed_config(name)
    except ClientError as error:
        if not aws.is_denied(error):
            raise
        if warn:
            printing.messages().print(
                f"warning: {aws.explain(error, target.names)}; the default thresholds are shown", markup=False
            )
        return None


def _print_head(console: Console, portrait: Portrait) -> None:
    console.print(Text(f"{portrait.entity_type} {portrait.entity_id}", style="bold"))
    console.print(f"as of {printing.minute(portrait.as_of)} UTC")
    late = ": that has passed, so the roll is late (see `iops lag`)" if portrait.overdue else ""
    if portrait.due_at is None:
        console.print(f"next change by itself: none, {portrait.due_because}")
    else:
        console.print(f"next change by itself: {printing.minute(portrait.due_at)} UTC, {portrait.due_because}{late}")
    if portrait.unsent:
        console.print(f"{portrait.unsent} notifications wait to be published")
    if portrait.folded_before:
        console.print(f"facts before {printing.minute(portrait.folded_before)} UTC are folded into hours")
    for difference in portrait.differing:
        console.print(
            f"{difference.attribute} is stored as {difference.stored}, its facts make {difference.recomputed}: "
            "see `iops audit`",
            markup=False,
            style="bold red",
        )


def _print_numbers(console: Console, portrait: Portrait, *, explain: bool) -> None:
    explained = {number.attribute: number for number in portrait.explained}
    hidden = _REGISTER_MAPS.get(portrait.entity_type)
    names = [name for name in portrait.attributes if name not in (hidden, "reported")]
    order = list(explained)
    names.sort(key=lambda name: order.index(name) if name in explained else len(order))
    if not explain:
        rows = printing.table("attribute", "value", right=("value",), whole=("attribute",))
        for name in names:
            rows.add_row(name, _value(portrait.attributes[name]))
        console.print(rows)
        return
    windows = printing.table(
        "attribute",
        "value",
        "facts",
        "first",
        "last",
        "next leaves (UTC)",
        "then",
        right=("value", "facts", "then"),
        whole=("attribute", "first", "last", "next leaves (UTC)"),
    )
    reasons = printing.table("attribute", "value", "why", right=("value",), whole=("attribute",))
    for name in names:
        number, value = explained.get(name), _value(portrait.attributes[name])
        reasons.add_row(name, value, Text(number.why if number else ""))
        if number is None or number.facts is None:
            continue
        leaves = number.next_leaves
        windows.add_row(
            *(name, value, printing.number(number.facts)),
            *(iso[5:10] if iso else "-" for iso in (number.earliest, number.latest)),
            *((printing.minute(leaves.at), printing.number(leaves.to)) if leaves else ("-", "-")),
        )
    if windows.row_count:
        console.print("what stands in each window, and when the next of it leaves:")
        printing.print_whole(console, windows)
    console.print(reasons)
    if portrait.settings == "default":
        console.print("Thresholds are the default ones: give --stack, --local or --function for the deployed ones.")


def _print_registers(console: Console, portrait: Portrait) -> None:
    registers: dict[str, Any] = portrait.attributes.get(_REGISTER_MAPS.get(portrait.entity_type, ""), {})
    if registers:
        fields = [name for name in _REGISTER_FIELDS if any(name in register for register in registers.values())]
        name = "region" if portrait.entity_type == "subject" else "subject"
        rows = printing.table(name, *fields, right=fields[:4], whole=(name, *fields))
        for register_name, value in sorted(registers.items()):
            rows.add_row(
                Text(register_name),
                *(
                    printing.minute(value[field]) if field == "updated_at" else _value(value.get(field))
                    for field in fields
                ),
            )
        printing.print_whole(console, rows)
    if reported := portrait.attributes.get("reported"):
        rest = ", ".join(f"{name} {value}" for name, value in sorted(reported.items()) if name != "reported_at")
        console.print(Text(f"health report of {printing.minute(reported['reported_at'])} UTC: {rest}"))
    if first := portrait.first_session:
        parts = [f"first session: {printing.minute(first['time'])} UTC"]
        parts += [f"{name} {first[key]}" for name, key in (("of", "subject"), ("with", "tutor_id")) if first.get(key)]
        console.print(Text(", ".join([*parts, f"outcome {first['outcome']}"])))
    if totals := portrait.rolled_up:
        console.print(f"last rollup that found a change: {printing.minute(totals['as_of'])} UTC")


def _print_alerts(console: Console, portrait: Portrait, *, explain: bool) -> None:
    shown = [alert for alert in portrait.alerts if alert.firing or explain]
    if not shown:
        console.print("no alert is firing")
        return
    rows = printing.table("alert", "severity", "since (UTC)", whole=("alert", "severity", "since (UTC)"))
    for alert in shown:
        severity = printing.severity(alert.severity) if alert.firing else Text("-")
        rows.add_row(alert.alert_type, severity, printing.minute(alert.since))
    console.print(rows)
    if not explain:
        return
    for alert in shown:
        line = f"{alert.alert_type}: {alert.why}"
        if alert.firing:
            reminder = alert.next_reminder
            line += f"; {alert.reminders} reminders sent"
            line += f", the next at {printing.minute(reminder)} UTC" if reminder else ", no more to come"
        console.print(Text(line))


def _print_chart(console: Console, portrait: Portrait) -> None:
    if not portrait.days:
        return
    for name, counts in (
        ("sessions", [day.sessions for day in portrait.days]),
        ("calls", [day.calls for day in portrait.days]),
    ):
        if name == "calls" and portrait.entity_type != "student":
            continue
        console.print(f"{name} a day, {portrait.days[0].day} to {portrait.days[-1].day}: {sum(counts):,} in all")
        if any(counts):
            for line in chart(counts):
                console.print(line, markup=False)


def chart(counts: Sequence[int], rows: int = _CHART_ROWS) -> list[str]:
    """Draws counts as columns of two characters, with the scale at the left and a tick for each week.

    There are no more rows than the highest count, so that a row is at least one.
    """
    most = max(counts)
    rows = min(rows, most)
    width = len(f"{most:,}")
    lines = []
    for row in reversed(range(rows)):
        # In eighths of a row, rounded up, so that every count above 0 is visible.
        parts = [min(8, max(0, ceil_div(count * rows * 8, most) - row * 8)) for count in counts]
        scale = f"{most:,}" if row == rows - 1 else ""
        lines.append(f"{scale:>{width}} │{''.join(_EIGHTHS[part] * 2 for part in parts)}".rstrip())
    axis = "".join("┴─" if (len(counts) - 1 - day) % 7 == 0 else "──" for day in range(len(counts)))
    return [*lines, f"{0:>{width}} └{axis}"]


def _print_facts(console: Console, portrait: Portrait) -> None:
    if portrait.facts:
        rows = printing.table(
            "kind",
            "time (UTC)",
            "window",
            "leaves (UTC)",
            "subject",
            "tutor",
            "rating",
            "outcome",
            "identity",
            "part",
            right=("rating",),
            whole=("kind", "time (UTC)", "leaves (UTC)", "identity"),
        )
        for fact in portrait.facts:
            rows.add_row(
                fact.kind,
                printing.minute(fact.time),
                fact.window,
                printing.minute(fact.leaves),
                Text(fact.subject or "-"),
                Text(fact.tutor or "-"),
                printing.number(fact.rating),
                fact.outcome if fact.kind == "session" else "-",
                fact.id,
                "tail" if fact.in_tail else "head",
            )
        printing.print_whole(console, rows)
    if portrait.folded:
        rows = printing.table(
            "folded hour (UTC)", "kind", "number", "ratings", "mean", right=("number", "ratings", "mean")
        )
        for hour in portrait.folded:
            rows.add_row(
                printing.minute(hour.hour),
                hour.kind,
                printing.number(hour.number),
                printing.number(hour.ratings),
                printing.number(hour.avg_rating),
            )
        console.print(rows)
    folded = sum(hour.number for hour in portrait.folded)
    console.print(f"{len(portrait.facts):,} facts, and {folded:,} folded into {len(portrait.folded):,} hours.")


def _value(value: Any) -> Text:
    if isinstance(value, list):
        return Text(", ".join(map(str, value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Text(printing.number(value))
    return Text("-" if value is None else str(value))
