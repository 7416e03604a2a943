"""The oracle against expectations computed by hand: boundaries, the validation table, times, maxima, balance."""

import json
from typing import Any

import pytest

from proof.oracle import DAY_MS, Record, Rejected, Rules, accept, iso, recompute, time_ms
from tests.helpers.oracle_records import AS_OF, event, records

"""2026-11-18T11:06:40Z."""


def entity(kind: str, name: str, *data: bytes, as_of: int = AS_OF) -> dict[str, Any]:
    result = recompute(records(*data), as_of)
    assert result.rejected == {}
    return result.entities[kind, name]


def reason(data: bytes, arrival: int = AS_OF) -> str | None:
    try:
        accept(Record(data, arrival, "1"))
    except Rejected as rejected:
        return rejected.reason
    return None


# -- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        (0, (1, 1, 1)),
        (7 * DAY_MS - 1, (1, 1, 1)),
        (7 * DAY_MS, (0, 1, 1)),
        (14 * DAY_MS - 1, (0, 1, 1)),
        (14 * DAY_MS, (0, 0, 1)),
        (30 * DAY_MS - 1, (0, 0, 1)),
        (30 * DAY_MS, (0, 0, 0)),
        (32 * DAY_MS - 1, (0, 0, 0)),
        (-600_000, (1, 1, 1)),
    ],
)
def test_a_session_is_counted_to_the_millisecond(age: int, counts: tuple[int, int, int]) -> None:
    data = event("session_completed", AS_OF - age, session_id="s", student_id="a", tutor_id="t", student_rating=4)
    for kind, name in (("student", "a"), ("tutor", "t")):
        found = entity(kind, name, data)
        assert (found["sessions_7d"], found["sessions_14d"], found["sessions_30d"]) == counts
    assert entity("student", "a", data)["ratings_30d"] == counts[2]
    assert entity("tutor", "t", data)["ratings_30d"] == 0


def test_what_arrives_32_days_late_names_its_entity_and_tells_nothing_else() -> None:
    late = event("session_started", AS_OF - 32 * DAY_MS, session_id="s", student_id="a")
    completed = event("session_completed", AS_OF, session_id="s", student_id="a")
    assert entity("student", "a", late)["sessions_30d"] == 0
    assert entity("student", "a", late, completed)["sessions_30d"] == 1


def test_calls_have_windows_of_7_and_14_days() -> None:
    ages = (0, 7 * DAY_MS - 1, 7 * DAY_MS, 14 * DAY_MS - 1, 14 * DAY_MS)
    calls = [event("ib_call_logged", AS_OF - age, call_id=n, student_id="a") for n, age in enumerate(ages)]
    found = entity("student", "a", *calls)
    assert (found["ib_calls_7d"], found["ib_calls_14d"]) == (2, 4)
    assert found["alerts"] == {"high_ib_call_frequency": "warning"}
    assert found["sessions_30d"] == 0


def test_velocity_compares_two_weeks_and_may_be_negative() -> None:
    ages = (1, 8, 9, 10)
    sessions = [event("session_started", AS_OF - days * DAY_MS, session_id=f"s{days}", student_id="a") for days in ages]
    assert entity("student", "a", *sessions)["session_velocity"] == 1 - 3


# -- identity and merge -----------------------------------------------------------------------------------------------


def test_start_and_completion_of_a_session_are_one_at_the_earliest_time() -> None:
    start, end = AS_OF - 7 * DAY_MS - 1, AS_OF - 7 * DAY_MS + 1
    started = event("session_started", start, session_id="s", student_id="a")
    completed = event("session_completed", end, session_id="s", student_id="a", tutor_id="t", tutor_rating=3.5)
    result = recompute(records(completed, started, completed), AS_OF)
    student, tutor = result.entities["student", "a"], result.entities["tutor", "t"]
    assert (student["sessions_7d"], student["sessions_14d"]) == (0, 1)
    # Only the completion names the tutor.
    assert (tutor["sessions_7d"], tutor["sessions_14d"]) == (1, 1)
    assert (tutor["avg_rating"], tutor["ratings_30d"]) == (3.5, 1)
    assert (result.accepted, result.distinct, result.duplicates) == (3, 2, 1)


