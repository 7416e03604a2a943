"""What DynamoDB would bill: sizes, and units by table and index."""

from typing import Any

from components.metrics_store import MetricsStore
from proof.metered import INDEXES, READ, TABLE, MeteredAws, item_size, write_units
from tests.helpers.recorded_program import record

_SMALL: dict[str, Any] = {
    "entity_id": {"S": "stu_1"},
    "entity_type": {"S": "student"},
    "health_score": {"N": "85"},
    "last_updated": {"S": "2026-11-23T10:00:00.000Z"},
    "sessions_7d": {"N": "3"},
    "due_partition": {"S": "4"},
    "due_at": {"N": "1795428000"},
}


def test_sizes_are_those_of_the_developer_guide() -> None:
    assert item_size({"name": {"S": "aé"}}) == 4 + 3
    assert item_size({"n": {"N": "-12.50"}}) == 1 + 4  # three significant digits, one byte more, one for the sign
    assert item_size({"n": {"N": "1000000"}}) == 1 + 2
    assert item_size({"b": {"B": bytes(24)}}) == 1 + 24
    assert item_size({"b": {"BOOL": True}}) == 1 + 1
    assert item_size({"l": {"L": [{"S": "ab"}]}}) == 1 + 3 + 1 + 2
    assert item_size({"m": {"M": {"k": {"S": "ab"}}}}) == 1 + 3 + 1 + 1 + 2


def test_a_new_item_bills_the_table_and_each_index_that_has_its_key() -> None:
    assert write_units(None, _SMALL) == {TABLE: 1, **dict.fromkeys(INDEXES, 1)}
    undue = {name: value for name, value in _SMALL.items() if not name.startswith("due_")}
    assert write_units(None, undue)["DueIndex"] == 0


def test_an_index_bills_one_write_for_what_it_projects_and_two_for_its_key() -> None:
    counted = {**_SMALL, "sessions_7d": {"N": "4"}}
    assert write_units(_SMALL, counted) == {TABLE: 1, "EntityTypeHealthIndex": 1, "LastUpdatedIndex": 1}
    later = {**_SMALL, "last_updated": {"S": "2026-11-23T10:01:00.000Z"}}
    assert write_units(_SMALL, later) == {TABLE: 1, "EntityTypeHealthIndex": 1, "LastUpdatedIndex": 2}
    internal = {**_SMALL, "facts": {"B": bytes(24)}}
    assert write_units(_SMALL, internal) == {TABLE: 1}


def test_a_write_bills_the_larger_of_both_sizes() -> None:
    large = {**_SMALL, "facts": {"B": bytes(5_000)}}
    assert write_units(large, _SMALL)[TABLE] == write_units(_SMALL, large)[TABLE] == 6


def test_reads_bill_four_kilobytes_a_unit_and_a_missing_item_too() -> None:
    aws = MeteredAws()
    aws.items["student", "stu_1"] = {**_SMALL, "facts": {"B": bytes(5_000)}}
    keys = [{"entity_id": {"S": name}, "entity_type": {"S": "student"}} for name in ("stu_1", "stu_2")]
    aws.client("dynamodb").batch_get_item(RequestItems={"metrics": {"Keys": keys}})
    assert aws.units == {READ: 2 + 1}


def test_the_indexes_are_those_of_the_program() -> None:
    recorded = record(lambda: MetricsStore("metrics", {"name_prefix": "iops"}))
    declared = {}
    for index in recorded.one("aws:dynamodb/table:Table").inputs["globalSecondaryIndexes"]:
        keys = tuple(key["attributeName"] for key in index["keySchemas"])
        declared[index["name"]] = (keys, tuple(index.get("nonKeyAttributes") or ()))
    assert declared == INDEXES
