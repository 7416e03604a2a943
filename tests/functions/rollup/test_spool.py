"""Partitions in files: every row comes back once, in the partition of its identity, whenever it was written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.rollup import spool as spool_module
from functions.rollup.spool import Spool, copies, partitions_for
from functions.rollup.sums import COPIES
from tests.helpers.deployment import NOW

row = st.tuples(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**48 - 1),
    st.sampled_from([None, "algebra", "a subject of more than twelve bytes", "Ökologie"]),
    st.none() | st.integers(0, 2**48 - 1),
    st.none() | st.integers(0, 50_000),
    st.none() | st.integers(0, 2**48 - 1),
)
frames = st.lists(row, max_size=6).map(lambda rows: pl.DataFrame(rows, schema=COPIES, orient="row"))


def some(count: int) -> pl.DataFrame:
    rows = [(each, NOW + each, "algebra", NOW + each, None, None) for each in range(count)]
    return pl.DataFrame(rows, schema=COPIES, orient="row")


def whole(directory: Path, count: int) -> pl.DataFrame:
    """All partitions' rows, each in its own."""
    parts = [copies(directory, partition).collect() for partition in range(count)]
    for partition, part in enumerate(parts):
        assert part.schema == COPIES
        assert part.filter(pl.col("id") % count != partition).is_empty()
    return pl.concat(parts).sort(COPIES.names())


@given(st.lists(frames, max_size=6), st.integers(1, 4))
def test_what_is_spooled_is_what_is_read(pages: list[pl.DataFrame], count: int) -> None:
    with TemporaryDirectory() as made:
        spool = Spool(Path(made), count)
        for page in pages:
            spool.add(page)
            spool.flush()
        assert_frame_equal(whole(Path(made), count), pl.concat([COPIES.to_frame(), *pages]).sort(COPIES.names()))


def test_what_is_more_than_memory_is_to_hold_goes_to_files_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_ROWS_IN_MEMORY", 10)
    spool = Spool(tmp_path, 3)
    for begin, held in ((0, 4), (4, 8), (8, 0)):
        spool.add(some(12)[begin : begin + 4])
        assert whole(tmp_path, 3).height == begin + 4 - held
    spool.flush()
    assert_frame_equal(whole(tmp_path, 3), some(12))
    assert len(list(tmp_path.rglob("*.parquet"))) == 3


def test_threads_may_share_a_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_ROWS_IN_MEMORY", 50)
    spool, rows = Spool(tmp_path, 4), some(2_000)

    def write(begin: int) -> None:
        for each in range(begin, begin + 250, 10):
            spool.add(rows[each : each + 10])
        spool.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(0, 2_000, 250)))
    assert_frame_equal(whole(tmp_path, 4), rows)


def test_files_are_named_for_their_partition(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2)
    for _ in range(2):
        spool.add(some(2))
        spool.flush()
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")}
    assert names == {f"0000{part}/0000{number}.parquet" for part in (0, 1) for number in (0, 1)}


@pytest.mark.parametrize(
    ("table_bytes", "memory_mb", "count"),
    [
        (0, 1024, 16),
        (16 * 32_000_000, 1024, 16),
        (16 * 32_000_000 + 1, 1024, 17),
        (2_500_000_000, 1024, 79),
        (2_500_000_000, 512, 157),
        (250_000_000_000, 4096, 1954),
    ],
)
def test_there_are_as_many_partitions_as_a_table_is_large_and_a_function_small(
    table_bytes: int, memory_mb: int, count: int
) -> None:
    assert partitions_for(table_bytes, memory_mb) == count
