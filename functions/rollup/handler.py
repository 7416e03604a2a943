"""What Lambda calls every quarter of an hour: figures of subjects and tutors over all sessions, by a scan of the table.

A subject's sessions stand in no item of its own: counting each as it comes would cost more than everything else, and
could drop no duplicate. The facts of students and tutors hold the answer, and are read as a whole: by scans of segments
side by side, through files by identity partition, to sums (`sessions`), of which those that are new are written like
anything else. The scan is eventually consistent and no snapshot: what is missed is found by the next rollup, and one
that died is simply run again.

`scan_segment`, `reduce` and `finish` are the three steps, of which each can also be a function of its own.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, cast

import msgspec
import polars as pl
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from functions.aws import clock
from functions.aws.clients import client
from functions.aws.codec import exported_item
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import count, count_by, logger, metrics
from functions.aws.parallel import PARALLEL_CALLS, chunks
from functions.aws.retry import attempts
from functions.aws.update import Processor
from functions.aws.warm import keep_what_is_there
from functions.entities import fact_columns, fact_frames
from functions.entities.arrivals import Arrivals
from functions.entities.fact_columns import FactColumns
from functions.entities.facts import FAILURE, SUCCESS, UNKNOWN
from functions.entities.item import OUTCOME_CODES, ROLLED_UP, Attributes, parse_totals
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.model import SECOND_MS, EntityKey, EntityType, ceil_div
from functions.rollup import partitions, runs, sums
from functions.rollup.partitions import Spool
from functions.rollup.runs import Run, RunError

_ATTEMPTS: Final = 6
_ENTITIES_AT_ONCE: Final = 500
_MOST_FRAMES: Final = 64
_LINES_A_PAGE: Final = 1000
_UNREADABLE: Final = (KeyError, ValueError, TypeError, AttributeError)
_OVERALL: Final = {
    "sessions_7d": "Sessions7d",
    "sessions_30d": "Sessions30d",
    "first_sessions_30d": "FirstSessions30d",
    "avg_rating": "AvgRating",
    "first_session_success_rate": "FirstSessionSuccessRate",
}
"""The metrics of what all subjects amount to."""
_SUCCESS: Final = {UNKNOWN: None, FAILURE: False, SUCCESS: True}

_WANTED: Final = (
    *("entity_id", "entity_type", "facts", ROLLED_UP),
    *(f"first_session.{name}" for name in ("time", "subject", "tutor_id", "outcome")),
    *dict.fromkeys(name for names in TOTALS_ATTRIBUTES.values() for name in names),
)
"""All that is read of an item. The price of a scan is that of whole items; the rest need not be sent and decoded."""
_PLACEHOLDERS: Final = {name: f"#{name}" for path in _WANTED for name in path.split(".")}
"""Some names, such as `time`, are reserved words of DynamoDB's expressions."""
_PROJECTION: Final = {
    "ProjectionExpression": ", ".join(".".join(map(_PLACEHOLDERS.__getitem__, path.split("."))) for path in _WANTED),
    "ExpressionAttributeNames": {placeholder: name for name, placeholder in _PLACEHOLDERS.items()},
}


