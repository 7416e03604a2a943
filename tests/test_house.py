"""The law of the house: which folder may import which. Read from the source; nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ministack import ROOT

PURE = ("functions.model", "functions.events", "functions.entities")
ALLOWED = {
    "functions/model.py": (),
    "functions/environment.py": (),
    "functions/events": ("functions.model", "functions.events"),
    "functions/entities": ("functions.model", "functions.entities"),
    "functions/aws": (*PURE, "functions.environment", "functions.aws"),
    "functions/processor": (*PURE, "functions.aws", "functions.processor"),
    "functions/rollup": (*PURE, "functions.aws", "functions.rollup"),
    "functions/notifier": ("functions.notifier",),
    "functions/simulator": ("functions.simulator",),
    "components": ("components", "functions.environment"),
    "settings": ("settings",),
    "ops": ("ops", "functions"),
    "proof/oracle": ("proof.oracle",),
}
"""What each folder or file may import of ours."""
EDGE = ("boto3", "botocore", "os", "time")
"""What the pure core must not import: clients, the environment, the clock."""


def sources(place: str) -> list[Path]:
    """The Python files of a folder, or the file itself."""
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


PRODUCT = [
    source
    for folder in sorted(ROOT.iterdir())
    if folder.is_dir() and not folder.name.startswith(".") and folder.name not in ("build", "tests")
    for source in sources(folder.name)
] + sorted(ROOT.glob("*.py"))
OURS = {source.relative_to(ROOT).parts[0].removesuffix(".py") for source in PRODUCT} | {"tests"}


def imported(source: Path) -> Iterator[str]:
    """The modules that a file imports, each with the name taken from it: `functions.model.to_iso`."""
    package = source.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


@pytest.mark.parametrize("place", ALLOWED)
def test_a_folder_imports_only_what_lies_below_it(place: str) -> None:
    found = sources(place)
    assert found
    foreign = [
        f"{source.relative_to(ROOT)} imports {name}"
        for source in found
        for name in imported(source)
        if name.partition(".")[0] in OURS and not is_within(name, ALLOWED[place])
    ]
    assert foreign == []


@pytest.mark.parametrize("place", ["functions/model.py", "functions/events", "functions/entities"])
def test_the_core_is_pure(place: str) -> None:
    impure = [
        f"{source.relative_to(ROOT)} imports {name}"
        for source in sources(place)
        for name in imported(source)
        if is_within(name, EDGE)
    ]
    assert impure == []


def test_the_product_does_not_import_tests() -> None:
    assert [source for source in PRODUCT for name in imported(source) if is_within(name, ("tests",))] == []


def test_no_test_imports_another() -> None:
    found = [
        f"{source.relative_to(ROOT)} imports {name}"
        for source in sources("tests")
        for name in imported(source)
        if any(part.startswith("test_") for part in name.split(".")[:-1]) and name.startswith("tests.")
    ]
    assert found == []


MOST_LINES, LONGEST_FUNCTION = 400, 60
LONGER = {
    "bench/peers/engines.py:bytewax_flow": "a flow reads from its source to its sink",
    "components/functions.py:make_function": "a list of arguments, half of it their declaration",
    "components/rollup.py:__init__": "statements and functions, with the state machine and without",
    "components/rollup.py:_make_steps": "one resource after the other",
    "components/rollup_steps.py:definition": "a state machine reads as one document",
    "functions/processor/handler.py:lambda_handler": "the batch's way from top to bottom",
}
"""Files and functions of the product that are longer, each with the reason."""


def test_files_and_functions_of_the_product_are_short_but_where_a_reason_is_given() -> None:
    long = set()
    for source in PRODUCT:
        name, text = str(source.relative_to(ROOT)), source.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES:
            long.add(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION:
                long.add(f"{name}:{node.name}")
    assert long == LONGER.keys()
