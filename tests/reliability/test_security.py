"""What a record says stays a value: no statement's text, no key outside its field, no line of a log, no path in S3.

And it is bounded. Most limits have a test where they are made: lengths and ranges of fields, 100 subjects of 256 bytes
(`test_validate`), 200 regions of a subject (`test_registers`, `test_handler`), 18 notifications waiting and 20 regions
named in one (`test_alerts`), rows and bytes of facts (`test_folding`), quotations of bad data (`test_decode`). Here is
what they come to together.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from logging import StreamHandler
from typing import Any, TextIO, cast
from unittest import mock

import pytest

from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.update import Processor
from functions.entities.alerts import MOST_IN_OUTBOX
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import from_attribute
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.events.fields import RULES
from functions.model import DAY_MS, HOUR_MS, EntityKey, to_iso
from proof.oracle import Rules
from proof.world import BEGINNING, EVERY_ALERT, STATE, World, world
from tests.helpers.deployment import Deployment, deployed, record
from tests.helpers.faulty_aws import Faults, down
from tests.helpers.hard_cases import stored_bytes
from tests.helpers.logs import Logs

PLAIN = "plain"
HOSTILE = {
    "single quotes": "' OR '1'='1",
    "double quotes": '" = ? SET "version" = ? --',
    "a statement": '\'; DELETE FROM "metrics" WHERE "entity_id" = \'1',
    "the end of a tuple": "': ?}] INSERT INTO \"metrics\" VALUE {'a",
    "braces": "}{}}{{0}{x.__class__}",
    "line breaks": 'a\r\n{"level":"ERROR"}\n\u2028\u2029\x85\v\f',
    "a lookup": "${jndi:ldap://example.com/a}",
    "a path": "../../../aws/lambda/x.json",
    "an absolute path": "/records/shardId-000000000000/1.json",
    "NUL": "\0",
    "control characters": "\x1b[31m\x07\x08\x7f",
    "right to left": "\u202egnp.exe\u2066",
    "no characters": "\ufeff\u200b\ufffe",
    "four bytes": "\U0001f4a3" * 16,
    "JSON": '{"entity_id": "x", "alerts": {}}',
    "escaped JSON": '\\"}, "status": "resolved", "x": "\\u0022',
    "formats": "%s%n%(name)s%1000000d",
    "a placeholder": "?",
    "an attribute": "version",
    "a register's time": "updated_at",
    "a dunder": "__proto__",
    "a number": "1e999",
    "null": "null",
    "space": " ",
    "64 bytes": "x" * 64,
}
"""At most 64 bytes each, so that every field takes them."""


def events_saying(text: str, time_ms: int) -> list[bytes]:
    """One event of each type, with the text in every field that takes one."""
    names = dict.fromkeys(("session_id", "student_id", "tutor_id", "subject", "call_id", "region"), text)
    payloads: dict[str, dict[str, Any]] = {
        "session_started": {},
        "session_completed": {"student_rating": 4, "tutor_rating": 5, "completed_successfully": True},
        "ib_call_logged": {"reason": text},
        "customer_health_update": {"health_score": 40, "churn_risk": text, "avg_session_rating": text},
        "tutor_availability_updated": {"timezone": text, "subjects": [text, text], "available_hours_this_week": 5},
        "supply_demand_update": {"balance_status": text, "demand_score": 9},
    }
    made = [
        {
            "event_type": event_type,
            "timestamp": to_iso(time_ms),
            "payload": {**names, **payload, text: text},
            text: text,
        }
        for event_type, payload in payloads.items()
    ]
    high = {**names, "region": text + text, "balance_status": "high_demand"}
    made.append({"event_type": "supply_demand_update", "timestamp": to_iso(time_ms + 1), "payload": high})
    return [json.dumps(each).encode() for each in made]


def refused_events_saying(text: str) -> list[bytes]:
    """Events that are refused, with the text where it makes them so."""
    made = [
        {"event_type": text, "payload": {}},
        {"event_type": "ib_call_logged", "payload": text},
        {"event_type": "ib_call_logged", "payload": {"student_id": [text]}},
        {"event_type": "ib_call_logged", "payload": {"student_id": "stu_1"}, "timestamp": text},
        {"event_type": "customer_health_update", "payload": {"student_id": "stu_1", "health_score": text}},
        [text],
        text,
    ]
    return [json.dumps(each).encode() for each in made] + [text.encode() * 2]


class Calls:
    """The arguments of every call to AWS, by operation."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []

    def of(self, operation: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.made if name == operation]

    def statements(self) -> list[dict[str, Any]]:
        return [each for call in self.of("batch_execute_statement") for each in call["Statements"]]

    def wakes(self) -> list[dict[str, Any]]:
        requests = [each for call in self.of("batch_write_item") for each in call["RequestItems"][STATE]]
        return [each["PutRequest"]["Item"] for each in requests if "PutRequest" in each]


