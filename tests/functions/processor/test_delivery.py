"""The contract's main promise, over the whole handler: metrics equal those of the distinct events, however delivered.

Every stream of events is cut into batches, shuffled, delivered twice and in part; what stands in the table afterwards
is compared with the recomputation of `proof.oracle`, which knows nothing of how state is stored.
"""

import json
import random
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from functions.model import DAY_MS, Record, to_iso
from functions.rollup import scan, spool
from proof import oracle
from proof.world import EVERY_ALERT, environment_of
from tests.helpers.deployment import NOW, Deployment, deployed, event_json, record
from tests.helpers.recomputation import AS_SHIPPED, expected_of, facts, forgets_a_part, public, recomputed
from tests.helpers.strategies import streams

RANDOM = st.randoms(use_true_random=False)
RULES = st.sampled_from([AS_SHIPPED, EVERY_ALERT])


@pytest.fixture(autouse=True)
def few_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as can be told from one: a rollup of a few items takes as long as there are partitions and segments."""
    monkeypatch.setattr(spool, "_FEWEST", 2)
    monkeypatch.setattr(scan, "PARALLEL_CALLS", 2)


def deliver_somehow(deployment: Deployment, records: list[Record], rng: random.Random) -> None:
    """Every record at least once: shuffled, in batches that overlap, some of them twice."""
    order = records * 2
    rng.shuffle(order)
    while order:
        size = rng.randint(1, 12)
        batch, order = order[:size], order[size:]
        if rng.random() < 0.3:
            order = batch[: size // 2] + order
        assert deployment.deliver(*batch) == []


@given(streams, RANDOM, RULES)
def test_metrics_equal_the_recomputation_however_records_are_delivered(
    stream: list[bytes], rng: random.Random, rules: oracle.Rules
) -> None:
    records = [record(data, position) for position, data in enumerate(stream)]
    environment = environment_of(rules)
    with deployed(environment) as once:
        assert once.deliver(*records) == []
        assert public(once) == recomputed(records, NOW, rules).entities
        once.rollup()
        in_order = public(once), facts(once)
    with deployed(environment) as other:
        deliver_somehow(other, records, rng)
        other.rollup()
        somehow = public(other), facts(other)
        writes = other.aws.writes()
        assert other.deliver(*records) == []
        assert other.rollup()["written"] == 0
        assert other.aws.writes() == writes, "a replay with the clock held writes nothing"

    expected = recomputed(records, NOW, rules, rolled_up=True)
    assert in_order[0] == expected.entities
    assert somehow == in_order
    assert {key.rpartition("/")[2].removesuffix(".json") for key in other.aws.objects} == set(expected.rejected)
    for kept in map(json.loads, other.aws.objects.values()):
        assert kept["reason"] == expected.rejected[kept["sequence_number"]]


@given(
    streams, st.lists(st.integers(1, 12 * 86_400).map(lambda seconds: seconds * 1000), min_size=1, max_size=4), RULES
)
def test_roll_and_rollup_keep_metrics_true_as_time_passes(
    stream: list[bytes], steps: list[int], rules: oracle.Rules
) -> None:
    assume(not forgets_a_part(stream))
    records = [record(data, position) for position, data in enumerate(stream)]
    with deployed(environment_of(rules)) as deployment:
        deployment.deliver(*records)
        deployment.rollup()
        for step in steps:
            deployment.clock.ms += step
            assert deployment.next_roll()["complete"]
            assert deployment.rollup()["as_of"] == deployment.clock.ms
            expected = recomputed(records, deployment.clock.ms, rules, rolled_up=True)
            assert public(deployment) == expected_of(deployment, expected)


def test_a_part_that_one_item_forgets_is_no_part_of_the_session_any_more() -> None:
    """The limit that `forgets_a_part` describes, as docs/design.md states it."""
    stream = [
        event_json(
            "session_completed", {"session_id": "s", "student_id": "stu_2"}, timestamp=to_iso(NOW - 30 * DAY_MS)
        ),
        event_json(
            "session_started", {"session_id": "s", "student_id": "stu_1", "subject": "a"}, timestamp=to_iso(NOW)
        ),
    ]
    assert forgets_a_part(stream)
    with deployed() as deployment:
        deployment.deliver(*stream)
        deployment.rollup()
        assert public(deployment)["subject", "a"]["sessions_30d"] == 0, "30 days ago, at its earliest event"
        deployment.clock.ms += 2 * DAY_MS
        deployment.roll()
        deployment.rollup()
        assert public(deployment)["subject", "a"]["sessions_30d"] == 1, "2 days ago, at the event that is left"


@given(streams)
def test_after_31_days_every_count_is_zero(stream: list[bytes]) -> None:
    with deployed() as deployment:
        deployment.deliver(*stream)
        deployment.rollup()
        deployment.clock.ms += 31 * DAY_MS
        deployment.roll()
        deployment.rollup()
        for item in public(deployment).values():
            counts = [value for name, value in item.items() if re.fullmatch(r".*_\d+d|session_velocity", name)]
            assert not any(counts)


@given(streams)
def test_every_transition_is_told_once_under_one_id(stream: list[bytes]) -> None:
    with deployed(environment_of(EVERY_ALERT)) as deployment:
        for position, data in enumerate(stream):
            deployment.deliver(data)
            if position % 8 == 0:
                deployment.clock.ms += 1
                deployment.rollup()
        told = deployment.told()
        ids = [alert["alert_id"] for alert in told]
        assert len(ids) == len(set(ids))
        last = {(alert["entity_type"], alert["entity_id"], alert["alert_type"]): alert for alert in told}
        firing = {key for key, alert in last.items() if alert["status"] != "resolved"}
        assert firing == {
            (*key, alert_type) for key, item in public(deployment).items() for alert_type in item["alerts"]
        }
