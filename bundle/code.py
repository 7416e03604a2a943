"""The functions' code as archives of single files: no caches, no strays, so a preview sees the same on any machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pulumi

ROOT = Path(__file__).resolve().parent.parent


_ROOMS: Final[Mapping[str, tuple[str, ...]]] = {
    "processor": ("model.py", "environment.py", "events", "entities", "aws", "processor", "rollup"),
    "notifier": ("notifier",),
    "simulator": ("simulator",),
}
"""What each archive takes from `functions/`: a file, or a folder with everything in it."""


def function_files(name: str) -> dict[str, Path]:
    """The sources of one archive (`processor`, which the roll and the rollup share, `notifier`, `simulator`), by their
    path in it.

    Raises
    ------
    ValueError
        When there is no such archive.
    FileNotFoundError
        When one of its folders has no Python files.
    """
    if name not in _ROOMS:
        raise ValueError(f"function archive {name!r} is not known, allowed: {', '.join(_ROOMS)}")
    package = ROOT / "functions"
    sources = [package / "__init__.py"]
    for room in _ROOMS[name]:
        path = package / room
        found = [path] if path.suffix else sorted(path.rglob("*.py"))
        if not found or not found[0].is_file():
            raise FileNotFoundError(f"functions/{room} has no Python files, and the archive {name} needs it")
        sources += found
    return {source.relative_to(ROOT).as_posix(): source for source in sources}


def function_code(name: str) -> pulumi.AssetArchive:
    """The archive that `function_files` lists; Lambda imports it as `functions`."""
    return pulumi.AssetArchive(
        {path: pulumi.FileAsset(stable_path(source)) for path, source in function_files(name).items()}
    )


def stable_path(path: Path) -> str:
    """The path from the working directory: what Pulumi keeps in its state must not name this machine's directories."""
    return os.path.relpath(path)