def test_the_rating_is_that_of_the_latest_rated_completion_and_of_equal_times_the_larger() -> None:
    def completion(time: int, rating: Any) -> bytes:
        return event("session_completed", time, session_id="s", student_id="a", student_rating=rating)

    found = entity("student", "a", completion(AS_OF, None), completion(AS_OF - 2, 5), completion(AS_OF - 1, 2))
    assert (found["avg_rating"], found["ratings_30d"]) == (2, 1)
    assert entity("student", "a", completion(AS_OF, 2), completion(AS_OF, "3.00"))["avg_rating"] == 3


def test_a_start_carries_no_rating() -> None:
    found = entity("student", "a", event("session_started", AS_OF, student_id="a", student_rating=99))
    assert (found["avg_rating"], found["ratings_30d"]) == (0, 0)


def test_an_integer_id_is_its_digits_and_sessions_are_not_calls() -> None:
    found = entity(
        "student",
        "7",
        event("session_started", AS_OF, session_id=1, student_id=7),
        event("session_completed", AS_OF, session_id="1", student_id="7"),
        event("ib_call_logged", AS_OF, call_id="1", student_id="7"),
    )
    assert (found["sessions_7d"], found["ib_calls_7d"]) == (1, 1)


def test_without_an_id_type_time_and_payload_are_the_identity() -> None:
    def call(time: int, **payload: Any) -> bytes:
        return event("ib_call_logged", time, student_id="a", **payload)

    same = b'{"timestamp":"%s","payload":{"call_id":"","student_id":"a"},"event_type":"ib_call_logged"}'
    found = entity(
        "student",
        "a",
        call(AS_OF),
        call(AS_OF),
        call(AS_OF - 1),
        call(AS_OF, reason="fees"),
        same % iso(AS_OF).encode(),
        event("session_started", AS_OF, student_id="a"),
        event("session_completed", AS_OF, student_id="a"),
    )
    assert found["ib_calls_7d"] == 4
    assert found["sessions_7d"] == 2


def test_the_mean_is_exact_and_rounded_half_to_even_at_four_decimals() -> None:
    def mean(*ratings: Any) -> Any:
        rated = [
            event("session_completed", AS_OF, session_id=n, student_id="a", student_rating=rating)
            for n, rating in enumerate(ratings)
        ]
        return entity("student", "a", *rated)["avg_rating"]

    assert mean(5, 4, 4) == 4.3333
    assert mean(4.0001, 4.0002) == 4.0002
    assert mean(4.0002, 4.0003) == 4.0002
    assert mean(4.00005) == 4
    assert mean(4.00015) == 4.0002
    # As written, not as the double next to it.
    assert mean(0.00015) == 0.0002
    whole = mean(4.5, "4.5e0", 3)
    assert whole == 4
    assert isinstance(whole, int)


# -- registers --------------------------------------------------------------------------------------------------------


def health(time: int, **payload: Any) -> bytes:
    return event("customer_health_update", time, **{"student_id": "a", "health_score": 80, **payload})


def test_a_student_without_report_is_healthy() -> None:
    found = entity("student", "a", event("session_started", AS_OF, student_id="a", tutor_id="t"))
    assert found["health_score"] == 100
    assert "reported" not in found
    assert found["alerts"] == {}
    assert entity("tutor", "t", event("session_started", AS_OF, tutor_id="t")) == {
        "sessions_7d": 1,
        "sessions_14d": 1,
        "sessions_30d": 1,
        "avg_rating": 0,
        "ratings_30d": 0,
        "session_velocity": 1,
        "health_score": 100,
        "alerts": {},
    }


