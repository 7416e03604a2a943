"""Disorder: the shares asked for, each poison refused for its reason, and nothing without being asked."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from functions.simulator import live
from functions.simulator.disorder import POISON, Outgoing, Shares, _ingested, deliver
from functions.simulator.marketplace import Event
from proof.oracle import Record, Rejected, accept, recompute

NOW = datetime(2026, 11, 18, 17, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return live.run("1", NOW, 100, 20)


def delivered(events: list[Event], until: datetime = NOW, **shares: float) -> list[Outgoing]:
    return deliver(events, Shares(**shares), Random("1"), until)


def times(outgoing: list[Outgoing]) -> list[int]:
    return [accept(Record(each.data, NOW_MS, "1")).time for each in outgoing]


def test_without_disorder_each_event_comes_once_and_in_order(events: list[Event]) -> None:
    # A day later, all has arrived when its own seconds were over.
    outgoing = delivered(events, until=NOW + timedelta(days=1))
    assert len(outgoing) == len(events)
    assert all(
        abs(late - early) < 6_000 or late > early
        for early, late in zip(times(outgoing), times(outgoing)[1:], strict=False)
    )
    assert Counter(json.loads(each.data)["event_type"] for each in outgoing) == Counter(e.event_type for e in events)


def test_the_partition_key_is_the_event_type(events: list[Event]) -> None:
    assert all(each.partition_key == json.loads(each.data)["event_type"] for each in delivered(events))


def test_nothing_is_ingested_after_the_end_nor_before_it_happened(events: list[Event]) -> None:
    for each in delivered(events, late=0.2, out_of_order=0.2, duplicates=0.2):
        ingested = datetime.fromisoformat(json.loads(each.data)["ingested_at"])
        assert times([each])[0] <= int(ingested.timestamp() * 1000)
        assert ingested <= NOW


def test_duplicates_are_told_again_and_change_nothing(events: list[Event]) -> None:
    outgoing = delivered(events, duplicates=0.05)
    assert len(outgoing) == pytest.approx(len(events) * 1.05, rel=0.02)
    records = [Record(each.data, NOW_MS, str(number)) for number, each in enumerate(outgoing)]
    result = recompute(records, NOW_MS)
    assert result.duplicates == len(outgoing) - len(events)
    once = [Record(each.data, NOW_MS, str(number)) for number, each in enumerate(delivered(events))]
    assert result.entities == recompute(once, NOW_MS).entities
    assert len({each.data for each in outgoing}) < len(outgoing)


@pytest.mark.parametrize("kind", ["late", "out_of_order"])
def test_late_events_are_overtaken(events: list[Event], kind: str) -> None:
    outgoing = delivered(events, until=NOW + timedelta(days=3), **{kind: 0.1})
    assert len(outgoing) == len(events)
    lags = [
        datetime.fromisoformat(json.loads(each.data)["ingested_at"]).timestamp() * 1000 - time
        for each, time in zip(outgoing, times(outgoing), strict=True)
    ]
    overtaken = [lag for lag in lags if lag > 6_000]
    assert len(overtaken) == pytest.approx(200, rel=0.3)
    assert (min(overtaken) >= 3_600_000) == (kind == "late")
    latest = 0
    behind = 0
    for time in times(outgoing):
        behind += time < latest - 6_000
        latest = max(latest, time)
    assert behind > 50


@pytest.mark.parametrize("reason", POISON)
def test_each_poison_is_refused_for_its_reason(events: list[Event], reason: str) -> None:
    one_of_each_type = {event.event_type: event for event in events}.values()
    assert len(one_of_each_type) == 6
    for event in one_of_each_type:
        data = POISON[reason](_ingested(event.body, NOW))
        assert b"\n" not in data
        with pytest.raises(Rejected, match=f"^{reason}$"):
            accept(Record(data, NOW_MS, "1"))


def test_poison_comes_on_request_in_every_kind(events: list[Event]) -> None:
    outgoing = delivered(events, poison=0.02)
    result = recompute([Record(each.data, NOW_MS, str(n)) for n, each in enumerate(outgoing)], NOW_MS)
    assert set(result.rejected.values()) == set(POISON)
    assert result.accepted == len(events)
    assert len(outgoing) == pytest.approx(len(events) * 1.02, rel=0.01)
