"""Every call to AWS of a small batch fails in every way there is, one after the other, and nothing comes of it."""

import pytest

from proof import enumeration
from proof.faults import KINDS
from proof.world import EVERY_ALERT, world

CALLS = enumeration.calls()
FIRST_CALLS = CALLS.index("get_item")
"""The calls of the delivery and the first rollup: the roll's begin with `get_item`."""
every_call = pytest.mark.parametrize("index", range(len(CALLS)), ids=[f"{i}-{call}" for i, call in enumerate(CALLS)])


def test_the_batch_calls_everything_that_the_processor_can_call() -> None:
    assert set(CALLS) == set(KINDS)
    assert len(enumeration.cases()) > 200


@every_call
def test_a_call_that_fails_in_any_way_changes_nothing_in_the_end(index: int) -> None:
    for kind in KINDS[CALLS[index]]:
        enumeration.run(index, kind)


@pytest.mark.parametrize("index", range(FIRST_CALLS))
def test_a_roll_may_come_at_its_moment_before_any_call(index: int) -> None:
    enumeration.let_a_roll_come(index)


@every_call
def test_another_process_may_live_its_whole_life_before_any_call(index: int) -> None:
    with world(EVERY_ALERT) as here:
        come = [index]

        def meanwhile(_: str) -> None:
            if come and len(here.aws.calls) == come[0]:
                come.clear()
                records = [record.as_delivered() for record in here.stream.records()]
                assert here.invoke({"Records": records}) == {"batchItemFailures": []}
                here.roll()
                here.rollup()

        here.aws.before = meanwhile
        enumeration.deliver_and_roll(here)
        assert not come
        here.settle()
        here.check()
