"""The rollup: a function on a schedule that gives subjects and tutors their figures over all items of the table.

It runs the processor's code with the processor's layer and environment; what it computes is that code's business. For a
table that is more than one function takes on there are a state machine, two more functions, and a bucket between them.
"""

from collections.abc import Sequence
from functools import partial
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import alert_bus, iam, metrics_store
from components.buckets import make_bucket, restrict
from components.functions import Function, given, make_function, make_logs, make_schedule, without_archives
from components.plain import check_plain
from components.rollup_steps import MAPS, State, definition
from functions.environment import STEP

# What Step Functions does to log (developer guide, "Logging in CloudWatch Logs"); none of it knows resources.
_DELIVER_LOGS = [
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:UpdateLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:PutResourcePolicy",
]


class RollupArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the names: functions and state machine `{name_prefix}-rollup...`, bucket `{name_prefix}-rollup-...`."""
    code: pulumi.Archive
    """The processor's code, with functions/rollup: handler.py, map_handler.py and reduce_handler.py."""
    layer_arn: pulumi.Input[str]
    """The processor's dependency layer."""
    environment: pulumi.Input[dict[str, str]]
    """The processor's environment: a rollup takes in what it found as the processor would, and judges alerts alike."""
    table_arn: pulumi.Input[str]
    """The table of metrics."""
    state_table_arn: pulumi.Input[str]
    """The internal table."""
    table_key_arn: NotRequired[str]
    """The customer managed key of that table. Default: none."""
    bus_arn: pulumi.Input[str]
    """The bus of alerts."""
    interval_minutes: NotRequired[int]
    """Minutes between two rollups. Default 15."""
    enabled: NotRequired[bool]
    """Whether the schedule runs. Default True."""
    distributed_items: NotRequired[int]
    """How many items one function takes on; for larger tables there are many functions. 0 makes none of them. Default
    2000000."""
    max_concurrency: NotRequired[int]
    """How many of them run at once. Default 16."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """Memory of each function. Default 1024."""
    storage_mb: NotRequired[pulumi.Input[int]]
    """Its temporary storage, which holds the sessions of what it reads. Default 2048."""
    timeout_seconds: NotRequired[int]
    """Its timeout. Default 900, Lambda's longest."""
    architecture: NotRequired[pulumi.Input[str]]
    """x86_64 or arm64, the one the layer was built for. Default x86_64."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept. Default 14."""
    log_key_arn: NotRequired[pulumi.Input[str]]
    """ARN of the customer managed key that encrypts the logs, which CloudWatch Logs must be allowed to use. Default:
    none, CloudWatch's own key."""
    tracing: NotRequired[bool]
    """Whether invocations and executions are traced with X-Ray. Default False."""
    protect: NotRequired[bool]
    """Refuse to delete the bucket while something is in it, which deletion empties otherwise. Default False."""


