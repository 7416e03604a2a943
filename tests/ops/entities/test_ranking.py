"""Entities in an order, read from the indexes: as a plain sort has it, with no more read than is needed."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.entities.attribute_values import to_attribute
from functions.model import DAY_MS, to_iso
from ops import aws
from ops.aws import UserError
from ops.entities import ranking
from ops.table_indexes import Indexes
from tests.helpers import metrics_table
from tests.helpers.account import INDEXES, Account, refused
from tests.helpers.deployment import NOW
from tests.helpers.metrics_table import TABLE
from tests.helpers.ops_command import ops, said

MANY = 120
AT = ("--table", TABLE)


def student(number: int) -> dict[str, Any]:
    """One of many; figures repeat, so that ids must decide."""
    return {
        "entity_type": to_attribute("student"),
        "entity_id": to_attribute(f"stu_{number:04}"),
        "health_score": to_attribute(number * 7 % 1_000 / 10),
        "ib_calls_14d": to_attribute(number % 13),
        "session_velocity": to_attribute(number % 5 - 2),
        "last_updated": to_attribute(to_iso(NOW - number * DAY_MS // 100)),
        "alerts": {"M": {}},
        **({} if number % 10 else {"avg_rating": to_attribute(number % 40 / 10)}),
    }


@pytest.fixture
def many() -> Iterator[Any]:
    """A table of many students."""
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, [student(number) for number in range(MANY)])
        yield dynamodb


@pytest.fixture
def asked(many: Any) -> Iterator[list[dict[str, Any]]]:
    """The queries that were made."""
    made: list[dict[str, Any]] = []

    def keep(params: dict[str, Any], **_: Any) -> None:
        made.append(dict(params))

    many.meta.events.register("before-parameter-build.dynamodb.Query", keep)
    yield made
    many.meta.events.unregister("before-parameter-build.dynamodb.Query", keep)


def value(row: dict[str, Any], attribute: str) -> Any:
    return row[attribute]


@pytest.mark.parametrize("ascending", [False, True])
def test_as_a_plain_sort_has_it(many: Any, ascending: bool) -> None:
    rows = [
        {name: float(each["N"]) if "N" in each else each.get("S") for name, each in student(number).items()}
        for number in range(MANY)
    ]
    sign = 1 if ascending else -1
    for attribute in ("ib_calls_14d", "session_velocity", "avg_rating", "health_score"):
        having = [row for row in rows if attribute in row]
        wanted = sorted(having, key=lambda row: (sign * value(row, attribute), row["entity_id"]))[:20]
        listed = ranking.ranked(Indexes(many, TABLE), "student", attribute, ascending=ascending, limit=20)
        assert [row[attribute] for row in listed.rows] == [value(row, attribute) for row in wanted]
        if attribute != "health_score":  # the index has equals in an order of its own
            assert [row["entity_id"] for row in listed.rows] == [row["entity_id"] for row in wanted]
            assert listed.read == MANY


def test_all_pages_of_an_index_are_read(account: Account) -> None:
    account.answers["describe_table"] = account.table("EntityTypeHealthIndex", projected=("ib_calls_14d",))
    account.answers["query"] = [{"Items": [student(number)]} for number in (3, 12, 1)]
    listed = ranking.ranked(Indexes(aws.client("dynamodb"), TABLE), "student", "ib_calls_14d", limit=2)
    assert [row["entity_id"] for row in listed.rows] == ["stu_0012", "stu_0003"]
    assert listed.read == 3


def test_by_health_no_more_is_read_than_is_listed(many: Any, asked: list[dict[str, Any]]) -> None:
    listed = ranking.ranked(Indexes(many, TABLE), "student", "health_score", ascending=True, limit=7)
    assert (len(listed.rows), listed.read) == (7, 7)
    (query,) = asked
    assert (query["IndexName"], query["Limit"], query["ScanIndexForward"]) == ("EntityTypeHealthIndex", 7, True)
    assert "#a0" in query["ProjectionExpression"]


def test_what_changed_last(many: Any, asked: list[dict[str, Any]]) -> None:
    listed = ranking.recent(Indexes(many, TABLE), ["student"], limit=3)
    assert [row["entity_id"] for row in listed.rows] == ["stu_0000", "stu_0001", "stu_0002"]
    (query,) = asked
    assert (query["IndexName"], query["Limit"], query["ScanIndexForward"]) == ("LastUpdatedIndex", 3, False)


@pytest.fixture
def table() -> Iterator[Any]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, metrics_table.stored(*metrics_table.events()))
        yield dynamodb


def test_top_students_by_health(table: Any) -> None:
    result = ops("top", "students", "--health", *AT)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    rows = [line for line in lines if line and line[0].startswith("stu_")]
    assert [row[:2] for row in rows] == [["stu_1", "45.5"], ["stu_2", "65"]]
    assert "critical low_health_score" in result.stdout
    assert "2 entities, from EntityTypeHealthIndex." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("students", "--by", "ib_calls_14d"), ["stu_1", "stu_2"]),
        (("student", "--by", "ib_calls_14d", "--ascending"), ["stu_2", "stu_1"]),
        (("STUDENTS", "--by", "sessions_30d", "--limit", "1"), ["stu_1"]),
        (("tutors", "--by", "sessions_7d"), ["tut_1"]),
        (("subjects", "--by", "demand_score"), ["algebra"]),
        (("regions", "--by", "high_demand_subjects"), ["eu", "us"]),
    ],
)
def test_top_of_each_type(table: Any, arguments: tuple[str, ...], ids: list[str]) -> None:
    result = ops("top", *arguments, *AT, "--output", "json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert [each["entity_id"] for each in told["entities"]] == ids
    assert told["index"] == (
        "EntityTypeHealthIndex" if "tud" in arguments[0].lower() or "tut" in ids[0] else "LastUpdatedIndex"
    )


def test_recent_of_all_types(table: Any) -> None:
    table.update_item(
        TableName=TABLE,
        Key={"entity_id": {"S": "algebra"}, "entity_type": {"S": "subject"}},
        UpdateExpression="SET last_updated = :now",
        ExpressionAttributeValues={":now": {"S": to_iso(NOW + 1)}},
    )
    told = json.loads(ops("recent", *AT, "--output", "json").stdout)
    assert told["entities"][0]["entity_id"] == "algebra"
    assert {each["entity_type"] for each in told["entities"]} == {"student", "tutor", "subject", "region"}
    result = ops("recent", "--limit", "2", *AT)
    assert result.exit_code == 0
    assert "2 entities, from LastUpdatedIndex" in result.stdout
    assert "info supply_demand_imbalance" in result.stdout


def test_recent_of_one_type(table: Any) -> None:
    result = ops("recent", "tutors", *AT)
    assert "tut_1" in result.stdout
    assert "stu_1" not in result.stdout


def test_of_a_type_that_there_is_none(table: Any) -> None:
    table.delete_item(TableName=TABLE, Key={"entity_id": {"S": "tut_1"}, "entity_type": {"S": "tutor"}})
    result = ops("top", "tutors", "--by", "sessions_7d", *AT)
    assert (result.exit_code, result.stdout) == (0, "0 entities, from EntityTypeHealthIndex.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("top", "students"), "give either --by ATTRIBUTE or --health; a student can be sorted by sessions_7d"),
        (("top", "students", "--health", "--by", "sessions_7d"), "give either --by ATTRIBUTE or --health"),
        (("top", "subjects", "--health"), "a subject has no figure 'health_score': choose one of available_tutors"),
        (
            ("top", "students", "--by", "demand_score"),
            "a student has no figure 'demand_score': choose one of sessions_7d",
        ),
        (("top", "elves", "--health"), "'elves' is no type of entity: choose one of student, tutor, subject, region"),
        (("top", "students", "--health", "--limit", "0"), "should be greater than or equal to 1"),
        (("recent", "elves"), "'elves' is no type of entity"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], says: str) -> None:
    result = ops(*arguments, *AT)
    assert result.exit_code == 2
    assert says in said(result)


@pytest.mark.parametrize(
    ("off", "arguments", "says"),
    [
        (
            ("LastUpdatedIndex",),
            ("recent",),
            "has no LastUpdatedIndex, which this is read from: set lastUpdatedIndexEnabled",
        ),
        (
            ("LastUpdatedIndex",),
            ("top", "subjects", "--by", "demand_score"),
            (
                "demand_score of a subject is in no index of the table metrics, and LastUpdatedIndex is switched off: "
                "set lastUpdatedIndexEnabled to true and run `pulumi up`"
            ),
        ),
        (
            ("LastUpdatedIndex", "EntityTypeHealthIndex"),
            ("top", "students", "--health"),
            "set entityTypeHealthIndexEnabled or lastUpdatedIndexEnabled to true",
        ),
        (
            (),
            ("top", "subjects", "--by", "active_students_30d"),
            (
                "active_students_30d of a subject is not projected into LastUpdatedIndex, so it can be read only "
                "entity by entity (`iops entity subject ID`); choose one of"
            ),
        ),
    ],
)
def test_without_the_index(off: tuple[str, ...], arguments: tuple[str, ...], says: str) -> None:
    with mock_aws():
        metrics_table.make(boto3.client("dynamodb"), [], off=off)
        result = ops(*arguments, *AT)
    assert result.exit_code == 1
    assert says in said(result)


def test_another_index_serves_as_well() -> None:
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, [student(number) for number in range(30)], off=("EntityTypeHealthIndex",))
        listed = ranking.ranked(Indexes(dynamodb, TABLE), "student", "health_score", ascending=True, limit=3)
    assert (listed.index, listed.read) == ("LastUpdatedIndex", 30)
    assert [row["health_score"] for row in listed.rows] == [0, 0.7, 1.4]


def test_an_index_of_everything(account: Account) -> None:
    described = account.table("LastUpdatedIndex")
    described["Table"]["GlobalSecondaryIndexes"][0]["Projection"] = {"ProjectionType": "ALL"}
    account.answers["describe_table"] = described
    assert Indexes(aws.client("dynamodb"), TABLE).with_attribute("region", "subjects").projects is None
    account.answers["describe_table"] = account.table("LastUpdatedIndex")
    with pytest.raises(UserError, match="not projected"):
        Indexes(aws.client("dynamodb"), TABLE).with_attribute("region", "subjects")


@pytest.mark.parametrize(
    ("operation", "call", "code", "exit_code", "says"),
    [
        ("describe_table", "DescribeTable", "AccessDeniedException", 254, "dynamodb:DescribeTable is needed"),
        ("query", "Query", "AccessDeniedException", 254, "dynamodb:Query is needed"),
        (
            "query",
            "Query",
            "ProvisionedThroughputExceededException",
            254,
            "AWS throttles Query on the table metrics: wait",
        ),
        ("describe_table", "DescribeTable", "ResourceNotFoundException", 254, "the table metrics does not exist"),
    ],
)
def test_what_aws_refuses(account: Account, operation: str, call: str, code: str, exit_code: int, says: str) -> None:
    account.answers["describe_table"] = account.table(*INDEXES, projected=("health_score",))
    account.answers[operation] = refused(call, code)
    for arguments in (("top", "students", "--health"), ("recent", "students")):
        result = ops(*arguments, *AT)
        assert result.exit_code == exit_code
        assert says in said(result)
