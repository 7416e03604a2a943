"""Attempts: as many as there is time for, with longer waits up to a limit, and none before the first."""

import pytest

from functions.aws.deadline import Deadline
from functions.aws.retry import attempts, back_off

LONG = Deadline(lambda: 120_000)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """The bounds of each wait. Each sleep must last as long as its bounds allow."""
    drawn: list[tuple[float, float]] = []
    slept: list[float] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert slept == [high for _, high in drawn]

    monkeypatch.setattr("random.uniform", uniform)
    monkeypatch.setattr("time.sleep", sleep)
    return drawn


def test_each_attempt_but_the_first_waits_up_to_twice_as_long(waits: list[tuple[float, float]]) -> None:
    assert list(attempts(4, LONG)) == [0, 1, 2, 3]
    assert waits == [(0, 0.1), (0, 0.2), (0, 0.4)]


def test_no_wait_is_longer_than_two_seconds(waits: list[tuple[float, float]]) -> None:
    for attempt in (5, 6, 60):
        back_off(attempt)
    assert waits == [(0, 1.6), (0, 2.0), (0, 2.0)]


def test_a_wait_is_slept(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    back_off(1)
    assert len(slept) == 1


def test_past_the_deadline_there_is_no_further_attempt(waits: list[tuple[float, float]]) -> None:
    left = iter([120_000, 120_000, 0])
    assert list(attempts(4, Deadline(lambda: next(left)))) == [0]
    assert waits == []
