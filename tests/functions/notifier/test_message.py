"""What people read of each alert, word for word for some; and that no Detail makes anything that SNS would refuse."""

import json
import re
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.entities.alerts import ALERT_TYPES
from functions.notifier.message import Notification, duration, notification
from functions.notifier.wording import STORIES
from tests.helpers.alert_details import DETAIL, event, event_of

LATER = "2026-11-25T13:20:00.000Z"
"""Two days, three hours and some minutes after the beginning."""


def text(**changes: Any) -> str:
    return text_of(notification(event(**changes)))


def text_of(told: Notification) -> str:
    email: str = json.loads(told.message)["email"]
    return email


def subject(**changes: Any) -> str:
    return notification(event(**changes)).subject


FOOT = """\
-- 
Alert low_health_score, id a1, episode e1.
An alert that comes twice has the same id: it is the same one.
"""  # noqa: W291 - a mail's signature begins so
NOW_FIRING = "All alerts that are firing now: iops alerts\n"

FIRING = f"""\
Student stu_1 is slipping away: health score 45.
This critical alert began on Monday 23 November 2026, 10:00 UTC.

Figures
- Health score (0 to 100): 45
- Sessions in 7 days: 1
- Inbound calls in 14 days: 2

Why it matters
A low health score is the earliest sign that a student is about to leave, and the time to act is before.

What to do
1. See what stands behind the figures: iops entity student stu_1 --explain
2. Look for the cause: hardly any sessions, poor ratings, or many calls.
3. Have somebody whom the student knows get in touch today.

{FOOT}{NOW_FIRING}"""

RESOLVED = f"""\
Student stu_1 is no longer slipping away: health score 80.
This alert is over. It began on Monday 23 November 2026, 10:00 UTC, and lasted 2 days and 3 hours. Its \
highest severity was critical.

Figures
- Health score (0 to 100): 80

What to do
1. See what stands behind the figures: iops entity student stu_1 --explain
2. Nothing else. If it comes back soon, its cause is still there.

{FOOT}"""

OF_AI = """\
stu_1 may leave: three signs.
This warning alert began on Monday 23 November 2026, 10:00 UTC.

Figures
- Probability: 0.93
- Signs: few sessions, calls

What to do
1. See what stands behind the figures: iops entity student stu_1 --explain

-- 
Alert churn, id a1, episode e1, from iops-dashboard.ai.
An alert that comes twice has the same id: it is the same one.
All alerts that are firing now: iops alerts
"""  # noqa: W291

NOTHING_KNOWN = """\
Alert mystery.
This is a new info alert.

What to do
1. See which alerts are firing: iops alerts

All that the alert says
{
 "alert_type": "mystery",
 "severity": "info",
 "score": [
  1,
  null
 ]
}

-- 
Alert mystery, from iops-dashboard.ai.
An alert that comes twice has the same id: it is the same one.
All alerts that are firing now: iops alerts
"""  # noqa: W291


def test_a_new_alert_says_what_who_since_when_why_and_what_to_do() -> None:
    assert text() == FIRING
    assert subject() == "[critical] stu_1 is slipping away: health score 45"


def test_the_end_of_an_alert_says_so_and_asks_for_nothing() -> None:
    over = {"status": "resolved", "timestamp": LATER, "details": {"health_score": 80}}
    assert text(**over) == RESOLVED
    assert subject(**over) == "[resolved] stu_1 is no longer slipping away: health score 80"


def test_a_reminder_says_how_long_it_has_lasted() -> None:
    reminder = {"status": "reminder", "timestamp": LATER}
    began = "This critical alert began on Monday 23 November 2026, 10:00 UTC."
    lasts = "This critical alert still lasts. It began on Monday 23 November 2026, 10:00 UTC, 2 days and 3 hours ago."
    assert text(**reminder) == FIRING.replace(began, lasts)
    assert subject(**reminder) == "[critical] Reminder: stu_1 is slipping away: health score 45"


def test_another_severity_is_said_to_be_another() -> None:
    assert text(timestamp="2026-11-23T10:01:00Z").splitlines()[1] == (
        "This is now a critical alert. It began on Monday 23 November 2026, 10:00 UTC, 1 minute ago, "
        "with another severity."
    )


def test_an_alert_without_a_story_is_told_in_its_own_words() -> None:
    detail = {
        **DETAIL,
        "alert_type": "churn",
        "severity": "warning",
        "message": "stu_1 may leave:\nthree signs.",
        "details": {"probability": 0.93, "signs": ["few sessions", "calls"]},
    }
    told = notification(event_of(detail, source="iops-dashboard.ai"))
    assert text_of(told) == OF_AI
    assert told.subject == "[warning] stu_1 may leave: three signs"


