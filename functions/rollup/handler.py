"""What Lambda calls every quarter of an hour: figures of subjects and tutors over all sessions, by a scan of the table.

A subject's item holds none of its sessions: to count each as it comes would cost more than everything else, and could
drop no duplicate. The facts of students and tutors hold the answer. `scan` reads them all, through files by identity
(`spool`), `finish.reduce` sums them, and `finish.finish` writes the figures that are new like anything else. A rollup
that died is simply run again. Each of the three steps can also be a function of its own.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from botocore.exceptions import BotoCoreError, ClientError

from functions.aws import clock
from functions.aws.clients import client
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import count, logger, metrics
from functions.model import ceil_div
from functions.rollup import runs, spool, sums
from functions.rollup.finish import finish, reduce
from functions.rollup.runs import Run, RunError
from functions.rollup.scan import RollupIncomplete, Scanned, scan
from functions.rollup.spool import Spool


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Rolls up the whole table; or, if it is larger than one function takes on, begins a run of many.

    Parameters
    ----------
    event
        `finish`: a `Run` of which all other steps are done. `begin`: that a run of many is to be begun in any case,
        empty or with the prefix of an `export` to be read instead of the table. Anything else is ignored.
    context
        The invocation's context; its remaining time and its memory are used.

    Returns
    -------
    dict
        What `finish` gives; or `begun`, 1 or, while another run goes on, 0, and the `sources` and `partitions` of it.

    Raises
    ------
    RollupIncomplete
        When the table could not be read, then nothing is written; or, after all others are done, when an item could not
        be read or written, or time has run out.
    RunError
        When a run of many could not be begun, or a part of it is missing.
    """
    try:
        return _roll_up(event, Deadline.of(context), int(context.memory_limit_in_mb))
    except (RollupIncomplete, RunError):
        count(RollupIncomplete=1)
        raise


def _roll_up(event: dict[str, Any], deadline: Deadline, memory_mb: int) -> dict[str, int]:
    if "finish" in event:
        return _finish(Run(**event["finish"]), deadline)
    as_of, table = clock.now_ms(), _describe_table()
    number = spool.partitions_for(table["TableSizeBytes"], memory_mb)
    if "begin" in event or 0 < config().distribution.items < table["ItemCount"]:
        return _begin(event.get("begin", {}), table["ItemCount"], number, as_of)
    with TemporaryDirectory(prefix="rollup-") as spooled:
        copies = Spool(Path(spooled), number)
        scanned = scan(as_of, copies, deadline)
        daily = reduce(Path(spooled), range(copies.partitions), as_of, deadline)
    return finish(scanned, daily, as_of, deadline)


def _describe_table() -> dict[str, Any]:
    """The table's `ItemCount` and `TableSizeBytes`, among others, at most six hours old (DescribeTable)."""
    try:
        description: dict[str, Any] = client("dynamodb").describe_table(TableName=config().table_name)["Table"]
    except (ClientError, BotoCoreError) as error:
        raise RollupIncomplete(f"{config().table_name} could not be described: {error}") from error
    return description


def _begin(wanted: dict[str, str], item_count: int, number: int, as_of: int) -> dict[str, int]:
    items = config().distribution.items
    if not items:
        raise RunError("rollupDistributedItems is 0: set it to what one function takes on, to begin a run of many")
    # Half of what a function takes on: segments are not equally large, and ItemCount is of hours ago.
    parts = max(1, ceil_div(2 * item_count, items))
    sources = runs.files_of_export(wanted["export"]) if "export" in wanted else runs.parts(parts)
    run = runs.begin(as_of, sources, number)
    count(RollupsBegun=int(run is not None))
    logger.info("Rollup of many functions", run=run and run.name, sources=len(sources), partitions=number)
    return {"begun": int(run is not None), "sources": len(sources), "partitions": number}


def _finish(run: Run, deadline: Deadline) -> dict[str, int]:
    with TemporaryDirectory(prefix="rollup-") as temporary:
        directory = Path(temporary)
        scanned = [runs.scanned_of(source) for source in range(run.sources)]
        daily = [runs.daily_of(partition) for partition in range(run.partitions)]
        run.get_files([*daily, *(f"{source}/{file}" for source in scanned for file in Scanned.FILES)], directory)
        return finish(
            Scanned.of(Scanned.load(directory / source) for source in scanned),
            sums.added([pl.read_parquet(directory / file) for file in daily], sums.DAILY),
            run.as_of,
            deadline,
        )
