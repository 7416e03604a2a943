"""What this system is compared with: a record-by-record handler, as one writes it with boto3 at first.

Each event gets the items that it names, adds one, puts them back, and tells the bus whenever an alert's condition
holds. It is not right (a retry counts twice, two shards overwrite each other, nothing ever falls): only its cost is of
interest.
"""

import base64
import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import boto3

Item = dict[str, Any]
Load = Callable[[str, str], Item | None]
Save = Callable[[Item], None]
Tell = Callable[[str, str, Item], None]


@cache
def _table() -> Any:
    return boto3.resource("dynamodb").Table(os.environ["BASELINE_TABLE_NAME"])


@cache
def _events() -> Any:
    return boto3.client("events")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Takes in one batch, record by record."""
    for record in event["Records"]:
        body = json.loads(base64.b64decode(record["kinesis"]["data"]))
        process(body["event_type"], body["payload"], _load, _save, _tell)
    return {"batchItemFailures": []}


def process(event_type: str, payload: dict[str, Any], load: Load, save: Save, tell: Tell) -> None:
    """Takes in one event; where items come from and go to is the caller's."""
    if event_type in ("session_started", "session_completed"):
        for entity_type in ("student", "tutor"):
            item = _get(load, entity_type, payload[f"{entity_type}_id"])
            if event_type == "session_started":
                for name in ("sessions_7d", "sessions_14d", "sessions_30d"):
                    item[name] += 1
            elif (rating := payload.get(f"{entity_type}_rating")) is not None:
                item["rating_sum"] += Decimal(str(rating))
                item["ratings_30d"] += 1
                item["avg_rating"] = round(item["rating_sum"] / item["ratings_30d"], 4)
            _put(save, item)
    elif event_type == "ib_call_logged":
        item = _get(load, "student", payload["student_id"])
        item["ib_calls_7d"] += 1
        item["ib_calls_14d"] += 1
        _put(save, item)
        if item["ib_calls_14d"] >= 3:
            tell("high_ib_call_frequency", "warning", item)
    elif event_type == "customer_health_update":
        item = _get(load, "student", payload["student_id"])
        item["health_score"] = Decimal(str(payload["health_score"]))
        _put(save, item)
        if item["health_score"] < 70:
            tell("low_health_score", "critical" if item["health_score"] < 50 else "warning", item)
    elif event_type == "tutor_availability_updated":
        item = _get(load, "tutor", payload["tutor_id"])
        item |= {name: payload[name] for name in ("subjects", "timezone", "accepts_instant_book")}
        item["available_hours_this_week"] = Decimal(str(payload["available_hours_this_week"]))
        _put(save, item)
    elif event_type == "supply_demand_update":
        figures = {name: payload[name] for name in ("available_tutors", "active_students", "balance_status")}
        figures |= {name: Decimal(str(payload[name])) for name in ("demand_score", "supply_score")}
        for entity_type in ("subject", "region"):
            item = _get(load, entity_type, payload[entity_type]) | figures
            _put(save, item)
            if entity_type == "subject" and payload["balance_status"] == "high_demand":
                tell("supply_demand_imbalance", "info", item)


def warmed(events: Iterable[tuple[str, dict[str, Any]]]) -> list[Item]:
    """The items after these events (type and payload), without AWS."""
    items: dict[tuple[str, str], Item] = {}

    def load(entity_type: str, entity_id: str) -> Item | None:
        return items.get((entity_type, entity_id))

    def save(item: Item) -> None:
        items[item["entity_type"], item["entity_id"]] = item

    for event_type, payload in events:
        process(event_type, payload, load, save, lambda *_: None)
    return list(items.values())


def _get(load: Load, entity_type: str, entity_id: str) -> Item:
    item = load(entity_type, entity_id)
    if item is not None:
        return item
    item = {"entity_type": entity_type, "entity_id": entity_id}
    if entity_type in ("student", "tutor"):
        counters = ("sessions_7d", "sessions_14d", "sessions_30d", "ratings_30d", "rating_sum", "avg_rating")
        item |= dict.fromkeys(counters, Decimal(0)) | {"health_score": Decimal(100)}
    if entity_type == "student":
        item |= {"ib_calls_7d": Decimal(0), "ib_calls_14d": Decimal(0)}
    return item


def _put(save: Save, item: Item) -> None:
    item["last_updated"] = datetime.now(UTC).isoformat()
    save(item)


def _load(entity_type: str, entity_id: str) -> Item | None:
    answer = _table().get_item(Key={"entity_type": entity_type, "entity_id": entity_id})
    item: Item | None = answer.get("Item")
    return item


def _save(item: Item) -> None:
    _table().put_item(Item=item)


def _tell(alert_type: str, severity: str, item: Item) -> None:
    detail = {
        "alert_type": alert_type,
        "severity": severity,
        "entity_id": item["entity_id"],
        "entity_type": item["entity_type"],
        "message": f"{item['entity_type']} {item['entity_id']}: {alert_type}",
        "timestamp": item["last_updated"],
    }
    _events().put_events(
        Entries=[
            {
                "EventBusName": os.environ["EVENT_BUS_NAME"],
                "Source": "iops-dashboard.processor",
                "DetailType": alert_type,
                "Detail": json.dumps(detail),
            }
        ]
    )