class Rollup(pulumi.ComponentResource):
    """Figures over all items, every quarter of an hour: iops:index:Rollup.

    Children: `{name}-function` with `-role`, `-policy`, `-logs`; `{name}-schedule` with `-role`, `-policy`, `-retries`;
    with distributed_items `{name}-map-function` and `{name}-reduce-function` likewise, `{name}-runs-*` (a bucket), and
    `{name}-steps` (a state machine) with `-role`, `-policy`, `-logs`.
    Arguments: see RollupArgs. Outputs: function_name, function_arn; state_machine_arn, bucket_name (both empty without
    distributed_items).
    """

    function_name: pulumi.Output[str]
    """The rollup."""
    function_arn: pulumi.Output[str]
    """Its ARN."""
    state_machine_arn: pulumi.Output[str]
    """What drives a rollup over many functions; empty without one."""
    bucket_name: pulumi.Output[str]
    """Where the parts of such rollups are, for a day, and where exports of the table are read from; empty without."""

    def __init__(self, name: str, args: RollupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, RollupArgs, args)
        super().__init__("iops:index:Rollup", name, without_archives(args), opts)
        self.step_names: list[pulumi.Output[str]] = []
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._prefix = pulumi.Output.concat(args["name_prefix"], "-rollup")
        # ARNs are put together, for the rollup and the state machine name each other.
        self._logs = make_logs(
            name,
            function_name=self._prefix,
            retention_days=args.get("log_retention_days", 14),
            key_arn=args.get("log_key_arn", ""),
            opts=self._child,
        )
        place = iam.own_place(self._logs.arn, table_arn=args["table_arn"], bus_arn=args["bus_arn"])
        parts = place.apply(lambda arn: arn.split(":"))
        self._partition, self._account = parts.apply(lambda p: p[1]), parts.apply(lambda p: p[4])
        self._states = parts.apply(lambda p: f"arn:{p[1]}:states:{p[3]}:{p[4]}:")
        self._own_bucket = {"StringEquals": {"s3:ResourceAccount": self._account}}
        items = args.get("distributed_items", 2_000_000)
        key = metrics_store.key_statements(args.get("table_key_arn", ""))
        rollup_statements = [
            *metrics_store.rollup_statements(args["table_arn"], args["state_table_arn"]),
            *alert_bus.publish_statements(args["bus_arn"], alert_bus.PROCESSOR_SOURCE),
        ]
        make = partial(self._make_function, environment={}, service_statements=key)
        if items:
            bucket = self._make_bucket()
            runs, exports = (pulumi.Output.concat(bucket.arn, f"/{prefix}/*") for prefix in ("runs", "exports"))
            machine = pulumi.Output.concat(self._states, "stateMachine:", self._prefix)
            shared = {"ROLLUP_DISTRIBUTED_ITEMS": str(items), "ROLLUP_BUCKET_NAME": bucket.bucket}
            make = partial(make, environment={**shared, "ROLLUP_STATE_MACHINE_ARN": machine})
            rollup_statements += [
                self._objects(["s3:GetObject"], runs, exports),
                self._objects(["s3:PutObject"], runs),
                iam.allow(["states:ListExecutions", "states:StartExecution"], [machine]),
            ]
        rollup = make("", "handler", rollup_statements)
        if items:
            scan = metrics_store.scan_statements(args["table_arn"], args["state_table_arn"])
            own = [self._objects(["s3:GetObject"], exports), self._objects(["s3:PutObject"], runs)]
            functions = {
                "map": make("-map", "map_handler", [*scan, *own]),
                "reduce": make(
                    "-reduce",
                    "reduce_handler",
                    [self._objects(["s3:GetObject", "s3:PutObject"], runs)],
                    service_statements=[],
                ),
                "finish": rollup,
            }
            self.state_machine_arn = self._make_steps(bucket, functions)
            self.bucket_name = bucket.bucket
            self.step_names += [functions[step].resource.name for step in ("map", "reduce")]
        else:
            self.state_machine_arn = self.bucket_name = pulumi.Output.from_input("")
        # Two at once do no harm, so no concurrency is set aside to keep them apart.
        make_schedule(
            f"{name}-schedule",
            schedule_name=pulumi.Output.concat(self._prefix, "-schedule"),
            function=rollup.resource,
            minutes=args.get("interval_minutes", 15),
            enabled=args.get("enabled", True),
            opts=self._child,
        )
        self.function_name, self.function_arn = rollup.resource.name, rollup.resource.arn
        self.register_outputs(
            {
                "function_name": self.function_name,
                "function_arn": self.function_arn,
                "state_machine_arn": self.state_machine_arn,
                "bucket_name": self.bucket_name,
            }
        )

    def _objects(self, actions: Sequence[str], *objects: pulumi.Input[str]) -> iam.Statement:
        return iam.allow(actions, objects, condition=self._own_bucket)

    def _make_function(
        self,
        suffix: str,
        module: str,
        statements: Sequence[iam.Statement],
        *,
        environment: dict[str, pulumi.Input[str]],
        service_statements: Sequence[iam.Statement],
    ) -> Function:
        args, own = self._args, {**environment, "POWERTOOLS_SERVICE_NAME": f"rollup{suffix}"}

        def together(both: list[dict[str, str]]) -> dict[str, str]:
            processor, own = both
            shared = {name: processor[name] for name in processor if not suffix or name in STEP}
            return {**shared, **own}

        return make_function(
            f"{self._name}{suffix}",
            function_name=pulumi.Output.concat(self._prefix, suffix),
            handler=f"functions.rollup.{module}.lambda_handler",
            code=args["code"],
            statements=statements,
            service_statements=service_statements,
            environment=pulumi.Output.all(args["environment"], own).apply(together),
            memory_mb=args.get("memory_mb", 1024),
            timeout_seconds=self._timeout_seconds,
            storage_mb=args.get("storage_mb", 2048),
            architecture=args.get("architecture", "x86_64"),
            log_key_arn=args.get("log_key_arn", ""),
            log_retention_days=args.get("log_retention_days", 14),
            tracing=args.get("tracing", False),
            layers=[args["layer_arn"]],
            logs=None if suffix else self._logs,
            opts=self._child,
        )

    @property
    def _timeout_seconds(self) -> int:
        return self._args.get("timeout_seconds", 900)

    def _make_bucket(self) -> aws.s3.Bucket:
        bucket = make_bucket(
            f"{self._name}-runs",
            prefix=pulumi.Output.concat(self._prefix, "-"),
            # Nothing in it is needed once its run has ended.
            force_destroy=not self._args.get("protect", False),
            expiry_days=1,
            opts=self._child,
        )
        restrict(f"{self._name}-runs", bucket, account=self._account, opts=self._child)
        return bucket.resource

    def _make_steps(self, bucket: aws.s3.Bucket, functions: dict[str, Function]) -> pulumi.Output[str]:
        name, tracing = f"{self._name}-steps", self._args.get("tracing", False)
        machine = pulumi.Output.concat(self._states, "stateMachine:", self._prefix)
        # The resource policy that CloudWatch Logs keeps for such groups has no room for others' names (Step Functions
        # developer guide, "CloudWatch Logs resource policy size restrictions").
        logs = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=pulumi.Output.concat("/aws/vendedlogs/states/", self._prefix),
            retention_in_days=self._args.get("log_retention_days", 14),
            kms_key_id=given(self._args.get("log_key_arn", "")),
            opts=self._child,
        )
        role = iam.service_role(
            f"{name}-role",
            role_name=pulumi.Output.concat(self._prefix, "-steps"),
            service="states.amazonaws.com",
            condition={
                "StringEquals": {"aws:SourceAccount": self._account},
                "ArnEquals": {"aws:SourceArn": [machine, *(pulumi.Output.concat(machine, "/", each) for each in MAPS)]},
            },
            opts=self._child,
        )
        trace = [
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ]
        runs = [pulumi.Output.concat(bucket.arn, f"/runs/*/{items}.json") for items in MAPS]
        statements = [
            iam.allow(["lambda:InvokeFunction"], [each.resource.arn for each in functions.values()]),
            self._objects(["s3:GetObject"], *runs),
            # Each item of a distributed map is an execution of the same machine (Step Functions developer guide, "IAM
            # policies for using Distributed Map states").
            iam.allow(["states:StartExecution"], [machine]),
            iam.allow(
                ["states:DescribeExecution", "states:StopExecution"],
                [pulumi.Output.concat(self._states, "execution:", self._prefix, ":*")],
            ),
            iam.allow(_DELIVER_LOGS, ["*"]),
            *([iam.allow(trace, ["*"])] if tracing else []),
        ]
        policy = iam.grant(f"{name}-policy", role.name, statements, self._child)
        arns = {key: each.resource.arn for key, each in functions.items()}
        steps: pulumi.Output[State] = pulumi.Output.all(self._partition, bucket.bucket, arns).apply(
            lambda known: definition(
                partition=known[0],
                bucket=known[1],
                functions=known[2],
                timeout_seconds=self._timeout_seconds,
                max_concurrency=self._args.get("max_concurrency", 16),
            )
        )
        made = aws.sfn.StateMachine(
            name,
            name=self._prefix,
            type="STANDARD",
            role_arn=role.arn,
            definition=pulumi.Output.json_dumps(steps),
            logging_configuration={
                "level": "ERROR",
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(logs.arn, ":*"),
            },
            tracing_configuration={"enabled": tracing},
            # Step Functions tries at once whether it may log.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        return made.arn
