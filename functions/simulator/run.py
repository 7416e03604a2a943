"""One run of the live marketplace: its settings' limits, its records, and how they are put on a stream.

The Lambda, `python -m functions.simulator` and `iops simulate` call it. It must not make clients of its own.
"""

import logging
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

from functions.simulator import live
from functions.simulator.disorder import Outgoing, Shares, deliver
from functions.simulator.put import put

DEFAULT_STREAMS, DEFAULT_EVENTS = 50, 10
MAX_STREAMS, MAX_EVENTS = live.STUDENTS, 100_000

logger = logging.getLogger()


def whole(name: str, value: Any, most: int) -> int:
    """A whole number from 1 to `most`, or a ValueError that names the setting."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ValueError(f"{name} is {value!r}, but must be a whole number from 1 to {most:,}")
    return int(text)


def share(name: str, value: Any) -> float:
    """A number from 0 to 1, or a ValueError that names the setting."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"{name} is {value!r}, but must be a number from 0 to 1")
    return number


def simulate(
    kinesis: Any, stream: str, *, seed: str, now: datetime, streams: int, events: int, shares: Shares
) -> dict[str, int]:
    """One run: make its events, disturb them as asked, put them on the stream; counts as `lambda_handler`."""
    made, records = one_run(seed, now, streams, events, shares)
    sent = put(kinesis, stream, records)
    counts = {
        "events": made,
        "records": len(records),
        "accepted": sent.accepted,
        "given_up": sent.given_up,
        "calls": sent.calls,
    }
    logger.info("Sent %d of %d records to %s", sent.accepted, len(records), stream, extra=counts)
    return counts


def one_run(
    seed: str, now: datetime, streams: int, events: int, shares: Shares, students: int = live.STUDENTS
) -> tuple[int, list[Outgoing]]:
    """One run's number of events, and its records in the order in which they arrive; arguments as `live.run`.

    What arrives late arrives now and was long ago.
    """
    made = live.run(seed, now, streams, events, late=shares.late, students=students)
    rng = Random(f"disorder {seed} {now.isoformat()}")
    return len(made), deliver(made, replace(shares, late=0.0), rng, now)
