"""From spooled sessions to sums, and from sums to written figures: the last two steps of a rollup."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import polars as pl
from aws_lambda_powertools.metrics import MetricUnit

from functions.aws import clock
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import count, count_by, logger, metrics
from functions.aws.parallel import chunks
from functions.aws.update import Processor
from functions.aws.warm import keep_what_is_there
from functions.entities.arrivals import Arrivals
from functions.model import SECOND_MS, EntityKey
from functions.rollup import spool, sums
from functions.rollup.scan import RollupIncomplete, Scanned

_ENTITIES_AT_ONCE: Final = 500
_OVERALL: Final = {
    "sessions_7d": "Sessions7d",
    "sessions_30d": "Sessions30d",
    "first_sessions_30d": "FirstSessions30d",
    "avg_rating": "AvgRating",
    "first_session_success_rate": "FirstSessionSuccessRate",
}
"""The metrics of what all subjects amount to."""


def reduce(directory: Path, numbers: Iterable[int], as_of: int, deadline: Deadline) -> pl.DataFrame:
    """Sums partitions of which the directory has all that any segment has spooled: `sums.DAILY`.

    Sums over different partitions are to be added (`sums.added`).

    Raises
    ------
    RollupIncomplete
        When time has run out.
    """
    parts = []
    for partition in spool.filled(directory, numbers):
        if deadline.passed():
            raise RollupIncomplete(f"no time is left to sum partition {partition} and those after it")
        query = sums.daily(spool.copies(directory, partition), as_of)
        parts.append(query.collect(engine="streaming"))
    return sums.added(parts, sums.DAILY)


def finish(scanned: Scanned, daily: pl.DataFrame, as_of: int, deadline: Deadline) -> dict[str, int]:
    """Writes the figures that are not what is stored, judges alerts by them, and says what was done.

    Parameters
    ----------
    scanned
        Of all segments.
    daily
        `sums.DAILY` over all partitions.
    as_of
        The rollup's moment, epoch ms.
    deadline
        When to begin nothing new.

    Returns
    -------
    dict
        `items` read and `written`, `alerts_sent`, and `as_of`.

    Raises
    ------
    RollupIncomplete
        When an item could not be read or written, or time has run out; after all others are done.
    """
    found = sums.changed(sums.figures(daily, scanned.local, scanned.known), scanned.known)
    totals = sums.totals(found, as_of)
    written = begun = 0
    alerts_sent: Counter[str] = Counter()
    failed: dict[EntityKey, str] = {}
    for part in chunks(list(totals), _ENTITIES_AT_ONCE):
        if deadline.passed():
            break
        outcome = Processor(config()).run(Arrivals.of_totals({key: totals[key] for key in part}), deadline)
        begun += len(part)
        written += outcome.written
        alerts_sent += outcome.alerts_sent
        failed |= outcome.failed
    problems = []
    if scanned.damaged:
        problems.append(f"of {len(scanned.damaged)} items not all could be read, the first: {scanned.damaged[0]}")
    if failed:
        key, reason = next(iter(failed.items()))
        problems.append(
            f"{len(failed)} of {begun} items failed, the first: {key.entity_type} {key.entity_id}: {reason}"
        )
    if begun < len(totals):
        problems.append(f"no time was left for {len(totals) - begun} of {len(totals)} items")
    _say(scanned, written, len(failed), alerts_sent, as_of, complete=not problems)
    keep_what_is_there()
    if problems:
        raise RollupIncomplete("; ".join(problems))
    count(RolledUp=1)
    for name, value in sums.overall(daily, scanned.local).items():
        metrics.add_metric(name=_OVERALL[name], unit=MetricUnit.NoUnit, value=value)
    return {"items": scanned.items, "written": written, "alerts_sent": alerts_sent.total(), "as_of": as_of}


def _say(scanned: Scanned, written: int, failed: int, alerts_sent: Counter[str], as_of: int, *, complete: bool) -> None:
    count(
        RollupItems=scanned.items,
        RollupWritten=written,
        RollupFailed=failed + len(scanned.damaged),
        AlertsSent=alerts_sent.total(),
    )
    count_by("AlertsSent", "alert_type", alerts_sent)
    seconds = (clock.now_ms() - as_of) / SECOND_MS
    metrics.add_metric(name="RollupSeconds", unit=MetricUnit.Seconds, value=seconds)
    logger.info(
        "Rollup complete",
        items=scanned.items,
        written=written,
        failed=failed,
        damaged=len(scanned.damaged),
        alerts_sent=alerts_sent.total(),
        seconds=seconds,
        complete=complete,
    )
