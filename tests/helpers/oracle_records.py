"""Events and records as the oracle takes them."""

import json
from typing import Any

from proof.oracle import Record, iso

AS_OF = 1_795_000_000_000


def event(event_type: str, time: int | None = None, **payload: Any) -> bytes:
    body: dict[str, Any] = {"event_type": event_type, "payload": payload}
    if time is not None:
        body["timestamp"] = iso(time)
    return json.dumps(body).encode()


def records(*data: bytes, arrival: int = AS_OF) -> list[Record]:
    return [Record(item, arrival, str(number)) for number, item in enumerate(data, start=1)]
