"""The sample month through the handler: what the demo shows on a local AWS, here with the clock in hand."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from functions.aws.parallel import chunks
from functions.model import DAY_MS, Record
from local.events_file import read
from proof.oracle import Rules
from proof.world import environment_of
from tests.helpers.deployment import NOW, Deployment, deployed, record
from tests.helpers.recomputation import AS_SHIPPED, expected_of, facts, public, recomputed

SAMPLE = Path(__file__).parents[2] / "data" / "sample-month.ndjson"


EVERY_ALERT = Rules(
    first_session_success_below=0.9,
    first_sessions_least=3,
    velocity_drop_share=0.5,
    no_tutors_alert=True,
    demand_surge_score=0.3,
)
"""Thresholds at which something of the month makes each alert fire."""


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
    deployment.rollup()
    expected = recomputed(month, NOW, rolled_up=True)
    assert public(deployment) == expected.entities
    assert len(deployment.aws.objects) == len(expected.rejected)
    assert {alert["alert_type"] for alert in deployment.told()} == {
        "high_ib_call_frequency",
        "low_health_score",
        "supply_demand_imbalance",
    }

    before, writes, told = facts(deployment), deployment.aws.writes(), len(deployment.told())
    deliver(deployment, month)
    assert deployment.rollup()["written"] == 0
    assert facts(deployment) == before
    assert (deployment.aws.writes(), len(deployment.told())) == (writes, told)


@pytest.mark.parametrize("rules", [AS_SHIPPED, EVERY_ALERT], ids=["as shipped", "every alert"])
def test_roll_and_rollup_alone_bring_the_sample_month_down_to_zero(month: list[Record], rules: Rules) -> None:
    with deployed(environment_of(rules)) as deployment:
        deliver(deployment, month)
        for day in (0, 1, 8, 15, 31):
            deployment.clock.ms = NOW + day * DAY_MS
            assert deployment.roll()["complete"]
            deployment.rollup()
            expected = recomputed(month, deployment.clock.ms, rules, rolled_up=True)
            assert public(deployment) == expected_of(deployment, expected)
        for item in public(deployment).values():
            counts = ("sessions_", "ib_calls_", "ratings_", "active_students_30d", "first_sessions_")
            assert not any(value for name, value in item.items() if name.startswith(counts))
            over = {"high_ib_call_frequency", "first_session_success_low", "session_velocity_drop", "demand_surge"}
            assert not over & item["alerts"].keys()
        told = deployment.told()
        assert {alert["status"] for alert in told} == {"firing", "reminder", "resolved"}
        usual = {"high_ib_call_frequency", "low_health_score", "supply_demand_imbalance"}
        by_rollup = {"first_session_success_low", "session_velocity_drop", "no_tutors_available", "demand_surge"}
        assert {alert["alert_type"] for alert in told} == (usual if rules == AS_SHIPPED else usual | by_rollup)
