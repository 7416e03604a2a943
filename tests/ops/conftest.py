"""Each test of the commands has an environment of its own."""

import os

import boto3
import pytest


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
