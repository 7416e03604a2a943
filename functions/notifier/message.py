"""Writes what SNS gets of one alert: subject, text for people, JSON for machines, attributes to filter by. Pure.

SNS takes the result whatever a Detail says or lacks (SNS API reference, "Publish"). The text leaves out what is
missing. An alert without a story has its own `message` as text, or else its JSON. All times come from the alert, so a
repeat has the same text.
"""

import json
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from functions.notifier.wording import LABELS, SOON, STORIES, Figures, Story, Unusable, counted, number

MOST_IN_SUBJECT: Final = 99
"""Characters: a subject is ASCII without control characters, begins with a letter, digit or punctuation mark, and is
less than 100 characters long."""
MOST_IN_MESSAGE: Final = 262_144
"""Bytes, with the attributes."""
_ROOM_FOR_ATTRIBUTES: Final = 2_048
_MOST_IN_ATTRIBUTE: Final = 256

_MOST_IN_NAME: Final = 40
"""Characters of an id in a subject, so that there is room for what is the matter."""
_MOST_TOLD: Final = 4_000
"""Characters of a message or of a Detail in the text."""
_MOST_FIGURES, _MOST_IN_FIGURE = 20, 200
_MOST_IN_ID: Final = 1_024
"""Bytes: nothing with a longer id is in the table (contract section 1)."""
_MOST_IN_CUT: Final = 512
"""Characters of each text in JSON that had to be cut."""

_ENTITIES: Final = ("student", "tutor", "subject", "region")
_ATTRIBUTES: Final = ("severity", "alert_type", "status", "entity_type")
_PROCESSOR: Final = "iops-dashboard.processor"


@dataclass(frozen=True)
class Notification:
    """What SNS is given."""

    subject: str
    message: str
    """JSON for MessageStructure: `email` is the text; `default`, for all others, the event as EventBridge has it."""
    attributes: Mapping[str, str]


def notification(event: Mapping[str, Any]) -> Notification:
    """Return what to publish of an event of the bus whose `detail` is an object.

    An event that does not fit beside its text keeps only the contract's fields of an alert, without its details and
    with `truncated`. None of the processor's events is that large.
    """
    alert = _Alert(event)
    text = _text(alert)
    message = _message(event, text)
    if len(message.encode()) > MOST_IN_MESSAGE - _ROOM_FOR_ATTRIBUTES:
        message = _message(_cut(event), text)
    attributes = {
        name: value
        for name in _ATTRIBUTES
        if isinstance(value := alert.detail.get(name), str) and 0 < len(value) <= _MOST_IN_ATTRIBUTE
        if value.isascii() and value.isprintable()
    }
    return Notification(_subject(alert), message, attributes)


def _message(event: Mapping[str, Any], text: str) -> str:
    # The event is in ASCII: characters that UTF-8 or a queue cannot carry arrive as JSON's escapes.
    return json.dumps({"default": json.dumps(event), "email": text}, ensure_ascii=False)


def _cut(event: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "detail-type", "source", "account", "time", "region", "resources")
    detail = {
        name: _cut_value(event["detail"][name])
        for name in (
            "alert_id",
            "episode_id",
            "alert_type",
            "severity",
            "status",
            "entity_id",
            "entity_type",
            "message",
            "timestamp",
            "started_at",
        )
        if name in event["detail"]
    }
    shortened = {name: _cut_value(event[name]) for name in kept if name in event}
    return {**shortened, "detail": {**detail, "truncated": True}}


