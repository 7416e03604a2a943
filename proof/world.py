"""The functions as they run in AWS, with every part that can fail in hand: stream, mapping, services, clock.

A `World` delivers records to the real handler and runs the real roll and the real rollup, over AWS in memory, and
`check`s afterwards what must be true whatever happened (the invariants of docs/reliability.md).
"""

import io
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import Any, Final
from unittest import mock

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws import parallel, table
from functions.aws.observability import logger
from functions.aws.quarantine import PREFIX
from functions.aws.table import _Remembered
from functions.entities import absorb, fact_columns, folding, tails
from functions.entities.arrivals import gather
from functions.entities.attribute_values import from_attribute
from functions.entities.facts import RETENTION_MS
from functions.entities.folding import MOST_ROWS
from functions.entities.tails import MOST_RECENT_ROWS
from functions.entities.wakes import Rhythm
from functions.environment import written
from functions.events.decode import decode, read_records
from functions.model import DAY_MS, ENTITY_TYPES, HOUR_MS, EntityType, ceil_div, from_iso
from functions.processor import handler, roll
from functions.processor.roll import RollIncomplete
from functions.rollup import handler as rollup
from functions.rollup import scan, spool
from functions.rollup.scan import RollupIncomplete
from ops.quarantine import redrive, stored_objects
from proof import oracle
from proof.faults import FaultyAws, Killed
from proof.invocation import Inline, context, process
from proof.mapping import EventSourceMapping, Stream, StreamRecord
from proof.memory_aws import FakeAws
from proof.stored import Violation, public_items, states

BEGINNING: Final = from_iso("2026-11-23T10:00:00.000Z")
TABLE, STATE, BUS, BUCKET, STREAM = "metrics", "state", "alerts", "quarantine", "events"

_ENVIRONMENT: Final = {
    "AWS_DEFAULT_REGION": "us-east-1",
    **written(
        {
            "DYNAMODB_TABLE_NAME": TABLE,
            "STATE_TABLE_NAME": STATE,
            "EVENT_BUS_NAME": BUS,
            "QUARANTINE_BUCKET_NAME": BUCKET,
            "WAKE_LANES": "3",
        }
    ),
}
TOLERANCE_MS: Final = 600_000
_INTERVAL_MS: Final = Rhythm().interval_ms
_ALL_DUE_AFTER_MS: Final = HOUR_MS + _INTERVAL_MS + 120_000
"""The longest that a roll puts off a wake, an interval of the roll, and the functions' timeout."""
_STUDENTS: Final[tuple[EntityType, ...]] = ("student",)
"""They have figures that fall, and none of a rollup."""
_FALLS: Final = 8
"""How many falls of a window are looked at one by one."""
_SEGMENTS: Final = 2
_PARTITIONS: Final = 2
_COUNT: Final = re.compile(r".*_\d+d|session_velocity")

EVERY_ALERT: Final = oracle.Rules(
    first_session_success_below=0.6,
    first_sessions_least=1,
    velocity_drop_share=0.6,
    velocity_drop_least=1,
    no_tutors_alert=True,
    demand_surge_score=0.5,
    demand_surge_least=2,
)
"""Thresholds at which a handful of events can make each alert fire."""


_AS_SHIPPED: Final = oracle.Rules()


def environment_of(rules: oracle.Rules) -> dict[str, str]:
    """These thresholds as the functions' environment has them."""
    return {
        "FUTURE_TOLERANCE_SECONDS": str(rules.future_tolerance_seconds),
        "IB_CALLS_WARNING": str(rules.ib_calls_warning),
        "HEALTH_WARNING": str(rules.health_warning),
        "HEALTH_CRITICAL": str(rules.health_critical),
        "FIRST_SESSION_SUCCESS_BELOW": str(rules.first_session_success_below),
        "FIRST_SESSIONS_LEAST": str(rules.first_sessions_least),
        "VELOCITY_DROP_SHARE": str(rules.velocity_drop_share),
        "VELOCITY_DROP_LEAST": str(rules.velocity_drop_least),
        "NO_TUTORS_ALERT": str(rules.no_tutors_alert).lower(),
        "DEMAND_SURGE_SCORE": str(rules.demand_surge_score),
        "DEMAND_SURGE_LEAST": str(rules.demand_surge_least),
    }


