"""What tests of hard cases do to a world, step by step."""

import json
from collections.abc import Callable
from typing import Any

from functions.entities.attribute_values import from_attribute
from functions.model import HOUR_MS, SECOND_MS, to_iso
from proof.mapping import StreamRecord
from proof.world import BEGINNING, World

MINUTE_MS = 60 * SECOND_MS


STUDENT, TUTOR = ("student", "stu_1"), ("tutor", "tut_1")


WRITE = "batch_execute_statement"


def event(event_type: str, at: int | str | None = BEGINNING - HOUR_MS, **payload: Any) -> bytes:
    """An event as a producer writes it; `at` is its time, epoch ms or as written."""
    body: dict[str, Any] = {"event_type": event_type, "payload": payload}
    if at is not None:
        body["timestamp"] = to_iso(at) if isinstance(at, int) else at
    return json.dumps(body).encode()


def session(name: str, at: int | str | None = BEGINNING - HOUR_MS, **given: Any) -> bytes:
    """The start of a session between stu_1 and tut_1."""
    return event("session_started", at, session_id=name, **{"student_id": "stu_1", "tutor_id": "tut_1"} | given)


def completion(name: str, at: int | str | None = BEGINNING - HOUR_MS, **given: Any) -> bytes:
    """The end of a session between stu_1 and tut_1."""
    return event("session_completed", at, session_id=name, **{"student_id": "stu_1", "tutor_id": "tut_1"} | given)


def health(score: float, at: int | str | None = BEGINNING - HOUR_MS, student: str = "stu_1") -> bytes:
    return event("customer_health_update", at, student_id=student, health_score=score)


def put(here: World, *events: bytes, key: str = "key") -> list[StreamRecord]:
    return [here.put(key, data) for data in events]


def deliver(here: World, times: int = 1) -> None:
    """So many batches, of the first lane that has one."""
    for _ in range(times):
        here.mapping.deliver(here.mapping.ready()[0])


def invoke(here: World, *records: StreamRecord) -> list[str]:
    """An invocation beside the mapping: what another process does. Gives the sequence numbers that it reports."""
    answer = here.invoke({"Records": [record.as_delivered() for record in records]})
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def item(here: World, key: tuple[str, str]) -> dict[str, Any]:
    """An item with everything that is stored of it."""
    return {name: from_attribute(value) for name, value in here.memory.items[key].items()}


def told(here: World) -> list[dict[str, Any]]:
    return [json.loads(entry["Detail"]) for entry in here.memory.events]


def down(*operations: str, how: str = "refused") -> Callable[[str, int], str | None]:
    """A choice of faults: each call of these operations fails."""
    return lambda operation, _: how if operation in operations else None


def before_once(operation: str, action: Callable[[], object]) -> Callable[[str], None]:
    """Does something before the first call of an operation, and is not asked again while it is at it."""
    left = [action]

    def before(called: str) -> None:
        if called == operation and left:
            left.pop()()

    return before


def stored_bytes(value: Any) -> int:
    """An attribute's size as DynamoDB counts it, rather more than less: names and text in UTF-8, numbers as written."""
    match value:
        case dict():
            return 3 + sum(1 + len(name.encode()) + stored_bytes(each) for name, each in value.items())
        case list():
            return 3 + sum(1 + stored_bytes(each) for each in value)
        case bytes():
            return len(value)
        case _:
            return len(str(value).encode())
