"""Rows by identity partition, in files: what memory cannot hold waits on disk, or in S3, to be summed.

All copies of a session are in one partition, whichever items they are from and whoever wrote them: `id` modulo the
number of partitions. Nothing here knows what the rows mean.
"""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from functions.model import ceil_div
from functions.rollup.sums import COPIES

_ROWS_IN_MEMORY: Final = 500_000
"""Rows that a spool holds before it writes them, of some 40 bytes each."""
_BYTES_A_PARTITION: Final = 32_000_000
_FEWEST: Final = 16
"""Partitions of any table, since AWS brings a table's size up to date every six hours only (DescribeTable)."""


def partitions_for(table_bytes: int, memory_mb: int) -> int:
    """Into how many partitions the rows of a table of this size go, for functions of this memory.

    A row takes 24 bytes of its item, so that at 1,024 MB a partition has at most 1.3 million, whoever has how many:
    about 300 MB while it is summed.
    """
    return max(_FEWEST, ceil_div(table_bytes * 1024, _BYTES_A_PARTITION * memory_mb))


class Spool:
    """Takes rows in and writes them to files by partition, as Parquet: `00012/00003.parquet`. Threads may share it."""

    def __init__(self, directory: Path, partitions: int) -> None:
        self.partitions = partitions
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._held: list[pl.DataFrame] = []
        self._rows = self._written = 0

    def add(self, copies: pl.DataFrame) -> None:
        """Takes in rows of `sums.COPIES`."""
        with self._lock:
            self._held.append(copies)
            self._rows += copies.height
            if self._rows >= _ROWS_IN_MEMORY:
                self._write()

    def flush(self) -> None:
        """Writes what is held; all that was added is in files then."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        held = pl.concat(self._held).with_columns(partition=pl.col("id") % self.partitions)
        self._held.clear()
        for (partition,), rows in held.partition_by("partition", as_dict=True, include_key=False).items():
            directory = self._directory / name(partition)
            directory.mkdir(exist_ok=True)
            rows.write_parquet(directory / f"{self._written:05d}.parquet", compression="lz4", statistics=False)
        self._rows, self._written = 0, self._written + 1


def copies(directory: Path, partition: int) -> pl.LazyFrame:
    """What the files of a directory have of a partition: `sums.COPIES`."""
    files = sorted((directory / name(partition)).glob("*.parquet"))
    return pl.scan_parquet(files, schema=COPIES) if files else COPIES.to_frame().lazy()


def filled(directory: Path, numbers: Iterable[int]) -> Iterator[int]:
    """Those partitions of which a directory has anything."""
    return (number for number in numbers if (directory / name(number)).exists())


def name(partition: int) -> str:
    """Of a partition's directory, or in S3 of its prefix."""
    return f"{partition:05d}"
