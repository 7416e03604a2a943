"""Runs a function as Lambda does: under AWS's runtime interface client, which gets its events from a small runtime API.

The function is a process of its own, and its path is what it is told: code, layers and what the runtime brings. Nothing
here knows what the functions do. Lambda's limits of memory and CPU are not imitated; what was used is measured, which
needs Linux.
"""

import ctypes
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bundle.code import ROOT, function_files
from bundle.lock import exclusive

_PINS = ROOT / "requirements-dev.txt"
_BROUGHT = ("awslambdaric==", "boto3==")
_VERSION = "/2018-06-01/runtime/"


class RuntimeApiError(Exception):
    """A function that can't be run, or that ended without an answer; the message has the end of its log."""


class FunctionError(Exception):
    """The function's own error: what it answered instead of a result.

    `error_type` and `error_message` are what Lambda gives the caller as errorType and errorMessage.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.error_type, self.error_message = str(body["errorType"]), str(body["errorMessage"])
        super().__init__(f"{self.error_type}: {self.error_message}")


class InitError(FunctionError):
    """The handler's module can't be imported, or has no such handler: the function never asked for an event."""


@dataclass
class _Invocation:
    request_id: str
    event: bytes
    deadline_ms: int


@dataclass
class Function:
    """A running function that has asked for its first event."""

    ready_seconds: float
    """Wall time from the start of the process until then."""
    _process: subprocess.Popen[bytes]
    _log: Path
    _timeout_seconds: float
    _next: "queue.Queue[_Invocation | None]"
    _answers: "queue.Queue[tuple[str, Any]]"

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far. Raises RuntimeApiError when it has ended."""
        if self._process.poll() is not None:
            raise self._ended()
        clock = ctypes.c_int32()
        ctypes.CDLL(None).clock_getcpuclockid(self._process.pid, ctypes.byref(clock))
        return time.clock_gettime(clock.value)

    @property
    def max_rss_bytes(self) -> int:
        """The most memory that it held so far. Raises RuntimeApiError when it has ended."""
        if self._process.poll() is not None:
            raise self._ended()
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def log(self) -> str:
        """What it has written so far to standard output and standard error."""
        return self._log.read_text(errors="replace")

    def invoke(self, event: object) -> Any:
        """Hand it an event, wait for the answer.

        Raises
        ------
        FunctionError
            When the handler raised.
        RuntimeApiError
            When the process ended or its time ran out, after which it is no more.
        """
        deadline = time.time() + self._timeout_seconds
        self._next.put(_Invocation(str(uuid.uuid4()), json.dumps(event).encode(), int(deadline * 1000)))
        kind, body = self._wait(deadline)
        if kind == "error":
            raise FunctionError(body)
        return body

    def _wait(self, deadline: float) -> tuple[str, Any]:
        while time.time() < deadline:
            try:
                return self._answers.get(timeout=0.1)
            except queue.Empty:
                if self._process.poll() is not None and self._answers.empty():
                    raise self._ended() from None
        self._process.kill()
        self._process.wait()
        raise RuntimeApiError(
            f"the function's time of {self._timeout_seconds:g} seconds ran out; see its log:\n{self._tail()}"
        )

    def _ended(self) -> RuntimeApiError:
        return RuntimeApiError(
            f"the function's process ended with {self._process.wait()}; see its log:\n{self._tail()}"
        )

    def _tail(self) -> str:
        return "\n".join(f"  {line}" for line in self.log().splitlines()[-20:])


@contextmanager
def running(
    handler: str,
    environment: Mapping[str, str],
    path: Sequence[Path],
    *,
    python: str = sys.executable,
    memory_mb: int = 1024,
    timeout_seconds: float = 120,
) -> Iterator[Function]:
    """Start a function, wait until it asks for an event; end it on the way out.

    Parameters
    ----------
    handler
        As Lambda is told, such as `functions.processor.handler.lambda_handler`.
    environment
        The function's variables; Lambda's own are added, nothing of this process's.
    path
        Where modules are looked for, in this order, beside the standard library: the code (`unpack`), a layer's
        `python` directory, `runtime_directory(python)`.
    python
        The interpreter.
    timeout_seconds
        The time for init, and that for each invocation.

    Raises
    ------
    InitError
        When the handler can't be imported.
    RuntimeApiError
        When the process ended otherwise, or was not ready in time.
    """
    waiting: queue.Queue[_Invocation | None] = queue.Queue()
    answers: queue.Queue[tuple[str, Any]] = queue.Queue()
    name = environment.get("AWS_LAMBDA_FUNCTION_NAME", handler)
    server = _Server(waiting, answers, f"arn:aws:lambda:us-east-1:123456789012:function:{name}")
    directory = Path(tempfile.mkdtemp(prefix="iops-dashboard-function-"))
    variables = {**_lambda_variables(handler, name, server.server_port, path, memory_mb), **environment}
    process = None
    try:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started = time.monotonic()
        process = _start(python, handler, variables, directory)
        function = Function(0.0, process, directory / "log", timeout_seconds, waiting, answers)
        kind, body = function._wait(time.time() + timeout_seconds)
        if kind == "init error":
            raise InitError(body)
        function.ready_seconds = body - started
        yield function
    finally:
        if process:
            process.kill()
            process.wait()
        waiting.put(None)
        server.shutdown()
        server.server_close()
        shutil.rmtree(directory, ignore_errors=True)


