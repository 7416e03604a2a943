"""The rollup's state machine as data: it is well-formed, forgets no failure, and asks for nothing that AWS has not."""

from collections.abc import Iterator
from typing import Any

import pytest

from components.rollup_steps import definition

FUNCTIONS = {
    step: f"arn:aws:lambda:eu-west-1:123456789012:function:rollup-{step}" for step in ("map", "reduce", "finish")
}
MACHINE = definition(partition="aws", bucket="runs", functions=FUNCTIONS, timeout_seconds=900, max_concurrency=7)
STATES = MACHINE["States"]
MAPS = {"Read the table": ("sources", "source", "map"), "Sum by partition": ("partitions", "partition", "reduce")}

# Amazon States Language specification, "State Types": which fields a state of this type may have, beside those of all.
COMMON = {"Type", "Next", "End"}
FIELDS = {
    "Task": {"Resource", "Parameters", "OutputPath", "ResultPath", "TimeoutSeconds", "Retry", "Catch"},
    "Map": {
        "Label",
        "ItemReader",
        "ItemSelector",
        "ItemProcessor",
        "MaxConcurrency",
        "ResultPath",
        "Retry",
        "Catch",
    },
    "Fail": {"ErrorPath", "CausePath"},
}


def machines() -> Iterator[dict[str, Any]]:
    """The machine and those in its maps."""
    yield MACHINE
    for name in MAPS:
        yield STATES[name]["ItemProcessor"]


def tasks() -> Iterator[dict[str, Any]]:
    for machine in machines():
        yield from (state for state in machine["States"].values() if state["Type"] == "Task")


def test_every_state_is_reached_and_leads_to_an_end() -> None:
    for machine in machines():
        states, reached, ahead = machine["States"], set(), [machine["StartAt"]]
        while ahead:
            name = ahead.pop()
            if name not in reached:
                reached.add(name)
                state = states[name]
                ahead += [state["Next"]] if "Next" in state else []
                ahead += [catch["Next"] for catch in state.get("Catch", [])]
                ends = [key for key in ("Next", "End") if key in state]
                assert len(ends) == (0 if state["Type"] == "Fail" else 1), name
        assert reached == states.keys()


def test_every_state_has_fields_of_its_type() -> None:
    for machine in machines():
        for name, state in machine["States"].items():
            assert len(name) <= 80
            assert state.keys() <= FIELDS[state["Type"]] | COMMON, name


def test_the_steps_are_made_one_after_the_other() -> None:
    order, name = [], MACHINE["StartAt"]
    while name:
        order.append(name)
        name = STATES[name].get("Next")
    assert order == ["Read the table", "Sum by partition", "Finish"]
    # Each of the maps passes the run on, and the last step's answer is the execution's.
    assert all(STATES[name]["ResultPath"] is None for name in MAPS)
    assert STATES["Finish"]["Parameters"]["Payload"] == {"finish.$": "$"}
    assert STATES["Finish"]["OutputPath"] == "$.Payload"


@pytest.mark.parametrize("name", MAPS)
def test_a_map_calls_a_function_for_each_item_of_a_file_of_the_run(name: str) -> None:
    items, item, function = MAPS[name]
    state = STATES[name]
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert state["MaxConcurrency"] == 7
    assert state["ItemReader"] == {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "runs", "Key.$": f"States.Format('runs/{{}}/{items}.json', $.name)"},
    }
    assert state["ItemSelector"] == {"run.$": "$", f"{item}.$": "$$.Map.Item.Value"}
    (call,) = state["ItemProcessor"]["States"].values()
    assert call["Parameters"] == {
        "FunctionName": FUNCTIONS[function],
        "Payload": {"run.$": "$.run", f"{item}.$": f"$.{item}"},
    }
    # A failed item fails the map: nothing is tolerated.
    assert not any(key.startswith("Tolerated") for key in state)
    # The answers of thousands would not fit into the map's output.
    assert call["OutputPath"] is None


def test_every_call_is_tried_again_and_ended_after_its_function() -> None:
    called = list(tasks())
    assert {task["Parameters"]["FunctionName"] for task in called} == set(FUNCTIONS.values())
    for task in called:
        assert task["Resource"] == "arn:aws:states:::lambda:invoke"
        assert 900 < task["TimeoutSeconds"] < 1000
        caught = [error for retry in task["Retry"] for error in retry["ErrorEquals"]]
        assert len(caught) == len(set(caught))
        assert {"States.TaskFailed", "States.Timeout", "Lambda.TooManyRequestsException"} <= set(caught)
        for retry in task["Retry"]:
            assert (retry["JitterStrategy"], retry["BackoffRate"]) == ("FULL", 2)
            assert 1 <= retry["MaxAttempts"] <= 8
        # Of retriers the first that matches counts, and States.TaskFailed matches whatever a function raises.
        assert "States.TaskFailed" in task["Retry"][-1]["ErrorEquals"]


def test_every_failure_fails_the_execution_with_its_own_words() -> None:
    assert STATES["Failed"] == {"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "$.Cause"}
    for name in ("Read the table", "Sum by partition", "Finish"):
        assert STATES[name]["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}]
    # Longer than every step with all its attempts, so that it is the functions' failures that are told of.
    assert MACHINE["TimeoutSeconds"] == 6 * 3600


def test_the_integrations_are_of_the_partition() -> None:
    text = str(definition(partition="aws-cn", bucket="b", functions=FUNCTIONS, timeout_seconds=1, max_concurrency=1))
    assert "arn:aws-cn:states:::lambda:invoke" in text
    assert "arn:aws:states" not in text
