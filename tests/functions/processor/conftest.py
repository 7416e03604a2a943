"""Fixtures of the processor's tests; what they are made of stands in `deployment`."""

from collections.abc import Iterator
from logging import StreamHandler
from typing import TextIO, cast

import pytest
from moto import mock_aws

from functions.processor import clients
from functions.processor.observability import logger

from .deployment import Deployment, deployed
from .faults import Faults
from .logs import Logs


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """The handler and the roll over AWS in memory, at `NOW`."""
    with deployed() as made:
        yield made


@pytest.fixture
def faults(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What stands between the deployment and its AWS, with no fault planned yet."""
    made = Faults(deployment.aws)
    monkeypatch.setattr("boto3.client", made.client)
    return made


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real clients, with parameters and answers checked by botocore, before moto's AWS."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients._client.cache_clear()
    with mock_aws():
        yield
    clients._client.cache_clear()


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