def test_the_latest_report_wins_whole_and_never_ages() -> None:
    older = health(AS_OF - 400 * DAY_MS - 1, health_score=90, churn_risk="low")
    newer = health(AS_OF - 400 * DAY_MS, health_score="45.0", avg_session_rating=1e100)
    found = entity("student", "a", newer, older)
    assert found["health_score"] == 45
    assert isinstance(found["health_score"], int)
    assert found["reported"] == {"health_score": 45, "reported_at": iso(AS_OF - 400 * DAY_MS)}


def test_equal_times_are_decided_by_the_greater_canonical_json() -> None:
    # "9" is greater than "1" of 100, character by character.
    assert entity("student", "a", health(AS_OF, health_score=9), health(AS_OF, health_score=100))["health_score"] == 9
    # {"avg... is less than {"health...
    with_mean = health(AS_OF, health_score=99, avg_session_rating=5)
    assert entity("student", "a", with_mean, health(AS_OF, health_score=10))["health_score"] == 10


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, (9, 9, 20, 6)),
        (7 * DAY_MS - 1, (9, 9, 20, 6)),
        (7 * DAY_MS, (1, 1, 20, 6)),
        (14 * DAY_MS - 1, (1, 1, 20, 6)),
        (14 * DAY_MS, (1, 1, 20, 1)),
        (30 * DAY_MS - 1, (1, 1, 20, 1)),
        (30 * DAY_MS, (1, 1, 1, 1)),
    ],
)
def test_a_report_counts_while_younger_than_its_window(age: int, expected: tuple[int, int, int, int]) -> None:
    report = health(
        AS_OF - age,
        sessions_last_7_days=9,
        sessions_last_30_days=20.0,
        ib_calls_last_14_days="6",
        health_score=70,
    )
    own = (
        event("session_started", AS_OF - DAY_MS, session_id="s", student_id="a"),
        event("ib_call_logged", AS_OF - DAY_MS, call_id="c", student_id="a"),
    )
    found = entity("student", "a", report, *own)
    counts = (found["sessions_7d"], found["sessions_14d"], found["sessions_30d"], found["ib_calls_14d"])
    assert counts == expected
    assert (found["ib_calls_7d"], found["session_velocity"]) == (1, 1)
    assert found["alerts"] == ({"high_ib_call_frequency": "warning"} if expected[3] == 6 else {})


def test_longer_windows_are_never_below_shorter_ones() -> None:
    found = entity("student", "a", health(AS_OF, sessions_last_7_days=9, sessions_last_30_days=3))
    assert (found["sessions_7d"], found["sessions_14d"], found["sessions_30d"]) == (9, 9, 9)


def test_a_count_of_our_own_that_is_larger_stays() -> None:
    calls = [event("ib_call_logged", AS_OF, call_id=n, student_id="a") for n in range(2)]
    assert entity("student", "a", *calls, health(AS_OF, ib_calls_last_14_days=1))["ib_calls_14d"] == 2


@pytest.mark.parametrize(
    ("score", "severity"),
    [(0, "critical"), (49.99, "critical"), (50, "warning"), (69.9, "warning"), (70, None), (100, None)],
)
def test_levels_of_low_health(score: float, severity: str | None) -> None:
    expected = {"low_health_score": severity} if severity else {}
    assert entity("student", "a", health(AS_OF, health_score=score))["alerts"] == expected


def test_thresholds_are_rules() -> None:
    rules = Rules(ib_calls_warning=1, health_warning=99, health_critical=98.5)
    data = records(health(AS_OF, health_score=98.6, ib_calls_last_14_days=1))
    assert recompute(data, AS_OF, rules).entities["student", "a"]["alerts"] == {
        "high_ib_call_frequency": "warning",
        "low_health_score": "warning",
    }


