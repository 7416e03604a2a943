"""The layer: what pip is asked, what is kept of it, when it is built anew, and what the program says of a bad one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import layer


class Pip:
    """Stands for pip and an interpreter: puts files where it was asked to, and remembers the commands."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.failure = ""
        self.interpreter = "CPython 3.12.8"

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if command[1] == "-c":
            return subprocess.CompletedProcess(command, 0, stdout=f"{self.interpreter}\n", stderr="")
        self.commands.append(command)
        if "compileall" in command:
            return subprocess.CompletedProcess(command, bool(self.failure), stdout=self.failure, stderr="")
        (target,) = [word.partition("=")[2] for word in command if word.startswith("--target=")]
        for name in (
            "polars/__init__.py",
            "polars/_plr.pyi",
            "polars/py.typed",
            "polars/tests/test_it.py",
            "polars/__pycache__/x.pyc",
            "bin/jp.py",
            *(
                f"polars-2.1.0.dist-info/{n}"
                for n in (
                    "METADATA",
                    "RECORD",
                    "INSTALLER",
                    "REQUESTED",
                    "WHEEL",
                    "direct_url.json",
                    "top_level.txt",
                    "licenses/LICENSE",
                    "sboms/polars.json",
                )
            ),
        ):
            path = Path(target) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("12345")
        return subprocess.CompletedProcess(command, bool(self.failure), stdout="", stderr=self.failure)


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    fake, requirements = Pip(), tmp_path / "requirements.txt"
    requirements.write_text("polars==2.1.0 --hash=sha256:0\n")
    monkeypatch.setattr(layer, "BUILD", tmp_path / "build")
    monkeypatch.setattr(layer, "REQUIREMENTS", requirements)
    monkeypatch.setattr("subprocess.run", fake)
    return fake


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", "x86_64"), ("arm64", "aarch64")])
def test_wheels_for_lambdas_platform_are_asked_for_with_hashes(pip: Pip, architecture: str, machine: str) -> None:
    layer.build(architecture)
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert {"--require-hashes", "--only-binary=:all:", "--no-compile", "--implementation=cp"} <= set(command)
    assert "--python-version=3.12" in command
    platforms = [word.partition("=")[2] for word in command if word.startswith("--platform=")]
    assert platforms == [f"manylinux_2_28_{machine}", f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]


def test_the_local_layer_is_for_this_interpreter(pip: Pip) -> None:
    assert layer.build(layer.LOCAL).name == "layer-local"
    assert not [word for word in pip.commands[0] if word.startswith(("--platform", "--python-version"))]


def test_only_what_runs_is_kept(pip: Pip) -> None:
    path = layer.build("x86_64")
    kept = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    assert kept == [
        "python/polars-2.1.0.dist-info/METADATA",
        "python/polars-2.1.0.dist-info/licenses/LICENSE",
        "python/polars/__init__.py",
    ]
    assert sorted(entry.name for entry in path.parent.iterdir() if entry.suffix != ".lock") == [
        "layer-x86_64",
        "layer-x86_64.stamp",
    ]


def test_a_layer_is_built_again_only_when_its_inputs_change(pip: Pip) -> None:
    layer.build("x86_64")
    layer.build("x86_64")
    assert len(pip.commands) == 1
    layer.build("arm64")
    assert len(pip.commands) == 2
    layer.REQUIREMENTS.write_text("polars==2.1.1 --hash=sha256:1\n")
    (layer.layer_directory("x86_64") / "python" / "left_over.py").touch()
    layer.build("x86_64")
    assert len(pip.commands) == 3
    assert not (layer.layer_directory("x86_64") / "python" / "left_over.py").exists()


def test_a_failed_build_leaves_the_old_one_unusable_and_says_why(pip: Pip) -> None:
    pip.failure = "ERROR: hashes do not match"
    with pytest.raises(layer.LayerError, match=r"pip can't install .* for x86_64:\nERROR: hashes do not match"):
        layer.build("x86_64")
    assert not layer.is_current(layer.layer_directory("x86_64"), "x86_64")
    assert layer.main(["--arch", "x86_64"]) == 1


def test_the_program_gets_the_archive_with_the_hash_of_its_inputs(pip: Pip) -> None:
    path = layer.build("arm64")
    found = layer.layer_archive("arm64")
    assert Path(found.archive.path).resolve() == path
    assert found.input_hash == layer.input_hash("arm64") != layer.input_hash("x86_64")
    assert found.size == 15
    assert layer.layer_archive("arm64", str(path)).input_hash == found.input_hash


