"""The hard cases, each as a story of its own: what goes wrong, what must be true meanwhile, and that all is well then.

`World.settle` lets everything get well; `World.check` compares the table with the recomputation and looks at every
invariant. Cases that a folded entity makes incomparable are counted here instead.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import StreamHandler
from typing import Any, TextIO, cast

import pytest

from functions.aws.observability import logger
from functions.aws.quarantine import PREFIX
from functions.model import DAY_MS, HOUR_MS, SECOND_MS, ceil_div, to_iso
from functions.processor.roll import RollIncomplete
from proof.mapping import StreamRecord
from proof.stored import public_items, states
from proof.world import BEGINNING, World, world
from tests.helpers.hard_cases import (
    MINUTE_MS,
    STUDENT,
    TUTOR,
    WRITE,
    before_once,
    completion,
    deliver,
    down,
    event,
    health,
    invoke,
    item,
    put,
    session,
    stored_bytes,
    told,
)


def call(name: str, at: int | str | None = BEGINNING - HOUR_MS, student: str = "stu_1") -> bytes:
    return event("ib_call_logged", at, call_id=name, student_id=student)


def numbers(records: list[StreamRecord]) -> list[str]:
    return [record.sequence_number for record in records]


def quarantined(here: World) -> dict[str, dict[str, Any]]:
    """What is in quarantine, by sequence number."""
    kept = [json.loads(body) for key, body in here.memory.objects.items() if key.startswith(PREFIX)]
    return {each["sequence_number"]: each for each in kept}


# -- several processes at once ----------------------------------------------------------------------------------------


def test_two_processes_on_one_entity_at_once() -> None:
    with world(batch_size=2) as here:
        put(here, call("c1"), session("s1"))
        other = put(here, call("c2"), call("c3"), session("s2"))
        here.aws.before = before_once(WRITE, lambda: invoke(here, *other))
        deliver(here)
        assert item(here, STUDENT) | {"ib_calls_7d": 3, "sessions_7d": 2} == item(here, STUDENT)
        here.settle()
        assert len(told(here)) == 1
        here.check()


def test_two_processes_that_interleave_call_by_call() -> None:
    """At each of its calls the one is overtaken by a whole life of the other, which brings something new each time."""
    with world() as here:
        put(here, call("c0"), health(40))
        lives: list[int] = []

        def live(_: str) -> None:
            if len(lives) < 8:
                lives.append(len(lives))
                invoke(here, *put(here, call(f"c{len(lives)}"), health(40 + 5 * len(lives), BEGINNING + len(lives))))

        here.aws.before = live
        deliver(here)
        assert len(lives) == 8
        here.settle()
        assert item(here, STUDENT) | {"ib_calls_7d": 9, "health_score": 80} == item(here, STUDENT)
        here.check()


def test_one_process_paused_between_read_and_write_for_longer_than_the_others_whole_life() -> None:
    with world() as here:
        here.remaining_ms = 4 * HOUR_MS
        put(here, call("c1"), health(80, BEGINNING - 2 * HOUR_MS))

        def a_long_pause() -> None:
            for hour in range(1, 4):
                here.now_ms += HOUR_MS
                invoke(here, *put(here, call(f"c{hour + 1}", here.now_ms), health(70 - 10 * hour, here.now_ms)))
                here.roll()

        here.aws.before = before_once(WRITE, a_long_pause)
        deliver(here)
        now = item(here, STUDENT)
        assert (now["ib_calls_7d"], now["health_score"], now["as_of"]) == (4, 40, BEGINNING + 3 * HOUR_MS)
        here.settle()
        here.check()


def test_a_process_paused_before_its_write_does_not_undo_what_the_roll_has_let_fall() -> None:
    with world() as here:
        put(here, *(call(f"c{each}", BEGINNING - 13 * DAY_MS) for each in range(3)))
        deliver(here)
        here.remaining_ms = 3 * DAY_MS
        put(here, health(90))

        def two_days() -> None:
            here.now_ms += 2 * DAY_MS
            here.roll()

        here.aws.before = before_once(WRITE, two_days)
        deliver(here)
        assert (item(here, STUDENT)["ib_calls_14d"], item(here, STUDENT)["alerts"]) == (0, {})
        here.settle()
        assert [alert["status"] for alert in told(here)] == ["firing", "resolved"]
        here.check()


# -- what the mapping does --------------------------------------------------------------------------------------------

EIGHT = [
    session("s1", subject="algebra"),
    call("c1"),
    completion("s1", BEGINNING - MINUTE_MS, student_rating=4, tutor_rating=5),
    b"not json",
    health(45),
    call("c2"),
    event("supply_demand_update", subject="algebra", region="eu", balance_status="high_demand"),
    call("c3"),
]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("position", range(8))
def test_every_bisection_point(position: int, done: bool) -> None:
    """One record brings its every invocation down, before or after its work is done; all others are taken in."""
    with world(max_retry_attempts=1) as here:
        poison = put(here, *EIGHT)[position]

        def brought_down(batch: dict[str, Any]) -> Any:
            answer = here.invoke(batch) if done else None
            if any(each["kinesis"]["sequenceNumber"] == poison.sequence_number for each in batch["Records"]):
                raise MemoryError
            return answer or here.invoke(batch)

        here.mapping.invoke = brought_down
        here.mapping.drain()
        assert list(here.mapping.on_failure.values()) == [[poison]]
        here.check_nothing_is_lost()
        here.settle()
        here.check()


@pytest.mark.parametrize("position", range(8))
def test_every_checkpoint_of_a_partial_response(position: int) -> None:
    """A record is reported although it was committed; the mapping comes again from there."""
    with world() as here:
        reported = put(here, *EIGHT)[position]
        batches: list[int] = []

        def reporting(batch: dict[str, Any]) -> Any:
            batches.append(len(batch["Records"]))
            answer = here.invoke(batch)
            return answer if len(batches) > 1 else {"batchItemFailures": [{"itemIdentifier": reported.sequence_number}]}

        here.mapping.invoke = reporting
        here.mapping.drain()
        assert batches == [8, 8 - position]
        here.settle()
        here.check()


@pytest.mark.parametrize("which", [0, -1, None], ids=["first", "last", "nested"])
def test_parallel_lanes_where_the_partition_key_is_not_the_entity(which: int | None) -> None:
    """Ten lanes bring events of one student and tutor; the start of a session in another lane than its end."""
    with world(parallelization_factor=10, batch_size=3) as here:
        for each in range(30):
            start = BEGINNING - each * HOUR_MS
            put(here, session(f"s{each}", start), key=f"start {each}")
            put(here, completion(f"s{each}", start + MINUTE_MS, student_rating=each % 6), key=f"end {each}")
            put(here, health(100 - each, start), key=f"health {each}")
        assert len(here.mapping.ready()) == 10
        if which is None:
            depth: list[str] = []

            def another_lane(operation: str) -> None:
                """While one lane is at its write, the next reads; nine deep."""
                if operation == WRITE and len(depth) < 9:
                    depth.append(operation)
                    deliver(here)

            here.aws.before = another_lane
        while lanes := here.mapping.ready():
            here.mapping.deliver(lanes[which or 0])
        now = public_items(here.memory)
        assert now[STUDENT]["sessions_7d"] == now[TUTOR]["sessions_7d"] == now[STUDENT]["ratings_30d"] == 30
        assert now[STUDENT]["health_score"] == 100
        here.settle()
        here.check()


def test_a_shard_splits_in_mid_batch_and_its_children_merge() -> None:
    with world(batch_size=3) as here:
        for each in range(10):
            put(here, session(f"s{each}"), key=str(each))
        deliver(here)
        here.aws.choose = down(WRITE, how="died after")
        deliver(here)
        here.stream.split("shardId-000000000000")
        for each in range(5, 15):
            put(here, completion(f"s{each}", student_rating=3), key=str(each))
        deliver(here)
        assert {lane.shard_id for lane in here.mapping.ready()} == {"shardId-000000000000"}
        here.aws.choose = down()
        while here.mapping.ready()[0].shard_id == "shardId-000000000000":
            deliver(here)
        deliver(here)
        here.stream.merge("shardId-000000000001", "shardId-000000000002")
        put(here, *(completion(f"s{each}", student_rating=5, at=BEGINNING) for each in range(15)))
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert (now["sessions_7d"], now["ratings_30d"], now["avg_rating"]) == (15, 15, 5)
        here.check()


def test_a_day_replayed() -> None:
    with world(batch_size=10) as here:
        for hour in range(24):
            here.now_ms += HOUR_MS
            now = here.now_ms
            put(here, session(f"s{hour}", now), completion(f"s{hour}", now + 1, student_rating=hour % 6))
            put(here, call(f"c{hour % 5}", now), health(30 + 3 * hour, now), b"poison")
            here.mapping.drain()
            here.roll()
        items, sent, writes = dict(here.memory.items), len(told(here)), here.memory.writes()
        here.mapping.replay()
        here.mapping.drain()
        assert (here.memory.items, len(told(here)), here.memory.writes()) == (items, sent, writes)
        assert len(quarantined(here)) == 24
        here.settle()
        here.check()


def test_a_day_replayed_while_the_next_one_comes_in() -> None:
    with world(batch_size=5) as here:
        for hour in range(48):
            here.now_ms += HOUR_MS
            put(here, session(f"s{hour}", here.now_ms), health(hour, here.now_ms), call(f"c{hour % 7}", here.now_ms))
            if hour == 24:
                here.mapping.replay()
            deliver(here)
        assert here.mapping.pending()
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert (now["sessions_7d"], now["ib_calls_7d"], now["health_score"]) == (48, 7, 47)
        here.check()


# -- redriving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_redriven_before_and_after_newer_data(first: bool) -> None:
    """The mapping gives records up; they come back before or after events that are newer than they."""
    with world(max_retry_attempts=0) as here:
        put(here, session("s1"), call("c1"), health(40), completion("s1", BEGINNING - MINUTE_MS, student_rating=2))
        here.aws.choose = down("batch_get_item")
        here.mapping.drain()
        assert [len(records) for records in here.mapping.on_failure.values()] == [4]
        here.aws.choose = down()
        newer = [health(90, BEGINNING), completion("s1", BEGINNING, student_rating=5), call("c1", BEGINNING)]
        if first:
            here.redrive_failed()
            here.mapping.drain()
        put(here, *newer)
        here.mapping.drain()
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert [now[name] for name in ("health_score", "avg_rating", "sessions_7d", "ib_calls_7d")] == [90, 5, 1, 1]
        here.check()


def test_a_redriven_event_without_a_time_of_its_own_keeps_its_first_arrival() -> None:
    with world(max_retry_attempts=0) as here:
        here.aws.choose = down("batch_get_item")
        put(here, health(40, None), call("c1", None), event("ib_call_logged", None, student_id="stu_1"))
        here.mapping.drain()
        here.now_ms += DAY_MS
        here.aws.choose = down()
        put(here, health(90, None))
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert (now["health_score"], now["ib_calls_7d"]) == (90, 2)
        here.now_ms = BEGINNING + 7 * DAY_MS
        here.settle()
        assert public_items(here.memory)[STUDENT]["ib_calls_7d"] == 0
        here.check()


# -- early, late, and in other zones ----------------------------------------------------------------------------------


def test_events_an_hour_and_8_and_31_and_33_days_late() -> None:
    with world() as here:
        put(here, *(call(f"c{age}", BEGINNING - age) for age in (HOUR_MS, 8 * DAY_MS, 31 * DAY_MS, 33 * DAY_MS)))
        put(here, *(session(f"s{days}", BEGINNING - days * DAY_MS) for days in (8, 15, 31, 33)))
        put(here, session("s", BEGINNING - 33 * DAY_MS, student_id="stu_2", tutor_id=None))
        here.settle()
        now = public_items(here.memory)
        assert [now[STUDENT][name] for name in ("ib_calls_7d", "ib_calls_14d")] == [1, 2]
        assert [now[TUTOR][f"sessions_{days}d"] for days in (7, 14, 30)] == [0, 1, 2]
        assert [now["student", "stu_2"][f"sessions_{days}d"] for days in (7, 14, 30)] == [0, 0, 0]
        assert quarantined(here) == {}
        here.check()


def test_a_register_that_is_33_days_late_is_the_latest_until_a_later_one_comes() -> None:
    with world() as here:
        put(here, health(40, BEGINNING - 33 * DAY_MS))
        here.settle()
        assert public_items(here.memory)[STUDENT]["health_score"] == 40
        put(here, health(80, BEGINNING - 32 * DAY_MS), health(20, BEGINNING - 34 * DAY_MS))
        here.settle()
        assert public_items(here.memory)[STUDENT]["health_score"] == 80
        here.check()


def test_events_one_minute_and_one_year_early() -> None:
    with world() as here:
        put(here, call("c1", BEGINNING + MINUTE_MS), health(45, BEGINNING + MINUTE_MS))
        (early,) = put(here, call("c2", BEGINNING + 365 * DAY_MS))
        here.mapping.drain()
        now = public_items(here.memory)[STUDENT]
        assert (now["ib_calls_7d"], now["health_score"]) == (1, 45)
        assert {number: kept["reason"] for number, kept in quarantined(here).items()} == {
            early.sequence_number: "future_timestamp"
        }
        here.settle()
        here.check()


ZONES = ["2026-11-23T09:00:00Z", "2026-11-23T10:00:00+01:00", "2026-11-23 03:30:00-0530", "2026-11-23T09:00:00.000"]
"""The same moment."""


def test_mixed_time_zones() -> None:
    with world() as here:
        put(here, *(event("ib_call_logged", text, student_id="stu_1") for text in ZONES))
        latest = health(50, "2026-11-22T23:30:00-10:00")
        put(here, latest, health(60, ZONES[1]), health(70, "2026-11-23T12:00:00+05:00"))
        put(here, *(session("s1", text) for text in ("2026-11-16T12:10:01+01:00", "2026-11-16T12:20:00+01:00")))
        here.settle()
        assert to_iso(here.now_ms) == "2026-11-23T11:10:00.000Z"
        now = public_items(here.memory)[STUDENT]
        assert now["ib_calls_7d"] == 1, "one call without an id, its time written in four ways"
        assert (now["health_score"], now["reported"]["reported_at"]) == (50, "2026-11-23T09:30:00.000Z")
        assert now["sessions_7d"] == 1
        here.now_ms += SECOND_MS
        here.settle()
        assert public_items(here.memory)[STUDENT]["sessions_7d"] == 0, "its earliest event counts, of 11:10:01 UTC"
        here.check()


# -- sessions whose events come as they like --------------------------------------------------------------------------


def test_completed_before_it_started() -> None:
    with world(batch_size=1) as here:
        put(here, completion("s1", BEGINNING, student_rating=4), session("s1", BEGINNING - 7 * DAY_MS))
        deliver(here)
        assert public_items(here.memory)[STUDENT]["sessions_7d"] == 1
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert [now[name] for name in ("sessions_7d", "sessions_14d", "avg_rating", "ratings_30d")] == [0, 1, 4, 1]
        here.check()


def test_completed_without_a_start() -> None:
    with world() as here:
        put(here, completion("s1", tutor_rating=3), completion("s2", student_id=None, tutor_rating=4))
        here.settle()
        now = public_items(here.memory)
        assert (now[STUDENT]["sessions_7d"], now[STUDENT]["ratings_30d"]) == (1, 0)
        assert (now[TUTOR]["sessions_7d"], now[TUTOR]["avg_rating"]) == (2, 3.5)
        here.check()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_completed_twice_with_other_ratings(order: tuple[int, ...]) -> None:
    with world(batch_size=1) as here:
        completions = [
            completion("s1", BEGINNING - 2, student_rating=5, tutor_rating=1),
            completion("s1", BEGINNING - 1, student_rating=2, tutor_rating=4.5),
            completion("s1", BEGINNING, tutor_rating=None),
        ]
        put(here, *(completions[each] for each in order))
        here.settle()
        now = public_items(here.memory)
        assert (now[STUDENT]["avg_rating"], now[STUDENT]["ratings_30d"], now[STUDENT]["sessions_7d"]) == (2, 1, 1)
        assert (now[TUTOR]["avg_rating"], now[TUTOR]["ratings_30d"], now[TUTOR]["sessions_7d"]) == (4.5, 1, 1)
        here.check()


# -- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-10 * MINUTE_MS, 10 * MINUTE_MS], ids=["slow", "fast"])
def test_a_clock_ten_minutes_off(off: int) -> None:
    """One of the function's machines is off; the others and the stream are right."""
    with world(batch_size=2) as here:
        put(here, call("c1", BEGINNING), call("c2", BEGINNING + 10 * MINUTE_MS))
        put(here, call("c3", BEGINNING - 7 * DAY_MS + MINUTE_MS), health(45, BEGINNING - MINUTE_MS))
        here.now_ms = BEGINNING + off
        deliver(here)
        here.now_ms = BEGINNING
        deliver(here)
        assert item(here, STUDENT)["as_of"] == max(BEGINNING, BEGINNING + off)
        here.now_ms = BEGINNING + 10 * MINUTE_MS
        put(here, session("s1", here.now_ms))
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert (now["ib_calls_7d"], now["ib_calls_14d"], now["sessions_7d"]) == (2, 3, 1)
        here.check()