def test_the_latest_availability_wins_whole() -> None:
    found = entity(
        "tutor",
        "t",
        event(
            "tutor_availability_updated",
            AS_OF,
            tutor_id="t",
            subjects=["b", "a", ""],
            accepts_instant_book="yes",
        ),
        event("tutor_availability_updated", AS_OF - 1, tutor_id="t", timezone="UTC", accepts_instant_book=True),
    )
    assert found["subjects"] == ["b", "a", ""]
    assert not {"timezone", "accepts_instant_book", "available_hours_this_week"} & set(found)
    hours = event("tutor_availability_updated", AS_OF, tutor_id="t", available_hours_this_week="12.50", timezone="x")
    assert entity("tutor", "t", hours)["available_hours_this_week"] == 12.5


# -- supply and demand ------------------------------------------------------------------------------------------------


def balance(time: int, region: str | None, subject: str = "algebra", **payload: Any) -> bytes:
    return event(
        "supply_demand_update",
        time,
        **{"subject": subject, "region": region, "balance_status": "balanced", **payload},
    )


def test_a_subject_shows_its_latest_region_and_fires_for_any() -> None:
    found = entity(
        "subject",
        "algebra",
        balance(AS_OF - 5, "north", balance_status="high_demand", demand_score=90, supply_score=20),
        balance(AS_OF - 5, "south", available_tutors=3, active_students=4),
        balance(AS_OF - 9, "south", balance_status="high_demand"),
    )
    assert found == {
        "region": "south",
        "available_tutors": 3,
        "active_students": 4,
        "balance_status": "balanced",
        "regions": {
            "north": {
                "balance_status": "high_demand",
                "demand_score": 90,
                "supply_score": 20,
                "updated_at": "2026-11-18T11:06:39.995Z",
            },
            "south": {
                "available_tutors": 3,
                "active_students": 4,
                "balance_status": "balanced",
                "updated_at": "2026-11-18T11:06:39.995Z",
            },
        },
        "alerts": {"supply_demand_imbalance": "info"},
    }


def test_a_region_sums_its_subjects() -> None:
    found = entity(
        "region",
        "north",
        balance(AS_OF, "north", "algebra", available_tutors=3, active_students=10, balance_status="high_demand"),
        balance(AS_OF, "north", "physics", available_tutors=2, balance_status="glut"),
        balance(AS_OF - 1, "north", "physics", available_tutors=90, balance_status="high_demand"),
    )
    assert (found["available_tutors"], found["active_students"], found["high_demand_subjects"]) == (5, 10, 1)
    assert found["subjects"]["physics"] == {
        "available_tutors": 2,
        "balance_status": "glut",
        "updated_at": iso(AS_OF),
    }
    assert found["alerts"] == {}


def test_an_update_without_region_makes_no_region() -> None:
    result = recompute(records(balance(AS_OF, None), balance(AS_OF, "", "physics")), AS_OF)
    assert set(result.entities) == {("subject", "algebra"), ("subject", "physics")}
    assert result.entities["subject", "algebra"]["region"] == "unspecified"


def test_the_201st_region_is_too_many_for_the_subject_alone() -> None:
    data = [balance(AS_OF - n, f"r{n}") for n in range(201)] + [balance(AS_OF, "r0"), balance(AS_OF, "r200")]
    result = recompute(reversed(records(*data)), AS_OF)
    assert result.rejected == {"201": "too_many", "203": "too_many"}
    assert set(result.entities["subject", "algebra"]["regions"]) == {f"r{n}" for n in range(200)}
    assert set(result.entities["region", "r200"]["subjects"]) == {"algebra"}
    assert (result.accepted, result.distinct, result.duplicates) == (201, 200, 1)


# -- validation -------------------------------------------------------------------------------------------------------

