"""Changes one thing at a time in the functions' code and sees whether a test notices: `python -m tools.mutate`.

    python -m tools.mutate functions/entities/windows.py      every mutant of a module
    python -m tools.mutate functions --sample 200 --seed 1    some of all of them

A mutant is a comparison, an operator, a number or a flag that is another, or a statement that is gone. Each runs in a
process of its own, forked from one that has loaded the libraries, with the tests of its module first and then those
that import it. Nothing in the working tree changes: the process loads the mutant instead of the file. Prints the
mutants that no test has noticed. Ends with 1 when more than `--most` per cent of them survive, or when a test fails
without any mutant.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tools.quick import imported, module_of

ROOT: Final = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS: Final = 240
BEHIND: Final = {
    "functions/aws/": ["tests/functions/processor"],
    "functions/entities/": ["tests/functions/processor"],
    "functions/processor/": ["tests/functions/processor"],
    "functions/rollup/": ["tests/functions/rollup"],
    "functions/notifier/": ["tests/functions/notifier"],
    "functions/simulator/": ["tests/functions/simulator"],
}
"""What is run behind a module's own tests."""

_PYTEST: Final = (
    "-x",
    "-q",
    "-pno:cacheprovider",
    "-pno:xdist",
    "--hypothesis-seed=0",
    "-Wignore:Module already imported so cannot be rewritten",  # libraries are loaded before pytest begins
)

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Div: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip

_WITHOUT_BEHAVIOUR: Final = ("frozen", "slots", "gc")
"""Keywords of dataclasses and structs that a correct program does not depend on; so is `strict` of `zip`."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    line: int
    change: str
    """What was there, and what is there now."""
    tree: ast.Module


def mutants_of(file: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a source.

    >>> [mutant.change for mutant in mutants_of("any.py", "def f(a): return a < 1")]
    ['a < 1 -> a <= 1', '1 -> 2']
    """
    tree = ast.parse(source)
    left_out = _flags_without_behaviour(tree)
    for number, node in enumerate(ast.walk(tree)):
        for other in () if node in left_out else _others(node):
            mutated = copy.deepcopy(tree)
            _replace(mutated, list(ast.walk(mutated))[number], other)
            change = f"{ast.unparse(node)} -> {ast.unparse(other) or 'nothing'}"
            yield Mutant(file, getattr(node, "lineno", 0), change, ast.fix_missing_locations(mutated))


def _flags_without_behaviour(tree: ast.AST) -> set[ast.expr]:
    """Return the values of the keywords that only guard against mistakes, or only save memory."""
    return {
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call | ast.ClassDef)
        for keyword in node.keywords
        if keyword.arg in _WITHOUT_BEHAVIOUR or (keyword.arg == "strict" and _calls(node, "zip"))
    }


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in a node's place."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            if type(operator) in _COMPARISONS:
                yield _with(node, ops=[*node.ops[:place], _COMPARISONS[type(operator)](), *node.ops[place + 1 :]])
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        if not _is_annotation(node):
            yield _with(node, op=_OPERATORS[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Continue | ast.Break | ast.Raise) or _is_call(node):
        yield ast.Pass()


def _is_call(node: ast.AST) -> bool:
    """Whether a node is a statement that calls something and keeps nothing of it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _is_annotation(node: ast.AST) -> bool:
    """Whether `A | B` is a type."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitOr)
        and any(
            (isinstance(side, ast.Constant) and side.value is None)
            or (isinstance(side, ast.Name) and side.id in dir(__builtins__))
            for side in (node.left, node.right)
        )
    )


def _with(node: ast.AST, **changes: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list) and any(item is old for item in value):
                setattr(parent, name, [new if item is old else item for item in value])


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the mutant instead of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant, self._name = mutant, module_of(mutant.file)

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> Any:  # noqa: ARG002
        if fullname != self._name:
            return None
        file = ROOT / self._mutant.file
        places = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=self,
            submodule_search_locations=places,
        )

    def create_module(self, spec: Any) -> None:  # noqa: ARG002 - the finder's signature
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.tree, str(ROOT / self._mutant.file), "exec"), module.__dict__)  # noqa: S102


