"""What DynamoDB would bill: sizes, and units by table and index."""

from typing import Any

from components.metrics_store import MetricsStore
from functions.entities.attribute_values import size_of
from proof.metered import INDEXES, MOVE, QUERY, READ, STATE, TABLE, MeteredAws, write_units
from tests.helpers.recorded_program import record

_SMALL: dict[str, Any] = {
    "entity_id": {"S": "stu_1"},
    "entity_type": {"S": "student"},
    "health_score": {"N": "85"},
    "last_updated": {"S": "2026-11-23T10:00:00.000Z"},
    "sessions_7d": {"N": "3"},
}


def test_sizes_are_those_of_the_developer_guide() -> None:
    assert size_of({"name": {"S": "aé"}}) == 4 + 3
    assert size_of({"n": {"N": "-12.50"}}) == 1 + 4  # three significant digits, one byte more, one for the sign
    assert size_of({"n": {"N": "1000000"}}) == 1 + 2
    assert size_of({"b": {"B": bytes(24)}}) == 1 + 24
    assert size_of({"b": {"BOOL": True}}) == 1 + 1
    assert size_of({"l": {"L": [{"S": "ab"}]}}) == 1 + 3 + 1 + 2
    assert size_of({"m": {"M": {"k": {"S": "ab"}}}}) == 1 + 3 + 1 + 1 + 2


def test_a_new_item_bills_the_table_and_each_index_that_has_its_key() -> None:
    assert write_units(None, _SMALL) == {TABLE: 1, **dict.fromkeys(INDEXES, 1)}
    keyless = {name: value for name, value in _SMALL.items() if name != "health_score"}
    assert write_units(None, keyless) == {TABLE: 1}


def test_an_index_of_keys_bills_nothing_while_its_key_stays_and_two_writes_when_it_changes() -> None:
    for name, value in (("sessions_7d", {"N": "4"}), ("last_updated", {"S": "2026-11-23T10:01:00.000Z"})):
        assert write_units(_SMALL, {**_SMALL, name: value}) == {TABLE: 1}
    worse = {**_SMALL, "health_score": {"N": "42"}}
    assert write_units(_SMALL, worse) == {TABLE: 1, "EntityTypeHealthIndex": 2}
    keyless = {name: value for name, value in _SMALL.items() if name != "health_score"}
    assert write_units(_SMALL, keyless) == write_units(keyless, _SMALL) == {TABLE: 1, "EntityTypeHealthIndex": 1}


def test_an_index_of_all_attributes_bills_a_write_for_any_change_and_two_for_its_key() -> None:
    indexes = {"LastUpdatedIndex": ("entity_type", "last_updated"), **INDEXES}

    def units(after: dict[str, Any]) -> dict[str, int]:
        return dict(write_units(_SMALL, after, indexes, keys_only=False))

    assert units(_SMALL) == {TABLE: 1}
    assert units({**_SMALL, "sessions_7d": {"N": "4"}}) == {TABLE: 1, **dict.fromkeys(indexes, 1)}
    later = {**_SMALL, "last_updated": {"S": "2026-11-23T10:01:00.000Z"}}
    assert units(later) == {TABLE: 1, "LastUpdatedIndex": 2, "EntityTypeHealthIndex": 1}


def test_a_move_bills_item_and_tail_double_and_the_index_once() -> None:
    aws = MeteredAws()
    key = {"pk": {"S": "tail#student#stu_1"}, "sk": {"S": "facts"}}
    tail = {"TableName": "state", "Item": {**key, "facts": {"B": bytes(3_000)}}}
    item = {"TableName": "metrics", "Item": _SMALL, "ConditionExpression": "attribute_not_exists(entity_id)"}
    aws.client("dynamodb").transact_write_items(TransactItems=[{"Put": item}, {"Put": tail}])
    assert aws.units == {MOVE: 2 * (1 + 3), "EntityTypeHealthIndex": 1}
    assert aws.written == 1


def test_a_write_bills_the_larger_of_both_sizes() -> None:
    large = {**_SMALL, "facts": {"B": bytes(5_120)}}
    assert write_units(large, _SMALL)[TABLE] == write_units(_SMALL, large)[TABLE] == 6


def test_reads_bill_four_kilobytes_a_unit_and_a_missing_item_too() -> None:
    aws = MeteredAws()
    aws.items["student", "stu_1"] = {**_SMALL, "facts": {"B": bytes(5_000)}}
    keys = [{"entity_id": {"S": name}, "entity_type": {"S": "student"}} for name in ("stu_1", "stu_2")]
    aws.client("dynamodb").batch_get_item(RequestItems={"metrics": {"Keys": keys}})
    assert aws.units == {READ: 2 + 1}


def test_wakes_bill_the_internal_table_by_the_larger_of_before_and_after() -> None:
    aws = MeteredAws()
    dynamodb = aws.client("dynamodb")

    def units(request: dict[str, Any]) -> int:
        aws.units.clear()
        dynamodb.batch_write_item(RequestItems={"state": [request]})
        assert set(aws.units) <= {STATE}
        return aws.units[STATE]

    key = {"pk": {"S": "wake#0"}, "sk": {"S": "1"}}
    small, large = ({"PutRequest": {"Item": {**key, "entities": {"S": "x" * size}}}} for size in (900, 1_500))
    assert [units(small), units(large), units(small), units(small)] == [1, 2, 2, 1]
    assert units({"DeleteRequest": {"Key": key}}) == 1


def test_a_query_bills_each_four_kilobytes_and_one_step_at_least() -> None:
    aws = MeteredAws()
    dynamodb = aws.client("dynamodb")

    def units() -> int:
        aws.units.clear()
        query = {
            "KeyConditionExpression": "pk = :lane AND sk < :after",
            "ExpressionAttributeValues": {":lane": {"S": "wake#0"}, ":after": {"S": "9"}},
        }
        for _ in dynamodb.get_paginator("query").paginate(TableName="state", **query):
            pass
        assert set(aws.units) == {QUERY}
        return aws.units[QUERY]

    assert units() == 1
    key = {"pk": {"S": "wake#0"}, "sk": {"S": "1"}}
    dynamodb.batch_write_item(
        RequestItems={"state": [{"PutRequest": {"Item": {**key, "entities": {"S": "x" * 5_000}}}}]}
    )
    assert units() == 2


def test_the_index_is_what_the_program_has_on_by_default() -> None:
    recorded = record(lambda: MetricsStore("metrics", {"name_prefix": "iops"}))
    (table,) = (
        made.inputs
        for made in recorded.of_type("aws:dynamodb/table:Table")
        if made.inputs.get("globalSecondaryIndexes")
    )
    declared = {
        index["name"]: tuple(key["attributeName"] for key in index["keySchemas"])
        for index in table["globalSecondaryIndexes"]
    }
    assert declared == INDEXES
    assert {index["projectionType"] for index in table["globalSecondaryIndexes"]} == {"KEYS_ONLY"}
