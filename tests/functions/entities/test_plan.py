"""The plan by itself: which entities are written, and which rolls must look at them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from functions.entities.alerts import AlertRules
from functions.entities.arrivals import Arrivals, gather
from functions.entities.item import WHEN_WRITTEN, State, parse
from functions.entities.plan import Plan, Rules, plan
from functions.entities.totals import Totals
from functions.entities.wakes import Rhythm
from functions.events.decode import decode
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, EntityKey, ceil_div, to_iso
from tests.helpers.deployment import NOW, event_json, record

RULES = Rules()
INTERVAL_MS = RULES.rhythm.interval_ms
STUDENT, TUTOR = EntityKey("student", "stu_1"), EntityKey("tutor", "tut_1")


def told(event_type: str, age: int = 0, **payload: Any) -> bytes:
    return event_json(event_type, payload, timestamp=to_iso(NOW - age))


def call(name: str = "c1", age: int = 0) -> bytes:
    return told("ib_call_logged", age, student_id="stu_1", call_id=name)


def session(event_type: str = "session_started", age: int = 0, **payload: Any) -> bytes:
    return told(event_type, age, session_id="s1", student_id="stu_1", tutor_id="tut_1", **payload)


def report(score: float = 90, age: int = 0, **counts: int) -> bytes:
    return told("customer_health_update", age, student_id="stu_1", health_score=score, **counts)


class Table:
    """What plans make of items, as if each write succeeded."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.states: dict[EntityKey, State] = {}

    def take(self, *events: bytes, now_ms: int = NOW, **given: Any) -> Plan:
        """Plans these events' arrival and carries it out."""
        batch = decode([record(data, position, now_ms) for position, data in enumerate(events)], 0)
        assert batch.rejections == []
        return self.bring(gather(batch.events), now_ms, **given)

    def look(self, *keys: EntityKey, now_ms: int) -> Plan:
        """Plans what a roll does of these entities and carries it out."""
        return self.bring(Arrivals.none(keys), now_ms)

    def bring(self, arrivals: Arrivals, now_ms: int, earliest_wake_ms: int = 0, **given: Any) -> Plan:
        states = [self.states.get(key, State(key)) for key in arrivals.keys]
        planned = plan(states, arrivals, now_ms, earliest_wake_ms or now_ms, self.rules, **given)
        self.states |= {state.key: state for state in planned.after if state.version}
        return planned


def due(planned: Plan, key: EntityKey = STUDENT) -> list[int]:
    """The moments (epoch ms) of the rolls that must look at an entity."""
    (position,) = (position for position, state in enumerate(planned.after) if state.key == key)
    return sorted(each * SECOND_MS for each in planned.due.get(position, ()))


def rolls_of(moments: Sequence[int], interval_ms: int = INTERVAL_MS) -> list[int]:
    return sorted({ceil_div(moment, interval_ms) * interval_ms for moment in moments})


# -- when it must be looked at ----------------------------------------------------------------------------------------


def test_each_entity_of_a_session_is_due_at_every_window_of_it() -> None:
    planned = Table().take(session(age=HOUR_MS + 1))
    windows = [NOW - HOUR_MS - 1 + days * DAY_MS for days in (7, 14, 30)]
    assert due(planned) == due(planned, TUTOR) == rolls_of(windows)
    assert [wake.due * SECOND_MS for wake in planned.wakes(RULES.rhythm)] == rolls_of(windows)
    assert all(wake.entities == (STUDENT, TUTOR) for wake in planned.wakes(RULES.rhythm))


def test_a_roll_for_too_soon_is_put_back_until_the_process_has_ended() -> None:
    ends = NOW + 15 * MINUTE_MS
    planned = Table().take(call(age=7 * DAY_MS - 1), earliest_wake_ms=ends + 1)
    assert due(planned) == rolls_of([ends + 1, NOW + 7 * DAY_MS + 1])


def test_a_completion_of_a_known_session_makes_nobody_due() -> None:
    table = Table()
    table.take(session(age=HOUR_MS))
    planned = table.take(session("session_completed", tutor_rating=4, student_rating=5))
    assert len(planned.writes) == 2
    assert planned.due == {}
    assert planned.wakes(RULES.rhythm) == []


