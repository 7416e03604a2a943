"""Every call to AWS that small batches, their rolls and rollups make, and every way in which each can fail.

Facts always move, and each invocation has a process of its own unless a test says otherwise: so every batch that finds
facts reads and writes tails.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final

from functions.entities.folding import MOST_ROWS
from functions.entities.wakes import Rhythm
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, EntityType, to_iso
from proof.faults import KINDS
from proof.stored import Violation, public_items, states
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
"""The first batch. Six entities, alerts of three severities, one poison record: every operation has its part. A
seventh entity is made by the rollup, and a first session that failed makes an alert of it and of the tutor. One call
leaves its window shortly before the next roll."""

NEXT_BATCH: Final = (
    _event("session_started", 8 * DAY_MS, session_id="s1", student_id="stu_1", tutor_id="tut_1", subject="biology"),
    _event("ib_call_logged", 5 * DAY_MS, call_id="c5", student_id="stu_1"),
    _event("ib_call_logged", 2 * DAY_MS, call_id="c2", student_id="stu_1"),
)
"""The second batch: an event that makes a fact in two tails earlier, a fact that is unknown, and a duplicate."""

MOVING: Final = (
    _event("session_completed", HOUR_MS, session_id="s2", student_id="stu_1", tutor_id="tut_1", student_rating=4),
    _event("ib_call_logged", HOUR_MS, call_id="c6", student_id="stu_3"),
)
"""What another process takes in meanwhile: facts of entities that have a tail."""

_HOUR: Final = BEGINNING // HOUR_MS * HOUR_MS
FOLDED_ROWS: Final = 4
"""More rows in a tail are folded, until half of them are left."""


def _of_whole_hours(*ages: int) -> tuple[bytes, ...]:
    """Sessions of one student and tutor, so many hours ago. A fold keeps their times, which begin hours."""
    return tuple(
        _event(
            "session_completed",
            BEGINNING - _HOUR + age * HOUR_MS,
            session_id=f"s{age}",
            student_id="stu_1",
            tutor_id="tut_1",
            student_rating=age % 6,
            tutor_rating=age % 5,
        )
        for age in ages
    )


FOLDING: Final = (
    _of_whole_hours(600, 500, 400),
    _of_whole_hours(300, 200, 100, 400, 500),
    _of_whole_hours(600, 300, 100, 50, 20),
)
"""Batches of which the second and the third make both tails fold, and have duplicates, also of what has been folded."""

_ROLLED_AFTER_MS: Final = 12 * DAY_MS  # by then one alert has ended, and the others are due for a reminder


def _world(
    *, warm: bool = False, most_recent_rows: int = 0, most_rows: int = MOST_ROWS
) -> AbstractContextManager[World]:
    return world(
        EVERY_ALERT, warm=warm, most_recent_rows=most_recent_rows, most_rows=most_rows, parallelization_factor=2
    )


_ALL_OF_ONE: Final = 4
"""How many facts of one student are in the first batch."""


def deliver_and_roll(here: World) -> None:
    """Two batches with a rollup between them, a roll and a rollup when windows have fallen, and a roll for what the
    first one has told.

    Errors are the services' to see.
    """
    _deliver(here)
    _roll(here)


def _deliver(here: World) -> None:
    _deliver_first(here)
    here.call(here.rollup)
    _put(here, NEXT_BATCH)
    here.mapping.deliver(here.mapping.ready()[0])


def _roll(here: World) -> None:
    here.now_ms += _ROLLED_AFTER_MS
    here.call(here.roll)
    here.call(here.rollup)
    here.now_ms += _INTERVAL_MS
    here.call(here.roll)


def _fold(here: World) -> None:
    for batch in FOLDING:
        _put(here, batch)
        here.mapping.deliver(here.mapping.ready()[0])


def _put(here: World, batch: Sequence[bytes], partition_key: str = "key") -> None:
    for data in batch:
        here.put(partition_key, data)


@cache
def calls(*, warm: bool = False) -> tuple[str, ...]:
    """The operations that an undisturbed run calls, in order; with processes that are kept where they are `warm`."""
    with _world(warm=warm) as here:
        deliver_and_roll(here)
        return tuple(here.aws.calls)


@cache
def folding_calls() -> tuple[str, ...]:
    """The operations that the batches call which make tails fold."""
    with _world(most_rows=FOLDED_ROWS) as here:
        _fold(here)
        return tuple(here.aws.calls)


def cases() -> list[tuple[int, str]]:
    """Each call's index with each kind of fault that it can meet."""
    return [(index, kind) for index, operation in enumerate(calls()) for kind in KINDS[operation]]


def folding_cases() -> list[tuple[int, str]]:
    """The same for the batches that make tails fold."""
    return [(index, kind) for index, operation in enumerate(folding_calls()) for kind in KINDS[operation]]


