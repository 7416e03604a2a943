"""Wakes: the moments at which an entity changes by time alone, and the notes of them that the roll reads."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities import wakes
from functions.entities.alerts import MOST_IN_OUTBOX, NO_ALERTS, AlertRules, Alerts, Episodes, Firing, Notification
from functions.entities.attribute_values import Attributes
from functions.entities.facts import CALL, SESSION, Fact, NewFact, told
from functions.entities.registers import Register
from functions.entities.wakes import Rhythm, Wake
from functions.model import DAY_MS, ENTITY_TYPES, HOUR_MS, MINUTE_MS, SECOND_MS, EntityKey, to_iso
from tests.helpers.deployment import NOW

STUDENT = EntityKey("student", "stu_1")


def new(kind: int, time: int, known: Fact | None = None) -> list[NewFact]:
    return [NewFact(told(kind, 1, time), known)]


# -- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "days"), [(SESSION, [7, 14, 30]), (CALL, [7, 14])])
def test_a_new_fact_leaves_each_window_that_counts_it(kind: int, days: list[int]) -> None:
    assert list(wakes.of_facts(new(kind, NOW), NOW)) == [NOW + each * DAY_MS for each in days]


@pytest.mark.parametrize(("kind", "days"), [(SESSION, [7, 14, 30]), (CALL, [7, 14])])
def test_of_a_late_fact_only_the_windows_count_that_it_has_not_left(kind: int, days: list[int]) -> None:
    for number, day in enumerate(days):
        left_at = NOW - day * DAY_MS
        ahead = [left_at + each * DAY_MS for each in days[number + 1 :]]
        assert list(wakes.of_facts(new(kind, left_at), NOW)) == ahead
        assert list(wakes.of_facts(new(kind, left_at + 1), NOW)) == [NOW + 1, *(moment + 1 for moment in ahead)]


def test_an_earlier_time_of_a_known_fact_wakes_anew() -> None:
    known = told(SESSION, 1, NOW)
    earlier = NOW - 8 * DAY_MS
    expected = [earlier + 14 * DAY_MS, earlier + 30 * DAY_MS]
    assert list(wakes.of_facts(new(SESSION, earlier, known), NOW)) == expected


def test_what_is_new_of_a_known_fact_but_its_time_wakes_nobody() -> None:
    known = told(SESSION, 1, NOW)
    completed = known._replace(last=NOW + HOUR_MS, rating=50_000, rating_time=NOW + HOUR_MS)
    assert list(wakes.of_facts([NewFact(completed, known)], NOW)) == []


@pytest.mark.parametrize(
    ("field", "days"), [("sessions_last_7_days", 7), ("ib_calls_last_14_days", 14), ("sessions_last_30_days", 30)]
)
def test_a_reports_count_ages_out_after_its_window(field: str, days: int) -> None:
    window = days * DAY_MS
    assert list(wakes.of_report(Register(NOW, {field: 0, "health_score": 50}), NOW)) == [NOW + window]
    assert list(wakes.of_report(Register(NOW - window + 1, {field: 3}), NOW)) == [NOW + 1]
    assert list(wakes.of_report(Register(NOW - window, {field: 3}), NOW)) == []


def test_a_report_wakes_for_each_count_that_it_has() -> None:
    report = {"sessions_last_7_days": 3, "sessions_last_30_days": 9, "ib_calls_last_14_days": None}
    assert sorted(wakes.of_report(Register(NOW, report), NOW)) == [NOW + 7 * DAY_MS, NOW + 30 * DAY_MS]
    assert list(wakes.of_report(Register(NOW, {"health_score": 50, "churn_risk": "low"}), NOW)) == []


RULES = AlertRules(renotify_hours=24, max_reminders=2)
FIRING = {"low_health_score": Firing("warning", to_iso(NOW), "episode")}


def firing(reminders: int = 0, sent_at: int = NOW, outbox: tuple[Notification, ...] = ()) -> Alerts:
    return Alerts(FIRING, {"low_health_score": Episodes(1, 1 + reminders, sent_at, 1, reminders)}, outbox)


def notification(name: str) -> Notification:
    return Notification.parse(
        f'{{"alert_id": "{name}", "alert_type": "low_health_score", "timestamp": "{to_iso(NOW)}"}}'
    )


def test_an_alert_that_fires_wakes_for_its_next_reminder() -> None:
    assert list(wakes.of_alerts(NO_ALERTS, firing(), RULES, NOW)) == [NOW + DAY_MS]
    again = firing(reminders=1, sent_at=NOW + DAY_MS)
    assert list(wakes.of_alerts(firing(), again, RULES, NOW + DAY_MS)) == [NOW + 2 * DAY_MS]


def test_reminders_that_are_not_to_come_or_known_wake_nobody() -> None:
    assert list(wakes.of_alerts(firing(), firing(), RULES, NOW)) == []
    assert list(wakes.of_alerts(firing(reminders=1), firing(reminders=2), RULES, NOW)) == []
    assert list(wakes.of_alerts(firing(), NO_ALERTS, RULES, NOW)) == []
    assert list(wakes.of_alerts(NO_ALERTS, firing(), replace(RULES, max_reminders=0), NOW)) == []


def test_a_notification_that_is_to_be_sent_wakes_at_once() -> None:
    one, two = notification("a"), notification("b")
    assert list(wakes.of_alerts(firing(), firing(outbox=(one,)), RULES, NOW)) == [NOW]
    assert list(wakes.of_alerts(firing(outbox=(one,)), firing(outbox=(one, two)), RULES, NOW)) == [NOW]
    assert list(wakes.of_alerts(firing(outbox=(one,)), firing(outbox=(one,)), RULES, NOW)) == []
    assert list(wakes.of_alerts(firing(outbox=(one,)), firing(), RULES, NOW)) == []
    full = tuple(notification(str(number)) for number in range(MOST_IN_OUTBOX))
    assert list(wakes.of_alerts(firing(), firing(outbox=full), RULES, NOW)) == [NOW]


# -- the roll's rhythm ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [1, 5, 7, 60])
def test_a_moment_is_rounded_up_to_a_multiple_of_the_interval(minutes: int) -> None:
    interval_ms = minutes * MINUTE_MS
    rhythm = Rhythm(interval_ms)
    roll = NOW // interval_ms * interval_ms
    for moment, due in ((roll, roll), (roll + 1, roll + interval_ms), (roll + interval_ms, roll + interval_ms)):
        assert rhythm.next_roll(moment) == due // SECOND_MS


# -- bundles ----------------------------------------------------------------------------------------------------------


def students(count: int, length: int = 5) -> list[EntityKey]:
    return [EntityKey("student", f"{number:0{length}}") for number in range(count)]


def named(made: Iterable[Wake]) -> set[tuple[int, EntityKey]]:
    return {(wake.due, key) for wake in made for key in wake.entities}


def test_entities_of_one_moment_share_a_wake() -> None:
    keys = [*students(50), EntityKey("tutor", "tut_1")]
    made = wakes.bundle({key: [300, 600] for key in keys} | {STUDENT: [600, 600]}, Rhythm())
    assert [(wake.due, len(wake.entities)) for wake in made] == [(300, 51), (600, 52)]
    assert named(made) == {(due, key) for key in keys for due in (300, 600)} | {(600, STUDENT)}
    assert len({wake.lane for wake in made}) == 1
    assert wakes.bundle({STUDENT: []}, Rhythm()) == wakes.bundle({}, Rhythm()) == []


moments = st.dictionaries(
    st.builds(EntityKey, st.sampled_from(ENTITY_TYPES), st.text(min_size=1, max_size=3)),
    st.lists(st.integers(0, 5).map(lambda roll: 300 * roll), max_size=4),
    max_size=6,
)


@given(moments, st.randoms(use_true_random=False), st.integers(1, 256))
def test_the_same_entities_and_moments_give_the_same_keys_in_whatever_order(
    dues: dict[EntityKey, list[int]], rng: Any, lanes: int
) -> None:
    shuffled = list(dues.items())
    rng.shuffle(shuffled)
    one = wakes.bundle(dues, Rhythm(lanes=lanes))
    other = wakes.bundle({key: rng.sample(each, len(each)) * 2 for key, each in shuffled}, Rhythm(lanes=lanes))
    assert one == other
    assert [*map(wakes.key_of, one)] == [*map(wakes.key_of, other)]
    assert named(one) == {(due, key) for key, each in dues.items() for due in each}
    assert all(0 <= wake.lane < lanes for wake in one)
    assert len({(wake.lane, str(wakes.key_of(wake))) for wake in one}) == len(one), "no two have one key"


def test_other_entities_or_another_moment_have_another_key() -> None:
    made = [
        wakes.bundle({key: [due]}, Rhythm(lanes=1))[0]
        for key in (STUDENT, EntityKey("tutor", "stu_1"), EntityKey("student", "stu_2"))
        for due in (300, 600)
    ]
    assert len({str(wakes.key_of(wake)) for wake in made}) == 6


def test_batches_are_spread_over_the_lanes() -> None:
    assert {wakes.bundle({key: [300]}, Rhythm(lanes=7))[0].lane for key in students(100)} == set(range(7))


@pytest.mark.parametrize("length", [5, 997, 2_048])
def test_a_wake_has_no_more_than_so_many_bytes_of_ids(length: int) -> None:
    """A DynamoDB item may have 400 KB, and one request of 25 of them 16 MB."""
    keys = students(3 * wakes.MOST_BYTES // length, length)
    made = wakes.bundle({key: [300] for key in keys}, Rhythm())
    assert list(chain.from_iterable(wake.entities for wake in made)) == keys
    sizes = [sum(len(key.entity_id) for key in wake.entities) for wake in made]
    assert max(sizes) <= wakes.MOST_BYTES
    assert all(size + length > wakes.MOST_BYTES for size in sizes[:-1]), "and no fewer than fit"
    assert len({str(wakes.key_of(wake)) for wake in made}) == len(made)


def test_the_bytes_of_ids_are_those_of_utf_8() -> None:
    keys = [EntityKey("student", f"{number:02}" + "Ö" * (wakes.MOST_BYTES // 4)) for number in range(4)]
    assert [len(wake.entities) for wake in wakes.bundle({key: [300] for key in keys}, Rhythm())] == [1, 1, 1, 1]


def test_an_id_longer_than_all_that_fits_has_a_wake_of_its_own() -> None:
    long = EntityKey("student", "x" * (wakes.MOST_BYTES + 1))
    assert [wake.entities for wake in wakes.bundle({long: [300], STUDENT: [300]}, Rhythm())] == [(STUDENT,), (long,)]


# -- stored form ------------------------------------------------------------------------------------------------------


def test_a_wake_is_stored_under_its_lane_and_moment_and_kept_for_thirty_days() -> None:
    (wake,) = wakes.bundle({STUDENT: [1_795_428_000], EntityKey("tutor", "tut_1"): [1_795_428_000]}, Rhythm(lanes=1))
    stored = wakes.attributes_of(wake)
    assert stored == {
        "pk": {"S": "wake#0"},
        "sk": {"S": "001795428000#2be7575c9cffff8a"},
        "entities": {"M": {"student": {"L": [{"S": "stu_1"}]}, "tutor": {"L": [{"S": "tut_1"}]}}},
        "expires": {"N": str(1_795_428_000 + 30 * 86_400)},
    }
    assert wakes.attributes_of(wake._replace(put_off=3)) == stored | {"put_off": {"N": "3"}}


@given(moments, st.integers(0, 3))
def test_a_stored_wake_comes_back_as_it_was(dues: dict[EntityKey, list[int]], put_off: int) -> None:
    made = wakes.bundle(dues, Rhythm(), put_off)
    assert [wakes.parse(wakes.attributes_of(wake)) for wake in made] == made


def test_later_wakes_sort_after_earlier_ones() -> None:
    dues = [0, 300, 1_795_428_000, 1_795_428_300, 99_999_999_900]
    keys = [wakes.key_of(Wake(0, due, (STUDENT,)))["sk"]["S"] for due in dues]
    assert keys == sorted(keys)
    for due, key in zip(dues, keys, strict=True):
        assert key < wakes.first_after(due)
        assert [each for each in keys if each < wakes.first_after(due)] == keys[: keys.index(key) + 1]


SOUND = wakes.attributes_of(Wake(2, 300, (STUDENT, EntityKey("tutor", "tut_1")), 1))


@pytest.mark.parametrize(
    "damage",
    [
        {"entities": None},
        {"entities": {"S": "stu_1"}},
        {"entities": {"L": [{"S": "stu_1"}]}},
        {"entities": {"M": {"student": {"L": [{"N": "1"}]}}}},
        {"entities": {"M": {"student": {"N": "1"}}}},
        {"entities": {"M": {"student": {"L": [{"S": "stu_2"}]}, "tutor": {"L": [{"S": "tut_1"}]}}}},
        {"entities": {"M": {"alien": {"L": [{"S": "x"}]}}}},
        {"entities": {"M": {}}},
        {"sk": {"S": "soon"}},
        {"sk": {"S": "000000000300"}},
        {"sk": {"S": "300#0123456789abcdef"}},
        {"pk": {"S": "wake#two"}},
        {"pk": {"S": "wake#02"}},
        {"put_off": {"S": "once"}},
        {"put_off": {"N": "1.5"}},
        {"put_off": {"N": "-1"}},
        {"put_off": {"BOOL": True}},
    ],
    ids=str,
)
def test_a_damaged_wake_is_refused(damage: dict[str, Any]) -> None:
    assert wakes.parse(SOUND).put_off == 1
    damaged: Attributes = {name: value for name, value in (SOUND | damage).items() if value is not None}
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        wakes.parse(damaged)


def test_an_attribute_of_a_later_release_is_ignored() -> None:
    assert wakes.parse(SOUND | {"colour": {"S": "red"}}) == wakes.parse(SOUND)
