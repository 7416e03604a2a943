"""Checks what a change touches, in under a minute: `python -m tools.quick [REVISION]`, which `make quick` calls.

The change is everything that differs from REVISION (default HEAD), untracked files included. Ruff checks the changed
files; pytest runs the law of the house, changed tests, and each test that imports a changed module itself. Tests that
deploy, drive a browser or search for faults are left to `make test`.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SLOW: Final = ("tests/e2e/", "tests/browser/", "tests/reliability/", "tests/bundle/test_built_layer.py")
"""What `make quick` never runs."""
ALWAYS: Final = ("tests/test_house.py",)


def changed_files(revision: str) -> list[str]:
    """Return the files that differ from a revision and still exist, by their path from the root."""
    tracked = _git("diff", "--name-only", "--diff-filter=d", revision)
    return sorted({*tracked, *_git("ls-files", "--others", "--exclude-standard")})


def tests_of(changed: Iterable[str], tests: Iterable[str]) -> list[str]:
    """Return those of the test files that a change touches: they are changed, or import a changed module.

    Parameters
    ----------
    changed
        Changed files, by their path from the root.
    tests
        All test files likewise.
    """
    changed = set(changed)
    modules = {module_of(name) for name in changed if name.endswith(".py")}
    touched = [name for name in tests if name in changed or modules & imported(ROOT / name)]
    return sorted({name for name in touched if not name.startswith(SLOW)} | set(ALWAYS))


def module_of(name: str) -> str:
    """Return the module of a Python file.

    >>> module_of("functions/entities/alerts/__init__.py")
    'functions.entities.alerts'
    """
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(file: Path) -> set[str]:
    """Return the modules that a file may import: `from a import b` may mean `a` or `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def main(arguments: Sequence[str]) -> int:
    """Check the change. Return ruff's or pytest's exit code."""
    changed = changed_files(arguments[0] if arguments else "HEAD")
    python = [name for name in changed if name.endswith(".py")]
    tests = tests_of(changed, [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")])
    print(f"{len(changed)} changed files, {len(tests)} test files", flush=True)
    commands = [["pytest", "-q", *tests]]
    if python:
        commands = [["ruff", "check", *python], ["ruff", "format", "--check", *python], *commands]
    for command in commands:
        code = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode  # noqa: S603
        if code:
            return code
    return 0


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
