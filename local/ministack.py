"""The local AWS: ministack in a virtual environment of its own, started on loopback and surely stopped.

Knows nothing of the program that is deployed to it (deploy.py) nor of what is shown (demo.py). Nothing is installed
globally, nothing outlives the process that started it unless `keep` is called.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import boto3
from botocore.config import Config

from bundle.lock import exclusive

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "local" / "requirements.txt"
VENV = ROOT / ".venv-ministack"
LOCK = ROOT / "build" / "ministack.lock"
HEALTH_TIMEOUT_SECONDS = 30.0
ACCESS_KEY = "test"  # ministack's root credentials
LOG_TAIL_LINES = 25


class LocalAwsError(Exception):
    """What the user has to know in one message: no traceback adds anything to it."""


def ensure_python(report: Callable[[str], None] = lambda _: None) -> Path:
    """Return the interpreter of ministack's virtual environment, making the environment first where needed.

    The environment is reused as long as local/requirements.txt and this Python's version are the same; two processes
    that ask at once are served one after the other. Raises LocalAwsError when it cannot be made.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / "requirements.sha256"
    python = VENV / "bin" / "python"
    with exclusive(LOCK):
        if stamp.exists() and stamp.read_text() == wanted:
            return python
        report(f"making ministack's virtual environment in {VENV.name}")
        shutil.rmtree(VENV, ignore_errors=True)
        _install([sys.executable, "-m", "venv", str(VENV)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        _install([*pip, "-r", str(REQUIREMENTS)])
        stamp.write_text(wanted)
    return python


def _install(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        ended = f"`{' '.join(command)}` ended with {done.returncode}"
        raise LocalAwsError(f"ministack's virtual environment cannot be made: {ended}; see why:\n{_tail(done.stdout)}")


def _tail(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-LOG_TAIL_LINES:])


@dataclass
class LocalAws:
    """A running local AWS and the boto3 clients for it.

    `directory` holds its log and all its state; it goes when the local AWS stops.
    """

    endpoint: str
    region: str
    directory: Path
    supervisor: subprocess.Popen[bytes]
    leash: IO[bytes]
    """Standard input of the supervisor, which ends everything when it closes."""
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service, made once; safe to call from several threads."""
        with self._lock:  # making clients is not thread-safe in boto3
            if service not in self._clients:
                self._clients[service] = boto3.Session(
                    aws_access_key_id=ACCESS_KEY, aws_secret_access_key=ACCESS_KEY, region_name=self.region
                ).client(
                    service,
                    endpoint_url=self.endpoint,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=130,  # a synchronous invocation may take a function's two minutes
                        retries={"mode": "standard", "max_attempts": 3},
                        max_pool_connections=20,
                        s3={"addressing_style": "path"},
                        proxies={},  # loopback is never behind one
                    ),
                )
            return self._clients[service]

    def log(self) -> str:
        """Return what ministack has logged so far."""
        return (self.directory / "log").read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """Return the variables by which any AWS SDK or tool reaches this local AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        }

    def keep(self) -> int:
        """Let it outlive this process; return the process id whose SIGTERM stops it and removes its files."""
        self.leash.write(b"k")
        self.leash.close()
        return self.supervisor.pid

    def stop(self) -> None:
        """End it with all its children and remove its files. Does nothing when it was stopped or kept before."""
        if not self.leash.closed:
            self.leash.close()
            self.supervisor.wait()
            shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def running(region: str, port: int | None = None, report: Callable[[str], None] = lambda _: None) -> Iterator[LocalAws]:
    """Start ministack on a loopback port (a free one unless given), with IAM enforced; stop it on the way out.

    Raises LocalAwsError, with the end of ministack's log, when it cannot be started.
    """
    python = ensure_python(report)
    port = port or _free_port()
    _require_free(port)
    directory = Path(tempfile.mkdtemp(prefix="iops-dashboard-aws-"))
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": region,
        "LAMBDA_EXECUTOR": "local",
        "AUTH": "true",  # every call, the functions' own included, is checked against the declared IAM policies
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "DOCKER_HOST": f"unix://{directory}/none",  # it would remove other ministacks' containers
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PYTHONUNBUFFERED": "1",
    }
    standard_input, leash = os.pipe()
    here = ROOT / "local"
    supervisor = subprocess.Popen(
        # -P: without this directory on its path, where ministack's name is this module's.
        [sys.executable, str(here / "supervise.py"), str(directory), str(python), "-P", str(here / "emulator.py")],
        env=environment,
        stdin=standard_input,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the caller, who then stops it in good order
    )
    os.close(standard_input)
    local_aws = LocalAws(f"http://127.0.0.1:{port}", region, directory, supervisor, os.fdopen(leash, "wb"))
    try:
        _wait_until_healthy(local_aws)
        yield local_aws
    except Exception as error:
        if supervisor.poll() is None:
            raise
        log = _tail(local_aws.log())
        raise LocalAwsError(f"ministack at {local_aws.endpoint} has ended; see the end of its log:\n{log}") from error
    finally:
        local_aws.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = f"port {port} on 127.0.0.1 cannot be used: {error.strerror}"
            raise LocalAwsError(f"{reason}; choose another, or none for a free one") from error


def _wait_until_healthy(local_aws: LocalAws) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + HEALTH_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            with direct.open(f"{local_aws.endpoint}/_ministack/health", timeout=2) as answer:
                if "services" in json.load(answer):
                    return
        except OSError:
            time.sleep(0.05)
        if local_aws.supervisor.poll() is not None:
            break
    waited = f"after {HEALTH_TIMEOUT_SECONDS:.0f} s"
    log = _tail(local_aws.log())
    raise LocalAwsError(f"ministack does not answer at {local_aws.endpoint} {waited}; see the end of its log:\n{log}")
