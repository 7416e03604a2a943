"""One rollup over many functions: its name, where in S3 its parts stand, and how it is begun.

A run's parts are objects under `runs/NAME/`, of keys that say whose they are. Whatever is done twice writes the same
object again, and a part that is missing is an error, never a sum without it. Nothing here knows what is in the parts,
nor in which order the steps are made: that says the state machine (components/rollup_steps.py).
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.clients import client
from functions.aws.config import config
from functions.aws.parallel import in_parallel
from functions.model import MINUTE_MS, SECOND_MS
from functions.rollup.spool import name

EXPORTS: Final = "exports/"
"""Where in the same bucket a table's exports are looked for."""


class RunError(RuntimeError):
    """A part of a run could not be read or written, or a run could not be begun."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as every step of it is told of it."""

    name: str
    as_of: int
    """The rollup's moment, epoch ms."""
    sources: int
    """In how many parts or files the table is read."""
    partitions: int

    def put(self, path: str, body: bytes) -> None:
        """Writes a part."""
        bucket, key = config().distribution.bucket, self._key(path)
        try:
            client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise RunError(f"s3://{bucket}/{key} could not be written: {error}") from error

    def put_files(self, path: str, directory: Path) -> None:
        """Writes all files of a directory as parts of their names under `path`."""
        in_parallel(lambda file: self.put(f"{path}/{file.name}", file.read_bytes()), sorted(directory.iterdir()))

    def get_files(self, paths: Sequence[str], directory: Path) -> None:
        """Reads these parts into files, `a/b` into `directory/a/b`.

        Raises
        ------
        RunError
            When one of them is missing.
        """

        def get(path: str) -> None:
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(read(self._key(path)))

        in_parallel(get, paths)

    def _key(self, path: str) -> str:
        return f"runs/{self.name}/{path}"


def copies_of(partition: int, source: int) -> str:
    """The part with what a source has of a partition's sessions."""
    return f"copies/{name(partition)}/{source:05d}.parquet"


def daily_of(partition: int) -> str:
    """The part with a partition's sums."""
    return f"daily/{name(partition)}.parquet"


def scanned_of(source: int) -> str:
    """The parts with what a source has beside sessions: a prefix."""
    return f"scanned/{source:05d}"


def read(key: str) -> bytes:
    """An object of the runs' bucket.

    Raises
    ------
    RunError
        When it is missing, or cannot be read.
    """
    bucket = config().distribution.bucket
    try:
        body: bytes = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except (ClientError, BotoCoreError) as error:
        raise RunError(f"s3://{bucket}/{key} could not be read: {error}") from error
    return body


def lines(key: str) -> Iterator[bytes]:
    """The lines of a compressed object, which may be larger than memory.

    Raises
    ------
    RunError
        When it is missing, or cannot be read.
    """
    bucket = config().distribution.bucket
    try:
        with gzip.open(client("s3").get_object(Bucket=bucket, Key=key)["Body"]) as text:
            yield from text
    except (ClientError, BotoCoreError, OSError, EOFError) as error:
        raise RunError(f"s3://{bucket}/{key} could not be read: {error}") from error


def parts(number: int) -> list[dict[str, Any]]:
    """The table in so many parts, each a source."""
    return [{"part": part, "parts": number} for part in range(number)]


def files_of_export(prefix: str) -> list[dict[str, Any]]:
    """The data files of an export of the table to S3, each a source.

    Parameters
    ----------
    prefix
        Of the export, in the runs' bucket under `exports/`: `exports/AWSDynamoDB/01700000000000-a1b2c3d4` (DynamoDB
        developer guide, "DynamoDB table export output format").

    Raises
    ------
    RunError
        When it is elsewhere, or not there.
    """
    if not prefix.startswith(EXPORTS):
        raise RunError(f"export is {prefix!r}: it must begin with {EXPORTS!r}, in the bucket of the runs")
    lines = read(f"{prefix.rstrip('/')}/manifest-files.json").splitlines()
    return [{"file": json.loads(line)["dataFileS3Key"]} for line in lines]


def begin(as_of: int, sources: Sequence[Mapping[str, Any]], partitions: int) -> Run | None:
    """Starts the state machine on a run; None when one is still running, or has been begun in the same minute.

    The run is of the beginning of that minute and is named after it, so that of two that begin at once, there is one.

    Raises
    ------
    RunError
        When it could not be started.
    """
    minute = as_of // MINUTE_MS * MINUTE_MS
    run = Run(f"{datetime.fromtimestamp(minute // SECOND_MS, UTC):%Y-%m-%dT%H-%M}", minute, len(sources), partitions)
    machine, states = config().distribution.state_machine_arn, client("stepfunctions")
    try:
        if states.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)["executions"]:
            return None
        run.put(
            "sources.json", json.dumps([{"number": number, **source} for number, source in enumerate(sources)]).encode()
        )
        run.put("partitions.json", json.dumps(list(range(partitions))).encode())
        states.start_execution(stateMachineArn=machine, name=run.name, input=json.dumps(asdict(run)))
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] == "ExecutionAlreadyExists":
            return None
        raise RunError(f"{machine} could not be started: {error}") from error
    return run
