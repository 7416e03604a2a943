"""Each role allows what is called with it, and nothing else: every call recorded, every permission taken away.

ministack refuses what it can judge; tests/helpers/permissions.py judges every call by the documents as the program
declares them.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.aws import clients
from functions.aws.state_table import StateTable, Tails
from functions.entities import tails
from functions.entities.wakes import Wake, attributes_of
from functions.model import EntityKey
from functions.notifier import handler as notifier
from functions.rollup import handler as rollup
from functions.rollup import map_handler as rollup_map
from functions.rollup import reduce_handler as rollup_reduce
from functions.rollup import spool
from functions.simulator import handler as simulator
from local.deploy import Deployment
from local.flow import Flow
from local.ministack import LocalAws, LocalAwsError
from local.policies import for_ministack
from local.readback import read_back
from tests.e2e.conftest import InProcess
from tests.helpers.alert_details import event
from tests.helpers.deployment import delivery, event_json, record
from tests.helpers.permissions import Call, Statement, allowed, refused

DAY_MS = 86_400_000
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
PARTIQL = {"INSERT": "dynamodb:PartiQLInsert", "UPDATE": "dynamodb:PartiQLUpdate"}


@dataclass
class Names:
    """The deployed stack's ARNs."""

    deployment: Deployment
    region: str

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    @property
    def account(self) -> str:
        return self.output("CriticalTopicArn").split(":")[4]

    def output(self, name: str) -> str:
        return str(self.deployment.outputs[name])

    @property
    def functions(self) -> dict[str, str]:
        """The function that each function's role, of the same name, is for."""
        outputs = ("ProcessFunctionName", "RollFunctionName", "NotifierFunctionName", "SimulatorFunctionName")
        rollup = self.output("RollupFunctionName")
        named = [*map(self.output, outputs), rollup, f"{rollup}-map", f"{rollup}-reduce"]
        return {name: self.arn("lambda", f"function:{name}") for name in named}


@pytest.fixture(scope="module")
def names(ministack: LocalAws, deployment: Deployment) -> Names:
    return Names(deployment, ministack.region)


def declared(deployment: Deployment) -> dict[str, list[Statement]]:
    """The statements that the program gives each role."""
    found: dict[str, list[Statement]] = {
        each.declared["name"]: [] for each in deployment.resources if each.token == ROLE
    }
    for each in deployment.resources:
        if each.token == ROLE_POLICY:
            found[each.declared["role"]] += json.loads(each.declared["policy"])["Statement"]
    return found


