"""The simulator as a command: one run onto a stream, or the sample month into a file.

It needs the stream's name alone. `iops simulate` knows the stack, and sends on and on at a rate.

python -m functions.simulator --stream iops-dashboard-dev-events --poison 0.01
python -m functions.simulator --month tests/data/sample-month.ndjson
"""

import argparse
import logging
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.simulator import month, run
from functions.simulator.disorder import Shares, deliver

MONTH_SHARES = Shares(duplicates=0.05, late=0.02, out_of_order=0.04, poison=0.008)
SHARE_OPTIONS = ("duplicates", "late", "out_of_order", "poison")

T = TypeVar("T", int, float)


def month_lines(seed: str = month.SEED, shares: Shares = MONTH_SHARES) -> bytes:
    """The sample month as NDJSON, the same bytes for the same arguments."""
    records = deliver(month.month(seed), shares, Random(f"disorder {seed}"), month.END)
    return b"".join(record.data + b"\n" for record in records)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.month is None:
        return _send(asked)
    for option in ("endpoint_url", "streams", "events"):
        if getattr(asked, option) is not None:
            parser.error(f"--{option.replace('_', '-')} goes with --stream, not with --month")
    return _write_month(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m functions.simulator",
        description="Realistic events of a tutoring marketplace: one run onto a stream of any name, or the sample "
        "month into a file. For lasting traffic at a rate, with its progress, see iops simulate --help.",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--stream", metavar="NAME", help="put one run on this Kinesis stream")
    target.add_argument("--month", metavar="FILE", type=Path, help="write the sample month (NDJSON) to this file")
    parser.add_argument("--endpoint-url", metavar="URL", help="another AWS endpoint than the region's own")
    parser.add_argument("--seed", help=f"any text; by default a new one (with --month {month.SEED})")
    parser.add_argument(
        "--streams",
        type=_typed(lambda text: run.whole("the number", text, run.MAX_STREAMS)),
        help=f"streams side by side ({run.DEFAULT_STREAMS})",
    )
    parser.add_argument(
        "--events",
        type=_typed(lambda text: run.whole("the number", text, run.MAX_EVENTS)),
        help=f"events a stream ({run.DEFAULT_EVENTS})",
    )
    for name in SHARE_OPTIONS:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="SHARE",
            type=_typed(lambda text: run.share("the share", text)),
            help=f"from 0 to 1; by default 0 (with --month {getattr(MONTH_SHARES, name)})",
        )
    return parser


def _typed(convert: Callable[[str], T]) -> Callable[[str], T]:
    """A converter whose message argparse shows."""

    def converted(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def _shares(asked: argparse.Namespace, defaults: Shares) -> Shares:
    given = {name: getattr(asked, name) for name in SHARE_OPTIONS}
    return Shares(**{name: getattr(defaults, name) if value is None else value for name, value in given.items()})


def _write_month(asked: argparse.Namespace) -> int:
    lines = month_lines(asked.seed if asked.seed is not None else month.SEED, _shares(asked, MONTH_SHARES))
    try:
        asked.month.write_bytes(lines)
    except OSError as error:
        return _failed(f"{asked.month} cannot be written: {error.strerror or error}")
    print(f"{asked.month}: {len(lines.splitlines()):,} records, {len(lines):,} bytes")
    return 0


def _send(asked: argparse.Namespace) -> int:
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    retries = {"mode": "standard", "max_attempts": 4}
    try:
        kinesis = boto3.client(
            "kinesis",
            # boto3 itself reads AWS_DEFAULT_REGION alone; Lambda and AWS's other tools read this one first.
            region_name=os.environ.get("AWS_REGION") or None,
            endpoint_url=asked.endpoint_url,
            config=Config(connect_timeout=3, read_timeout=10, retries=retries),
        )
        counts = run.simulate(
            kinesis,
            asked.stream,
            seed=asked.seed if asked.seed is not None else uuid.uuid4().hex,
            now=datetime.now(UTC),
            streams=asked.streams or run.DEFAULT_STREAMS,
            events=asked.events or run.DEFAULT_EVENTS,
            shares=_shares(asked, Shares()),
        )
    except (BotoCoreError, ClientError, ValueError) as error:
        # boto3 raises ValueError for an endpoint that is no URL.
        return _failed(f"cannot write to the stream {asked.stream}: {error}")
    print(
        f"{asked.stream}: {counts['accepted']:,} of {counts['records']:,} records accepted"
        f" ({counts['events']:,} events) in {counts['calls']:,} calls"
    )
    return _failed(f"{counts['given_up']:,} records were given up") if counts["given_up"] else 0


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
