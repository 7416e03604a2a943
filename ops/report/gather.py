"""Fills the report from a deployed stack: its table, its quarantine, and the logs of its functions.

Reads only. `Most` limits how much is read; what is cut off is counted, so that the page can say it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from functions.entities.alerts import AlertRules
from ops.report.data import Report
from ops.report.read_alerts import read_timeline
from ops.report.read_batches import read_throughput
from ops.report.read_quarantine import read_quarantine
from ops.report.read_table import TableSummary
from ops.wholes import Tables, with_tails


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read: clients of boto3's kind, and names."""

    dynamodb: Any
    s3: Any
    logs: Any
    tables: Tables
    bucket: str
    processor: str
    notifier: str | None
    """None for a stack without one."""


@dataclass(frozen=True, slots=True)
class Most:
    """How much the page shows and reads."""

    shown: Mapping[str, int] = field(
        default_factory=lambda: {"student": 250, "tutor": 100, "subject": 75, "region": 75}
    )
    """How many entities of each type the page shows."""
    episodes: int = 300
    """How many episodes of alerts the page shows."""
    objects_listed: int = 20_000
    """How many objects of the quarantine are listed; only the latest of them are read."""
    objects_read: int = 1_000
    batches: int = 10_000
    """How many batches are read, up to an hour's more."""


MOST: Final = Most()


def gather(
    sources: Sources,
    rules: AlertRules,
    now_ms: int,
    *,
    alerts_since_ms: int,
    batches_since_ms: int,
    most: Most = MOST,
    report: Callable[[int, int | None], None] = lambda _number, _total: None,
) -> Report:
    """Reads everything that the page shows.

    Parameters
    ----------
    sources
        Where to read.
    rules
        The deployed processor's thresholds.
    now_ms
        The moment of the page, epoch ms.
    alerts_since_ms, batches_since_ms
        From when on the notifier's and the processor's logs are read, epoch ms.
    most
        How much to show and to read.
    report
        Called with the number of items of each page of the table, and None.

    Raises
    ------
    ClientError, BotoCoreError
        When something cannot be read. A function that has not logged yet is no error.
    """
    summary = TableSummary(now_ms, rules, most.shown)
    for page in sources.dynamodb.get_paginator("scan").paginate(TableName=sources.tables.metrics):
        summary.add(with_tails(page["Items"], sources.tables, now_ms))
        report(len(page["Items"]), None)
    return Report(
        sources.tables.metrics,
        now_ms,
        summary.table(),
        read_timeline(sources.logs, sources.notifier, summary.firing, alerts_since_ms, most.episodes),
        read_quarantine(sources.s3, sources.bucket, most.objects_listed, most.objects_read),
        read_throughput(sources.logs, sources.processor, batches_since_ms, now_ms, most.batches),
    )
