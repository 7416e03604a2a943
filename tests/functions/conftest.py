"""Fixtures of the processor's tests; what they are made of stands in `deployment`."""

from collections.abc import Iterator
from logging import StreamHandler
from typing import TextIO, cast

import pytest
from moto import mock_aws

from functions.aws.observability import logger
from proof.invocation import nothing_kept
from tests.helpers.deployment import Deployment, deployed
from tests.helpers.faulty_aws import Faults
from tests.helpers.logs import Logs
from tests.helpers.over_http import OverHttp


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """The handler and the roll over AWS in memory, at `NOW`."""
    with deployed() as made:
        yield made


@pytest.fixture
def faults(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What stands between the deployment and its AWS, with no fault planned yet."""
    made = Faults(deployment.aws)
    monkeypatch.setattr("functions.aws.clients.make", made.client)
    return made


@pytest.fixture(params=["fast", "standard"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With either codec of the AWS clients."""
    monkeypatch.setenv("AWS_CLIENT_CODEC", request.param)
    return str(request.param)


@pytest.fixture
def over_http(deployment: Deployment, codec: str, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """As `faults`, but reached over HTTP by real clients."""
    made = Faults(deployment.aws)
    monkeypatch.setattr("functions.aws.clients.make", OverHttp(made, codec).client)
    return made


@pytest.fixture
def moto(codec: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real clients before moto's AWS."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with nothing_kept(), mock_aws():
        yield


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What the functions log, read from the text that they write."""
    handler = cast("StreamHandler[TextIO]", logger.registered_handler)
    made, before = Logs(), handler.stream
    handler.setStream(made.stream)
    try:
        yield made
    finally:
        logger.setLevel("INFO")
        handler.setStream(before)