def test_a_clock_that_goes_back() -> None:
    with world(batch_size=1) as here:
        put(here, *(call(f"c{each}", BEGINNING - 6 * DAY_MS) for each in range(3)), health(45))
        seen = []
        for hours in (48, 47, 0, -24):
            here.now_ms = BEGINNING + hours * HOUR_MS
            deliver(here)
            here.roll()
            seen.append(item(here, STUDENT))
        assert [each["as_of"] for each in seen] == [BEGINNING + 48 * HOUR_MS] * 4
        assert [each["ib_calls_7d"] for each in seen] == [0] * 4
        assert [each["ib_calls_14d"] for each in seen] == [1, 2, 3, 3]
        here.now_ms = BEGINNING + 48 * HOUR_MS
        here.settle()
        assert {alert["alert_type"] for alert in told(here)} == {"high_ib_call_frequency", "low_health_score"}
        here.check()


# -- services that are down -------------------------------------------------------------------------------------------


def test_while_the_quarantine_is_down_no_checkpoint_passes_the_record() -> None:
    with world() as here:
        records = put(here, call("c1"), call("c2"), b"not json", call("c3"))
        here.aws.choose = down("put_object")
        for _ in range(5):
            deliver(here)
            assert here.mapping.pending() == records[2:]
            assert quarantined(here) == {}
            assert public_items(here.memory)[STUDENT]["ib_calls_7d"] == 3, "its neighbours are counted"
        here.settle()
        assert list(quarantined(here)) == [records[2].sequence_number]
        here.check()


