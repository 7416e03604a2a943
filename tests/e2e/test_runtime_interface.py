"""The deployed processor's code and layer as Lambda runs them: under the runtime interface client, on the local AWS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle import layer
from functions.aws import clock
from local.deploy import Deployment
from local.ministack import LocalAws
from local.runtime_api import Function, FunctionError, running, unpack
from tests.helpers.deployment import delivery, event_json, record

HANDLER = "functions.processor.handler.lambda_handler"


@pytest.fixture(scope="module")
def environment(ministack: LocalAws, deployment: Deployment) -> dict[str, str]:
    """What the deployed function is told, and the way to the local AWS."""
    name = deployment.outputs["ProcessFunctionName"]
    configuration = ministack.client("lambda").get_function_configuration(FunctionName=name)
    return {**configuration["Environment"]["Variables"], **ministack.environment(), "AWS_LAMBDA_FUNCTION_NAME": name}


@pytest.fixture(scope="module")
def path(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    code = unpack("processor", tmp_path_factory.mktemp("task"))
    return [code, layer.build(layer.LOCAL) / "python", runtime]


@pytest.fixture
def function(environment: dict[str, str], path: list[Path]) -> Iterator[Function]:
    with running(HANDLER, environment, path) as started:
        yield started


def messages(function: Function) -> list[dict[str, Any]]:
    """Every line of the log, each of which must be JSON."""
    return [json.loads(line) for line in function.log().splitlines() if line]


def test_a_batch_is_taken_in_and_answered(ministack: LocalAws, deployment: Deployment, function: Function) -> None:
    now = clock.now_ms()
    call = event_json("ib_call_logged", {"student_id": "under-ric", "call_id": "1"})
    answer = function.invoke(delivery([record(call, 1, now), record(call, 2, now), record(b"poison", 3, now)]))
    assert answer == {"batchItemFailures": []}
    key = {"entity_id": {"S": "under-ric"}, "entity_type": {"S": "student"}}
    table = deployment.outputs["MetricsTableName"]
    item = ministack.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    assert item["ib_calls_14d"] == {"N": "1"}
    bucket = deployment.outputs["QuarantineBucketName"]
    kept = ministack.client("s3").list_objects_v2(Bucket=bucket, Prefix="records/")["Contents"]
    assert [each for each in kept if each["Key"].endswith(f"{3:021d}.json")]


def test_what_is_logged_is_json_with_lambdas_context(deployment: Deployment, function: Function) -> None:
    function.invoke(delivery([]))
    logged = {line["message"]: line for line in messages(function) if "message" in line}
    assert {"Processing 0 records from Kinesis", "Batch processing complete"} <= logged.keys()
    line = logged["Batch processing complete"]
    assert (line["level"], line["service"], line["cold_start"]) == ("INFO", "processor", True)
    assert line["function_name"] == deployment.outputs["ProcessFunctionName"]
    assert line["function_request_id"]
    (figures,) = [line for line in messages(function) if "_aws" in line]
    assert figures["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "iops-dashboard-dev"


def test_records_that_cannot_be_committed_are_reported(environment: dict[str, str], path: list[Path]) -> None:
    nowhere = {**environment, "DYNAMODB_TABLE_NAME": "no-such-table"}
    call = event_json("ib_call_logged", {"student_id": "under-ric", "call_id": "2"})
    with running(HANDLER, nowhere, path) as function:
        answer = function.invoke(delivery([record(call, 7, clock.now_ms())]))
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{7:021d}"}]}


def test_a_missing_variable_is_one_clear_error(environment: dict[str, str], path: list[Path]) -> None:
    without = {name: value for name, value in environment.items() if name != "DYNAMODB_TABLE_NAME"}
    with pytest.raises(FunctionError) as raised, running(HANDLER, without, path) as function:
        function.invoke(delivery([]))
    assert str(raised.value) == (
        "ConfigError: environment variable DYNAMODB_TABLE_NAME is missing; it must name the deployed resource"
    )


def test_an_event_of_another_service_is_an_error(function: Function) -> None:
    with pytest.raises(FunctionError) as raised:
        function.invoke({"detail-type": "Scheduled Event"})
    assert raised.value.error_type == "KeyError"
    assert function.invoke(delivery([])) == {"batchItemFailures": []}
