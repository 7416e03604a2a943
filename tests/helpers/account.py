"""An account in memory for the commands that only look: one answer for each operation, which a test may change."""

import json
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

from botocore.exceptions import ClientError

from functions.entities.wakes import Wake, attributes_of
from functions.model import EntityKey, to_iso
from tests.helpers.deployment import ENVIRONMENT, NOW

FUNCTION, ROLL, ROLLUP, NOTIFIER = "iops-processor", "iops-roll", "iops-rollup", "iops-notifier"
STREAM, TABLE, BUS, BUCKET = "iops-events", "iops-metrics", "iops-alerts", "iops-quarantine"
QUEUE = "https://sqs/iops-alerts-dlq"
OUTPUTS: Final = {
    "ProcessFunctionName": FUNCTION,
    "RollFunctionName": ROLL,
    "RollupFunctionName": ROLLUP,
    "NotifierFunctionName": NOTIFIER,
    "EventStreamName": STREAM,
    "MetricsTableName": TABLE,
    "AlertBusName": BUS,
    "QuarantineBucketName": BUCKET,
    "DeadLetterQueueUrl": QUEUE,
    **{
        f"{severity.capitalize()}TopicArn": f"arn:aws:sns:us-east-1:123456789012:iops-alerts-{severity}"
        for severity in ("critical", "warning", "info")
    },
}
INDEXES = ("EntityTypeHealthIndex", "LastUpdatedIndex")
MINUTE_MS = 60_000

Answer = Any
"""What an operation gives: a value, pages of them, a function of its arguments, or an error to raise."""


