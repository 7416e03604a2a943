"""The program as deployed: from the stream to the topics' queues, the quarantine, and what time alone changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local import events_file
from local.demo import SAMPLE_MONTH
from local.deploy import Deployment
from local.flow import Flow
from local.ministack import LocalAws
from local.readback import read_back
from proof import compare
from proof.oracle import Record
from tests.e2e.conftest import InProcess
from tests.helpers.deployment import delivery, event_json, record

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def ago(**duration: float) -> str:
    return (datetime.now(UTC) - timedelta(**duration)).isoformat()


def health(student: str, score: float) -> bytes:
    return event_json(
        "customer_health_update", {"student_id": student, "health_score": score}, timestamp=ago(minutes=1)
    )


def call(student: str, number: int) -> bytes:
    payload = {"student_id": student, "call_id": f"{student}-call-{number}"}
    return event_json("ib_call_logged", payload, timestamp=ago(hours=number))


def session(student: str, tutor: str, number: int, **given: Any) -> bytes:
    payload = {"session_id": f"{student}-{number}", "student_id": student, "tutor_id": tutor, "student_rating": 4}
    return event_json("session_completed", payload | given, timestamp=ago(hours=number))


def demand(subject: str) -> bytes:
    payload = {"subject": subject, "region": f"{subject}-region", "balance_status": "high_demand", "demand_score": 90}
    return event_json("supply_demand_update", payload, timestamp=ago(minutes=1))


def process(flow: Flow, *lines: bytes) -> list[Record]:
    """Send records through the stream and wait until the deployed function is done with them."""
    before = flow.reported_failed()  # other files' tests make it fail on purpose
    sent = flow.send(lines)
    flow.wait()
    assert flow.reported_failed() == before
    return flow.with_arrivals(sent)


def about(alerts: list[dict[str, Any]], *entities: str) -> list[tuple[str, str, str]]:
    """Which alerts tell of these entities, and what."""
    return [(each["alert_type"], each["severity"], each["status"]) for each in alerts if each["entity_id"] in entities]


def test_what_was_created_is_what_was_declared(ministack: LocalAws, deployment: Deployment) -> None:
    readback = read_back(ministack, deployment)

    assert readback.differences == []
    assert readback.resources == len(deployment.resources) > 40
    assert readback.properties > 10 * readback.resources / 2


def test_an_event_reaches_the_topic_of_its_severity(flow: Flow) -> None:
    process(flow, health("stu_told", 45))

    item = flow.items()["student", "stu_told"]
    delivered = flow.delivered()
    (alert,) = [each for each in delivered["critical"] if each["entity_id"] == "stu_told"]
    assert item["alerts"]["low_health_score"]["severity"] == "critical"
    assert alert["message"] == "Student stu_told has low health score: 45.0"
    assert alert["episode_id"] == item["alerts"]["low_health_score"]["episode_id"]
    assert about(delivered["warning"] + delivered["info"], "stu_told") == []
    assert alert in flow.alerts()


def test_poison_is_quarantined_and_its_neighbours_count(flow: Flow) -> None:
    records = process(
        flow, call("stu_beside", 1), b"\xff not even text", b'{"event_type": "no_such"}', call("stu_beside", 2)
    )

    quarantined = {body["sequence_number"]: body["reason"] for body in flow.quarantined()}
    assert [quarantined.get(each.sequence) for each in records] == [None, "not_utf8", "unknown_event_type", None]
    assert flow.items()["student", "stu_beside"]["ib_calls_7d"] == 2


def test_the_simulators_events_are_processed(flow: Flow) -> None:
    before, quarantined, failed = flow.items(), len(flow.quarantined()), flow.reported_failed()

    answer = flow.simulate(streams=20, events=5, poison=0.1)
    flow.wait()

    assert (answer["accepted"], answer["given_up"]) == (answer["records"], 0)
    assert flow.reported_failed() == failed
    assert len(flow.quarantined()) - quarantined == answer["records"] - answer["events"] > 0
    assert len(flow.items()) > len(before) + 20


def test_the_rollup_counts_a_group_session_once_for_its_subject(flow: Flow) -> None:
    group = {"session_id": "group", "subject": "subject_grouped", "tutor_rating": 4, "completed_successfully": True}
    students = [f"stu_grouped_{number}" for number in range(3)]
    lines = [session(student, "tut_grouped", 1, **group) for student in students]
    records = process(flow, *lines, session(students[0], "tut_grouped", 2, subject="subject_grouped"), *lines)
    names = {("student", student) for student in students}
    names |= {("tutor", "tut_grouped"), ("subject", "subject_grouped")}
    history = compare.History(records, flow.rules())

    rolled_up = flow.rollup()
    found = {entity: item for entity, item in flow.items().items() if entity in names}
    assert compare.differing_items(compare.Reading(found, rolled_up["as_of"]), history, rolled_up["as_of"]) == []
    subject, tutor = found["subject", "subject_grouped"], found["tutor", "tut_grouped"]
    assert (subject["sessions_7d"], subject["avg_rating"], subject["active_students_30d"]) == (2, 4, 3)
    # Of the first of them the first session is the other one, of which no outcome is known.
    for item in (subject, tutor):
        assert (item["first_sessions_30d"], item["first_session_success_rate"]) == (3, 1)
        assert item["rolled_up"]["first_outcomes"] == 2

    flow.rollup()
    assert {entity: item for entity, item in flow.items().items() if entity in names} == found


def test_time_alone_ends_counts_and_alerts_and_reminds(flow: Flow, in_process: InProcess) -> None:
    student, tutor, subject = "stu_aging", "tut_aging", "subject_aging"
    lines = [
        *(session(student, tutor, number, subject=subject) for number in (1, 2, 3)),
        *(call(student, number) for number in (1, 2, 3)),
        health(student, 60),
        demand(subject),
    ]
    records = process(flow, *lines)
    names = {("student", student), ("tutor", tutor), ("subject", subject), ("region", f"{subject}-region")}
    started = in_process.now_ms
    history = compare.History(records, flow.rules())

    def items() -> dict[tuple[str, str], Any]:
        as_of = in_process.rollup()["as_of"]
        found = {entity: item for entity, item in flow.items().items() if entity in names}
        assert found.keys() == names
        assert compare.differing_items(compare.Reading(found, as_of), history, started) == []
        return found

    def rolled_at(now_ms: int) -> list[tuple[str, str, str]]:
        assert in_process.roll_at(now_ms)["complete"]
        return sorted(about(flow.alerts(), student, tutor, subject))

    now = items()
    assert now["student", student]["sessions_7d"] == now["tutor", tutor]["sessions_30d"] == 3
    assert now["subject", subject]["sessions_7d"] == 3
    assert sorted(about(flow.alerts(), student, subject)) == [
        ("high_ib_call_frequency", "warning", "firing"),
        ("low_health_score", "warning", "firing"),
        ("supply_demand_imbalance", "info", "firing"),
    ]

    assert rolled_at(started + 23 * HOUR_MS) == []
    for day in range(1, 6):
        assert [status for _, _, status in rolled_at(started + day * 25 * HOUR_MS)] == ["reminder"] * 3
    assert rolled_at(started + 6 * 25 * HOUR_MS) == []  # five reminders, and no more

    assert rolled_at(started + 8 * DAY_MS) == []
    now = items()
    assert now["student", student]["sessions_7d"] == now["subject", subject]["sessions_7d"] == 0
    assert now["subject", subject]["sessions_14d"] == 3
    assert rolled_at(started + 15 * DAY_MS) == [("high_ib_call_frequency", "warning", "resolved")]
    assert rolled_at(started + 31 * DAY_MS) == []
    now = items()
    for entity in (("student", student), ("tutor", tutor), ("subject", subject)):
        item = now[entity]
        counted = ("sessions_", "ib_calls_", "ratings_", "first_sessions_", "active_students_30d")
        counts = {name for name in item if name.startswith(counted)}
        assert {item[name] for name in counts | {"avg_rating", "session_velocity"}} == {0}
    assert now["student", student]["alerts"].keys() == {"low_health_score"}  # a report lasts until the next


def test_a_replay_with_the_clock_held_writes_nothing(flow: Flow, in_process: InProcess) -> None:
    now = datetime.fromtimestamp(in_process.now_ms / 1000, UTC)
    lines = events_file.read(SAMPLE_MONTH, rebase_to=now)
    records = [record(line, position, in_process.now_ms) for position, line in enumerate(lines)]
    batches = [delivery(records[start : start + 1000]) for start in range(0, len(records), 1000)]

    def deliver() -> dict[tuple[str, str], Any]:
        assert [in_process.deliver(batch) for batch in batches] == [[]] * len(batches)
        return flow.items()

    first = deliver()
    told = flow.alerts()

    assert deliver() == first
    assert flow.alerts() == []
    assert len(first) > 100
    assert len(told) > 10