@contextmanager
def noted(here: World) -> Iterator[Calls]:
    """Notes every call that the functions make."""
    calls, make = Calls(), here.memory.client

    class Noting:
        def __init__(self, service: Any) -> None:
            self.service = service

        def __getattr__(self, operation: str) -> Any:
            call = getattr(self.service, operation)
            if operation == "get_paginator":
                return call

            def note(**arguments: Any) -> Any:
                calls.made.append((operation, arguments))
                return call(**arguments)

            return note

    with mock.patch.object(here.memory, "client", lambda service: Noting(make(service))):
        yield calls


@contextmanager
def one_lane() -> Iterator[None]:
    """Wakes are in the same lane whatever their entities are called."""
    with mock.patch.dict("os.environ", WAKE_LANES="1"):
        yield


def life_of(text: str) -> tuple[Calls, World]:
    """Entities that are all called so are made, change, alert, and fade away."""
    with world() as here, one_lane(), noted(here) as calls:
        for day in range(2):
            for data in events_saying(text, here.now_ms):
                here.put(text, data)
            here.mapping.drain()
            here.now_ms += DAY_MS
            here.roll()
            assert not here.memory.objects, day
        here.settle()
        here.check()
        return calls, here


def renamed(value: Any, text: str) -> Any:
    """What was made of the plain text as it must be with another one: it stands in its place and nothing else moves."""
    match value:
        case dict():
            return {renamed(name, text): renamed(each, text) for name, each in value.items()}
        case list():
            return [renamed(each, text) for each in value]
        case str():
            return {PLAIN: text, PLAIN + PLAIN: text + text}.get(value, value)
        case _:
            return value


HASHED = {"facts", "first_session", "alerts"}
"""Attributes with a hash of what the entity or its sessions are called."""


@pytest.fixture(scope="module")
def plain() -> tuple[Calls, World]:
    return life_of(PLAIN)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_a_record_says_is_a_value_wherever_it_goes(text: str, plain: tuple[Calls, World]) -> None:
    calls, here = life_of(text)
    expected_calls, expected = plain

    # The texts of statements are the code's own: the same for any record; all else is a parameter.
    statements, expected_statements = calls.statements(), expected_calls.statements()
    assert [each["Statement"] for each in statements] == [each["Statement"] for each in expected_statements]
    assert {each["Statement"].count("?") - len(each["Parameters"]) for each in statements} == {0}

    # In items it is a value, or the name of a region or subject where those are kept by name.
    assert set(here.memory.items) == {(kind, renamed(name, text)) for kind, name in expected.memory.items}
    for (kind, name), item in expected.memory.items.items():
        found = here.memory.items[kind, renamed(name, text)]
        assert found.keys() == item.keys()
        assert found["alerts"]["M"].keys() == item["alerts"]["M"].keys()
        for attribute in item.keys() - HASHED:
            assert from_attribute(found[attribute]) == renamed(from_attribute(item[attribute]), text), attribute

    # In wakes it is one of the ids; their keys have a hash of it.
    assert [from_attribute(wake["entities"]) for wake in calls.wakes()] == [
        renamed(from_attribute(wake["entities"]), text) for wake in expected_calls.wakes()
    ]
    for wake in calls.wakes():
        assert wake["pk"]["S"] == "wake#0"
        assert re.fullmatch(r"\d{12}#[0-9a-f]{16}", wake["sk"]["S"])

    # On the bus it is inside a value of the Detail.
    assert len(here.memory.events) == len(expected.memory.events)
    for entry, expected_entry in zip(here.memory.events, expected.memory.events, strict=True):
        assert {**entry, "Detail": ""} == {**expected_entry, "Detail": ""}
        detail, expected_detail = (json.loads(each["Detail"]) for each in (entry, expected_entry))
        ids = dict.fromkeys(("alert_id", "episode_id"))
        message = expected_detail["message"].replace(PLAIN, text)
        assert detail | ids == renamed(expected_detail, text) | ids | {"message": message}
        assert detail["entity_id"] == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_quarantined_record_chooses_neither_its_key_nor_what_stands_beside_it(text: str) -> None:
    with world() as here:
        records = [here.put(text * 4, data) for data in refused_events_saying(text)]
        here.settle()
        assert list(here.memory.objects) == [f"records/{each.shard_id}/{each.sequence_number}.json" for each in records]
        assert all(re.fullmatch(r"records/shardId-\d{12}/\d{56}\.json", key) for key in here.memory.objects)
        for sent, body in zip(records, here.memory.objects.values(), strict=True):
            kept = json.loads(body)
            assert kept.keys() == {
                "reason",
                "detail",
                "data",
                "partition_key",
                "sequence_number",
                "shard_id",
                "arrival_time",
                "event_source_arn",
            }
            assert kept["reason"] in {
                "not_json",
                "not_object",
                "unknown_event_type",
                "missing_field",
                "invalid_field",
                "bad_timestamp",
            }
            assert (kept["partition_key"], kept["sequence_number"]) == (text * 4, sent.sequence_number)
            assert len(kept["detail"]) < 300
        here.check()