def _cut_value(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= _MOST_IN_CUT else text[:_MOST_IN_CUT]


class _Alert:
    """An alert's Detail, parsed for sentences."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.detail: Mapping[str, Any] = event["detail"]
        self.source = _line(event.get("source"))
        self.type = _line(self.detail.get("alert_type"))
        self.severity = _line(self.detail.get("severity"))
        self.status = _line(self.detail.get("status"))
        self.message = _line(self.detail.get("message"), _MOST_TOLD).removeprefix("Resolved: ").rstrip(".")
        self.entity_type = _line(self.detail.get("entity_type"))
        # As it is: commands need every character.
        entity_id = self.detail.get("entity_id")
        self.entity_id = entity_id if isinstance(entity_id, str) else ""
        details = self.detail.get("details")
        self.details: Mapping[str, Any] = details if isinstance(details, Mapping) else {}
        self.told_at = _time(self.detail.get("timestamp")) or _time(event.get("time"))
        self.began_at = _time(self.detail.get("started_at")) or self.told_at
        self.story: Story | None = STORIES.get(self.type)

    @property
    def is_over(self) -> bool:
        return self.status == "resolved"

    @property
    def lasted(self) -> timedelta:
        """How long it has lasted, from its beginning to this notification."""
        if self.told_at is None or self.began_at is None:
            return timedelta()
        return max(self.told_at - self.began_at, timedelta())

    def sentence(self, name: str) -> str:
        """Return the sentence about the entity of this name, with its figure."""
        if self.story is None or not name:
            return self.message or (f"{self._kind} of {name}" if name else self._kind)
        sentence = (self.story.resolved if self.is_over else self.story.firing).format(name=name)
        try:
            return f"{sentence}: {self.story.figure(Figures(self.details))}"
        except Unusable:
            return sentence

    @property
    def _kind(self) -> str:
        return f"Alert {self.type}" if self.type else "An alert that does not say what it is"


def _subject(alert: _Alert) -> str:
    name = _ascii(alert.entity_id)
    name = name if len(name) <= _MOST_IN_NAME else f"{name[: _MOST_IN_NAME - 3]}..."
    sentence = alert.sentence(name)
    head = "resolved" if alert.is_over else alert.severity or "alert"
    subject = _ascii(f"[{head}] {'Reminder: ' if alert.status == 'reminder' else ''}{sentence}")
    return subject if len(subject) <= MOST_IN_SUBJECT else f"{subject[: MOST_IN_SUBJECT - 3]}..."


def _text(alert: _Alert) -> str:
    name = f"{alert.entity_type} {_line(alert.entity_id, _MOST_IN_ID)}".strip() if alert.entity_id else ""
    sentence = alert.sentence(name)
    # A message is its author's.
    parts = [f"{_capital(sentence) if alert.story else sentence}.\n{_since(alert)}"]
    if alert.details:
        parts.append("Figures\n" + "\n".join(f"- {figure}" for figure in _figures(alert.details)))
    if alert.story and not alert.is_over:
        parts.append(f"Why it matters\n{alert.story.why}")
    steps = "\n".join(f"{place}. {step}" for place, step in enumerate(_steps(alert), 1))
    parts.append(f"What to do\n{steps}")
    if not alert.message and not alert.story:
        parts.append("All that the alert says\n" + json.dumps(alert.detail, indent=1)[:_MOST_TOLD])
    parts.append(_foot(alert))
    return "\n\n".join(parts) + "\n"


def _since(alert: _Alert) -> str:
    severity = f"{alert.severity} alert" if alert.severity else "alert"
    if alert.began_at is None:
        return "This alert is over." if alert.is_over else f"This is a new {severity}."
    at = alert.began_at
    began, lasted = f"{at:%A} {at.day} {at:%B} {at.year}, {at:%H:%M} UTC", duration(alert.lasted)
    if alert.is_over:
        highest = f" Its highest severity was {alert.severity}." if alert.severity else ""
        return f"This alert is over. It began on {began}, and lasted {lasted}.{highest}"
    if alert.status == "reminder":
        return f"This {severity} still lasts. It began on {began}, {lasted} ago."
    if alert.lasted:
        return f"This is now a {severity}. It began on {began}, {lasted} ago, with another severity."
    return f"This {severity} began on {began}."


def duration(lasted: timedelta) -> str:
    """In words, to the minute or, from a day on, to the hour: `2 days and 3 hours`, `less than a minute`."""
    minutes = int(lasted.total_seconds()) // 60
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour")]
    if minutes < 1440:
        parts.append((minutes % 60, "minute"))
    return " and ".join(counted(count, unit) for count, unit in parts if count) or "less than a minute"


def _figures(details: Mapping[str, Any]) -> Iterator[str]:
    for name, value in list(details.items())[:_MOST_FIGURES]:
        match value:
            case bool() | None:
                figure = json.dumps(value)
            case int() | float():
                figure = number(value)
            case str():
                figure = _line(value, _MOST_IN_FIGURE)
            case list() if all(isinstance(text, str) for text in value):
                figure = _line(", ".join(value), _MOST_IN_FIGURE) or "none"
            case _:
                figure = _line(json.dumps(value), _MOST_IN_FIGURE)
        yield f"{LABELS.get(name) or _capital(_line(name.replace('_', ' '), _MOST_IN_FIGURE))}: {figure}"
    if len(details) > _MOST_FIGURES:
        yield f"{len(details) - _MOST_FIGURES} more"


def _steps(alert: _Alert) -> Iterator[str]:
    if alert.entity_type in _ENTITIES and 0 < len(alert.entity_id.encode(errors="surrogatepass")) <= _MOST_IN_ID:
        yield f"See what stands behind the figures: {_command(alert.entity_type, alert.entity_id)}"
    else:
        yield "See which alerts are firing: iops alerts"
    if alert.is_over:
        yield "Nothing else. If it comes back soon, its cause is still there."
    elif alert.story:
        soon = SOON.get(alert.severity, "soon")
        yield from (step.format(soon=soon) for step in alert.story.steps)


def _command(entity_type: str, entity_id: str) -> str:
    """The operators' command about an entity, for a shell."""
    if entity_id.isprintable():
        quoted = shlex.quote(entity_id)
    else:  # bash and zsh know this form; a line break in a command would end it
        quoted = "$'" + "".join(_escaped(character) for character in entity_id) + "'"
    if entity_id.startswith("-"):  # after `--` nothing is an option
        return f"iops entity {entity_type} --explain -- {quoted}"
    return f"iops entity {entity_type} {quoted} --explain"


def _escaped(character: str) -> str:
    if character in "'\\":
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _foot(alert: _Alert) -> str:
    of_alert = [f"Alert {alert.type}".strip()]
    for label, name in (("id", "alert_id"), ("episode", "episode_id")):
        if isinstance(value := alert.detail.get(name), str) and value:
            of_alert.append(f"{label} {_line(value, _MOST_IN_FIGURE)}")
    if alert.source and alert.source != _PROCESSOR:
        of_alert.append(f"from {alert.source}")
    lines = [", ".join(of_alert) + ".", "An alert that comes twice has the same id: it is the same one."]
    if not alert.is_over:
        lines.append("All alerts that are firing now: iops alerts")
    return "-- \n" + "\n".join(lines)


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _line(value: Any, most: int = _MOST_IN_FIGURE) -> str:
    """Return a text on one line, without invisible characters and cut to `most`. Return "" for anything else."""
    if not isinstance(value, str):
        return ""
    seen = "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in value).strip()
    return seen if len(seen) <= most else f"{seen[: most - 3]}..."


def _ascii(text: str) -> str:
    """Return a text in printable ASCII: letters lose their marks, and other characters become `?`."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    printable = "".join(c if c.isascii() and c.isprintable() else " " if c.isspace() else "?" for c in plain)
    return " ".join(printable.split())


def _capital(text: str) -> str:
    """Return the text with a capital as its first letter."""
    return text[:1].upper() + text[1:]
