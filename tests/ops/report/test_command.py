"""`iops report`: where it writes, what it says, and what it asks for."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.aws import clock
from functions.aws.config import Config
from functions.entities.alerts import AlertRules
from functions.model import DAY_MS
from ops import aws
from ops.report.commands import report as command
from ops.report.gather import Sources
from tests.helpers.account import OUTPUTS
from tests.helpers.deployment import ENVIRONMENT, NOW
from tests.helpers.ops_command import ops, said
from tests.helpers.report_sample import HOSTILE, report


class Gathered:
    """What the command asks for; it gets the sample."""

    def __init__(self) -> None:
        self.sources: Sources | None = None
        self.rules: AlertRules | None = None
        self.since: dict[str, int] = {}

    def __call__(self, sources: Sources, rules: AlertRules, now_ms: int, *, report: Any, **since: int) -> Any:
        assert now_ms == NOW
        self.sources, self.rules, self.since = sources, rules, since
        report(43, None)
        return sample()


sample = report


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> Gathered:
    made = Gathered()
    monkeypatch.setattr(command, "gather", made)
    monkeypatch.setattr(clock, "now_ms", lambda: NOW)
    environment = {**ENVIRONMENT, "HEALTH_WARNING": "80"}
    monkeypatch.setattr(aws, "deployed_config", lambda _function: Config.from_environment(environment))
    return made


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(OUTPUTS))
    return path


def test_it_writes_the_page_and_says_where(gathered: Gathered, outputs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = ops("report", "--out", str(page), "--stack-outputs", str(outputs))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{page}: {page.stat().st_size / 1e6:.1f} MB, 43 entities\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert gathered.since == {"alerts_since_ms": NOW - 30 * DAY_MS, "batches_since_ms": NOW - DAY_MS}
    assert gathered.rules == AlertRules(health_warning=80)
    assert gathered.sources is not None
    assert (gathered.sources.processor, gathered.sources.notifier) == ("iops-processor", "iops-notifier")
    assert gathered.sources.tables == (OUTPUTS["MetricsTableName"], ENVIRONMENT["STATE_TABLE_NAME"])


def test_as_json_it_says_the_same(gathered: Gathered, outputs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ("--since", "7d", "--batches-since", "2026-11-23T09:00Z", "--output", "json")
    result = ops("report", "--out", str(page), "--stack-outputs", str(outputs), *words)
    assert json.loads(result.stdout) == {"path": str(page), "bytes": page.stat().st_size, "entities": 43}
    assert gathered.since == {"alerts_since_ms": NOW - 7 * DAY_MS, "batches_since_ms": NOW - 3_600_000}


def test_a_stack_of_a_release_without_a_notifier_has_a_page(gathered: Gathered, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({name: each for name, each in OUTPUTS.items() if name != "NotifierFunctionName"}))
    assert ops("report", "--out", str(tmp_path / "page.html"), "--stack-outputs", str(outputs)).exit_code == 0
    assert gathered.sources is not None
    assert gathered.sources.notifier is None


def test_half_a_character_of_a_log_stops_nothing(
    gathered: Gathered, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.dumps(HOSTILE)
    monkeypatch.setattr("ops.report.page.render", lambda _report: f"{whole}\ud83d")
    page = tmp_path / "page.html"
    assert ops("report", "--out", str(page), "--stack-outputs", str(outputs)).exit_code == 0
    assert page.read_text(encoding="utf-8") == f"{whole}?"


@pytest.mark.usefixtures("gathered")
def test_a_place_that_cannot_be_written(outputs: Path, tmp_path: Path) -> None:
    page = tmp_path / "none" / "page.html"
    result = ops("report", "--out", str(page), "--stack-outputs", str(outputs))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said(result) == f"error: {page} cannot be written: No such file or directory; give another --out"


def test_without_a_stack_it_says_what_to_give() -> None:
    result = ops("report")
    assert result.exit_code == 2
    assert "no stack is given: give --stack NAME" in said(result)