@dataclass
class Recorder:
    """Every call that a function makes through botocore, with the role under which it runs in AWS."""

    names: Names
    role: str = ""
    calls: list[tuple[str, Call]] = field(default_factory=list)

    def __call__(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        operation = f"{model.service_model.service_name}.{model.name}"
        function = {"lambda:SourceFunctionArn": self.names.functions[self.role]}
        for action, resource, context in self._permissions(operation, params):
            self.calls.append((self.role, Call(action, resource, function | context)))

    def _permissions(self, operation: str, params: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """What AWS asks for an operation (Service Authorization Reference; for PartiQL the DynamoDB developer guide,
        IAM security policies with PartiQL)."""
        arn = self.names.arn
        match operation:
            case "dynamodb.BatchGetItem":
                for table in params["RequestItems"]:
                    yield "dynamodb:BatchGetItem", arn("dynamodb", f"table/{table}"), {}
            case "dynamodb.BatchExecuteStatement":
                for each in params["Statements"]:
                    verb, table = each["Statement"].split()[0], each["Statement"].split('"')[1]
                    yield PARTIQL[verb], arn("dynamodb", f"table/{table}"), {}
            case "dynamodb.BatchWriteItem":
                for table in params["RequestItems"]:
                    yield "dynamodb:BatchWriteItem", arn("dynamodb", f"table/{table}"), {}
            case "dynamodb.TransactWriteItems":
                for action in params["TransactItems"]:
                    ((verb, each),) = action.items()
                    yield f"dynamodb:{verb}Item", arn("dynamodb", f"table/{each['TableName']}"), {}
            case (
                "dynamodb.DescribeTable" | "dynamodb.GetItem" | "dynamodb.PutItem" | "dynamodb.Query" | "dynamodb.Scan"
            ):
                assert "IndexName" not in params, "an index has an ARN of its own"
                yield f"dynamodb:{operation.partition('.')[2]}", arn("dynamodb", f"table/{params['TableName']}"), {}
            case "events.PutEvents":
                for bus in {entry["EventBusName"] for entry in params["Entries"]}:
                    sources = [entry["Source"] for entry in params["Entries"] if entry["EventBusName"] == bus]
                    yield "events:PutEvents", arn("events", f"event-bus/{bus}"), {"events:source": sources}
            case "s3.GetObject" | "s3.PutObject":
                key = f"arn:aws:s3:::{params['Bucket']}/{params['Key']}"
                yield operation.replace(".", ":"), key, {"s3:ResourceAccount": self.names.account}
            case "stepfunctions.ListExecutions" | "stepfunctions.StartExecution":
                yield f"states:{operation.partition('.')[2]}", params["stateMachineArn"], {}
            case "sns.Publish":
                yield "sns:Publish", params["TopicArn"], {}
            case "kinesis.PutRecords":
                yield "kinesis:PutRecords", arn("kinesis", f"stream/{params['StreamName']}"), {}
            case _:
                raise AssertionError(f"{operation} is called: say here which permission it needs")


def by_services(names: Names) -> Iterator[tuple[str, Call]]:
    """What AWS itself calls with the roles, which no end-to-end run on one machine shows."""
    stream = names.arn("kinesis", f"stream/{names.output('EventStreamName')}")
    bucket = f"arn:aws:s3:::{names.output('QuarantineBucketName')}"
    own_bucket = {"s3:ResourceAccount": names.account}
    processor = names.output("ProcessFunctionName")
    # Lambda developer guide, Kinesis, "Required permissions"; ListStreams and SubscribeToShard are for choosing a
    # stream in the console and for enhanced fan-out, which this mapping has not.
    for action in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"):
        yield processor, Call(f"kinesis:{action}", stream)
    # Lambda developer guide, Kinesis, "Configuring destinations for failed invocations": with S3 as destination.
    yield processor, Call("s3:PutObject", f"{bucket}/aws/lambda/uuid/shardId-0/2026/01/01/batch", own_bucket)
    yield processor, Call("s3:ListBucket", bucket, own_bucket)
    # Lambda developer guide, "Sending function logs to CloudWatch Logs"; the log group is made by the program.
    for role, function in names.functions.items():
        for action in ("CreateLogStream", "PutLogEvents"):
            group = names.arn("logs", f"log-group:/aws/lambda/{role}:log-stream:2026/01/01/[$LATEST]0")
            yield role, Call(f"logs:{action}", group, {"lambda:SourceFunctionArn": function})
    # Lambda developer guide, "Adding a dead-letter queue".
    queue = names.arn("sqs", names.output("DeadLetterQueueUrl").rpartition("/")[2])
    yield names.output("NotifierFunctionName"), Call("sqs:SendMessage", queue)
    # EventBridge Scheduler user guide, "Setting up the execution role".
    prefix = processor.removesuffix("-processor")
    for called in ("roll", "rollup", "simulator"):
        yield f"{prefix}-{called}-schedule", Call("lambda:InvokeFunction", names.functions[f"{prefix}-{called}"])
    # Step Functions developer guide, "IAM policies for using Distributed Map states" and "Logging in CloudWatch Logs".
    steps, runs = f"{prefix}-rollup-steps", f"arn:aws:s3:::{names.output('RollupBucketName')}/runs/2026-11-23T10-00"
    for called in ("rollup-map", "rollup-reduce", "rollup"):
        yield steps, Call("lambda:InvokeFunction", names.functions[f"{prefix}-{called}"])
    for items in ("sources", "partitions"):
        yield steps, Call("s3:GetObject", f"{runs}/{items}.json", own_bucket)
    yield steps, Call("states:StartExecution", names.output("RollupStateMachineArn"))
    for action in ("DescribeExecution", "StopExecution"):
        yield steps, Call(f"states:{action}", names.arn("states", f"execution:{prefix}-rollup:2026-11-23T10-00"))
    for action in (
        "CreateLogDelivery",
        "GetLogDelivery",
        "UpdateLogDelivery",
        "DeleteLogDelivery",
        "ListLogDeliveries",
        "PutResourcePolicy",
        "DescribeResourcePolicies",
        "DescribeLogGroups",
    ):
        yield steps, Call(f"logs:{action}", "*")


def roll_up(
    recorder: Recorder,
    names: Names,
    local_aws: LocalAws,
    context: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rollup by one function, and a run of many over an export without items, so that nobody's figures change.

    The run of many first reads tails as they were before, so that it reads their items again.
    """
    recorder.role = name = names.output("RollupFunctionName")
    assert rollup.lambda_handler({}, context)["alerts_sent"] > 0
    monkeypatch.setattr(spool, "_FEWEST", 2)
    s3, states, bucket = local_aws.client("s3"), local_aws.client("stepfunctions"), names.output("RollupBucketName")
    manifest = json.dumps({"dataFileS3Key": "exports/recorded/data/none.json.gz"}).encode()
    s3.put_object(Bucket=bucket, Key="exports/recorded/manifest-files.json", Body=manifest)
    s3.put_object(Bucket=bucket, Key="exports/recorded/data/none.json.gz", Body=gzip.compress(b""))
    assert rollup.lambda_handler({"begin": {"export": "exports/recorded"}}, context)["begun"] == 1
    machine = names.output("RollupStateMachineArn")
    (execution,) = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    described = {"status": "RUNNING"}
    for _ in range(240):
        described = states.describe_execution(executionArn=execution["executionArn"])
        if described["status"] != "RUNNING":
            break
        time.sleep(0.5)
    assert described["status"] == "SUCCEEDED"
    run = json.loads(described["input"])
    recorder.role = f"{name}-map"
    read_tails, outdated = StateTable.read_tails, iter([True])

    def read_as_before(*arguments: Any) -> Tails:
        read = read_tails(*arguments)
        if len(read.tails) and next(outdated, False):
            read.tails = {key: tail._replace(generation=tail.generation - 1) for key, tail in read.tails.items()}
        return read

    monkeypatch.setattr(StateTable, "read_tails", read_as_before)
    # The export last: what it says is what is finished with.
    for source in ({"number": 0, "part": 0, "parts": 1}, {"number": 0, "file": "exports/recorded/data/none.json.gz"}):
        rollup_map.lambda_handler({"run": run, "source": source}, context)
    recorder.role = f"{name}-reduce"
    rollup_reduce.lambda_handler({"run": run, "partition": 0}, context)
    recorder.role = name
    assert rollup.lambda_handler({"finish": run}, context)["written"] == 0


def session(
    student: str, number: int, *, ended: bool = False, student_rating: float | None = None, **ago: float
) -> bytes:
    payload = {
        "session_id": f"{student}-{number}",
        "student_id": student,
        "tutor_id": f"tutor of {student}",
        "student_rating": student_rating,
    }
    kind = "session_completed" if ended else "session_started"
    return event_json(kind, payload, timestamp=(datetime.now(UTC) - timedelta(**ago)).isoformat())


def report(student: str, score: float, **ago: float) -> bytes:
    at = (datetime.now(UTC) - timedelta(**ago)).isoformat()
    return event_json("customer_health_update", {"student_id": student, "health_score": score}, timestamp=at)


@pytest.fixture(scope="module")
def recorder(names: Names) -> Recorder:
    return Recorder(names)


@pytest.fixture
def recorded(
    flow: Flow,
    ministack: LocalAws,
    names: Names,
    recorder: Recorder,
    in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[str, Call]]:
    """The calls of a run: an entity made and changed, facts moved to tails, an alert and one told of each severity, a
    poison record, rollups by one function and by many, time passing, and the simulator.

    The run is made once, for the first test that asks.
    """
    if recorder.calls:
        return recorder.calls
    make = clients.make

    def recorded_client(service: str, config: Config) -> Any:
        made = make(service, config)
        made.meta.events.register("provide-client-params", recorder)
        return made

    monkeypatch.setattr(clients, "make", recorded_client)
    default = boto3.Session()
    default.events.register("provide-client-params", recorder)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", default)
    monkeypatch.setenv("EVENT_STREAM_NAME", names.output("EventStreamName"))

    rollup_function = ministack.client("lambda").get_function_configuration(
        FunctionName=names.output("RollupFunctionName")
    )
    # Of a first session that has failed there is an alert.
    alert_of_first = {"FIRST_SESSION_SUCCESS_BELOW": "1", "FIRST_SESSIONS_LEAST": "1"}
    for name, value in {**rollup_function["Environment"]["Variables"], **alert_of_first}.items():
        monkeypatch.setenv(name, value)

    def deliver(*lines: bytes, position: int) -> None:
        records = [record(line, position + place, in_process.now_ms) for place, line in enumerate(lines)]
        assert in_process.deliver(delivery(records)) == []

    recorder.role = names.output("ProcessFunctionName")
    failed = {"session_id": "recorded", "student_id": "stu_recorded", "tutor_id": "tut_recorded"}
    first = event_json("session_completed", {**failed, "subject": "recorded", "completed_successfully": False})
    assert in_process.deliver(delivery([record(first, 90, in_process.now_ms - 60_000)])) == []
    deliver(report("stu_recorded", 40, minutes=2), b"poison", position=0)
    deliver(report("stu_recorded", 45), position=10)
    # The rollup moves the tutor's facts, and the roll the student's when they leave a window.
    deliver(*(session("stu_to_move", number, days=6) for number in range(30)), position=100)
    monkeypatch.setattr(tails, "MOST_RECENT_ROWS", 2)
    deliver(*(session("stu_moved", number, days=3) for number in range(30)), position=200)
    in_process.forget()
    deliver(session("stu_moved", 30, days=3), position=300)
    roll_up(recorder, names, ministack, in_process.context, monkeypatch)
    recorder.role = names.output("RollFunctionName")
    in_process.forget()
    assert in_process.roll_at(in_process.now_ms + 2 * DAY_MS)["alerts_sent"] > 0
    recorder.role = names.output("NotifierFunctionName")
    notifier._sns.cache_clear()
    try:
        for severity, variable in notifier.TOPICS.items():
            monkeypatch.setenv(variable, names.output(f"{severity.capitalize()}TopicArn"))
            # Here the function has not its role, of which alone the topics take anything.
            with pytest.raises(ClientError, match="AuthorizationError"):
                notifier.lambda_handler(event(severity=severity, entity_id="stu_recorded"), None)
    finally:
        notifier._sns.cache_clear()
    recorder.role = names.output("SimulatorFunctionName")
    simulator._kinesis.cache_clear()
    try:
        simulated = simulator.lambda_handler({"seed": "recorded", "streams": 2, "events": 2}, in_process.context)
    finally:
        simulator._kinesis.cache_clear()
    assert simulated["accepted"] > 0
    flow.sent_by_others(simulated["accepted"])
    return recorder.calls


def test_what_is_called_is_allowed_and_what_is_allowed_is_called(
    deployment: Deployment, names: Names, recorded: list[tuple[str, Call]]
) -> None:
    policies = declared(deployment)
    calls = [*recorded, *by_services(names)]
    assert {role for role, _ in recorded} == names.functions.keys()
    assert [(role, call) for role, call in calls if not allowed(policies[role], call)] == []

    uncalled = [
        (role, action, resource)
        for role, statements in policies.items()
        for statement in statements
        for action in statement["Action"]
        for resource in statement["Resource"]
        if not any(
            of == role and allowed([{**statement, "Action": [action], "Resource": [resource]}], call)
            for of, call in calls
        )
    ]
    assert uncalled == []


def test_every_permission_is_missed_when_it_is_taken_away(
    deployment: Deployment, names: Names, recorded: list[tuple[str, Call]]
) -> None:
    policies = declared(deployment)
    calls = [*recorded, *by_services(names)]
    taken = 0
    for role, statements in policies.items():
        for statement in statements:
            for action in statement["Action"]:
                left = [each for each in statement["Action"] if each != action]
                others = [each for each in statements if each is not statement]
                reduced = [*others, {**statement, "Action": left}]
                assert any(of == role and not allowed(reduced, call) for of, call in calls), (role, action)
                taken += 1
    assert taken >= 25


def test_every_condition_shuts_someone_out(
    deployment: Deployment, names: Names, recorded: list[tuple[str, Call]]
) -> None:
    """A call without a condition key's value, or with another one, is not allowed: of another function, of another
    source, to a bucket that is another account's."""
    policies = declared(deployment)
    keys = set()
    for role, call in [*recorded, *by_services(names)]:
        for key in call.context:
            without = {name: value for name, value in call.context.items() if name != key}
            assert not allowed(policies[role], Call(call.action, call.resource, without)), (role, call, key)
            assert not allowed(policies[role], Call(call.action, call.resource, {**without, key: "other"})), (role, key)
            keys.add(key)
    assert keys == {"lambda:SourceFunctionArn", "events:source", "s3:ResourceAccount"}


@contextmanager
def without(local_aws: LocalAws, deployment: Deployment, role: str, *actions: str) -> Iterator[None]:
    """The role as it would be without these permissions, for as long as this lasts."""
    (policy,) = [each for each in deployment.resources if each.token == ROLE_POLICY and each.declared["role"] == role]
    document = json.loads(policy.declared["policy"])
    left = [
        {**each, "Action": [action for action in each["Action"] if action not in actions]}
        for each in document["Statement"]
    ]
    assert sum(len(each["Action"]) for each in left) < sum(len(each["Action"]) for each in document["Statement"])
    reduced = {**document, "Statement": [each for each in left if each["Action"]]}

    def put(text: str) -> None:
        local_aws.client("iam").put_role_policy(
            RoleName=role, PolicyName=policy.outputs["name"], PolicyDocument=for_ministack(text)[0]
        )

    put(json.dumps(reduced))
    try:
        yield
    finally:
        put(policy.declared["policy"])


@dataclass
class Stack:
    """The deployed stack, its own functions running with their own roles."""

    flow: Flow
    local_aws: LocalAws
    deployment: Deployment
    names: Names

    def without(self, function: str, *actions: str) -> Any:
        role = f"{self.names.output('ProcessFunctionName').removesuffix('-processor')}-{function}"
        return without(self.local_aws, self.deployment, role, *actions)

    def failed_of(self, *lines: bytes) -> int:
        """How many of these records the deployed processor reports as failed."""
        self.flow.wait()  # for the simulator's
        before = self.flow.reported_failed()
        self.flow.send(lines)
        self.flow.wait()
        return self.flow.reported_failed() - before

    def told_of(self, student: str) -> int:
        return sum(each["entity_id"] == student for each in self.flow.alerts())

    def untold(self, student: str) -> None:
        """An item whose alert the bus has not got: the roll's next task."""
        with self.without("processor", "events:PutEvents"):
            assert self.failed_of(report(student, 30)) == 0
        assert self.told_of(student) == 0

    def roll(self, student: str) -> dict[str, Any]:
        """Run the deployed roll with a wake for the student that is due now; those of the item are for later."""
        wake = Wake(0, int(time.time()), (EntityKey("student", student),))
        self.local_aws.client("dynamodb").put_item(TableName=self.flow.state_table(), Item=attributes_of(wake))
        return self.flow.roll()


@pytest.fixture
def stack(flow: Flow, ministack: LocalAws, deployment: Deployment, names: Names) -> Stack:
    return Stack(flow, ministack, deployment, names)


@pytest.mark.parametrize(
    ("student", "actions"),
    [
        ("stu_unread", ["dynamodb:BatchGetItem"]),
        # ministack cannot tell the two apart (local/policies.py); the test above does.
        ("stu_unwritten", ["dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"]),
        ("stu_unwoken", ["dynamodb:BatchWriteItem"]),
    ],
)
def test_without_the_tables_the_record_fails(stack: Stack, student: str, actions: list[str]) -> None:
    with stack.without("processor", *actions):
        assert stack.failed_of(report(student, 60)) == 1
        assert ("student", student) not in stack.flow.items()
    assert stack.failed_of(report(student, 60)) == 0
    assert ("student", student) in stack.flow.items()


def test_without_transactions_a_record_that_changes_a_tail_fails(
    stack: Stack, in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "stu_unmoved"
    with monkeypatch.context() as patch:
        patch.setattr(tails, "MOST_RECENT_ROWS", 2)
        lines = [session(name, number, days=3) for number in range(30)]
        records = [record(line, place, in_process.now_ms) for place, line in enumerate(lines)]
        assert in_process.deliver(delivery(records)) == []
    before = stack.flow.items()["student", name]
    assert "tail" in before
    rated = session(name, 0, ended=True, student_rating=4, days=2)
    with stack.without("processor", "dynamodb:PutItem"):
        assert stack.failed_of(rated) == 1
    assert stack.flow.items()["student", name] == before
    assert stack.failed_of(rated) == 0
    after = stack.flow.items()["student", name]
    assert (after["sessions_7d"], after["ratings_30d"]) == (30, 1)
    assert after["tail"] > before["tail"]


def test_without_the_bus_there_is_no_alert_until_the_roll_can_send_it(stack: Stack) -> None:
    stack.untold("stu_untold")
    stack.roll("stu_untold")
    assert stack.told_of("stu_untold") == 1


def test_without_the_quarantine_a_poison_record_fails(stack: Stack) -> None:
    kept = len(stack.flow.quarantined())
    with stack.without("processor", "s3:PutObject"):
        assert stack.failed_of(b"poison without a quarantine") == 1
        assert len(stack.flow.quarantined()) == kept
    assert stack.failed_of(b"poison with a quarantine") == 0
    assert len(stack.flow.quarantined()) == kept + 1


def test_without_a_permission_the_roll_does_not_get_done(stack: Stack) -> None:
    student = "stu_unrolled"
    stack.untold(student)
    for action in ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"):
        with stack.without("roll", action), pytest.raises(LocalAwsError, match=r"-roll failed"):
            stack.roll(student)
    with stack.without("roll", "events:PutEvents"):
        assert stack.roll(student)["alerts_sent"] == 0
        assert stack.told_of(student) == 0
    with stack.without("roll", "dynamodb:PartiQLUpdate"):
        for _ in range(2):  # what was sent cannot be crossed off
            stack.roll(student)
            assert stack.told_of(student) == 1
    for told in (1, 0):
        stack.roll(student)
        assert stack.told_of(student) == told


def test_without_the_stream_the_simulator_fails(stack: Stack) -> None:
    with stack.without("simulator", "kinesis:PutRecords"), pytest.raises(LocalAwsError, match=r"-simulator failed"):
        stack.flow.simulate(streams=1, events=1)


def test_what_the_notifier_may_not_publish_ends_in_the_dead_letter_queue(stack: Stack, ministack: LocalAws) -> None:
    functions, sqs = ministack.client("lambda"), ministack.client("sqs")
    name, queue = stack.names.output("NotifierFunctionName"), stack.names.output("DeadLetterQueueUrl")
    alert = event(alert_id="unpublished")
    with stack.without("notifier", "sns:Publish"):
        answer = functions.invoke(FunctionName=name, Payload=json.dumps(alert))
        assert "FunctionError" in answer
        assert "sns:Publish" in json.loads(answer["Payload"].read())["errorMessage"]
        # As a rule calls it. ministack waits seconds between attempts where AWS waits minutes.
        functions.invoke(FunctionName=name, Payload=json.dumps(alert), InvocationType="Event")
        messages: list[Any] = []
        for _ in range(60):
            if messages := sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", []):
                break
    (message,) = messages
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    # AWS puts the event itself there; ministack wraps it as it does for a destination.
    assert json.loads(message["Body"])["requestPayload"] == alert
    pages = (
        ministack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=f"/aws/lambda/{name}", filterPattern="unpublished")
    )
    journal = [json.loads(line["message"])["alert"] for page in pages for line in page["events"]]
    assert journal == [alert["detail"]] * 4
    assert "FunctionError" not in functions.invoke(FunctionName=name, Payload=json.dumps(alert))


@pytest.fixture(scope="module")
def stranger(ministack: LocalAws) -> Callable[[str], Any]:
    """Clients of an identity of the account that may do everything that identities can be allowed."""
    iam = ministack.client("iam")
    iam.create_user(UserName="stranger")
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_user_policy(
        UserName="stranger",
        PolicyName="everything",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=ministack.region)
    return lambda service: session.client(service, endpoint_url=ministack.endpoint)


def test_only_its_own_sources_put_anything_there(
    stranger: Callable[[str], Any], ministack: LocalAws, deployment: Deployment, names: Names
) -> None:
    """Nobody else of the account, whatever they are allowed; but operators read, delete and configure."""
    bucket, queue = names.output("QuarantineBucketName"), names.output("DeadLetterQueueUrl")
    topic = names.output("CriticalTopicArn")
    s3, sns, sqs = stranger("s3"), stranger("sns"), stranger("sqs")
    ministack.client("s3").put_object(Bucket=bucket, Key="kept", Body=b"kept")
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key="records/forged.json", Body=b"forged")
    s3.delete_object(Bucket=bucket, Key="kept")
    with pytest.raises(ClientError, match=r"Authorization|AccessDenied"):
        sns.publish(TopicArn=topic, Message="forged")
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["TopicArn"] == topic
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=queue, MessageBody="forged")
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)


