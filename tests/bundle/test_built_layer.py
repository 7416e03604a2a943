"""The real layers, built here for both of Lambda's platforms: the same in any directory, within the limit, complete."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundle import layer
from bundle.code import function_files

ELF_MACHINE = {"x86_64": 0x3E, "arm64": 0xB7}  # e_machine of the ELF header

each_architecture = pytest.mark.parametrize("architecture", ["x86_64", "arm64"])


@contextmanager
def elsewhere() -> Iterator[Path]:
    """Another directory for builds, which does not outlive its use: pytest would keep gigabytes."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        path = Path(directory) / "another" / "build"
        path.parent.mkdir()
        patch.setattr(layer, "BUILD", path)
        yield path


def files(path: Path) -> list[Path]:
    return sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())


@each_architecture
def test_two_builds_in_different_directories_have_the_same_hash(architecture: str) -> None:
    one = layer.build(architecture)
    with elsewhere() as directory:
        other = layer.build(architecture)
        assert other.parent == directory != one.parent
        assert files(other) == files(one)
        assert layer.contents_hash(other) == layer.contents_hash(one)


def test_two_builds_with_bytecode_have_the_same_hash(lambda_python: str) -> None:
    target = layer.with_bytecode("x86_64", lambda_python)
    one = layer.build(target, lambda_python)
    with elsewhere() as directory:
        other = layer.build(target, lambda_python)
        assert other.parent == directory != one.parent
        assert layer.contents_hash(other) == layer.contents_hash(one)


def test_bytecode_is_complete_and_names_the_path_in_lambda(lambda_python: str) -> None:
    path = layer.build(layer.with_bytecode("x86_64", lambda_python), lambda_python)
    sources = {path / file for file in files(path) if file.suffix == ".py"}
    compiled = {source: source.parent / "__pycache__" / f"{source.stem}.cpython-312.pyc" for source in sources}
    assert {path / file for file in files(path) if file.suffix == ".pyc"} == set(compiled.values())
    for source, bytecode in compiled.items():
        content = bytecode.read_bytes()
        assert content[4:8] == (1).to_bytes(4, "little")  # by hash, never checked against the source (PEP 552)
        assert f"/opt/{source.relative_to(path).as_posix()}".encode() in content
        assert str(path).encode() not in content


@each_architecture
def test_layer_and_code_are_within_lambdas_limit(architecture: str) -> None:
    path = layer.build(architecture)
    unpacked = sum((path / file).stat().st_size for file in files(path))
    code = sum(source.stat().st_size for source in function_files("processor").values())
    assert 100_000_000 < unpacked + code < layer.LIMIT == 262_144_000
    assert layer.layer_archive(architecture).size == unpacked


def test_a_layer_with_bytecode_is_within_lambdas_limit(lambda_python: str) -> None:
    for architecture in ELF_MACHINE:
        target = layer.with_bytecode(architecture, lambda_python)
        path = layer.build(target, lambda_python)
        assert layer.layer_archive(architecture, str(path)).size < layer.LIMIT


@each_architecture
def test_a_layer_holds_what_runs_and_nothing_else(architecture: str) -> None:
    path = layer.build(architecture)
    names = {file.parts[1] for file in files(path)}
    packages = {name for name in names if not name.endswith(".dist-info")}
    assert packages == {
        "_polars_runtime_32",
        "aws_lambda_powertools",
        "jmespath",
        "msgspec",
        "polars",
        "typing_extensions.py",
    }
    assert {file.parts[0] for file in files(path)} == {"python"}
    assert {file.suffix for file in files(path) if ".dist-info" not in str(file)} == {".py", ".so", ".js", ".css"}
    of_metadata = {"/".join(file.parts[2:]) for file in files(path) if file.parts[1].endswith(".dist-info")}
    assert of_metadata == {"METADATA", "LICENSE", "licenses/LICENSE"}
    assert not [file for file in files(path) if {"tests", "__pycache__"} & set(file.parts)]


@each_architecture
def test_libraries_are_for_lambdas_platform_and_python(architecture: str) -> None:
    path = layer.build(architecture)
    libraries = [file for file in files(path) if file.suffix == ".so"]
    assert len(libraries) == 2
    for library in libraries:
        assert re.search(r"\.(abi3|cpython-312-[a-z0-9_]+-linux-gnu)\.so$", library.name)
        with (path / library).open("rb") as file:
            header = file.read(20)
        assert header[:5] == b"\x7fELF\x02"
        assert int.from_bytes(header[18:20], "little") == ELF_MACHINE[architecture]


def changed(path: Path) -> None:
    (path / "python" / "one.py").write_text("2")


def renamed(path: Path) -> None:
    (path / "python" / "one.py").rename(path / "python" / "two.py")


def added(path: Path) -> None:
    (path / "python" / "two.py").write_text("")


@pytest.mark.parametrize("change", [changed, renamed, added])
def test_the_hash_tells_names_and_contents_but_not_times(change: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    one = tmp_path / "python" / "one.py"
    one.write_text("1")
    before = layer.contents_hash(tmp_path)
    one.touch()
    one.chmod(0o600)
    assert layer.contents_hash(tmp_path) == before
    change(tmp_path)
    assert layer.contents_hash(tmp_path) != before
