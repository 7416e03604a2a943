"""Every call to AWS of a small batch fails in every way there is, one after the other, and nothing comes of it."""

import json
from functools import partial
from typing import Any

import pytest

from functions.processor.model import DAY_MS, to_iso
from local.model.faults import KINDS
from local.model.world import BEGINNING, World, world


def event(event_type: str, age: int, **payload: Any) -> bytes:
    return json.dumps({"event_type": event_type, "timestamp": to_iso(BEGINNING - age), "payload": payload}).encode()


BATCH = [
    event("session_started", 2 * DAY_MS, session_id="s1", student_id="stu_1", tutor_id="tut_1", subject="algebra"),
    event("ib_call_logged", 3 * DAY_MS, call_id="c1", student_id="stu_1"),
    b"not json",
    event("ib_call_logged", 2 * DAY_MS, call_id="c2", student_id="stu_1"),
    event("ib_call_logged", DAY_MS, call_id="c3", student_id="stu_1"),
    event("customer_health_update", DAY_MS, student_id="stu_2", health_score=42),
    event("supply_demand_update", DAY_MS, subject="algebra", region="eu", balance_status="high_demand"),
]
"""Five entities, three alerts of three severities, one poison record: every operation has its part."""
ROLLED_AFTER_MS = 12 * DAY_MS
"""By then one alert has ended, the others are due for a reminder."""


def deliver_and_roll(here: World) -> None:
    """The batch, and a roll when windows have fallen; errors are the services' to see."""
    for data in BATCH:
        here.put("key", data)
    here.mapping.deliver(here.mapping.ready()[0])
    here.now_ms += ROLLED_AFTER_MS
    here.call(here.roll)


def only_at(index: int, kind: str, _: str, at: int) -> str | None:
    return kind if at == index else None


def calls() -> list[str]:
    """The operations that an undisturbed run calls, in order."""
    with world() as here:
        deliver_and_roll(here)
        return list(here.aws.calls)


CALLS = calls()
CASES = [(index, kind) for index, operation in enumerate(CALLS) for kind in KINDS[operation]]


def test_the_batch_calls_everything_that_the_processor_can_call() -> None:
    assert set(CALLS) == set(KINDS)
    assert len(CASES) > 100


@pytest.mark.parametrize("index", range(len(CALLS)), ids=[f"{i}-{operation}" for i, operation in enumerate(CALLS)])
def test_a_call_that_fails_in_any_way_changes_nothing_in_the_end(index: int) -> None:
    for kind in KINDS[CALLS[index]]:
        with world() as here:
            here.aws.choose = partial(only_at, index, kind)
            deliver_and_roll(here)
            assert here.aws.injected == {kind: 1}
            here.check_nothing_is_lost()
            here.settle()
            here.check()


@pytest.mark.parametrize("index", range(len(CALLS)), ids=[f"{i}-{operation}" for i, operation in enumerate(CALLS)])
def test_another_process_may_live_its_whole_life_before_any_call(index: int) -> None:
    with world() as here:
        come = [index]

        def meanwhile(_: str) -> None:
            if come and len(here.aws.calls) == come[0]:
                come.clear()
                records = [record.as_delivered() for record in here.stream.records()]
                assert here.invoke({"Records": records}) == {"batchItemFailures": []}
                here.roll()

        here.aws.before = meanwhile
        deliver_and_roll(here)
        assert not come
        here.settle()
        here.check()
