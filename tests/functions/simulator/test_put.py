"""Putting records: calls of 500, what is refused is sent again, and giving up is said."""

import logging
from typing import Any

import pytest

from functions.simulator.disorder import Outgoing
from functions.simulator.put import ATTEMPTS, LONGEST_WAIT_SECONDS, Sent, put


class Kinesis:
    """Refuses each record as often as it is told to."""

    def __init__(self, refusals: dict[bytes, int] | None = None):
        self.refusals = refusals or {}
        self.calls: list[list[bytes]] = []

    def put_records(self, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert StreamName == "events"
        assert all(record["PartitionKey"] == "session_started" for record in Records)
        self.calls.append([record["Data"] for record in Records])
        return {"Records": [self.answer(record["Data"]) for record in Records]}

    def answer(self, data: bytes) -> dict[str, str]:
        left = self.refusals.get(data, 0)
        self.refusals[data] = left - 1
        if left > 0:
            return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Slow down"}
        return {"SequenceNumber": "1", "ShardId": "shardId-000000000000"}


def records(count: int) -> list[Outgoing]:
    return [Outgoing("session_started", b"%d" % number) for number in range(count)]


def no_sleep(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} s")


def test_calls_take_up_to_500_records() -> None:
    kinesis = Kinesis()
    assert put(kinesis, "events", records(1001), no_sleep) == Sent(accepted=1001, given_up=0, calls=3)
    assert [len(call) for call in kinesis.calls] == [500, 500, 1]
    assert [data for call in kinesis.calls for data in call] == [record.data for record in records(1001)]


def test_nothing_to_put_makes_no_call() -> None:
    assert put(Kinesis(), "events", [], no_sleep) == Sent(0, 0, 0)


def test_only_what_was_refused_is_sent_again_after_a_growing_wait() -> None:
    kinesis = Kinesis({b"1": 1, b"3": 4})
    waits: list[float] = []
    assert put(kinesis, "events", records(5), waits.append) == Sent(accepted=5, given_up=0, calls=5)
    assert kinesis.calls[1:] == [[b"1", b"3"], [b"3"], [b"3"], [b"3"]]
    assert waits == sorted(waits)
    assert 0 < waits[0] < waits[-1] <= LONGEST_WAIT_SECONDS


def test_waits_double_up_to_three_seconds_and_at_least_half_of_each_is_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", longest)
    waits: list[float] = []
    put(Kinesis({b"0": 1000}), "events", records(1), waits.append)
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert bounds == [(wait / 2, wait) for wait in waits]


def test_what_is_refused_for_ever_is_given_up_and_said(caplog: pytest.LogCaptureFixture) -> None:
    waits: list[float] = []
    kinesis = Kinesis({b"0": 1000, b"501": 1000, b"502": 1000})
    with caplog.at_level(logging.ERROR):
        sent = put(kinesis, "events", records(600), waits.append)
    assert sent == Sent(accepted=597, given_up=3, calls=2 * ATTEMPTS)
    assert len(waits) == 2 * (ATTEMPTS - 1)
    assert [record.getMessage() for record in caplog.records] == [
        f"Gave up 1 records for events after {ATTEMPTS} attempts: ProvisionedThroughputExceededException (1)",
        f"Gave up 2 records for events after {ATTEMPTS} attempts: ProvisionedThroughputExceededException (2)",
    ]