class World:
    """A deployment and what is delivered to it."""

    def __init__(self, rules: oracle.Rules, **mapping: Any) -> None:
        self.rules = rules
        self.now_ms = BEGINNING
        self.remaining_ms = 120_000
        """How long each invocation may run."""
        self.ends_ms: int | None = None
        """When the innermost invocation that is running must have ended; None when none is running."""
        self.pick: Callable[[int], int | None] = lambda idle: idle - 1 if idle else None
        """Given how many processes of a function are idle, which of them takes its next invocation; None for a new one.

        A process remembers what it has read and written. It takes one invocation at a time.
        """
        self._idle: dict[Any, list[_Remembered]] = defaultdict(list)
        self.redriven: set[str] = set()
        """Sequence numbers of records that were given up and put on the stream again, under other numbers."""
        self.stream = Stream(mapping.pop("shards", 1))
        self.memory = FakeAws()
        self.memory.put_record = lambda partition_key, data: self.put(partition_key, data).sequence_number
        self.aws = FaultyAws(self.memory)
        self.mapping = EventSourceMapping(self.stream, self.invoke, lambda: self.now_ms, **mapping)

    def put(self, partition_key: str, data: bytes) -> StreamRecord:
        """A producer puts a record."""
        return self.stream.put(partition_key, data, self.now_ms)

    def invoke(self, event: dict[str, Any]) -> Any:
        """Calls the handler, as the mapping does."""
        return self._run(handler.lambda_handler, event)

    def roll(self) -> Any:
        """Calls the roll, as its schedule does."""
        return self._run(roll.lambda_handler, {})

    def rollup(self) -> Any:
        """Calls the rollup, as its schedule does."""
        return self._run(rollup.lambda_handler, {})

    def _run(self, function: Callable[[Any, Any], Any], event: Any) -> Any:
        """Runs a function in one of its processes. Its time passes with the clock."""
        began, outer = self.now_ms, self.ends_ms
        self.ends_ms = began + self.remaining_ms
        idle = self._idle[function]
        picked = self.pick(len(idle))
        remembered = _Remembered() if picked is None else idle.pop(picked)
        try:
            with redirect_stdout(io.StringIO()), mock.patch.object(table, "_remembered", remembered):
                return function(event, context(lambda: began + self.remaining_ms - self.now_ms))
        except Killed:
            remembered = _Remembered()
            raise
        finally:
            idle.append(remembered)
            self.ends_ms = outer

    @property
    def next_roll_ms(self) -> int:
        """The next moment at which the roll's schedule calls it."""
        return (self.now_ms // _INTERVAL_MS + 1) * _INTERVAL_MS

    def call(self, function: Callable[[], Any]) -> None:
        """Calls a function as a service does that takes note of an error and goes on, of a death too."""
        with suppress(Killed, RollIncomplete, RollupIncomplete, ClientError, BotoCoreError):
            function()

    def redrive_failed(self) -> None:
        """Puts what the mapping gave up back on the stream, by the operators' command."""
        for key, records in self.mapping.on_failure.items():
            self.redriven |= {record.sequence_number for record in records}
            event = {"Records": [record.as_delivered() for record in records]}
            self.memory.objects[key] = json.dumps({"payload": json.dumps(event)}).encode()
        self.mapping.on_failure.clear()
        s3, kinesis = self.memory.client("s3"), self.memory.client("kinesis")
        redrive.redrive(s3, kinesis, BUCKET, STREAM, redrive.Selection(prefix=stored_objects.ON_FAILURE), execute=True)

    def settle(self) -> None:
        """Everything gets well again: what is pending is delivered, what failed redriven, what is due rolled, and all
        rolled up.

        The clock goes on until every wake is due whose moment has come, those that a roll has put off among them.
        """
        self.aws.choose = lambda _operation, _index: None
        self.aws.before = lambda _operation: None
        self.mapping.drain()
        while self.mapping.on_failure:
            self.redrive_failed()
            self.mapping.drain()
        self.now_ms = ceil_div(self.now_ms + _ALL_DUE_AFTER_MS, _INTERVAL_MS) * _INTERVAL_MS
        self.roll()
        self.rollup()

    def check_nothing_is_lost(self) -> None:
        """For each entity that it names, every record is among its facts, in quarantine, given up, or pending.

        And in quarantine is exactly what the contract refuses, so that nothing is both counted and refused.
        """
        records = self.stream.records()
        given_up = {record.sequence_number for records in self.mapping.on_failure.values() for record in records}
        pending = {record.sequence_number for record in self.mapping.pending()}
        elsewhere = given_up | pending | self.redriven
        quarantined = [key for key in self.memory.objects if key.startswith(PREFIX)]
        kept = {key.rpartition("/")[2].removesuffix(".json") for key in quarantined}
        batch = decode(read_records([record.as_delivered() for record in records]), TOLERANCE_MS)
        for rejection in batch.rejections:
            number = records[rejection.record].sequence_number
            if number not in kept | elsewhere:
                raise Violation(f"record {number} ({rejection.detail}) is neither in quarantine nor pending")
        if both := kept & {records[event.record].sequence_number for event in batch.events}:
            raise Violation(f"valid records are in quarantine: {sorted(both)}")

        arrivals, rows = gather(batch.events), self._rows()
        for entity, facts in arrivals.facts.items():
            key = arrivals.keys[entity]
            for position, fact in facts:
                record = records[position]
                told_in_time = fact.time > record.arrival_ms - RETENTION_MS
                if told_in_time and record.sequence_number not in elsewhere and fact.id not in rows[key]:
                    raise Violation(f"record {record.sequence_number} is nowhere: not among the facts of {key}")

    def check(self) -> None:
        """What must be true once everything is settled, at this moment and after."""
        self.check_metrics()
        self.check_nothing_is_lost()
        self._check_alerts()
        self._check_repetition_writes_nothing()
        self._check_windows_fall()

    def check_windows(self) -> None:
        """A longer window is never below a shorter one."""
        for key, item in public_items(self.memory).items():
            for names in (("sessions_7d", "sessions_14d", "sessions_30d"), ("ib_calls_7d", "ib_calls_14d")):
                figures = [item[name] for name in names if name in item]
                if figures != sorted(figures):
                    raise Violation(f"{key}: {dict(zip(names, figures, strict=False))}")

    def check_metrics(self, kinds: Collection[EntityType] = ENTITY_TYPES) -> None:
        """All that users read, and what alerts of a rollup's figures are judged by, as of now; of entities of these
        kinds."""
        records = [_for_oracle(record) for record in self.stream.records()]
        totals = oracle.roll_up(records, self.now_ms, self.rules) if kinds != _STUDENTS else {}
        expected = oracle.recompute(records, self.now_ms, self.rules, totals)
        found = {key: item for key, item in public_items(self.memory).items() if key[0] in kinds}
        outlived = {key: item for key, item in expected.outlived.items() if key in found}
        _compare(found, {key: item for key, item in expected.entities.items() if key[0] in kinds} | outlived)
        kept = {key: from_attribute(item.get("rolled_up", {"M": {}})) for key, item in self.memory.items.items()}
        judged_by = ("first_outcomes", "usual_daily", "surge_score")
        _compare(
            {key: {name: kept[key].get(name) for name in judged_by} for key in totals if key in found},
            {
                key: {name: getattr(figures, name) for name in judged_by}
                for key, figures in totals.items()
                if key in found
            },
        )

    def _check_alerts(self) -> None:
        """Each transition was told at least once, always under one id."""
        told: dict[str, Any] = {}
        episodes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        notifications: dict[str, set[str]] = defaultdict(set)
        for entry in self.memory.events:
            detail = json.loads(entry["Detail"])
            if told.setdefault(detail["alert_id"], detail) != detail:
                raise Violation(f"one alert_id, two notifications: {told[detail['alert_id']]} and {detail}")
            key = (detail["entity_type"], detail["entity_id"], detail["alert_type"])
            if detail["episode_id"] not in episodes[key]:
                episodes[key].append(detail["episode_id"])
            notifications[detail["episode_id"]].add(detail["alert_id"])
        for (entity_type, entity_id), state in states(self.memory).items():
            alerts = state.alerts
            if alerts.outbox:
                raise Violation(f"{entity_id} has unsent notifications: {alerts.outbox}")
            for alert_type, kept in alerts.episodes.items():
                seen = episodes[entity_type, entity_id, alert_type]
                if len(seen) != kept.episode:
                    raise Violation(f"{entity_id} {alert_type}: {kept.episode} episodes, {len(seen)} were told of")
                if len(notifications[seen[-1]]) != kept.notification:
                    raise Violation(f"{entity_id} {alert_type}: not every notification of the last episode was sent")

    def _check_repetition_writes_nothing(self) -> None:
        written, told = self.memory.writes(), len(self.memory.events)
        self.mapping.batch_size = max(100, self.mapping.batch_size)
        for what, again in (("rollup", self.rollup), ("replay", self._replay)):
            again()
            if (self.memory.writes(), len(self.memory.events)) != (written, told):
                raise Violation(f"a {what} with the clock held has written or told something")

    def _replay(self) -> None:
        self.mapping.replay()
        self.mapping.drain()

    def _check_windows_fall(self) -> None:
        """After each window, and when nothing is left.

        An entity that nobody looks at would keep what it had. Of subjects the end alone is compared: on the way one
        item may have forgotten its part of a session while another keeps its own (a limit, docs/design.md).
        """
        self.check_windows()
        settled = self.now_ms
        for moment in self._next_falls():
            self.now_ms = moment
            self.roll()
            self.check_metrics(_STUDENTS)
        for days in (8, 15):
            self.now_ms = settled + days * DAY_MS
            self.roll()
            self.rollup()
            self.check_metrics(("student", "tutor"))
        self.now_ms = settled + 31 * DAY_MS
        self.roll()
        self.rollup()
        self.check_metrics()
        for key, item in public_items(self.memory).items():
            if left := {name: value for name, value in item.items() if _COUNT.fullmatch(name) and value}:
                raise Violation(f"{key} still has {left} after 31 days")
        self._check_alerts()

    def _next_falls(self) -> list[int]:
        """The next rolls by which something leaves a window of a student, from its facts and reports alone."""
        leaves: set[int] = set()
        for state in states(self.memory).values():
            if state.key.entity_type == "student":
                facts = (fact for part in (state.facts, state.tail.facts) for fact in fact_columns.facts_of(part))
                begun = {fact.time for fact in facts} | {register.time for register in state.registers.values()}
                leaves |= {time + days * DAY_MS for time in begun for days in (7, 14, 30)}
        rolls = {ceil_div(moment, _INTERVAL_MS) * _INTERVAL_MS for moment in leaves}
        return sorted(moment for moment in rolls if self.now_ms < moment < self.now_ms + 8 * DAY_MS)[:_FALLS]

    def _rows(self) -> Mapping[tuple[str, str], set[int]]:
        """The identities of each entity's facts, in its item and in its tail."""
        found: dict[tuple[str, str], set[int]] = defaultdict(set)
        for key, state in states(self.memory).items():
            recent, older = (
                {fact.id for fact in fact_columns.facts_of(part)} for part in (state.facts, state.tail.facts)
            )
            found[key] = recent | older
        return found


def _for_oracle(record: StreamRecord) -> oracle.Record:
    return oracle.Record(record.data, record.arrival_ms, record.sequence_number)


def _compare(found: Mapping[Any, Mapping[str, Any]], expected: Mapping[Any, Mapping[str, Any]]) -> None:
    for key in sorted(found.keys() | expected.keys()):
        have, want = found.get(key, {}), expected.get(key, {})
        for name in sorted(have.keys() | want.keys()):
            if have.get(name) != want.get(name):
                raise Violation(f"{name} of {key} is {have.get(name)}, recomputed {want.get(name)}")


@contextmanager
def world(
    rules: oracle.Rules = _AS_SHIPPED,
    *,
    most_recent_rows: int = MOST_RECENT_ROWS,
    most_rows: int = MOST_ROWS,
    warm: bool = True,
    **mapping: Any,
) -> Iterator[World]:
    """A new world with these thresholds; its other arguments are those of `EventSourceMapping`, and `shards`.

    An item keeps at most `most_recent_rows` of its newest facts when it is written with news; below 500 nothing else
    keeps them in it. A tail of more than `most_rows` is folded, until half of them are left.
    Where processes are not `warm`, each invocation has a new one.
    """
    made = World(rules, **mapping)
    if not warm:
        made.pick = lambda _: None
    level = logger.log_level
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a function that died before it had metrics to publish
        stack.enter_context(process(_ENVIRONMENT | environment_of(rules), made.aws.client, lambda: made.now_ms))
        stack.enter_context(mock.patch.object(parallel, "_pool", Inline))
        stack.enter_context(mock.patch.object(scan, "ThreadPoolExecutor", Inline))
        stack.enter_context(mock.patch.object(scan, "PARALLEL_CALLS", _SEGMENTS))
        stack.enter_context(mock.patch.object(spool, "_FEWEST", _PARTITIONS))
        if most_recent_rows < MOST_RECENT_ROWS:
            stack.enter_context(mock.patch.object(tails, "MOST_RECENT_ROWS", most_recent_rows))
            stack.enter_context(mock.patch.object(tails, "GOES_ON_MS", 0))
            stack.enter_context(mock.patch.object(absorb, "_LEAST_TO_MOVE", 1))
        if most_rows < MOST_ROWS:
            stack.enter_context(mock.patch.object(folding, "MOST_ROWS", most_rows))
            stack.enter_context(mock.patch.object(folding, "ROWS_AFTER_FOLD", most_rows // 2))
        logger.setLevel("CRITICAL")
        stack.callback(logger.setLevel, level)
        yield made
