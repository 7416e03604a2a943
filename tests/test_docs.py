"""The documentation: what it links to and what it names is there."""

import re
from functools import cache
from pathlib import Path

import pytest

from bundle.code import ROOT
from tests.helpers.documents import _CODE, DOCUMENTS, commands, prose

TOP = {path.name for path in ROOT.iterdir()}

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_MAKE = re.compile(r"(?:^|\s)make(?: -C \S+)?(?: [A-Z]+=\S+)* ([a-z]+)")
_TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    titles = (_LINK.sub("]", title).lower() for title in _HEADING.findall(prose(document)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@every_document
def test_every_link_leads_to_a_file_and_its_heading(document: Path) -> None:
    dead = []
    for link in _LINK.findall(prose(document)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@every_document
def test_every_path_that_is_named_exists(document: Path) -> None:
    """Looked for from the root and beside the document; what commands make, under build/, need not be there."""
    missing = []
    for name in _CODE.findall(prose(document)):
        top = name.partition("/")[0]
        if not _PATH.fullmatch(name) or "/" not in name or top not in TOP or top == "build":
            continue
        if not (ROOT / name).exists() and not (document.parent / name).exists():
            missing.append(name)
    assert not missing


@every_document
def test_every_target_of_make_exists(document: Path) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {target for command in commands(document) for target in _MAKE.findall(command)}
    assert not named - targets


def test_the_readme_leads_to_every_document() -> None:
    seen: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        document = pending.pop()
        if document in seen:
            continue
        seen.add(document)
        links = (link.partition("#")[0] for link in _LINK.findall(prose(document)))
        linked = ((document.parent / link).resolve() for link in links if link.endswith(".md"))
        pending += [path for path in linked if path.exists()]
    assert not set(DOCUMENTS) - seen


def test_the_design_names_every_module_of_the_processor() -> None:
    modules = {path.stem for path in (ROOT / "functions" / "processor").glob("*.py")} - {"__init__"}
    assert not modules - set(_CODE.findall(prose(ROOT / "docs" / "design.md")))
