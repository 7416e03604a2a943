"""Validation: the contract's table of fields, line by line, and agreement with the recomputation on anything at all."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from functions.events.decode import decode
from functions.events.fields import RULES
from functions.events.times import parse_time
from functions.events.validate import validate
from functions.model import Event, InvalidRecord, to_iso
from proof import oracle
from tests.helpers.deployment import NOW, record
from tests.helpers.validation_table import ABSENT, INVALID, LEAST, MISSING, TABLE, TOLERANCE, records


def taken(event_type: str, payload: object, *, arrival: int = NOW, **envelope: Any) -> Event:
    return validate({"event_type": event_type, "payload": payload} | envelope, 3, arrival, TOLERANCE)


def refusal(event_type: str, payload: object, **envelope: Any) -> tuple[str, str]:
    with pytest.raises(InvalidRecord) as refused:
        taken(event_type, payload, **envelope)
    return refused.value.reason, refused.value.detail


SESSIONS = {"session_started", "session_completed"}
REQUIRED = [(event_type, name) for event_type, least in LEAST.items() for name in least if event_type not in SESSIONS]


@pytest.mark.parametrize(
    ("event_type", "name"), [(event_type, name) for event_type, fields in TABLE.items() for name in fields]
)
def test_a_field_is_taken_or_refused_as_the_contract_says(event_type: str, name: str) -> None:
    least = {"student_id": "s", "tutor_id": "t"} if event_type in SESSIONS else LEAST[event_type]
    for value, becomes in TABLE[event_type][name]:
        payload = least | {name: value}
        if becomes in (INVALID, MISSING):
            assert refusal(event_type, payload)[0] == becomes, value
            continue
        fields = taken(event_type, payload).fields
        assert fields.get(name, ABSENT) == becomes, value
        if isinstance(becomes, float) and becomes.is_integer():
            assert isinstance(fields[name], int), value
        assert not isinstance(fields.get(name), bool) or becomes in (True, False), value


def test_the_table_has_every_field_that_is_checked() -> None:
    assert {event_type: set(fields) for event_type, fields in TABLE.items()} == {
        event_type: set(rule.checks) for event_type, rule in RULES.items()
    }


@pytest.mark.parametrize(("event_type", "name"), REQUIRED)
def test_a_required_field_must_be_given(event_type: str, name: str) -> None:
    without = {each: value for each, value in LEAST[event_type].items() if each != name}
    assert refusal(event_type, without) == (MISSING, f"{event_type} has no {name}")
    assert refusal(event_type, without | {name: None})[0] == MISSING


@pytest.mark.parametrize("event_type", sorted(SESSIONS))
def test_a_session_names_a_student_or_a_tutor(event_type: str) -> None:
    for payload in ({}, {"student_id": "", "tutor_id": None}, {"session_id": "s1"}):
        assert refusal(event_type, payload) == (MISSING, f"{event_type} has none of student_id, tutor_id")
    assert taken(event_type, {"student_id": "s", "tutor_id": ""}).fields == {"student_id": "s"}
    assert taken(event_type, {"student_id": None, "tutor_id": 7}).fields == {"tutor_id": "7"}


@pytest.mark.parametrize("event_type", LEAST)
def test_what_is_not_required_may_be_missing_or_null_and_what_is_not_known_is_ignored(event_type: str) -> None:
    nulls = dict.fromkeys(TABLE[event_type]) | LEAST[event_type]
    event = taken(event_type, nulls | {"source": 1, "reason": {}, "session_type": [], "timestamp": None}, extra=1)
    assert event.fields == LEAST[event_type]
    assert (event.record, event.event_type, event.time_ms) == (3, event_type, NOW)


@pytest.mark.parametrize("body", [None, [], [{}], "x", 1, 1.5, True])
def test_a_record_must_be_an_object(body: object) -> None:
    with pytest.raises(InvalidRecord, match="allowed: a JSON object") as refused:
        validate(body, 0, NOW, TOLERANCE)
    assert refused.value.reason == "not_object"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, MISSING),
        ({"event_type": None, "payload": {}}, MISSING),
        ({"event_type": "", "payload": {}}, "unknown_event_type"),
        ({"event_type": "Session_Started", "payload": {}}, "unknown_event_type"),
        ({"event_type": ["session_started"], "payload": {}}, "unknown_event_type"),
        ({"event_type": 1, "payload": {}}, "unknown_event_type"),
        ({"event_type": "session_started"}, MISSING),
        ({"event_type": "session_started", "payload": None}, MISSING),
        ({"event_type": "session_started", "payload": []}, INVALID),
        ({"event_type": "session_started", "payload": "{}"}, INVALID),
        ({"event_type": "session_started", "payload": False}, INVALID),
    ],
)
def test_the_envelope_must_have_a_known_type_and_a_payload(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRecord) as refused:
        validate(body, 0, NOW, TOLERANCE)
    assert refused.value.reason == reason


def test_a_refusal_names_the_field_its_value_and_what_is_allowed() -> None:
    payload = LEAST["customer_health_update"] | {"health_score": "101"}
    detail = "health_score is '101', allowed: a number from 0 to 100"
    assert refusal("customer_health_update", payload) == (INVALID, detail)
    payload = LEAST["customer_health_update"] | {"sessions_last_7_days": 1.5}
    detail = "sessions_last_7_days is 1.5, allowed: a whole number from 0 to 1,000,000,000"
    assert refusal("customer_health_update", payload) == (INVALID, detail)


def test_a_refusal_quotes_no_more_than_a_bit_of_a_value() -> None:
    for value in ("x" * 100_000, ["x"] * 100_000, {"x": "y" * 100_000}, 10**4_000):
        assert len(refusal("ib_call_logged", {"student_id": "s", "call_id": [value]})[1]) < 200


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00:00", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23 10:00:00", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00Z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00:00.1Z", "2026-11-23T10:00:00.100Z"),
        ("2026-11-23T10:00:00.9999", "2026-11-23T10:00:00.999Z"),
        ("2026-11-23T10:00:00.123456789Z", "2026-11-23T10:00:00.123Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2026-11-23T10:00:00+01:00", "2026-11-23T09:00:00.000Z"),
        ("2026-11-23T10:00:00-0530", "2026-11-23T15:30:00.000Z"),
        ("2026-11-23T10:00+02", "2026-11-23T08:00:00.000Z"),
        ("2026-11-23 10:00:00.5-00:00", "2026-11-23T10:00:00.500Z"),
        ("2026-11-23T10:00:00+23:59", "2026-11-22T10:01:00.000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_iso_date_and_time_of_day_is_a_time(text: str, utc: str) -> None:
    assert to_iso(parse_time("timestamp", text)) == utc


NO_TIMES = [
    "",
    " ",
    "now",
    "2026-11-23",
    "10:00:00",
    "20261123T100000Z",
    "2026-W48-1T10:00:00Z",
    "2026-W48-1T10:00:00.123Z",
    "2026-327T10:00:00Z",
    "2026-11-23t10:00:00Z",
    "2026-11-23T10:00:00z",
    "2026-11-23_10:00:00",
    "2026-11-23  10:00",
    "2026-11-23T10",
    "2026-11-23T10:00:00,5Z",
    "2026-11-23T10:00:00.Z",
    "2026-11-23T10:00.5Z",
    "2026-11-23T1000Z",
    "2026-11-23T10:00:00 Z",
    " 2026-11-23T10:00:00Z",
    "2026-11-23T10:00:00Z\n",
    "2026-11-23T10:00:00ZZ",
    "2026-11-23T10:00+1",
    "2026-11-23T10:00+1:00",
    "2026-11-23T10:00+01:00:00",
    "2026-11-23T10:00 +01:00",
    "2026-11-23T10:00+24:00",
    "2026-11-23T10:00+01:60",
    "2026-11-23T10:00\u221201:00",
    "2026-11-23T10:00UTC",
    "2026-13-01T10:00:00Z",
    "2026-00-01T10:00:00Z",
    "2026-02-29T10:00:00Z",
    "2026-11-31T10:00:00Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T10:60:00Z",
    "2026-11-23T10:00:60Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "\u0662\u0660\u0662\u0666-11-23T10:00:00Z",
    *("2026-11-23T10:00:00Z " * 999, 0, NOW, 1.5, True, False, [], {}, ["2026-11-23T10:00:00Z"]),
]


@pytest.mark.parametrize("value", NO_TIMES)
def test_anything_else_is_no_time(value: object) -> None:
    reason, detail = refusal("ib_call_logged", {"student_id": "s"}, timestamp=value)
    assert reason == "bad_timestamp"
    assert detail.startswith("timestamp is ")
    assert len(detail) < 200


EARLIER, EARLIEST, ANCIENT = (to_iso(NOW - off) for off in (1, 2, 3))


@pytest.mark.parametrize(
    ("timestamp", "inner", "ingested_at", "time"),
    [
        (EARLIER, EARLIEST, ANCIENT, NOW - 1),
        (None, EARLIEST, ANCIENT, NOW - 2),
        (None, None, ANCIENT, NOW - 3),
        (None, None, None, NOW),
        (EARLIER, "yesterday", "yesterday", NOW - 1),
        (None, EARLIEST, "yesterday", NOW - 2),
        ("", EARLIEST, ANCIENT, None),
        (False, EARLIEST, ANCIENT, None),
        (None, "yesterday", ANCIENT, None),
        (None, None, 0, None),
    ],
)
def test_the_event_time_is_the_first_that_is_given(
    timestamp: object, inner: object, ingested_at: object, time: int | None
) -> None:
    payload = {"student_id": "s", "timestamp": inner}
    envelope: dict[str, Any] = {"timestamp": timestamp, "ingested_at": ingested_at}
    if time is None:
        assert refusal("ib_call_logged", payload, **envelope)[0] == "bad_timestamp"
    else:
        assert taken("ib_call_logged", payload, **envelope).time_ms == time


def test_a_bad_time_is_named_for_where_it_stands() -> None:
    assert refusal("ib_call_logged", {"student_id": "s", "timestamp": 5})[1].startswith("payload.timestamp is 5,")
    assert refusal("ib_call_logged", {"student_id": "s"}, ingested_at=5)[1].startswith("ingested_at is 5,")


def test_an_event_may_be_ten_minutes_ahead_of_its_arrival_and_not_a_millisecond_more() -> None:
    least = LEAST["ib_call_logged"]
    assert taken("ib_call_logged", least, timestamp=to_iso(NOW + TOLERANCE)).time_ms == NOW + TOLERANCE
    assert refusal("ib_call_logged", least, timestamp=to_iso(NOW + TOLERANCE + 1)) == (
        "future_timestamp",
        "the event's time 2026-11-23T10:10:00.001Z is more than 600 seconds after its arrival 2026-11-23T10:00:00.000Z",
    )


def test_what_a_record_lacks_is_said_before_what_is_wrong_in_it_and_its_time_last() -> None:
    assert refusal("customer_health_update", {"student_id": [], "timestamp": 1})[0] == MISSING
    assert refusal("customer_health_update", {"student_id": [], "health_score": 1, "timestamp": 1})[0] == INVALID
    assert refusal("customer_health_update", {"student_id": 1, "health_score": 1, "timestamp": 1})[0] == "bad_timestamp"


# -- identity ---------------------------------------------------------------------------------------------------------


def identity(event_type: str, payload: dict[str, Any], **envelope: Any) -> str:
    return taken(event_type, LEAST[event_type] | payload, **envelope).identity


@pytest.mark.parametrize(
    ("event_type", "name"),
    [("session_started", "session_id"), ("session_completed", "session_id"), ("ib_call_logged", "call_id")],
)
def test_a_thing_is_its_id_whatever_else_is_said_of_it(event_type: str, name: str) -> None:
    assert identity(event_type, {name: "7"}) == "id:7"
    assert identity(event_type, {name: 7, "subject": "x"}, timestamp=EARLIER) == "id:7"
    assert identity(event_type, {name: "07"}) != "id:7"


def test_started_and_completed_of_one_session_are_one() -> None:
    assert identity("session_started", {"session_id": 7}) == identity("session_completed", {"session_id": "7"})


@pytest.mark.parametrize(("event_type", "name"), [("session_started", "session_id"), ("ib_call_logged", "call_id")])
def test_without_an_id_a_thing_is_its_type_time_and_payload(event_type: str, name: str) -> None:
    content = identity(event_type, {"a": 1, "b": [2]}, timestamp=EARLIER)
    assert content.startswith("content:")
    assert identity(event_type, {"b": [2], "a": 1}, timestamp=EARLIER, ingested_at=ANCIENT, x=1) == content
    assert identity(event_type, {"a": 1, "b": [2]}, timestamp=EARLIER.replace("Z", "+00:00")) == content
    others = [
        identity(event_type, {"a": 1, "b": [2]}, timestamp=EARLIEST),
        identity(event_type, {"a": 1, "b": [3]}, timestamp=EARLIER),
        identity(event_type, {"a": 1, "b": [2], name: ""}, timestamp=EARLIER),
        identity(event_type, {"a": 1, "b": [2], name: None}, timestamp=EARLIER),
        identity(event_type, {"a": 1, "b": [2], name: content}, timestamp=EARLIER),
        identity("session_completed", {"student_id": "stu_1", "a": 1, "b": [2]}, timestamp=EARLIER),
    ]
    assert len({content, *others}) == 7


def test_the_identity_of_content_never_changes() -> None:
    payload = {"duration_seconds": 61.5, "reason": "Übung", "student_id": "stu_1"}
    assert identity("ib_call_logged", payload, timestamp="2026-11-23T10:00:00Z") == (
        "content:3563d3ae74d68ce45d5889a7dcf6a959"
    )


# -- against the recomputation ----------------------------------------------------------------------------------------


@given(records)
def test_the_recomputation_takes_and_refuses_the_same_records_and_reads_the_same_in_them(text: str) -> None:
    data = text.encode()
    batch = decode([record(data)], TOLERANCE)
    refused = [rejection.reason for rejection in batch.rejections]
    try:
        expected: oracle.Event | oracle.Rejected = oracle.accept(oracle.Record(data, NOW, "0"))
    except oracle.Rejected as rejected:
        expected = rejected
    if isinstance(expected, oracle.Rejected):
        assert refused == [expected.reason]
        return
    assert refused == []
    (event,) = batch.events
    assert (event.event_type, event.time_ms) == (expected.event_type, expected.time)
    read = dict(event.fields)
    for name in ("student_id", "tutor_id", "subject", "region"):
        default = oracle.UNSPECIFIED_REGION if name == "region" and expected.region else None
        assert read.pop(name, default) == getattr(expected, name)
    for name in ("student_rating", "tutor_rating"):
        rating = read.pop(name, None)
        assert getattr(expected, name) == (None if rating is None else Decimal(rating) / 10_000)
    for name in ("session_id", "call_id", "completed_successfully"):
        read.pop(name, None)
    assert read == expected.register
    assert {name: type(value) for name, value in read.items()} == {
        name: type(value) for name, value in expected.register.items()
    }
