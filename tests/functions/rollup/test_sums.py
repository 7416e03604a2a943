"""Figures over sessions: equal to those computed one session after the other, however items and sessions are parted."""

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from functions.entities.fact_frames import sessions
from functions.entities.facts import CALL, FAILURE, RETENTION_MS, SESSION, SUCCESS, UNKNOWN, Fact, join, told
from functions.entities.open_facts import pack
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.model import DAY_MS, EntityKey
from functions.rollup import sums
from functions.rollup.sums import COPIES, DAILY, FIRST, LOCAL
from tests.helpers.deployment import NOW
from tests.helpers.frames import moments

SUBJECTS = ["algebra", "biology", "Ökologie"]
TUTORS = ["tut_1", "tut_2"]
STUDENTS = ["stu_1", "stu_2", "stu_3"]
KEYS = [EntityKey("student", each) for each in STUDENTS] + [EntityKey("tutor", each) for each in TUTORS]

First = tuple[int, str | None, str | None, int]
"""Time, subject, tutor and outcome of a student's first session."""


@dataclass
class Table:
    """What items say: their facts, students' first sessions, and the subjects that have an item."""

    facts: dict[EntityKey, list[Fact]] = field(default_factory=dict)
    first: dict[EntityKey, First] = field(default_factory=dict)
    subjects: Sequence[str] = ()

    @property
    def keys(self) -> list[EntityKey]:
        subjects = [EntityKey("subject", each) for each in self.subjects]
        return [*dict.fromkeys([*self.facts, *self.first, *subjects])]


def table(said: Sequence[tuple[EntityKey, Fact]], first: Mapping[EntityKey, First], subjects: Sequence[str]) -> Table:
    """Items in which this was taken in, one event after the other."""
    facts: dict[EntityKey, dict[tuple[int, int], Fact]] = defaultdict(dict)
    for key, fact in said:
        known = facts[key].get((fact.kind, fact.id))
        facts[key][fact.kind, fact.id] = fact if known is None else join(known, fact)
    return Table({key: list(each.values()) for key, each in facts.items()}, dict(first), subjects)


# -- one session after the other --------------------------------------------------------------------------------------