def test_an_alert_without_a_message_is_told_as_json() -> None:
    detail = {"alert_type": "mystery", "severity": "info", "score": [1, None]}
    bare = {"source": "iops-dashboard.ai", "detail": detail}
    assert text_of(notification(bare)) == NOTHING_KNOWN
    assert notification(bare).subject == "[info] Alert mystery"


# Of each story: an entity, details as the processor makes them, and the first line while it lasts and when it is over.
TOLD: list[tuple[str, str, str, dict[str, Any], str, str]] = [
    (
        "high_ib_call_frequency",
        "student",
        "stu_1",
        {"ib_calls_14d": 3, "health_score": 80},
        "Student stu_1 keeps calling: 3 inbound calls in 14 days.",
        "Student stu_1 no longer calls that often: 3 inbound calls in 14 days.",
    ),
    (
        "low_health_score",
        "student",
        "stu_1",
        {"health_score": 45.25, "sessions_7d": 1, "ib_calls_14d": 2},
        "Student stu_1 is slipping away: health score 45.25.",
        "Student stu_1 is no longer slipping away: health score 45.25.",
    ),
    (
        "supply_demand_imbalance",
        "subject",
        "algebra",
        {"balance_status": "high_demand", "demand_score": 90, "supply_score": 20, "regions": ["north"]},
        "Subject algebra runs short of tutors: demand 90, supply 20.",
        "Subject algebra is in balance again: demand 90, supply 20.",
    ),
    (
        "supply_demand_imbalance",
        "subject",
        "algebra",
        {"balance_status": "n/a", "demand_score": "n/a", "supply_score": "n/a", "regions": [], "regions_total": 0},
        "Subject algebra runs short of tutors.",
        "Subject algebra is in balance again.",
    ),
    (
        "first_session_success_low",
        "tutor",
        "tut_1",
        {"first_session_success_rate": 0.3333, "first_outcomes": 9, "first_sessions_30d": 12},
        "First sessions of tutor tut_1 often fail: success rate 33.3 %.",
        "First sessions of tutor tut_1 no longer fail that often: success rate 33.3 %.",
    ),
    (
        "session_velocity_drop",
        "student",
        "stu_1",
        {"counted_7d": 1, "counted_7d_before": 6},
        "Student stu_1 has far fewer sessions than the week before: 1 session in 7 days after 6.",
        "Student stu_1 no longer loses sessions: 1 session in 7 days after 6.",
    ),
    (
        "no_tutors_available",
        "region",
        "north",
        {"available_tutors": 0, "active_students": 12},
        "No tutors for region north: 12 active students.",
        "Region north no longer waits for tutors: 12 active students.",
    ),
    (
        "demand_surge",
        "subject",
        "algebra",
        {"sessions_7d": 1200, "usual_daily": 3.0, "surge_score": 8.1},
        "Demand for subject algebra surges: 1,200 sessions in 7 days, usually 3 a day.",
        "Demand for subject algebra no longer surges: 1,200 sessions in 7 days, usually 3 a day.",
    ),
]


@pytest.mark.parametrize(("alert_type", "entity_type", "entity_id", "details", "firing", "resolved"), TOLD)
def test_every_story_in_its_first_line(
    alert_type: str, entity_type: str, entity_id: str, details: dict[str, Any], firing: str, resolved: str
) -> None:
    about = {"alert_type": alert_type, "entity_type": entity_type, "entity_id": entity_id, "details": details}
    assert text(**about).splitlines()[0] == firing
    assert text(**about, status="resolved").splitlines()[0] == resolved
    said = text(**about)
    assert STORIES[alert_type].why in said
    assert f"1. See what stands behind the figures: iops entity {entity_type} {entity_id} --explain\n2. " in said
    assert "{" not in said


def test_every_alert_of_the_processor_has_a_story_and_is_tried_above() -> None:
    raised = {alert_type for of_entity in ALERT_TYPES.values() for alert_type in of_entity}
    assert raised == STORIES.keys() == {alert_type for alert_type, *_ in TOLD}


@pytest.mark.parametrize(("severity", "soon"), [("critical", "today"), ("warning", "within two days"), ("?", "soon")])
def test_how_soon_goes_by_the_severity(severity: str, soon: str) -> None:
    assert f"get in touch {soon}." in text(severity=severity)


