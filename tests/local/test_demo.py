"""What the demo says before it starts anything: one message, no traceback. That it works, `make demo` shows."""

from pathlib import Path

import pytest

from local import demo


@pytest.fixture(autouse=True)
def no_local_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "running", lambda *_: pytest.fail("a local AWS was started"))


def test_an_events_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("EVENTS", str(tmp_path / "none.ndjson"))

    assert demo.main() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said == f"✗ {tmp_path}/none.ndjson: there is no such file; give one with a JSON event a line"


def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PORT", "http")

    assert demo.main() == 1
    assert capsys.readouterr().out == "✗ PORT is 'http': it must be a number from 1024 to 65535\n"
