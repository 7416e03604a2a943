"""The endpoint answers as AWS does where the handlers can tell the difference, and counts what was asked of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from bench.endpoint import Endpoint

TABLE, STATE = "metrics", "state"
KEY = {"entity_id": {"S": "stu_1"}, "entity_type": {"S": "student"}}
ITEM: dict[str, dict[str, Any]] = {**KEY, "version": {"N": "1"}, "facts": {"B": b"\x00\x01"}}
INSERT = f"INSERT INTO \"{TABLE}\" VALUE {{'entity_id': ?, 'entity_type': ?, 'version': ?, 'facts': ?}}"
UPDATE = (
    f'UPDATE "{TABLE}" SET "version" = ? REMOVE "facts" '  # noqa: S608 - nothing of it comes from outside
    'WHERE "entity_id" = ? AND "entity_type" = ? AND "version" = ?'
)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as made:
        yield made


def client(endpoint: Endpoint, service: str) -> Any:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, endpoint_url=endpoint.url, region_name="us-east-1", **keys)


def execute(dynamodb: Any, statement: str, *parameters: dict[str, Any]) -> str:
    """Runs one statement; returns its error's code, or nothing."""
    (answer,) = dynamodb.batch_execute_statement(Statements=[{"Statement": statement, "Parameters": list(parameters)}])[
        "Responses"
    ]
    return str(answer.get("Error", {}).get("Code", ""))


def test_statements_are_conditional_and_items_are_kept_as_they_are(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    assert execute(dynamodb, INSERT, *ITEM.values()) == ""
    assert execute(dynamodb, INSERT, *ITEM.values()) == "DuplicateItem"
    assert dynamodb.get_item(TableName=TABLE, Key=KEY)["Item"] == ITEM
    assert execute(dynamodb, UPDATE, {"N": "2"}, *KEY.values(), {"N": "1"}) == ""
    assert execute(dynamodb, UPDATE, {"N": "2"}, *KEY.values(), {"N": "1"}) == "ConditionalCheckFailed"
    read = dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [KEY, {**KEY, "entity_id": {"S": "stu_2"}}]}})
    assert read["Responses"][TABLE] == [{**KEY, "version": {"N": "2"}}]
    assert read["UnprocessedKeys"] == {}


