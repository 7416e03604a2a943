"""The simulator's Lambda: one run of the live marketplace, put on the stream.

It needs nothing but boto3, which comes with the runtime. It must not decide what happens in the marketplace.
"""

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

from functions.simulator.disorder import Shares
from functions.simulator.run import DEFAULT_EVENTS, DEFAULT_STREAMS, MAX_EVENTS, MAX_STREAMS, share, simulate, whole

logger = logging.getLogger()


@lru_cache(maxsize=1)
def _kinesis() -> Any:
    retries = {"mode": "standard", "max_attempts": 4}
    return boto3.client("kinesis", config=Config(connect_timeout=3, read_timeout=10, retries=retries))


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