def test_eventbridge_down_for_an_hour() -> None:
    with world() as here:
        put(
            here, health(60), call("c1"), event("supply_demand_update", subject="algebra", balance_status="high_demand")
        )
        here.aws.choose = down("put_events")
        for minute in range(0, 60, 10):
            here.now_ms = BEGINNING + minute * MINUTE_MS
            if minute == 20:
                put(here, health(40, here.now_ms))
            if minute == 40:
                put(here, health(95, here.now_ms))
            here.mapping.drain()
            here.roll()
        assert told(here) == []
        assert len(item(here, STUDENT)["outbox"]) == 3
        here.aws.choose = down()
        here.now_ms += HOUR_MS + 5 * MINUTE_MS  # the longest that a roll puts off what it could not send
        here.roll()
        sent = told(here)
        story = [(alert["status"], alert["severity"]) for alert in sent if alert["entity_id"] == "stu_1"]
        assert story == [("firing", "warning"), ("firing", "critical"), ("resolved", "critical")]
        assert len({alert["alert_id"] for alert in sent}) == len(sent) == 4
        assert len({alert["episode_id"] for alert in sent}) == 2
        here.settle()
        assert len(told(here)) == 4
        here.check()


def test_eventbridge_takes_alerts_and_its_answers_are_lost_for_an_hour() -> None:
    with world() as here:
        put(here, health(40))
        here.aws.choose = down("put_events", how="answer lost")
        for _ in range(12):
            here.mapping.drain()
            here.roll()
            here.now_ms += 5 * MINUTE_MS
        assert len(told(here)) == 1 + 4, "by the rolls after 5, 10, 20 and 40 minutes"
        assert len({alert["alert_id"] for alert in told(here)}) == 1
        here.settle()
        here.check()


