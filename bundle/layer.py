"""The layer of the functions' dependencies: built by `python -m bundle.layer`, only read by the Pulumi program.

    python -m bundle.layer --arch arm64     wheels for Lambda's platform and Python, in build/layer-arm64
    python -m bundle.layer --local          wheels for this interpreter, in build/layer-local (for the local run)

Everything comes from functions/requirements.txt, pinned with hashes, so that the same inputs give the same files on
any machine. A build is kept until its inputs change. A Pulumi program never builds or downloads: it asks for
`layer_archive`.
"""

import argparse
import hashlib
import platform
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
_LAYOUT = "1"  # raised when _strip or the way of installing changes what a layer holds
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
# Amazon Linux 2023 has glibc 2.34; pip takes no older tag to be implied by a newer one.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")


class LayerError(pulumi.RunError):
    """The layer is missing, stale, too large or can't be built; the CLI prints the message alone."""


@dataclass(frozen=True)
class Layer:
    """A built layer: the archive (a directory with `python/`), the hash of its inputs, its bytes unzipped."""

    archive: pulumi.FileArchive
    input_hash: str
    size: int


def layer_directory(target: str) -> Path:
    """Where the layer for a target (`x86_64`, `arm64` or LOCAL) is built."""
    return BUILD / f"layer-{'local' if target == LOCAL else target}"


def input_hash(target: str) -> str:
    """Hash of everything that decides what the layer for a target holds."""
    inputs = "\n".join([_LAYOUT, PYTHON, target, REQUIREMENTS.read_text(encoding="utf-8")])
    return hashlib.sha256(inputs.encode()).hexdigest()[:16]


def layer_archive(architecture: str, directory: str = "") -> Layer:
    """The layer that was built for an architecture, or whichever was built in `directory`.

    Raises
    ------
    LayerError
        When it isn't built, was built from other requirements, or exceeds Lambda's limit together with the code.
    """
    path = ROOT / directory if directory else layer_directory(architecture)
    shown, advice = stable_path(path), "run `make layer`"
    if not (path / "python").is_dir() or not _stamp(path).is_file():
        raise LayerError(f"The dependency layer {shown} is not built: {advice}.")
    target, _, built_from = _stamp(path).read_text(encoding="utf-8").strip().partition(" ")
    if built_from != input_hash(target):
        raise LayerError(
            f"The dependency layer {shown} was not built from today's functions/requirements.txt: {advice}."
        )
    size = _size(path)
    code = sum(source.stat().st_size for source in function_files("processor").values())
    if size + code > LIMIT:
        raise LayerError(
            f"The dependency layer {shown} has {size} bytes and the code {code}: Lambda allows {LIMIT} together."
        )
    return Layer(pulumi.FileArchive(stable_path(path)), built_from, size)


def build(target: str) -> Path:
    """Build the layer for a target (`x86_64`, `arm64` or LOCAL) unless it is up to date; returns its directory.

    Raises
    ------
    LayerError
        When pip can't install the requirements.
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


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _install(target: str, directory: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"]
    if target != LOCAL:
        command += ["--implementation=cp", f"--python-version={PYTHON}"]
        command += [f"--platform={tag}_{_MACHINES[target]}" for tag in _PLATFORMS]
    command += [f"--target={directory}", f"--requirement={REQUIREMENTS}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (all of it is ours)
    if result.returncode:
        reason = result.stderr.strip() or result.stdout.strip()
        raise LayerError(f"pip can't install functions/requirements.txt for {target}:\n{reason}")


def _strip(directory: Path) -> None:
    """Remove what isn't needed at run time and what differs from one installation to the next."""
    shutil.rmtree(directory / "bin", ignore_errors=True)  # scripts that name the building interpreter
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and path.name in ("__pycache__", "tests"):
            shutil.rmtree(path)
        elif path.parent.suffix == ".dist-info" and path.name in (
            "INSTALLER",
            "RECORD",
            "REQUESTED",
            "direct_url.json",
        ):
            path.unlink()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundle.layer", description="Build the functions' dependency layer."
    )
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--arch", choices=sorted(_MACHINES), help="for Lambda on this architecture")
    choice.add_argument("--local", action="store_true", help="for this interpreter, used by the local run")
    options = parser.parse_args(arguments)
    target = LOCAL if options.local else options.arch
    try:
        path = build(target)
    except LayerError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{stable_path(path)}: {_size(path) / 1e6:.1f} MB unzipped, for {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
