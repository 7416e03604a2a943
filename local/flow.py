"""Puts records on the deployed stream and collects what comes out: items, quarantined records, alerts.

Everything goes through AWS's own interfaces, as a producer, a dashboard or a subscriber would use them; only how far
the event source mapping has come is read from ministack's log, since no interface tells it. Judges nothing.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import Binary, TypeDeserializer

from local.ministack import LocalAws, LocalAwsError
from proof.oracle import EntityKey, Record, Rules

Item = dict[str, Any]
Topic = str

RECORDS_A_CALL = 500  # PutRecords
BYTES_A_CALL = 4_500_000  # PutRecords takes 5 MB with partition keys
STALL_SECONDS = 60.0
TOPICS = {"critical": "CriticalTopicArn", "warning": "WarningTopicArn", "info": "InfoTopicArn"}


@dataclass(frozen=True)
class Sent:
    """A record as it is on the stream."""

    sequence: str
    data: bytes


class Flow:
    """One deployed stack, by the outputs of its program. `listen` comes before the first record is sent."""

    def __init__(self, local_aws: LocalAws, outputs: dict[str, Any]) -> None:
        self._aws = local_aws
        self.outputs = outputs
        self._stream: str = outputs["EventStreamName"]
        self._table: str = outputs["MetricsTableName"]
        self._bus: str = outputs["AlertBusName"]
        self._bucket: str = outputs["QuarantineBucketName"]
        self._processor: str = outputs["ProcessFunctionName"]
        self._roll: str = outputs["RollFunctionName"]
        self._rollup: str = outputs["RollupFunctionName"]
        self._simulator: str = outputs["SimulatorFunctionName"]
        self._topics: dict[Topic, str] = {name: outputs[output] for name, output in TOPICS.items()}
        self._notifier: str = outputs["NotifierFunctionName"]
        self._queues: dict[str, str] = {}
        self._told: list[dict[str, Any]] = []
        self._awaited: dict[Topic, set[str]] = {topic: set() for topic in TOPICS}
        self._sent = 0
        self._passed_before = 0

    def rules(self) -> Rules:
        """Return the thresholds with which the processor was deployed."""
        environment = self._environment()
        return Rules(
            future_tolerance_seconds=int(environment["FUTURE_TOLERANCE_SECONDS"]),
            ib_calls_warning=int(environment["IB_CALLS_WARNING"]),
            health_warning=float(environment["HEALTH_WARNING"]),
            health_critical=float(environment["HEALTH_CRITICAL"]),
            first_session_success_below=float(environment["FIRST_SESSION_SUCCESS_BELOW"]),
            first_sessions_least=int(environment["FIRST_SESSIONS_LEAST"]),
            velocity_drop_share=float(environment["VELOCITY_DROP_SHARE"]),
            velocity_drop_least=int(environment["VELOCITY_DROP_LEAST"]),
            no_tutors_alert=environment["NO_TUTORS_ALERT"] == "true",
            demand_surge_score=float(environment["DEMAND_SURGE_SCORE"]),
            demand_surge_least=int(environment["DEMAND_SURGE_LEAST"]),
        )

    def listen(self) -> None:
        """Attach a queue to the bus, for all that is on it, and one to each topic."""
        events, sns = self._aws.client("events"), self._aws.client("sns")
        bus_arn = events.describe_event_bus(Name=self._bus)["Arn"]
        rule = "local-run-listener"
        rule_arn = events.put_rule(
            Name=rule, EventBusName=self._bus, EventPattern=json.dumps({"account": [bus_arn.split(":")[4]]})
        )["RuleArn"]
        queue_arn = self._make_queue("bus", "events.amazonaws.com", rule_arn)
        events.put_targets(Rule=rule, EventBusName=self._bus, Targets=[{"Id": "queue", "Arn": queue_arn}])
        for topic, topic_arn in self._topics.items():
            queue_arn = self._make_queue(topic, "sns.amazonaws.com", topic_arn)
            sns.subscribe(
                TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"}
            )

    def _make_queue(self, name: str, service: str, source_arn: str) -> str:
        sqs = self._aws.client("sqs")
        url = sqs.create_queue(QueueName=f"local-run-{name}")["QueueUrl"]
        arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        send = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [send]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self._queues[name] = url
        return arn

    def send(self, lines: Iterable[bytes], is_at: Callable[[int], None] = lambda _: None) -> list[Sent]:
        """Put records on the stream in their order, the event type as partition key; return them as accepted."""
        sent: list[Sent] = []
        for call in _calls([{"Data": line, "PartitionKey": _partition_key(line)} for line in lines]):
            answer = self._aws.client("kinesis").put_records(StreamName=self._stream, Records=call)
            if answer["FailedRecordCount"]:
                refused = next(each for each in answer["Records"] if "ErrorCode" in each)
                raise LocalAwsError(
                    f"the stream {self._stream} refused a record: {refused['ErrorCode']}: {refused['ErrorMessage']}; "
                    "run it again"
                )
            sent += [
                Sent(accepted["SequenceNumber"], record["Data"])
                for accepted, record in zip(answer["Records"], call, strict=True)
            ]
            is_at(len(sent))
        self._sent += len(sent)
        return sent

    def with_arrivals(self, sent: Sequence[Sent]) -> list[Record]:
        """Return sent records with the arrival times that the stream gave them, for the oracle."""
        kinesis = self._aws.client("kinesis")
        arrivals: dict[str, int] = {}
        for shard in kinesis.list_shards(StreamName=self._stream)["Shards"]:
            iterator = kinesis.get_shard_iterator(
                StreamName=self._stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while True:
                page = kinesis.get_records(ShardIterator=iterator, Limit=10_000)
                for record in page["Records"]:
                    seconds = record["ApproximateArrivalTimestamp"].timestamp()
                    arrivals[record["SequenceNumber"]] = round(seconds * 1000)
                if not page["MillisBehindLatest"]:
                    break
                iterator = page["NextShardIterator"]
        return [Record(record.data, arrivals[record.sequence], record.sequence) for record in sent]

    def wait(self, is_at: Callable[[int], None] = lambda _: None) -> None:
        """Wait until the mapping has passed every record that was sent; `is_at` hears of those of the last `send`.

        Raises LocalAwsError, with the function's last words, when it does not move for a minute.
        """
        before, passed, moved = self._passed_before, -1, time.monotonic()
        while passed < self._sent:
            now_passed = self._passed()
            if now_passed > passed:
                passed, moved = now_passed, time.monotonic()
                is_at(passed - before)
            elif time.monotonic() - moved > STALL_SECONDS:
                raise LocalAwsError(
                    f"the processor has not moved for {STALL_SECONDS:.0f} s: {passed} of {self._sent} records are "
                    "done; see the last lines of its log:\n" + "\n".join(self._log(self._processor)[-15:])
                )
            else:
                time.sleep(0.1)
        self._passed_before = passed

    def _passed(self) -> int:
        marks = re.findall(rf"Lambda {re.escape(self._processor)} processed (\d+) Kinesis records", self._aws.log())
        return sum(map(int, marks))

    def _log(self, function: str, pattern: str = "") -> list[str]:
        pages = self._aws.client("logs").get_paginator("filter_log_events")
        group = f"/aws/lambda/{function}"
        return [
            event["message"]
            for page in pages.paginate(logGroupName=group, **({"filterPattern": pattern} if pattern else {}))
            for event in page["events"]
        ]

    def reported_failed(self) -> int:
        """Return how many records the processor has reported as failed; ministack never delivers them again."""
        lines = self._log(self._processor, '"Batch processing complete"')
        return sum(int(json.loads(line)["failed"]) for line in lines)

    def items(self) -> dict[EntityKey, Item]:
        """Return the whole table, numbers as int or float; with `folded_before` where some facts are folded."""
        items = {(item["entity_type"], item["entity_id"]): item for item in self._scan(self._table)}
        for stored in self.internal():
            part, *entity = stored["pk"].split("#", 2)
            item = items.get((entity[0], entity[1])) if part == "tail" else None
            if item is not None and "folded_before" in stored:
                item["folded_before"] = stored["folded_before"]
        return items

    def internal(self) -> list[Item]:
        """Return what the internal table holds: tails, wakes, and the number of lanes."""
        return self._scan(self.state_table())

    def _scan(self, table: str) -> list[Item]:
        pages = self._aws.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [_plain({"M": item}) for page in pages for item in page["Items"]]

    def state_table(self) -> str:
        """Return the name of the internal table, where tails are."""
        return str(self._environment()["STATE_TABLE_NAME"])

    def _environment(self) -> dict[str, str]:
        configuration = self._aws.client("lambda").get_function_configuration(FunctionName=self._processor)
        environment: dict[str, str] = configuration["Environment"]["Variables"]
        return environment

    def quarantined(self) -> list[dict[str, Any]]:
        """Return the bodies of all quarantined records."""
        s3 = self._aws.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix="records/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return [json.loads(s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()) for key in keys]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the notifications that came over the bus since the last call, in the order they came."""
        self._listen_to_bus()
        told, self._told = self._told, []
        return told

    def _listen_to_bus(self) -> None:
        """Take note of what came over the bus, which is all of it: ministack has put an event into the listener's queue
        before PutEvents returns."""
        told = [event["detail"] for event in self._received("bus")]
        self._told += told
        for alert in told:
            self._awaited[alert["severity"]].add(alert["alert_id"])

    def delivered(self) -> dict[Topic, list[dict[str, Any]]]:
        """Return the notifications that each topic delivered since the last call: the notifier's turn comes after the
        bus, so it waits for all that came over that.

        Raises LocalAwsError, with the notifier's last words, when none arrives for a minute.
        """
        self._listen_to_bus()
        delivered: dict[Topic, list[dict[str, Any]]] = {topic: [] for topic in self._topics}
        moved = time.monotonic()
        while True:
            for topic, alerts in delivered.items():
                if events := self._received(topic):
                    moved = time.monotonic()
                alerts += [event["detail"] for event in events]
                self._awaited[topic] -= {alert["alert_id"] for alert in alerts}
            missing = sum(map(len, self._awaited.values()))
            if not missing:
                return {topic: sorted(alerts, key=_told_at) for topic, alerts in delivered.items()}
            if time.monotonic() - moved > STALL_SECONDS:
                raise LocalAwsError(
                    f"{missing} alerts that came over the bus have not reached their topics for {STALL_SECONDS:.0f} s; "
                    "see the last lines of the notifier's log:\n" + "\n".join(self._log(self._notifier)[-15:])
                )
            time.sleep(0.1)

    def _received(self, name: str) -> list[dict[str, Any]]:
        """The events that are in a queue now."""
        sqs, url = self._aws.client("sqs"), self._queues[name]
        events = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            events += [json.loads(message["Body"]) for message in messages]
            sqs.delete_message_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )
        return sorted(events, key=lambda event: _told_at(event["detail"]))

    def roll(self) -> dict[str, Any]:
        """Invoke the roll and return its answer; raises LocalAwsError when it fails."""
        return self._invoke(self._roll, {})

    def rollup(self) -> dict[str, Any]:
        """Invoke the rollup and return its answer; raises LocalAwsError when it fails."""
        return self._invoke(self._rollup, {})

    def simulate(self, **asked: Any) -> dict[str, Any]:
        """Invoke the simulator, as its schedule would, and return its answer; `wait` waits for its records too."""
        answer = self._invoke(self._simulator, asked)
        self.sent_by_others(answer["accepted"])
        return answer

    def sent_by_others(self, records: int) -> None:
        """Let `wait` wait for so many records that somebody else has put on the stream."""
        self._sent += records

    def _invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        answer = self._aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise LocalAwsError(f"{function} failed: {payload.get('errorMessage')}; see its log in ministack's")
        return payload


def _told_at(alert: dict[str, Any]) -> str:
    return str(alert["timestamp"])


def _partition_key(line: bytes) -> str:
    """The event type, as today's producer has it; for a line without one, something fixed."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    event_type = event.get("event_type") if isinstance(event, dict) else None
    return event_type[:256] if isinstance(event_type, str) and event_type else "unknown"


def _calls(records: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """The records in portions that PutRecords takes."""
    call: list[dict[str, Any]] = []
    size = 0
    for record in records:
        if len(call) == RECORDS_A_CALL or (call and size + len(record["Data"]) > BYTES_A_CALL):
            yield call
            call, size = [], 0
        call.append(record)
        size += len(record["Data"]) + 256
    if call:
        yield call


def _plain(value: Any) -> Any:
    """An attribute value of DynamoDB's as plain Python."""
    return _without_decimals(TypeDeserializer().deserialize(value))


def _without_decimals(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_decimals(item) for key, item in value.items()}
        case list():
            return [_without_decimals(item) for item in value]
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Binary():
            return bytes(value)
        case _:
            return value
