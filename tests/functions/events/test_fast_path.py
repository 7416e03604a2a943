"""The shorter ways of decoding and validating: each leads where the longer one leads, and usual events take them."""

import base64
import binascii
import json
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.events import validate as validation
from functions.events.decode import decode
from functions.events.fields import RULES
from functions.events.times import parse_time
from functions.events.usual import Usual
from functions.events.validate import validate
from functions.model import InvalidRecord, from_iso
from proof import oracle
from tests.helpers.deployment import NOW, event_json, record
from tests.helpers.strategies import events
from tests.helpers.usual_events import USUAL
from tests.helpers.validation_table import LEAST, LITERALS, TABLE, TOLERANCE, records


def outcome(body: object) -> tuple[str, ...]:
    """An event or a refusal with every detail; `repr`, since 1, 1.0 and True are equal."""
    try:
        event = validate(body, 3, NOW, TOLERANCE)
    except InvalidRecord as refused:
        return refused.reason, refused.detail
    return event.event_type, repr(event.time_ms), event.identity, repr(sorted(event.fields.items()))


def the_longer_way(body: object) -> tuple[str, ...]:
    with patch.object(Usual, "fields", return_value=None):
        return outcome(body)


@given(records | events.map(bytes.decode))
def test_the_shorter_way_gives_what_the_longer_way_gives(text: str) -> None:
    try:
        body = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return
    assert outcome(body) == the_longer_way(body)


@pytest.mark.parametrize("event_type", TABLE)
def test_so_it_does_for_each_value_of_the_table_beside_anything_else(event_type: str) -> None:
    for name, values in TABLE[event_type].items():
        for value, _ in values:
            for others in (LEAST[event_type], {}, dict.fromkeys(TABLE[event_type]), {"health_score": "x"}):
                body = {"event_type": event_type, "payload": {**others, name: value}, "timestamp": None}
                assert outcome(body) == the_longer_way(body), body


@pytest.mark.parametrize("event_type", RULES)
def test_a_type_of_a_field_has_no_value_that_the_check_would_change(event_type: str) -> None:
    for name, check in RULES[event_type].checks.items():
        literals = [value for value, _ in TABLE[event_type][name]]
        for text in LITERALS:
            try:
                literals.append(msgspec.json.decode(text.encode()))
            except (msgspec.DecodeError, UnicodeError):
                continue
        taken = 0
        for value in literals:
            if check.as_is is None:
                continue
            try:
                same = msgspec.convert(value, check.as_is)
            except msgspec.ValidationError:
                continue
            taken += 1
            normalised = check.normalised(name, value)
            assert (type(same), same) == (type(normalised), normalised)
        assert taken > 0 or check.as_is is None


def takes_the_longer_way(body: object) -> bool:
    """Whether an event takes the longer way; either way gives the same."""
    expected = the_longer_way(body)
    with patch.object(validation, "_fields", side_effect=validation._fields) as longer:
        assert outcome(body) == expected
    return longer.called


@pytest.mark.parametrize("event_type", RULES)
@pytest.mark.parametrize("payloads", [USUAL, LEAST], ids=["usual", "least"])
def test_usual_events_need_no_longer_way(event_type: str, payloads: dict[str, dict[str, Any]]) -> None:
    payload = payloads[event_type] | {"timestamp": "2026-11-23T10:00:00.000Z", "source": "platform"}
    body = {"event_type": event_type, "payload": payload, "ingested_at": "2026-11-23T10:00:01.000Z"}
    assert not takes_the_longer_way(body)


@pytest.mark.parametrize(
    ("event_type", "field", "short", "long"),
    [
        ("ib_call_logged", "call_id", "x", "x" * 257),
        ("ib_call_logged", "call_id", "x" * 256, ""),
        ("supply_demand_update", "region", "x" * 32, "x" * 33),
        ("tutor_availability_updated", "subjects", ["", "x" * 64], ["x" * 65]),
        ("tutor_availability_updated", "subjects", [""] * 100, [""] * 101),
        ("supply_demand_update", "available_tutors", 0, -1),
        ("supply_demand_update", "available_tutors", 1_000_000_000, 1_000_000_001),
    ],
)
def test_a_value_takes_the_longer_way_where_its_type_cannot_tell_that_it_is_allowed(
    event_type: str, field: str, short: object, long: object
) -> None:
    for value, is_longer in ((short, False), (long, True)):
        body = {"event_type": event_type, "payload": LEAST[event_type] | {field: value}}
        assert takes_the_longer_way(body) == is_longer, value


# -- times ------------------------------------------------------------------------------------------------------------

TIMES = [
    "2026-11-23T10:00:00.125Z",
    "2026-11-23T10:00:00Z",
    "2026-11-23T10:00:00",
    "2026-11-23T10:00:00.125",
    "2026-11-23T10:00:00.125+05:30",
    "2026-11-23T10:00:00.125678-08:00",
    "2026-11-23T10:00:00+00:00",
    "0001-01-01T00:00:00.001+00:01",
    "9999-12-31T23:59:59.999-00:01",
    "2024-02-29T23:59:59.999Z",
    "2026-11-23 10:00",
    "2026-11-23T10:00+0530",
    "2026-W48-1T10:00:00.123Z",
    "2026-11-23T10:00:00+01:00:00",
]


@st.composite
def nearly_times(draw: st.DrawFn) -> str:
    """Times with up to three characters replaced, put in or taken out."""
    text = list(draw(st.sampled_from(TIMES)))
    for _ in range(draw(st.integers(0, 3))):
        at, put = draw(st.integers(0, len(text))), draw(st.sampled_from([*"0123569-:+.,ZTtzW \n\u0663\u00b2", ""]))
        text[at : at + draw(st.integers(0, 1))] = put
    return "".join(text)


@given(nearly_times())
def test_a_time_is_read_or_refused_as_the_recomputation_does(text: str) -> None:
    expected = oracle.time_ms(text)
    if expected is None:
        with pytest.raises(InvalidRecord):
            parse_time("timestamp", text)
    else:
        assert parse_time("timestamp", text) == expected


@pytest.mark.parametrize("year", [1, 1582, 1969, 1970, 2026, 9999])
@pytest.mark.parametrize("ms", [0, 1, 7, 123, 499, 500, 501, 998, 999])
def test_no_millisecond_is_lost_on_the_way(year: int, ms: int) -> None:
    text = f"{year:04d}-12-31T23:59:59.{ms:03d}"
    assert parse_time("t", f"{text}Z") == parse_time("t", f"{text}000+00:00") == from_iso(f"{text}+00:00")


# -- base64 -----------------------------------------------------------------------------------------------------------

pieces = st.sampled_from(["A", "a", "9", "+", "/", "=", "==", "-", "_", " ", "\n", "\0", "é", "e30=", "e30"])


@given(st.lists(pieces, max_size=12).map("".join))
def test_base64_is_taken_as_strictly_as_the_standard_library_takes_it(data: str) -> None:
    try:
        binascii.a2b_base64(data, strict_mode=True)
        is_strict = True
    except ValueError:
        is_strict = False
    (rejection,) = decode([msgspec.structs.replace(record(b""), data=data)], TOLERANCE).rejections
    assert (rejection.reason != "not_base64") == is_strict


@given(st.binary(max_size=40))
def test_what_is_in_it_is_all_there(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    body = event_json("ib_call_logged", {"student_id": f"{text}x"})
    (event,) = decode([record(body)], TOLERANCE).events
    assert event.fields == {"student_id": json.loads(body)["payload"]["student_id"]}
