"""The command line as a whole: what every command has, however it came to be there."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from local.ministack import ROOT
from ops.__main__ import app
from tests.helpers.documents import DOCUMENTS, commands
from tests.helpers.ops_command import ops, said

PROGRAM: Any = typer.main.get_command(app)


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(walk(PROGRAM))
EXAMPLE = re.compile(r"Example: (iops .+)")
DOCUMENTED = re.compile(r"(?:iops|(?:\.venv/bin/)?python -m ops) ([a-z].*)")
every_command = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)

VALUES = {
    "TYPE": "student",
    "ID": "stu_1",
    "KEY": "records/shardId-000000000000/1.json",
    "--since": "1h",
}
"""What the commands that cannot do without are given, by argument or option."""
ONE_OF: dict[tuple[str, ...], tuple[str, ...]] = {("top",): ("--health",)}
"""What must be given of several options."""


def options(path: tuple[str, ...]) -> set[str]:
    """The options of a command."""
    return {name for each in COMMANDS[path].params for name in each.opts if name.startswith("-")}


def required(path: tuple[str, ...]) -> list[str]:
    """The shortest command that is complete."""
    words = [*path, *ONE_OF.get(path, ())]
    for each in COMMANDS[path].params:
        if each.required:
            option = [each.opts[0]] if each.opts[0].startswith("-") else []
            words += [*option, VALUES[option[0] if option else each.metavar]]
    return words


def test_every_module_of_commands_is_registered() -> None:
    modules = {path.stem for path in (ROOT / "ops").glob("*/commands/*.py")} - {"__init__"}
    registered = {inspect.unwrap(each.callback).__module__.rpartition(".")[2] for each in COMMANDS.values()}
    assert registered == modules


def test_the_program_says_what_there_is() -> None:
    result = ops("--help")
    assert result.exit_code == 0
    for (first, *_), command in COMMANDS.items():
        assert first in result.stdout
        assert command.help
    assert ops().exit_code == 2  # without a command the help comes too, but nothing was done


@every_command
def test_help_says_what_it_does_with_an_example_that_works(path: tuple[str, ...]) -> None:
    result = ops(*path, "--help")
    assert result.exit_code == 0
    assert "--help" in result.stdout
    help_text = inspect.cleandoc(COMMANDS[path].help)
    examples = EXAMPLE.findall(help_text)
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        assert words[0] == "iops"
        named = path if words[1] == path[0] else path[1:]  # redrive is there twice
        assert tuple(words[1 : 1 + len(named)]) == named
        assert {word for word in words if word.startswith("--")} <= options(path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_the_documentation_exists(document: Path) -> None:
    wrong = []
    for line in commands(document):
        if (found := DOCUMENTED.match(line)) is None:
            continue
        words = found[1].split()
        path = next((each for each in COMMANDS if tuple(words[: len(each)]) == each), None)
        named = {word for word in words if word.startswith("--")} - {"--help"}
        if path is None or not named <= options(path):
            wrong.append(line)
    assert wrong == []


@every_command
def test_each_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    unexplained = [each.opts[0] for each in COMMANDS[path].params if not each.help]
    assert unexplained == []


@every_command
def test_each_has_its_results_as_table_or_json_and_takes_a_stack(path: tuple[str, ...]) -> None:
    assert {"--output", "--stack", "--stack-outputs", "--local", "--region", "--profile", "--endpoint-url"} <= options(
        path
    )
    result = ops(*required(path), "--output", "xml")
    assert result.exit_code == 2
    assert "'xml' is not one of" in said(result)


@every_command
def test_without_a_stack_it_says_so_in_one_message(path: tuple[str, ...]) -> None:
    result = ops(*required(path))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "--stack NAME, --stack-outputs FILE, or --local" in said(result)


@every_command
def test_a_file_of_outputs_that_is_not_there_is_told(path: tuple[str, ...]) -> None:
    result = ops(*required(path), "--stack-outputs", "nowhere.json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said(result).startswith("error: nowhere.json cannot be read: No such file or directory")


@every_command
def test_two_stacks_at_once_are_none(path: tuple[str, ...]) -> None:
    result = ops(*required(path), "--stack", "dev", "--local")
    assert result.exit_code == 2
    assert said(result) == "error: --stack and --local exclude each other: give one of them"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("iops repl", {"replay"}),
        ("iops quarantine ", {"list", "show", "redrive"}),
        ("iops forget s", {"student"}),
        ("iops replay --exe", {"--execute"}),
        ("iops simulate --output ", {"table", "json"}),
    ],
)
def test_a_shell_completes_words(words: str, expected: set[str]) -> None:
    position = len(words.split(" ")) - 1
    environment = {"_IOPS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    result = CliRunner().invoke(app, [], prog_name="iops", env=environment)
    assert result.exit_code == 0
    assert set(result.stdout.split()) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_that_makes_a_shell_complete_is_shown(shell: str) -> None:
    result = CliRunner().invoke(app, [], prog_name="iops", env={"_IOPS_COMPLETE": f"source_{shell}"})
    assert result.exit_code == 0
    assert f"_IOPS_COMPLETE=complete_{shell}" in result.stdout
    assert {"--show-completion", "--install-completion"} <= {name for each in PROGRAM.params for name in each.opts}


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ops", "forget", "student", "stu_1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IOPS_")}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)  # noqa: S603
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --table is missing: give it, or --stack NAME")
