"""What a million events cost: the quantities come from the processor, the sums from the prices."""

from collections import Counter
from dataclasses import replace

import pytest

from bench import cost
from bench.cost import Measured, Scenario
from bench.marketplace import MIX, Happened
from bench.metered_baseline import ALL_ATTRIBUTES, KEYS_ONLY, BaselineUsage
from bench.steady_state import Counted, Usage
from bundle.code import ROOT
from proof.metered import INDEXES, MOVE, READ, STATE, TABLE

SMALL = Scenario(facts=40, batch_size=100, days=4, students=40, tutors=8)
PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small() -> Measured:
    return cost.measured(SMALL)


@pytest.fixture(scope="module")
def large_batches() -> Measured:
    return cost.measured(replace(SMALL, batch_size=500, days=16))


def per_event(row: Measured, figure: float) -> float:
    return figure / len(row.counted.events)


# -- the traffic ------------------------------------------------------------------------------------------------------


def test_events_come_in_their_shares_and_give_students_their_facts(small: Measured) -> None:
    kinds = Counter(event.kind for event in small.counted.events)
    for kind, share in MIX.items():
        assert per_event(small, kinds[kind]) == pytest.approx(share, abs=0.06)
    a_day = SMALL.facts * SMALL.students / 32 / 0.4
    assert len(small.counted.events) == pytest.approx(a_day * SMALL.days, abs=SMALL.batch_size)


def test_a_batch_happens_within_ten_minutes_and_a_session_ends_after_an_hour(small: Measured) -> None:
    events = small.counted.events
    for start in range(0, len(events), SMALL.batch_size):
        times = [event.time_ms for event in events[start : start + SMALL.batch_size]]
        assert times == sorted(times)
        assert times[-1] - times[0] < 600_000
    began = {event.payload["session_id"]: event.time_ms for event in events if event.kind == "session_started"}
    ended = [event for event in events if event.kind == "session_completed" and event.payload["session_id"] in began]
    assert ended
    assert all(event.time_ms - began[event.payload["session_id"]] >= 3_600_000 for event in ended)


# -- what it takes ----------------------------------------------------------------------------------------------------


def test_events_and_time_are_counted_apart_with_moves_in_both(small: Measured) -> None:
    events, time = small.counted.batches, small.counted.rolls
    assert events.invocations * SMALL.batch_size == len(small.counted.events)
    assert time.invocations == SMALL.days * 24 * 12
    assert small.tails > 0.8 * (SMALL.students + SMALL.tutors)
    for usage in (events, time):
        assert usage.units[MOVE] > 0
        assert usage.calls["transact_write_items"] > 0
        assert usage.write_units == sum(usage.units[name] for name in (TABLE, STATE, MOVE, *INDEXES))
    assert time.index_units == 0, "no health score changes by time alone"
    assert 0 < events.index_units <= 2 * MIX["customer_health_update"] * 1.5 * len(small.counted.events)


def test_each_fall_is_a_write_of_about_a_unit(small: Measured) -> None:
    time = small.counted.rolls
    falls = 2 * 3 * MIX["session_started"] + 2 * MIX["ib_call_logged"]
    assert 0.3 * falls < per_event(small, time.written) <= falls * 1.1
    assert time.written <= time.units[TABLE] + time.units[MOVE] < 1.6 * time.written


def test_the_steady_state_is_steady(small: Measured) -> None:
    """Twice as long gives the same units a thousand events."""
    longer = cost.measured(replace(SMALL, days=8))
    assert per_event(longer, longer.counted.write_units) == pytest.approx(
        per_event(small, small.counted.write_units), rel=0.1
    )


def test_a_larger_batch_costs_less(small: Measured, large_batches: Measured) -> None:
    for usage in ("batches", "rolls"):
        few, many = (getattr(row.counted, usage).write_units for row in (large_batches, small))
        assert per_event(large_batches, few) < per_event(small, many)


def test_it_costs_less_than_the_plain_handler_with_its_indexes(small: Measured, large_batches: Measured) -> None:
    for row in (small, large_batches):
        ours = cost.dollars(100, row.counted, cost.Assumptions())
        plain = cost.plain_dollars(100, len(row.counted.events), row.plain, ALL_ATTRIBUTES, cost.Assumptions())
        assert sum(ours.values()) - ours["alerts"] < plain


def test_the_plain_handler_writes_each_item_that_an_event_names(small: Measured) -> None:
    named = {"session_started": 2, "session_completed": 2, "supply_demand_update": 2}
    writes = sum(named.get(event.kind, 1) for event in small.counted.events)
    assert small.plain.read_units == writes / 2
    assert 2 * writes <= small.plain.calls < 2.2 * writes
    moved = sum(event.kind == "customer_health_update" for event in small.counted.events)
    assert writes < small.plain.write_units[KEYS_ONLY] <= writes + 2 * moved
    # Of all attributes: LastUpdatedIndex two units a write, the other one where there is a score.
    assert 3 * writes < small.plain.write_units[ALL_ATTRIBUTES] <= 4 * writes + moved


def test_the_same_scenario_gives_the_same_figures(small: Measured) -> None:
    assert cost.measured(SMALL) == small


# -- dollars ----------------------------------------------------------------------------------------------------------


def million() -> list[Happened]:
    return [Happened(0, "ib_call_logged", {})] * 1_000_000


def test_dollars_are_quantities_times_prices() -> None:
    events = Usage(10_000, Counter({TABLE: 1_000_000, "EntityTypeHealthIndex": 500_000, STATE: 300_000, MOVE: 200_000}))
    events.units[READ] = 3_000_000
    events.alerts, events.log_bytes = 900_000, cost.GB
    time = Usage(8_640, Counter({TABLE: 500_000, STATE: 250_000, MOVE: 250_000, READ: 1_000_000, "query": 40_000}))
    time.calls["query"], time.written, time.alerts = 40_000, 500_000, 100_000
    paid = cost.dollars(100, Counted(million(), events, time), cost.Assumptions(ms_per_event={100: 1.0}, emails=2))
    assert paid == pytest.approx(
        {
            "Kinesis": 1_024_000_000 / 2**30 * 0.12,
            "Lambda": 0.002 + (1_000 + 1_000) * 0.0000166667,
            "writes by events": 2 * 0.625,
            "writes by time": 0.625,
            "reads": 4 * 0.125,
            "logs": 0.5,
            "alerts": 1.0 + 0.5 + 40,
        }
    )


def test_dollars_of_the_plain_handler() -> None:
    plain = BaselineUsage(
        Counter({ALL_ATTRIBUTES: 6_000_000, KEYS_ONLY: 2_000_000}), read_units=1_000_000, calls=4_000_000
    )
    stream, compute = 1_024_000_000 / 2**30 * 0.12, 0.002 + 16_000 * 0.0000166667
    for indexes, units in ((ALL_ATTRIBUTES, 6), (KEYS_ONLY, 2)):
        found = cost.plain_dollars(100, 1_000_000, plain, indexes, cost.Assumptions())
        assert found == pytest.approx(stream + compute + units * 0.625 + 0.125)


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_has_these_prices() -> None:
    assert cost.price_table() in PAGE


def test_the_page_says_what_is_simulated() -> None:
    for scenario in cost.SCENARIOS:
        assert f"| {scenario.facts:,} | {scenario.batch_size:,} |" in PAGE
