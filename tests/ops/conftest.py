"""Each test of the commands has an environment of its own."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from functions.aws import clients, clock
from ops import aws
from ops.target import Target
from proof.invocation import nothing_kept
from tests.helpers.account import OUTPUTS, Account
from tests.helpers.deployment import NOW


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of no account, and nothing that one test sets for another."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "IOPS_"))]:
        monkeypatch.delenv(name)
    # Set and not deleted: what a command sets is undone then.
    for name, value in {
        "AWS_ENDPOINT_URL": "",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account in memory in place of AWS, at `NOW`."""
    made = Account()
    monkeypatch.setattr(aws, "client", made.client)
    monkeypatch.setattr(clients, "make", made.client)
    monkeypatch.setattr(clock, "now_ms", lambda: NOW)
    with nothing_kept():
        yield made


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """That account's stack, as `pulumi stack output --json` would have written it."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS))
    return file


@pytest.fixture
def target(outputs: Path) -> Target:
    """That stack."""
    made = Target()
    made.find(stack_outputs=outputs)
    return made
