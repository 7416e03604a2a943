"""Checks one decoded JSON object against the contract's table of fields and makes an `Event` of it. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from functions.events.fields import RULES, EventRule, invalid, is_missing
from functions.events.times import parse_time
from functions.events.usual import USUAL
from functions.model import Event, InvalidRecord, excerpt, to_iso


def validate(body: object, record: int, arrival_ms: int, future_tolerance_ms: int) -> Event:
    """Return one decoded record as an `Event`.

    Parameters
    ----------
    body
        The decoded JSON value.
    record
        The record's position in the batch.
    arrival_ms
        Approximate arrival, epoch milliseconds. It is the event time of an event that has no time.
    future_tolerance_ms
        How far after its arrival an event's time may lie.

    Raises
    ------
    InvalidRecord
        Reasons: not_object, unknown_event_type, missing_field, invalid_field, bad_timestamp, future_timestamp.
    """
    if not isinstance(body, dict):
        raise InvalidRecord("not_object", f"the record is {excerpt(body)}, allowed: a JSON object")
    event_type = body.get("event_type")
    if event_type is None:
        raise InvalidRecord("missing_field", "event_type is missing")
    rule = RULES.get(event_type) if isinstance(event_type, str) else None
    if rule is None:
        raise InvalidRecord("unknown_event_type", f"event_type is {excerpt(event_type)}, allowed: {', '.join(RULES)}")
    payload = body.get("payload")
    if payload is None:
        raise InvalidRecord("missing_field", "payload is missing")
    if not isinstance(payload, dict):
        raise invalid("payload", payload, "an object")
    fields = USUAL[event_type].fields(body)
    if fields is None:
        fields = _fields(event_type, rule, payload)
    time_ms = _event_time(body, payload, arrival_ms)
    if time_ms > arrival_ms + future_tolerance_ms:
        raise InvalidRecord(
            "future_timestamp",
            f"the event's time {to_iso(time_ms)} is more than {future_tolerance_ms // 1000} seconds "
            f"after its arrival {to_iso(arrival_ms)}",
        )
    return Event(record, event_type, time_ms, fields, _identity(rule, event_type, time_ms, fields, payload))


def _fields(event_type: str, rule: EventRule, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the normalised fields of any payload, or raise what is wrong with it."""
    missing = [name for name in rule.required if is_missing(rule, payload, name)]
    if missing:
        raise InvalidRecord("missing_field", f"{event_type} has no {', '.join(missing)}")
    if rule.one_of and all(is_missing(rule, payload, name) for name in rule.one_of):
        raise InvalidRecord("missing_field", f"{event_type} has none of {', '.join(rule.one_of)}")
    fields = {}
    for name, check in rule.checks.items():
        if (given := payload.get(name)) is not None and (value := check.normalised(name, given)) is not None:
            fields[name] = value
    return fields


def _event_time(body: Mapping[str, Any], payload: Mapping[str, Any], arrival_ms: int) -> int:
    if (value := body.get("timestamp")) is not None:
        return parse_time("timestamp", value)
    if (value := payload.get("timestamp")) is not None:
        return parse_time("payload.timestamp", value)
    if (value := body.get("ingested_at")) is not None:
        return parse_time("ingested_at", value)
    return arrival_ms


def _identity(
    rule: EventRule, event_type: str, time_ms: int, fields: Mapping[str, Any], payload: Mapping[str, Any]
) -> str:
    """Return a session's or call's own id, or a hash of event type, event time and canonical payload.

    The prefixes keep the two apart.
    """
    if rule.identity is None:
        return ""
    if own := fields.get(rule.identity):
        return f"id:{own}"
    canonical = json.dumps([event_type, time_ms, payload], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"content:{hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()}"
