"""A rollup over many functions: the deployed state machine over the deployed table, against one function's rollup."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.deploy import Deployment
from local.flow import Flow
from local.ministack import LocalAws
from tests.helpers.deployment import event_json

PARTS = 3


@pytest.fixture
def function(ministack: LocalAws, deployment: Deployment) -> Iterator[dict[str, Any]]:
    """The rollup's configuration; afterwards it is as it was."""
    client = ministack.client("lambda")
    name, as_deployed = deployment.outputs["RollupFunctionName"], {}
    as_deployed.update(client.get_function_configuration(FunctionName=name)["Environment"])
    try:
        yield as_deployed
    finally:
        client.update_function_configuration(FunctionName=name, Environment=as_deployed)


def session(number: int) -> bytes:
    """A group session of two students, an hour and more ago."""
    payload = {
        "session_id": f"many-{number // 2}",
        "student_id": f"stu_many_{number % 6}",
        "tutor_id": f"tut_many_{number // 2 % 3}",
        "subject": f"many-{number // 2 % 2}",
        "tutor_rating": number // 2 % 6,
        "completed_successfully": number % 3 > 0,
    }
    at = datetime.now(UTC) - timedelta(hours=1 + 9 * (number // 2))
    return event_json("session_completed", payload, timestamp=at.isoformat())


def test_many_functions_find_what_one_finds(
    flow: Flow, ministack: LocalAws, deployment: Deployment, function: dict[str, Any]
) -> None:
    flow.send(map(session, range(80)))
    flow.wait()
    table, machine = deployment.outputs["MetricsTableName"], deployment.outputs["RollupStateMachineArn"]
    items = ministack.client("dynamodb").describe_table(TableName=table)["Table"]["ItemCount"]
    # Each part is for half of what a function takes on; so many are more than it does.
    fewer = {"ROLLUP_DISTRIBUTED_ITEMS": str(-(-2 * items // PARTS))}
    ministack.client("lambda").update_function_configuration(
        FunctionName=deployment.outputs["RollupFunctionName"],
        Environment={"Variables": {**function["Variables"], **fewer}},
    )
    begun = flow.rollup()
    assert (begun["begun"], begun["sources"]) == (1, PARTS)
    states = ministack.client("stepfunctions")
    (execution, *_) = states.list_executions(stateMachineArn=machine)["executions"]
    described: dict[str, Any] = {"status": "RUNNING"}
    for _ in range(360):
        described = states.describe_execution(executionArn=execution["executionArn"])
        if described["status"] != "RUNNING":
            break
        time.sleep(0.5)
    assert described["status"] == "SUCCEEDED", described
    finished = json.loads(described["output"])
    assert finished["items"] >= items
    assert finished["written"] > 0
    found = {key: flow.items()["subject", key] for key in ("many-0", "many-1")}
    assert [item["sessions_30d"] for item in found.values()] == [20, 20]
    assert [item["active_students_30d"] for item in found.values()] == [6, 6]
    assert all(item["rolled_up"]["as_of"] == finished["as_of"] for item in found.values())

    ministack.client("lambda").update_function_configuration(
        FunctionName=deployment.outputs["RollupFunctionName"], Environment=function
    )
    flow.rollup()
    assert {key: flow.items()["subject", key] for key in found} == found, "it finds the same"
