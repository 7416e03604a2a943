"""Sizing: more memory is less time up to one vCPU, and the price of a batch is that of its time and memory."""

import pytest

from bench import sizing

SMALL = {"100": {"cpu_ms": 400.0, "reads": 10.0, "wake_writes": 10.0, "writes": 40.0, "put_events": 0.0}}


def test_a_batch_lasts_for_its_cpu_and_for_the_calls_that_wait_for_each_other() -> None:
    found = {
        memory: (float(ms), int(events.replace(",", ""))) for _, memory, ms, events, _ in sizing.rows(SMALL, ["100"])
    }
    # 40 ms of CPU a batch, a read, a write of wakes and a round of writes.
    assert found["1,769 MB"] == (52, 1_923)
    assert found["512 MB"][0] == pytest.approx(40 * 1_769 / 512 + 12, abs=0.5)


def test_publishing_is_a_round_of_its_own_and_parts_the_writes() -> None:
    quiet, telling = (
        float(next(sizing.rows({"100": SMALL["100"] | {"put_events": puts}}, ["100"]))[2]) for puts in (0.0, 8.0)
    )
    assert telling == quiet + 8
