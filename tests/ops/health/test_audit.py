"""The audit: silent over whatever the processor has written, loud over whatever else has; repairs only what differs."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.parallel import chunks
from functions.aws.update import Processor
from functions.entities.alerts import AlertRules
from functions.entities.arrivals import Arrivals
from functions.entities.attribute_values import Attributes
from functions.entities.facts import SESSION, told
from functions.entities.open_facts import pack
from functions.entities.plan import Rules
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, EntityKey, to_iso
from local.events_file import read
from ops.aws import UserError
from ops.due import FIGURES_CHANGE, UNSENT
from ops.health.audit import Difference, Report, audit, repair
from ops.wholes import Tables
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, deployed, event_json, record

TABLE: Final = ENVIRONMENT["DYNAMODB_TABLE_NAME"]
TABLES: Final = Tables(TABLE, ENVIRONMENT["STATE_TABLE_NAME"])
SAMPLE: Final = Path(__file__).parents[2] / "data" / "sample-month.ndjson"
NAMELESS: Final = pack([told(SESSION, 1, NOW, subject="algebra")], []).blob.replace(b"algebra\xff", b"")
"""Facts of which one refers to a name that there is not."""
STUDENT: Final = EntityKey("student", "stu_1")
RULES: Final = Rules()


class Scanned:
    """DynamoDB in memory, which can also be scanned; a segment holds every so-manieth item, a page two."""

    def __init__(self, deployment: Deployment) -> None:
        self._service = deployment.aws.client("dynamodb")
        self._items = deployment.aws.items
        self.scans: list[dict[str, Any]] = []

    def get_paginator(self, operation: str) -> "Scanned":
        assert operation == "scan"
        return self

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        self.scans.append(arguments)
        assert arguments["TableName"] == TABLE
        items = [dict(item) for item in self._items.values()]
        segment = items[arguments["Segment"] :: arguments["TotalSegments"]]
        yield {"Items": []}
        for page in chunks(segment, 2):
            yield {"Items": list(page)}


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """The processor over AWS in memory, with events of all types in its table."""
    with deployed() as made:
        assert made.deliver(*events()) == []
        yield made


def events() -> list[bytes]:
    at = {"timestamp": to_iso(NOW - HOUR_MS)}
    session = {"student_id": "stu_1", "tutor_id": "tut_1", "subject": "algebra"}
    health = {"student_id": "stu_1", "health_score": 45, "sessions_last_7_days": 3}
    demand = {"subject": "algebra", "region": "eu", "balance_status": "high_demand", "available_tutors": 2}
    return [
        event_json("session_started", session | {"session_id": "ses_1"}, **at),
        event_json("session_completed", session | {"session_id": "ses_2", "student_rating": 4.5}, **at),
        event_json("ib_call_logged", {"student_id": "stu_1", "call_id": "call_1"}, **at),
        event_json("customer_health_update", health, **at),
        event_json("tutor_availability_updated", {"tutor_id": "tut_1", "timezone": "UTC"}, **at),
        event_json("supply_demand_update", demand, **at),
        event_json("supply_demand_update", {"subject": "biology", "balance_status": "balanced"}, **at),
    ]


def audited(deployment: Deployment, rules: Rules = RULES, **options: Any) -> Report:
    return audit(Scanned(deployment), TABLES, rules, **options)


def tamper(deployment: Deployment, key: EntityKey = STUDENT, **attributes: dict[str, Any] | None) -> None:
    """Sets attributes of an item behind the processor's back, or removes them."""
    item: Attributes = dict(deployment.aws.items[key])
    for name, value in attributes.items():
        if value is None:
            item.pop(name, None)
        else:
            item[name] = value
    deployment.aws.items[key] = item


# -- what is right ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [1, 3, 16])
def test_what_the_processor_has_written_is_right(deployment: Deployment, segments: int) -> None:
    told: list[int] = []
    report = audited(deployment, segments=segments, report=told.append)
    assert report == Report(items=5)
    assert report.clean
    assert sum(told) == 5


def test_an_empty_table_is_right() -> None:
    with deployed() as made:
        assert audited(made) == Report()


