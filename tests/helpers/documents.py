"""The documents of the repository, and the commands that they show."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bundle.code import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


_CODE = re.compile(r"`([^`\n]+)`")


@cache
def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def commands(document: Path) -> Iterator[str]:
    """What a reader might type: lines of console blocks after their prompt, and code within sentences."""
    text = document.read_text(encoding="utf-8")
    for block in _FENCED.findall(text):
        yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
    yield from _CODE.findall(prose(document))