def test_what_it_does_not_know_it_refuses(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    with pytest.raises(ClientError, match="ValidationException"):
        execute(dynamodb, f'DELETE FROM "{TABLE}" WHERE "entity_id" = ?', KEY["entity_id"])  # noqa: S608
    with pytest.raises(ClientError, match="ListTables"):
        dynamodb.list_tables()


def test_usage_is_counted_exactly(endpoint: Endpoint) -> None:
    dynamodb, events, s3 = (client(endpoint, name) for name in ("dynamodb", "events", "s3"))
    dynamodb.put_item(TableName=TABLE, Item=ITEM)
    dynamodb.get_item(TableName=TABLE, Key=KEY)
    execute(dynamodb, INSERT, *ITEM.values())
    events.put_events(Entries=[{"Source": "s", "DetailType": "t", "Detail": "{}"}] * 3)
    s3.put_object(Bucket="quarantine", Key="records/1.json", Body=b"{}")
    usage = endpoint.used()
    operations = ("PutItem", "GetItem", "BatchExecuteStatement", "PutEvents", "PutObject")
    assert usage.calls == dict.fromkeys(operations, 1)
    assert usage.total_calls == 5
    assert (usage.statements, usage.refused, usage.entries, usage.items_written) == (1, 1, 3, 1)
    assert usage.read_units == 0.5
    assert usage.write_units == 2  # the put and the refused insert
    assert 0 < usage.body_bytes < usage.bytes_received + usage.bytes_sent
    endpoint.reset()
    assert endpoint.used().total_calls == 0


def test_a_table_is_restored_and_others_are_left_alone(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    endpoint.load(TABLE, [{**KEY, "version": {"N": "1"}}])
    endpoint.keep()
    for table in (TABLE, "other"):
        dynamodb.put_item(TableName=table, Item={**KEY, "version": {"N": "7"}})
    dynamodb.put_item(TableName=STATE, Item=WAKE)
    endpoint.restore(TABLE)
    assert [item["version"] for item in endpoint.items_of(TABLE)] == [{"N": "1"}]
    assert [item["version"] for item in endpoint.items_of("other")] == [{"N": "7"}]
    assert endpoint.items_of(STATE) == [WAKE]
    endpoint.restore("other", STATE)
    assert endpoint.items_of("other") == endpoint.items_of(STATE) == []


WAKE: dict[str, dict[str, Any]] = {"pk": {"S": "wake#1"}, "sk": {"S": "000000000300#0123"}, "expires": {"N": "600"}}


def test_wakes_are_put_deleted_and_found_by_lane_and_moment(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    later, elsewhere = WAKE | {"sk": {"S": "000000000600#0123"}}, WAKE | {"pk": {"S": "wake#2"}}

    def due(after: str) -> list[Any]:
        query = {"ExpressionAttributeValues": {":lane": WAKE["pk"], ":after": {"S": after}}}
        found: list[Any] = dynamodb.query(
            TableName=STATE, KeyConditionExpression="pk = :lane AND sk < :after", **query
        )["Items"]
        return found

    def write(*requests: dict[str, Any]) -> None:
        answer = dynamodb.batch_write_item(RequestItems={STATE: requests})
        assert answer["UnprocessedItems"] == {}

    write(*({"PutRequest": {"Item": each}} for each in (later, WAKE, elsewhere)))
    assert due("000000000301") == [WAKE]
    assert due("000000000601") == [WAKE, later]
    write({"DeleteRequest": {"Key": {name: WAKE[name] for name in ("pk", "sk")}}})
    assert due("000000000601") == [later]
    usage = endpoint.used()
    assert usage.calls == {"BatchWriteItem": 2, "Query": 3}
    assert (usage.wakes_written, usage.state_write_units, usage.write_units) == (4, 4, 4)
    assert (usage.items_written, usage.read_units) == (0, 1.5)
    with pytest.raises(ClientError, match="26 requests in a call, allowed: 1 to 25"):
        write(*({"PutRequest": {"Item": WAKE | {"sk": {"S": str(each)}}}} for each in range(26)))
    with pytest.raises(ClientError, match="KeyConditionExpression"):
        dynamodb.query(
            TableName=STATE, KeyConditionExpression="pk = :lane", ExpressionAttributeValues={":lane": WAKE["pk"]}
        )


def test_a_transaction_writes_all_or_nothing_and_costs_double(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    tail = {"pk": {"S": "tail#student#stu_1"}, "sk": {"S": "facts"}, "facts": {"B": bytes(1_500)}}

    def move(version: str, **condition: Any) -> None:
        item = {"TableName": TABLE, "Item": ITEM | {"version": {"N": version}}, **condition}
        dynamodb.transact_write_items(TransactItems=[{"Put": item}, {"Put": {"TableName": STATE, "Item": tail}}])

    of_version = {"ConditionExpression": "version = :version", "ExpressionAttributeValues": {":version": {"N": "1"}}}
    with pytest.raises(ClientError) as refused:
        move("2", **of_version)
    assert refused.value.response["CancellationReasons"] == [{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]
    assert endpoint.items_of(STATE) == []
    move("1", ConditionExpression="attribute_not_exists(entity_id)")
    move("2", **of_version)
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        move("3", ConditionExpression="attribute_not_exists(entity_id)")
    assert [item["version"] for item in endpoint.items_of(TABLE)] == [{"N": "2"}]
    assert len(endpoint.items_of(STATE)) == 1
    usage = endpoint.used()
    assert (usage.calls, usage.moves, usage.items_written) == ({"TransactWriteItems": 4}, 2, 2)
    assert usage.move_write_units == usage.write_units == 2 * 2 * (1 + 2)
    with pytest.raises(ClientError, match="ConditionExpression"):
        move("3", ConditionExpression="version > :version")


def test_the_number_of_lanes_is_put_and_read(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    lanes = {"pk": {"S": "lanes"}, "sk": {"S": "most"}}
    assert "Item" not in dynamodb.get_item(TableName=STATE, Key=lanes)
    dynamodb.put_item(TableName=STATE, Item=lanes | {"lanes": {"N": "4"}})
    assert dynamodb.get_item(TableName=STATE, Key=lanes)["Item"]["lanes"] == {"N": "4"}


def test_pages_go_to_segments_by_turns(endpoint: Endpoint, tmp_path: Path) -> None:
    dynamodb = client(endpoint, "dynamodb")
    for each in range(5):
        page = [{**KEY, "version": {"N": str(each)}}]
        (tmp_path / f"{each}.json").write_text(json.dumps(page))
    endpoint.pages(tmp_path, 5, 1_000)
    described = dynamodb.describe_table(TableName=TABLE)["Table"]
    assert (described["ItemCount"], described["TableSizeBytes"]) == (5, 1_000)
    for segments, expected in ((2, [["0", "2", "4"], ["1", "3"]]), (6, [["0"], ["1"], ["2"], ["3"], ["4"], []])):
        pages = dynamodb.get_paginator("scan")
        found = [
            [
                item["version"]["N"]
                for page in pages.paginate(TableName=TABLE, Segment=each, TotalSegments=segments)
                for item in page["Items"]
            ]
            for each in range(segments)
        ]
        assert found == expected


def test_calls_are_recorded(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    endpoint.record()
    dynamodb.get_item(TableName=TABLE, Key=KEY)
    ((operation, path, body),) = endpoint.recorded()
    assert (operation, path) == ("GetItem", "/")
    assert TABLE in body
    dynamodb.get_item(TableName=TABLE, Key=KEY)
    endpoint.record()
    assert endpoint.recorded() == []


def test_calls_wait_as_long_as_told(endpoint: Endpoint) -> None:
    dynamodb = client(endpoint, "dynamodb")
    dynamodb.get_item(TableName=TABLE, Key=KEY)
    endpoint.wait(0.2)
    begun = time.monotonic()
    dynamodb.get_item(TableName=TABLE, Key=KEY)
    assert time.monotonic() - begun >= 0.19
