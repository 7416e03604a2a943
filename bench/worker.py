"""A handler in a process of its own, as in Lambda: it is handed one event after the other, and its cost is measured.

CPU is that of the whole process with all its threads (`time.process_time`), from the decoded event to the answer. The
event's own JSON is decoded before that, as Lambda's runtime does it for any handler. The clock that the processor reads
is the caller's, so that a run is the same whenever it is made.

`Worker` starts it and speaks with it over its standard input and output; `python -m bench.worker` is the process.
"""

import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench import ROOT
from functions.environment import written

HANDLER: Final = "functions.processor.handler"
BASELINE: Final = "bench.baseline"

TABLE: Final = "iops-dashboard-metrics"
STATE_TABLE: Final = "iops-dashboard-state"
BASELINE_TABLE: Final = "baseline-metrics"

ENVIRONMENT: Final = {
    **written(
        {
            "DYNAMODB_TABLE_NAME": TABLE,
            "STATE_TABLE_NAME": STATE_TABLE,
            "EVENT_BUS_NAME": "iops-dashboard-alerts",
            "QUARANTINE_BUCKET_NAME": "iops-dashboard-quarantine",
        }
    ),
    "BASELINE_TABLE_NAME": BASELINE_TABLE,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_LAMBDA_FUNCTION_NAME": "iops-dashboard-processor",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
}
"""The functions' environment with every default, the plain handler's table, and what Lambda sets."""


def environment(endpoint_url: str) -> dict[str, str]:
    """The environment of a function whose AWS is at this address."""
    return {**os.environ, **ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint_url}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one invocation took."""

    cpu: float
    """Seconds, of all threads."""
    wall: float
    """Seconds."""
    peak_mb: float
    """The process's largest resident memory so far."""
    answer: Any


class Worker:
    """A handler's process; ends with the `with` block."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            cwd=ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def invoke(self, event: bytes, now_ms: int = 0, module: str = "") -> Cost:
        """Hands over an event (JSON) at a moment; 0 is now. `module` is another handler in the same process.

        Raises
        ------
        RuntimeError
            When the handler has ended its process.
        """
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(
            json.dumps({"bytes": len(event), "now_ms": now_ms, "module": module}).encode() + b"\n"
        )
        self._process.stdin.write(event)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the handler's process has ended; what it said stands above")
        return Cost(**json.loads(line))


class _Context:
    """An invocation's context."""

    function_name = "iops-dashboard-processor"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:iops-dashboard-processor"
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


def _peak_mb() -> float:
    """The most memory that this process has had.

    Linux tells it (proc(5), VmHWM); what getrusage tells may be that of the process that started it.
    """
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_048_576  # bytes on macOS
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(peak) / 1024


def main(module: str) -> None:
    """Answers until its input ends. What handlers print goes nowhere: Lambda would send it to its logs."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    handlers = {"": importlib.import_module(module).lambda_handler}
    clock: Any = None if module == BASELINE else importlib.import_module("functions.aws.clock")
    own_clock = clock.now_ms if clock else None
    while line := sys.stdin.buffer.readline():
        command = json.loads(line)
        event = json.loads(sys.stdin.buffer.read(command["bytes"]))
        if (name := command["module"]) not in handlers:
            handlers[name] = importlib.import_module(name).lambda_handler
        if clock:
            now_ms = command["now_ms"]
            clock.now_ms = (lambda now_ms=now_ms: now_ms) if now_ms else own_clock
        cpu, wall = time.process_time(), time.perf_counter()
        answer = handlers[name](event, _Context())
        cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        answers.write(json.dumps({**cost, "peak_mb": _peak_mb(), "answer": answer}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
