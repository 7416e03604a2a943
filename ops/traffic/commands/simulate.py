"""`simulate`: sends traffic to the stack's stream."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from functions.simulator.disorder import Shares
from functions.simulator.live import STUDENTS
from ops import printing
from ops.aws import UserError
from ops.options import Output, OutputOption
from ops.running import INTERRUPTED, targeted
from ops.target import Target
from ops.traffic import simulate


@targeted
def command(
    target: Target,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="The stream to put the records on.")] = None,
    rate: Annotated[float, typer.Option(min=0, max=100_000, help="Events a second; 0 for as fast as it goes.")] = 50,
    count: Annotated[int, typer.Option(min=0, help="How many events; 0 goes on until Ctrl-C.")] = 500,
    seed: Annotated[str | None, typer.Option(help="Any text; at one moment the same seed tells the same.")] = None,
    students: Annotated[
        int, typer.Option(min=1, max=STUDENTS, help="How many students take part: few, and their alerts soon fire.")
    ] = STUDENTS,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Which part is sent twice, 0 to 1.")] = 0,
    late: Annotated[float, typer.Option(min=0, max=1, help="Which part happened one to sixty hours ago, 0 to 1.")] = 0,
    out_of_order: Annotated[float, typer.Option(min=0, max=1, help="Which part is overtaken, 0 to 1.")] = 0,
    poison: Annotated[
        float,
        typer.Option(min=0, max=1, help="Which part is followed by a poison record, for every reason in turn."),
    ] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send the traffic of a tutoring marketplace to the stack's stream.

    All six types of events, of made-up people (`stu_0001`, `tut_0001`, ...) whose ids are the same every time: send it
    to a stack whose figures nobody relies on. A record that the stream refuses for a while is sent again. Ctrl-C ends
    it and says what was sent. `python -m functions.simulator` does one run onto any stream, and makes the sample month.

    Exit code 1 when records had to be given up, 130 after Ctrl-C.

    Example: iops simulate --local --rate 200 --count 10000 --duplicates 0.05 --poison 0.01
    """
    stream = target.name("stream", stream, "--stream")
    shares = Shares(duplicates=duplicates, late=late, out_of_order=out_of_order, poison=poison)
    traffic = simulate.Traffic(seed or uuid.uuid4().hex, count, rate, students, shares)
    kinesis = target.client("kinesis")
    sent = simulate.Sent()
    interrupted = False
    try:
        with printing.progress("sending", "events") as move, _quiet():
            simulate.simulate(kinesis, stream, traffic, sent, report=lambda events: move(events, count or None))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if interrupted or sent.records:  # what is done is told even when the rest is not
            _print(sent, traffic, stream, output)
    if interrupted:
        raise UserError("`iops simulate` was interrupted; run it again to send more", INTERRUPTED)
    if sent.given_up:
        raise UserError(
            f"the stream {stream} kept refusing {sent.given_up:,} records, which were given up: lower --rate, or give "
            "it more shards",
            1,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the simulator's log off standard error; what was given up is in the result."""
    logger = logging.getLogger("functions.simulator.put")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _print(sent: simulate.Sent, traffic: simulate.Traffic, stream: str, output: Output) -> None:
    if output is Output.JSON:
        printing.print_json(
            {
                "stream": stream,
                "seed": traffic.seed,
                "events": sent.events,
                "records": sent.records,
                "accepted": sent.accepted,
                "given_up": sent.given_up,
                "unanswered": sent.under_way,
                "calls": sent.calls,
                "seconds": round(sent.seconds, 3),
                "records_per_second": round(sent.rate, 1),
            }
        )
        return
    console = printing.output()
    console.print(
        f"{stream}: {sent.accepted:,} of {sent.records:,} records accepted ({sent.events:,} events) in {sent.calls:,} "
        f"calls and {sent.seconds:.1f} s: {sent.rate:,.0f} records a second."
    )
    if sent.under_way:
        console.print(f"A call with {sent.under_way:,} more was under way: whether they were accepted is not known.")