def refused(operation: str, code: str = "AccessDeniedException", message: str = "said by AWS") -> ClientError:
    """An error as AWS answers."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def emf(**metrics: int) -> str:
    """A line in the embedded metric format, as Powertools writes it."""
    lists = ", ".join(f'"{name}": [{value}.0]' for name, value in metrics.items())
    return '{"_aws": {"Timestamp": 1}, "service": "processor", ' + lists + "}"


class Account:
    """A stack in which all is well at `NOW`."""

    def __init__(self) -> None:
        self.endpoint_url = "https://service.us-east-1.amazonaws.com"
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.log: dict[str, list[tuple[int, str]]] = {
            FUNCTION: [
                (NOW - 2 * MINUTE_MS, '{"level": "INFO", "message": "Batch processing complete"}'),
                (NOW - 2 * MINUTE_MS, emf(Records=100, FailedRecords=0, BatchLag=1500)),
            ],
            ROLLUP: [(NOW - 10 * MINUTE_MS, emf(RolledUp=1))],
            NOTIFIER: [],
        }
        """By function: when and what."""
        self._metrics_table = self.table(*INDEXES)
        self.answers: dict[str, Answer] = {
            "describe_stream_summary": {"StreamDescriptionSummary": {"StreamStatus": "ACTIVE"}},
            "get_function_configuration": {
                "State": "Active",
                "LastModified": "2026-11-01T00:00:00.000+0000",
                "Environment": {"Variables": ENVIRONMENT},
            },
            "list_event_source_mappings": {"EventSourceMappings": [self.mapping()]},
            "filter_log_events": self._filter,
            "get_metric_data": self.figures(age=[1_000.0], calls=[3.0], arrived=[100.0], records=[100.0]),
            "describe_table": self._describe,
            "query": {"Items": []},
            "get_item": {},
            "scan": {"Items": []},
            "batch_get_item": {"Responses": {TABLE: []}},
            "get_schedule": {"State": "ENABLED", "ScheduleExpression": "rate(5 minutes)"},
            "list_rules": {
                "Rules": [
                    {"Name": f"iops-alerts-{each}", "State": "ENABLED"} for each in ("critical", "warning", "info")
                ]
            },
            "list_targets_by_rule": {"Targets": [{"Id": "notifier"}]},
            "get_topic_attributes": {"Attributes": {"SubscriptionsConfirmed": "2", "SubscriptionsPending": "0"}},
            "get_queue_attributes": {"Attributes": {"ApproximateNumberOfMessages": "0"}},
            "list_objects_v2": {},
        }

    @staticmethod
    def mapping(**other: str) -> dict[str, str]:
        """The event source mapping."""
        return {
            "UUID": "a-b-c",
            "EventSourceArn": f"arn:aws:kinesis:us-east-1:123456789012:stream/{STREAM}",
            "State": "Enabled",
            "LastProcessingResult": "OK",
            **other,
        }

    @staticmethod
    def table(*indexes: str) -> dict[str, Any]:
        """A table with these indexes."""
        made = [{"IndexName": name, "IndexStatus": "ACTIVE"} for name in indexes]
        return {"Table": {"TableStatus": "ACTIVE", "GlobalSecondaryIndexes": made}}

    def _describe(self, *, TableName: str) -> dict[str, Any]:
        return self.table() if TableName == ENVIRONMENT["STATE_TABLE_NAME"] else self._metrics_table

    @staticmethod
    def figures(**values: list[float]) -> Callable[..., Any]:
        """CloudWatch's answer, by the ids of the queries."""

        def answer(*, MetricDataQueries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
            return {
                "MetricDataResults": [
                    {"Id": each["Id"], "Values": values.get(each["Id"], [])} for each in MetricDataQueries
                ]
            }

        return answer

    def _filter(
        self, *, logGroupName: str, filterPattern: str, startTime: int, endTime: int | None = None
    ) -> dict[str, Any]:
        function, words = logGroupName.removeprefix("/aws/lambda/"), filterPattern.strip('"')
        return {
            "events": [
                {"eventId": f"{at_ms}-{number}", "timestamp": at_ms, "message": text}
                for number, (at_ms, text) in enumerate(self.log[function])
                if words in text and startTime <= at_ms <= (endTime or at_ms)
            ]
        }

    def answer(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """What a call gives."""
        self.calls.append((operation, arguments))
        answer = self.answers[operation]
        if isinstance(answer, Exception):
            raise answer
        return answer(**arguments) if callable(answer) else answer

    def client(self, service: str, **_: Any) -> Any:
        """A client of boto3's kind; stands where `aws.client` does."""
        return _Client(self)

    def due(self, *wakes: tuple[str, int]) -> None:
        """Makes a wake for each of these students, due since so many minutes; all are in one lane."""
        stored = [
            attributes_of(Wake(0, (NOW - minutes * MINUTE_MS) // 1_000, (EntityKey("student", name),)))
            for name, minutes in wakes
        ]

        def query(*, ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:
            lane, after = (ExpressionAttributeValues[name]["S"] for name in (":lane", ":after"))
            found = [each for each in stored if each["pk"]["S"] == lane and each["sk"]["S"] < after]
            return {"Items": sorted(found, key=lambda each: str(each["sk"]["S"]))}

        self.answers["query"] = query

    def unsent(self, minutes: int) -> None:
        """Makes one of the entities that are due wait with a notification of so many minutes ago."""
        alert = {"alert_id": "one", "alert_type": "low_health_score", "timestamp": to_iso(NOW - minutes * MINUTE_MS)}
        told = {"S": json.dumps(alert)}
        self.answers["batch_get_item"] = {"Responses": {TABLE: [{"outbox": {"L": [told]}}, {}]}}


class _Client:
    def __init__(self, account: Account) -> None:
        self._account = account
        self.meta = SimpleNamespace(endpoint_url=account.endpoint_url)
        self.exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionalCheckFailed)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **arguments: self._account.answer(operation, arguments)

    def get_paginator(self, operation: str) -> Any:
        def paginate(**arguments: Any) -> Iterator[Any]:
            arguments.pop("PaginationConfig", None)
            answer = self._account.answer(operation, arguments)
            yield from answer if isinstance(answer, list) else [answer]

        return SimpleNamespace(paginate=paginate)


class ConditionalCheckFailed(Exception):
    """A lost race, as a client raises it."""