class RollupIncomplete(RuntimeError):
    """Some figures could not be found out or written; the next rollup does it all again."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What scans have found beside the sessions that they spooled."""

    items: int
    local: pl.DataFrame
    """`sums.LOCAL` over the students that were read."""
    known: pl.DataFrame
    """`sums.TOTALS_SCHEMA` as stored, of the subjects and tutors that were read."""
    damaged: Sequence[str]
    """Items of which something could not be read and was left out, each with the reason."""

    FILES: ClassVar = ("local.parquet", "known.parquet", "scanned.json")
    """What `save` writes."""

    @staticmethod
    def of(parts: Iterable["Scanned"]) -> "Scanned":
        """What scans of different segments have found together."""
        parts = list(parts)
        return Scanned(
            sum(part.items for part in parts),
            sums.added([part.local for part in parts], sums.LOCAL),
            pl.concat([sums.TOTALS_SCHEMA.to_frame(), *(part.known for part in parts)]),
            [reason for part in parts for reason in part.damaged],
        )

    def save(self, directory: Path) -> None:
        """Writes it as files into an empty directory."""
        directory.mkdir(parents=True)
        local, known, rest = (directory / name for name in self.FILES)
        self.local.write_parquet(local)
        self.known.write_parquet(known)
        rest.write_text(json.dumps({"items": self.items, "damaged": self.damaged}))

    @staticmethod
    def load(directory: Path) -> "Scanned":
        """What `save` has written."""
        local, known, rest = (directory / name for name in Scanned.FILES)
        others = json.loads(rest.read_text())
        return Scanned(others["items"], pl.read_parquet(local), pl.read_parquet(known), others["damaged"])


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
    as_of, table = clock.now_ms(), describe()
    number = partitions.partitions_for(table["TableSizeBytes"], memory_mb)
    if "begin" in event or 0 < config().distribution.items < table["ItemCount"]:
        return _begin(event.get("begin", {}), table["ItemCount"], number, as_of)
    with TemporaryDirectory(prefix="rollup-") as spooled:
        spool = Spool(Path(spooled), number)
        scanned = scan(as_of, spool, deadline)
        daily = reduce(Path(spooled), range(spool.partitions), as_of, deadline)
    return finish(scanned, daily, as_of, deadline)


def describe() -> dict[str, Any]:
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


# -- scan -------------------------------------------------------------------------------------------------------------


def scan(as_of: int, spool: Spool, deadline: Deadline, part: int = 0, parts: int = 1) -> Scanned:
    """Scans the whole table or one part of it, as many segments side by side as there are connections.

    Parts are numbered from 0; `scan_segment` says the rest.
    """
    segment = partial(scan_segment, segments=parts * PARALLEL_CALLS, as_of=as_of, spool=spool, deadline=deadline)
    with ThreadPoolExecutor(PARALLEL_CALLS, thread_name_prefix="scan") as pool:
        return Scanned.of(pool.map(segment, range(part * PARALLEL_CALLS, (part + 1) * PARALLEL_CALLS)))


def scan_segment(segment: int, segments: int, as_of: int, spool: Spool, deadline: Deadline) -> Scanned:
    """Scans one of the table's segments page by page; what items say of sessions goes to the spool, flushed at the end.

    Parameters
    ----------
    segment, segments
        Which of how many, from 0 on.
    as_of
        The rollup's moment, epoch ms.
    spool
        May be shared by threads.
    deadline
        When to give up.

    Raises
    ------
    RollupIncomplete
        When a page could not be read, and when time has run out: without a segment every figure would be wrong.
    """
    return _gathered(_pages(segment, segments, deadline), as_of, spool)


def read_export(lines: Iterable[bytes], as_of: int, spool: Spool, deadline: Deadline) -> Scanned:
    """Reads a data file of the table's export to S3, in DynamoDB JSON, as `scan_segment` does a segment: it costs none
    of the table's read capacity.

    Raises
    ------
    RollupIncomplete
        When a line could not be read, and when time has run out.
    """
    return _gathered(_exported(lines, deadline), as_of, spool)


def _gathered(pages: Iterable[Sequence[Attributes]], as_of: int, spool: Spool) -> Scanned:
    gathered = _Gathered(as_of, spool)
    for page in pages:
        gathered.take(page)
    spool.flush()
    return gathered.scanned()


def _exported(lines: Iterable[bytes], deadline: Deadline) -> Iterator[list[Attributes]]:
    rest = iter(lines)
    read = 0
    while page := list(islice(rest, _LINES_A_PAGE)):
        if deadline.passed():
            raise RollupIncomplete(f"no time is left to read on after line {read} of the export's file")
        try:
            yield [exported_item(line) for line in page]
        except msgspec.DecodeError as error:
            raise RollupIncomplete(f"a line after {read} of the export's file could not be read: {error}") from error
        read += len(page)