def test_a_month_of_events_is_right_at_every_later_moment() -> None:
    lines = read(SAMPLE, rebase_to=datetime.fromtimestamp(NOW / SECOND_MS, UTC))
    with deployed() as made:
        for batch in chunks([record(line, position) for position, line in enumerate(lines)], 500):
            assert made.deliver(*batch) == []
        assert audited(made).differing == []
        for day in (9, 33):
            made.clock.ms = NOW + day * DAY_MS
            made.roll()
            report = audited(made)
            assert report == Report(items=len(made.aws.items))


def test_a_folded_item_is_right(deployment: Deployment) -> None:
    sessions = [
        event_json(
            "session_completed",
            {"session_id": str(number), "tutor_id": "busy", "tutor_rating": 4.5, "subject": f"subject {number % 7}"},
            timestamp=to_iso(NOW - number * HOUR_MS // 4),
        )
        for number in range(1_500)
    ]
    assert deployment.deliver(*sessions) == []
    assert "folded_before" in deployment.aws.state["tail#tutor#busy", "facts"]
    assert audited(deployment).differing == []
    assert audited(deployment).unreadable == []


def test_an_item_is_judged_at_its_own_moment(deployment: Deployment) -> None:
    """Windows that have fallen since, and reminders due since, are the roll's business."""
    deployment.clock.ms = NOW + 40 * DAY_MS
    report = audited(deployment)
    assert report.differing == []
    assert {each.key.entity_id for each in report.overdue} == {"stu_1", "tut_1", "algebra", "eu"} - {"eu"}


def test_an_item_may_have_been_updated_before_its_figures_fell(deployment: Deployment) -> None:
    tamper(deployment, last_updated={"S": to_iso(NOW - DAY_MS)})
    assert audited(deployment) == Report(items=5)


def test_alerts_are_not_judged_anew(deployment: Deployment) -> None:
    """Other thresholds since, or alerts that could not be judged while the outbox was full, are no differences."""
    stricter = Rules(AlertRules(ib_calls_warning=1, health_warning=101))
    assert audited(deployment, stricter).differing == []
    tamper(deployment, alerts={"M": {}})
    assert audited(deployment).differing == []


ROLLED: Final = {
    EntityKey("subject", "algebra"): Totals(NOW - 1, dict.fromkeys(TOTALS_ATTRIBUTES["subject"], 2), 2, 1.0, -0.4),
    EntityKey("tutor", "tut_1"): Totals(NOW - 1, dict.fromkeys(TOTALS_ATTRIBUTES["tutor"], 1), 1),
}


def test_a_rollups_figures_are_carried_and_all_else_is_compared(deployment: Deployment) -> None:
    """They are made of other entities' items: the next rollup is what corrects them."""
    Processor(config()).run(Arrivals.of_totals(ROLLED), Deadline.of(deployment.context))
    assert audited(deployment) == Report(items=5)
    tamper(deployment, EntityKey("subject", "algebra"), sessions_7d={"N": "99"}, available_tutors={"N": "99"})
    tamper(deployment, EntityKey("tutor", "tut_1"), first_sessions_30d={"N": "99"}, sessions_7d={"N": "99"})
    report = audited(deployment)
    assert [(item.key.entity_id, [each.attribute for each in item.differences]) for item in report.differing] == [
        ("algebra", ["available_tutors"]),
        ("tut_1", ["sessions_7d"]),
    ]
    repair(report.differing, TABLES, RULES)
    assert audited(deployment) == Report(items=5)
    assert deployment.item("subject", "algebra")["sessions_7d"] == 99
    assert deployment.item("tutor", "tut_1")["rolled_up"] == {"as_of": NOW - 1, "first_outcomes": 1}


# -- what differs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        (STUDENT, "sessions_7d", {"N": "99"}),
        (STUDENT, "sessions_30d", {"S": "3"}),
        (STUDENT, "health_score", None),
        (STUDENT, "avg_rating", {"N": "4.49"}),
        (STUDENT, "ib_calls_14d", {"NULL": True}),
        (STUDENT, "unknown", {"S": "what is this"}),
        (STUDENT, "picture", {"B": b"1234"}),
        (STUDENT, "last_updated", {"S": to_iso(NOW + 1)}),
        (STUDENT, "last_updated", {"S": "2026-11-23T09:00:00Z"}),
        (STUDENT, "last_updated", {"S": "2026-11-23"}),
        (STUDENT, "last_updated", {"S": "yesterday"}),
        (STUDENT, "last_updated", {"N": "1"}),
        (STUDENT, "last_updated", None),
        (EntityKey("tutor", "tut_1"), "session_velocity", {"N": "-1"}),
        (EntityKey("subject", "algebra"), "region", {"S": "us"}),
        (EntityKey("subject", "algebra"), "available_tutors", None),
        (EntityKey("region", "eu"), "high_demand_subjects", {"N": "0"}),
    ],
)
def test_a_wrong_attribute_is_found_and_repaired(
    deployment: Deployment, key: EntityKey, name: str, value: dict[str, Any] | None
) -> None:
    before = {each: dict(item) for each, item in deployment.aws.items.items()}
    tamper(deployment, key, **{name: value})
    tampered = {each: dict(item) for each, item in deployment.aws.items.items()}

    report = audited(deployment)
    (item,) = report.differing
    assert (item.key, item.as_of) == (key, NOW)
    assert [each.attribute for each in item.differences] == [name]
    assert not report.clean
    assert deployment.aws.items == tampered

    deployment.clock.ms = NOW + 1
    repair(report.differing, TABLES, RULES)
    assert item.repaired
    assert audited(deployment) == Report(items=5)
    written = deployment.aws.items.pop(key)
    expected = before.pop(key)
    assert deployment.aws.items == before
    when = {"version", "as_of", "last_updated"}
    assert {each: written[each] for each in written.keys() - when} == {
        each: expected[each] for each in expected.keys() - when
    }
    assert int(written["version"]["N"]) == int(expected["version"]["N"]) + 1
    assert written["as_of"] == {"N": str(NOW + 1)}
    assert written["last_updated"] == {"S": to_iso(NOW + 1)}