@pytest.mark.parametrize(
    ("lasted", "words"),
    [
        (timedelta(), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=1, minutes=2), "1 hour and 2 minutes"),
        (timedelta(hours=5), "5 hours"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=1, minutes=59), "1 day"),
        (timedelta(days=45, hours=23, minutes=59), "45 days and 23 hours"),
    ],
)
def test_durations_are_words(lasted: timedelta, words: str) -> None:
    assert duration(lasted) == words


@pytest.mark.parametrize(
    ("started_at", "began"),
    [
        ("2026-11-23T12:00:00+02:00", "Monday 23 November 2026, 10:00 UTC"),
        ("2026-11-23 10:00", "Monday 23 November 2026, 10:00 UTC"),
        ("0001-01-01T00:00:00+14:00", "Monday 23 November 2026, 10:00 UTC"),
        ("yesterday", "Monday 23 November 2026, 10:00 UTC"),
        (None, "Monday 23 November 2026, 10:00 UTC"),
        ("2026-11-24T10:00:00Z", "Tuesday 24 November 2026, 10:00 UTC"),
    ],
)
def test_a_time_that_is_none_is_that_of_the_notification(started_at: Any, began: str) -> None:
    assert text(started_at=started_at).splitlines()[1] == f"This critical alert began on {began}."


@pytest.mark.parametrize(
    ("entity_id", "shown"),
    [
        ("Zoë", "Zoe"),
        ("学生", "??"),
        ("two\r\nlines", "two lines"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 37 + "..."),
    ],
)
def test_an_id_is_ascii_in_a_subject(entity_id: str, shown: str) -> None:
    assert subject(entity_id=entity_id) == f"[critical] {shown} is slipping away: health score 45"


def test_an_id_cannot_add_lines_to_the_text() -> None:
    said = text(entity_id="stu_1\n\nWhat to do\n1. Call me\u2028\u202e")
    assert said.count("\nWhat to do\n") == 1
    assert said.splitlines()[0] == ("Student stu_1  What to do 1. Call me \ufffd is slipping away: health score 45.")


@pytest.mark.parametrize(
    "entity_id",
    ["stu_1", "two words", "it's; rm -rf *", "-x", "--stack", "$HOME `id`", "line\nbreak\\n'", "\t-x", "Zoë\u200b"],
)
def test_the_command_names_the_entity_to_a_shell(entity_id: str) -> None:
    (command,) = re.findall(r": (iops entity .+)", text(entity_id=entity_id))
    # What a shell makes of it, by printing the arguments in place of running the command.
    ran = subprocess.run(  # noqa: S603 - each id is one of the above
        ["bash", "-c", f"iops() {{ printf '%s\\0' \"$@\"; }}; {command}"],  # noqa: S607
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = ran.stdout.rstrip("\0").split("\0")
    options_end = arguments.index("--") if "--" in arguments[:-1] else len(arguments)
    assert "--explain" in arguments[:options_end]
    assert [each for each in arguments if each not in ("--explain", "--")] == ["entity", "student", entity_id]
    if entity_id.startswith("-"):
        assert options_end < arguments.index(entity_id)


def test_no_command_is_given_for_what_can_be_no_entity() -> None:
    for changes in ({"entity_id": "x" * 1025}, {"entity_id": ""}, {"entity_type": "city"}, {"entity_id": 5}):
        assert "1. See which alerts are firing: iops alerts\n" in text(**changes)
    for entity_id in ("x", "x" * 1024):
        assert f"iops entity student {entity_id} --explain" in text(entity_id=entity_id)


def test_figures_are_many_or_long_and_the_text_stays_readable() -> None:
    details = {f"figure_{number}": ["x"] * 1000 for number in range(25)}
    lines = [line for line in text(details=details).splitlines() if line.startswith("- ")]
    assert len(lines) == 21
    assert lines[0].startswith("- Figure 0: x, x, ")
    assert max(map(len, lines)) < 220
    assert lines[-1] == "- 5 more"
    assert " more\n" not in text(details={f"figure_{number}": 1 for number in range(20)})


@pytest.mark.parametrize(("length", "shown"), [(200, "x" * 200), (201, "x" * 197 + "...")])
def test_a_long_figure_is_cut(length: int, shown: str) -> None:
    assert f"- Reason: {shown}\n" in text(details={"reason": "x" * length})


@pytest.mark.parametrize(("length", "shown"), [(88, "m" * 88), (89, "m" * 85 + "...")])
def test_a_subject_is_shorter_than_100_characters(length: int, shown: str) -> None:
    cut = subject(alert_type="churn", message="m" * length)
    assert cut == f"[critical] {shown}"
    assert len(cut) == 99


@pytest.mark.parametrize(("length", "shown"), [(4_000, 4_000), (4_001, 3_997)])
def test_a_long_message_of_its_own_is_cut(length: int, shown: int) -> None:
    assert text(alert_type="churn", message="m" * length).splitlines()[0] == "m" * shown + "."


def test_what_is_no_text_has_no_line_in_the_foot() -> None:
    for nothing in ("", 5, None):
        assert "-- \nAlert low_health_score, episode e1.\n" in text(alert_id=nothing)


def test_an_alert_that_says_no_time_but_its_beginning_is_told() -> None:
    untimed = {name: value for name, value in DETAIL.items() if name != "timestamp"}
    said = text_of(notification({"detail": untimed}))
    assert said.splitlines()[1] == "This critical alert began on Monday 23 November 2026, 10:00 UTC."


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [("x", True), ("x" * 256, True), ("x" * 257, False), ("", False), ("Zoë", False), ("a\nb", False), (5, False)],
)
def test_an_attribute_is_what_sns_can_filter_by(value: object, is_kept: bool) -> None:
    assert notification(event(alert_type=value)).attributes.get("alert_type") == (value if is_kept else None)


