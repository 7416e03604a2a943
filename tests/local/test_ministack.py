"""Whatever becomes of the process that started the local AWS, nothing of it is left; and errors are one message."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import ministack as ministack_module
from local.ministack import ROOT, LocalAws, LocalAwsError, ensure_python, running

STARTER = """
import sys, time
from local.ministack import running
with running("us-east-1") as local_aws:
    print(local_aws.endpoint, local_aws.directory, flush=True)
    if sys.argv[1] == "keep":
        print(local_aws.keep(), flush=True)
    else:
        time.sleep(60)
"""


def answers(endpoint: str) -> bool:
    host, port = endpoint.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@contextmanager
def another_process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """A process that has started a local AWS, with the endpoint and the directory."""
    command = [sys.executable, "-c", STARTER, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (all ours)
        assert process.stdout is not None
        endpoint, directory = process.stdout.readline().split()
        yield process, endpoint, Path(directory)


@pytest.mark.usefixtures("ministack")
def test_it_ends_with_the_block_even_by_an_error() -> None:
    seen: list[LocalAws] = []

    def fail() -> None:
        with running("us-east-1") as local_aws:
            seen.append(local_aws)
            assert answers(local_aws.endpoint)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not answers(seen[0].endpoint)
    assert not seen[0].directory.exists()


@pytest.mark.usefixtures("ministack")
def test_it_ends_when_its_process_is_killed() -> None:
    with another_process("sleep") as (process, endpoint, directory):
        process.kill()
        assert eventually(lambda: not answers(endpoint) and not directory.exists())


@pytest.mark.usefixtures("ministack")
def test_kept_it_outlives_its_process_until_it_is_told_to_stop() -> None:
    with another_process("keep") as (process, endpoint, directory):
        assert process.stdout is not None
        supervisor = int(process.stdout.readline())
        process.wait()
        time.sleep(0.3)
        assert answers(endpoint)
        os.kill(supervisor, signal.SIGTERM)
        assert eventually(lambda: not answers(endpoint) and not directory.exists())


def test_a_busy_port_is_one_message(ministack: LocalAws) -> None:
    port = int(ministack.endpoint.rsplit(":", 1)[1])

    with (
        pytest.raises(LocalAwsError, match=rf"port {port} on 127.0.0.1 cannot be used: Address already in use"),
        running("us-east-1", port),
    ):
        pass


@pytest.mark.usefixtures("ministack")
def test_one_that_dies_says_so_with_its_last_words() -> None:
    def lose_it() -> None:
        with running("us-east-1") as local_aws:
            (pid_file,) = local_aws.directory.glob("*.pid")
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            assert eventually(lambda: local_aws.supervisor.poll() is not None)
            local_aws.client("sts").get_caller_identity()

    with pytest.raises(LocalAwsError, match=r"has ended; see the end of its log:\n(.|\n)*Ready"):
        lose_it()


@pytest.mark.usefixtures("ministack")
def test_one_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such module: ministack\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(ministack_module, "ensure_python", lambda _: python)

    with pytest.raises(LocalAwsError, match=r"has ended; .*\n  no such module: ministack"), running("us-east-1"):
        pass


def test_an_environment_that_cannot_be_made_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("not a requirement\n")
    monkeypatch.setattr(ministack_module, "REQUIREMENTS", requirements)
    monkeypatch.setattr(ministack_module, "VENV", tmp_path / "venv")

    with pytest.raises(
        LocalAwsError, match=r"virtual environment cannot be made: `.*pip install(.|\n)*Invalid requirement"
    ):
        ensure_python()