def test_a_difference_shows_both_values(deployment: Deployment) -> None:
    tamper(deployment, sessions_7d={"N": "99"}, health_score=None, odd={"M": {"a": {"N": "1.5"}}}, raw={"B": b"123"})
    (item,) = audited(deployment).differing
    assert item.differences == [
        Difference("health_score", None, 45),
        Difference("odd", {"a": 1.5}, None),
        Difference("raw", "3 bytes", None),
        Difference("sessions_7d", 99, 3),
    ]


def test_numbers_are_compared_by_value(deployment: Deployment) -> None:
    tamper(deployment, sessions_7d={"N": "3.00"}, avg_rating={"N": "45E-1"})
    assert audited(deployment).clean


# -- repair -----------------------------------------------------------------------------------------------------------


def test_a_repair_that_loses_its_race_reads_again(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(deployment, sessions_7d={"N": "99"})
    report = audited(deployment)
    call = event_json("ib_call_logged", {"student_id": "stu_1", "call_id": "call_2"}, timestamp=to_iso(NOW - 1))
    service = type(deployment.aws.client("dynamodb"))
    write = service.batch_execute_statement
    lost: list[int] = []

    def overtaken(self: Any, **arguments: Any) -> Any:
        if not lost:
            lost.append(1)
            deployment.deliver(call)
        return write(self, **arguments)

    monkeypatch.setattr(service, "batch_execute_statement", overtaken)
    repair(report.differing, TABLES, RULES)
    assert report.differing[0].repaired
    assert audited(deployment) == Report(items=5)
    assert deployment.item(*STUDENT)["ib_calls_14d"] == 2


def test_a_race_that_is_never_won_is_told(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(deployment, sessions_7d={"N": "99"})
    report = audited(deployment)
    lost = {"Error": {"Code": "ConditionalCheckFailed", "Message": "no"}}
    service = type(deployment.aws.client("dynamodb"))
    monkeypatch.setattr(
        service, "batch_execute_statement", lambda _, Statements: {"Responses": [lost for _ in Statements]}
    )
    repair(report.differing, TABLES, RULES)
    assert not report.differing[0].repaired
    assert "races" in report.differing[0].problem
    assert not report.clean


def test_a_write_that_is_refused_is_told(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(deployment, sessions_7d={"N": "99"})
    report = audited(deployment)

    def denied(_: Any, Statements: list[dict[str, Any]]) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "BatchExecuteStatement")

    monkeypatch.setattr(type(deployment.aws.client("dynamodb")), "batch_execute_statement", denied)
    repair(report.differing, TABLES, RULES)
    assert not report.differing[0].repaired
    assert "AccessDenied" in report.differing[0].problem


def test_an_item_that_has_gone_meanwhile_does_not_come_back(deployment: Deployment) -> None:
    tamper(deployment, sessions_7d={"N": "99"})
    report = audited(deployment)
    del deployment.aws.items[STUDENT]
    repair(report.differing, TABLES, RULES)
    assert STUDENT not in deployment.aws.items


def test_a_repair_judges_alerts_as_any_write_does(deployment: Deployment) -> None:
    told = len(deployment.told())
    tamper(deployment, sessions_7d={"N": "99"})
    report = audited(deployment)
    deployment.clock.ms = NOW + 25 * HOUR_MS
    repair(report.differing, TABLES, RULES)
    assert len(deployment.item(*STUDENT)["outbox"]) == 1
    deployment.roll()
    reminders = [alert for alert in deployment.told()[told:] if alert["entity_id"] == "stu_1"]
    assert [alert["status"] for alert in reminders] == ["reminder"]


# -- what cannot be read, and what is late ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"facts": {"B": b"\x63" + b"\x00" * 7}}, "99"),
        ({"facts": {"S": "text"}}, "cannot be read"),
        ({"version": None}, "version"),
        ({"version": {"S": "one"}}, "version"),
        ({"tail": {"S": "none"}}, "cannot be read"),
        ({"tail": {"N": str(NOW)}}, "its facts are not complete: its tail of generation"),
        ({"alerts": None}, "alerts"),
        ({"reported": {"M": {"reported_at": {"S": "yesterday"}}}}, "yesterday"),
        ({"facts": {"B": NAMELESS}}, "cannot be recomputed"),
        ({"reported": {"M": {"reported_at": {"S": to_iso(NOW)}, "health_score": {"S": "ill"}}}}, "cannot be"),
    ],
)
def test_an_item_that_cannot_be_read_is_told_left_and_hides_no_other(
    deployment: Deployment, attributes: dict[str, Any], says: str
) -> None:
    tamper(deployment, **attributes)
    tamper(deployment, EntityKey("tutor", "tut_1"), sessions_7d={"N": "99"})
    left = dict(deployment.aws.items[STUDENT])
    report = audited(deployment)
    (unreadable,) = report.unreadable
    assert unreadable.key == STUDENT
    assert says in unreadable.reason
    assert [each.key.entity_id for each in report.differing] == ["tut_1"]
    repair(report.differing, TABLES, RULES)
    assert deployment.aws.items[STUDENT] == left
    assert not report.clean


