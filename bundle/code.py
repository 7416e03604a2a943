"""The functions' code as archives of single files: no caches, no strays, so a preview sees the same on any machine."""

import os
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parent.parent


def function_files(name: str) -> dict[str, Path]:
    """The sources of one function, by their path in its archive."""
    package = ROOT / "functions"
    sources = [package / "__init__.py", *sorted((package / name).rglob("*.py"))]
    if len(sources) == 1:
        raise FileNotFoundError(f"functions/{name} has no Python files: it must name a package of functions/")
    return {source.relative_to(ROOT).as_posix(): source for source in sources}


def function_code(name: str) -> pulumi.AssetArchive:
    """The archive of one function (`processor`, `simulator`), imported in Lambda as `functions.<name>`."""
    return pulumi.AssetArchive(
        {path: pulumi.FileAsset(stable_path(source)) for path, source in function_files(name).items()}
    )


def stable_path(path: Path) -> str:
    """The path from the working directory: what Pulumi keeps in its state must not name this machine's directories."""
    return os.path.relpath(path)
