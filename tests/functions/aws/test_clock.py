"""The clock: epoch milliseconds, the rest cut off."""

import pytest

from functions.aws import clock


def test_now_is_in_whole_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_795_428_000_123_999_999)
    assert clock.now_ms() == 1_795_428_000_123
