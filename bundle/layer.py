"""The layer of the functions' dependencies: built by `python -m bundle.layer`, only read by the Pulumi program.

    python -m bundle.layer --arch arm64     wheels for Lambda's platform and Python, in build/layer-arm64
    python -m bundle.layer --local          wheels for this interpreter, in build/layer-local (for the local run)

Everything comes from functions/requirements.txt, pinned with hashes, so that the same inputs give the same files on
any machine. A build is kept until its inputs change. A Pulumi program never builds or downloads: it asks for
`layer_archive`. `--bytecode python3.12` adds what that interpreter compiles, in build/layer-arm64-cpython-3.12.x: a
faster cold start, but its releases compile differently, so the layer is the same only on machines that have the same.
"""

import argparse
import hashlib
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pulumi

from bundle.code import ROOT, function_files, stable_path

REQUIREMENTS = ROOT / "functions" / "requirements.txt"
BUILD = ROOT / "build"
LIMIT = 262_144_000  # bytes of code and layers unzipped (Lambda quotas: deployment package size)
PYTHON = "3.12"
LOCAL = f"local-{sys.implementation.cache_tag}-{sys.platform}-{platform.machine()}"
_LAYOUT = "2"  # raised when _strip or the way of installing changes what a layer holds
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
# Amazon Linux 2023 has glibc 2.34; pip takes no older tag to be implied by a newer one.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_MOUNTED = "/opt/python"  # where functions see the layer's `python` directory
_NOT_NEEDED = {".pyi", ".typed"}
_METADATA_NOT_NEEDED = {"INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json", "sboms", "top_level.txt"}


class LayerError(pulumi.RunError):
    """The layer is missing, stale, too large or can't be built; the CLI prints the message alone."""


@dataclass(frozen=True)
class Layer:
    """A built layer: the archive (a directory with `python/`), the hash of its inputs, its bytes unzipped."""

    archive: pulumi.FileArchive
    input_hash: str
    size: int


def layer_directory(target: str) -> Path:
    """Where the layer for a target is built: `x86_64`, `arm64`, one of these with bytecode (`with_bytecode`), LOCAL."""
    return BUILD / f"layer-{'local' if target == LOCAL else target}"


def with_bytecode(architecture: str, python: str) -> str:
    """The target for an architecture with the bytecode of an interpreter: `arm64-cpython-3.12.8`.

    Raises
    ------
    LayerError
        When the interpreter isn't there or isn't CPython of Lambda's version.
    """
    show = "import platform; print(platform.python_implementation(), platform.python_version())"
    try:
        found = subprocess.run([python, "-c", show], capture_output=True, text=True, check=False)  # noqa: S603 (named by the caller)
    except OSError as error:
        raise LayerError(f"The interpreter {python} can't be run: {error.strerror}.") from error
    if found.returncode:
        reason, *_ = found.stderr.strip().splitlines() or [f"it ended with {found.returncode}"]
        raise LayerError(f"The interpreter {python} can't be run: {reason}")
    if not (release := re.fullmatch(rf"CPython ({re.escape(PYTHON)}\.[0-9]+)", found.stdout.strip())):
        raise LayerError(
            f"The interpreter {python} is {found.stdout.strip()}: Lambda's bytecode needs CPython {PYTHON}."
        )
    return f"{architecture}-cpython-{release[1]}"


def input_hash(target: str) -> str:
    """Hash of everything that decides what the layer for a target holds."""
    inputs = "\n".join([_LAYOUT, PYTHON, target, REQUIREMENTS.read_text(encoding="utf-8")])
    return hashlib.sha256(inputs.encode()).hexdigest()[:16]


def layer_archive(architecture: str, directory: str = "") -> Layer:
    """The layer that was built for an architecture, or the one that was built in `directory`.

    Raises
    ------
    LayerError
        When it isn't built, was built from other requirements or for the other architecture, or exceeds Lambda's
        limit together with the code.
    """
    path = ROOT / directory if directory else layer_directory(architecture)
    shown, advice = stable_path(path), "run `make layer`"
    if release := path.name.partition("-cpython-")[2]:
        advice = f"run `make layer BYTECODE=python{PYTHON}` where that is CPython {release}"
    if not (path / "python").is_dir() or not _stamp(path).is_file():
        raise LayerError(f"The dependency layer {shown} is not built: {advice}.")
    target, _, built_from = _stamp(path).read_text(encoding="utf-8").strip().partition(" ")
    if built_from != input_hash(target):
        raise LayerError(
            f"The dependency layer {shown} was not built from today's functions/requirements.txt: {advice}."
        )
    if target != LOCAL and target.partition("-cpython-")[0] != architecture:
        raise LayerError(
            f"The dependency layer {shown} is for {target}: the setting architecture is {architecture}; {advice}."
        )
    size = size_of(path)
    code = sum(source.stat().st_size for source in function_files("processor").values())
    if size + code > LIMIT:
        raise LayerError(
            f"The dependency layer {shown} has {size} bytes and the code {code}: Lambda allows {LIMIT} together; "
            "take something out of functions/requirements.in."
        )
    return Layer(pulumi.FileArchive(stable_path(path)), built_from, size)


