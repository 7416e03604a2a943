"""The functions before several DynamoDBs: the model in memory, ministack, and one that the environment names."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from functions.aws import clients, clock, table
from functions.aws.config import config
from functions.aws.deadline import Deadline
from functions.aws.state_table import StateTable
from functions.aws.table import MetricsTable
from functions.aws.update import Processor
from functions.entities.item import State
from functions.model import EntityKey
from proof.invocation import nothing_kept
from proof.memory_aws import FakeAws
from tests.helpers.deployment import ENVIRONMENT, NOW
from tests.helpers.metrics_table import make_state_table, make_table

ENDPOINT = "DYNAMODB_ENDPOINT"
"""The environment variable with the URL of a DynamoDB in which these tests may make tables, and delete them."""
EVERY = ("model", "ministack", "endpoint")
SERVERS = ("ministack", "endpoint")
"""Those that know limits, tokens, indexes and TTL, too."""


@dataclass
class Engine:
    """A DynamoDB with both tables, empty, and the functions' own code before it, at a clock that stands still."""

    name: str
    dynamodb: Any
    """A client for what the functions never do."""
    aws: FakeAws = field(default_factory=FakeAws)
    """Where the bus is; and the tables, when this is the model."""

    @property
    def processor(self) -> Processor:
        return Processor(config())

    @property
    def state_table(self) -> StateTable:
        return StateTable(config().state_table_name)

    @property
    def metrics_table(self) -> MetricsTable:
        return MetricsTable(config().table_name, self.state_table)

    def states(self, *names: str) -> list[State]:
        """The students as a new process reads them."""
        self.forget()
        keys = [EntityKey("student", name) for name in names]
        read = self.metrics_table.read(keys, NOW, deadline())
        assert not read.failed
        return [read.states[key] for key in keys]

    @staticmethod
    def forget() -> None:
        """Go on as a new process: nothing that was read or written is remembered."""
        table._remembered = table._Remembered()  # type: ignore[misc]


def deadline() -> Deadline:
    return Deadline(lambda: 120_000)


def _environment_of(name: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """What leads the functions' clients to a server."""
    if name == "ministack":
        environment: dict[str, str] = request.getfixturevalue("ministack").environment()
        return environment
    if not (url := os.environ.get(ENDPOINT)):
        pytest.skip(f"{ENDPOINT} is not set: it takes the URL of a DynamoDB, such as AWS's, to make tables in")
    given = {name: os.environ[name] for name in ENVIRONMENT if name.startswith("AWS_") and name in os.environ}
    return given | {"AWS_ENDPOINT_URL_DYNAMODB": url}


@pytest.fixture(params=EVERY)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Each engine by turns, of `EVERY` or of what the test is parametrized with."""
    names = {variable: f"iops-{uuid.uuid4().hex[:12]}-{variable[:5].lower()}" for variable in _TABLES}
    environment = ENVIRONMENT | names
    if request.param != "model":
        environment |= _environment_of(request.param, request)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(clock, "now_ms", lambda: NOW)
    with nothing_kept():
        if request.param == "model":
            yield _model(monkeypatch)
        else:
            yield from _server(request.param, names, monkeypatch)


_TABLES = ("DYNAMODB_TABLE_NAME", "STATE_TABLE_NAME")


def _model(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine("model", None)
    monkeypatch.setattr(clients, "make", engine.aws.client)
    return engine


def _server(name: str, tables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    dynamodb = boto3.Session().client("dynamodb")
    engine = Engine(name, dynamodb)
    make = clients.make

    def client(service: str, config: Any) -> Any:
        return engine.aws.client(service) if service == "events" else make(service, config)

    monkeypatch.setattr(clients, "make", client)
    metrics, state = (tables[variable] for variable in _TABLES)
    make_table(dynamodb, metrics, indexed=True)
    make_state_table(dynamodb, state)
    try:
        for made in (metrics, state):
            dynamodb.get_waiter("table_exists").wait(TableName=made, WaiterConfig={"Delay": 1})
        yield engine
    finally:
        for made in (metrics, state):
            dynamodb.delete_table(TableName=made)
