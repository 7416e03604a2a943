"""The notifier's Lambda: writes one alert of the bus to the journal, and publishes it to the topic of its severity.

It must not decide what an alert means or whom it concerns. It must not swallow a failure: Lambda tries again, and then
puts the event into the dead-letter queue.
"""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

from functions.notifier.message import notification

TOPICS = {"critical": "CRITICAL_TOPIC_ARN", "warning": "WARNING_TOPIC_ARN", "info": "INFO_TOPIC_ARN"}
"""Which variable of the environment has the topic of a severity."""


@lru_cache(maxsize=1)
def _sns() -> Any:
    # All attempts end within the function's minute.
    retries = {"mode": "standard", "total_max_attempts": 3}
    return boto3.client("sns", config=Config(connect_timeout=3, read_timeout=10, retries=retries))


def lambda_handler(event: Any, context: Any) -> dict[str, str]:  # noqa: ARG001 - Lambda's signature
    """Publish one alert.

    Parameters
    ----------
    event
        An event of the bus as EventBridge hands it over: `source`, `time`, `detail` (the alert, contract section 3).

    Returns
    -------
    dict
        topic_arn and message_id.

    Raises
    ------
    TypeError
        When it is no such event.
    ValueError
        When its severity has no topic, or the topic's variable is missing.
    botocore's errors
        When SNS does not take it.
    """
    detail = event.get("detail") if isinstance(event, Mapping) else None
    if not isinstance(detail, Mapping):
        raise TypeError("the event has no detail: the notifier takes alerts as EventBridge delivers them")
    # Write the journal before anything that can fail. Every attempt writes a line, under the same alert_id.
    print(journal_line(event), flush=True)
    topic_arn = _topic(detail.get("severity"))
    published = notification(event)
    answer = _sns().publish(
        TopicArn=topic_arn,
        Subject=published.subject,
        Message=published.message,
        MessageStructure="json",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in published.attributes.items()
        },
    )
    return {"topic_arn": topic_arn, "message_id": answer["MessageId"]}


def journal_line(event: Mapping[str, Any]) -> str:
    """Return an alert's line for the journal: one JSON object with EventBridge's `source` and `time`."""
    line = {
        "level": "INFO",
        "message": "Alert",
        "source": event.get("source"),
        "time": event.get("time"),
        "alert": event["detail"],
    }
    return json.dumps(line)


def _topic(severity: Any) -> str:
    if not isinstance(severity, str) or severity not in TOPICS:
        raise ValueError(f"the alert's severity is {severity!r}: it must be one of {', '.join(TOPICS)}")
    if not (arn := os.environ.get(TOPICS[severity])):
        raise ValueError(f"{TOPICS[severity]} is not set: it names the topic of {severity} alerts")
    return arn
