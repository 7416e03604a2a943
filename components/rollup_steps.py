"""The rollup over many functions as a Step Functions definition: read the table's parts, sum by partition, finish.

Only says in which order functions are called, how many at once, and what becomes of failures (Amazon States Language
specification; Step Functions developer guide, "Distributed mode"). What the steps do is the functions' business.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

State: TypeAlias = dict[str, Any]

# Step Functions developer guide, "Handle transient Lambda service exceptions".
_LAMBDA_FAILED: Final = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]
_RETRY: Final = [
    {
        "ErrorEquals": _LAMBDA_FAILED,
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxDelaySeconds": 60,
        "MaxAttempts": 8,
        "JitterStrategy": "FULL",
    },
    # A throttled table or bucket, most likely: every step may be done again.
    {
        "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
        "IntervalSeconds": 15,
        "BackoffRate": 2,
        "MaxDelaySeconds": 120,
        "MaxAttempts": 3,
        "JitterStrategy": "FULL",
    },
]
_HOURS_AT_MOST: Final = 6
MAPS: Final = ("sources", "partitions")
"""The labels of the distributed maps, which read the lists of these names. Their executions are of `machine/label`."""


def definition(
    *, partition: str, bucket: str, functions: Mapping[str, str], timeout_seconds: int, max_concurrency: int
) -> State:
    """The state machine as data.

    Parameters
    ----------
    partition
        AWS's: `aws`, `aws-cn`.
    bucket
        Where the runs' parts are, and the lists of what is to be done.
    functions
        The ARNs of `map`, `reduce` and `finish`.
    timeout_seconds
        That of each function.
    max_concurrency
        Most functions at once.
    """

    def task(function: str, payload: State) -> State:
        return {
            "Type": "Task",
            "Resource": f"arn:{partition}:states:::lambda:invoke",
            "Parameters": {"FunctionName": functions[function], "Payload": payload},
            # Lambda ends the function itself; this is for a call of which nothing is heard any more.
            "TimeoutSeconds": timeout_seconds + 60,
            "Retry": _RETRY,
        }

    def over(items: str, item: str, function: str) -> State:
        """Calls a function for each of the items, which a file of the run lists, each in an execution of its own."""
        # What the calls answer is left out: thousands of answers are more than a state's output may have (256 KiB).
        call = {**task(function, {"run.$": "$.run", f"{item}.$": f"$.{item}"}), "OutputPath": None, "End": True}
        return {
            "Type": "Map",
            "Label": items,
            "ItemReader": {
                "Resource": f"arn:{partition}:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSON"},
                "Parameters": {"Bucket": bucket, "Key.$": f"States.Format('runs/{{}}/{items}.json', $.name)"},
            },
            "ItemSelector": {"run.$": "$", f"{item}.$": "$$.Map.Item.Value"},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Call",
                "States": {"Call": call},
            },
            "MaxConcurrency": max_concurrency,
            "ResultPath": None,
        }

    steps = {
        "Read the table": over(MAPS[0], "source", "map"),
        "Sum by partition": over(MAPS[1], "partition", "reduce"),
        "Finish": {**task("finish", {"finish.$": "$"}), "OutputPath": "$.Payload"},
    }
    failed = {"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "$.Cause"}
    ends = [{"Next": name} for name in [*steps][1:]] + [{"End": True}]
    caught = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}]}
    states = {name: {**step, **caught, **end} for (name, step), end in zip(steps.items(), ends, strict=True)}
    return {
        "Comment": "A rollup over many functions.",
        "StartAt": next(iter(states)),
        "TimeoutSeconds": _HOURS_AT_MOST * 3600,
        "States": {**states, "Failed": failed},
    }
