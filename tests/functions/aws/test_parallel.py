"""Calls side by side: a single one in the caller's own thread, several in others, results in order."""

import threading

from functions.aws.parallel import in_parallel


def test_a_single_call_needs_no_thread() -> None:
    assert in_parallel(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]
    assert threading.current_thread() not in in_parallel(lambda _: threading.current_thread(), [1, 2])


def test_two_calls_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def call(number: int) -> int:
        both.wait(timeout=10)
        return number

    assert in_parallel(call, [1, 2]) == [1, 2]