@pytest.mark.parametrize(
    "operations", [("batch_get_item",), (WRITE,), ("batch_get_item", WRITE, "query")], ids=["read", "write", "both"]
)
@pytest.mark.parametrize("how", ["refused", "throttled"])
def test_dynamodb_down_past_all_retries(operations: tuple[str, ...], how: str) -> None:
    with world(max_retry_attempts=2) as here:
        put(here, call("c1"))
        here.mapping.drain()
        records = put(here, call("c2"), b"not json", session("s1"), health(45))
        here.aws.choose = down(*operations, how=how)
        for _ in range(3):
            assert here.mapping.pending() == records, "all from the first that is reported"
            deliver(here)
        assert list(here.mapping.on_failure.values()) == [records]
        assert list(quarantined(here)) == [records[1].sequence_number]
        assert public_items(here.memory)[STUDENT]["ib_calls_7d"] == 1
        here.check_nothing_is_lost()
        here.settle()
        now = public_items(here.memory)[STUDENT]
        assert [now[name] for name in ("ib_calls_7d", "sessions_7d", "health_score")] == [2, 1, 45]
        here.check()


def test_while_dynamodbs_answers_are_lost_what_it_has_written_is_found_there() -> None:
    with world(max_retry_attempts=2) as here:
        records = put(here, call("c1"), session("s1"), health(45))
        here.aws.choose = down(WRITE, how="answer lost")
        deliver(here)
        assert here.mapping.pending() == records
        written, wakes = here.memory.calls["statement"], dict(here.memory.state)
        deliver(here)
        assert (here.mapping.pending(), here.mapping.on_failure) == ([], {})
        assert here.memory.calls["statement"] == written + 1, "only the outbox was emptied"
        assert here.memory.state == wakes
        here.settle()
        here.check()


