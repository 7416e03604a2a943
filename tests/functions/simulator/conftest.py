"""A stream in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.simulator import handler

STREAM = "test-events"


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("EVENT_STREAM_NAME", STREAM),
    ):
        monkeypatch.setenv(name, value)
    handler._kinesis.cache_clear()
    with mock_aws():
        client = boto3.client("kinesis")
        client.create_stream(StreamName=STREAM, ShardCount=1)
        yield client
    handler._kinesis.cache_clear()


@pytest.fixture
def on_stream(kinesis: Any) -> Callable[[], list[dict[str, Any]]]:
    """Reads all records from the stream's beginning."""

    def read() -> list[dict[str, Any]]:
        shard = kinesis.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
        iterator = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        records: list[dict[str, Any]] = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        return records

    return read
