"""The metrics table as the commands read it: in an index's order by key, or by a scan."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.entities.attribute_values import to_attribute
from ops import aws
from ops.aws import UserError
from ops.metrics_table import HEALTH, LAST_UPDATED, MetricsTable, Row
from tests.helpers import metrics_table
from tests.helpers.account import Account
from tests.helpers.metrics_table import TABLE

ATTRIBUTES = ("health_score", "region")


def item(entity_id: str, score: float, entity_type: str = "student") -> dict[str, Any]:
    values = {"entity_type": entity_type, "entity_id": entity_id, "health_score": score, "region": "eu", "odd": "x"}
    return {name: to_attribute(value) for name, value in values.items()}


def row(entity_id: str, score: float, entity_type: str = "student") -> Row:
    return {"entity_type": entity_type, "entity_id": entity_id, "health_score": score, "region": "eu"}


def ids(rows: Iterator[Row]) -> list[str]:
    return [each["entity_id"] for each in rows]


class Stored:
    """An account's items by id, and how its table answers for them; the index has the ids of each page."""

    def __init__(self, account: Account, *pages: list[str]) -> None:
        self.items = {name: item(name, number) for number, name in enumerate(name for page in pages for name in page)}
        self.account = account
        account.answers["query"] = [{"Items": [item(name, 0) for name in page]} for page in pages]
        account.answers["batch_get_item"] = self.read
        self.answered_at_once = 100

    def read(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Answers in an order of its own, and leaves out those for which it has no time."""
        ((_, asked),) = RequestItems.items()
        keys = asked["Keys"]
        assert len(keys) <= 100
        assert len({str(key) for key in keys}) == len(keys)
        done, left = keys[: self.answered_at_once], keys[self.answered_at_once :]
        found = [self.items[key["entity_id"]["S"]] for key in reversed(done) if key["entity_id"]["S"] in self.items]
        return {
            "Responses": {TABLE: found},
            "UnprocessedKeys": {TABLE: {**asked, "Keys": left}} if left else {},
        }

    @property
    def reads(self) -> list[int]:
        """How many keys each read has asked for."""
        return [
            len(arguments["RequestItems"][TABLE]["Keys"])
            for operation, arguments in self.account.calls
            if operation == "batch_get_item"
        ]

    def in_order(self, limit: int = 10_000) -> Iterator[Row]:
        return MetricsTable(aws.client("dynamodb"), TABLE).in_order(HEALTH, "student", ATTRIBUTES, limit=limit)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


@pytest.fixture(params=[metrics_table.KEYS_ONLY, metrics_table.INCLUDE], ids=lambda each: str(each["ProjectionType"]))
def table(request: pytest.FixtureRequest) -> Iterator[MetricsTable]:
    """A table whose indexes project as they do now, or as they did."""
    made = [item("a", 30), item("b", 10), item("c", 20), item("t", 5, "tutor")]
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, made, off=(LAST_UPDATED,), projection=request.param)
        yield MetricsTable(dynamodb, TABLE)


def test_in_the_order_of_an_index(table: MetricsTable) -> None:
    assert list(table.in_order(HEALTH, "student", ATTRIBUTES, limit=9)) == [row("b", 10), row("c", 20), row("a", 30)]
    assert ids(table.in_order(HEALTH, "student", (), descending=True, limit=2)) == ["a", "c"]
    assert ids(table.in_order(HEALTH, "subject", (), limit=2)) == []


def test_scanned(table: MetricsTable) -> None:
    rows = [row("a", 30), row("b", 10), row("c", 20)]
    assert sorted(table.scan("student", ATTRIBUTES), key=lambda each: each["entity_id"]) == rows
    assert sorted(ids(table.scan(None, ()))) == ["a", "b", "c", "t"]
    assert list(table.scan("tutor", ())) == [{"entity_type": "tutor", "entity_id": "t"}]


def test_only_those_with_alerts() -> None:
    firing = {"alerts": {"M": {"low_health_score": {"M": {"severity": {"S": "warning"}}}}}}
    made = [item("a", 1) | firing, item("b", 1) | {"alerts": {"M": {}}}, item("c", 1), item("t", 1, "tutor") | firing]
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, made)
        table = MetricsTable(dynamodb, TABLE)
        assert sorted(ids(table.scan(None, ("alerts",), firing=True))) == ["a", "t"]
        assert ids(table.scan("student", ("alerts",), firing=True)) == ["a"]


def test_the_indexes_that_can_be_read(account: Account, table: MetricsTable) -> None:
    assert table.indexes == {HEALTH}
    made = account.table(HEALTH, LAST_UPDATED, "Another")
    for position, status in enumerate(("CREATING", "UPDATING", "DELETING")):
        made["Table"]["GlobalSecondaryIndexes"][position]["IndexStatus"] = status
    account.answers["describe_table"] = made
    assert MetricsTable(aws.client("dynamodb"), TABLE).indexes == {LAST_UPDATED}
    account.answers["describe_table"] = {"Table": {}}
    assert MetricsTable(aws.client("dynamodb"), TABLE).indexes == set()


def test_items_are_read_in_hundreds_and_keep_the_order_of_the_index(account: Account) -> None:
    pages = [[f"s{number:03}" for number in range(250)], [], ["last"]]
    stored = Stored(account, *pages)
    assert ids(stored.in_order()) == [name for page in pages for name in page]
    assert stored.reads == [100, 100, 50, 1]


def test_no_more_is_read_than_is_asked_for(account: Account) -> None:
    stored = Stored(account, ["a", "b"], ["c", "d"])
    assert ids(stored.in_order(limit=2)) == ["a", "b"]
    assert stored.reads == [2]


def test_an_item_that_is_gone_is_made_up_for(account: Account) -> None:
    stored = Stored(account, ["a", "b"], ["c", "d"])
    del stored.items["a"]
    assert ids(stored.in_order(limit=2)) == ["b", "c"]


def test_an_item_that_changes_its_place_meanwhile_comes_once(account: Account) -> None:
    stored = Stored(account, ["a", "b", "a"], ["b", "c"], ["a"])
    assert ids(stored.in_order()) == ["a", "b", "c"]
    assert stored.reads == [2, 1]


def test_what_dynamodb_leaves_out_is_read_again(account: Account, pauses: list[float]) -> None:
    stored = Stored(account, [f"s{number}" for number in range(7)])
    stored.answered_at_once = 3
    assert ids(stored.in_order()) == [f"s{number}" for number in range(7)]
    assert stored.reads == [7, 4, 1]
    assert len(pauses) == 2


def test_what_dynamodb_always_leaves_out_is_said(account: Account, pauses: list[float]) -> None:
    stored = Stored(account, ["a", "b"])
    stored.answered_at_once = 0
    with pytest.raises(UserError, match="AWS throttles BatchGetItem on the table metrics: wait a minute") as raised:
        list(stored.in_order())
    assert raised.value.exit_code == 254
    assert len(pauses) == 7
