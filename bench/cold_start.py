"""Cold starts under AWS's runtime interface client: time and CPU to ready and to the first batch, memory, bytes
unpacked.

Method. `local.runtime_api` runs the function with the layer built for this interpreter, with bytecode as what pip has
installed for the others has it and without, and, in the same way, a function that imports nothing and one that makes
two boto3 clients. Import CPU is that to ready beyond the function that
imports nothing. Each is started several times in turns, files in the page cache; figures are medians.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.endpoint import Endpoint
from bench.progress import Progress
from bench.rig import rig
from bench.worker import ENVIRONMENT, STATE_TABLE, TABLE
from bench.workload import Population, delivery
from bundle.layer import LOCAL, build
from local.runtime_api import running, runtime_directory, unpack

_NOTHING: Final = "def lambda_handler(event, context):\n    return None\n"
_BOTO3: Final = 'import boto3\n\nCLIENTS = [boto3.client(name) for name in ("dynamodb", "events")]\n\n\n' + _NOTHING
_HANDLER: Final = "functions.processor.handler.lambda_handler"


@dataclass(slots=True)
class _Starts:
    """What each start took, in seconds and MB."""

    ready: list[float] = field(default_factory=list)
    ready_cpu: list[float] = field(default_factory=list)
    first_batch: list[float] = field(default_factory=list)
    first_batch_cpu: list[float] = field(default_factory=list)
    first_batch_mb: list[float] = field(default_factory=list)
    large_batch_mb: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float]:
        """What was measured, the median of each."""
        values = {name: getattr(self, name) for name in _Starts.__slots__}
        return {name: median(each) for name, each in values.items() if each}


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Starts of the processor, of boto3 alone and of nothing at all, and what the package unpacks to."""
    # The clock is the real one here: what is delivered has just happened.
    now_ms = time.time_ns() // 1_000_000
    with tempfile.TemporaryDirectory() as directory, rig(Population(), now_ms) as made:
        code = unpack("processor", Path(directory) / "code")
        layer = build(LOCAL) / "python"
        compiled = _compiled(layer, Path(directory) / "compiled")
        plain = Path(directory) / "plain"
        plain.mkdir()
        (plain / "nothing.py").write_text(_NOTHING)
        (plain / "two_clients.py").write_text(_BOTO3)
        first, large = (json.loads(delivery(made.workload.take(size, now_ms, -1))) for size in (100, 6_800))
        runtime = runtime_directory()
        functions = {
            "processor": (_HANDLER, [code, compiled, runtime]),
            "processor without bytecode": (_HANDLER, [code, layer, runtime]),
            "two boto3 clients": ("two_clients.lambda_handler", [plain, runtime]),
            "nothing": ("nothing.lambda_handler", [plain, runtime]),
        }
        starts = {name: _Starts() for name in functions}
        for each in range(2 if quick else 5):
            for name, (handler, path) in functions.items():
                progress(f"cold start {each + 1}: {name}")
                made.endpoint.restore(TABLE, STATE_TABLE)
                _start(starts[name], handler, path, made.endpoint, [first, large] if name == "processor" else [])
        unpacked = {
            "layer": _size(layer),
            "layer with bytecode": _size(compiled),
            "code": _size(code),
            "boto3 and the runtime client": _size(runtime),
        }
    medians = {name: each.medians() for name, each in starts.items()}
    base = medians["nothing"]["ready_cpu"]
    imports = {name: each["ready_cpu"] - base for name, each in medians.items() if name != "nothing"}
    return {
        "starts": medians,
        "import_cpu": imports,
        "import_ratio": imports["processor"] / imports["two boto3 clients"],
        "unpacked_bytes": unpacked,
    }


def _compiled(layer: Path, copy: Path) -> Path:
    """The layer with the bytecode of this interpreter, as `make layer BYTECODE=...` has that of Lambda's."""
    shutil.copytree(layer, copy)
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(copy)]
    subprocess.run(command, check=True)
    return copy


def _start(starts: _Starts, handler: str, path: list[Path], endpoint: Endpoint, events: list[Any]) -> None:
    with running(handler, {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint.url}, path) as function:
        starts.ready.append(function.ready_seconds)
        starts.ready_cpu.append(function.cpu_seconds)
        for number, event in enumerate(events):
            cpu, wall = function.cpu_seconds, time.perf_counter()
            answer = function.invoke(event)
            if answer["batchItemFailures"]:
                raise RuntimeError(f"{len(answer['batchItemFailures'])} records failed after a cold start")
            if number == 0:
                starts.first_batch.append(time.perf_counter() - wall)
                starts.first_batch_cpu.append(function.cpu_seconds - cpu)
                starts.first_batch_mb.append(function.max_rss_bytes / 1e6)
            else:
                starts.large_batch_mb.append(function.max_rss_bytes / 1e6)


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
