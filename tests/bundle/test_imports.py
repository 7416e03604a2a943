"""The functions' code and the built layer, imported by Python 3.12 with what Lambda's runtime brings, no more."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import layer
from bundle.code import function_files
from local.runtime_api import running, runtime_directory, unpack

IMPORTED = """
import importlib, json, sys, sysconfig
for name in sys.argv[1:]:
    importlib.import_module(name)
files = {name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}
print(json.dumps({"files": files, "library": sysconfig.get_path("stdlib")}))
"""


@pytest.fixture(scope="module")
def architecture() -> str:
    """Lambda's name of this machine's architecture."""
    found = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or not found:
        pytest.skip(f"Lambda's libraries are for Linux on x86_64 or arm64, not {sys.platform} on {platform.machine()}")
    return found


@pytest.fixture(scope="module")
def built(architecture: str) -> Path:
    """The layer for Lambda that this machine can load."""
    return layer.build(architecture)


def imported(python: str, modules: list[str], path: list[Path]) -> dict[str, Path]:
    """Where each module comes from, of all that importing `modules` loads, but the standard library's."""
    done = subprocess.run(  # noqa: S603 (all of it is ours)
        [python, "-S", "-B", "-c", IMPORTED, *modules],
        env={"PYTHONPATH": ":".join(map(str, path)), "AWS_DEFAULT_REGION": "us-east-1"},
        cwd=path[0].parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    answer = json.loads(done.stdout)
    files = {name: Path(file) for name, file in answer["files"].items()}
    library = Path(answer["library"]).resolve()
    found = {name: file for name, file in files.items() if library not in file.resolve().parents}
    assert not [file for file in files.values() if library / "site-packages" in file.resolve().parents]
    return found


def test_processor_and_roll_are_imported_from_code_layer_and_runtime_alone(
    lambda_python: str, built: Path, tmp_path: Path
) -> None:
    code, runtime = unpack("processor", tmp_path / "task"), runtime_directory(lambda_python)
    handlers = ("processor.handler", "processor.roll", "rollup.handler", "rollup.map_handler", "rollup.reduce_handler")
    modules = [f"functions.{name}" for name in handlers]
    files = imported(lambda_python, modules, [code, built / "python", runtime])
    from_layer = {name.partition(".")[0] for name, file in files.items() if built in file.parents}
    assert {"polars", "_polars_runtime_32", "msgspec", "aws_lambda_powertools"} <= from_layer
    from_runtime = {name.partition(".")[0] for name, file in files.items() if runtime in file.parents}
    assert "botocore" in from_runtime
    assert not from_runtime & from_layer
    assert {file for file in files.values() if code in file.parents} <= {
        code / name for name in function_files("processor")
    }
    assert not [file for file in files.values() if not {code, built, runtime} & set(file.parents)]


@pytest.mark.parametrize("function", ["simulator", "notifier"])
def test_others_are_imported_without_the_layer(lambda_python: str, tmp_path: Path, function: str) -> None:
    code, runtime = unpack(function, tmp_path / "task"), runtime_directory(lambda_python)
    files = imported(lambda_python, [f"functions.{function}.handler"], [code, runtime])
    assert "boto3" in files
    assert not [file for file in files.values() if not {code, runtime} & set(file.parents)]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_built_layer_runs_under_the_runtime_interface_client(
    lambda_python: str, architecture: str, compiled: bool, tmp_path: Path
) -> None:
    target = layer.with_bytecode(architecture, lambda_python) if compiled else architecture
    dependencies = layer.build(target, lambda_python if compiled else "") / "python"
    environment = {
        **dict.fromkeys(("DYNAMODB_TABLE_NAME", "EVENT_BUS_NAME", "QUARANTINE_BUCKET_NAME"), "any"),
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "any"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONVERBOSE": "1",  # says of each module where its code comes from
    }
    path = [unpack("processor", tmp_path / "task"), dependencies, runtime_directory(lambda_python)]
    handler = "functions.processor.handler.lambda_handler"
    with running(handler, environment, path, python=lambda_python) as function:
        assert function.invoke({"Records": []}) == {"batchItemFailures": []}
        loaded = {line for line in function.log().splitlines() if line.startswith("# code object from ")}
    bytecode = dependencies / "polars" / "__pycache__" / "__init__.cpython-312.pyc"
    assert bytecode.is_file() == compiled
    assert (f"# code object from '{bytecode}'" in loaded) == compiled
    assert (f"# code object from {dependencies / 'polars' / '__init__.py'}" in loaded) != compiled
