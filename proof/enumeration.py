"""Every call to AWS that a small batch, its roll and its rollup make, and every way in which each can fail."""

import json
from functools import cache
from typing import Any, Final

from functions.entities.wakes import Rhythm
from functions.model import DAY_MS, MINUTE_MS, SECOND_MS, to_iso
from proof.faults import KINDS
from proof.world import BEGINNING, EVERY_ALERT, World, world


def _event(event_type: str, age: int, **payload: Any) -> bytes:
    return json.dumps({"event_type": event_type, "timestamp": to_iso(BEGINNING - age), "payload": payload}).encode()


_INTERVAL_MS: Final = Rhythm().interval_ms
_FALLS_AFTER_MS: Final = _INTERVAL_MS - 30 * SECOND_MS

BATCH: Final = (
    _event(
        "session_completed",
        2 * DAY_MS,
        session_id="s1",
        student_id="stu_1",
        tutor_id="tut_1",
        subject="biology",
        completed_successfully=False,
    ),
    _event("ib_call_logged", 3 * DAY_MS, call_id="c1", student_id="stu_1"),
    b"not json",
    _event("ib_call_logged", 2 * DAY_MS, call_id="c2", student_id="stu_1"),
    _event("ib_call_logged", DAY_MS, call_id="c3", student_id="stu_1"),
    _event("ib_call_logged", 7 * DAY_MS - _FALLS_AFTER_MS, call_id="c4", student_id="stu_3"),
    _event("customer_health_update", DAY_MS, student_id="stu_2", health_score=42),
    _event("supply_demand_update", DAY_MS, subject="algebra", region="eu", balance_status="high_demand"),
)
"""Six entities, alerts of three severities, one poison record: every operation has its part. A seventh entity is made
by the rollup, and a first session that failed makes an alert of it and of the tutor. One call leaves its window
shortly before the next roll."""

_ROLLED_AFTER_MS: Final = 12 * DAY_MS  # by then one alert has ended, and the others are due for a reminder


def deliver_and_roll(here: World) -> None:
    """The batch, a rollup, a roll and a rollup when windows have fallen, and a roll for what the first one has told.

    Errors are the services' to see.
    """
    _deliver(here)
    _roll(here)


def _deliver(here: World) -> None:
    for data in BATCH:
        here.put("key", data)
    here.mapping.deliver(here.mapping.ready()[0])
    here.call(here.rollup)


def _roll(here: World) -> None:
    here.now_ms += _ROLLED_AFTER_MS
    here.call(here.roll)
    here.call(here.rollup)
    here.now_ms += _INTERVAL_MS
    here.call(here.roll)


@cache
def calls() -> tuple[str, ...]:
    """The operations that an undisturbed run calls, in order."""
    with world(EVERY_ALERT, most_recent_rows=0) as here:
        deliver_and_roll(here)
        return tuple(here.aws.calls)


def cases() -> list[tuple[int, str]]:
    """Each call's index with each kind of fault that it can meet."""
    return [(index, kind) for index, operation in enumerate(calls()) for kind in KINDS[operation]]


def run(index: int, kind: str) -> None:
    """One call fails in one way; then everything gets well, at once when it was a call of the delivery or the rollup.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with world(EVERY_ALERT, most_recent_rows=0) as here:
        here.aws.choose = lambda _, at: kind if at == index else None
        _deliver(here)
        if not here.aws.injected:
            _roll(here)
        if here.aws.injected != {kind: 1}:
            raise AssertionError(f"call {index} did not meet {kind}, but {dict(here.aws.injected)}")
        here.check_nothing_is_lost()
        here.settle()
        here.check()


def let_a_roll_come(index: int) -> None:
    """The batch is delivered a minute before a roll, which comes at its moment before one of the calls.

    A window of what the batch tells falls by that moment.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with world(EVERY_ALERT) as here:
        moment = here.next_roll_ms
        here.now_ms = moment - MINUTE_MS

        def meanwhile(_: str) -> None:
            if here.now_ms < moment and len(here.aws.calls) == index:
                here.now_ms = moment
                here.roll()

        here.aws.before = meanwhile
        _deliver(here)
        if here.now_ms != moment:
            raise AssertionError(f"there is no call {index}")
        here.settle()
        here.check()
