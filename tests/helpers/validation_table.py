"""The table of the contract's fields with good and bad values, as tests of validation share it."""

import json
from typing import Any

from hypothesis import strategies as st

from functions.model import SECOND_MS

TOLERANCE = 600 * SECOND_MS


BILLION = 1_000_000_000


LEAST: dict[str, dict[str, Any]] = {
    "session_started": {"student_id": "stu_1"},
    "session_completed": {"tutor_id": "tut_1"},
    "ib_call_logged": {"student_id": "stu_1"},
    "tutor_availability_updated": {"tutor_id": "tut_1"},
    "customer_health_update": {"student_id": "stu_1", "health_score": 50},
    "supply_demand_update": {"subject": "algebra", "balance_status": "balanced"},
}
"""The least that each type's payload must carry."""


INVALID, MISSING, ABSENT = "invalid_field", "missing_field", "absent"


Values = list[tuple[Any, Any]]
"""Values of a field, with what becomes of each: its normalised form, or how it is refused."""


def kept(*values: Any) -> Values:
    return [(value, value) for value in values]


def all_are(becomes: Any, *values: Any) -> Values:
    return [(value, becomes) for value in values]


def names(limit: int, empty: str) -> Values:
    return [
        *kept("x", "x" * limit, "ö" * (limit // 2), " ", "\0"),
        *((7, "7"), (0, "0"), (-7, "-7"), (2**64, str(2**64)), ("", empty)),
        *all_are(INVALID, "x" * (limit + 1), "ö" * (limit // 2) + "x", True, False, 1.0, 1.5, [], ["x"], {}),
    ]


def numbers(high: int, *, whole: bool = False, scale: int = 1) -> Values:
    return [
        *all_are(0.0, 0, 0.0, -0.0, "0", "-0", 1e-101, -1e-101, "1e-101", "1e-999"),
        *all_are(1.0 * scale, 1, "1", "1.0", "1e0", "10E-1"),
        *all_are(float(high * scale), high, float(high), str(high)),
        *all_are(INVALID if whole else 0.5 * scale, 0.5, "0.5", "5e-1"),
        *all_are(INVALID, -1, -1e-9, high + 1, high + 1e-6, str(high + 1), True, False, "", [], [1], {}, "one"),
        *all_are(INVALID, " 1", "1 ", "+1", "01", ".5", "1.", "1_0", "\u0665", "0x1", "NaN", "inf", "1e999", "1,5"),
    ]


def texts(limit: int) -> Values:
    return [
        *kept("x", "x" * limit, "ö" * (limit // 2)),
        *all_are(INVALID, "", "x" * (limit + 1), "ö" * (limit // 2) + "x", 1, 1.5, True, [], {}),
    ]


BOOLEANS = [*kept(True, False), *all_are(ABSENT, "true", "", 1, 0, [], {})]


UNCHECKED = [
    *kept(0, 4.5, -3, "", "high", "x" * 64, "ö" * 32, 10**38 - 1, 1e-100),
    *((45.0, 45), (1e23, 10**23), (1e-101, 0), (10**38 + 1, 10**38), (9.9e99, 99 * 10**98)),
    *all_are(ABSENT, "x" * 65, "ö" * 33, True, False, [], {}, 1e100, -(10**100), 1e101, 1e300),
]


LISTS = [
    *kept([], ["x"], ["x", "x"], [""], ["x"] * 100, ["x" * 256], ["ö" * 128]),
    *all_are(INVALID, ["x"] * 101, ["x" * 257], ["ö" * 129], [1], [None], [["x"]], "x", "", {}, 1, True),
]


SESSION_FIELDS = {
    "session_id": names(1024, ABSENT),
    "student_id": names(1024, ABSENT),
    "tutor_id": names(1024, ABSENT),
    "subject": names(128, ABSENT),
}


TABLE: dict[str, dict[str, Values]] = {
    "session_started": SESSION_FIELDS,
    "session_completed": {
        **SESSION_FIELDS,
        "student_rating": [*numbers(5, scale=10_000), (4.12345, 41_234), (4.12335, 41_234), ("0.00005", 0)],
        "tutor_rating": numbers(5, scale=10_000),
        "completed_successfully": BOOLEANS,
    },
    "ib_call_logged": {"call_id": names(1024, ABSENT), "student_id": names(1024, MISSING)},
    "tutor_availability_updated": {
        "tutor_id": names(1024, MISSING),
        "available_hours_this_week": numbers(BILLION),
        "subjects": LISTS,
        "timezone": texts(64),
        "accepts_instant_book": BOOLEANS,
    },
    "customer_health_update": {
        "student_id": names(1024, MISSING),
        "health_score": numbers(100),
        "sessions_last_7_days": numbers(BILLION, whole=True),
        "sessions_last_30_days": numbers(BILLION, whole=True),
        "ib_calls_last_14_days": numbers(BILLION, whole=True),
        "avg_session_rating": UNCHECKED,
        "churn_risk": UNCHECKED,
    },
    "supply_demand_update": {
        "subject": names(128, MISSING),
        "region": names(128, ABSENT),
        "available_tutors": numbers(BILLION, whole=True),
        "active_students": numbers(BILLION, whole=True),
        "demand_score": numbers(BILLION),
        "supply_score": numbers(BILLION),
        "balance_status": texts(64),
    },
}
"""By event type and field: values with what becomes of them, a normalised value or how they are refused."""


LITERALS = [
    *("null", "true", "false", "[]", "{}", '["algebra"]', '{"a":1}', '""', '"x"', '" "', '"algebra"', '"high_demand"'),
    "0",
    "-0",
    "-0.0",
    "1",
    "7",
    "5",
    "5.0",
    "5.00001",
    "5.00000000000000001",
    "-1",
    "0.1",
    "3.3333",
    "4.12345",
    "100",
    "100.5",
    "1e2",
    "1E2",
    "1e400",
    "-1e400",
    "1e-400",
    "1e-120",
    "-1e-101",
    "1e-99",
    "1e23",
    "1e99",
    "1e101",
    *("1000000000", "1000000000.5", "1000000001", "123456789012345678901234567890", "9007199254740993", "1" * 41),
    *('"5"', '"5.0"', '" 5"', '"+5"', '"05"', '".5"', '"5."', '"1_0"', '"\u0665"', '"1e400"', '"-0"', '"NaN"', '"0x1"'),
    *("NaN", "-Infinity", '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', "01", "1.", "'x'", "1" * 1024, "1" * 5000),
    *(f'"{"x" * length}"' for length in (64, 65, 128, 129, 256, 257, 1024, 1025)),
    *(f'"{"ö" * length}"' for length in (32, 33, 64, 65, 512, 513)),
    *(json.dumps(["a"] * count) for count in (100, 101)),
]


TIMES = [
    *("null", '""', "0", "true", '"2026-11-23T10:00:00Z"', '"2026-11-23 09:59:59.9999"', '"2026-11-23T10:00+02"'),
    *('"2026-11-23T10:10:00.000Z"', '"2026-11-23T10:10:00.001Z"', '"2026-11-23T24:00"', '"2026-11-23T10:00:00,5"'),
    *('"2026-11-23T15:40:00+0530"', '"2026-11-23T10:00:00+01:75"', '"0001-01-01T00:00:00+01:00"', '"2026-11-23"'),
]


literals = st.sampled_from(LITERALS)


def objects(
    fields: dict[str, st.SearchStrategy[str]], least: dict[str, st.SearchStrategy[str]]
) -> st.SearchStrategy[str]:
    """JSON objects as text, so that numbers are written in every way there is."""
    return st.fixed_dictionaries(least, optional=fields).map(
        lambda given: "{" + ",".join(f'"{name}":{value}' for name, value in given.items()) + "}"
    )


def _records(event_type: str) -> st.SearchStrategy[str]:
    given = {name: st.just(f'"{value}"') for name, value in LEAST[event_type].items()}
    least = {name: valid | valid | literals for name, valid in given.items()}
    others = {name: literals for name in TABLE[event_type] if name not in least}
    times = st.sampled_from(TIMES)
    payload = objects(others | {"timestamp": times, "unknown": literals}, least)
    return objects(
        {"timestamp": times, "ingested_at": times},
        {"event_type": st.just(f'"{event_type}"'), "payload": payload | payload | payload | literals},
    )


records = st.one_of(*map(_records, TABLE)) | literals | objects({"payload": literals}, {"event_type": literals})
