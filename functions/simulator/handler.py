"""The simulator's Lambda: one run of the live marketplace, put on the stream.

It needs nothing but boto3, which comes with the runtime. It must not decide what happens in the marketplace.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any

import boto3
from botocore.config import Config

from functions.simulator import live
from functions.simulator.disorder import Outgoing, Shares, deliver
from functions.simulator.put import put

DEFAULT_STREAMS, DEFAULT_EVENTS = 50, 10
MAX_STREAMS, MAX_EVENTS = live.STUDENTS, 100_000

logger = logging.getLogger()


@lru_cache(maxsize=1)
def _kinesis() -> Any:
    retries = {"mode": "standard", "max_attempts": 4}
    return boto3.client("kinesis", config=Config(connect_timeout=3, read_timeout=10, retries=retries))


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


def lambda_handler(event: Mapping[str, Any] | None, context: Any) -> dict[str, int]:
    """Put one run on the stream and say how it went.

    Parameters
    ----------
    event
        May have `seed`, `streams`, `events`, `duplicates`, `late`, `out_of_order` and `poison`; a schedule's
        other fields are ignored. Without a seed the invocation's request id is it.
    context
        Lambda's.

    Returns
    -------
    dict
        events (made), records (with duplicates and poison), accepted, given_up, calls.
    """
    logger.setLevel(os.environ.get("LOG_LEVEL", "INFO"))
    asked = event or {}
    stream = os.environ.get("EVENT_STREAM_NAME")
    if not stream:
        raise ValueError("EVENT_STREAM_NAME is not set: it names the stream to write to")
    streams = asked.get("streams", os.environ.get("SIMULATOR_STREAMS", DEFAULT_STREAMS))
    events = asked.get("events", os.environ.get("SIMULATOR_EVENTS_PER_STREAM", DEFAULT_EVENTS))
    return simulate(
        _kinesis(),
        stream,
        seed=str(asked.get("seed", context.aws_request_id)),
        now=datetime.now(UTC),
        streams=whole("streams", streams, MAX_STREAMS),
        events=whole("events", events, MAX_EVENTS),
        shares=Shares(
            **{name: share(name, asked.get(name, 0)) for name in ("duplicates", "late", "out_of_order", "poison")}
        ),
    )


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
