"""What a million events cost: the quantities come from the processor, the sums from the prices."""

import pytest

from bench import cost
from bundle.code import ROOT
from proof.metered import INDEXES, READ, STATE, TABLE


@pytest.fixture(scope="module")
def small() -> tuple[cost.Quantities, cost.Quantities, cost.RollQuantities]:
    with cost.bench(facts=5, roll_minutes=60) as bench:
        return bench.measure(100, batches=2), bench.measure(1_000, batches=1), bench.measure_roll(days=1)


def test_every_write_is_billed_to_the_table_and_wakes_to_the_internal_one(
    small: tuple[cost.Quantities, cost.Quantities, cost.RollQuantities],
) -> None:
    by_hundred, _, _ = small
    assert by_hundred.events == 200
    assert by_hundred.written > 0
    assert by_hundred.units[TABLE] >= by_hundred.written
    # A score that changes moves its entry; one that stays moves nothing.
    assert 0 < by_hundred.index_units == sum(by_hundred.units[name] for name in INDEXES) < by_hundred.written
    # Events of ten minutes are woken for by two or three rolls for each of the three windows.
    assert 2 * 3 <= by_hundred.units[STATE] / by_hundred.batches <= 2 * (3 * 3 + 2)
    assert by_hundred.units[READ] > 0
    assert by_hundred.log_bytes > 2 * cost.LAMBDA_LINES_BYTES


def test_a_larger_batch_writes_an_entity_once_for_more_events(
    small: tuple[cost.Quantities, cost.Quantities, cost.RollQuantities],
) -> None:
    by_hundred, by_thousand, _ = small
    assert by_thousand.per_million(by_thousand.written) < by_hundred.per_million(by_hundred.written)


def test_time_moves_every_fact_through_several_windows(
    small: tuple[cost.Quantities, cost.Quantities, cost.RollQuantities],
) -> None:
    _, _, rolled = small
    assert 1 < rolled.written < 6
    assert rolled.table_units >= rolled.written
    assert rolled.index_units == 0, "no health score changes by time alone"
    assert 0 < rolled.wake_units < rolled.written
    assert rolled.write_units == rolled.table_units + rolled.index_units + rolled.wake_units


def test_dollars_are_quantities_times_prices() -> None:
    events = cost.Quantities(
        events=1_000_000,
        batches=10_000,
        written=0,
        units={TABLE: 2_000_000, "EntityTypeHealthIndex": 1_000_000, STATE: 200_000, READ: 4_000_000},
        alerts=1_000_000,
        log_bytes=cost.GB,
    )
    rolled = cost.RollQuantities(written=0, table_units=0.5, index_units=0.25, wake_units=0.25, read_units=1)
    paid = cost.dollars(100, events, rolled, cost.Assumptions(ms_per_event={100: 1.0}, emails=2))
    assert paid == pytest.approx(
        {
            "Kinesis": 1_024_000_000 / 2**30 * 0.12,
            "Lambda": 0.002 + 1_000 * 0.0000166667,
            "table writes": 1.25,
            "index writes": 0.625,
            "wakes": 0.125,
            "reads": 0.5,
            "alerts": 1.0 + 0.5 + 40,
            "logs": 0.5,
            "roll": 0.7 * 0.75,
        }
    )


def test_the_same_seed_gives_the_same_quantities() -> None:
    def measured() -> cost.Quantities:
        with cost.bench(facts=1, seed=7) as bench:
            return bench.measure(50, batches=1)

    first, second = measured(), measured()
    assert (first.units, first.written, first.alerts) == (second.units, second.written, second.alerts)


def test_the_page_has_these_prices() -> None:
    assert cost.price_table() in (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