def test_an_item_is_overdue_when_the_roll_has_left_it_for_too_long(deployment: Deployment) -> None:
    """The reminders of the health alert and of the imbalance are due after a day."""
    due = (NOW + DAY_MS) // SECOND_MS
    deployment.clock.ms = (due + 60) * SECOND_MS - 1
    assert audited(deployment, overdue_seconds=60).clean
    deployment.clock.ms += 1
    report = audited(deployment, overdue_seconds=60)
    assert [(each.key.entity_id, each.due_at, each.because) for each in report.overdue] == [
        ("stu_1", due, "an alert is told again"),
        ("algebra", due, "an alert is told again"),
    ]
    assert not report.clean
    deployment.roll()
    assert audited(deployment, overdue_seconds=60).clean


def test_figures_are_overdue_from_the_roll_that_should_have_changed_them(deployment: Deployment) -> None:
    due = RULES.rhythm.next_roll(NOW - HOUR_MS + 7 * DAY_MS)
    deployment.clock.ms = (due + 900) * SECOND_MS
    (tutor,) = [each for each in audited(deployment).overdue if each.key.entity_type == "tutor"]
    assert (tutor.due_at, tutor.because) == (due, FIGURES_CHANGE)
    deployment.clock.ms -= 1
    assert "tutor" not in {each.key.entity_type for each in audited(deployment).overdue}


