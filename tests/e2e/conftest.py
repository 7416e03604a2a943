"""The program deployed to a local AWS, once for all end-to-end tests, and its functions run here under a clock."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import Result

from bundle import layer
from functions.aws import clock, table
from functions.processor import handler, roll
from functions.rollup import handler as rollup
from local.deploy import Deployment, deploy
from local.flow import Flow
from local.ministack import ROOT, LocalAws
from proof.invocation import context, nothing_kept
from tests.helpers.ops_command import ops


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

    def forget(self) -> None:
        """Go on as a new process: nothing that was read or written is remembered."""
        table._remembered = table._Remembered()  # type: ignore[misc]

    def rollup(self) -> dict[str, Any]:
        """Run the rollup, at the clock as it was set last."""
        rolled_up: dict[str, Any] = rollup.lambda_handler({}, self.context)
        return rolled_up


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


@dataclass(frozen=True)
class Iops:
    """The operators' command line, on the deployed stack."""

    outputs: Path
    """What `pulumi stack output --json` would have written."""

    def __call__(self, *arguments: str) -> Result:
        """What a command comes to, run in this process."""
        return ops(*arguments, "--stack-outputs", str(self.outputs))

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """What a command prints with --output json, once it has ended with this code."""
        result = self(*arguments, "--output", "json")
        assert (result.exit_code, result.stderr) == (exit_code, ""), result.output
        return json.loads(result.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command as a program of its own, for what only ends when it is interrupted."""
        return subprocess.Popen(  # noqa: S603 - this repository's own command
            [sys.executable, "-m", "ops", *arguments, "--stack-outputs", str(self.outputs)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def iops(
    ministack: LocalAws, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Iops]:
    """The command line, in an environment that leads to the local AWS; nothing of it remains afterwards."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "IOPS_"))]:
        monkeypatch.delenv(name)
    for name, value in ministack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(deployment.outputs))
    with nothing_kept():
        yield Iops(outputs)