def test_statements_that_fail_for_good_are_reported_and_redriven() -> None:
    with world(max_retry_attempts=1, bisect=False) as here:
        records = put(here, *(call(f"c{each}", student=f"stu_{each}") for each in range(6)))
        here.aws.choose = down(WRITE, how="statements refused")
        deliver(here)
        committed = {entity_id for _, entity_id in here.memory.items}
        assert committed == {"stu_1", "stu_3", "stu_5"}
        assert here.mapping.pending() == records
        here.mapping.drain()
        here.settle()
        assert len(here.memory.items) == 6
        here.check()


# -- time that runs out -----------------------------------------------------------------------------------------------


def test_near_the_timeout_what_is_not_committed_is_reported() -> None:
    """Time runs out at each call in turn, of two reads, five writes and the telling of alerts."""
    index = 0
    while True:
        with world() as here:
            records = put(here, *(health(40 if each == 9 else 90, student=f"stu_{each}") for each in range(110)))
            calls = [0]

            def out_of_time(_: str, here: World = here, calls: list[int] = calls, index: int = index) -> None:
                if calls[0] == index:
                    here.remaining_ms = 20_000
                calls[0] += 1

            here.aws.before = out_of_time
            reported = set(invoke(here, *records))
            for each, record in enumerate(records):
                committed = ("student", f"stu_{each}") in here.memory.items
                assert committed == (record.sequence_number not in reported), (index, each)
            if index == 0:
                assert len(here.memory.items) == 0
            here.remaining_ms = 120_000
            here.settle()
            here.check()
        if calls[0] <= index:
            assert not reported
            return
        index += 1


