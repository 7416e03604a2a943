"""Events files: what is read, what is refused, and that rebasing moves times and nothing else."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from local.events_file import MAX_LINE_BYTES, EventsFileError, read
from proof.oracle import time_ms

NOW = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.ndjson"


def test_lines_are_read_as_they_are_and_blank_ones_skipped(path: Path) -> None:
    path.write_bytes(b'\n{"a": 1.50}\r\n  \n\xff\xfe poison\n[1]\n{"b"')
    assert read(path) == [b'{"a": 1.50}', b"\xff\xfe poison", b"[1]", b'{"b"']
    assert read(str(path), rebase_to=NOW) == read(path)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(EventsFileError, match=r"events\.ndjson: there is no such file; give one"):
        read(path)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EventsFileError, match=f"{tmp_path}: cannot be read: Is a directory"):
        read(tmp_path)


def test_a_file_without_records_is_refused(path: Path) -> None:
    path.write_bytes(b"\n \n")
    with pytest.raises(EventsFileError, match=r"events\.ndjson: there is no record in it"):
        read(path)


def test_a_line_beyond_kinesis_limit_is_named_with_its_number(path: Path) -> None:
    path.write_bytes(b"{}\n\n" + b"x" * MAX_LINE_BYTES)
    assert len(read(path)) == 2
    path.write_bytes(b"{}\n\n" + b"x" * (MAX_LINE_BYTES + 1))
    with pytest.raises(EventsFileError, match=r"line 3: 1,048,321 bytes, allowed in a Kinesis record: 1,048,320"):
        read(path)


def test_rebasing_keeps_shapes_distances_and_every_other_byte(path: Path) -> None:
    lines = [
        '{"event_type": "x",  "timestamp": "2026-11-01T10:00:00.125Z", "payload": {"n": 1.50, "s": "\\u00e9 é"}}',
        '{"payload":{"timestamp":"2026-11-01 11:59:30.5+02:00"},"ingested_at":"2026-11-01T10:00:01.123456"}',
        '{"timestamp":null,"payload":{"timestamp":"2026-11-01T09:00"}}',
        '{"timestamp":"2026-11-01T09:00-0100"}',
        '{"timestamp":"yesterday","ingested_at":"2026-10-31T10:00:00Z"}',
        '["2026-11-01T10:00:00Z"]',
        '{"timestamp":"2026-11-01T10:00:00Z"',
    ]
    path.write_text("\n".join(lines))
    # The newest event time is 10:00:00.125; the shift is whole seconds and does not pass the goal.
    shifted = read(path, rebase_to=datetime(2026, 11, 2, 11, 0, 10, 125_000, tzinfo=UTC))
    assert [line.decode() for line in shifted] == [
        '{"event_type": "x",  "timestamp": "2026-11-02T11:00:10.125Z", "payload": {"n": 1.50, "s": "\\u00e9 é"}}',
        '{"payload":{"timestamp":"2026-11-02 12:59:40.5+02:00"},"ingested_at":"2026-11-02T11:00:11.123456"}',
        '{"timestamp":null,"payload":{"timestamp":"2026-11-02T10:00:10"}}',
        '{"timestamp":"2026-11-02T10:00:10-0100"}',
        '{"timestamp":"yesterday","ingested_at":"2026-11-01T11:00:10Z"}',
        '["2026-11-01T10:00:00Z"]',
        '{"timestamp":"2026-11-01T10:00:00Z"',
    ]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_the_newest_event_becomes_now_to_the_second_and_the_future_stays_ahead(path: Path, zone: timezone) -> None:
    path.write_text(
        '{"timestamp":"2026-11-01T10:00:00.700Z","ingested_at":"2026-11-01T10:00:05Z"}\n'
        '{"timestamp":"2026-11-01T10:10:05.001Z","ingested_at":"2026-11-01T10:00:05Z"}\n'
        '{"timestamp":"2099-01-01T00:00:00Z"}\n'
        '{"timestamp":"2026-11-01T09:00Z"}\n'
    )
    times = [time_ms(json.loads(line)["timestamp"]) for line in read(path, rebase_to=NOW.astimezone(zone))]
    now = int(NOW.timestamp() * 1000)
    # 300 ms before the goal: the shift is whole seconds.
    assert times[0] == now - 300
    assert times[1] == now - 300 + 604_301
    assert times[2] is not None
    assert times[2] > now + 600_000
    assert times[3] == now - 300 - 3_600_700


def test_a_time_that_cannot_be_moved_stays(path: Path) -> None:
    path.write_text(
        '{"timestamp":"9000-01-01T00:00:00Z","ingested_at":"9000-01-01T00:00:00Z"}\n{"timestamp":"0001-01-01T00:00Z"}'
    )
    assert b"0001-01-01T00:00Z" in read(path, rebase_to=NOW)[1]


def test_rebasing_needs_a_time_zone(path: Path) -> None:
    path.write_bytes(b"{}")
    with pytest.raises(ValueError, match="must have a time zone"):
        read(path, rebase_to=datetime(2027, 1, 1))
