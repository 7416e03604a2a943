"""Records onto the stream: PutRecords in calls of up to 500, what Kinesis refuses is sent again for a while.

It must not know what the records say.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from functions.simulator.disorder import Outgoing

RECORDS_PER_CALL = 500
"""PutRecords takes no more (Kinesis Data Streams quotas)."""
ATTEMPTS = 8
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 3.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sent:
    """How many records were accepted and given up, and in how many calls."""

    accepted: int
    given_up: int
    calls: int


def put(kinesis: Any, stream: str, records: Sequence[Outgoing], sleep: Callable[[float], None] = time.sleep) -> Sent:
    """Put all records on the stream.

    An entry that Kinesis refuses (throughput, internal failure) is sent again after a growing wait, `ATTEMPTS`
    times in all; then it is given up, which is logged as an error and counted. What fails a whole call is raised,
    after the client's own retries.
    """
    accepted = given_up = calls = 0
    for first in range(0, len(records), RECORDS_PER_CALL):
        pending = [{"Data": r.data, "PartitionKey": r.partition_key} for r in records[first : first + RECORDS_PER_CALL]]
        refusals: list[str] = []
        for attempt in range(ATTEMPTS):
            if attempt:
                longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt)
                sleep(random.uniform(longest / 2, longest))
            answers = kinesis.put_records(StreamName=stream, Records=pending)["Records"]
            calls += 1
            refusals = [answer["ErrorCode"] for answer in answers if answer.get("ErrorCode")]
            refused = [entry for entry, answer in zip(pending, answers, strict=True) if answer.get("ErrorCode")]
            accepted += len(pending) - len(refused)
            pending = refused
            if not pending:
                break
        if pending:
            given_up += len(pending)
            codes = ", ".join(f"{code} ({count})" for code, count in Counter(refusals).items())
            logger.error("Gave up %d records for %s after %d attempts: %s", len(pending), stream, ATTEMPTS, codes)
    return Sent(accepted, given_up, calls)
