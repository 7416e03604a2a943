"""Every call to AWS of small batches fails in every way there is, one after the other, and nothing comes of it."""

import pytest

from proof import enumeration
from proof.faults import KINDS

CALLS = enumeration.calls()
FIRST_CALLS = CALLS.index("get_item")
"""The calls of the deliveries and the first rollup: the roll's begin with `get_item`."""
WARM_CALLS = enumeration.calls(warm=True)
FOLDING_CALLS = enumeration.folding_calls()


def every_call(calls: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("index", range(len(calls)), ids=[f"{i}-{call}" for i, call in enumerate(calls)])


def test_the_batches_call_everything_that_the_processor_can_call() -> None:
    assert set(CALLS) == set(KINDS)
    assert len(enumeration.cases()) > 300


def test_tails_are_read_unless_a_process_remembers_them() -> None:
    assert WARM_CALLS.count("batch_get_item") < CALLS.count("batch_get_item")


@every_call(CALLS)
def test_a_call_that_fails_in_any_way_changes_nothing_in_the_end(index: int) -> None:
    for kind in KINDS[CALLS[index]]:
        enumeration.run(index, kind)


@every_call(FOLDING_CALLS)
def test_a_call_that_fails_in_any_way_while_tails_fold_makes_nothing_count_twice(index: int) -> None:
    for kind in KINDS[FOLDING_CALLS[index]]:
        enumeration.run_fold(index, kind)


@every_call(CALLS[:FIRST_CALLS])
def test_a_roll_may_come_at_its_moment_before_any_call(index: int) -> None:
    enumeration.let_a_roll_come(index)


@every_call(CALLS)
def test_another_process_may_live_its_whole_life_before_any_call(index: int) -> None:
    enumeration.let_another_live(index)


@every_call(CALLS)
def test_another_process_may_move_facts_before_any_call(index: int) -> None:
    enumeration.let_a_move_come(index, warm=False)


@every_call(WARM_CALLS)
def test_another_process_may_move_facts_before_any_call_of_processes_that_remember_tails(index: int) -> None:
    enumeration.let_a_move_come(index, warm=True)


@pytest.mark.parametrize("index", range(enumeration.rollup_calls()))
def test_facts_may_move_before_any_call_of_a_rollup_that_counts_them(index: int) -> None:
    enumeration.let_a_move_come_to_a_rollup(index)