def own_policy(deployment: Deployment, name: str) -> list[Statement]:
    """The statements of a resource's own policy, as declared."""
    (found,) = [each for each in deployment.resources if each.name == name]
    statements: list[Statement] = json.loads(found.declared["policy"])["Statement"]
    return statements


def test_resources_refuse_other_sources_and_plain_text(
    deployment: Deployment, names: Names, recorded: list[tuple[str, Call]]
) -> None:
    """What ministack cannot judge: the bus's policy, TLS, and which calls of the run the policies let through."""
    prefix = names.output("ProcessFunctionName").removesuffix("-processor")
    by_role = {
        role: {
            "aws:SecureTransport": "true",
            "aws:PrincipalAccount": names.account,
            "aws:PrincipalIsAWSService": "false",
            "aws:PrincipalArn": f"arn:aws:iam::{names.account}:role/{role}",
        }
        for role in names.functions
    }
    guarded = {
        f"event-bus/{names.output('AlertBusName')}": "alerts-bus-policy",
        f":{names.output('QuarantineBucketName')}/": "processor-quarantine-policy",
        f":{names.output('RollupBucketName')}/": "rollup-runs-policy",
    }
    seen = set()
    for role, call in recorded:
        of = [policy for resource, policy in guarded.items() if resource in call.resource]
        if not of:
            continue
        seen.update(of)
        statements = own_policy(deployment, of[0])
        context = {**call.context, **by_role[role]}
        assert refused(statements, Call(call.action, call.resource, context)) == []
        plain = {**context, "aws:SecureTransport": "false"}
        assert refused(statements, Call(call.action, call.resource, plain)) == ["TlsOnly"]
        if call.action.startswith("s3:"):
            other = {**context, "aws:PrincipalArn": by_role[f"{prefix}-roll"]["aws:PrincipalArn"]}
            written = ["WrittenByItsRoleOnly"] if of == ["processor-quarantine-policy"] else []
            assert refused(statements, Call(call.action, call.resource, other)) == written
            theirs = {**context, "aws:PrincipalAccount": "999999999999"}
            assert refused(statements, Call(call.action, call.resource, theirs)) == ["OwnAccountOnly"]
        else:
            mixed = {**context, "events:source": ["iops-dashboard.processor", "someone.else"]}
            assert refused(statements, Call(call.action, call.resource, mixed)) == ["OwnSourcesOnly"]
    assert seen == set(guarded.values())

    own = by_role[f"{prefix}-notifier"]

    def source(name: str) -> dict[str, str]:
        rule = names.arn("events", f"rule/{names.output('AlertBusName')}/{name}")
        return {"aws:SourceArn": rule, "aws:SecureTransport": "true"}

    for severity in ("critical", "warning", "info"):
        topic, statements = (
            names.arn("sns", f"{prefix}-alerts-{severity}"),
            own_policy(deployment, f"alerts-{severity}-policy"),
        )
        assert refused(statements, Call("sns:Publish", topic, own)) == []
        assert refused(statements, Call("sns:Publish", topic, by_role[f"{prefix}-roll"])) == ["NotifierOnly"]
        assert refused(statements, Call("sns:Publish", topic, source(f"{prefix}-alerts-{severity}"))) == [
            "NotifierOnly"
        ]
        plain = {**own, "aws:SecureTransport": "false"}
        assert refused(statements, Call("sns:Publish", topic, plain)) == ["TlsOnly"]
    queue, statements = names.arn("sqs", f"{prefix}-alerts-dlq"), own_policy(deployment, "alerts-dlq-policy")
    assert allowed(statements, Call("sqs:SendMessage", queue, source(f"{prefix}-alerts-later-subscriber")))
    assert refused(statements, Call("sqs:SendMessage", queue, own)) == []
    for others in (source("others"), by_role[f"{prefix}-processor"]):
        assert refused(statements, Call("sqs:SendMessage", queue, others)) == ["RulesAndNotifierOnly"]
    assert refused(statements, Call("sqs:ReceiveMessage", queue, {"aws:SecureTransport": "true"})) == []