def naive(items: Table, as_of: int = NOW) -> dict[EntityKey, Totals]:
    """The definitions, spelled out."""
    recent = as_of - 30 * DAY_MS
    copies: dict[int, list[tuple[EntityKey, Fact]]] = defaultdict(list)
    active: dict[str, set[EntityKey]] = defaultdict(set)
    for key, facts in items.facts.items():
        for fact in facts:
            if fact.kind != SESSION or fact.last <= as_of - RETENTION_MS:
                continue
            copies[fact.id].append((key, fact))
            if key.entity_type == "student" and fact.subject is not None and fact.time > recent:
                active[fact.subject].add(key)
    ages: dict[str, list[int]] = defaultdict(list)
    ratings: dict[str, list[int]] = defaultdict(list)
    for same in copies.values():
        time = min(fact.time for _, fact in same)
        named = [(fact.subject_time or 0, fact.subject) for _, fact in same if fact.subject is not None]
        rated = [
            (fact.rating_time or 0, fact.rating)
            for key, fact in same
            if key.entity_type == "tutor" and fact.rating is not None
        ]
        if named and time > recent:
            _, subject = min(named)
            ages[subject].append(max(0, (as_of - time) // DAY_MS))
            if rated:
                ratings[subject].append(max(rated)[1])
    first: dict[EntityKey, list[int]] = defaultdict(list)
    for time, first_subject, tutor, outcome in items.first.values():
        if time > recent:
            if first_subject is not None:
                first[EntityKey("subject", first_subject)].append(outcome)
            if tutor is not None:
                first[EntityKey("tutor", tutor)].append(outcome)

    counted = {EntityKey("subject", each) for each in (*ages, *active)} | first.keys()
    made = {}
    for key in {each for each in items.keys if each.entity_type in TOTALS_ATTRIBUTES} | counted:
        known = [int(outcome == SUCCESS) for outcome in first[key] if outcome != UNKNOWN]
        figures: dict[str, int | float] = {
            "first_sessions_30d": len(first[key]),
            "first_session_success_rate": mean(known),
        }
        surge: tuple[float | None, float | None] = None, None
        if key.entity_type == "subject":
            days = [ages[key.entity_id].count(day) for day in range(30)]
            given = ratings[key.entity_id]
            figures |= {
                "sessions_7d": sum(days[:7]),
                "sessions_14d": sum(days[:14]),
                "sessions_30d": sum(days),
                "session_velocity": sum(days[:7]) - sum(days[7:14]),
                "avg_rating": mean([Fraction(each, 10_000) for each in given]),
                "ratings_30d": len(given),
                "active_students_30d": len(active[key.entity_id]),
            }
            surge = surging(days)
        made[key] = Totals(as_of, figures, len(known), *surge)
    return made


def mean(values: Sequence[int | Fraction]) -> float:
    """To 4 decimals, half to even; 0 without any."""
    return float(round(sum(map(Fraction, values), Fraction()) / len(values), 4)) if values else 0


def surging(days: Sequence[int]) -> tuple[float | None, float | None]:
    """The usual day, and how far the last 7 are above it."""
    past = days[7:]
    usual = median(past)
    if usual < 1:
        return None, None
    scale = max(1.4826 * median(abs(each - usual) for each in past), math.sqrt(usual))
    return usual, round((sum(days[:7]) / 7 - usual) / scale, 1)


# -- the same by columns ----------------------------------------------------------------------------------------------


def known(items: Table) -> pl.DataFrame:
    """Subjects and tutors that have an item without any figures."""
    return sums.stored({key: None for key in items.keys if key.entity_type in TOTALS_ATTRIBUTES})


def page(items: Table, keys: Sequence[EntityKey], as_of: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of some items, as one page of a scan, `COPIES` and `LOCAL`."""
    rows, damaged = sessions(list(enumerate(pack(items.facts.get(key, ()), ()) for key in keys)), as_of - RETENTION_MS)
    assert damaged == []
    copies, own = sums.split(rows, pl.Series([key.entity_type == "tutor" for key in keys], dtype=pl.Boolean))
    success = {UNKNOWN: None, FAILURE: False, SUCCESS: True}
    begun = [items.first[key] for key in keys if key in items.first]
    first = pl.LazyFrame([(*rest, success[outcome]) for *rest, outcome in begun], schema=FIRST, orient="row")
    return copies, sums.local(own.lazy(), first, as_of).collect()


def rolled_up(items: Table, rng: random.Random, as_of: int = NOW) -> dict[EntityKey, Totals]:
    """Figures by way of pages, segments and partitions as chance has them."""
    keys = list(items.keys)
    rng.shuffle(keys)
    pages = []
    while keys:
        size = rng.randint(1, len(keys))
        pages.append(page(items, keys[:size], as_of))
        keys = keys[size:]
    copies = pl.concat([COPIES.to_frame(), *(each for each, _ in pages)]).sample(fraction=1, shuffle=True, seed=1)
    assert copies.schema == COPIES
    locals_ = [each for _, each in pages]
    cut = rng.randint(0, len(locals_))
    local = sums.added([sums.added(locals_[:cut], LOCAL), sums.added(locals_[cut:], LOCAL)], LOCAL)
    count = rng.randint(1, 5)
    parts = [
        sums.daily(copies.filter(pl.col("id") % count == part).lazy(), as_of).collect(engine="streaming")
        for part in range(count)
    ]
    daily = sums.added(parts, DAILY)
    assert (local.schema, daily.schema) == (LOCAL, DAILY)
    found = sums.figures(daily, local, known(items))
    assert found.schema == sums.TOTALS_SCHEMA
    made = sums.totals(found, as_of)
    assert sums.overall(daily, local) == pytest.approx(together(made), abs=1e-4)
    return made


def together(made: Mapping[EntityKey, Totals]) -> dict[str, float]:
    """All subjects' figures as one, but for what each is rounded by."""
    subjects = [(each.figures, each.first_outcomes) for key, each in made.items() if key.entity_type == "subject"]
    names = ("sessions_7d", "sessions_30d", "first_sessions_30d")
    found: dict[str, float] = {name: sum(figures[name] for figures, _ in subjects) for name in names}
    if ratings := sum(figures["ratings_30d"] for figures, _ in subjects):
        found["avg_rating"] = sum(figures["avg_rating"] * figures["ratings_30d"] for figures, _ in subjects) / ratings
    if known := sum(outcomes for _, outcomes in subjects):
        rates = (figures["first_session_success_rate"] * outcomes for figures, outcomes in subjects)
        found["first_session_success_rate"] = sum(rates) / known
    return found


def rolled_up_by_one(said: Sequence[tuple[EntityKey, Fact]], as_of: int = NOW, **rest: Any) -> dict[EntityKey, Totals]:
    items = table(said, rest.get("first", {}), rest.get("subjects", ()))
    made = rolled_up(items, random.Random(1), as_of)
    assert made == naive(items, as_of)
    return made


sayings = st.builds(
    lambda key, time, identity, kind, said: (key, told(kind, identity, time, **said)),
    st.sampled_from(KEYS),
    moments(0, 1, 7, 14, 30, 32),
    st.integers(1, 5),
    st.sampled_from([SESSION, SESSION, SESSION, CALL]),
    st.fixed_dictionaries(
        {
            "rating": st.sampled_from([None, 0, 12_345, 50_000]),
            "outcome": st.sampled_from([UNKNOWN, FAILURE, SUCCESS]),
            "subject": st.sampled_from([None, *SUBJECTS]),
            "tutor": st.sampled_from([None, *TUTORS]),
        }
    ),
)
firsts = st.dictionaries(
    st.sampled_from(KEYS[: len(STUDENTS)]),
    st.tuples(
        moments(0, 30),
        st.sampled_from([None, *SUBJECTS]),
        st.sampled_from([None, *TUTORS, "tut_9"]),
        st.sampled_from([UNKNOWN, FAILURE, SUCCESS]),
    ),
)
tables = st.builds(
    table, st.lists(sayings, max_size=25), firsts, st.lists(st.sampled_from([*SUBJECTS, "zoology"]), unique=True)
)


@given(tables, st.randoms(use_true_random=False))
def test_figures_are_those_of_the_distinct_sessions_however_they_are_parted(items: Table, rng: random.Random) -> None:
    assert rolled_up(items, rng) == naive(items)


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 9)), min_size=20, max_size=30), st.integers(0, DAY_MS - 1))
def test_a_surge_is_judged_over_whole_days(counts: list[tuple[int, int]], off: int) -> None:
    said = [
        (KEYS[0], told(SESSION, 100 * day + each, NOW - day * DAY_MS - off, subject="algebra"))
        for day, number in dict(counts).items()
        for each in range(number)
    ]
    rolled_up_by_one(said, subjects=["algebra"])


