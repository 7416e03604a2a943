"""The program deployed to a local AWS, once for all end-to-end tests, and its functions run here under a clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bundle import layer
from functions.processor import clock, handler, roll
from local.deploy import Deployment, deploy
from local.flow import Flow
from local.ministack import LocalAws
from local.model.invocation import context, nothing_kept


@pytest.fixture(scope="session")
def deployment(ministack: LocalAws) -> Deployment:
    """The dev stack, deployed."""
    return deploy(ministack, "dev", {"layerDirectory": str(layer.build(layer.LOCAL))})


@pytest.fixture(scope="session")
def flow(ministack: LocalAws, deployment: Deployment) -> Flow:
    """The deployed stack's ways in and out, with listeners attached. Tests make entities of their own."""
    flow = Flow(ministack, deployment.outputs)
    flow.listen()
    return flow


@dataclass
class InProcess:
    """The deployed processor's own code in this process, on the deployed table, bus and bucket, at a clock of ours."""

    now_ms: int = field(default_factory=clock.now_ms)
    context: Any = field(default_factory=context)

    def deliver(self, batch: dict[str, Any]) -> list[str]:
        """Hand one batch to the processor; return the identifiers that it reports as failed."""
        answer = handler.lambda_handler(batch, self.context)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def roll_at(self, now_ms: int) -> dict[str, Any]:
        """Set the clock and run the roll."""
        self.now_ms = now_ms
        rolled: dict[str, Any] = roll.lambda_handler({}, self.context)
        return rolled


@pytest.fixture
def in_process(ministack: LocalAws, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    """The processor in this process; nothing of it remains afterwards."""
    configuration = ministack.client("lambda").get_function_configuration(
        FunctionName=deployment.outputs["ProcessFunctionName"]
    )
    for name, value in {**configuration["Environment"]["Variables"], **ministack.environment()}.items():
        monkeypatch.setenv(name, value)
    made = InProcess()
    monkeypatch.setattr(clock, "now_ms", lambda: made.now_ms)
    with nothing_kept():
        yield made
