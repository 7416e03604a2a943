"""What the rollup's state machine calls for each identity partition: sums what all parts of the table have of it.

One step of a rollup that is too large for one function; `finish` does the work, and `runs` knows where everything is.
"""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.rollup import runs
from functions.rollup.finish import reduce
from functions.rollup.runs import Run


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Sums one partition.

    Parameters
    ----------
    event
        `run`: a `Run`; `partition`: its number.
    context
        The invocation's context; only its remaining time is used.

    Returns
    -------
    dict
        `rows` of its sums.

    Raises
    ------
    RollupIncomplete, RunError
        When something is missing, or could not be read or written; it is to be called again.
    """
    deadline = Deadline.of(context)
    run, partition = Run(**event["run"]), event["partition"]
    with TemporaryDirectory(prefix="rollup-") as temporary:
        directory = Path(temporary)
        run.get_files([runs.copies_of(partition, source) for source in range(run.sources)], directory)
        daily = reduce(directory / "copies", [partition], run.as_of, deadline)
    body = io.BytesIO()
    daily.write_parquet(body)
    run.put(runs.daily_of(partition), body.getvalue())
    logger.info("Partition summed", run=run.name, partition=partition, rows=daily.height)
    return {"rows": daily.height}
