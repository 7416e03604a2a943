"""What the report is made of: the real processor's items, quarantine and log lines, and the notifier's journal."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from functions.entities.alerts import AlertRules
from functions.model import DAY_MS, HOUR_MS, to_iso
from functions.notifier.handler import journal_line
from ops.report.data import DAYS, Report, Traffic
from ops.report.gather import MOST, Most, Sources, gather
from ops.wholes import Tables
from tests.helpers.deployment import ENVIRONMENT, NOW, Deployment, deployed, event_json, record

PROCESSOR: Final = "iops-dashboard-processor"
NOTIFIER: Final = "iops-dashboard-notifier"
TABLES: Final = Tables(ENVIRONMENT["DYNAMODB_TABLE_NAME"], ENVIRONMENT["STATE_TABLE_NAME"])
LogLine = tuple[int, str]


def missing(operation: str, code: str = "ResourceNotFoundException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)


class Pages:
    """A paginator over pages that a function makes."""

    def __init__(self, pages: Any) -> None:
        self._pages = pages

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield from self._pages(**arguments)


class Table:
    """DynamoDB's scan, two items a page."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self._items = items

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "scan"
        return Pages(self._scan)

    def _scan(self, *, TableName: str) -> Iterator[dict[str, Any]]:
        assert TableName == ENVIRONMENT["DYNAMODB_TABLE_NAME"]
        for start in range(0, len(self._items), 2):
            yield {"Items": self._items[start : start + 2]}