def test_with_no_time_at_all_everything_valid_is_reported() -> None:
    with world() as here:
        records = put(here, call("c1"), b"not json", session("s1"))
        here.remaining_ms = 0
        assert invoke(here, *records) == [records[0].sequence_number, records[2].sequence_number]
        assert here.memory.items == {}
        here.remaining_ms = 120_000
        here.settle()
        here.check()


# -- much of everything -----------------------------------------------------------------------------------------------


def test_a_batch_of_ten_thousand_on_one_entity() -> None:
    """Nine hundred things, told eleven times each, are one read and one write of each of their entities."""
    with world(batch_size=10_000) as here:
        for each in range(10_000):
            at = BEGINNING - (each % 900) * HOUR_MS // 2
            kind = each % 3
            if kind == 0:
                put(here, session(f"s{each % 900}", at))
            elif kind == 1:
                put(here, completion(f"s{each % 900}", at + each, student_rating=each % 6))
            else:
                put(here, call(f"c{each % 900}", at))
        deliver(here)
        assert here.mapping.invocations == 1
        assert here.mapping.pending() == []
        assert here.memory.calls["batch_get_item"] == 1
        assert here.memory.calls["statement"] == 3, "student and tutor, and the student's outbox once it is told"
        windows = {0: (7, 14, 30), 1: (7, 14, 30), 2: (7, 14)}  # of sessions begun and ended, of calls
        leave = {
            BEGINNING - (each % 900) * HOUR_MS // 2 + days * DAY_MS
            for each in range(10_000)
            for days in windows[each % 3]
        }
        moments = [moment for moment in leave if moment > BEGINNING]
        moments += [BEGINNING, BEGINNING + DAY_MS]  # the notification's and the reminder's
        rolls = {ceil_div(max(moment, BEGINNING + here.remaining_ms), 5 * MINUTE_MS) for moment in moments}
        assert here.memory.calls["wake"] == len(rolls), "one for each roll, of both entities"
        assert here.memory.calls["batch_write_item"] == ceil_div(len(rolls), 25)
        assert here.memory.calls["move"] == 2, "more facts than a head may have"
        here.settle()
        assert public_items(here.memory)[STUDENT]["sessions_30d"] == 600
        assert public_items(here.memory)[TUTOR]["sessions_30d"] == 600
        here.check()


