"""Every error that a user meets says what happened, to what, and what to do next.

Walks the source for each place where such an error is made and reads its message as a template: what is put in at run
time shows as `{…}`. That the messages come out as written is for the tests of each module.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest

from local.ministack import ROOT

USER_ERRORS = frozenset(
    {
        "UserError",
        "BadParameter",
        "ArgumentTypeError",  # commands
        "LocalAwsError",
        "EventsFileError",
        "SoakError",
        "RuntimeApiError",  # the local run
        "SettingsError",
        "LayerError",  # the program
        "ConfigError",  # the functions' environment
    }
)
"""What ends a command, the program or a function's start with one message."""
ALSO = {"components": frozenset({"ValueError"}), "functions/simulator": frozenset({"ValueError"})}
"""Where an error of Python's own is what a user meets."""
PACKAGES = ("bench", "bundle", "components", "functions", "local", "ops", "policy", "settings", "__main__.py")

THING = re.compile(r"\{…\}|--\w|\b[A-Z]+_[A-Z_]+\b|\bAWS\b|`[^`]+`")
"""A value, an option, a variable or a command: to what it happened."""
REMEDY = re.compile(
    r"\b(add|allowed|again|ask|check|choose|correct|deploy|enable|extend|give|install|log in|make|must|needed|needs|"
    r"open|raise|read|remove|repeat|run|see|set|start|such as|take|try|upgrade|use|wait|write)\b"
)
"""What to do next, or what is allowed."""


class Message(NamedTuple):
    """An error's message where it is made."""

    place: str
    template: str


def _template(node: ast.expr, texts: dict[str, str]) -> str | None:
    """The text of a literal, a formatted or a joined one; None for what is made elsewhere.

    `texts` are those of the file's variables that only ever hold such texts.
    """
    match node:
        case ast.Name(id=name) | ast.FormattedValue(value=ast.Name(id=name)) if name in texts:
            return texts[name]
        case ast.Constant(value=str(text)):
            return text
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id="error")]):
            return "str(error)"
        case ast.JoinedStr(values=parts):
            return "".join(_template(part, texts) or "{…}" for part in parts)
        case ast.FormattedValue():
            return "{…}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            both = (_template(left, texts), _template(right, texts))
            return None if both == (None, None) else "".join(text or "{…}" for text in both)
    return None


def _texts(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                pass
            case _:
                continue
        if (text := _template(value, found)) is not None:
            found[name] = found.get(name, "") + text
    return found


@cache
def _messages() -> tuple[Message, ...]:
    return tuple(_walk())


def _walk() -> Iterator[Message]:
    for package in PACKAGES:
        place = ROOT / package
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            tree = ast.parse(file.read_text())
            texts = _texts(tree)
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in USER_ERRORS | ALSO.get(str(file.parent.relative_to(ROOT)), frozenset()):
                    where = f"{file.relative_to(ROOT)}:{node.lineno}"
                    yield Message(where, _template(node.args[0], texts) or "{…}")


def test_the_walk_finds_them() -> None:
    assert len(_messages()) > 60
    assert any(message.template.startswith("{…} in Pulumi.{…}.yaml is encrypted") for message in _messages())


@pytest.mark.parametrize("message", _messages(), ids=lambda message: message.place)
def test_says_to_what_and_what_next(message: Message) -> None:
    if message.template == "str(error)":
        return  # passes on what is checked where it was raised
    if message.template == "{…}":
        pytest.fail(f"{message.place}: the message is made elsewhere: write it where the error is raised")
    assert THING.search(message.template), f"{message.place} names nothing: {message.template}"
    assert REMEDY.search(message.template), f"{message.place} says not what to do: {message.template}"