def test_a_layer_for_the_other_architecture_is_an_error_but_the_local_one_is_not(pip: Pip) -> None:
    path = layer.build("arm64")
    with pytest.raises(
        layer.LayerError, match=r"is for arm64: the setting architecture is x86_64; run `make layer`\.$"
    ):
        layer.layer_archive("x86_64", str(path))
    local = str(layer.build(layer.LOCAL))
    assert layer.layer_archive("x86_64", local).input_hash == layer.layer_archive("arm64", local).input_hash


def test_bytecode_is_compiled_by_the_named_release_under_the_path_in_lambda(pip: Pip) -> None:
    assert layer.main(["--arch", "arm64", "--bytecode", "python3.12"]) == 0
    path = layer.layer_directory("arm64-cpython-3.12.8")
    _, command = pip.commands
    assert command[0] == "python3.12"
    assert "--invalidation-mode=unchecked-hash" in command
    assert command[-5:] == ["-s", *[f"{path}.new/python"], "-p", "/opt/python", f"{path}.new/python"]
    assert layer.layer_archive("arm64", str(path)).input_hash != layer.input_hash("arm64")
    with pytest.raises(layer.LayerError, match="the setting architecture is x86_64"):
        layer.layer_archive("x86_64", str(path))
    assert not layer.layer_directory("arm64").exists()


def test_bytecode_of_another_release_is_another_layer(pip: Pip) -> None:
    layer.main(["--arch", "arm64", "--bytecode", "python3.12"])
    pip.interpreter = "CPython 3.12.9"
    layer.main(["--arch", "arm64", "--bytecode", "python3.12"])
    assert len(pip.commands) == 4
    wanted = layer.layer_directory("arm64-cpython-3.12.7")
    with pytest.raises(
        layer.LayerError, match=r"run `make layer BYTECODE=python3.12` where that is CPython 3\.12\.7\.$"
    ):
        layer.layer_archive("arm64", str(wanted))


@pytest.mark.parametrize("interpreter", ["CPython 3.11.7", "PyPy 3.12.4", "CPython 3.120.1"])
def test_an_interpreter_of_another_version_is_an_error(
    pip: Pip, interpreter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pip.interpreter = interpreter
    assert layer.main(["--arch", "arm64", "--bytecode", "python3.12"]) == 1
    assert capsys.readouterr().err == (
        f"The interpreter python3.12 is {interpreter}: Lambda's bytecode needs CPython 3.12.\n"
    )
    assert not pip.commands


def test_an_interpreter_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert layer.main(["--arch", "arm64", "--bytecode", "/no/such/python"]) == 1
    assert capsys.readouterr().err == "The interpreter /no/such/python can't be run: No such file or directory.\n"


def test_a_layer_that_is_not_built_is_an_error(pip: Pip) -> None:
    with pytest.raises(layer.LayerError, match=r"layer-arm64 is not built: run `make layer`\.$"):
        layer.layer_archive("arm64")


def test_a_layer_of_other_requirements_is_an_error(pip: Pip) -> None:
    layer.build("arm64")
    layer.REQUIREMENTS.write_text("polars==2.1.1 --hash=sha256:1\n")
    with pytest.raises(
        layer.LayerError, match=r"was not built from today's functions/requirements\.txt: run `make layer`"
    ):
        layer.layer_archive("arm64")


def test_a_layer_that_exceeds_lambdas_limit_is_an_error(pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    layer.build("arm64")
    monkeypatch.setattr(layer, "LIMIT", 9)
    with pytest.raises(layer.LayerError, match=r"has 15 bytes and the code \d+: Lambda allows 9 together"):
        layer.layer_archive("arm64")


def test_requirements_are_pinned_with_hashes_and_name_no_host() -> None:
    text = layer.REQUIREMENTS.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    pinned = set(re.findall(r"^([a-z0-9-]+==[^ ]+) \\$", text, flags=re.MULTILINE))
    wanted = layer.REQUIREMENTS.with_suffix(".in").read_text(encoding="utf-8")
    assert set(re.findall(r"^[a-z0-9-]+==.*$", wanted, flags=re.MULTILINE)) <= pinned
    assert len(re.findall(r"^\S+==", text, flags=re.MULTILINE)) == len(pinned)
    # pip evaluates a marker for the machine that builds, not for Lambda's.
    assert ";" not in text
    assert not {"boto3", "botocore"} & {name.partition("==")[0] for name in pinned}
