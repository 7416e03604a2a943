"""What docs/importing.md shows: its files name resources that the program makes, and its code runs."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.helpers.permissions import Call, refused
from tests.helpers.recorded_program import ROOT, Recorded, record_program

Run = Callable[[str], Recorded]
PAGE = (ROOT / "docs" / "importing.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The one code block of the page that has this text."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in text]
    return str(found)


def test_the_import_file_names_resources_of_the_program(program: Run) -> None:
    made = {r.name: r for r in program("prod").resources}
    resources = json.loads(block("json", '"resources"'))["resources"]
    assert len(resources) == 5
    for each in resources:
        resource = made[each["name"]]
        assert (each["type"], each.get("component", False)) == (resource.type, not resource.custom)
        if resource.custom:
            assert resource.parent.endswith(f"::{each['parent']}")
            assert each["id"] == resource.inputs["name"]


def test_every_type_of_the_program_has_its_id(program: Run) -> None:
    ids = PAGE[PAGE.index("| type | id |") : PAGE.index("Functions, roles, rules")]
    named = set(re.findall(r"\b[A-Z]\w+", " ".join(row.split("|")[1] for row in ids.splitlines() if "|" in row)))
    assert {r.type.rpartition(":")[2] for r in program("prod").resources if r.custom} <= named


def test_the_aliases_are_those_of_the_page(built_layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results: dict[str, pulumi.ResourceTransformationResult | None] = {}
    page: dict[str, Any] = {"pulumi": pulumi}

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        results[args.name] = page["keep"](args)
        return results[args.name]

    def with_aliases(path: str) -> dict[str, Any]:
        exec(block("python", "FORMER").rpartition("\n\n\n")[0], page)  # noqa: S102
        pulumi.runtime.register_stack_transformation(transform)
        return run(path)

    run = runpy.run_path
    monkeypatch.setattr(runpy, "run_path", with_aliases)
    recorded: Recorded = record_program("prod", layerDirectory=str(built_layer))
    aliases = {name: result.opts.aliases or [] for name, result in results.items() if result}
    assert aliases.keys() == page["FORMER"].keys() <= {r.name for r in recorded.resources}
    for name, given in aliases.items():
        (alias,) = given
        assert isinstance(alias, pulumi.Alias)
        assert (alias.name, alias.parent) == (page["FORMER"][name], pulumi.ROOT_STACK_RESOURCE)


def test_the_adopted_buss_statement_lets_the_roles_in_and_others_out(program: Run) -> None:
    statement = json.loads(block("json", "AlertsComeFrom"))
    publishers = {
        role.inputs["name"]
        for role in program("prod").of_type("aws:iam/role:Role")
        if any("events:PutEvents" in each["Action"] for each in program("prod").policy_of(role.inputs["name"]))
    }
    named = {role.rpartition("/")[2] for role in statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]}
    assert named == publishers

    def put(role: str, *sources: str) -> list[str]:
        principal = f"arn:aws:iam::123456789012:role/{role}"
        context: dict[str, str | list[str]] = {"aws:PrincipalArn": principal, "events:source": list(sources)}
        return refused([statement], Call("events:PutEvents", statement["Resource"], context))

    assert put("iops-dashboard-roll", "iops-dashboard.processor") == []
    assert put("someone", "theirs") == []
    assert put("someone", "theirs", "iops-dashboard.processor") == [statement["Sid"]]