def test_people_get_letters_as_they_are() -> None:
    assert "Zoë" in notification(event(entity_id="Zoë")).message


def test_an_event_is_cut_when_it_is_a_byte_too_large() -> None:
    def told(length: int) -> tuple[int, dict[str, Any]]:
        message = notification(event(details={"text": "x" * length})).message
        return len(message), json.loads(json.loads(message)["default"])["detail"]

    size, _ = told(1_000)
    fits = 1_000 + 262_144 - 2_048 - size
    assert told(fits) == (262_144 - 2_048, {**DETAIL, "details": {"text": "x" * fits}})
    assert told(fits + 1)[1]["truncated"]


def test_a_value_in_an_event_that_is_cut_stays_what_it_is_where_it_is_short() -> None:
    listed = ["x" * 508]
    assert len(json.dumps(listed)) == 512
    told = notification(event(details={"text": "x" * 300_000}, message=listed))
    assert json.loads(json.loads(told.message)["default"])["detail"]["message"] == listed


def test_an_event_that_does_not_fit_is_cut_and_says_so() -> None:
    told = notification(event(details={"text": '"' * 200_000}, message="m" * 200_000))
    default = json.loads(json.loads(told.message)["default"])
    kept = {name: value for name, value in DETAIL.items() if name != "details"}
    assert default["detail"] == {**kept, "message": "m" * 512, "truncated": True}
    assert default["source"] == "iops-dashboard.processor"
    whole = event(details={"text": "x" * 200_000})
    assert json.loads(json.loads(notification(whole).message)["default"]) == whole


texts = st.text(st.characters()) | st.sampled_from(["x" * 300, "\ud800" * 2000, '"\\' * 60_000, "ü" * 1024])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
NAMES = [*DETAIL, "other"]
details = st.dictionaries(st.sampled_from(["health_score", "counted_7d", "regions"]) | texts, json_values, max_size=5)
any_details = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NAMES, json_values),
        "alert_type": st.sampled_from(sorted(STORIES)) | json_values,
        "entity_type": st.sampled_from(["student", "subject"]) | json_values,
        "status": st.sampled_from(["firing", "reminder", "resolved"]) | json_values,
        "severity": st.sampled_from(["critical", "warning", "info"]),
        "entity_id": texts,
        "details": details | json_values,
    },
)


@given(any_details, st.booleans())
def test_whatever_an_alert_says_sns_takes_what_is_made_of_it(detail: dict[str, Any], whole: bool) -> None:
    """SNS API reference, "Publish"; SQS API reference, "SendMessage", for the characters."""
    given_event = event_of(detail) if whole else {"detail": detail}
    told = notification(given_event)
    assert re.fullmatch(r"\[[ -~]{1,98}", told.subject)
    message = told.message.encode()
    attributes = sum(len(name) + len("String") + len(value) for name, value in told.attributes.items())
    assert len(message) + attributes <= 262_144
    made = json.loads(message)
    assert made.keys() == {"default", "email"}
    default = json.loads(made["default"])
    if "truncated" in default["detail"] and "truncated" not in detail:
        assert default["detail"].keys() <= {*DETAIL, "truncated"}
    else:
        assert default == given_event
    assert re.fullmatch(r"[\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+", made["email"])
    assert made["default"].isascii()
    assert "What to do\n1. " in made["email"]
    assert all(re.fullmatch(r"[ -~]{1,256}", value) for value in told.attributes.values())
