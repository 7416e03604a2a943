"""One run: the limits of its settings, and the order in which its records arrive."""

import json
from datetime import UTC, datetime

import pytest

from functions.simulator.disorder import Shares
from functions.simulator.run import one_run, share, whole

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize(("value", "meant"), [(1, 1), ("1", 1), (7, 7), ("7", 7)])
def test_a_whole_number_may_be_the_least_and_the_most(value: object, meant: int) -> None:
    assert whole("streams", value, 7) == meant


@pytest.mark.parametrize("value", [0, 8, "", "-1", "1.0", "\u0661", None])
def test_any_other_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be a whole number from 1 to 7"):
        whole("streams", value, 7)


@pytest.mark.parametrize(("value", "meant"), [(0, 0), (1, 1), ("0.5", 0.5)])
def test_a_share_may_be_nothing_and_all(value: object, meant: float) -> None:
    assert share("late", value) == meant


@pytest.mark.parametrize("value", [-0.1, 1.1, "half", None, "nan"])
def test_a_share_beyond_that_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be a number from 0 to 1"):
        share("late", value)


def test_records_arrive_in_the_order_in_which_they_were_taken_in() -> None:
    events, records = one_run("any", NOW, 20, 10, Shares())
    taken_in = [json.loads(record.data)["ingested_at"] for record in records]
    assert (events, len(records)) == (200, 200)
    assert taken_in == sorted(taken_in)