def test_a_fact_that_leaves_a_window_and_changes_nothing_makes_nothing_overdue(deployment: Deployment) -> None:
    """The health report says more until it is as old, and no alert fires."""
    report = {"student_id": "calm", "health_score": 90, "sessions_last_7_days": 9, "sessions_last_30_days": 9}
    started = {"student_id": "calm", "session_id": "s"}
    deployment.deliver(
        event_json("session_started", started, timestamp=to_iso(NOW - 29 * DAY_MS)),
        event_json("customer_health_update", report, timestamp=to_iso(NOW)),
    )
    deployment.clock.ms = NOW + 2 * DAY_MS
    assert "calm" not in {each.key.entity_id for each in audited(deployment).overdue}


def test_unsent_notifications_are_overdue_too() -> None:
    with deployed() as made:
        made.aws.refuse_entries = 10**6
        made.deliver(*events())
        assert audited(made).clean
        made.clock.ms = NOW + 16 * MINUTE_MS
        assert {each.because for each in audited(made).overdue} == {UNSENT}


def test_what_is_overdue_because_its_wakes_are_lost_is_repaired(deployment: Deployment) -> None:
    deployment.aws.state.clear()
    deployment.clock.ms = NOW + 7 * DAY_MS
    assert deployment.roll()["due"] == 0
    report = audited(deployment)
    assert {each.key.entity_id for each in report.overdue} == {"stu_1", "tut_1", "algebra"}
    repair(report.to_repair, TABLES, RULES)
    assert all(each.repaired for each in report.overdue)
    assert report.clean
    for day in (9, 40):
        deployment.clock.ms = NOW + day * DAY_MS
        deployment.roll()
        assert audited(deployment).clean
    assert deployment.item(*STUDENT)["sessions_30d"] == 0


def test_a_repair_without_wakes_writes_no_item(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper(deployment, sessions_7d={"N": "99"})
    left = dict(deployment.aws.items[STUDENT])
    report = audited(deployment)
    refused = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "BatchWriteItem")

    def denied(_: Any, **__: Any) -> Any:
        raise refused

    monkeypatch.setattr(type(deployment.aws.client("dynamodb")), "batch_write_item", denied)
    repair(report.differing, TABLES, RULES)
    assert "BatchWriteItem" in report.differing[0].problem
    assert deployment.aws.items[STUDENT] == left


# -- tails ------------------------------------------------------------------------------------------------------------

BUSY: Final = EntityKey("tutor", "busy")
TAIL: Final = ("tail#tutor#busy", "facts")


@pytest.fixture
def with_tail(deployment: Deployment) -> Deployment:
    """With a tutor of so many sessions that most of them are in the tail."""
    assert deployment.deliver(*busy_sessions(600)) == []
    assert TAIL in deployment.aws.state
    return deployment


def busy_sessions(number: int, first: int = 0) -> list[bytes]:
    return [
        event_json(
            "session_started",
            {"session_id": f"s{each}", "tutor_id": "busy"},
            timestamp=to_iso(NOW - each * HOUR_MS),
        )
        for each in range(first, first + number)
    ]


def test_the_facts_of_a_tail_count(with_tail: Deployment) -> None:
    assert audited(with_tail) == Report(items=6)
    assert with_tail.item(*BUSY)["sessions_30d"] == 600
    tamper(with_tail, BUSY, sessions_30d={"N": "1"})
    (item,) = audited(with_tail).differing
    assert item.differences == [Difference("sessions_30d", 1, 600)]
    repair([item], TABLES, RULES)
    assert audited(with_tail) == Report(items=6)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda state: state.pop(TAIL), "its tail of generation"),
        (lambda state: state[TAIL].update(facts={"B": b"\x63"}), "the stored tail is not readable"),
        (lambda state: state[TAIL].update(facts={"B": NAMELESS}), "cannot be recomputed"),
        (lambda state: state[TAIL].update(generation={"N": "5"}), "is not there"),
    ],
)
def test_a_tail_that_is_missing_or_damaged_is_told(with_tail: Deployment, spoil: Any, says: str) -> None:
    tamper(with_tail, sessions_7d={"N": "99"})
    spoil(with_tail.aws.state)
    report = audited(with_tail)
    (unreadable,) = report.unreadable
    assert unreadable.key == BUSY
    assert says in unreadable.reason
    assert [each.key for each in report.differing] == [STUDENT]
    assert not report.clean


