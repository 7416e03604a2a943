"""What the commands that only look have in common: throttled, they try again before they say so."""

from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

from tests.helpers.ops_command import ops, said

COMMANDS = [
    ("entity", "student", "stu_1"),
    ("top", "students", "--health"),
    ("recent",),
    ("alerts",),
    ("alerts", "--follow"),
    ("lag",),
    ("doctor",),
]


class Body:
    """A response's body."""

    def __init__(self, text: str) -> None:
        self.text = text

    def stream(self, **_: Any) -> Any:
        yield self.text.encode()


def throttling(url: str) -> AWSResponse:
    """How a service says that it is asked too often, in its own protocol."""
    if url.startswith("https://iops-quarantine.s3"):
        return AWSResponse(url, 503, {}, Body("<Error><Code>SlowDown</Code><Message>no</Message></Error>"))
    if url.startswith("https://sns"):
        error = "<ErrorResponse><Error><Code>Throttling</Code><Message>no</Message></Error></ErrorResponse>"
        return AWSResponse(url, 400, {}, Body(error))
    return AWSResponse(
        url,
        400,
        {"x-amzn-errortype": "ThrottlingException"},
        Body('{"__type": "ThrottlingException", "message": "Rate exceeded"}'),
    )


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An AWS that throttles whatever it is asked; the requests that it got."""
    made: list[str] = []

    def send(_: Any, request: Any) -> AWSResponse:
        made.append(request.url)
        return throttling(request.url)

    monkeypatch.setattr(URLLib3Session, "send", send)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return made


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_throttled(requests: list[str], outputs: Path, command: tuple[str, ...]) -> None:
    result = ops(*command, "--stack-outputs", str(outputs))
    told = " ".join((said(result) + result.stdout).split())
    assert "AWS throttles" in told
    assert "wait a minute" in told
    # lag and doctor go on with what AWS does answer.
    skips = command[0] in ("lag", "doctor")
    assert result.exit_code == (0 if skips else 254)
    assert len(requests) >= 7
