"""Clients are made when they are first needed and once, with limits that let a call end before the reserve is used."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.aws import clients, parallel
from functions.aws import codec as codec_module
from functions.aws.deadline import Deadline
from functions.aws.state_table import StateTable
from functions.aws.table import MetricsTable
from functions.model import EntityKey
from proof.invocation import nothing_kept
from proof.memory_aws import FakeAws
from tests.helpers.deployment import ENVIRONMENT


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which clients were made, in order."""
    services: list[str] = []
    aws = FakeAws()

    def make(service: str, **_: Any) -> Any:
        services.append(service)
        return aws.client(service)

    monkeypatch.setattr(clients, "make", make)
    return services


def test_a_client_is_made_once_for_all_threads(made: list[str]) -> None:
    with nothing_kept(), ThreadPoolExecutor(8) as pool:
        assert len({id(each) for each in pool.map(clients.client, ["dynamodb"] * 64)}) == 1
    assert made == ["dynamodb"]


def test_what_only_reads_makes_no_client_of_another_service(made: list[str]) -> None:
    with nothing_kept():
        MetricsTable("metrics", StateTable("state")).read([EntityKey("student", "stu_1")], 0, Deadline(lambda: 120_000))
    assert made == ["dynamodb"]


def test_when_a_call_raises_the_others_are_done_before_that_is_known() -> None:
    done, first = [], threading.Event()

    def call(number: int) -> None:
        if not number:
            first.set()
            raise ValueError("the first")
        first.wait()
        time.sleep(0.01)
        done.append(number)

    with pytest.raises(ValueError, match="the first"):
        parallel.in_parallel(call, range(20))
    assert sorted(done) == list(range(1, 20))


def test_the_standard_codec_reads_data_files_as_botocore_does(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    cheap: list[bool] = []
    session = codec_module.session

    def spied(**settings: Any) -> Any:
        cheap.append(settings["cheap"])
        return session(**settings)

    monkeypatch.setattr(codec_module, "session", spied)
    with nothing_kept():
        clients.client("dynamodb")
    assert cheap == [codec == "fast"]


def test_clients_are_made_anew_for_another_region(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with nothing_kept():
        try:
            regions = [clients.client("s3").meta.region_name]
            for region in ("eu-central-1", "eu-west-1", None):
                clients.use(region, None)
                regions.append(clients.client("s3").meta.region_name)
        finally:
            clients.use(None, None)
    assert regions == [ENVIRONMENT["AWS_DEFAULT_REGION"], "eu-central-1", "eu-west-1", regions[0]]


@pytest.mark.parametrize("service", ["dynamodb", "events", "s3"])
def test_a_call_has_limits(service: str, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with nothing_kept():
        config = clients.client(service).meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 5)
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
    assert config.max_pool_connections == parallel.PARALLEL_CALLS
    assert config.tcp_keepalive