def tests_of(file: str) -> list[str]:
    """Return the tests of a module: its own first, then those that import it, then those of the whole behind it."""
    path = Path(file)
    own = [
        f"tests/{place.as_posix()}.py"
        for place in (path.parent / f"test_{path.stem}", path.parent.parent / f"test_{path.parent.name}")
        if (ROOT / f"tests/{place.as_posix()}.py").is_file()
    ][:1]
    module = module_of(file)
    every = sorted(name.relative_to(ROOT).as_posix() for name in (ROOT / "tests" / "functions").rglob("test_*.py"))
    importing = [
        name
        for name in every
        if name not in own and any(found == module or found.startswith(f"{module}.") for found in imported(ROOT / name))
    ]
    behind = [tests for start, tests in BEHIND.items() if file.startswith(start)]
    return [*own, *importing, *(name for tests in behind for name in tests)]


def _run(mutant: Mutant, tests: Sequence[str]) -> None:
    """In a process of its own: end with 0 when every test passes with the mutant, else with something else."""
    import pytest

    signal.alarm(TIMEOUT_SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Loader(mutant))
    os._exit(int(pytest.main([*_PYTEST, *tests]) != 0))


def survivors(mutants: Sequence[Mutant], workers: int) -> Iterator[Mutant]:
    """Yield the mutants that no test has noticed, as they are found."""
    running: dict[int, Mutant] = {}
    waiting = list(reversed(mutants))
    while waiting or running:
        while waiting and len(running) < workers:
            mutant = waiting.pop()
            if child := os.fork():
                running[child] = mutant
            else:
                try:
                    _run(mutant, tests_of(mutant.file))
                finally:
                    os._exit(2)
        child, status = os.wait()
        if status == 0:
            yield running[child]
        del running[child]


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutate")
    parser.add_argument("places", nargs="*", default=["functions"], help="files or folders of functions/")
    parser.add_argument("--sample", type=int, help="this many of the mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--most", type=float, default=5, help="per cent of mutants that may survive")
    asked = parser.parse_args(arguments)
    mutants = [mutant for file in _files(asked.places) for mutant in mutants_of(file, (ROOT / file).read_text())]
    if asked.sample is not None and asked.sample < len(mutants):
        mutants = random.Random(asked.seed).sample(mutants, asked.sample)  # noqa: S311
    _warm()
    # The code as it is must pass its own tests, or every mutant would seem noticed.
    whole = [Mutant(file, 0, "nothing", ast.parse((ROOT / file).read_text())) for file in {m.file for m in mutants}]
    if failing := {mutant.file for mutant in whole} - {mutant.file for mutant in survivors(whole, asked.workers)}:
        print(f"tests fail without a mutant, or take over {TIMEOUT_SECONDS} s: {', '.join(sorted(failing))}")
        return 1
    began, survived = time.monotonic(), 0
    for mutant in survivors(mutants, asked.workers):
        survived += 1
        print(f"{mutant.file}:{mutant.line}: {mutant.change}", flush=True)
    share = 100 * survived / len(mutants) if mutants else 0.0
    killed = len(mutants) - survived
    print(f"{killed} of {len(mutants)} mutants killed ({100 - share:.1f} %) in {time.monotonic() - began:.0f} s")
    return int(share > asked.most)


def _files(places: Sequence[str]) -> list[str]:
    found: list[str] = []
    for place in places:
        path = ROOT / place
        if not path.exists():
            sys.exit(f"{place} does not exist; name files or folders of functions/")
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found += [file.relative_to(ROOT).as_posix() for file in files]
    return found


def _warm() -> None:
    """Load the libraries once; the functions' own code must not be among them, or a mutant would come too late."""
    for name in (
        "polars",
        "pytest",
        "hypothesis",
        "msgspec",
        "botocore.session",
        "boto3",
        "aws_lambda_powertools",
        "moto",
    ):
        importlib.import_module(name)
    if any(name.partition(".")[0] == "functions" for name in sys.modules):
        raise RuntimeError("a library has loaded the functions' code, so a mutant would come too late")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