HUNDRED_THOUSAND = 100_000


def busy_session(number: int, at: int) -> bytes:
    return completion(f"s{number}", at, student_id=None, tutor_rating=number % 6)


def test_one_entity_with_a_hundred_thousand_sessions_in_30_days() -> None:
    with world(batch_size=10_000) as here:
        sessions = {
            n: BEGINNING - (HUNDRED_THOUSAND - n) * 30 * DAY_MS // HUNDRED_THOUSAND for n in range(HUNDRED_THOUSAND)
        }
        for number, here.now_ms in sessions.items():
            here.put("key", busy_session(number, here.now_ms))
            if number % 10_000 == 9_999:
                deliver(here)
        here.now_ms = BEGINNING
        here.settle()
        assert here.mapping.invocations == 10
        assert quarantined(here) == {}

        def counts_are_right_to_the_hour() -> None:
            now = public_items(here.memory)[TUTOR]
            for days in (7, 14, 30):
                edge = here.now_ms - days * DAY_MS
                most, least = (sum(time > edge + off for time in sessions.values()) for off in (0, HOUR_MS))
                assert least <= now[f"sessions_{days}d"] <= most, days
            rated = [number % 6 for number, time in sessions.items() if time > here.now_ms - 30 * DAY_MS]
            assert now["avg_rating"] == pytest.approx(sum(rated) / len(rated), abs=0.01)
            assert now["ratings_30d"] == now["sessions_30d"]

        counts_are_right_to_the_hour()
        tail = states(here.memory)[TUTOR].tail
        assert stored_bytes(item(here, TUTOR)) + len(tail.facts.blob) < 100_000
        assert tail.folded_before is not None
        assert BEGINNING - DAY_MS < tail.folded_before < BEGINNING

        # What is told again of recent sessions is dropped, without a write.
        before, records = here.memory.items[TUTOR], here.stream.records()
        assert invoke(here, *records[-300:]) == []
        assert (here.memory.items[TUTOR], quarantined(here)) == (before, {})

        # Of folded ones nobody can tell: they are not counted twice, and kept.
        assert invoke(here, *records[50_000:50_100]) == []
        assert here.memory.items[TUTOR] == before
        assert list(quarantined(here)) == numbers(records[50_000:50_100])

        # A session that is too late for the tutor still counts for its student.
        (late,) = put(here, completion("new", BEGINNING - 10 * DAY_MS, student_rating=4, tutor_rating=1))
        here.mapping.drain()
        assert here.memory.items[TUTOR] == before
        assert {each["reason"] for each in quarantined(here).values()} == {"too_late"}
        assert quarantined(here)[late.sequence_number]["detail"].startswith("tutor tut_1 keeps no identities")
        now = public_items(here.memory)[STUDENT]
        assert [now[name] for name in ("sessions_7d", "sessions_14d", "avg_rating")] == [0, 1, 4]

        # New ones go on to count; as time passes, all of them fall away.
        for number in range(HUNDRED_THOUSAND, HUNDRED_THOUSAND + 5):
            sessions[number] = BEGINNING - number % 5
            put(here, busy_session(number, sessions[number]))
        for days in (0, 5, 12, 20, 29):
            here.now_ms = BEGINNING + days * DAY_MS + days * 11 * MINUTE_MS
            here.settle()
            counts_are_right_to_the_hour()
        here.now_ms = BEGINNING + 33 * DAY_MS
        here.settle()
        now = item(here, TUTOR)
        assert [now[f"sessions_{days}d"] for days in (7, 14, 30)] == [0, 0, 0]
        assert "facts" not in now