ALGEBRA = EntityKey("subject", "algebra")
BIOLOGY = EntityKey("subject", "biology")
STUDENT, OTHER, _, TUTOR, _ = KEYS


def algebra(*said: tuple[EntityKey, Fact], **rest: Any) -> Mapping[str, Any]:
    made = rolled_up_by_one(said, **rest)[ALGEBRA]
    return {**made.figures, "first_outcomes": made.first_outcomes}


@pytest.mark.parametrize("days", [7, 14, 30])
def test_exactly_so_many_days_ago_is_out(days: int) -> None:
    for late in (0, 1):
        fact = told(SESSION, 1, NOW - days * DAY_MS + late, subject="algebra")
        assert algebra((STUDENT, fact), subjects=["algebra"])[f"sessions_{days}d"] == late


def test_what_is_ahead_of_the_clock_is_of_today() -> None:
    counted = algebra((STUDENT, told(SESSION, 1, NOW + 5 * 60_000, subject="algebra")))
    assert [counted[f"sessions_{days}d"] for days in (7, 14, 30)] == [1, 1, 1]


def test_a_group_session_counts_once_and_makes_each_of_its_students_active() -> None:
    fact = told(SESSION, 1, NOW, subject="algebra")
    counted = algebra((STUDENT, fact), (OTHER, fact), (TUTOR, fact))
    assert (counted["sessions_30d"], counted["active_students_30d"]) == (1, 2)