class Bucket:
    """S3's listing and objects; each object is a minute older than the one before it."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.gone: set[str] = set()
        self.read: list[str] = []

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "list_objects_v2"
        return Pages(self._list)

    def _list(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        assert Bucket == ENVIRONMENT["QUARANTINE_BUCKET_NAME"]
        keys = [key for key in self.objects if key.startswith(Prefix)]
        yield {"IsTruncated": bool(keys)}
        for position, key in enumerate(keys):
            modified = datetime(2026, 11, 23, 10, tzinfo=UTC) - timedelta(minutes=position)
            yield {"Contents": [{"Key": key, "LastModified": modified}], "IsTruncated": position + 1 < len(keys)}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self.read.append(Key)
        if Key in self.gone:
            raise missing("GetObject", "NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Key])}


class Logs:
    """CloudWatch Logs: lines by log group, one a page."""

    def __init__(self, groups: dict[str, list[LogLine]]) -> None:
        self.groups = groups
        self.asked: list[tuple[int, int | None]] = []

    def get_paginator(self, operation: str) -> Pages:
        assert operation == "filter_log_events"
        return Pages(self._filter)

    def _filter(
        self, *, logGroupName: str, filterPattern: str, startTime: int, endTime: int | None = None
    ) -> Iterator[dict[str, Any]]:
        self.asked.append((startTime, endTime))
        if logGroupName not in self.groups:
            raise missing("FilterLogEvents")
        words = filterPattern.strip('"')
        for position, (at_ms, text) in enumerate(self.groups[logGroupName]):
            if words in text and startTime <= at_ms and (endTime is None or at_ms <= endTime):
                yield {"events": [{"timestamp": at_ms, "message": text, "eventId": str(position)}]}


class World:
    """A processor that really takes events in, and what can be read of it afterwards."""

    def __init__(self, deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.deployment = deployment
        self.bucket = Bucket({})
        self.logs = Logs({f"/aws/lambda/{PROCESSOR}": [], f"/aws/lambda/{NOTIFIER}": []})
        self.notifier: str | None = NOTIFIER

    def deliver(self, *events: bytes) -> None:
        """Lets the processor take in a batch, and the notifier hear of what it tells."""
        told = len(self.deployment.told())
        self.deployment.deliver(
            *(record(event, position, self.deployment.clock.ms) for position, event in enumerate(events))
        )
        for alert in self.deployment.told()[told:]:
            self.tell(alert)
        now_ms = self.deployment.clock.ms
        for text in self._capsys.readouterr().out.splitlines():
            if '"_aws"' in text:  # the document has the time of the machine, not the test's
                document = json.loads(text)
                document["_aws"]["Timestamp"] = now_ms
                text = json.dumps(document)
            self.logs.groups[f"/aws/lambda/{PROCESSOR}"].append((now_ms, text))

    def tell(self, alert: dict[str, Any], source: str = "iops-dashboard.processor") -> None:
        line = journal_line({"source": source, "time": to_iso(self.deployment.clock.ms), "detail": alert})
        self.logs.groups[f"/aws/lambda/{NOTIFIER}"].append((self.deployment.clock.ms, line))

    def gather(self, *, alerts_days: float = 30, batches_days: float = 1, most: Most = MOST) -> Report:
        now_ms = self.deployment.clock.ms
        self.bucket.objects.update(self.deployment.aws.objects)
        sources = Sources(
            Table([dict(item) for item in self.deployment.aws.items.values()]),
            self.bucket,
            self.logs,
            TABLES,
            ENVIRONMENT["QUARANTINE_BUCKET_NAME"],
            PROCESSOR,
            self.notifier,
        )
        return gather(
            sources,
            AlertRules(),
            now_ms,
            alerts_since_ms=now_ms - round(alerts_days * DAY_MS),
            most=most,
            batches_since_ms=now_ms - round(batches_days * DAY_MS),
        )


@pytest.fixture
def world(capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    with deployed() as deployment:
        yield World(deployment, capsys)


def at(age_ms: float = 0) -> str:
    return to_iso(NOW - round(age_ms))


def session(number: int, age_ms: float, student: str = "stu_1", tutor: str = "tut_1") -> bytes:
    payload = {"session_id": f"s{number}", "student_id": student, "tutor_id": tutor, "subject": "algebra"}
    return event_json("session_started", payload, timestamp=at(age_ms))


def health(score: float, student: str = "stu_1", age_ms: float = 0) -> bytes:
    payload = {"student_id": student, "health_score": score}
    return event_json("customer_health_update", payload, timestamp=at(age_ms))


def demand(subject: str, region: str, status: str, demand_score: float = 50) -> bytes:
    payload = {"subject": subject, "region": region, "balance_status": status, "demand_score": demand_score}
    return event_json("supply_demand_update", payload, timestamp=at())


# -- the table --------------------------------------------------------------------------------------------------------


def test_sessions_are_counted_in_steps_of_24_hours_back_from_now(world: World) -> None:
    ages = (0.5, 1.5, 1.6, 6.9, 7.1, 31.9)  # days
    world.deliver(*(session(number, age * DAY_MS) for number, age in enumerate(ages)))
    table = world.gather().table
    (student,) = [each for each in table.entities if each.entity_type == "student"]
    expected = [0] * DAYS
    for age in ages:
        expected[DAYS - 1 - int(age)] += 1
    assert list(student.daily) == expected == list(table.daily)
    assert sum(student.daily[-7:]) == student.figures["sessions_7d"] == 4
    assert sum(student.daily[-30:]) == student.figures["sessions_30d"]


def test_sessions_of_a_tail_are_counted(world: World) -> None:
    world.deliver(*(session(number, number * HOUR_MS) for number in range(600)))
    assert {"tail#student#stu_1", "tail#tutor#tut_1"} <= {part for part, _ in world.deployment.aws.state}
    table = world.gather().table
    assert {each.entity_id: sum(each.daily) for each in table.entities if each.daily} == {"stu_1": 600, "tut_1": 600}
    assert sum(table.daily) == 600
    del world.deployment.aws.state["tail#student#stu_1", "facts"]
    table = world.gather().table
    assert {each.entity_id: sum(each.daily) for each in table.entities if each.daily} == {"tut_1": 600}
    assert (table.unreadable, table.counts["student"]) == (0, 1)


def test_a_session_of_two_students_counts_for_both_and_once_for_their_tutor(world: World) -> None:
    world.deliver(session(1, HOUR_MS), session(1, HOUR_MS, "stu_2"))
    table = world.gather().table
    assert table.daily[-1] == 2
    assert {each.entity_id: each.daily[-1] for each in table.entities if each.daily} == {
        "stu_1": 1,
        "stu_2": 1,
        "tut_1": 1,
    }
    assert table.counts == {"student": 2, "tutor": 1}


def test_health_is_of_those_of_whom_it_was_reported(world: World) -> None:
    world.deliver(health(100), health(69.9, "stu_2"), health(0, "stu_3"), session(1, 0, "stu_4"))
    spread = world.gather().table.health
    assert (spread.counts[0], spread.counts[13], spread.counts[19], sum(spread.counts)) == (1, 1, 1, 3)
    assert (spread.unreported, spread.warning, spread.critical) == (1, 70, 50)


def test_supply_and_demand_are_by_subject_and_region(world: World) -> None:
    world.deliver(demand("algebra", "north", "high_demand", 90), demand("algebra", "south", "balanced"))
    balances = world.gather().table.balances
    assert [(each.subject, each.region, each.status, each.demand, each.supply) for each in balances] == [
        ("algebra", "north", "high_demand", 90, None),
        ("algebra", "south", "balanced", 50, None),
    ]


def test_those_with_most_to_say_are_kept_and_all_are_counted(world: World) -> None:
    most = Most(shown={"student": 2, "tutor": 1, "subject": 1, "region": 1})
    world.deliver(
        session(1, 0, "quiet"),
        *(session(number, 0, "busy") for number in range(2, 5)),
        health(60, "unwell"),
        health(40, "very unwell"),
    )
    table = world.gather(most=most).table
    assert [each.entity_id for each in table.entities] == ["very unwell", "unwell", "tut_1"]
    assert [(each.alert_type, each.severity) for each in table.entities[0].firing] == [("low_health_score", "critical")]
    assert table.counts == {"student": 4, "tutor": 1}
    assert sum(table.daily) == 4  # of all, shown or not


def test_an_item_that_cannot_be_read_is_counted_and_stops_nothing(world: World) -> None:
    world.deliver(session(1, 0), health(40, "stu_2"), session(2, 0, "stu_3"))
    items = world.deployment.aws.items
    items["student", "stu_2"] = {**items["student", "stu_2"], "alerts": {"S": "damaged"}}
    items["student", "stu_3"] = {**items["student", "stu_3"], "facts": {"B": b"\x09later format"}}
    table = world.gather().table
    assert (table.unreadable, table.counts) == (1, {"student": 2, "tutor": 1})
    assert {each.entity_id: sum(each.daily) for each in table.entities} == {"stu_1": 1, "stu_3": 0, "tut_1": 2}


# -- alerts -----------------------------------------------------------------------------------------------------------


def test_an_alert_is_shown_from_its_start_to_its_end_with_its_highest_severity(world: World) -> None:
    world.deliver(health(60))
    world.deployment.clock.ms += HOUR_MS
    world.deliver(health(40, age_ms=-HOUR_MS))
    world.deployment.clock.ms += HOUR_MS
    world.deliver(health(90, age_ms=-2 * HOUR_MS), health(45, "stu_2"))
    firing, over = world.gather().timeline.episodes
    assert (firing.entity_id, firing.firing, firing.severity, firing.ended_ms) == ("stu_2", True, "critical", None)
    assert firing.message == "Student stu_2 has low health score: 45.0"
    assert (over.entity_id, over.firing, over.severity) == ("stu_1", False, "critical")
    assert (over.started_ms, over.ended_ms) == (NOW, NOW + 2 * HOUR_MS)
    assert over.message.startswith("Resolved: ")


def test_what_fires_is_known_without_the_journal(world: World) -> None:
    world.deliver(health(45))
    world.notifier = None
    timeline = world.gather().timeline
    assert timeline.note == (
        "This stack has no notifier, which keeps the journal of alerts: only what fires now is shown."
    )
    (episode,) = timeline.episodes
    assert (episode.entity_id, episode.firing, episode.message, timeline.firing) == ("stu_1", True, "", {"critical": 1})
    world.notifier = NOTIFIER
    del world.logs.groups[f"/aws/lambda/{NOTIFIER}"]
    assert "not logged anything yet" in world.gather().timeline.note


def test_an_alert_whose_end_nobody_told_has_none(world: World) -> None:
    world.deliver(health(45))
    world.deployment.aws.items.clear()
    (episode,) = world.gather().timeline.episodes
    assert (episode.firing, episode.ended_ms) == (False, None)


def test_what_other_sources_tell_in_words_of_their_own_is_passed_over(world: World) -> None:
    world.tell({"episode_id": "ai-1", "severity": "dreadful"}, "iops-dashboard.ai")
    world.tell({"advice": "call the student"}, "iops-dashboard.ai")
    world.logs.groups[f"/aws/lambda/{NOTIFIER}"] += [(NOW, "START Alert"), (NOW, '["Alert"]')]
    timeline = world.gather().timeline
    assert (timeline.episodes, timeline.note) == ([], "")


def test_episodes_beyond_the_most_that_are_shown_are_counted(world: World) -> None:
    world.deliver(*(health(score, f"stu_{score}") for score in (60, 61, 40)))
    timeline = world.gather(most=Most(episodes=2)).timeline
    assert [each.entity_id for each in timeline.episodes] == ["stu_40", "stu_60"]
    assert (timeline.left_out, timeline.firing) == (1, {"critical": 1, "warning": 2})


def test_the_journal_is_read_from_when_it_is_asked_for(world: World) -> None:
    world.gather(alerts_days=7)
    assert (NOW - 7 * DAY_MS, None) in world.logs.asked


# -- quarantine -------------------------------------------------------------------------------------------------------


def test_the_quarantine_is_summed_by_reason(world: World) -> None:
    world.deliver(b"poison", b"more poison", event_json("session_started", {}), health(10))
    quarantine = world.gather().quarantine
    assert [(each.reason, each.kind, each.records) for each in quarantine.reasons] == [
        ("not_json", "quarantined", 2),
        ("missing_field", "quarantined", 1),
    ]
    assert quarantine.reasons[0].first_ms == NOW
    assert "poison" in quarantine.reasons[0].detail
    assert (quarantine.objects, quarantine.read, quarantine.unreadable, quarantine.more) == (3, 3, 0, False)


def test_only_the_latest_objects_are_read_and_the_others_counted(world: World) -> None:
    world.deliver(*(b"poison %d" % number for number in range(5)))
    quarantine = world.gather(most=Most(objects_read=2)).quarantine
    assert (quarantine.objects, quarantine.read, quarantine.more) == (5, 2, False)
    assert world.bucket.read == list(world.bucket.objects)[:2]
    quarantine = world.gather(most=Most(objects_listed=3, objects_read=2)).quarantine
    assert (quarantine.objects, quarantine.more) == (3, True)


def test_objects_that_are_gone_or_no_ones_are_counted(world: World) -> None:
    world.deliver(b"poison", b"more poison")
    world.bucket.objects["aws/lambda/something"] = b"[]"
    world.bucket.objects.update(world.deployment.aws.objects)
    world.bucket.gone = {next(iter(world.deployment.aws.objects))}
    quarantine = world.gather().quarantine
    assert (quarantine.objects, quarantine.unreadable, [each.records for each in quarantine.reasons]) == (3, 2, [1])


# -- the processor's log ----------------------------------------------------------------------------------------------


def test_a_batchs_line_says_what_came_and_how_long_it_took(world: World) -> None:
    world.deliver(health(90), health(90, "stu_2", 3 * HOUR_MS), session(1, HOUR_MS), b"poison", session(1, HOUR_MS))
    throughput = world.gather().throughput
    (batch,) = throughput.batches
    assert (batch.at_ms, batch.records, batch.duplicates, batch.quarantined, batch.failed) == (NOW, 5, 2, 1, 0)
    assert (batch.lag_ms, batch.took_ms) == (0, 0)  # the clock stands still
    assert throughput.traffic == [
        Traffic("customer_health_update", NOW - 3 * HOUR_MS, 1),
        Traffic("customer_health_update", NOW, 1),
        Traffic("session_started", NOW - HOUR_MS, 2),
    ]


def test_events_from_before_the_days_that_are_shown_are_counted(world: World) -> None:
    world.deliver(session(1, 40 * DAY_MS), session(2, 31 * DAY_MS), session(3, 10_000 * DAY_MS))
    throughput = world.gather().throughput
    assert (throughput.older_events, [each.events for each in throughput.traffic]) == (2, [1])


def test_batches_are_read_hour_by_hour_back_until_there_are_enough(world: World) -> None:
    for _ in range(4):
        world.deliver(health(90))
        world.deployment.clock.ms += HOUR_MS
    now_ms = world.deployment.clock.ms
    throughput = world.gather().throughput
    assert [batch.at_ms for batch in throughput.batches] == [NOW + hours * HOUR_MS for hours in range(4)]
    assert throughput.since_ms == throughput.asked_ms == now_ms - DAY_MS
    throughput = world.gather(most=Most(batches=2)).throughput
    assert [batch.at_ms for batch in throughput.batches] == [NOW + hours * HOUR_MS for hours in (2, 3)]
    assert now_ms - 3 * HOUR_MS < throughput.since_ms <= now_ms - 2 * HOUR_MS
    assert throughput.asked_ms == now_ms - DAY_MS


def test_lines_that_only_have_the_word_are_passed_over(world: World) -> None:
    world.logs.groups[f"/aws/lambda/{PROCESSOR}"] += [(NOW, "EventsByHour"), (NOW, '{"EventsByHour": {}}')]
    throughput = world.gather().throughput
    assert (throughput.batches, throughput.note) == ([], "The processor has taken in no batch in this time.")


def test_a_processor_without_a_log_is_no_error(world: World) -> None:
    del world.logs.groups[f"/aws/lambda/{PROCESSOR}"]
    assert world.gather().throughput.note == "The processor has not logged anything yet."


@pytest.mark.parametrize("group", [PROCESSOR, NOTIFIER])
def test_a_log_that_may_not_be_read_is_one(world: World, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = world.logs._filter

    def refused(**arguments: Any) -> Iterator[dict[str, Any]]:
        if arguments["logGroupName"].endswith(group):
            raise missing("FilterLogEvents", "AccessDeniedException")
        yield from read(**arguments)

    monkeypatch.setattr(world.logs, "_filter", refused)
    with pytest.raises(ClientError, match="AccessDenied"):
        world.gather()


def test_pages_of_the_table_are_told_of(world: World) -> None:
    world.deliver(session(1, 0), health(45, "stu_2"))
    moved: list[tuple[int, int | None]] = []
    table = Table([dict(item) for item in world.deployment.aws.items.values()])
    names = TABLES, ENVIRONMENT["QUARANTINE_BUCKET_NAME"], PROCESSOR, None
    sources = Sources(table, world.bucket, world.logs, *names)
    gather(
        sources,
        AlertRules(),
        NOW,
        alerts_since_ms=NOW,
        batches_since_ms=NOW,
        report=lambda number, total: moved.append((number, total)),
    )
    assert moved == [(2, None), (1, None)]