SESSION = {"student_id": "a", "tutor_id": "t"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"event_type":"\xff"}', "not_utf8"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'\xef\xbb\xbf{"event_type":"session_started"}', "not_json"),
        (b'{"event_type":NaN}', "not_json"),
        (b'{"x":-Infinity}', "not_json"),
        (b'{"x":1e400}', "not_json"),
        (b'{"x":1' + b"0" * 400 + b"}", "missing_field"),
        (b'{"x":"\\ud800"}', "not_json"),
        (b'{"\\udc00":1}', "not_json"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
        (b"[]", "not_object"),
        (b"null", "not_object"),
        (b'"session_started"', "not_object"),
        (b"{}", "missing_field"),
        (b'{"event_type":null,"payload":{}}', "missing_field"),
        (b'{"event_type":"","payload":{}}', "unknown_event_type"),
        (b'{"event_type":["session_started"],"payload":{}}', "unknown_event_type"),
        (b'{"event_type":"session_paused"}', "unknown_event_type"),
        (b'{"event_type":"session_started"}', "missing_field"),
        (b'{"event_type":"session_started","payload":null}', "missing_field"),
        (b'{"event_type":"session_started","payload":[]}', "invalid_field"),
    ],
)
def test_what_is_no_event_at_all(data: bytes, expected: str) -> None:
    assert reason(data) == expected


@pytest.mark.parametrize(
    ("event_type", "payload", "expected"),
    [
        ("session_started", {}, "missing_field"),
        ("session_started", {"student_id": "", "tutor_id": None}, "missing_field"),
        ("session_completed", {"tutor_id": "t"}, None),
        ("session_completed", {"student_id": "a"}, None),
        ("ib_call_logged", {"call_id": "c"}, "missing_field"),
        ("customer_health_update", {"student_id": "a"}, "missing_field"),
        ("customer_health_update", {"health_score": 120}, "missing_field"),
        ("customer_health_update", {"student_id": "a", "health_score": None}, "missing_field"),
        ("tutor_availability_updated", {"subjects": []}, "missing_field"),
        ("tutor_availability_updated", {"tutor_id": "t"}, None),
        ("supply_demand_update", {"balance_status": "balanced"}, "missing_field"),
        ("supply_demand_update", {"subject": "algebra", "balance_status": None}, "missing_field"),
        ("supply_demand_update", {"subject": "", "balance_status": "balanced"}, "missing_field"),
        ("supply_demand_update", {"subject": "algebra", "balance_status": "anything"}, None),
    ],
)
def test_required_fields(event_type: str, payload: dict[str, Any], expected: str | None) -> None:
    assert reason(event(event_type, AS_OF, **payload)) == expected


REQUIRED: dict[str, dict[str, Any]] = {
    "session_completed": SESSION,
    "session_started": SESSION,
    "ib_call_logged": {"student_id": "a"},
    "customer_health_update": {"student_id": "a", "health_score": 50},
    "tutor_availability_updated": {"tutor_id": "t"},
    "supply_demand_update": {"subject": "algebra", "balance_status": "balanced"},
}
ID_FIELDS = [
    ("session_started", "session_id", 1024),
    ("session_completed", "student_id", 1024),
    ("session_completed", "tutor_id", 1024),
    ("session_completed", "subject", 128),
    ("ib_call_logged", "call_id", 1024),
    ("ib_call_logged", "student_id", 1024),
    ("customer_health_update", "student_id", 1024),
    ("tutor_availability_updated", "tutor_id", 1024),
    ("supply_demand_update", "subject", 128),
    ("supply_demand_update", "region", 128),
]
COUNT_FIELDS = [
    ("customer_health_update", "sessions_last_7_days"),
    ("customer_health_update", "sessions_last_30_days"),
    ("customer_health_update", "ib_calls_last_14_days"),
    ("supply_demand_update", "available_tutors"),
    ("supply_demand_update", "active_students"),
]
RANGES = [
    ("customer_health_update", "health_score", 100),
    ("session_completed", "student_rating", 5),
    ("session_completed", "tutor_rating", 5),
    ("supply_demand_update", "demand_score", 10**9),
    ("supply_demand_update", "supply_score", 10**9),
    ("tutor_availability_updated", "available_hours_this_week", 10**9),
]


def reason_of(event_type: str, field: str, value: Any) -> str | None:
    return reason(event(event_type, AS_OF, **{**REQUIRED[event_type], field: value}))


