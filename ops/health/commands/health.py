"""`lag` and `doctor`: how a deployment is, part by part."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.text import Text

from functions.aws import clock
from ops import show
from ops.command import Output, OutputOption, targeted
from ops.health import doctor, lag
from ops.health.findings import Findings, Status
from ops.health.lag import Limits
from ops.target import Target

_STYLES: Final = {Status.OK: "green", Status.WRONG: "bold red", Status.SKIPPED: "dim"}
_LIMITS: Final = Limits()


@targeted
def lag_command(
    target: Target,
    max_age: Annotated[
        int, typer.Option(min=0, metavar="MINUTES", help="How long records may wait on the stream.")
    ] = _LIMITS.age_minutes,
    max_overdue: Annotated[
        int, typer.Option(min=0, metavar="MINUTES", help="How long items may be due for the roll.")
    ] = _LIMITS.overdue_minutes,
    max_unsent: Annotated[
        int, typer.Option(min=0, metavar="MINUTES", help="How long alerts may wait to be put on the bus.")
    ] = _LIMITS.unsent_minutes,
    max_rollup: Annotated[
        int, typer.Option(min=0, metavar="MINUTES", help="How long ago the last rollup may be.")
    ] = _LIMITS.rollup_minutes,
    max_dead_letters: Annotated[
        int, typer.Option(min=0, help="How many undelivered alerts may wait.")
    ] = _LIMITS.dead_letters,
    max_failed_batches: Annotated[
        int, typer.Option(min=0, help="How many batches that the mapping gave up may wait.")
    ] = _LIMITS.failed_batches,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say how far a stack is behind: stream, last batch, alerts to send, roll, rollup, dead letters, quarantine.

    Figures of CloudWatch are some minutes old. What may not be looked at is skipped, naming the permission.

    Exit code 1 when something is further behind than an option allows.

    Example: iops lag --stack prod --max-age 5
    """
    limits = Limits(
        age_minutes=max_age,
        overdue_minutes=max_overdue,
        unsent_minutes=max_unsent,
        rollup_minutes=max_rollup,
        dead_letters=max_dead_letters,
        failed_batches=max_failed_batches,
    )
    with _telling() as tell:
        tell("looking")
        findings = lag.measure(target, limits, clock.now_ms())
    _finish(findings, output, "Nothing is behind.")


@targeted
def doctor_command(
    target: Target,
    probe: Annotated[bool, typer.Option("--probe", help="Send an event through, and remove what it leaves.")] = False,
    timeout: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="How long to wait for each step of the probe.")
    ] = 120,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check a stack from end to end, and say in plain words what is wrong and what to do.

    Reads only: that everything is there, enabled and allowed, that batches are logged and counted, that alerts have
    somewhere to go, and that nothing is behind. What may not be looked at is skipped, naming the permission.

    With --probe an event in, its metric and its alert out are tried as well: of a subject `iops-doctor-MOMENT`, whose
    supply_demand_imbalance fires, with the lowest severity there is, and is resolved. Whoever is subscribed to the
    topic of info alerts is told of both. The item is removed then; the two events stay on the stream, so that a replay
    of that time makes it anew, resolved.

    Exit code 1 when something is wrong.

    Example: iops doctor --stack prod

    Example: iops doctor --local --probe
    """
    with _telling() as tell:
        tell("looking")
        findings = doctor.examine(target, clock.now_ms())
        if probe:
            doctor.probe(findings, target, timeout, tell)
    _finish(findings, output, "All is well." if probe else "All is well, as far as looking tells; --probe tries it.")


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Shows on a terminal what is waited for."""
    console = show.messages()
    if not console.is_terminal:
        yield lambda _said: None
        return
    with console.status("") as status:
        yield status.update


def _finish(findings: Findings, output: Output, well: str) -> None:
    if output is Output.JSON:
        show.print_json({"well": findings.all_well, "findings": [dataclasses.asdict(each) for each in findings.found]})
    else:
        console = show.output()
        rows = show.table("part", "", "what was found", whole=("part", ""))
        for each in findings.found:
            said = Text(each.said + (f"\n→ {each.do}" if each.do else ""))
            rows.add_row(each.part, Text(each.status, style=_STYLES[each.status]), said)
        console.print(rows)
        number = Counter(each.status for each in findings.found)
        summary = ", ".join(f"{number[status]} {status}" for status in Status if number[status])
        console.print(f"{summary}." + (f" {well}" if findings.all_well else ""))
    if not findings.all_well:
        raise typer.Exit(1)