def test_what_was_written_for_ministack_is_known(ministack: LocalAws, deployment: Deployment) -> None:
    """Nothing but what ministack cannot judge, in nothing but these policies, is other than declared."""
    known = {
        "aws:PrincipalArn": {
            "alerts-critical-policy",
            "alerts-dlq-policy",
            "alerts-info-policy",
            "alerts-warning-policy",
            "processor-quarantine-policy",
        },
        "dynamodb:BatchExecuteStatement": {"processor-policy", "processor-roll-policy", "rollup-policy"},
        "events:source": {"processor-policy", "processor-roll-policy", "rollup-policy"},
        "lambda:SourceFunctionArn": {
            "alerts-notifier-policy",
            "processor-policy",
            "processor-roll-policy",
            "simulator-policy",
            "rollup-policy",
            "rollup-map-policy",
            "rollup-reduce-policy",
        },
        "plain HTTP": {
            "alerts-critical-policy",
            "alerts-dlq-policy",
            "alerts-info-policy",
            "alerts-warning-policy",
            "operations-topic-policy",
            "processor-artifacts-policy",
            "processor-quarantine-policy",
            "rollup-runs-policy",
        },
    }
    said = read_back(ministack, deployment).replaced
    found = {word: {line.partition(":")[0] for line in said if word in line} for word in known}
    assert found == known
    assert len(said) == sum(map(len, known.values()))
