"""An item: which attributes each type of entity has, and that what is stored is what comes back."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities.alerts import Alerts, Episodes, Firing, Notification
from functions.entities.attribute_values import Attributes, differs, from_attribute, to_attribute
from functions.entities.facts import FAILURE, SESSION, SUCCESS, UNKNOWN, told
from functions.entities.item import State, attributes_of, parse, parse_outbox, public_metrics
from functions.entities.open_facts import pack
from functions.entities.registers import FirstSession, Register
from functions.entities.tails import Tail
from functions.entities.totals import Totals
from functions.model import DAY_MS, EntityKey, to_iso
from tests.helpers.deployment import NOW

MEASURED = {
    "sessions_7d": 3,
    "sessions_14d": 4,
    "sessions_30d": 5,
    "ib_calls_7d": 1,
    "ib_calls_14d": 2,
    "avg_rating": 43_333,
    "ratings_30d": 3,
    "session_velocity": -1,
    "health_score": 45.5,
}
SESSIONS = {
    "sessions_7d": {"N": "3"},
    "sessions_14d": {"N": "4"},
    "sessions_30d": {"N": "5"},
    "avg_rating": {"N": "4.3333"},
    "ratings_30d": {"N": "3"},
    "session_velocity": {"N": "-1"},
    "health_score": {"N": "45.5"},
}
CALLS = {"ib_calls_7d": {"N": "1"}, "ib_calls_14d": {"N": "2"}}
TIME = "2026-11-23T10:00:00.000Z"
UNSENT = tuple(
    Notification.parse(f'{{"alert_id": "{each}", "alert_type": "low_health_score", "timestamp": "{TIME}"}}')
    for each in ("a", "b")
)
BARE = {
    "alerts": {"M": {}},
    "alert_episodes": {"M": {}},
    "version": {"N": "7"},
    "as_of": {"N": str(NOW)},
    "last_updated": {"S": TIME},
}
DEMAND = {
    "available_tutors": 0,
    "active_students": 7,
    "demand_score": 90,
    "supply_score": 20.5,
    "balance_status": "high_demand",
}
DEMAND_STORED = {
    "available_tutors": {"N": "0"},
    "active_students": {"N": "7"},
    "demand_score": {"N": "90"},
    "supply_score": {"N": "20.5"},
    "balance_status": {"S": "high_demand"},
}
UPDATED = {"updated_at": {"S": TIME}}


def state(entity_type: Any, **given: Any) -> State:
    return State(EntityKey(entity_type, "e1"), version=7, as_of=NOW, **given)


def stored(state: State) -> Attributes:
    return attributes_of(state, public_metrics(state, MEASURED), State(state.key), changed_by_time_alone=False)


REPORT = {"health_score": 45.5, "sessions_last_7_days": 3, "churn_risk": "high"}
AVAILABILITY = {
    "available_hours_this_week": 12.5,
    "subjects": ["algebra"],
    "timezone": "Europe/Berlin",
    "accepts_instant_book": False,
}
FACTS = pack([told(SESSION, 1, NOW, subject="algebra")], [])
EPISODES = Episodes(episode=2, notification=3, sent_at=NOW, highest=2, reminders=1)
FIRST = FirstSession(NOW, 2**64 - 1, "algebra", NOW, "tut_1", NOW + 1, SUCCESS, NOW + 2)
FIGURES_OF_SUBJECT = {
    "sessions_7d": 3,
    "sessions_14d": 4,
    "sessions_30d": 5,
    "session_velocity": -1,
    "avg_rating": 4.3333,
    "ratings_30d": 3,
    "active_students_30d": 2,
    "first_sessions_30d": 6,
    "first_session_success_rate": 1.0,
}

CASES: dict[str, tuple[State, Attributes]] = {
    "a student": (state("student"), SESSIONS | CALLS),
    "a student with a report": (
        state("student", registers={"reported": Register(NOW, REPORT)}),
        SESSIONS
        | CALLS
        | {
            "reported": {
                "M": {
                    "health_score": {"N": "45.5"},
                    "sessions_last_7_days": {"N": "3"},
                    "churn_risk": {"S": "high"},
                    "reported_at": {"S": TIME},
                }
            }
        },
    ),
    "a student with a first session": (
        state("student", first_session=FIRST),
        SESSIONS
        | CALLS
        | {
            "first_session": {
                "M": {
                    "time": {"N": str(NOW)},
                    "session": {"N": "18446744073709551615"},
                    "subject": {"S": "algebra"},
                    "subject_time": {"N": str(NOW)},
                    "tutor_id": {"S": "tut_1"},
                    "tutor_time": {"N": str(NOW + 1)},
                    "outcome": {"S": "success"},
                    "outcome_time": {"N": str(NOW + 2)},
                }
            }
        },
    ),
    "a tutor": (state("tutor"), SESSIONS),
    "a tutor's availability": (
        state("tutor", registers={"availability": Register(NOW, AVAILABILITY)}),
        SESSIONS
        | {
            "available_hours_this_week": {"N": "12.5"},
            "subjects": {"L": [{"S": "algebra"}]},
            "timezone": {"S": "Europe/Berlin"},
            "accepts_instant_book": {"BOOL": False},
            "availability_at": {"S": TIME},
        },
    ),
    "a tutor's empty availability": (
        state("tutor", registers={"availability": Register(NOW, {})}),
        SESSIONS | {"availability_at": {"S": TIME}},
    ),
    "a subject": (
        state("subject", registers={"eu": Register(NOW, DEMAND)}),
        DEMAND_STORED | {"region": {"S": "eu"}, "regions": {"M": {"eu": {"M": DEMAND_STORED | UPDATED}}}},
    ),
    "a subject's latest region": (
        state(
            "subject",
            registers={
                "eu": Register(NOW, DEMAND),
                "us": Register(NOW, {"balance_status": "balanced"}),
                "za": Register(NOW - 1, DEMAND),
            },
        ),
        {
            "region": {"S": "us"},
            "balance_status": {"S": "balanced"},
            "regions": {
                "M": {
                    "us": {"M": {"balance_status": {"S": "balanced"}} | UPDATED},
                    "eu": {"M": DEMAND_STORED | UPDATED},
                    "za": {"M": DEMAND_STORED | {"updated_at": {"S": "2026-11-23T09:59:59.999Z"}}},
                }
            },
        },
    ),
    "a region": (
        state(
            "region",
            registers={
                "algebra": Register(NOW, DEMAND),
                "biology": Register(NOW, {"balance_status": "high_demand", "active_students": 5}),
                "chemistry": Register(NOW, {"balance_status": "oversupplied", "available_tutors": 4}),
            },
        ),
        {
            "available_tutors": {"N": "4"},
            "active_students": {"N": "12"},
            "high_demand_subjects": {"N": "2"},
            "subjects": {
                "M": {
                    "algebra": {"M": DEMAND_STORED | UPDATED},
                    "biology": {"M": {"balance_status": {"S": "high_demand"}, "active_students": {"N": "5"}} | UPDATED},
                    "chemistry": {
                        "M": {"balance_status": {"S": "oversupplied"}, "available_tutors": {"N": "4"}} | UPDATED
                    },
                }
            },
        },
    ),
    "facts": (
        state("tutor", facts=FACTS),
        SESSIONS | {"facts": {"B": FACTS.blob}},
    ),
    "facts beside a tail": (
        state("tutor", facts=FACTS, tail=Tail(NOW - 1, FACTS, NOW - DAY_MS), moved=5),
        SESSIONS | {"facts": {"B": FACTS.blob}, "tail": {"N": str(NOW - 1)}, "moved": {"N": "5"}},
    ),
    "a subject of which only a rollup knows": (
        state("subject", totals=Totals(NOW - 1, FIGURES_OF_SUBJECT, 4, 2.5, 12.3)),
        {
            "regions": {"M": {}},
            "sessions_7d": {"N": "3"},
            "sessions_14d": {"N": "4"},
            "sessions_30d": {"N": "5"},
            "session_velocity": {"N": "-1"},
            "avg_rating": {"N": "4.3333"},
            "ratings_30d": {"N": "3"},
            "active_students_30d": {"N": "2"},
            "first_sessions_30d": {"N": "6"},
            "first_session_success_rate": {"N": "1"},
            "rolled_up": {
                "M": {
                    "as_of": {"N": str(NOW - 1)},
                    "first_outcomes": {"N": "4"},
                    "usual_daily": {"N": "2.5"},
                    "surge_score": {"N": "12.3"},
                }
            },
        },
    ),
    "a tutor that a rollup knows": (
        state("tutor", totals=Totals(NOW, {"first_sessions_30d": 2, "first_session_success_rate": 0.5})),
        SESSIONS
        | {
            "first_sessions_30d": {"N": "2"},
            "first_session_success_rate": {"N": "0.5"},
            "rolled_up": {"M": {"as_of": {"N": str(NOW)}, "first_outcomes": {"N": "0"}}},
        },
    ),
    "alerts": (
        state(
            "tutor",
            alerts=Alerts({"low_health_score": Firing("warning", TIME, "abc")}, {"low_health_score": EPISODES}, UNSENT),
        ),
        SESSIONS
        | {
            "alerts": {
                "M": {
                    "low_health_score": {
                        "M": {"severity": {"S": "warning"}, "since": {"S": TIME}, "episode_id": {"S": "abc"}}
                    }
                }
            },
            "alert_episodes": {
                "M": {
                    "low_health_score": {
                        "M": {
                            "episode": {"N": "2"},
                            "notification": {"N": "3"},
                            "sent_at": {"N": str(NOW)},
                            "highest": {"N": "2"},
                            "reminders": {"N": "1"},
                        }
                    }
                }
            },
            "outbox": {"L": [{"S": each.detail} for each in UNSENT]},
        },
    ),
}
"""States, and the attributes that each is stored as beside its key and what every item has."""


@pytest.mark.parametrize(("state", "attributes"), CASES.values(), ids=CASES)
def test_an_item_has_exactly_these_attributes(state: State, attributes: Attributes) -> None:
    key = {"entity_id": {"S": "e1"}, "entity_type": {"S": state.key.entity_type}}
    assert stored(state) == key | BARE | attributes


@pytest.mark.parametrize("state", [case[0] for case in CASES.values()], ids=list(CASES))
def test_a_stored_item_comes_back_as_it_was(state: State) -> None:
    attributes = stored(state)
    assert parse(attributes, state.tail) == replace(state, stored=attributes)


@pytest.mark.parametrize("unsent", [(), UNSENT])
def test_what_is_pending_is_read_from_its_attributes_alone(unsent: tuple[Notification, ...]) -> None:
    attributes = stored(state("student", alerts=Alerts({}, {}, unsent)))
    assert parse_outbox({name: attributes[name] for name in attributes.keys() & {"outbox"}}) == unsent


@pytest.mark.parametrize(
    "first",
    [
        FIRST,
        FirstSession(NOW, 0),
        FirstSession(NOW, 1, outcome=FAILURE, outcome_time=NOW),
        FirstSession(NOW, 1, tutor_id="t", tutor_time=NOW, outcome=UNKNOWN),
    ],
)
def test_a_first_session_comes_back_as_it_was(first: FirstSession) -> None:
    assert parse(stored(state("student", first_session=first))).first_session == first


def test_an_item_that_time_alone_has_changed_keeps_its_last_updated() -> None:
    before = state("student")
    before = replace(before, stored=stored(before))
    later = replace(before, as_of=NOW + DAY_MS)
    for by_time_alone, last_updated in ((True, NOW), (False, NOW + DAY_MS)):
        attributes = attributes_of(later, public_metrics(later, MEASURED), before, changed_by_time_alone=by_time_alone)
        assert (attributes["as_of"], attributes["last_updated"]) == (
            {"N": str(NOW + DAY_MS)},
            {"S": to_iso(last_updated)},
        )


def test_a_new_item_is_last_updated_when_it_is_made() -> None:
    new = state("student")
    attributes = attributes_of(new, public_metrics(new, MEASURED), State(new.key), changed_by_time_alone=True)
    assert attributes["last_updated"] == {"S": TIME}


@pytest.mark.parametrize("name", ["entity_id", "version", "as_of", "alerts", "alert_episodes"])
def test_an_item_without_what_every_item_has_is_refused(name: str) -> None:
    attributes = stored(state("student"))
    del attributes[name]
    with pytest.raises(KeyError, match=name):
        parse(attributes)


# -- values -----------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.booleans()
    | st.text(max_size=5)
    | st.integers(-(10**37), 10**37)
    | st.floats(-1e99, 1e99).filter(lambda value: not value.is_integer()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    back = from_attribute(to_attribute(value))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("45", 45),
        ("-45", -45),
        ("45.0", 45),
        ("4.50", 4.5),
        ("0", 0),
        ("-0.5", -0.5),
        ("1E+2", 100),
        ("1" * 38, int("1" * 38)),
    ],
)
def test_a_number_is_the_same_however_it_is_written_and_whole_ones_are_ints(text: str, number: float) -> None:
    value = from_attribute({"N": text})
    assert (value, type(value)) == (number, type(number))


def test_what_has_no_attribute_value_is_named() -> None:
    with pytest.raises(TypeError, match="NoneType None has no attribute value; allowed: bool, str, int"):
        to_attribute({"x": [None]})


@pytest.mark.parametrize(
    ("before", "after", "different"),
    [
        ({"N": "4.5"}, {"N": "4.50"}, False),
        ({"N": "100"}, {"N": "1E+2"}, False),
        ({"M": {"x": {"L": [{"N": "1"}]}}}, {"M": {"x": {"L": [{"N": "1.0"}]}}}, False),
        ({"M": {"x": {"N": "1"}, "y": {"N": "2"}}}, {"M": {"y": {"N": "2"}, "x": {"N": "1"}}}, False),
        ({"N": "1"}, {"N": "2"}, True),
        ({"N": "1"}, {"S": "1"}, True),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}, True),
        ({"M": {"x": {"N": "1"}}}, {"M": {}}, True),
        ({"B": b"\0"}, {"B": b"\0"}, False),
        ({"B": b"\0"}, {"B": b"\1"}, True),
        (None, {"S": ""}, True),
        ({"S": ""}, None, True),
        (None, None, False),
    ],
)
def test_values_differ_when_they_are_not_the_same_value(before: Any, after: Any, different: bool) -> None:
    assert differs(before, after) is different
    assert differs(after, before) is different
