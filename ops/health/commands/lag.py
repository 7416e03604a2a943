"""`lag`: how far a stack is behind."""

from typing import Annotated, Final

import typer

from functions.aws import clock
from ops.health import lag
from ops.health.lag import Limits
from ops.health.printing import print_findings, waiting
from ops.options import Output, OutputOption
from ops.running import targeted
from ops.target import Target

_LIMITS: Final = Limits()


@targeted
def command(
    target: Target,
    max_age: Annotated[
        int, typer.Option(min=0, metavar="MINUTES", help="How long records may wait on the stream.")
    ] = _LIMITS.age_minutes,
    max_overdue: Annotated[
        int, typer.Option(min=0, metavar="MINUTES", help="How long wakes may be due for the roll.")
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
    with waiting() as show_step:
        show_step("looking")
        findings = lag.measure(target, limits, clock.now_ms())
    print_findings(findings, output, "Nothing is behind.")
