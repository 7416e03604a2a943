"""What the rollup's state machine calls for each part of the table: reads it, and leaves what it says in S3.

One step of a rollup that is too large for one function; `scan` does the work, and `runs` knows where everything is.
"""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.parallel import in_parallel
from functions.rollup import runs
from functions.rollup.runs import Run
from functions.rollup.scan import read_export, scan
from functions.rollup.spool import Spool, copies


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Reads one source.

    Parameters
    ----------
    event
        `run`: a `Run`; `source`: its `number` with either `part` and `parts`, or the key of a `file` of an export.
    context
        The invocation's context; only its remaining time is used.

    Returns
    -------
    dict
        `items` read.

    Raises
    ------
    RollupIncomplete, RunError
        When something could not be read or written; it is to be called again.
    """
    deadline = Deadline.of(context)
    run, source = Run(**event["run"]), event["source"]
    with TemporaryDirectory(prefix="rollup-") as temporary:
        directory = Path(temporary)
        spool = Spool(directory / "copies", run.partitions)
        if "file" in source:
            scanned = read_export(runs.lines(source["file"]), run.as_of, spool, deadline)
        else:
            scanned = scan(run.as_of, spool, deadline, source["part"], source["parts"])

        def put(partition: int) -> None:
            body = io.BytesIO()
            copies(directory / "copies", partition).collect().write_parquet(body, compression="lz4")
            run.put(runs.copies_of(partition, source["number"]), body.getvalue())

        in_parallel(put, range(run.partitions))
        scanned.save(directory / "scanned")
        run.put_files(runs.scanned_of(source["number"]), directory / "scanned")
    logger.info("Source read", run=run.name, **source, items=scanned.items)
    return {"items": scanned.items}
