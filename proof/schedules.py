"""Random schedules: what a bad month does to a pipeline, drawn from one random source, and checked afterwards.

A schedule puts records, delivers them through the mapping, splits and merges shards, lets the clock, the roll and the
rollup run, other processes interfere and calls fail, as its random source says; then everything gets well and
`World.check` looks.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from functions.model import HOUR_MS
from proof.faults import KINDS
from proof.oracle import Rules
from proof.small_world import any_event
from proof.world import EVERY_ALERT, World, world


@dataclass
class Summary:
    """What a schedule did."""

    records: int = 0
    invocations: int = 0
    other_processes: int = 0
    """Deliveries, rolls and rollups that came between two calls of another."""
    rollups: int = 0
    """Rollups before everything got well, those among them."""
    reshards: int = 0
    wakes: int = 0
    """Wakes written."""
    transactions: int = 0
    """Transactions asked for, those that were cancelled among them."""
    moves: int = 0
    """Items written with their tails."""
    faults: Counter[str] = field(default_factory=Counter)


def run(rng: random.Random, steps: int = 40) -> Summary:
    """Runs one schedule and checks every invariant.

    Parameters
    ----------
    rng
        The source of every choice: the same source does the same things.
    steps
        How many things happen before everything gets well.

    Raises
    ------
    Violation
        Naming the invariant that does not hold.
    """
    with world(
        EVERY_ALERT if rng.random() < 0.5 else Rules(),
        most_recent_rows=rng.choice((0, 1, 3, 500)),
        shards=rng.randint(1, 3),
        batch_size=rng.choice((1, 3, 10, 100)),
        parallelization_factor=rng.choice((1, 1, 2, 10)),
        bisect=rng.random() < 0.7,
        max_retry_attempts=rng.choice((-1, 0, 2)),
        max_record_age_ms=rng.choice((-1, 6 * HOUR_MS)),
    ) as here:
        schedule = _Schedule(here, rng)
        schedule.run(steps)
        records, invocations = len(here.stream.records()), here.mapping.invocations
        here.settle()
        here.check()
        return Summary(
            records,
            invocations,
            schedule.other_processes,
            schedule.rollups,
            schedule.reshards,
            here.memory.calls["wake"],
            here.aws.calls.count("transact_write_items"),
            here.memory.calls["move"],
            here.aws.injected,
        )


_ROLL_COMES: Final = 0.2
"""How probable it is that a roll comes before a call, where it can."""


class _Schedule:
    def __init__(self, here: World, rng: random.Random) -> None:
        self.here = here
        self.rng = rng
        self.rate = rng.choice((0.0, 0.05, 0.2))
        self.company = rng.choice((0.0, 0.05, 0.3))
        self.nested = False
        here.now_ms += rng.randrange(2) * rng.randrange(here.next_roll_ms - here.now_ms)
        self.other_processes = self.rollups = self.reshards = 0
        here.aws.choose = self._fault
        here.pick = self._process
        here.aws.before = self._meanwhile

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self._step()
            self.here.check_windows()
        self.here.check_nothing_is_lost()

    def _step(self) -> None:
        here, rng = self.here, self.rng
        choice = rng.random()
        if choice < 0.32:
            for _ in range(rng.randint(1, 8)):
                self._put()
        elif choice < 0.76:
            if lanes := here.mapping.ready():
                here.mapping.deliver(rng.choice(lanes))
        elif choice < 0.82:
            shortly_before_a_roll = here.next_roll_ms - rng.randint(1, here.remaining_ms)
            here.now_ms = max(here.now_ms + rng.choice((1, 60_000, HOUR_MS)), rng.choice((0, shortly_before_a_roll)))
        elif choice < 0.92:
            self._roll_what_is_due()
        elif choice < 0.94:
            self._rollup()
        elif choice < 0.955:
            self._reshard()
        elif choice < 0.97:
            here.mapping.replay()
        elif here.mapping.on_failure:
            here.redrive_failed()

    def _put(self) -> None:
        """A new record, or an old one that its producer puts again."""
        here, rng = self.here, self.rng
        known = here.stream.records()
        data = rng.choice(known).data if known and rng.random() < 0.15 else any_event(rng, here.now_ms)
        here.put(rng.choice(("session_started", "ib_call_logged", "stu_1", str(rng.randrange(20)))), data)

    def _reshard(self) -> None:
        here, rng = self.here, self.rng
        self.reshards += 1
        shards = sorted((each for each in here.stream.shards.values() if each.open), key=lambda each: each.first_key)
        if len(shards) > 1 and rng.random() < 0.5:
            position = rng.randrange(len(shards) - 1)
            here.stream.merge(shards[position].shard_id, shards[position + 1].shard_id)
        elif len(shards) < 6:
            here.stream.split(rng.choice(shards).shard_id)

    def _roll(self) -> None:
        self.here.call(self.here.roll)

    def _roll_what_is_due(self) -> None:
        """A roll now, or one that finds all that changes now."""
        here = self.here
        if self.rng.random() < 0.7:
            here.now_ms += here.remaining_ms
            here.now_ms = here.next_roll_ms
        self._roll()

    def _rollup(self) -> None:
        self.rollups += 1
        self.here.call(self.here.rollup)

    def _process(self, idle: int) -> int | None:
        """One that remembers what it has read and written, or a new one."""
        return self.rng.randrange(idle) if idle and self.rng.random() < 0.7 else None

    def _fault(self, operation: str, _: int) -> str | None:
        return self.rng.choice(sorted(KINDS[operation])) if self.rng.random() < self.rate else None

    def _meanwhile(self, _: str) -> None:
        """Now and then another process comes between two calls, and lives its whole life there.

        Where a roll is to come before the interrupted invocation must have ended, it is that one, at its moment.
        """
        here = self.here
        a_roll_comes = here.ends_ms is not None and here.next_roll_ms < here.ends_ms
        if self.nested or self.rng.random() > (_ROLL_COMES if a_roll_comes else self.company):
            return
        self.nested = True
        try:
            if a_roll_comes:
                self.other_processes += 1
                here.now_ms = here.next_roll_ms
                self._roll()
            else:
                self._other_process()
        finally:
            self.nested = False

    def _other_process(self) -> None:
        here, rng = self.here, self.rng
        self.other_processes += 1
        records = here.stream.records()
        choice = rng.random()
        if choice < 0.2 or not records:
            self._roll()
        elif choice < 0.35:
            self._rollup()
        elif choice < 0.75 and (lanes := here.mapping.ready()):
            here.mapping.deliver(rng.choice(lanes))
        else:
            start = rng.randrange(len(records))
            some = records[start : start + rng.randint(1, 5)]
            here.call(lambda: here.invoke({"Records": [record.as_delivered() for record in some]}))
