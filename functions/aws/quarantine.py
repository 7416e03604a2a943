"""Keeps records that cannot be processed, one S3 object each, so that operators can read and redrive them.

The key consists of shard and sequence number. It holds nothing from the record's data, and a retry writes the same
object again.
"""

import json
from collections.abc import Iterable, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.clients import client
from functions.aws.observability import logger
from functions.aws.parallel import in_parallel
from functions.model import Record, Rejection, to_iso

PREFIX = "records/"


def object_key(record: Record) -> str:
    """Return the key under which a record is kept."""
    return f"{PREFIX}{record.shard_id}/{record.sequence_number}.json"


class Quarantine:
    """The quarantine bucket under its name."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def put(self, records: Sequence[Record], rejections: Iterable[Rejection]) -> set[int]:
        """Keep the rejected records. Several rejections of one record share an object.

        Returns
        -------
        set of int
            The positions of the records that S3 did not take. The caller must report them as failed.
        """
        by_record: dict[int, list[Rejection]] = {}
        for rejection in rejections:
            by_record.setdefault(rejection.record, []).append(rejection)
        kept = in_parallel(lambda rejected: self._put(records[rejected[0]], rejected[1]), list(by_record.items()))
        return {position for position, done in zip(by_record, kept, strict=True) if not done}

    def _put(self, record: Record, rejections: Sequence[Rejection]) -> bool:
        body = {
            "reason": rejections[0].reason,
            "detail": "; ".join(rejection.detail for rejection in rejections),
            "data": record.data,
            "partition_key": record.partition_key,
            "sequence_number": record.sequence_number,
            "shard_id": record.shard_id,
            "arrival_time": to_iso(record.arrival_ms),
            "event_source_arn": record.event_source_arn,
        }
        try:
            client("s3").put_object(
                Bucket=self._bucket,
                Key=object_key(record),
                Body=json.dumps(body).encode(),
                ContentType="application/json",
            )
        except (ClientError, BotoCoreError) as error:
            logger.error(
                "The quarantine could not be written; the record stays on the stream",
                bucket=self._bucket,
                sequence_number=record.sequence_number,
                error=str(error),
            )
            return False
        return True
