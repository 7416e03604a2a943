"""Heads and tails: when facts move, which of them, and that it never matters where they are."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.entities.absorb import Stored
from functions.entities.fact_columns import NOTHING, FactColumns, Hour, UnreadableFacts, facts_of, hours_of, read
from functions.entities.fact_frames import things as things_of_parts
from functions.entities.facts import CALL, FAILURE, RETENTION_MS, SESSION, Fact, told
from functions.entities.folding import MOST_ROWS, ROWS_AFTER_FOLD
from functions.entities.item import UNREADABLE
from functions.entities.open_facts import pack
from functions.entities.tails import (
    GOES_ON_MS,
    MOST_RECENT_BYTES,
    MOST_RECENT_ROWS,
    NO_TAIL,
    Head,
    Tail,
    ends_ms,
    entity_of,
    is_tail,
    move,
    parse_tail,
    pays,
    tail_attributes,
    tail_key,
)
from functions.entities.windows import STANDING, measure, run
from functions.model import DAY_MS, ENTITY_TYPES, HOUR_MS, SECOND_MS, EntityKey
from tests.helpers.deployment import NOW
from tests.helpers.frames import KEEPS, MOVES, Row, Taken, head, many, take, things
from tests.helpers.frames import told as row

NEVER_WRITTEN = head(1_100, writes=0)
TWO_WEEKS = 14 * DAY_MS


LARGE = 1 << 63
"""An id of eight bytes, as nearly all are: a call takes 13 bytes."""


def calls(count: int, *, first: int = 1, latest: int = NOW - HOUR_MS, step: int = HOUR_MS) -> list[Fact]:
    return [told(CALL, first + number, latest - number * step) for number in range(count)]


def ids(part: FactColumns) -> set[int]:
    return {fact.id for fact in facts_of(part)}


# -- when facts move --------------------------------------------------------------------------------------------------


def test_facts_that_add_no_unit_never_move() -> None:
    """DynamoDB counts the name of the attribute too: `facts`."""
    recent = pack(calls(30, first=LARGE), ())
    fits = 1_024 - len("facts") - len(recent.blob)
    assert not pays(recent, NO_TAIL, head(fits, writes=1_000_000))
    assert pays(recent, NO_TAIL, head(fits + 1, writes=1_000_000))


@pytest.mark.parametrize(
    ("tail_facts", "writes", "expected"),
    [
        # The head is of one unit without facts and of two with them; the tail of one unit, then of three.
        (0, 7, False),
        (0, 8, True),
        (150, 15, False),
        (150, 16, True),
    ],
)
def test_facts_move_when_half_of_the_writes_have_cost_what_a_move_costs(
    tail_facts: int, writes: int, expected: bool
) -> None:
    recent = pack(calls(40, first=LARGE), ())
    tail = Tail(1, pack(calls(tail_facts, first=LARGE + 40, latest=NOW - TWO_WEEKS), ()))
    assert pays(recent, tail, head(700, writes)) is expected


def test_facts_that_add_several_units_move_so_much_sooner() -> None:
    recent = pack(calls(300, first=LARGE), ())
    assert 4 * 1_024 < 700 + len(recent.blob) < 5 * 1_024
    # Half of the writes cost four more units each; a move costs twice one and four.
    assert [pays(recent, NO_TAIL, head(700, writes)) for writes in (4, 5)] == [False, True]


def test_many_facts_move_whatever_it_costs() -> None:
    assert not pays(pack(calls(MOST_RECENT_ROWS), ()), NO_TAIL, NEVER_WRITTEN)
    assert pays(pack(calls(MOST_RECENT_ROWS + 1), ()), NO_TAIL, NEVER_WRITTEN)


def test_long_names_make_facts_move_whatever_it_costs() -> None:
    def named(count: int) -> FactColumns:
        return pack((told(SESSION, each, NOW - each, subject=f"{each:0100}") for each in range(count)), ())

    few = MOST_RECENT_BYTES // 150
    assert not pays(named(few // 2), NO_TAIL, NEVER_WRITTEN)
    assert pays(named(2 * few), NO_TAIL, NEVER_WRITTEN)


# -- which move -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "stays"),
    [
        (told(SESSION, 1, NOW - GOES_ON_MS + 1), True),
        (told(SESSION, 1, NOW - GOES_ON_MS), False),
        (told(SESSION, 1, NOW - HOUR_MS, outcome=FAILURE), False),
        (told(SESSION, 1, NOW - HOUR_MS, rating=0), False),
        (told(CALL, 1, NOW - HOUR_MS), False),
    ],
    ids=["begun lately", "begun long ago", "ended", "rated", "a call"],
)
def test_a_session_that_may_be_going_on_stays_and_all_else_moves(fact: Fact, stays: bool) -> None:
    recent, tail = move(pack([fact], ()), NO_TAIL, NOW)
    assert (ids(recent), ids(tail.facts)) == (({1}, set()) if stays else (set(), {1}))


def test_of_sessions_that_may_be_going_on_no_more_stay_than_half_of_what_a_head_may_have() -> None:
    begun = [told(SESSION, each, NOW - each) for each in range(MOST_RECENT_ROWS + 1)]
    recent, tail = move(pack(begun, ()), NO_TAIL, NOW)
    assert ids(recent) == set(range(MOST_RECENT_ROWS // 2))
    assert tail.facts.facts.rows == MOST_RECENT_ROWS // 2 + 1


# -- what a move makes ------------------------------------------------------------------------------------------------


def test_moved_facts_join_those_that_are_there() -> None:
    tail = Tail(NOW - DAY_MS, pack(calls(3, first=100, latest=NOW - TWO_WEEKS), ()))
    recent, after = move(pack(calls(3), ()), tail, NOW)
    assert recent == NOTHING
    assert ids(after.facts) == {1, 2, 3, 100, 101, 102}


@given(st.integers(0, 2 * NOW), st.integers(0, 2 * NOW))
def test_a_generation_is_the_moment_of_the_move_and_grows_always(generation: int, as_of: int) -> None:
    _, after = move(pack(calls(1), ()), Tail(generation), as_of)
    assert after.generation > generation
    assert after.generation in (as_of, generation + 1)
    assert after.generation >= as_of


def test_what_has_expired_leaves_in_a_move_to_the_millisecond() -> None:
    expired = NOW - RETENTION_MS
    facts = pack([told(CALL, 1, expired), told(CALL, 2, expired + 1)], ())
    hour = expired // HOUR_MS * HOUR_MS
    hours = [Hour(hour, CALL, 3, 0, 0), Hour(hour + HOUR_MS, CALL, 4, 0, 0)]
    tail = Tail(1, pack(facts_of(facts), hours), folded_before=expired)
    _, after = move(pack(calls(1, first=9), ()), tail, NOW)
    assert ids(after.facts) == {2, 9}
    assert list(hours_of(after.facts)) == hours[1:]
    assert after.folded_before == expired
    _, before = move(pack(calls(1, first=9), ()), tail, hour + RETENTION_MS - 1)
    assert list(hours_of(before.facts)) == hours


def test_a_tail_that_has_become_too_large_is_folded_and_the_head_is_not() -> None:
    tail = Tail(1, pack(calls(MOST_ROWS, first=1_000, latest=NOW - 3 * DAY_MS, step=HOUR_MS // 2), ()))
    going_on = [told(SESSION, each, NOW - each) for each in range(5)]
    moves = told(CALL, 50, NOW - DAY_MS)
    recent, after = move(pack([*going_on, moves], ()), tail, NOW)
    assert ids(recent) == {fact.id for fact in going_on}
    assert after.facts.facts.rows == ROWS_AFTER_FOLD
    assert after.folded_before == min(fact.last for fact in facts_of(after.facts))
    assert sum(hour.weight for hour in hours_of(after.facts)) == MOST_ROWS + 1 - ROWS_AFTER_FOLD
    assert 50 in ids(after.facts)


def test_a_tail_that_is_not_too_large_keeps_its_edge() -> None:
    tail = Tail(1, NOTHING, folded_before=NOW - DAY_MS)
    assert move(pack(calls(1), ()), tail, NOW)[1].folded_before == NOW - DAY_MS


def test_a_damaged_head_or_tail_is_not_moved() -> None:
    sound = pack([told(SESSION, 1, NOW - DAY_MS, rating=0, subject="algebra")], ())
    torn = read(sound.blob.replace(b"algebra\xff", b""))
    with pytest.raises(UnreadableFacts, match="facts refer to name 1 of 0"):
        move(torn, NO_TAIL, NOW)
    with pytest.raises(UnreadableFacts, match="facts refer to name 1 of 0"):
        move(pack([told(SESSION, 2, NOW - DAY_MS, rating=0, subject="biology")], ()), Tail(1, torn), NOW)


# -- taking in --------------------------------------------------------------------------------------------------------


@pytest.fixture
def divided() -> Taken:
    """Fifty rated sessions in the tail, 1 to 50, the latest a week ago, and one of today in the head, 90."""
    moved = take(None, many(50, latest=NOW - 7 * DAY_MS, subject="algebra"), head=MOVES)
    return take(moved, [row(NOW - HOUR_MS, 90, rating=0)])


def test_a_late_event_that_changes_a_fact_in_the_tail_changes_it_there(divided: Taken) -> None:
    ((recent, tail),) = divided.stored
    late = take(divided, [row(NOW - 8 * DAY_MS, 3, subject="biology")], head=KEEPS)
    ((after_recent, after_tail),) = late.stored
    assert ids(tail.facts) == set(range(1, 51))
    assert (ids(recent), ids(after_recent)) == ({90}, set()), "the transaction is a move, of all facts that are ripe"
    assert ids(after_tail.facts) == {*range(1, 51), 90}
    assert after_tail.generation == NOW + 1
    (news,) = late.news[0]
    assert (news.fact.time, news.fact.subject) == (NOW - 8 * DAY_MS, "biology")
    assert news.known is not None
    assert news.known.subject == "algebra"
    assert news.fact in facts_of(after_tail.facts)


def test_what_the_tail_knows_already_is_repeated_and_changes_nothing(divided: Taken) -> None:
    again = take(divided, many(50, latest=NOW - 7 * DAY_MS, subject="algebra"))
    assert (again.changed, again.news, again.repeated) == (set(), {}, {0: 50})
    assert again.stored == divided.stored


def test_an_old_fact_that_neither_part_knows_goes_to_the_head(divided: Taken) -> None:
    late = take(divided, [row(NOW - 20 * DAY_MS, 70)])
    assert ids(late.stored[0].recent) == {90, 70}
    assert late.stored[0].tail is divided.stored[0].tail
    assert [news.known for news in late.news[0]] == [None]


def test_a_call_of_the_same_id_as_a_session_in_the_tail_is_another_thing(divided: Taken) -> None:
    late = take(divided, [row(NOW - 8 * DAY_MS, 3, kind=CALL)])
    assert {(fact.kind, fact.id) for fact in facts_of(late.stored[0].recent)} == {(SESSION, 90), (CALL, 3)}
    assert late.stored[0].tail is divided.stored[0].tail


def test_events_of_both_parts_change_both(divided: Taken) -> None:
    both = take(divided, [row(NOW, 3), row(NOW, 90)])
    by_id = {fact.id: fact for part in (both.stored[0].recent, both.stored[0].tail.facts) for fact in facts_of(part)}
    assert len(by_id) == 51
    assert [by_id[each].last for each in (3, 90)] == [NOW, NOW]


def test_what_is_too_late_for_the_folded_tail_is_not_taken_into_the_head() -> None:
    folded = take(None, many(MOST_ROWS + 1), head=MOVES)
    edge = folded.folded_before[0]
    late = take(folded, [row(edge - 1, 70_000), row(edge, 80_000)])
    assert late.too_late == [(0, 0)]
    assert ids(late.stored[0].recent) == {80_000}


def test_a_fact_that_the_head_knows_is_never_too_late_for_the_tail() -> None:
    old = NOW - 25 * DAY_MS
    kept = take(None, [row(old, 70_000)])
    recent = kept.stored[0].recent
    folded = Taken([Stored(recent, take(None, many(MOST_ROWS + 1), head=MOVES).stored[0].tail)])
    late = take(folded, [row(old - HOUR_MS, 70_000)])
    assert late.too_late == []
    assert [fact.time for fact in facts_of(late.stored[0].recent)] == [old - HOUR_MS]


def test_an_expired_fact_of_the_tail_counts_as_unknown(divided: Taken) -> None:
    """It has not left its tail, and a new event of it is another fact, in the head."""
    later = NOW - 7 * DAY_MS + RETENTION_MS
    again = take(divided, [row(later - HOUR_MS, 1, rating=7)], later)
    assert [(news.fact.time, news.known) for news in again.news[0]] == [(later - HOUR_MS, None)]
    assert 1 in ids(again.stored[0].recent)
    assert again.stored[0].tail is divided.stored[0].tail
    # The tail's own leaves with the next move.
    moved = take(again, many(50, first=200, latest=later), later, head=MOVES)
    assert moved.rows.filter(moved.rows["id"] == 1).select("time", "rating").rows() == [(later - HOUR_MS, 7)]


def test_nothing_moves_out_of_a_head_of_a_few_bytes() -> None:
    few = take(None, many(5), head=MOVES)
    assert (few.stored[0].recent.facts.rows, few.stored[0].tail) == (5, NO_TAIL)


# -- where facts are never matters ------------------------------------------------------------------------------------

STANDS = (NOW, None, None, None, None, None)


def figures(state: Taken) -> list[dict[str, Any]]:
    """What windows count of each entity."""
    standing = pl.DataFrame([STANDS] * len(state.stored), schema=STANDING, orient="row")
    return run(measure(things_of_parts(state.parts), standing)).to_dicts()


heads = st.builds(head, st.integers(1, 3_000), st.integers(0, 1_000_000))


@given(st.lists(st.tuples(st.lists(things, max_size=6), heads), min_size=1, max_size=8))
def test_whatever_moves_when_facts_figures_and_news_are_the_same(history: list[tuple[list[Row], Head]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("functions.entities.absorb._LEAST_TO_MOVE", 1)
        whole: Taken | None = None
        divided: Taken | None = None
        for made, head in history:
            whole, divided = take(whole, made, entities=2, head=KEEPS), take(divided, made, entities=2, head=head)
            assert divided.news == whole.news
            assert divided.repeated == whole.repeated
            assert_frame_equal(divided.rows, whole.rows)
            assert figures(divided) == figures(whole)
        assert whole is not None
        assert divided is not None
        for recent, tail in divided.stored:
            assert not {(each.kind, each.id) for each in facts_of(recent)} & {
                (each.kind, each.id) for each in facts_of(tail.facts)
            }


# -- stored form ------------------------------------------------------------------------------------------------------

keys = st.builds(EntityKey, st.sampled_from(ENTITY_TYPES), st.text(min_size=1, max_size=12))
stored_tails = st.builds(
    lambda generation, made, edge: Tail(generation, take(None, made, entities=2).stored[0].recent, edge),
    st.integers(1, 2**47 - 1),
    st.lists(things, max_size=8),
    st.none() | st.integers(0, 2**47 - 1),
)


@given(keys, stored_tails)
def test_a_stored_tail_comes_back_as_it_was(key: EntityKey, tail: Tail) -> None:
    attributes = tail_attributes(key, tail)
    assert parse_tail(attributes) == tail
    assert is_tail(attributes)
    assert entity_of(attributes) == key
    assert tail_key(key).items() <= attributes.items()


def test_stored_attributes_never_change() -> None:
    """Tables are full of them: when this fails, the code is wrong, not the literal."""
    assert tail_attributes(EntityKey("tutor", "t#1"), Tail(1_764_000_000_001, NOTHING, 1_763_000_000_000)) == {
        "pk": {"S": "tail#tutor#t#1"},
        "sk": {"S": "facts"},
        "generation": {"N": "1764000000001"},
        "facts": {"B": b""},
        "expires": {"N": str(1_764_000_001 + 33 * DAY_MS // SECOND_MS)},
        "folded_before": {"N": "1763000000000"},
    }
    assert "folded_before" not in tail_attributes(EntityKey("tutor", "t#1"), Tail(1))


def test_a_wake_is_not_a_tail() -> None:
    assert not is_tail({"pk": {"S": "wake#0"}, "sk": {"S": "001764000000#0"}})


def test_a_tail_ends_a_day_after_all_that_a_move_at_its_generation_can_have_moved_has_expired() -> None:
    ahead = NOW + 10 * 60 * SECOND_MS  # as far as an event may be ahead of the clock
    _, tail = move(pack([told(CALL, 1, ahead)], ()), NO_TAIL, NOW)
    assert ends_ms(tail.generation) == NOW + RETENTION_MS + DAY_MS
    assert ends_ms(tail.generation) > ahead + RETENTION_MS


SOUND = tail_attributes(EntityKey("student", "stu_1"), Tail(NOW, pack(calls(2), ()), NOW))


@pytest.mark.parametrize(
    "change",
    [
        {"generation": None},
        {"generation": {"N": "first"}},
        {"facts": None},
        {"facts": {"B": b"\x09"}},
        {"facts": {"S": "none"}},
        {"folded_before": {"N": "monday"}},
    ],
)
def test_a_damaged_tail_is_refused(change: dict[str, Any]) -> None:
    damaged = {name: value for name, value in (SOUND | change).items() if value is not None}
    with pytest.raises(UNREADABLE):
        parse_tail(damaged)


@pytest.mark.parametrize("name", ["generation", "folded_before"])
@pytest.mark.parametrize("value", [{"S": "monday"}, {"N": "1.5"}, {"N": "-1"}, {"N": str(1 << 47)}, {"NULL": True}])
def test_a_tail_whose_moments_are_no_whole_numbers_is_refused(name: str, value: dict[str, Any]) -> None:
    """They would be noticed in the middle of a batch, and stop all of it."""
    with pytest.raises(UNREADABLE, match=name):
        parse_tail(SOUND | {name: value})
