"""The deadline: a quarter of an invocation's time is reserved, and at most 25 seconds."""

import pytest

from functions.aws.deadline import Deadline
from proof.invocation import context


@pytest.mark.parametrize(
    ("invocation_ms", "reserved_ms"), [(60_000, 15_000), (99_999, 24_999), (100_004, 25_000), (900_000, 25_000)]
)
def test_the_end_of_an_invocation_is_reserved(invocation_ms: int, reserved_ms: int) -> None:
    left = [invocation_ms]
    deadline = Deadline.of(context(lambda: left[0]))
    assert not deadline.passed()
    left[0] = reserved_ms + 1
    assert not deadline.passed()
    left[0] = reserved_ms
    assert deadline.passed()