# -- logs -------------------------------------------------------------------------------------------------------------


@contextmanager
def logged(level: str) -> Iterator[tuple[Deployment, Faults, Logs]]:
    """The functions over faults, logging at a level."""
    handler = cast("StreamHandler[TextIO]", logger.registered_handler)
    logs, before, level_before = Logs(), handler.stream, logger.log_level
    with deployed() as deployment:
        faults = Faults(deployment.aws)
        handler.setStream(logs.stream)
        logger.setLevel(level)
        try:
            with mock.patch("functions.aws.clients.make", faults.client), one_lane():
                yield deployment, faults, logs
        finally:
            logger.setLevel(level_before)
            handler.setStream(before)


OPERATIONS = ("batch_get_item", "batch_execute_statement", "put_events", "put_object")


def everything_that_is_logged(level: str, batch: list[bytes]) -> str:
    """The log of deliveries and rolls that go well, and of such that fail at each of their operations."""
    with logged(level) as (deployment, faults, logs):
        for operation in (None, *OPERATIONS):
            deployment.aws.items.clear()
            for step in (lambda: deployment.deliver(*batch), lambda: deployment.roll()):
                if operation:
                    faults.planned[operation] = [None, down] if operation == "batch_execute_statement" else [down] * 99
                step()
                faults.planned.clear()
        deployment.clock.ms += 15 * DAY_MS
        faults.planned["batch_get_item"] = [down] * 99
        with pytest.raises(RuntimeError):
            deployment.roll()
        return logs.stream.getvalue()


def lines_of(text: str) -> list[dict[str, Any]]:
    """Every line, each of which is a JSON object. A line ends at a line feed, as CloudWatch has it."""
    lines = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    assert all(isinstance(line, dict) for line in lines)
    return lines