def _pages(segment: int, segments: int, deadline: Deadline) -> Iterator[list[Attributes]]:
    request: dict[str, Any] = {
        "TableName": config().table_name,
        "Segment": segment,
        "TotalSegments": segments,
        **_PROJECTION,
    }
    while True:
        page = _page(request, deadline)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _page(request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    reason = "no time is left"
    for attempt in attempts(_ATTEMPTS, deadline):
        try:
            page: dict[str, Any] = client("dynamodb").scan(**request)
        except (ClientError, BotoCoreError) as error:
            reason = str(error)
            logger.warning(
                "A page of the table was not read", segment=request["Segment"], attempt=attempt, error=reason
            )
        else:
            return page
    place = f"segment {request['Segment']} of {request['TotalSegments']} of {request['TableName']}"
    raise RollupIncomplete(f"{place} could not be read: {reason}")


class _Gathered:
    """What the pages of a segment have brought so far."""

    def __init__(self, as_of: int, spool: Spool) -> None:
        self._as_of, self._spool = as_of, spool
        self._items = 0
        self._local: list[pl.DataFrame] = []
        self._known: list[pl.DataFrame] = []
        self._damaged: list[str] = []

    def take(self, page: Sequence[Attributes]) -> None:
        if not page:
            return
        keys: list[EntityKey] = []
        facts: list[FactColumns] = []
        first: list[tuple[Any, ...]] = []
        known: dict[EntityKey, Totals | None] = {}
        for item in page:
            key = EntityKey(cast(EntityType, item["entity_type"]["S"]), item["entity_id"]["S"])
            try:
                packed = fact_columns.read(bytes(item["facts"]["B"])) if "facts" in item else fact_columns.NOTHING
                begun = _first(item)
                if key.entity_type in TOTALS_ATTRIBUTES:
                    known[key] = parse_totals(key.entity_type, item)
            except _UNREADABLE as error:
                self._damage(key, repr(error))
                continue
            keys.append(key)
            facts.append(packed)
            if begun is not None:
                first.append(begun)
        self._items += len(page)
        rows, damaged = fact_frames.sessions(facts)
        for entity in damaged:
            self._damage(keys[entity], "facts refer to a subject that there is not")
        copies, own = sums.split(rows, pl.Series([key.entity_type == "tutor" for key in keys], dtype=pl.Boolean))
        self._spool.add(copies)
        begun_first = pl.LazyFrame(first, schema=sums.FIRST, orient="row")
        self._local.append(sums.local(own.lazy(), begun_first, self._as_of).collect())
        if len(self._local) >= _MOST_FRAMES:
            self._local = [sums.added(self._local, sums.LOCAL)]
        if known:
            self._known.append(sums.stored(known))

    def scanned(self) -> Scanned:
        known = pl.concat([sums.TOTALS_SCHEMA.to_frame(), *self._known])
        return Scanned(self._items, sums.added(self._local, sums.LOCAL), known, self._damaged)

    def _damage(self, key: EntityKey, reason: str) -> None:
        self._damaged.append(f"{key.entity_type} {key.entity_id}: {reason}")


def _first(item: Attributes) -> tuple[Any, ...] | None:
    """A student's first session as a row of `sums.FIRST`."""
    if "first_session" not in item:
        return None
    first = item["first_session"]["M"]
    subject, tutor_id = (first[name]["S"] if name in first else None for name in ("subject", "tutor_id"))
    return int(first["time"]["N"]), subject, tutor_id, _SUCCESS[OUTCOME_CODES[first["outcome"]["S"]]]


# -- reduce and finish ------------------------------------------------------------------------------------------------


def reduce(directory: Path, numbers: Iterable[int], as_of: int, deadline: Deadline) -> pl.DataFrame:
    """Sums partitions of which the directory has all that any segment has spooled: `sums.DAILY`.

    Sums over different partitions are to be added (`sums.added`).

    Raises
    ------
    RollupIncomplete
        When time has run out.
    """
    parts = []
    for partition in partitions.filled(directory, numbers):
        if deadline.passed():
            raise RollupIncomplete(f"no time is left to sum partition {partition} and those after it")
        query = sums.daily(partitions.copies(directory, partition), as_of)
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
