"""The simulator as a command, and the sample month that it makes."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.simulator import month
from functions.simulator.__main__ import main
from functions.simulator.disorder import POISON
from local.events_file import read
from proof.oracle import DAY_MS, Recomputed, Record, recompute, time_ms
from tests.functions.simulator.conftest import STREAM

SAMPLE = Path(__file__).parents[2] / "data" / "sample-month.ndjson"
END_MS = int(month.END.timestamp() * 1000)


@pytest.fixture(scope="module")
def sample() -> list[bytes]:
    return read(SAMPLE, rebase_to=month.END)


@pytest.fixture(scope="module")
def recomputed(sample: list[bytes]) -> Recomputed:
    return recompute([Record(line, END_MS, str(number)) for number, line in enumerate(sample)], END_MS)


def test_the_committed_month_is_what_the_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "month.ndjson"
    assert main(["--month", str(written)]) == 0
    # If this differs: python -m functions.simulator --month tests/data/sample-month.ndjson
    assert written.read_bytes() == SAMPLE.read_bytes()
    assert f"{written}: {len(read(SAMPLE)):,} records" in capsys.readouterr().out


def test_a_month_with_another_seed_and_disorder_is_another(tmp_path: Path) -> None:
    written = tmp_path / "month.ndjson"
    assert main(["--month", str(written), "--seed", "8", "--poison", "0", "--duplicates", "0"]) == 0
    lines = read(written)
    assert len(set(lines)) == len(lines)
    assert all(json.loads(line)["ingested_at"] for line in lines)
    assert not set(lines) & set(read(SAMPLE))


def test_the_sample_is_small_and_has_all_types_duplicates_and_poison(recomputed: Recomputed) -> None:
    assert SAMPLE.stat().st_size < 3_000_000
    assert 5_000 <= recomputed.distinct <= recomputed.accepted <= 7_000
    assert recomputed.duplicates / recomputed.distinct == pytest.approx(0.05, abs=0.01)
    reasons = Counter(recomputed.rejected.values())
    assert set(reasons) == set(POISON)
    assert min(reasons.values()) >= 3


def test_the_sample_s_times_come_in_many_shapes_late_and_out_of_order(sample: list[bytes]) -> None:
    shapes = set()
    lags = []
    for line in sample:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        text = event.get("timestamp") or event["payload"]["timestamp"] if isinstance(event, dict) else ""
        time = time_ms(text)
        if time is not None and time <= END_MS:
            shapes.add((text[10], text[19:20], text[-6:-5] in "+-", text.endswith("Z")))
            lags.append((time_ms(event["ingested_at"]) or 0) - time)
    assert len(shapes) == 3
    assert min(lags) >= 0
    assert max(lags) > DAY_MS
    assert 0.03 < sum(lag > 6_000 for lag in lags) / len(lags) < 0.1


def test_at_the_end_of_the_sample_there_is_something_to_tell(recomputed: Recomputed) -> None:
    kinds = Counter(kind for kind, _ in recomputed.entities)
    assert kinds["student"] >= 100
    assert min(kinds["tutor"], kinds["subject"], kinds["region"]) >= 4
    firing = Counter(alert for entity in recomputed.entities.values() for alert in entity["alerts"].items())
    assert firing["low_health_score", "critical"] >= 2
    assert firing["low_health_score", "warning"] >= 2
    assert firing["high_ib_call_frequency", "warning"] >= 2
    assert firing["supply_demand_imbalance", "info"] >= 2


def test_some_alerts_of_the_sample_are_over_at_its_end(sample: list[bytes], recomputed: Recomputed) -> None:
    ended: set[tuple[str, str, str]] = set()
    for part in (len(sample) // 3, 2 * len(sample) // 3):
        so_far = recompute([Record(line, END_MS, str(number)) for number, line in enumerate(sample[:part])], END_MS)
        for (kind, name), entity in so_far.entities.items():
            ended |= {
                (kind, name, alert) for alert in entity["alerts"].keys() - recomputed.entities[kind, name]["alerts"]
            }
    assert {alert for _, _, alert in ended} == {
        "low_health_score",
        "high_ib_call_frequency",
        "supply_demand_imbalance",
    }


def test_a_run_is_put_on_the_stream(
    on_stream: Callable[[], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--seed", "7", "--streams", "5", "--events", "20", "--duplicates", "0.2", "--late", "0.1"]
    assert main(["--stream", STREAM, *asked, "--out-of-order", "0.1", "--poison", "0.1"]) == 0
    count = len(on_stream())
    assert count > 110
    assert capsys.readouterr().out == f"{STREAM}: {count} of {count} records accepted (100 events) in 1 calls\n"


@pytest.mark.usefixtures("kinesis")
def test_a_stream_that_is_not_there_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stream", "nowhere"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot write to the stream nowhere: ")
    assert "ResourceNotFoundException" in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("kinesis")
@pytest.mark.parametrize("endpoint", ["nonsense", "http://127.0.0.1:1"])
def test_an_endpoint_that_is_none_is_one_message(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stream", STREAM, "--endpoint-url", endpoint]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot write to the stream {STREAM}: ")
    assert endpoint in error


def test_records_that_were_given_up_are_an_error_exit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"events": 5, "records": 5, "accepted": 3, "given_up": 2, "calls": 8}
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr("functions.simulator.run.simulate", lambda *_, **__: counts)
    assert main(["--stream", STREAM]) == 1
    assert capsys.readouterr().err == "error: 2 records were given up\n"


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
    ],
)
def test_the_region_comes_from_either_variable(
    environment: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions: list[str] = []

    def simulate(kinesis: Any, *_: object, **__: object) -> dict[str, int]:
        regions.append(kinesis.meta.region_name)
        return {"events": 0, "records": 0, "accepted": 0, "given_up": 0, "calls": 0}

    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.setattr("functions.simulator.run.simulate", simulate)
    assert main(["--stream", STREAM]) == 0
    assert regions == [region]


def test_a_file_that_cannot_be_written_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--month", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path} cannot be written: Is a directory\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --stream --month is required"),
        (["--stream", "a", "--month", "b"], "not allowed with argument"),
        (
            ["--stream", "a", "--streams", "0"],
            "--streams: the number is '0', but must be a whole number from 1 to 5,000",
        ),
        (["--stream", "a", "--poison", "2"], "--poison: the share is '2', but must be a number from 0 to 1"),
        (["--month", "b", "--events", "5"], "--events goes with --stream, not with --month"),
        (["--month", "b", "--endpoint-url", "http://x"], "--endpoint-url goes with --stream, not with --month"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
