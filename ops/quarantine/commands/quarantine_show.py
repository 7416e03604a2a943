"""`quarantine show`: one object of the quarantine bucket."""

import base64
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from functions.model import to_iso
from ops import printing
from ops.aws import UserError
from ops.options import Output, OutputOption
from ops.quarantine import browse
from ops.quarantine.options import BucketOption
from ops.quarantine.printing import names
from ops.quarantine.stored_objects import StoredObject, StoredRecord
from ops.running import targeted
from ops.target import Target

_DUMPED_AT_MOST: Final = 2_048
_TEXT_AT_MOST: Final = 20_000


@targeted
def command(
    target: Target,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object's S3 key, as `iops quarantine list` says.")],
    bucket: BucketOption = None,
    record: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The Nth record of a batch that was given up.")
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Write the record's data alone, byte by byte as it was on the stream.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one object: why it is there, when and where it arrived, and what it says.

    JSON is shown on several lines, other text with its control characters escaped, anything else in hexadecimal. With
    --data the data goes to a file, there to be corrected, and `iops quarantine redrive KEY --data FILE` puts the
    corrected record on the stream.

    Exit code 254 when there is no such object.

    Example: iops quarantine show --stack prod records/shardId-000000000000/4965.json --data > record.json
    """
    bucket = target.name("bucket", bucket, "--bucket")
    stored = browse.get(target.client("s3"), bucket, key)
    records = stored.records
    if record is not None:
        if record > len(records):
            raise UserError(f"--record is {record}, but {key} has {len(records):,}: give 1 to {len(records)}", 2)
        records = [records[record - 1]]
    if data:
        if len(records) > 1:
            raise UserError(f"{key} is a batch of {len(records):,} records: give --record N to say which one's data", 2)
        write(records[0].data)
    elif output is Output.JSON:
        printing.print_json(_shown_json(stored, records, bucket))
    else:
        _print_shown(stored, records)


def write(data: bytes) -> None:
    """Writes a record's data to standard output, byte for byte.

    Raises
    ------
    UserError
        When standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise UserError("--data writes to a file, not to a terminal, which data could command: add > record.json", 2)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _shown_json(stored: StoredObject, records: Sequence[StoredRecord], bucket: str) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "key": stored.key,
        "kind": stored.kind,
        "reason": stored.reason,
        "detail": stored.detail,
        "records": [
            {
                "arrival_time": to_iso(record.arrival_ms),
                "shard_id": record.shard_id,
                "sequence_number": record.sequence_number,
                "partition_key": record.partition_key,
                "entities": [name._asdict() for name in browse.named(record.data)],
                "event": browse.event_of(record.data),
                "data": base64.b64encode(record.data).decode(),
            }
            for record in records
        ],
    }


def _print_shown(stored: StoredObject, records: Sequence[StoredRecord]) -> None:
    console = printing.output()
    fields = {"key": stored.key, "kind": stored.kind, "reason": stored.reason, "detail": stored.detail}
    if len(records) == 1:
        (record,) = records
        fields |= {
            "arrived": to_iso(record.arrival_ms),
            "shard": record.shard_id,
            "sequence number": record.sequence_number,
            "partition key": record.partition_key,
            "entity": names(browse.named(record.data)),
            "bytes": f"{len(record.data):,}",
        }
        _print_fields(console, fields)
        _print_data(console, record.data)
        return
    _print_fields(console, fields | {"records": f"{len(records):,}"})
    rows = printing.table(
        "N", "arrived (UTC)", "entity", "bytes", "sequence number", "partition key", right=("N", "bytes")
    )
    for number, record in enumerate(records, 1):
        entity = names(browse.named(record.data))
        cells = (
            to_iso(record.arrival_ms),
            entity,
            f"{len(record.data):,}",
            record.sequence_number,
            record.partition_key,
        )
        rows.add_row(str(number), *map(printing.cell, cells))
    console.print(rows)
    console.print("--record N shows one of them.")


def _print_fields(console: Console, fields: dict[str, str]) -> None:
    for name, value in fields.items():
        if value:
            console.print(printing.escaped(f"{name + ':':<17}{value}"), markup=False, soft_wrap=True)


def _print_data(console: Console, data: bytes) -> None:
    console.print()
    text = browse.pretty(data)
    if text is None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            for line in browse.dump(data, _DUMPED_AT_MOST):
                console.print(line, markup=False, soft_wrap=True)
            if len(data) > _DUMPED_AT_MOST:
                console.print(f"... and {len(data) - _DUMPED_AT_MOST:,} bytes more; --data writes all of them")
            return
    for line in printing.escaped(text[:_TEXT_AT_MOST]).split("\n"):
        console.print(line, markup=False, soft_wrap=True)
    if len(text) > _TEXT_AT_MOST:
        console.print(f"... and {len(text) - _TEXT_AT_MOST:,} characters more; --data writes all of them")
