"""The workflows: what they run is pinned, what they may do is said, and what they name is there.

zizmor (`make lint`) finds what is dangerous; here is what only this repository can know.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.code import ROOT

_GITHUB = ROOT / ".github"
WORKFLOWS = sorted((_GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((_GITHUB / "actions").glob("*/action.yml"))
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_OWN = re.compile(r"\$/(\.github/[\w./-]+)")


def _read(path: Path) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _jobs(path: Path) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = _read(path)["jobs"]
    return jobs


def _steps() -> list[dict[str, Any]]:
    """Every step that uses the repository's own action for Pulumi, with its job's matrix filled in."""
    found = []
    for job in (job for path in WORKFLOWS for job in _jobs(path).values()):
        for step in job.get("steps", []):
            if step.get("uses") == "$/.github/actions/pulumi":
                stacks = job.get("strategy", {}).get("matrix", {}).get("stack", [step["with"]["stack"]])
                found += [{**step["with"], "stack": stack, "job": job} for stack in stacks]
    return found


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.relative_to(_GITHUB).as_posix())
def test_every_action_is_pinned_by_hash_or_is_our_own(path: Path) -> None:
    uses = re.findall(r"\buses: (.+)", path.read_text(encoding="utf-8"))
    assert uses
    for each in uses:
        own = _OWN.fullmatch(each)
        assert (own and (ROOT / own[1]).exists()) or _PINNED.fullmatch(each), each


def test_one_release_of_an_action_is_used_everywhere() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in [*WORKFLOWS, *ACTIONS])
    pins = set(re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40} # \S+)", texts))
    assert len({action for action, _ in pins}) == len(pins)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_nothing_and_each_job_says_what_it_may(path: Path) -> None:
    assert _read(path)["permissions"] == {}
    for name, job in _jobs(path).items():
        assert isinstance(job["permissions"], dict), name
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        assert writes <= {"id-token", "pull-requests"}, name
        assert job["permissions"].get("contents") == "read", name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_ends_and_leaves_no_credentials_behind(path: Path) -> None:
    for name, job in _jobs(path).items():
        if "uses" in job:
            continue
        assert job["timeout-minutes"] <= 60, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_the_stacks_are_there_and_each_is_previewed_and_deployed() -> None:
    steps = _steps()
    for step in steps:
        assert (ROOT / f"Pulumi.{step['stack']}.yaml").is_file(), step["stack"]
    # The local stack is in nobody's account.
    stacks = {path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")} - {"local"}
    for command in ("preview", "up"):
        assert {step["stack"] for step in steps if step["command"] == command} == stacks


def test_what_changes_a_stack_waits_for_tests_and_its_environment() -> None:
    jobs = _jobs(_GITHUB / "workflows" / "deploy.yml")
    environments = {"dev": "dev", "prod": "production"}
    for step in _steps():
        if step["command"] != "up":
            continue
        job = step["job"]
        assert job["environment"] == environments[step["stack"]]
        assert job["concurrency"] == {"group": f"deploy-{step['stack']}", "cancel-in-progress": False}
        assert step["role"] == "${{ vars.DEPLOY_ROLE_ARN }}"
        assert "cache" not in step
    needed: set[str] = set()
    waiting = ["prod"]
    while waiting:
        needs = jobs[waiting.pop()].get("needs", [])
        waiting += [needs] if isinstance(needs, str) else needs
        needed.update([needs] if isinstance(needs, str) else needs)
    assert needed == {"prod-preview", "test"}
    assert jobs["dev"]["needs"] == "test"


def test_every_preview_and_deployment_runs_the_policy_pack_and_names_a_missing_stack() -> None:
    (action,) = ACTIONS
    steps = _read(action)["runs"]["steps"]
    (runs,) = [step for step in steps if "command" in step.get("with", {})]
    assert runs["with"]["policyPacks"] == "policy"
    assert (ROOT / "policy" / "PulumiPolicy.yaml").is_file()
    (installed,) = [step for step in steps if step.get("working-directory") == "policy"]
    (looked,) = [step for step in steps if "pulumi stack select" in step.get("run", "")]
    credentials = next(step for step in steps if "configure-aws-credentials" in step.get("uses", ""))
    # Whatever is installed runs before there are credentials.
    assert steps.index(installed) < steps.index(credentials) < steps.index(looked) < steps.index(runs)
    assert "is not in the backend" in looked["run"]


def test_a_fork_gets_no_identity() -> None:
    (job,) = _jobs(_GITHUB / "workflows" / "preview.yml").values()
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
    triggers = [_read(path)[True] for path in WORKFLOWS]  # YAML 1.1 reads the key `on` as true
    assert not any("pull_request_target" in trigger for trigger in triggers)


def test_the_cli_is_of_the_sdks_release_and_the_environment_is_that_of_the_project() -> None:
    (action,) = ACTIONS
    text = action.read_text(encoding="utf-8")
    (sdk,) = re.findall(r"^pulumi==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"pulumi-version: (\S+)", text)) == {sdk}
    environment = _read(ROOT / "Pulumi.yaml")["runtime"]["options"]["virtualenv"]
    assert re.findall(r"(\S+)/bin/python", text) == [environment, environment]
