"""Where a command looks: the outputs of a stack from the Pulumi CLI, from a file, or of the local AWS."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
import pytest

from functions.aws import clients
from ops import target
from ops.aws import UserError
from ops.target import Target

OUTPUTS = {
    "MetricsTableName": "iops-dashboard-metrics",
    "CriticalTopicArn": "arn:aws:sns:eu-central-1:123456789012:iops-dashboard-alerts-critical",
}
PULUMI = """#!/bin/sh
case "$*" in
version*) echo v3.272.0 ;;
*"--stack dev"*) echo '%s' ;;
*"--stack broken"*) echo 'error: getting secrets manager: incorrect passphrase' >&2; exit 255 ;;
*) echo "error: no stack named 'other' found" >&2; exit 255 ;;
esac
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CLI that knows the stack dev."""
    command = tmp_path / "pulumi"
    command.write_text(PULUMI % json.dumps(OUTPUTS))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def found() -> Target:
    return Target()


@pytest.mark.usefixtures("pulumi")
def test_a_stack_is_read_by_the_pulumi_cli_and_tells_its_region(found: Target) -> None:
    found.find(stack="dev")
    assert found.name("table") == "iops-dashboard-metrics"
    assert found.client("dynamodb").meta.region_name == "eu-central-1"
    assert clients.client("dynamodb").meta.region_name == "eu-central-1", "the processor's modules look there too"
    assert found.names == {"table": "iops-dashboard-metrics"}


@pytest.mark.usefixtures("pulumi")
def test_a_region_that_is_given_goes_before_the_stacks(found: Target) -> None:
    found.find(stack="dev", region="us-west-2")
    assert found.client("dynamodb").meta.region_name == "us-west-2"


@pytest.mark.usefixtures("pulumi")
@pytest.mark.parametrize(
    ("stack", "says"),
    [("other", "there is no stack other: see `pulumi stack ls`"), ("broken", "incorrect passphrase")],
)
def test_a_stack_that_cannot_be_read_is_told(found: Target, stack: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        found.find(stack=stack)


def test_without_the_pulumi_cli_the_way_by_a_file_is_told(found: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="not on PATH: install it, or use `pulumi stack output --json --stack dev >"):
        found.find(stack="dev")


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Something that answers."""
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    file = tmp_path / "local-aws.json"
    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "local", "AWS_DEFAULT_REGION": "us-east-1"}
    file.write_text(json.dumps({"environment": environment, "outputs": {"MetricsTableName": "here"}, "pid": 1}))
    monkeypatch.setattr(target, "LOCAL", file)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")  # so that what `find` sets is undone


def test_the_local_aws_is_found(found: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    _kept(tmp_path, monkeypatch, endpoint)
    found.find(local=True)
    assert found.name("table") == "here"
    client = found.client("s3")
    assert client.meta.endpoint_url == endpoint
    assert boto3.DEFAULT_SESSION.get_credentials().access_key == "local"


def test_a_local_aws_that_is_gone_is_told(found: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    _kept(tmp_path, monkeypatch, endpoint)
    with pytest.raises(UserError, match=f"{endpoint} does not answer any more: start one with `make demo KEEP=1`"):
        found.find(local=True)


def test_no_local_aws_is_told(found: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "LOCAL", tmp_path / "none.json")
    with pytest.raises(UserError, match="no local AWS is running: start one with `make demo KEEP=1`"):
        found.find(local=True)


def test_only_one_place_can_be_looked_at(found: Target, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--stack and --local exclude each other"):
        found.find(stack="dev", local=True)


def test_without_a_stack_a_name_is_asked_for(found: Target) -> None:
    found.find()
    with pytest.raises(UserError, match="no stack is given: give --stack NAME, --stack-outputs FILE, or --local"):
        found.name("table")
    with pytest.raises(UserError, match="--table is missing: give it, or --stack NAME"):
        found.name("table", None, "--table")
    assert found.name("table", "given", "--table") == "given"