@pytest.mark.parametrize(("event_type", "field", "longest"), ID_FIELDS)
def test_ids_subjects_and_regions(event_type: str, field: str, longest: int) -> None:
    for good in ("x" * longest, "é" * (longest // 2), 0, -12, 12345678901234567890123):
        assert reason_of(event_type, field, good) is None, good
    for bad in ("x" * (longest + 1), "é" * (longest // 2) + "x", True, 1.5, 2.0, ["a"], {"id": "a"}):
        assert reason_of(event_type, field, bad) == "invalid_field", bad


@pytest.mark.parametrize(("event_type", "field", "largest"), [*RANGES, *((*pair, 10**9) for pair in COUNT_FIELDS)])
def test_ranges_of_numbers(event_type: str, field: str, largest: int) -> None:
    for good in (0, -0.0, largest, float(largest), f"{largest}.0", "1e0", "-0", 1e-200, -1e-200):
        assert reason_of(event_type, field, good) is None, good
    bad_numbers = (-1, -0.001, largest + 1, f"{largest}.001", "1e400", "-1")
    not_numbers: tuple[Any, ...] = (
        True,
        False,
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "1_0",
        "01",
        "1.",
        ".5",
        "0x1",
        "NaN",
        "१",
        [1],
        {},
    )
    for bad in (*bad_numbers, *not_numbers):
        assert reason_of(event_type, field, bad) == "invalid_field", bad


@pytest.mark.parametrize(("event_type", "field"), COUNT_FIELDS)
def test_counts_are_whole(event_type: str, field: str) -> None:
    assert reason_of(event_type, field, 1.5) == reason_of(event_type, field, "0.5") == "invalid_field"
    assert reason_of(event_type, field, "2e2") is None


@pytest.mark.parametrize(
    ("event_type", "field"),
    [("supply_demand_update", "balance_status"), ("tutor_availability_updated", "timezone")],
)
def test_short_texts(event_type: str, field: str) -> None:
    assert reason_of(event_type, field, "é" * 32) is None
    for bad in ("", "é" * 32 + "x", 5, True, ["balanced"]):
        assert reason_of(event_type, field, bad) == "invalid_field", bad


def test_subjects_of_a_tutor() -> None:
    for good in ([], ["x" * 256] * 100, None):
        assert reason_of("tutor_availability_updated", "subjects", good) is None
    for bad in ("algebra", ["x" * 257], ["x"] * 101, [5], [None], {"algebra": 1}):
        assert reason_of("tutor_availability_updated", "subjects", bad) == "invalid_field"


@pytest.mark.parametrize("field", ["avg_session_rating", "churn_risk"])
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (4.25, 4.25),
        (-3, -3),
        (4.0, 4),
        ("high", "high"),
        ("4.5", "4.5"),
        ("é" * 32, "é" * 32),
        (1e-101, 0),
        (1e23, 10**23),
        (1e50, 10**50),
        (10**37 + 1, 10**37 + 1),
        (10**40 + 1, 10**40),
        ("é" * 33, None),
        (1e100, None),
        (-1e100, None),
        (True, None),
        ([1], None),
        (None, None),
    ],
)
def test_what_is_kept_unchecked(field: str, value: Any, kept: Any) -> None:
    reported = entity("student", "a", health(AS_OF, **{field: value}))["reported"]
    assert reported.get(field) == kept
    assert (field in reported) == (kept is not None)


def test_fields_that_are_not_used_are_not_checked() -> None:
    session = {
        **SESSION,
        "session_type": 5,
        "scheduled_duration_minutes": "long",
        "completed_successfully": "maybe",
    }
    assert reason(event("session_started", AS_OF, **session, student_rating=-1, extra=[])) is None
    assert reason(event("session_completed", AS_OF, **session, actual_duration_minutes=-5)) is None
    assert reason(event("ib_call_logged", AS_OF, student_id="a", duration_seconds="x", priority={})) is None
    assert reason_of("tutor_availability_updated", "accepts_instant_book", "true") is None


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-01 00:01", 60_000),
        ("1970-01-01T00:00:00.1Z", 100),
        ("1970-01-01T00:00:00.123999999Z", 123),
        ("1970-01-01T01:00:00+01", 0),
        ("1970-01-01T01:30:00.5+0130", 500),
        ("1969-12-31T20:00:00-04:00", 0),
        ("1969-12-31T23:59:59.999", -1),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("1970-01-01T00:00:00-00:00", 0),
    ],
)
def test_times_that_are(text: str, expected: int) -> None:
    assert time_ms(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-11-18",
        "20261118T110000Z",
        "2026-W47-3T11:00:00",
        "2026-322T11:00:00",
        "2026-11-18T11",
        "2026-11-18T1100",
        "2026-11-18t11:00:00",
        "2026-11-18T11:00:00z",
        "2026-11-18  11:00:00",
        "2026-11-18T11:00:00,5",
        "2026-11-18T11:00:00.",
        "2026-11-18T11:00.5",
        "2026-11-18T11:00:00 Z",
        "2026-11-18T11:00:00+1",
        "2026-11-18T11:00:00+24:00",
        "2026-11-18T11:00:00+01:60",
        "2026-11-18T11:00:00\u221201:00",
        "2026-11-18T24:00:00",
        "2026-11-18T23:59:60",
        "2026-02-29T00:00:00",
        "2026-13-01T00:00:00",
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00+01:00",
        "2026-11-18T11:00:00Z\n",
        "٢٠٢٦-11-18T11:00:00",
        "yesterday",
        1_795_000_000,
        True,
        ["2026-11-18T11:00:00Z"],
        {},
    ],
)
def test_times_that_are_not(value: Any) -> None:
    assert time_ms(value) is None
    body = {
        "event_type": "session_started",
        "payload": {**SESSION, "timestamp": iso(AS_OF)},
        "timestamp": value,
    }
    assert reason(json.dumps(body).encode()) == "bad_timestamp"