HOUR_LONG = [
    each
    for number in range(1_500)
    for each in (
        session(f"s{number}", BEGINNING - DAY_MS + number * MINUTE_MS // 2, student_id=None),
        completion(f"s{number}", BEGINNING - DAY_MS + HOUR_MS + number * MINUTE_MS // 2, student_id=None),
    )
]
"""1,500 sessions of an hour each, two of them begun each minute."""


def test_what_is_told_again_of_a_session_that_lies_across_the_fold_is_not_counted_twice() -> None:
    with world(batch_size=10_000) as here:
        records = put(here, *HOUR_LONG)
        deliver(here)
        assert public_items(here.memory)[TUTOR]["sessions_7d"] == 1_500
        assert invoke(here, *records) == []
        assert public_items(here.memory)[TUTOR]["sessions_7d"] == 1_500


@pytest.mark.xfail(strict=True, reason="a limit (docs/design.md): 700 sessions of one entity within a session's length")
def test_a_session_whose_start_is_folded_before_its_end_comes_counts_once() -> None:
    with world(batch_size=10_000) as here:
        for events in (HOUR_LONG[::2], HOUR_LONG[1::2]):
            put(here, *events)
            deliver(here)
        assert public_items(here.memory)[TUTOR]["sessions_7d"] == 1_500


@pytest.mark.parametrize("valid", [True, False])
def test_a_record_of_one_megabyte(valid: bool) -> None:
    with world() as here:
        name = "notes" if valid else "call_id"
        payload = {"call_id": "c1", "student_id": "stu_1", name: "x" * (1_000_000)}
        (large,) = put(here, event("ib_call_logged", **payload))
        put(here, call("c2"))
        assert len(large.data) > 1_000_000
        here.settle()
        assert public_items(here.memory)[STUDENT]["ib_calls_7d"] == (2 if valid else 1)
        kept = quarantined(here)
        assert list(kept) == ([] if valid else [large.sequence_number])
        assert all(len(each["detail"]) < 200 for each in kept.values())
        here.check()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"event_type": "ib_call_logged", "payload": ' + b'{"x":' * 10_000 + b"1" + b"}" * 10_001, "not_json"),
        (b"[" * 10_000 + b"]" * 10_000, "not_json"),
        (b"\xf3\x89\x9a\xc2\n\x0fsession_started\x1a\x25\x08\x00" + call("c1") + bytes(range(16)), "not_utf8"),
    ],
    ids=["nested objects", "nested arrays", "aggregated by the KPL"],
)
def test_data_that_nobody_can_read_is_kept_and_its_neighbours_are_counted(data: bytes, reason: str) -> None:
    with world() as here:
        _, odd, _ = put(here, call("c2"), data, call("c3"))
        here.settle()
        assert {number: kept["reason"] for number, kept in quarantined(here).items()} == {odd.sequence_number: reason}
        assert public_items(here.memory)[STUDENT]["ib_calls_7d"] == 2
        here.check()


# -- formats ----------------------------------------------------------------------------------------------------------


@contextmanager
def error_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged of errors."""
    handler = cast("StreamHandler[TextIO]", logger.registered_handler)
    stream, before = io.StringIO(), handler.stream
    handler.setStream(stream)
    logger.setLevel("ERROR")
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        handler.setStream(before)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_item_in_an_unknown_format_version_is_refused_and_left_untouched(version: int) -> None:
    with world(bisect=False) as here, error_lines() as errors:
        put(here, call("c1"), call("c1", student="stu_2"))
        here.mapping.drain()
        known = here.memory.items[STUDENT]
        unknown = known | {"facts": {"B": bytes([version]) + known["facts"]["B"][1:]}}
        here.memory.items[STUDENT] = dict(unknown)

        records = put(here, call("c2", student="stu_2"), call("c2"), call("c3", student="stu_3"))
        assert invoke(here, *records) == [records[1].sequence_number]
        for _ in range(3):
            deliver(here)
            assert here.mapping.pending() == records[1:]
        assert here.memory.items[STUDENT] == unknown
        assert public_items(here.memory)["student", "stu_2"]["ib_calls_7d"] == 2
        assert public_items(here.memory)["student", "stu_3"]["ib_calls_7d"] == 1
        assert all((line["entity_id"], line["entity_type"]) == ("stu_1", "student") for line in errors())
        assert all(f"format version {version}" in line["reason"] for line in errors())
        assert errors()

        here.now_ms += 8 * DAY_MS
        with pytest.raises(RollIncomplete, match=f"1 of 3 due entities failed.*format version {version}"):
            here.roll()
        assert here.memory.items[STUDENT] == unknown
        assert public_items(here.memory)["student", "stu_2"]["ib_calls_7d"] == 0

        here.memory.items[STUDENT] = known  # a release that knows the format takes over
        here.settle()
        assert public_items(here.memory)[STUDENT]["ib_calls_14d"] == 2
        here.check()
