"""Reads the shards of the stream for a replay: which there are, and their records from a moment on.

Nothing here looks at what records say.
"""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from functions.model import from_datetime
from ops.aws import SERVICE, UserError

_WAIT_SECONDS: Final = 0.5
"""Doubled before each further attempt."""
_ATTEMPTS: Final = 6
_LOOKS: Final = 10
"""How many pages `first_arrival` reads."""
_THROTTLED: Final = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException"})


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of the stream."""

    shard_id: str
    parents: tuple[str, ...]
    closed: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A stream to read from."""

    name: str
    arn: str
    retention_hours: int
    shards: Sequence[Shard]
    """Parents before children."""


def source(kinesis: Any, stream: str) -> Source:
    """Describes the stream and all its shards, including closed ones that still hold records.

    Raises
    ------
    ClientError, BotoCoreError
        When a call fails after the client's own retries.
    """
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    shards: dict[str, Shard] = {}
    page: dict[str, Any] = {"StreamName": stream}
    while page:
        answer = kinesis.list_shards(**page)
        for described in answer["Shards"]:
            parents = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
            closed = "EndingSequenceNumber" in described["SequenceNumberRange"]
            shard_id = described["ShardId"]
            shards[shard_id] = Shard(shard_id, tuple(filter(None, parents)), closed)
        page = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
    return Source(stream, summary["StreamARN"], summary["RetentionPeriodHours"], _parents_first(shards))


def _parents_first(shards: Mapping[str, Shard]) -> list[Shard]:
    ordered: dict[str, Shard] = {}

    def add(shard: Shard) -> None:
        for parent in shard.parents:
            if parent in shards and parent not in ordered:  # an expired parent is not listed
                add(shards[parent])
        ordered[shard.shard_id] = shard

    for shard_id in sorted(shards):
        if shard_id not in ordered:
            add(shards[shard_id])
    return list(ordered.values())


def chosen(stream: Source, shard_ids: Sequence[str]) -> list[Shard]:
    """Returns these shards of the stream, or all, parents before children.

    Raises
    ------
    UserError
        When the stream has no such shard.
    """
    known = {shard.shard_id for shard in stream.shards}
    if unknown := [shard_id for shard_id in shard_ids if shard_id not in known]:
        names = ", ".join(sorted(known)[:10]) + (", ..." if len(known) > 10 else "")
        raise UserError(f"the stream {stream.name} has no shard {unknown[0]}: choose from {names}", 2)
    return [shard for shard in stream.shards if not shard_ids or shard.shard_id in shard_ids]


def first_arrival(kinesis: Any, stream: str, shard_id: str, since_ms: int, until_ms: int) -> int | None:
    """Returns when the first record in that time arrived in a shard, epoch ms; None when the first pages have none."""
    reader = ShardReader(kinesis, stream, shard_id, since_ms, time.sleep)
    for _ in range(_LOOKS):
        records = reader.read(1)
        if records:
            first_ms = arrival_ms(records[0])
            return first_ms if first_ms < until_ms else None
        if reader.at_end:
            break
    return None


def delivered(record: Mapping[str, Any], shard_id: str, stream_arn: str) -> dict[str, Any]:
    """Returns a record of GetRecords as the event source mapping passes it to the function.

    See the Lambda developer guide, "Using Lambda with Kinesis".
    """
    return {
        "eventID": f"{shard_id}:{record['SequenceNumber']}",
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventName": "aws:kinesis:record",
        "awsRegion": stream_arn.split(":")[3],
        "eventSourceARN": stream_arn,
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": arrival_ms(record) / 1000,
        },
    }


def arrival_ms(record: Mapping[str, Any]) -> int:
    """Returns when a record of GetRecords arrived, epoch ms."""
    return from_datetime(record["ApproximateArrivalTimestamp"])


class ShardReader:
    """Reads one shard from a moment on, page after page.

    Parameters
    ----------
    kinesis
        A client of boto3's kind.
    stream, shard_id
        Names.
    since_ms
        From when on, epoch ms.
    sleep
        How to wait some seconds.
    """

    def __init__(self, kinesis: Any, stream: str, shard_id: str, since_ms: int, sleep: Callable[[float], None]) -> None:
        self._kinesis, self._stream, self._shard_id = kinesis, stream, shard_id
        self._since_ms, self._sleep = since_ms, sleep
        self._last: str | None = None
        self._iterator: str | None = self._begin()
        self.at_end = False
        """Whether the shard has no more records now."""

    def _begin(self) -> str:
        where: dict[str, Any] = {
            "ShardIteratorType": "AT_TIMESTAMP",
            "Timestamp": datetime.fromtimestamp(self._since_ms / 1000, UTC),
        }
        if self._last is not None:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self._last}
        answer = self._kinesis.get_shard_iterator(StreamName=self._stream, ShardId=self._shard_id, **where)
        iterator: str = answer["ShardIterator"]
        return iterator

    def read(self, most: int) -> list[Mapping[str, Any]]:
        """Returns the next records, at most so many. An empty page does not mean the end; see `at_end`."""
        if self._iterator is None:
            self.at_end = True
            return []
        answer = self._get(most)
        self._iterator = answer.get("NextShardIterator")
        records: list[Mapping[str, Any]] = answer["Records"]
        if records:
            self._last = records[-1]["SequenceNumber"]
        self.at_end = self._iterator is None or (not records and answer.get("MillisBehindLatest", 0) == 0)
        return records

    def _get(self, most: int) -> dict[str, Any]:
        for attempt in range(_ATTEMPTS):
            try:
                answer: dict[str, Any] = self._kinesis.get_records(ShardIterator=self._iterator, Limit=most)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ExpiredIteratorException":  # it lives five minutes, and a page may take longer
                    self._iterator = self._begin()
                elif code not in _THROTTLED or attempt == _ATTEMPTS - 1:
                    raise
                else:
                    self._sleep(_WAIT_SECONDS * 2**attempt)
            else:
                return answer
        raise UserError(
            f"the shard {self._shard_id} of the stream {self._stream} cannot be read: its iterators expire at once; "
            "check this machine's clock, then run the command again",
            SERVICE,
        )
