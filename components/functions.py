"""Lambda functions and their schedules as every component makes them: a role, a policy and a log group of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam

RUNTIME = "python3.12"
LONGEST_WAIT_SECONDS = 6 * 3600
"""The longest that Lambda keeps an asynchronous call (developer guide, handling errors of asynchronous invocation)."""


def without_archives(args: Mapping[str, object]) -> dict[str, object]:
    """A component's arguments without its archives: the engine would read and hash each once more for the component."""
    return {key: value for key, value in args.items() if not isinstance(value, pulumi.Archive)}


def given(text: pulumi.Input[str]) -> pulumi.Output[str | None]:
    """The text, or None where it is empty, which leaves a property out."""
    return pulumi.Output.from_input(text).apply(lambda known: known or None)


@dataclass(frozen=True)
class Function:
    """A function with what belongs to it."""

    resource: aws.lambda_.Function
    role: aws.iam.Role
    policy: aws.iam.RolePolicy


def make_logs(
    name: str,
    *,
    function_name: pulumi.Input[str],
    retention_days: pulumi.Input[int],
    key_arn: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> aws.cloudwatch.LogGroup:
    """The log group of the function of this name."""
    return aws.cloudwatch.LogGroup(
        f"{name}-logs",
        name=pulumi.Output.concat("/aws/lambda/", function_name),
        retention_in_days=retention_days,
        kms_key_id=given(key_arn),
        opts=opts,
    )


def make_function(
    name: str,
    *,
    function_name: pulumi.Input[str],
    handler: str,
    code: pulumi.Input[pulumi.Archive],
    statements: Sequence[iam.Statement],
    environment: pulumi.Input[Mapping[str, pulumi.Input[str]]],
    memory_mb: pulumi.Input[int],
    timeout_seconds: pulumi.Input[int],
    architecture: pulumi.Input[str],
    log_retention_days: pulumi.Input[int],
    log_key_arn: pulumi.Input[str],
    tracing: bool,
    opts: pulumi.ResourceOptions,
    layers: Sequence[pulumi.Input[str]] = (),
    storage_mb: pulumi.Input[int] | None = None,
    service_statements: Sequence[iam.Statement] = (),
    dead_letter_queue_arn: pulumi.Input[str] | None = None,
    reserved_concurrency: int = -1,
    logs: aws.cloudwatch.LogGroup | None = None,
) -> Function:
    """A function whose role, of the same name, allows `statements` and writing to its own log group.

    These hold for calls that the function's code makes, and for no other function that is given the role;
    `service_statements` are what services do with the role outside the function, as an event source mapping does.
    The dead-letter queue gets events of asynchronous invocations that fail for good, as they were. Of the concurrency
    that the account has, `reserved_concurrency` is the function's alone, and its limit; -1 sets none aside. Without
    `logs` it makes the log group too.
    """
    logs = logs or make_logs(
        name, function_name=function_name, retention_days=log_retention_days, key_arn=log_key_arn, opts=opts
    )
    role = iam.service_role(f"{name}-role", role_name=function_name, service="lambda.amazonaws.com", opts=opts)
    write_logs = iam.allow(["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(logs.arn, ":*")])
    # Put together from the log group's ARN, for the function itself comes after its policy.
    parts = logs.arn.apply(lambda arn: arn.split(":"))
    own_arn = pulumi.Output.concat(parts.apply(lambda p: f"arn:{p[1]}:lambda:{p[3]}:{p[4]}:function:"), function_name)
    # Lambda says so of the function's own calls and of writing its logs (Lambda developer guide, source function ARN).
    own = [iam.only_when(each, "ArnEquals", "lambda:SourceFunctionArn", own_arn) for each in [*statements, write_logs]]
    # Lambda sends the segments with the function's role; X-Ray knows no resources to name.
    send_traces = [iam.allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"])] if tracing else []
    give_up = [iam.allow(["sqs:SendMessage"], [dead_letter_queue_arn])] if dead_letter_queue_arn is not None else []
    policy = iam.grant(f"{name}-policy", role.name, [*service_statements, *give_up, *send_traces, *own], opts)
    function = aws.lambda_.Function(
        f"{name}-function",
        name=function_name,
        runtime=RUNTIME,
        handler=handler,
        code=code,
        role=role.arn,
        architectures=[architecture],
        memory_size=memory_mb,
        timeout=timeout_seconds,
        reserved_concurrent_executions=None if reserved_concurrency == -1 else reserved_concurrency,
        layers=list(layers),
        environment={"variables": environment},
        ephemeral_storage=None if storage_mb is None else {"size": storage_mb},
        tracing_config={"mode": "Active" if tracing else "PassThrough"},
        dead_letter_config={"target_arn": dead_letter_queue_arn} if dead_letter_queue_arn is not None else None,
        # The functions write JSON themselves; Lambda's own JSON format would filter by a level of its own.
        logging_config={"log_format": "Text", "log_group": logs.name},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[policy])),
    )
    return Function(function, role, policy)


def make_schedule(
    name: str,
    *,
    schedule_name: pulumi.Input[str],
    function: aws.lambda_.Function,
    minutes: int,
    enabled: bool,
    opts: pulumi.ResourceOptions,
    on_the_clock: bool = False,
) -> aws.scheduler.Schedule:
    """Calls the function every so many minutes; on the clock, at the minutes of an hour that are multiples of them.

    A call that fails is not repeated. One that Lambda can't start, for want of concurrency, it drops after one interval
    (but not before a minute has passed, and after six hours at the latest, Lambda's limits): kept for longer, calls of
    hours would run at once.
    """
    # A single schedule's ARN would not do (EventBridge Scheduler user guide, confused deputy prevention).
    parts = function.arn.apply(lambda arn: arn.split(":"))
    group = parts.apply(lambda p: f"arn:{p[1]}:scheduler:{p[3]}:{p[4]}:schedule-group/default")
    role = iam.service_role(
        f"{name}-role",
        role_name=schedule_name,
        service="scheduler.amazonaws.com",
        condition={
            "StringEquals": {"aws:SourceAccount": iam.account(function.arn)},
            "ArnEquals": {"aws:SourceArn": group},
        },
        opts=opts,
    )
    policy = iam.grant(f"{name}-policy", role.name, [iam.allow(["lambda:InvokeFunction"], [function.arn])], opts)
    aws.lambda_.FunctionEventInvokeConfig(
        f"{name}-retries",
        function_name=function.name,
        # Without it a throttled call waits for six hours, whatever the number of retries.
        maximum_event_age_in_seconds=min(60 * minutes, LONGEST_WAIT_SECONDS),
        maximum_retry_attempts=0,
        opts=opts,
    )
    return aws.scheduler.Schedule(
        name,
        name=schedule_name,
        schedule_expression=_on_the_clock(minutes) if on_the_clock else _rate(minutes),
        state="ENABLED" if enabled else "DISABLED",
        flexible_time_window={"mode": "OFF"},
        target={
            "arn": function.arn,
            "role_arn": role.arn,
            "retry_policy": {"maximum_event_age_in_seconds": 60 * minutes, "maximum_retry_attempts": 2},
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[policy])),
    )


def _rate(minutes: int) -> str:
    return "rate(1 minute)" if minutes == 1 else f"rate({minutes} minutes)"


def _on_the_clock(minutes: int) -> str:
    """A divisor of 60 as an expression of EventBridge Scheduler: minutes, hours, days, months, weekdays, years."""
    return f"cron({'0' if minutes == 60 else f'0/{minutes}'} * * * ? *)"
