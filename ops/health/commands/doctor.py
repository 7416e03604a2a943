"""`doctor`: whether a stack works, from end to end."""

from typing import Annotated

import typer

from functions.aws import clock
from ops.health import doctor
from ops.health.printing import print_findings, waiting
from ops.health.probe import probe as send_probe
from ops.options import Output, OutputOption
from ops.running import targeted
from ops.target import Target


@targeted
def command(
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
    with waiting() as show_step:
        show_step("looking")
        findings = doctor.examine(target, clock.now_ms())
        if probe:
            send_probe(findings, target, timeout, show_step)
    print_findings(
        findings, output, "All is well." if probe else "All is well, as far as looking tells; --probe tries it."
    )
