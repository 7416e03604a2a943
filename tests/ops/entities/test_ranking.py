"""Entities in an order: as a plain sort has it, from an index where that has the order, else from a scan."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.entities.attribute_values import to_attribute
from functions.model import DAY_MS, to_iso
from ops import aws
from ops.entities import ranking
from ops.metrics_table import MetricsTable
from tests.helpers import metrics_table
from tests.helpers.account import Account, refused
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


@pytest.fixture(params=[metrics_table.KEYS_ONLY, metrics_table.INCLUDE], ids=lambda each: str(each["ProjectionType"]))
def many(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A table of many students."""
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, [student(number) for number in range(MANY)], projection=request.param)
        yield dynamodb


@pytest.fixture
def asked(many: Any) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The operations and arguments of the calls that were made."""
    made: list[tuple[str, dict[str, Any]]] = []

    def keep(params: dict[str, Any], model: Any, **_: Any) -> None:
        made.append((model.name, dict(params)))

    many.meta.events.register("before-parameter-build.dynamodb", keep)
    yield made
    many.meta.events.unregister("before-parameter-build.dynamodb", keep)


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
        listed = ranking.ranked(MetricsTable(many, TABLE), "student", attribute, ascending=ascending, limit=20)
        assert [row[attribute] for row in listed.rows] == [value(row, attribute) for row in wanted]
        if attribute != "health_score":  # the index has equals in an order of its own
            assert [row["entity_id"] for row in listed.rows] == [row["entity_id"] for row in wanted]
            assert (listed.source, listed.read) == (ranking.SCAN, MANY)
        else:
            assert (listed.source, listed.read) == ("EntityTypeHealthIndex", 20)


def test_all_pages_of_a_scan_are_read(account: Account) -> None:
    account.answers["scan"] = [{"Items": [student(number)]} for number in (3, 12, 1)]
    listed = ranking.ranked(MetricsTable(aws.client("dynamodb"), TABLE), "student", "ib_calls_14d", limit=2)
    assert [row["entity_id"] for row in listed.rows] == ["stu_0012", "stu_0003"]
    assert listed.read == 3


def test_by_health_no_more_is_read_than_is_listed(many: Any, asked: list[tuple[str, dict[str, Any]]]) -> None:
    listed = ranking.ranked(MetricsTable(many, TABLE), "student", "health_score", ascending=True, limit=7)
    assert (len(listed.rows), listed.read) == (7, 7)
    assert [operation for operation, _ in asked] == ["DescribeTable", "Query", "BatchGetItem"]
    query, read = asked[1][1], asked[2][1]["RequestItems"][TABLE]
    assert (query["IndexName"], query["Limit"], query["ScanIndexForward"]) == ("EntityTypeHealthIndex", 7, True)
    assert [key["entity_id"]["S"] for key in read["Keys"]] == [row["entity_id"] for row in listed.rows]
    assert "#a0" in read["ProjectionExpression"]


def test_what_changed_last(many: Any, asked: list[tuple[str, dict[str, Any]]]) -> None:
    listed = ranking.recent(MetricsTable(many, TABLE), "student", limit=3)
    assert [row["entity_id"] for row in listed.rows] == ["stu_0000", "stu_0001", "stu_0002"]
    assert [operation for operation, _ in asked] == ["DescribeTable", "Query", "BatchGetItem"]
    query = asked[1][1]
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
        (("tutors", "--by", "health_score"), ["tut_1"]),
        (("tutors", "--by", "available_hours_this_week"), []),
        (("subjects", "--by", "active_students_30d"), []),
        (("subjects", "--by", "demand_score"), ["algebra"]),
        (("regions", "--by", "high_demand_subjects"), ["eu", "us"]),
    ],
)
def test_top_of_each_type(table: Any, arguments: tuple[str, ...], ids: list[str]) -> None:
    result = ops("top", *arguments, *AT, "--output", "json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert [each["entity_id"] for each in told["entities"]] == ids
    assert told["source"] == ("EntityTypeHealthIndex" if "health_score" in arguments else "a scan of the table")


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
    assert (result.exit_code, result.stdout) == (0, "0 entities, from a scan of the table.\n")


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
    ("off", "arguments"),
    [
        ("LastUpdatedIndex", ("recent",)),
        ("LastUpdatedIndex", ("recent", "students")),
        ("EntityTypeHealthIndex", ("top", "students", "--health")),
    ],
)
def test_without_the_index_it_is_the_same_from_a_scan(off: str, arguments: tuple[str, ...]) -> None:
    told = []
    for missing in ((), (off,)):
        with mock_aws():
            metrics_table.make(boto3.client("dynamodb"), metrics_table.stored(*metrics_table.events()), off=missing)
            result = ops(*arguments, *AT, "--output", "json")
            lines = ops(*arguments, *AT)
        assert (result.exit_code, result.stderr, lines.exit_code) == (0, "", 0)
        told.append(json.loads(result.stdout))
        assert f" entities, from {told[-1]['source']}" in lines.stdout
    assert [each["source"] for each in told] == [off, "a scan of the table"]
    by_id = [sorted(each["entities"], key=lambda row: (row["entity_type"], row["entity_id"])) for each in told]
    assert by_id[0] == by_id[1]
    assert by_id[0]


def test_a_scan_holds_no_more_than_is_listed() -> None:
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        metrics_table.make(dynamodb, [student(number) for number in range(30)], off=metrics_table.SORTED_BY)
        table = MetricsTable(dynamodb, TABLE)
        worst = ranking.ranked(table, "student", "health_score", ascending=True, limit=3)
        newest = ranking.recent(table, None, limit=3)
    assert (worst.source, worst.read, newest.source, newest.read) == (ranking.SCAN, 30, ranking.SCAN, 30)
    assert [row["health_score"] for row in worst.rows] == [0, 0.7, 1.4]
    assert [row["entity_id"] for row in newest.rows] == ["stu_0000", "stu_0001", "stu_0002"]


INDEXED = (("top", "students", "--health"), ("recent", "students"))
SCANNED = (("top", "tutors", "--by", "sessions_7d"),)


@pytest.mark.parametrize(
    ("operation", "call", "code", "says", "commands"),
    [
        ("describe_table", "DescribeTable", "AccessDeniedException", "dynamodb:DescribeTable is needed", INDEXED),
        ("query", "Query", "AccessDeniedException", "dynamodb:Query is needed", INDEXED),
        ("batch_get_item", "BatchGetItem", "AccessDeniedException", "dynamodb:BatchGetItem is needed", INDEXED),
        ("scan", "Scan", "AccessDeniedException", "dynamodb:Scan is needed", SCANNED),
        (
            "query",
            "Query",
            "ProvisionedThroughputExceededException",
            "AWS throttles Query on the table metrics: wait",
            INDEXED,
        ),
        ("describe_table", "DescribeTable", "ResourceNotFoundException", "the table metrics does not exist", INDEXED),
        ("scan", "Scan", "ResourceNotFoundException", "the table metrics does not exist", SCANNED),
    ],
)
def test_what_aws_refuses(
    account: Account, operation: str, call: str, code: str, says: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    account.answers["query"] = {"Items": [student(1)]}
    account.answers[operation] = refused(call, code)
    for arguments in commands:
        result = ops(*arguments, *AT)
        assert result.exit_code == 254
        assert says in said(result)
