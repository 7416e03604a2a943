"""The events of the benchmark are those that its figures are stated for."""

import json
from collections import Counter

import pytest

from bench.workload import BATCHES, NOW, Population, Workload, batches, delivery, named
from functions.events.decode import decode, read_records

MOST_IN_AN_EVENT = 6_291_456  # Lambda quotas: invocation payload, 6 MB


@pytest.fixture(scope="module")
def workload() -> Workload:
    made = Workload()
    made.history()
    return made


def test_a_batch_names_about_as_many_entities_as_stated(workload: Workload) -> None:
    events = workload.take(2 * max(BATCHES))
    for size, about in zip(BATCHES, (70, 280, 580), strict=True):
        parts = batches(events, size)
        mean = sum(len({key for event in part for key in named(event)}) for part in parts) / len(parts)
        assert 0.9 * about < mean < 1.15 * about, size


def test_all_six_types_are_in_it(workload: Workload) -> None:
    counts = Counter(event.event_type for event in workload.take(1_000))
    assert len(counts) == 6
    assert min(counts.values()) > 20


def test_every_record_is_valid(workload: Workload) -> None:
    event = delivery(workload.take(2_000))
    batch = decode(read_records(json.loads(event)["Records"]), 600_000)
    assert not batch.rejections
    assert len(batch.events) == 2_000


def test_the_largest_batch_is_what_an_event_of_six_megabytes_holds(workload: Workload) -> None:
    size = len(delivery(workload.take(max(BATCHES))))
    assert 0.95 * MOST_IN_AN_EVENT < size <= MOST_IN_AN_EVENT


def test_a_seed_makes_the_same_events() -> None:
    one, other = (Workload(Population(students=20, tutors=5, history=100), seed=3) for _ in range(2))
    assert one.history() == other.history()
    assert delivery(one.take(50)) == delivery(other.take(50))


def test_the_history_ends_where_the_stream_begins() -> None:
    workload = Workload(Population(students=20, tutors=5, history=100))
    history, after = workload.history(), workload.take(3)
    times = [event.time_ms for event in (*history, *after)]
    assert times == sorted(times)
    assert history[-1].time_ms <= NOW == after[0].time_ms
