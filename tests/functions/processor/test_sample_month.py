"""The sample month through the handler: what the demo shows on a local AWS, here with the clock in hand."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from functions.processor.clients import chunks
from functions.processor.model import DAY_MS, Record
from local.events_file import read

from .deployment import NOW, Deployment, record
from .test_delivery import facts, public, recomputed

SAMPLE = Path(__file__).parents[2] / "data" / "sample-month.ndjson"


@pytest.fixture(scope="module")
def month() -> list[Record]:
    lines = read(SAMPLE, rebase_to=datetime.fromtimestamp(NOW / 1000, UTC))
    return [record(line, position) for position, line in enumerate(lines)]


def deliver(deployment: Deployment, month: list[Record]) -> None:
    for batch in chunks(month, 500):
        assert deployment.deliver(*batch) == []


def test_the_sample_month_equals_its_recomputation_and_a_replay_writes_nothing(
    deployment: Deployment, month: list[Record]
) -> None:
    deliver(deployment, month)
    expected = recomputed(month, NOW)
    assert public(deployment) == expected.entities
    assert len(deployment.aws.objects) == len(expected.rejected)
    assert {alert["alert_type"] for alert in deployment.told()} == {
        "high_ib_call_frequency",
        "low_health_score",
        "supply_demand_imbalance",
    }

    before, writes, told = facts(deployment), deployment.aws.writes(), len(deployment.told())
    deliver(deployment, month)
    assert facts(deployment) == before
    assert (deployment.aws.writes(), len(deployment.told())) == (writes, told)


def test_the_roll_alone_brings_the_sample_month_down_to_zero(deployment: Deployment, month: list[Record]) -> None:
    deliver(deployment, month)
    for day in (8, 15, 31):
        deployment.clock.ms = NOW + day * DAY_MS
        assert deployment.roll()["complete"]
        assert public(deployment) == recomputed(month, deployment.clock.ms).entities
    for item in public(deployment).values():
        assert not any(value for name, value in item.items() if name.startswith(("sessions_", "ib_calls_", "ratings_")))
        assert "high_ib_call_frequency" not in item["alerts"]
    statuses = {alert["status"] for alert in deployment.told()}
    assert statuses == {"firing", "reminder", "resolved"}