def structure(lines: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    return [(line["level"], line["message"], list(line)) for line in lines]


def batch_saying(text: str) -> list[bytes]:
    return [*events_saying(text, BEGINNING - HOUR_MS), *refused_events_saying(text)[:-1]]


@pytest.fixture(scope="module")
def plain_lines() -> list[dict[str, Any]]:
    return lines_of(everything_that_is_logged("DEBUG", batch_saying(PLAIN)))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_line_of_the_log_is_one_object_of_the_same_structure_whatever_records_say(
    text: str, plain_lines: list[dict[str, Any]]
) -> None:
    lines = lines_of(everything_that_is_logged("DEBUG", batch_saying(text)))
    assert structure(lines) == structure(plain_lines)
    named = [line["entity_id"] for line in lines if line["level"] == "ERROR" and "entity_id" in line]
    assert named
    assert set(named) <= {text, text + text}


def test_nothing_of_a_payload_is_logged_but_the_ids_of_entities_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    ids = {name: f"MARK-{name}" for name in ("student_id", "tutor_id", "subject", "region")}
    numbers = {
        **dict.fromkeys(("demand_score", "supply_score", "available_hours_this_week", "health_score"), 31.73951),
        **dict.fromkeys(("student_rating", "tutor_rating"), 3.7395),
        **dict.fromkeys(("sessions_last_7_days", "sessions_last_30_days", "ib_calls_last_14_days"), 173951),
        **dict.fromkeys(("available_tutors", "active_students", "duration_seconds"), 273951),
    }
    texts = {
        name: f"MARK-{name}"
        for name in (
            "session_id",
            "call_id",
            "balance_status",
            "timezone",
            "churn_risk",
            "avg_session_rating",
            "reason",
            "source",
            "session_type",
            "priority",
            "anything_else",
        )
    }
    payload = {**ids, **numbers, **texts, "subjects": ["MARK-subjects"]}
    batch = [
        json.dumps({"event_type": event_type, "MARK-envelope": "MARK-envelope", "payload": payload}).encode()
        for event_type in RULES
    ]
    for broken in ("student_id", "health_score", "timestamp"):
        body = {"event_type": "customer_health_update", "payload": {**payload, broken: ["MARK-broken"]}}
        batch.append(json.dumps(body).encode())
    batch += [b"MARK-no-json", b'["MARK-no-object"]', b'{"event_type": "MARK-event-type", "payload": {}}']

    text = everything_that_is_logged("INFO", batch)
    markers = {*re.findall(r"MARK-\w+|73951|\d\.7395", b"".join(batch).decode())}
    assert len(markers) > 20
    for line in lines_of(text):
        found = {marker for marker in markers if marker in json.dumps(line)}
        assert found <= ({*ids.values()} if line["level"] in ("WARNING", "ERROR") else set()), line
        assert not found or {key for key, value in line.items() if "MARK" in str(value)} == {"entity_id"}, line
    assert '"level":"ERROR"' in text
    printed = capsys.readouterr()
    assert "_aws" in printed.out, "metrics are among it"
    assert not any(marker in printed.out + printed.err for marker in markers)


def test_partition_keys_are_not_logged() -> None:
    with logged("DEBUG") as (deployment, _, logs):
        deployment.deliver(record(b"not json"))
        assert "session_started" not in logs.stream.getvalue(), "which is the partition key"


# -- bounds -----------------------------------------------------------------------------------------------------------

ITEM_BYTES = 400 * 1024
"""The most that DynamoDB takes (Amazon DynamoDB developer guide, "Quotas": item size)."""
CALL_BYTES = 256 * 1024
"""The most that a call of PutEvents takes (Amazon EventBridge user guide, "Quotas")."""


def size_of(here: World, kind: str, name: str) -> int:
    return stored_bytes({each: from_attribute(value) for each, value in here.memory.items[kind, name].items()})


def put(here: World, event_type: str, at: int, **payload: Any) -> None:
    here.put("key", json.dumps({"event_type": event_type, "timestamp": to_iso(at), "payload": payload}).encode())


ESCAPED = "\x01"
"""One byte that is six in JSON."""


def bus_is_down(operation: str, _: int) -> str | None:
    return "refused" if operation == "put_events" else None


AS_USUAL = Rules()


def longest_name(number: int) -> str:
    """A name of 128 bytes, each of them six in JSON."""
    return chr(14 + number // 18) + chr(14 + number % 18) + ESCAPED * 126


def roll_up_the_largest_figures(here: World, name: str) -> None:
    """Gives a subject a rollup's figures that take as many digits as they can, and fire what they can."""
    counts = dict.fromkeys(TOTALS_ATTRIBUTES["subject"], 999999999)
    fractions = {"avg_rating": 4.9999, "first_session_success_rate": 0.5999, "session_velocity": -999_999_999}
    totals = Totals(here.now_ms, counts | fractions, 999_999_999, 99_999_999.5, 99_999_999.9)
    Processor(config()).run(Arrivals.of_totals({EntityKey("subject", name): totals}), Deadline(lambda: 120_000))


@pytest.mark.parametrize(
    ("rules", "reminders", "others"),
    [(EVERY_ALERT, "5", 4), (AS_USUAL, "1000", 0)],
    ids=["every alert", "no end of reminders"],
)
def test_the_largest_subject_with_the_most_to_tell_fits_into_an_item_and_its_alerts_into_a_call(
    rules: Rules, reminders: str, others: int
) -> None:
    """200 regions in high demand with the longest names, a rollup's figures, the other alerts told and reminded of to
    the end; and then the bus is down until the outbox is full of the longest notifications."""
    name = ESCAPED * 128
    with (
        mock.patch.dict("os.environ", MAX_REMINDERS=reminders),
        world(rules, batch_size=1000) as here,
        noted(here) as calls,
    ):

        def put_all(status: str) -> None:
            for region in range(200):
                figures = dict.fromkeys(("demand_score", "supply_score"), 123456789.12345679)
                counts = {"available_tutors": 0, "active_students": 999_999_999}
                names = {"subject": name, "region": longest_name(region), "balance_status": status}
                put(here, "supply_demand_update", here.now_ms, **{**names, **figures, **counts})
            here.mapping.drain()

        def waiting() -> int:
            return len(here.memory.items["subject", name].get("outbox", {"L": ()})["L"])

        put_all(ESCAPED * 64)
        roll_up_the_largest_figures(here, name)
        for _ in range(6):
            here.now_ms += DAY_MS
            here.roll()
        assert len(from_attribute(here.memory.items["subject", name]["alerts"])) == others
        events_before = len(here.memory.events)
        here.aws.choose = bus_is_down
        while waiting() < MOST_IN_OUTBOX:
            for status in ("high_demand", ESCAPED * 64):
                put_all(status)
                while status == "high_demand" and waiting() < MOST_IN_OUTBOX:
                    here.now_ms += DAY_MS
                    before = waiting()
                    here.mapping.invoke({"Records": [here.stream.records()[-1].as_delivered()]})
                    if waiting() == before:
                        break
                here.now_ms += 1
        assert 300_000 < size_of(here, "subject", name) < ITEM_BYTES
        here.aws.choose = lambda _operation, _index: None
        here.roll()
        assert len(here.memory.events) >= events_before + MOST_IN_OUTBOX
        sent = [sum(len(entry["Detail"].encode()) for entry in call["Entries"]) for call in calls.of("put_events")]
        assert 100_000 < max(sent) < CALL_BYTES
        assert max(len(each["Statement"]) for each in calls.statements()) < 8192
        here.settle()
        assert size_of(here, "subject", name) < 100_000


@pytest.mark.parametrize("kind", ["student", "tutor"])
def test_an_entity_with_the_longest_of_everything_stays_below_100_kilobytes(kind: str) -> None:
    with world(batch_size=10_000) as here:
        own = "x" * 1024
        for hour in range(32 * 24):
            at = BEGINNING - hour * HOUR_MS - 1
            for part in range(2):
                subject = f"{hour:04d}{part}".ljust(128, "s")
                other = {"tutor_id": f"{hour:04d}".ljust(1024, "t")} if kind == "student" and hour < 50 else {}
                names = {f"{kind}_id": own, "subject": subject, **other}
                put(here, "session_completed", at - part, session_id=f"{hour} {part}", student_rating=1, **names)
                if kind == "student":
                    put(here, "ib_call_logged", at - part, call_id=f"{hour} {part}", student_id=own)
        if kind == "tutor":
            longest = {"timezone": "z" * 64, "available_hours_this_week": 123456789.12345679}
            put(here, "tutor_availability_updated", BEGINNING, tutor_id=own, subjects=["s" * 256] * 100, **longest)
        else:
            longest = dict.fromkeys(("churn_risk", "avg_session_rating"), "c" * 64)
            put(here, "customer_health_update", BEGINNING, student_id=own, health_score=20, **longest)
        here.mapping.drain()
        assert not here.memory.objects
        head, tail = size_of(here, kind, own), len(here.memory.state[f"tail#{kind}#{own}", "facts"]["facts"]["B"])
        assert 40_000 < head + tail < 100_000


def test_a_detail_in_quarantine_is_bounded_however_much_is_wrong_and_however_long_names_are() -> None:
    """The most that one record can be refused for: by the subject and the region, both full, both with long names."""
    full, crowded = ESCAPED * 128, "\N{BOMB}" * 32
    with world(batch_size=1000) as here:
        for each in range(200):
            put(here, "supply_demand_update", BEGINNING, subject=full, region=f"r{each}", balance_status="balanced")
            put(here, "supply_demand_update", BEGINNING, subject=f"s{each}", region=crowded, balance_status="balanced")
        put(here, "supply_demand_update", BEGINNING, subject=full, region=crowded, balance_status="balanced")
        here.settle()
        (body,) = here.memory.objects.values()
        kept = json.loads(body)
        assert kept["reason"] == "too_many"
        assert kept["detail"].count(";") == 1
        assert len(kept["detail"]) < 500


def test_while_the_outbox_is_full_a_flapping_alert_grows_nothing_and_in_the_end_all_is_told() -> None:
    with world() as here:
        here.aws.choose = bus_is_down
        sizes = []
        for minute in range(60):
            score = 40 if minute % 2 else 90
            put(here, "customer_health_update", here.now_ms, student_id="stu_1", health_score=score)
            here.mapping.drain()
            sizes.append(size_of(here, "student", "stu_1"))
            here.now_ms += 60_000
        assert len(here.memory.items["student", "stu_1"]["outbox"]["L"]) == MOST_IN_OUTBOX
        assert max(sizes) < 15_000
        assert abs(sizes[-1] - sizes[-20]) < 50
        here.settle()
        here.check()
