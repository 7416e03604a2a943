"""The plan of `ops`: each folder is a theme, and themes import one another in one direction."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ministack import ROOT

OPS = ROOT / "ops"
BELOW = {
    "report": {"quarantine", "health", "entities"},
    "entities": {"quarantine", "health"},
    "health": {"quarantine"},
    "quarantine": set[str](),
    "traffic": set[str](),
}
"""The themes that each theme may import."""


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports, also what may be one: `from ops import aws` gives `ops.aws`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_folder_is_a_known_theme_with_commands() -> None:
    assert {path.parent.name for path in OPS.glob("*/commands")} == set(BELOW)
    assert {path.name for path in OPS.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(BELOW)


@pytest.mark.parametrize("theme", BELOW)
def test_a_theme_imports_only_those_below_it(theme: str) -> None:
    for file in (OPS / theme).rglob("*.py"):
        themes = {name.split(".")[1] for name in imported(file) if name.startswith("ops.")} & set(BELOW)
        assert themes <= BELOW[theme] | {theme}, file
        if "commands" not in file.parts:
            assert not [name for name in imported(file) if ".commands" in name], file


def test_what_all_share_imports_no_theme() -> None:
    for file in OPS.glob("*.py"):
        if file.name != "__main__.py":
            themes = {name.split(".")[1] for name in imported(file) if name.startswith("ops.")}
            assert not themes & set(BELOW), file