def test_an_earlier_event_of_a_known_session_makes_it_due_anew() -> None:
    table = Table()
    table.take(session("session_completed"))
    planned = table.take(session(age=8 * DAY_MS))
    assert due(planned) == rolls_of([NOW + 6 * DAY_MS, NOW + 22 * DAY_MS])


def test_a_report_is_due_when_its_counts_age_out_and_once() -> None:
    table = Table()
    planned = table.take(report(sessions_last_7_days=3, ib_calls_last_14_days=1, age=1))
    assert due(planned) == rolls_of([NOW - 1 + 7 * DAY_MS, NOW - 1 + 14 * DAY_MS])
    assert table.take(call()).due[0] == {each // SECOND_MS for each in rolls_of([NOW + 7 * DAY_MS, NOW + 14 * DAY_MS])}
    assert due(table.take(report(sessions_last_30_days=3))) == [NOW + 30 * DAY_MS]
    assert due(table.take(report(sessions_last_7_days=9, age=HOUR_MS))) == [], "an older one changes nothing"


def test_an_alert_is_due_for_its_notification_and_its_reminder() -> None:
    table = Table()
    planned = table.take(report(score=60))
    assert due(planned) == [NOW, NOW + DAY_MS]
    (notification,) = planned.after[0].alerts.outbox
    told_of = table.look(STUDENT, now_ms=NOW + DAY_MS)
    assert due(told_of) == [NOW + DAY_MS, NOW + 2 * DAY_MS]
    assert notification in told_of.after[0].alerts.outbox


def test_a_notification_that_is_still_in_the_outbox_makes_nobody_due_again() -> None:
    table = Table()
    table.take(report(score=60))
    assert due(table.take(call(age=40 * DAY_MS), call("c2", age=1))) == rolls_of(
        [NOW - 1 + 7 * DAY_MS, NOW - 1 + 14 * DAY_MS]
    )


def test_a_roll_that_comes_too_early_for_a_reminder_puts_it_back() -> None:
    """Reminders have become rarer: the roll that was to send the next one wakes for the moment at which it is due."""
    daily, weekly = Table(), Table(Rules(AlertRules(renotify_hours=7 * 24)))
    first = daily.take(report(score=60))
    weekly.states = {STUDENT: first.writes[0].after}
    planned = weekly.look(STUDENT, now_ms=NOW + DAY_MS)
    assert planned.writes == {}
    assert due(planned) == [NOW + 7 * DAY_MS]


def test_the_roll_runs_at_multiples_of_its_interval() -> None:
    planned = Table(Rules(rhythm=Rhythm(7 * MINUTE_MS))).take(call())
    assert due(planned) == rolls_of([NOW + 7 * DAY_MS, NOW + 14 * DAY_MS], 7 * MINUTE_MS)


ages = st.integers(0, 31 * DAY_MS) | st.sampled_from([0, 1, 7 * DAY_MS - 1, 7 * DAY_MS, 14 * DAY_MS, 30 * DAY_MS - 1])


@given(st.lists(st.tuples(st.sampled_from(["s1", "s2", "c1", "c2"]), ages), min_size=1, max_size=6), st.data())
def test_whoever_looks_when_it_is_due_alone_sees_every_count_fall(
    things: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Beside an item that is looked at at every roll, one that is looked at only when a plan has said so."""
    table, always, waiting = Table(), Table(), set[int]()
    for name, age in things:
        event = (
            call(name, age)
            if name[0] == "c"
            else told("session_started", age, session_id=name, student_id="stu_1", tutor_id="tut_1")
        )
        waiting |= set(due(table.take(event)))
        always.take(event)
    moments = sorted(waiting | set(rolls_of(data.draw(st.lists(st.integers(NOW, NOW + 31 * DAY_MS), max_size=5)))))
    for moment in moments:
        if moment in waiting:
            table.look(STUDENT, now_ms=moment)
        always.look(STUDENT, now_ms=moment)
        assert _figures(table.states[STUDENT]) == _figures(always.states[STUDENT])


def _figures(state: State) -> dict[str, Any]:
    hidden = WHEN_WRITTEN | {"facts", "outbox"}
    return {name: value for name, value in state.stored.items() if name not in hidden}


# -- what is written --------------------------------------------------------------------------------------------------


def test_a_replay_writes_nothing_and_makes_nobody_due() -> None:
    table = Table()
    batch = (call(), session(), report(score=60, sessions_last_7_days=9))
    table.take(*batch)
    again = table.take(*batch, now_ms=NOW + HOUR_MS)
    assert (again.writes, again.due) == ({}, {})
    assert again.repeated == {0: 2, 1: 1}


def test_what_falls_by_time_alone_moves_as_of_alone() -> None:
    table = Table()
    table.take(call())
    (write,) = table.look(STUDENT, now_ms=NOW + 7 * DAY_MS).writes.values()
    assert set(write.changes) == {"version", "as_of", "ib_calls_7d"}
    assert write.removals == []


def test_a_rollups_figures_move_as_of_alone() -> None:
    table = Table()
    table.take(session())
    figures = Totals(NOW, {"first_sessions_30d": 2, "first_session_success_rate": 0.5})
    (write,) = table.bring(Arrivals.of_totals({TUTOR: figures}), NOW + HOUR_MS).writes.values()
    assert set(write.changes) == {
        "version",
        "as_of",
        "first_sessions_30d",
        "first_session_success_rate",
        "rolled_up",
    }


def test_an_event_or_an_alert_moves_last_updated() -> None:
    for event in (call(age=1), report(score=80), session("session_completed", student_rating=4)):
        table = Table()
        table.take(session(age=HOUR_MS), now_ms=NOW - HOUR_MS)
        (write, *_) = table.take(event).writes.values()
        assert write.changes["last_updated"] == {"S": to_iso(NOW)}
    table = Table()
    table.take(*(call(f"c{each}", age=each * DAY_MS) for each in range(3)))
    (write,) = table.look(STUDENT, now_ms=NOW + 12 * DAY_MS).writes.values()
    assert write.after.alerts.firing == {}
    assert write.changes["last_updated"] == {"S": to_iso(NOW + 12 * DAY_MS)}


def test_an_expired_fact_is_no_reason_to_write_an_item_and_leaves_when_it_is_written() -> None:
    table = Table()
    table.take(call(age=10 * DAY_MS), session())
    later = NOW + 23 * DAY_MS
    table.look(STUDENT, now_ms=NOW + 14 * DAY_MS)
    before = table.states[STUDENT]
    planned = table.look(STUDENT, now_ms=later)
    assert (planned.writes, planned.due) == ({}, {})
    assert planned.after == [before]
    (write,) = table.take(report(age=-23 * DAY_MS), now_ms=later).writes.values()
    assert len(write.after.facts.blob) < len(before.facts.blob)
    assert write.after.facts.facts.rows == 1


def test_a_fact_that_is_news_while_another_expires_is_written() -> None:
    """Of an item whose figures stay the same: one call comes in where another goes."""
    table = Table()
    table.take(call(age=10 * DAY_MS))
    table.look(STUDENT, now_ms=NOW + 4 * DAY_MS)
    later = NOW + 23 * DAY_MS
    (write,) = table.take(call("c2", age=1 - DAY_MS), now_ms=later).writes.values()
    assert set(write.changes) == {"version", "as_of", "last_updated", "facts"}


def test_an_item_that_is_not_there_is_not_made_by_a_roll() -> None:
    planned = Table().look(STUDENT, TUTOR, now_ms=NOW)
    assert (planned.writes, planned.due) == ({}, {})
    assert planned.after == [State(STUDENT), State(TUTOR)]


def test_notifications_that_the_bus_has_accepted_leave_the_outbox() -> None:
    table = Table()
    (notification,) = table.take(report(score=60)).after[0].alerts.outbox
    planned = table.bring(Arrivals.none([STUDENT]), NOW, sent=frozenset({notification.alert_id}))
    assert planned.after[0].alerts.outbox == ()
    assert planned.writes[0].removals == ["outbox"]


def test_clearing_an_outbox_changes_nothing_else() -> None:
    planned = Table().take(report(score=60), call())
    (notification,) = planned.after[0].alerts.outbox
    clear = planned.cleared(0, frozenset({notification.alert_id}))
    assert clear is not None
    assert (set(clear.changes), clear.removals) == ({"version"}, ["outbox"])
    assert parse(clear.after.stored) == clear.after


def test_the_clock_of_an_entity_never_goes_back() -> None:
    table = Table()
    table.take(call(age=6 * DAY_MS))
    planned = table.take(call("c2", age=7 * DAY_MS), now_ms=NOW - DAY_MS)
    assert planned.after[0].as_of == NOW
    assert due(planned) == [NOW + 7 * DAY_MS], "it has left the seven days as of then"