def test_a_session_is_as_old_as_its_oldest_copy() -> None:
    young, old = (told(SESSION, 1, time, subject="algebra") for time in (NOW, NOW - 30 * DAY_MS))
    counted = algebra((STUDENT, young), (TUTOR, old))
    assert (counted["sessions_30d"], counted["active_students_30d"]) == (0, 1)


def test_of_subjects_that_copies_disagree_on_the_earliest_counts_and_of_equally_early_ones_the_smaller() -> None:
    one, other = (told(SESSION, 1, NOW, subject=subject) for subject in ("algebra", "biology"))
    assert algebra((STUDENT, other), (TUTOR, one))["sessions_30d"] == 1
    earlier = other._replace(time=NOW - 1, subject_time=NOW - 1)
    made = rolled_up_by_one([(STUDENT, one), (TUTOR, earlier)])
    assert (made[ALGEBRA].figures["sessions_30d"], made[BIOLOGY].figures["sessions_30d"]) == (0, 1)
    unnamed = told(SESSION, 1, NOW - 5)
    assert algebra((STUDENT, unnamed), (TUTOR, one))["sessions_30d"] == 1


def test_ratings_are_the_latest_of_tutors_copies_and_of_equally_late_ones_the_larger() -> None:
    rated = [told(SESSION, 1, NOW, rating=rating, subject="algebra") for rating in (10_000, 30_000)]
    assert algebra((STUDENT, rated[1]))["ratings_30d"] == 0
    assert algebra((TUTOR, rated[0]), (KEYS[-1], rated[1]))["avg_rating"] == 3
    later = rated[0]._replace(last=NOW + 1, rating_time=NOW + 1)
    assert algebra((TUTOR, later), (KEYS[-1], rated[1]))["avg_rating"] == 1


def test_first_sessions_count_for_subject_and_tutor_and_succeed_where_that_is_known() -> None:
    outcomes = dict(zip(KEYS, [SUCCESS, FAILURE, UNKNOWN], strict=False))
    first: dict[EntityKey, First] = {key: (NOW, "algebra", "tut_9", outcome) for key, outcome in outcomes.items()}
    made = rolled_up_by_one([], first=first)
    assert made == {
        key: Totals(NOW, made[key].figures, first_outcomes=2) for key in (ALGEBRA, EntityKey("tutor", "tut_9"))
    }
    for each in made.values():
        assert (each.figures["first_sessions_30d"], each.figures["first_session_success_rate"]) == (3, 0.5)


def test_who_has_an_item_has_figures_even_when_there_is_nothing_left() -> None:
    made = rolled_up_by_one([(TUTOR, told(CALL, 1, NOW))], subjects=["zoology"])
    assert made == {
        EntityKey("subject", "zoology"): Totals(NOW, dict.fromkeys(TOTALS_ATTRIBUTES["subject"], 0)),
        TUTOR: Totals(NOW, dict.fromkeys(TOTALS_ATTRIBUTES["tutor"], 0)),
    }


def test_a_steady_past_makes_no_surge_of_what_chance_brings() -> None:
    days = [4] * 7 + [3] * 23
    said = [
        (STUDENT, told(SESSION, 100 * day + each, NOW - day * DAY_MS, subject="algebra"))
        for day, count in enumerate(days)
        for each in range(count)
    ]
    made = rolled_up_by_one(said)[ALGEBRA]
    assert (made.usual_daily, made.surge_score) == (3, 0.6)


# -- what has changed -------------------------------------------------------------------------------------------------


def test_what_is_stored_already_has_not_changed() -> None:
    items = table([(TUTOR, told(SESSION, 1, NOW, rating=12_345, subject="algebra"))], {}, ["zoology"])
    copies, local = page(items, items.keys, NOW)
    daily = sums.daily(copies.lazy(), NOW).collect()
    found = sums.figures(daily, local, known(items))
    assert_frame_equal(sums.changed(found, known(items)), found)
    assert sums.changed(found, found).is_empty()
    other = found.with_columns(usual_daily=pl.when(pl.col("entity_id") == "zoology").then(2))
    assert sums.changed(found, other)["entity_id"].to_list() == ["zoology"]
    assert sums.changed(found, found.filter(pl.col("entity_id") != "tut_1"))["entity_id"].to_list() == ["tut_1"]