def build(target: str, python: str = "") -> Path:
    """Build the layer for a target unless it is up to date; returns its directory.

    Parameters
    ----------
    python
        The interpreter that compiles, for a target `with_bytecode` of it.

    Raises
    ------
    LayerError
        When pip can't install the requirements, or they can't be compiled.
    """
    from bundle.lock import exclusive  # not where the program alone runs, which may be on Windows

    path = layer_directory(target)
    with exclusive(path.with_name(path.name + ".lock")):
        if is_current(path, target):
            return path
        fresh = path.with_name(path.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        _install(target, fresh / "python")
        _strip(fresh / "python")
        if python:
            _compile(python, fresh / "python")
        _stamp(path).unlink(missing_ok=True)
        if path.exists():
            shutil.rmtree(path)
        fresh.rename(path)
        write_stamp(path, target)
    return path


def is_current(path: Path, target: str) -> bool:
    """Whether the directory holds a complete build for the target from today's inputs."""
    stamp = _stamp(path)
    return (path / "python").is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp_text(target)


def write_stamp(path: Path, target: str) -> None:
    """Mark the directory as complete. Written last, beside the directory: the archive holds nothing but the layer."""
    _stamp(path).write_text(_stamp_text(target), encoding="utf-8")


def _stamp(path: Path) -> Path:
    return path.with_name(path.name + ".stamp")


def _stamp_text(target: str) -> str:
    return f"{target} {input_hash(target)}\n"


def size_of(path: Path) -> int:
    """Bytes of all files of a built layer, which Lambda counts."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def contents_hash(path: Path) -> str:
    """Hash of the names and contents of all files of a built layer, which is what Pulumi compares."""
    total = hashlib.sha256()
    for name, file in sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()):
        total.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _install(target: str, directory: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"]
    if target != LOCAL:
        command += ["--implementation=cp", f"--python-version={PYTHON}"]
        machine = _MACHINES[target.partition("-cpython-")[0]]
        command += [f"--platform={tag}_{machine}" for tag in _PLATFORMS]
    command += [f"--target={directory}", f"--requirement={REQUIREMENTS}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (all of it is ours)
    if result.returncode:
        reason = result.stderr.strip() or result.stdout.strip()
        raise LayerError(f"pip can't install functions/requirements.txt for {target}:\n{reason}")


def _strip(directory: Path) -> None:
    """Remove what isn't needed at run time and what differs from one installation to the next.

    Of the metadata, what `importlib.metadata` reads is kept, and the licences. Parts of packages stay: what Polars or
    Powertools import of themselves may change with any version.
    """
    shutil.rmtree(directory / "bin", ignore_errors=True)  # scripts that name the building interpreter
    for path in sorted(directory.rglob("*"), reverse=True):
        in_metadata = path.parent.suffix == ".dist-info" and path.name in _METADATA_NOT_NEEDED
        if path.is_dir() and (in_metadata or path.name in ("__pycache__", "tests")):
            shutil.rmtree(path)
        elif path.is_file() and (in_metadata or path.suffix in _NOT_NEEDED):
            path.unlink()


def _compile(python: str, directory: Path) -> None:
    """Add bytecode that names no directory of this machine and is loaded without a look at the sources' times."""
    command = [python, "-E", "-S", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    command += ["-s", str(directory), "-p", _MOUNTED, str(directory)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (named by the caller)
    if result.returncode:
        said = result.stdout.strip() or result.stderr.strip()
        raise LayerError(f"{python} can't compile the layer; run it again without --bytecode, or mend this:\n{said}")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundle.layer", description="Build the functions' dependency layer."
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--arch", choices=sorted(_MACHINES), help="for Lambda on this architecture")
    choice.add_argument("--local", action="store_true", help="for this interpreter, used by the local run")
    parser.add_argument("--bytecode", metavar="PYTHON", default="", help=f"with bytecode of this CPython {PYTHON}")
    options = parser.parse_args(arguments)
    if options.local and options.bytecode:
        parser.error("--bytecode goes with --arch: the local run compiles nothing beforehand")
    try:
        target = LOCAL if options.local else options.arch
        if options.bytecode:
            target = with_bytecode(target, options.bytecode)
        path = build(target, options.bytecode)
    except LayerError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{stable_path(path)}: {size_of(path) / 1e6:.1f} MB unzipped, for {target}, sha256 {contents_hash(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