def _start(python: str, handler: str, variables: Mapping[str, str], directory: Path) -> subprocess.Popen[bytes]:
    """Start the runtime interface client in this directory, which also gets the log."""
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            # -S: the interpreter's own site-packages would hide what the layer lacks.
            [python, "-S", "-m", "awslambdaric", handler],
            env=variables,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _lambda_variables(handler: str, name: str, api_port: int, path: Sequence[Path], memory_mb: int) -> dict[str, str]:
    """The variables that Lambda adds to a function's own ("Defined runtime environment variables")."""
    return {
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api_port}",
        "AWS_REGION": "us-east-1",
        "LANG": "en_US.UTF-8",
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's directories of code and layers can't be written to
        "PYTHONPATH": os.pathsep.join(str(entry.resolve()) for entry in path),
        "TZ": ":UTC",
        "_HANDLER": handler,
    }


def unpack(name: str, directory: Path) -> Path:
    """Put the files of a function's archive into a directory, as Lambda unpacks it; returns the directory."""
    for path, source in function_files(name).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, directory / path)
    return directory


def runtime_directory(python: str = sys.executable) -> Path:
    """What Lambda's Python has beside the standard library, boto3 and the runtime interface client, for an interpreter.

    Installed below build/ in the versions that requirements-dev.txt pins, and kept while those stay.

    Raises
    ------
    RuntimeApiError
        When they can't be installed.
    """
    tag = subprocess.run(
        [python, "-c", "import sys, platform; print(sys.implementation.cache_tag, sys.platform, platform.machine())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    path = ROOT / "build" / f"runtime-{tag.replace(' ', '-')}"
    pinned = [line for line in _PINS.read_text(encoding="utf-8").splitlines() if line.startswith(_BROUGHT)]
    stamp = path / "requirements.txt"
    with exclusive(path.with_name(path.name + ".lock")):
        if stamp.is_file() and stamp.read_text().splitlines() == pinned:
            return path
        shutil.rmtree(path, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "--no-input", f"--target={path}", *pinned],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeApiError(f"pip can't install {' and '.join(pinned)} for {python}:\n{done.stdout.strip()}")
        stamp.write_text("\n".join(pinned))
    return path


class _Server(ThreadingHTTPServer):
    """The runtime API of one function (Lambda developer guide, "Using the Lambda runtime API for custom runtimes")."""

    daemon_threads = True

    def __init__(
        self, waiting: "queue.Queue[_Invocation | None]", answers: "queue.Queue[tuple[str, Any]]", function_arn: str
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.waiting, self.answers, self.function_arn = waiting, answers, function_arn
        self.running: _Invocation | None = None
        self.asked = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that ended with the function."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != _VERSION + "invocation/next":
            self._respond(404)
            return
        if not self.server.asked:
            self.server.asked = True
            self.server.answers.put(("ready", time.monotonic()))
        self.server.running = invocation = self.server.waiting.get()
        if invocation is None:  # the function was ended
            self.close_connection = True
            return
        self._respond(
            200,
            invocation.event,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": self.server.function_arn,
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        invocation = self.server.running
        answers = {_VERSION + "init/error": "init error"}
        if invocation:
            answers[f"{_VERSION}invocation/{invocation.request_id}/response"] = "response"
            answers[f"{_VERSION}invocation/{invocation.request_id}/error"] = "error"
        if self.path not in answers:
            self._respond(404)
            return
        # First kept, then acknowledged: after an init error the process ends as soon as it has the answer.
        self.server.answers.put((answers[self.path], json.loads(body)))
        self._respond(202, b'{"status":"OK"}')

    def _respond(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
