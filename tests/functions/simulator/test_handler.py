"""The simulator's Lambda against a stream in memory."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.simulator import handler
from functions.simulator.handler import lambda_handler
from proof.oracle import Record, recompute

OnStream = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def root_level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def context(request_id: str = "5f4e") -> SimpleNamespace:
    return SimpleNamespace(aws_request_id=request_id)


def ids(records: list[dict[str, Any]]) -> set[str]:
    payloads = [json.loads(record["Data"])["payload"] for record in records]
    return {payload["session_id"] for payload in payloads if "session_id" in payload}


@pytest.mark.usefixtures("kinesis")
def test_a_run_is_50_streams_of_10_valid_events_in_one_call(on_stream: OnStream) -> None:
    counts = lambda_handler({"detail-type": "Scheduled Event", "id": "1"}, context())
    assert counts == {"events": 500, "records": 500, "accepted": 500, "given_up": 0, "calls": 1}
    records = on_stream()
    assert len(records) == 500
    assert all(record["PartitionKey"] == json.loads(record["Data"])["event_type"] for record in records)
    arrived = [
        Record(record["Data"], int(record["ApproximateArrivalTimestamp"].timestamp() * 1000) + 1000, str(number))
        for number, record in enumerate(records)
    ]
    result = recompute(arrived, arrived[0].arrival_ms)
    assert (result.rejected, result.accepted, result.duplicates) == ({}, 500, 0)


def test_its_size_comes_from_the_environment_and_the_event(
    monkeypatch: pytest.MonkeyPatch, on_stream: OnStream
) -> None:
    monkeypatch.setenv("SIMULATOR_STREAMS", "3")
    monkeypatch.setenv("SIMULATOR_EVENTS_PER_STREAM", "4")
    assert lambda_handler(None, context())["events"] == 12
    asked = {"streams": 60, "events": 20, "duplicates": 0.1, "poison": 0.05, "late": 0.1, "out_of_order": 0.1}
    counts = lambda_handler(asked, context())
    assert counts["events"] == 1200
    assert counts["records"] == counts["accepted"] > 1300
    assert len(on_stream()) == 12 + counts["records"]


def test_what_is_late_happened_hours_ago(on_stream: OnStream) -> None:
    lambda_handler({"late": 1}, context())
    records = on_stream()
    assert len(records) == 500
    for record in records:
        event = json.loads(record["Data"])
        time = datetime.fromisoformat(event.get("timestamp") or event["payload"]["timestamp"])
        age = record["ApproximateArrivalTimestamp"] - (time if time.tzinfo else time.replace(tzinfo=UTC))
        assert timedelta(minutes=59) < age < timedelta(hours=63)


def test_each_request_has_ids_of_its_own(on_stream: OnStream) -> None:
    lambda_handler({}, context("first"))
    first = ids(on_stream())
    lambda_handler({}, context("second"))
    second = ids(on_stream()[500:])
    assert first
    assert second
    assert not first & second


@pytest.mark.usefixtures("kinesis")
@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"streams": 0}, "streams is 0, but must be a whole number from 1 to 5,000"),
        ({"streams": 5001}, "streams is 5001, but must be a whole number from 1 to 5,000"),
        ({"events": "ten"}, "events is 'ten', but must be a whole number from 1 to 100,000"),
        ({"poison": 1.5}, "poison is 1.5, but must be a number from 0 to 1"),
        ({"late": "nan"}, "late is 'nan', but must be a number from 0 to 1"),
        ({"duplicates": None}, "duplicates is None, but must be a number from 0 to 1"),
    ],
)
def test_what_cannot_be_asked_is_named(event: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lambda_handler(event, context())


@pytest.mark.usefixtures("kinesis")
def test_all_attempts_of_a_call_have_limits() -> None:
    config = handler._kinesis().meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 10)
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}


@pytest.mark.usefixtures("kinesis")
def test_a_run_is_logged_at_the_level_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for level, lines in (("INFO", 1), ("WARNING", 0)):
        caplog.clear()
        monkeypatch.setenv("LOG_LEVEL", level)
        lambda_handler({"streams": 2, "events": 3}, context())
        messages = [record.getMessage() for record in caplog.records if "records to" in record.getMessage()]
        assert messages == ["Sent 6 of 6 records to test-events"] * lines


@pytest.mark.usefixtures("kinesis")
def test_a_missing_stream_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENT_STREAM_NAME")
    with pytest.raises(ValueError, match="EVENT_STREAM_NAME is not set"):
        lambda_handler({}, context())