def test_a_tail_that_changes_while_the_table_is_read_is_read_again(
    with_tail: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan has the head of before a move, and the tail is the one of after it."""
    before = dict(with_tail.aws.items[BUSY])
    with_tail.clock.ms = NOW + 1
    assert with_tail.deliver(*busy_sessions(99, first=600)) == []
    with_tail.deliver(*[event_json("session_completed", {"session_id": "s599", "tutor_id": "busy", "tutor_rating": 1})])
    assert with_tail.aws.items[BUSY]["tail"] != before["tail"]
    after, with_tail.aws.items[BUSY] = with_tail.aws.items[BUSY], before
    scanned = Scanned(with_tail)
    service = type(with_tail.aws.client("dynamodb"))
    read = service.batch_get_item

    def read_behind(self: Any, **arguments: Any) -> Any:
        with_tail.aws.items[BUSY] = after
        return read(self, **arguments)

    monkeypatch.setattr(service, "batch_get_item", read_behind)
    assert audit(scanned, TABLES, RULES) == Report(items=6)

    def read_when_it_is_gone(self: Any, **arguments: Any) -> Any:
        with_tail.aws.items.pop(BUSY, None)
        return read(self, **arguments)

    with_tail.aws.items[BUSY] = before
    monkeypatch.setattr(service, "batch_get_item", read_when_it_is_gone)
    assert audit(scanned, TABLES, RULES) == Report(items=5)


def test_tails_in_a_table_that_is_not_known_end_the_audit(with_tail: Deployment) -> None:
    with pytest.raises(UserError, match="the older facts of tutor busy are in the internal table"):
        audit(Scanned(with_tail), Tables(TABLE, None), RULES)


def test_tails_that_may_not_be_read_end_the_audit(with_tail: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "BatchGetItem")

    monkeypatch.setattr(type(with_tail.aws.client("dynamodb")), "batch_get_item", denied)
    with pytest.raises(UserError, match="AccessDenied"):
        audited(with_tail)


# -- the scan ---------------------------------------------------------------------------------------------------------


def test_an_error_in_one_segment_ends_the_others(deployment: Deployment) -> None:
    begun, pages = threading.Event(), 0

    class Failing(Scanned):
        def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
            nonlocal pages
            if arguments["Segment"] == 0:
                begun.wait(5)
                raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Scan")
            while True:
                pages += 1
                begun.set()
                yield {"Items": []}

    with pytest.raises(ClientError, match="ResourceNotFound"):
        audit(Failing(deployment), TABLES, RULES, segments=2)
    assert pages


def test_a_real_scan_is_paged(deployment: Deployment) -> None:
    """With botocore's check of parameters, over pages as DynamoDB makes them."""
    tamper(deployment, sessions_7d={"N": "99"})
    items = list(deployment.aws.items.values())
    with mock_aws():
        dynamodb = boto3.session.Session().client("dynamodb")
        key = {"entity_id": "HASH", "entity_type": "RANGE"}
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in key],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in key.items()],
        )
        for number in range(60):  # more than the megabyte of a page
            for item in items:
                ballast = {"S": "x" * 20_000}
                renamed = {"entity_id": {"S": f"{item['entity_id']['S']}_{number}"}}
                dynamodb.put_item(TableName=TABLE, Item=item | renamed | {"ballast": ballast})
        pages: list[int] = []
        report = audit(dynamodb, TABLES, RULES, segments=2, report=pages.append)
    assert report.items == 300
    assert len(pages) > 4
    assert len(report.differing) == 300
    tampered = [each for each in report.differing if "sessions_7d" in {one.attribute for one in each.differences}]
    assert len(tampered) == 60
