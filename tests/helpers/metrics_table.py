"""The table of metrics in moto, with the indexes that the program declares, and items as the processor makes them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from functions.entities.attribute_values import Attributes
from functions.model import DAY_MS, HOUR_MS, to_iso
from ops.wholes import Tables, Whole, with_tails
from tests.helpers.deployment import ENVIRONMENT, NOW, deployed, event_json

TABLE = "metrics"
KEYS_ONLY = {"ProjectionType": "KEYS_ONLY"}
INCLUDE = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["sessions_7d", "alerts"]}
SORTED_BY = {"EntityTypeHealthIndex": "health_score", "LastUpdatedIndex": "last_updated"}
"""The range key of each index."""


def make(
    dynamodb: Any,
    items: Sequence[Attributes],
    *,
    off: Collection[str] = (),
    projection: Mapping[str, Any] = KEYS_ONLY,
) -> None:
    """Makes the table without the indexes that are off, and puts the items."""
    types = {"entity_id": "S", "entity_type": "S", "health_score": "N", "last_updated": "S"}
    made = {name: key for name, key in SORTED_BY.items() if name not in off}
    used = {"entity_id", "entity_type", *made.values()}
    indexes = [
        {
            "IndexName": name,
            "KeySchema": [
                {"AttributeName": "entity_type", "KeyType": "HASH"},
                {"AttributeName": key, "KeyType": "RANGE"},
            ],
            "Projection": projection,
        }
        for name, key in made.items()
    ]
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": types[each]} for each in sorted(used)],
        KeySchema=[
            {"AttributeName": "entity_id", "KeyType": "HASH"},
            {"AttributeName": "entity_type", "KeyType": "RANGE"},
        ],
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )
    for item in items:
        dynamodb.put_item(TableName=TABLE, Item=item)


def events() -> list[bytes]:
    """A student in trouble with sessions, calls and a health report, another with a report alone, supply and demand."""
    told = []
    for number in range(9):
        begun = NOW - number * 3 * DAY_MS - HOUR_MS
        session = {"session_id": f"s{number}", "student_id": "stu_1", "tutor_id": "tut_1", "subject": "algebra"}
        told.append(event_json("session_started", session, timestamp=to_iso(begun)))
        if number % 2:
            end = {"student_rating": 4.5 - number % 4, "tutor_rating": 3, "completed_successfully": number != 3}
            told.append(event_json("session_completed", session | end, timestamp=to_iso(begun + HOUR_MS)))
    for number in range(3):
        call = {"call_id": f"c{number}", "student_id": "stu_1"}
        told.append(event_json("ib_call_logged", call, timestamp=to_iso(NOW - number * 5 * DAY_MS)))
    yesterday = to_iso(NOW - DAY_MS)
    for student, score, sessions in (("stu_1", 45.5, 6), ("stu_2", 65, 0)):
        report = {"student_id": student, "health_score": score, "sessions_last_7_days": sessions}
        told.append(event_json("customer_health_update", report, timestamp=yesterday))
    for region, status in (("eu", "high_demand"), ("us", "balanced")):
        supply = {"available_tutors": 3, "active_students": 30, "demand_score": 90, "supply_score": 20}
        update = {"subject": "algebra", "region": region, "balance_status": status, **supply}
        told.append(event_json("supply_demand_update", update, timestamp=yesterday))
    return told


def stored(*payloads: bytes) -> list[Attributes]:
    """The items that these events make at `NOW`."""
    return [whole.head for whole in wholes(*payloads)]


def wholes(*payloads: bytes) -> list[Whole]:
    """The items that these events make at `NOW`, with their tails."""
    with deployed() as made:
        assert made.deliver(*payloads) == []
        tables = Tables(ENVIRONMENT["DYNAMODB_TABLE_NAME"], ENVIRONMENT["STATE_TABLE_NAME"])
        return with_tails(list(made.aws.items.values()), tables, NOW)


def make_state_table(dynamodb: Any, name: str, stored: Sequence[Attributes] = ()) -> None:
    """Makes the internal table, and puts what it holds."""
    keys = {"pk": "HASH", "sk": "RANGE"}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
    )
    for each in stored:
        dynamodb.put_item(TableName=name, Item=each)


def make_table(dynamodb: Any, name: str, *, indexed: bool = False) -> None:
    """Makes an empty table with the key of the metrics table, and the index that a stack has unless told otherwise."""
    keys = {"entity_id": "HASH", "entity_type": "RANGE"}
    types = dict.fromkeys(keys, "S") | ({"health_score": "N"} if indexed else {})
    index = {
        "IndexName": "EntityTypeHealthIndex",
        "KeySchema": [
            {"AttributeName": "entity_type", "KeyType": "HASH"},
            {"AttributeName": "health_score", "KeyType": "RANGE"},
        ],
        "Projection": KEYS_ONLY,
    }
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in types.items()],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        **({"GlobalSecondaryIndexes": [index]} if indexed else {}),
    )
