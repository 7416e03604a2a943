"""What engines are compared by: the plain windows against counting anew, slopes, and the table of figures."""

import json
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import FIGURES
from bench.growth import slope
from bench.peers import columns, plain
from bench.peers.in_memory import ARRIVING, InMemory
from bench.peers.stream import Metrics, Touch
from bench.peers.windows import Windows
from bench.windows_core import Kept, said
from bench.workload import DAY_MS, NOW, Workload, delivery
from functions.entities.facts import CALL, SESSION
from functions.events.decode import decode, read_records


def told_of(kind: int, first_id: int, ratings: st.SearchStrategy[int | None]) -> st.SearchStrategy[Touch]:
    """Events of six things, nine days from one to the next; those of one thing up to three days apart."""
    return st.builds(
        lambda number, days, rating: Touch(0, kind, first_id + number, NOW + (9 * number + days) * DAY_MS, rating),
        st.integers(0, 5),
        st.integers(0, 3),
        ratings,
    )


touches = told_of(SESSION, 0, st.none() | st.integers(0, 50_000)) | told_of(CALL, 10, st.none())


def by_core(batches: Sequence[Sequence[Touch]], moments: Sequence[int]) -> list[Metrics]:
    kept = Kept()
    answers = [
        kept.take([said(*touch) for touch in batch], as_of) for batch, as_of in zip(batches, moments, strict=True)
    ]
    return [Metrics(0, *row) for _, (row,) in answers]


def by_rows_in_memory(batches: Sequence[Sequence[Touch]], moments: Sequence[int]) -> list[Metrics]:
    kept = InMemory()
    answers = [
        kept.take(pl.DataFrame(batch, schema=ARRIVING, orient="row"), as_of)
        for batch, as_of in zip(batches, moments, strict=True)
    ]
    return [Metrics(*row) for (row,) in answers]


@given(st.lists(st.lists(touches, min_size=1, max_size=6), min_size=1, max_size=4))
def test_plain_windows_say_what_the_core_says(batches: list[list[Touch]]) -> None:
    # In order of time: what comes too late to be taken in is a matter of the core's own tests.
    told = sorted((touch for batch in batches for touch in batch), key=lambda touch: touch.time)
    sizes = [len(batch) for batch in batches]
    ordered = [told[sum(sizes[:each]) : sum(sizes[: each + 1])] for each in range(len(sizes))]
    moments = [batch[-1].time for batch in ordered]
    windows, answers = Windows(0), []
    for batch, as_of in zip(ordered, moments, strict=True):
        for touch in batch:
            windows.add(touch)
        answers.append(windows.measure(as_of))
    assert answers == by_core(ordered, moments)
    assert answers == by_rows_in_memory(ordered, moments)


def test_what_another_entity_tells_of_the_same_thing_is_its_own() -> None:
    touches = [Touch(entity, SESSION, 1, NOW, rating) for entity, rating in ((0, 50_000), (1, None), (7, 0))]
    rows = InMemory().take(pl.DataFrame(touches, schema=ARRIVING, orient="row"), NOW)
    assert sorted(map(Metrics._make, rows)) == [
        Metrics(0, 1, 1, 1, 0, 0, 50_000, 1),
        Metrics(1, 1, 1, 1, 0, 0, 0, 0),
        Metrics(7, 1, 1, 1, 0, 0, 0, 1),
    ]


def test_columns_say_what_json_with_dicts_says() -> None:
    events = Workload().take(2_000, spacing_ms=40 * DAY_MS / 2_000)
    events += events[-500:]  # delivered again
    records = json.loads(delivery(events))["Records"]
    as_of = events[-1].time_ms
    decoded = decode(read_records(records), 0)
    assert not decoded.rejections
    assert columns.aggregate(decoded.events, as_of) == plain.aggregate(records, as_of)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_slope_is_the_power(power: float) -> None:
    assert slope([(x, 3 * x**power) for x in (1, 10, 100, 1_000)]) == pytest.approx(power)


def test_each_figure_says_what_it_reaches() -> None:
    for figure in FIGURES:
        if figure.reach is None:
            assert figure.reached(1.0, None) == "-"
            continue
        better, worse = (0.9, 1.1) if figure.less_is_better else (1.1, 0.9)
        aim = figure.reach * better
        assert figure.reached(aim, aim) == "aim"
        assert figure.reached(figure.reach, aim) == "reach"
        assert figure.reached(figure.reach * worse, aim) == "no"
