"""Decoding: what is no JSON object in UTF-8 in base64 is refused with its reason, and stops nothing beside it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from functions.events.decode import Batch, decode, read_records
from functions.model import Record
from tests.helpers.deployment import NOW, delivery, event_json, record

TOLERANCE = 600_000
CALL = event_json("ib_call_logged", {"student_id": "stu_1", "call_id": "c1"})
AGGREGATED = b"\xf3\x89\x9a\xc2" + b"\n\x0fsession_started\x1a\x25\x08\x00" + CALL + bytes(range(16))
"""Records as the Kinesis Producer Library aggregates them: a magic number, protobuf, an MD5."""


def decoded(*records: Record | bytes) -> Batch:
    return decode([each if isinstance(each, Record) else record(each) for each in records], TOLERANCE)


def with_text(text: str) -> bytes:
    """A call with a JSON value, as text, in a field that nobody looks at."""
    return b'{"event_type":"ib_call_logged","payload":{"student_id":"s","call_id":"c","x":%s}}' % text.encode()


@pytest.mark.parametrize("data", ["=", "e30", "e30=e30=", "e3 0=", "e30=\n", "e30*", "é30=", "\ud800", "e30\0"])
def test_what_is_not_strictly_base64_is_refused(data: str) -> None:
    (rejection,) = decoded(replace(record(b""), data=data)).rejections
    assert rejection.reason == "not_base64"
    assert repr(data) in rejection.detail


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b'{"a":"\xc3"}', b'"\xed\xa0\x80"', b"\xc0\x80", CALL.decode().encode("utf-16"), AGGREGATED]
)
def test_what_is_not_utf8_is_refused(data: bytes) -> None:
    assert [rejection.reason for rejection in decoded(data).rejections] == ["not_utf8"]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b" ", b"not json", b"\xef\xbb\xbf" + CALL, CALL + b"}", CALL * 2, CALL[:-1], b"\0" + CALL),
        *map(with_text, ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000, "01", ".5", "1.", "+1", "0x1")),
        *map(with_text, ('"\\ud800"', '"\\udc00\\ud800"', '"\\x"', '"\n"', "'a'", "[1,]", "{a:1}", "{1:1}", "/**/1")),
        b'{"\\ud800":1}',
    ],
)  # fmt: skip
def test_what_is_not_json_as_the_standard_has_it_is_refused(data: bytes) -> None:
    assert [rejection.reason for rejection in decoded(data).rejections] == ["not_json"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}"), ('[{"x":', "}]")])
def test_what_is_nested_ten_thousand_deep_is_refused(opening: str, closing: str) -> None:
    text = opening * 10_000 + "1" + closing * 10_000
    nested = [text.encode(), with_text(text), with_text(text).replace(b'"call_id":"c",', b""), text[:10_000].encode()]
    assert [rejection.reason for rejection in decoded(*nested).rejections] == ["not_json"] * 4


@pytest.mark.parametrize(
    "text", ["1e-400", "1" * 400, '"\\ud83d\\ude00"', '"\\u0000"', "[" * 100 + "]" * 100, '{"x":1,"x":2}', "-0.0"]
)
def test_unusual_json_is_taken(text: str) -> None:
    assert decoded(with_text(text)).rejections == []


def test_white_space_around_an_event_is_nothing() -> None:
    assert len(decoded(b" \t\r\n" + CALL + b"\n").events) == 1


def test_a_refusal_quotes_no_more_than_a_bit_of_the_data() -> None:
    long = b"x" * 1_000_000
    for data in (long, b"\xff" + long, with_text("9" * 100_000)):
        assert len(decoded(data).rejections[0].detail) < 250
    assert len(decoded(replace(record(b""), data="*" * 1_000_000)).rejections[0].detail) < 250


BAD = [b"", b"\xff", b"[]", b'{"event_type":"coffee_break","payload":{}}', AGGREGATED, b"[" * 10_000]


@given(st.lists(st.sampled_from([CALL, CALL, *BAD])))
def test_a_bad_record_never_stops_its_neighbours_and_order_is_kept(stream: list[bytes]) -> None:
    batch = decoded(*stream)
    assert [event.record for event in batch.events] == [each for each, data in enumerate(stream) if data == CALL]
    assert [rejection.record for rejection in batch.rejections] == [
        each for each, data in enumerate(stream) if data != CALL
    ]


def test_a_record_is_read_as_the_mapping_delivers_it() -> None:
    sent = record(CALL, 7, NOW + 1)
    assert read_records(delivery([sent, sent])["Records"]) == [sent, sent]


@pytest.mark.parametrize("off", [0, 1, 499, 999])
def test_arrival_times_are_kept_to_the_millisecond(off: int) -> None:
    (read,) = read_records(delivery([record(b"", 0, NOW + off)])["Records"])
    assert read.arrival_ms == NOW + off


def test_sequence_numbers_are_told_in_the_order_of_the_stream() -> None:
    batch = decoded(*(record(CALL, 100 - position) for position in range(5)))
    assert batch.sequence_numbers({3, 0, 4}) == [f"{number:021d}" for number in (100, 97, 96)]
    assert batch.sequence_numbers(set()) == []


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    batch = decoded(replace(record(b""), data=base64.b64encode(data).decode()))
    assert len(batch.events) + len(batch.rejections) == 1