def run(index: int, kind: str) -> None:
    """One call fails in one way; then everything gets well, at once when it was a call of a delivery or the rollup.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with _world() as here:
        here.aws.choose = lambda _, at: kind if at == index else None
        _deliver(here)
        if not here.aws.injected:
            _roll(here)
        _check_injected(here, index, kind)
        here.check_nothing_is_lost()
        here.settle()
        here.check()


def run_fold(index: int, kind: str) -> None:
    """One call fails in one way while tails fold; then everything gets well.

    Whatever was folded when, each session counts once: sessions of whole hours are counted exactly.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with _world(most_rows=FOLDED_ROWS) as here:
        here.aws.choose = lambda _, at: kind if at == index else None
        _fold(here)
        _check_injected(here, index, kind)
        here.settle()
        check_fold(here)


def check_fold(here: World) -> None:
    """What must hold of folded entities now, after a replay, and when windows have fallen."""
    if not all(state.tail.folded_before for key, state in states(here.memory).items() if key[0] in _FACTUAL):
        raise AssertionError("nothing was folded")
    here.check_metrics(_FACTUAL)
    here.mapping.replay()
    here.mapping.drain()
    for _ in range(4):
        here.check_metrics(_FACTUAL)
        here.now_ms += 7 * DAY_MS
        here.roll()
        here.rollup()


_FACTUAL: Final[tuple[EntityType, ...]] = ("student", "tutor")


def _check_injected(here: World, index: int, kind: str) -> None:
    if here.aws.injected != {kind: 1}:
        raise AssertionError(f"call {index} did not meet {kind}, but {dict(here.aws.injected)}")


def let_a_roll_come(index: int) -> None:
    """The batches are delivered a minute before a roll, which comes at its moment before one of the calls.

    A window of what the first batch tells falls by that moment.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with _world() as here:
        moment = here.next_roll_ms
        here.now_ms = moment - MINUTE_MS

        def come() -> None:
            here.now_ms = moment
            here.roll()

        _before(here, index, come)
        _deliver(here)
        _check_come(here, index)
        here.settle()
        here.check()


def let_another_live(index: int) -> None:
    """Before one of the calls another process does all that is to do.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with _world() as here:

        def come() -> None:
            records = [record.as_delivered() for record in here.stream.records()]
            if (answer := here.invoke({"Records": records})) != {"batchItemFailures": []}:
                raise Violation(f"the other process failed: {answer}")
            here.roll()
            here.rollup()

        _before(here, index, come)
        deliver_and_roll(here)
        _check_come(here, index)
        here.settle()
        here.check()


def let_a_move_come(index: int, *, warm: bool) -> None:
    """Before one of the calls another lane delivers `MOVING`, and so moves facts to tails.

    So a head is read before and its tail after a move; and where processes are `warm`, a tail before, which the process
    remembers, and its head after.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with _world(warm=warm) as here:
        _before(here, index, lambda: _deliver_moving(here))
        deliver_and_roll(here)
        _check_come(here, index)
        here.settle()
        here.check()


def _deliver_moving(here: World) -> None:
    _put(here, MOVING, "another key")
    (lane,) = here.mapping.ready()
    here.mapping.deliver(lane)
    if here.mapping.ready():
        raise Violation("the other process failed")


def rollup_calls() -> int:
    """How many calls `let_a_move_come_to_a_rollup` can interrupt."""
    with _world(most_recent_rows=_ALL_OF_ONE) as here:
        _deliver_first(here)
        here.aws.calls.clear()
        here.rollup()
        return len(here.aws.calls)


def let_a_move_come_to_a_rollup(index: int) -> None:
    """Before one of a rollup's calls the facts that it counts move from heads to tails.

    Raises
    ------
    Violation
        When it counts other than what has been told of a subject that the move has nothing new of.
    """
    with _world(most_recent_rows=_ALL_OF_ONE) as here:
        _deliver_first(here)
        here.aws.calls.clear()
        _before(here, index, lambda: _deliver_moving(here))
        here.rollup()
        _check_come(here, index)
        subject = public_items(here.memory)["subject", "biology"]
        if (subject["sessions_30d"], subject["active_students_30d"]) != (1, 1):
            raise Violation(f"one session of one student is rolled up as {subject}")
        here.settle()
        here.check()


def _deliver_first(here: World) -> None:
    _put(here, BATCH)
    here.mapping.deliver(here.mapping.ready()[0])


def _before(here: World, index: int, come: Callable[[], None]) -> None:
    """Lets something happen before the call of this index."""

    def meanwhile(_: str) -> None:
        if len(here.aws.calls) == index:
            here.aws.before = lambda _: None
            come()

    here.aws.before = meanwhile


def _check_come(here: World, index: int) -> None:
    if len(here.aws.calls) <= index:
        raise AssertionError(f"there is no call {index}")