def test_event_time_is_the_first_present_of_three_and_then_arrival() -> None:
    def time_of(**times: Any) -> int:
        body: dict[str, Any] = {"event_type": "session_started", "payload": {**SESSION}}
        body["payload"]["timestamp"] = times.pop("payload", None)
        return accept(Record(json.dumps({**body, **times}).encode(), AS_OF, "1")).time

    first, second, third = (iso(ms) for ms in (1, 2, 3))
    assert time_of(timestamp=first, payload=second, ingested_at=third) == 1
    assert time_of(timestamp=None, payload=second, ingested_at=third) == 2
    assert time_of(ingested_at=third) == 3
    assert time_of() == AS_OF
    assert time_of(timestamp=first, payload="never", ingested_at=5) == 1


def test_more_than_ten_minutes_ahead_of_arrival_is_the_future() -> None:
    assert reason(event("session_started", AS_OF + 600_000, **SESSION)) is None
    assert reason(event("session_started", AS_OF + 600_001, **SESSION)) == "future_timestamp"
    strict = Rules(future_tolerance_seconds=0)
    result = recompute(records(event("session_started", AS_OF + 1, **SESSION)), AS_OF, strict)
    assert result.rejected == {"1": "future_timestamp"}


def test_of_several_faults_the_first_in_the_contracts_order_is_told() -> None:
    far = AS_OF + DAY_MS
    assert reason(event("customer_health_update", far, student_id=True)) == "missing_field"
    assert reason(event("customer_health_update", far, student_id="a", health_score=101)) == "invalid_field"


def test_neighbours_of_a_refused_record_count() -> None:
    result = recompute(records(b"{", event("session_started", AS_OF, student_id="a")), AS_OF)
    assert result.rejected == {"1": "not_json"}
    assert result.entities["student", "a"]["sessions_7d"] == 1
    assert (result.accepted, result.distinct, result.duplicates) == (1, 1, 0)
