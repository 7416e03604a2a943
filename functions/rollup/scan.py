"""Reads the whole table, or a file of its export, for a rollup.

Sessions go to a spool by identity; what one item alone can say is summed at once. Tails are read by their keys, after
the items that name them. The scan is eventually consistent and no snapshot: the next rollup finds what this one missed.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import polars as pl
from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.batch_get import KEYS_A_CALL, batch_get
from functions.aws.clients import client
from functions.aws.codec import exported_item
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.parallel import PARALLEL_CALLS, chunks
from functions.aws.retry import attempts
from functions.aws.state_table import StateTable
from functions.entities import fact_frames
from functions.entities.attribute_values import Attributes
from functions.entities.fact_columns import NOTHING
from functions.entities.facts import FAILURE, RETENTION_MS, SUCCESS, UNKNOWN
from functions.entities.item import UNREADABLE, entity_key, key_attributes
from functions.entities.scanned_item import SCAN_PROJECTION, ScannedFirst, ScannedItem, parse_scanned
from functions.entities.tails import Tail, ends_ms
from functions.entities.totals import TOTALS_ATTRIBUTES
from functions.model import EntityKey
from functions.rollup import sums
from functions.rollup.spool import Spool

_ATTEMPTS: Final = 6
_MOST_FRAMES: Final = 64
_LINES_A_PAGE: Final = 1000
_SUCCESS: Final = {UNKNOWN: None, FAILURE: False, SUCCESS: True}


class RollupIncomplete(RuntimeError):
    """Some figures could not be computed or written; the next rollup does it all again."""


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
    return _gathered(_pages(segment, segments, deadline), as_of, spool, deadline)


def read_export(lines: Iterable[bytes], as_of: int, spool: Spool, deadline: Deadline) -> Scanned:
    """Reads a data file of the table's export to S3, in DynamoDB JSON, as `scan_segment` does a segment.

    It costs none of the table's read capacity but for tails, which are read from the internal table. An item whose tail
    has changed since the export is read from the table.

    Raises
    ------
    RollupIncomplete
        When a line could not be read, and when time has run out.
    """
    return _gathered(_exported(lines, deadline), as_of, spool, deadline)


def _gathered(pages: Iterable[Sequence[Attributes]], as_of: int, spool: Spool, deadline: Deadline) -> Scanned:
    gathered = _Gathered(as_of, spool, deadline)
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
        **SCAN_PROJECTION,
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

    def __init__(self, as_of: int, spool: Spool, deadline: Deadline) -> None:
        self._as_of, self._spool, self._deadline = as_of, spool, deadline
        self._items = 0
        self._local: list[pl.DataFrame] = []
        self._known: list[pl.DataFrame] = []
        self._damaged: list[str] = []

    def take(self, page: Sequence[Attributes]) -> None:
        if not page:
            return
        read = self._parse(page)
        tails = self._tails(read)
        self._items += len(page)
        parts = [(entity, item.facts) for entity, item in enumerate(read)]
        parts += [(entity, tails[item.key].facts) for entity, item in enumerate(read) if item.key in tails]
        rows, damaged = fact_frames.sessions(parts, self._as_of - RETENTION_MS)
        for entity in damaged:
            self._damage(read[entity].key, "facts refer to a subject that there is not")
        copies, own = sums.split(rows, pl.Series([item.key.entity_type == "tutor" for item in read], dtype=pl.Boolean))
        self._spool.add(copies)
        first = [_first_row(item.first_session) for item in read if item.first_session is not None]
        first_sessions = pl.LazyFrame(first, schema=sums.FIRST, orient="row")
        self._local.append(sums.local(own.lazy(), first_sessions, self._as_of).collect())
        if len(self._local) >= _MOST_FRAMES:
            self._local = [sums.added(self._local, sums.LOCAL)]
        known = {item.key: item.totals for item in read if item.key.entity_type in TOTALS_ATTRIBUTES}
        if known:
            self._known.append(sums.stored(known))

    def _parse(self, page: Iterable[Attributes]) -> list[ScannedItem]:
        read = []
        for attributes in page:
            try:
                read.append(parse_scanned(attributes))
            except UNREADABLE as error:
                self._damage(entity_key(attributes), repr(error))
        return read

    def _tails(self, read: list[ScannedItem]) -> dict[EntityKey, Tail]:
        """Return the tails that these items name. Items whose tails have changed since are read again, in place.

        Raises
        ------
        RollupIncomplete
            When a tail, or an item again, could not be read: without it figures would be wrong.
        """
        found: dict[EntityKey, Tail] = {}
        wanted = {
            item.key: position for position, item in enumerate(read) if ends_ms(item.tail_generation) > self._as_of
        }
        for _ in attempts(_ATTEMPTS, self._deadline):
            if not wanted:
                break
            tails = StateTable(config().state_table_name).read_tails(list(wanted), self._deadline)
            for reason in tails.failed.values():
                raise RollupIncomplete(reason)
            for key, reason in tails.unreadable.items():
                self._damage(key, reason)
                del wanted[key]
            for key, tail in tails.tails.items():
                if tail.generation == read[wanted[key]].tail_generation:
                    found[key] = tail
                    del wanted[key]
            self._read_again(wanted, read)
        if wanted:
            raise RollupIncomplete(f"the tails of {len(wanted)} items could not be read, the first: {min(wanted)}")
        return found

    def _read_again(self, wanted: dict[EntityKey, int], read: list[ScannedItem]) -> None:
        """Read the items whose tails were of another generation. One that was deleted has no facts any more."""
        again: dict[EntityKey, ScannedItem] = {}
        for chunk in chunks([key_attributes(key) for key in wanted], KEYS_A_CALL):
            got = batch_get(config().table_name, chunk, self._deadline)
            if got.unread:
                raise RollupIncomplete(got.reason)
            again |= {item.key: item for item in self._parse(got.items)}
        for key, position in list(wanted.items()):
            read[position] = again.get(key, ScannedItem(key, NOTHING, 0, None, None))
            if not read[position].tail_generation:
                del wanted[key]

    def scanned(self) -> Scanned:
        known = pl.concat([sums.TOTALS_SCHEMA.to_frame(), *self._known])
        return Scanned(self._items, sums.added(self._local, sums.LOCAL), known, self._damaged)

    def _damage(self, key: EntityKey, reason: str) -> None:
        self._damaged.append(f"{key.entity_type} {key.entity_id}: {reason}")


def _first_row(first: ScannedFirst) -> tuple[int, str | None, str | None, bool | None]:
    """Return a student's first session as a row of `sums.FIRST`."""
    return first.time, first.subject, first.tutor_id, _SUCCESS[first.outcome]
