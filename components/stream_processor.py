"""The processor and the roll: functions, layer, event source mapping, quarantine, schedule. Code comes as archives."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from components import alert_bus, event_stream, iam, metrics_store
from components.buckets import make_bucket, restrict
from components.functions import RUNTIME, Function, make_function, make_logs, make_schedule, without_archives
from components.plain import check_plain
from functions.environment import THRESHOLDS, text_of, written

_HANDLERS: Final = {"processor": "handler", "roll": "roll"}
"""The module of `functions/processor` that each function runs."""


class StreamProcessorArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the names: functions `{name_prefix}-processor` and `{name_prefix}-roll`, buckets
    `{name_prefix}-quarantine-...` and `{name_prefix}-artifacts-...`."""
    code: pulumi.Archive
    """The functions' code, with functions/processor/handler.py, functions/processor/roll.py and what they import."""
    layer: pulumi.Archive
    """The built dependency layer."""
    layer_hash: str
    """Names the layer's object in S3: a hash of what the layer was built from."""
    stream_arn: pulumi.Input[str]
    """The stream to read from."""
    stream_key_arn: NotRequired[str]
    """The customer managed key of that stream. Default: none."""
    table_arn: pulumi.Input[str]
    """The table of metrics."""
    table_name: pulumi.Input[str]
    """Its name."""
    table_key_arn: NotRequired[str]
    """The customer managed key of that table. Default: none."""
    state_table_arn: pulumi.Input[str]
    """The internal table."""
    state_table_name: pulumi.Input[str]
    """Its name."""
    bus_arn: pulumi.Input[str]
    """The bus of alerts."""
    bus_name: pulumi.Input[str]
    """Its name."""
    batch_size: NotRequired[pulumi.Input[int]]
    """Most records a batch, 1 to 10000. Default 100."""
    batching_window_seconds: NotRequired[pulumi.Input[int]]
    """How long a batch is gathered, 0 to 300 seconds. Default 0."""
    max_retry_attempts: NotRequired[pulumi.Input[int]]
    """Retries before a batch goes to the on-failure destination; -1 without limit. Default 3."""
    max_record_age_seconds: NotRequired[pulumi.Input[int]]
    """Age at which a record goes there, 60 to 604800; -1 without limit. Default -1."""
    parallelization_factor: NotRequired[pulumi.Input[int]]
    """Batches of one shard in flight at once, 1 to 10. Default 1."""
    memory_mb: NotRequired[pulumi.Input[int]]
    """Memory of both functions. Default 1024."""
    timeout_seconds: NotRequired[pulumi.Input[int]]
    """Timeout of both functions. Default 120."""
    reserved_concurrency: NotRequired[int]
    """Concurrent executions that are the processor's alone, and its limit; -1 sets none aside. Default -1."""
    architecture: NotRequired[pulumi.Input[str]]
    """x86_64 or arm64, the one the layer was built for. Default x86_64."""
    log_level: NotRequired[pulumi.Input[str]]
    """Lowest level logged. Default INFO."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept. Default 14."""
    log_key_arn: NotRequired[pulumi.Input[str]]
    """ARN of the customer managed key that encrypts the logs, which CloudWatch Logs must be allowed to use. Default:
    none, CloudWatch's own key."""
    tracing: NotRequired[bool]
    """Whether invocations are traced with X-Ray. Default False."""
    ib_calls_warning: NotRequired[pulumi.Input[int]]
    """Inbound calls in 14 days that raise a warning. Default 3."""
    health_warning: NotRequired[pulumi.Input[int]]
    """Health score below which a warning is raised. Default 70."""
    health_critical: NotRequired[pulumi.Input[int]]
    """Health score below which it is critical. Default 50."""
    renotify_hours: NotRequired[pulumi.Input[int]]
    """Hours between reminders. Default 24."""
    max_reminders: NotRequired[pulumi.Input[int]]
    """Most reminders an episode. Default 5."""
    first_session_success_below: NotRequired[pulumi.Input[float]]
    """Share of successful first sessions (0 to 1) below which a warning is raised; 0 is off. Default 0."""
    first_sessions_least: NotRequired[pulumi.Input[int]]
    """First sessions of known outcome in 30 days that it takes. Default 5."""
    velocity_drop_share: NotRequired[pulumi.Input[float]]
    """Share of a week's sessions (0 to 1) below which those of the next week raise a warning; 0 is off. Default 0."""
    velocity_drop_least: NotRequired[pulumi.Input[int]]
    """Sessions in the earlier of the two weeks that it takes. Default 4."""
    no_tutors_alert: NotRequired[pulumi.Input[bool]]
    """Whether a subject or region with active students and no available tutor is critical. Default False."""
    demand_surge_score: NotRequired[pulumi.Input[float]]
    """Modified z-score of a subject's last week of sessions that is told of; 0 is off. Default 0."""
    demand_surge_least: NotRequired[pulumi.Input[int]]
    """Sessions in that week that it takes. Default 10."""
    future_tolerance_minutes: NotRequired[int]
    """How far an event's time may be ahead of its arrival. Default 10."""
    lanes: NotRequired[pulumi.Input[int]]
    """Partitions of the internal table over which wakes are spread, 1 to 256. Default 4."""
    roll_interval_minutes: NotRequired[int]
    """Minutes between two rolls, a divisor of 60: the roll runs at multiples of it. Default 5."""
    quarantine_expiry_days: NotRequired[pulumi.Input[int]]
    """How long quarantined records and failed batches are kept. Default 30."""
    protect: NotRequired[bool]
    """Protect the event source mapping and the quarantine, which deletion empties otherwise. Default False."""


class StreamProcessor(pulumi.ComponentResource):
    """Aggregates the stream into the table and the bus: iops:index:StreamProcessor.

    Children: `{name}-quarantine-*` and `{name}-artifacts-*` (buckets); `{name}-layer-object`, `{name}-layer`;
    `{name}-function` with `-role`, `-policy`, `-logs`; `{name}-roll-function` likewise; `{name}-mapping`;
    `{name}-roll-schedule` with `-role`, `-policy`, `-retries`.
    Arguments: see StreamProcessorArgs. Outputs: function_name, function_arn, roll_function_name, roll_function_arn,
    quarantine_bucket_name, mapping_uuid, layer_arn, environment.
    """

    function_name: pulumi.Output[str]
    """The processor."""
    function_arn: pulumi.Output[str]
    """Its ARN."""
    roll_function_name: pulumi.Output[str]
    """The roll."""
    roll_function_arn: pulumi.Output[str]
    """Its ARN."""
    quarantine_bucket_name: pulumi.Output[str]
    """The bucket of quarantined records and failed batches."""
    mapping_uuid: pulumi.Output[str]
    """The event source mapping that reads the stream."""
    layer_arn: pulumi.Output[str]
    """The dependency layer, for functions of the same code beside them."""
    environment: pulumi.Output[dict[str, str]]
    """What the two functions have in common of their environments, for such functions as well."""

    def __init__(self, name: str, args: StreamProcessorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, StreamProcessorArgs, args)
        _check_interval(name, args.get("roll_interval_minutes", 5))
        super().__init__("iops:index:StreamProcessor", name, without_archives(args), opts)
        self._name, self._args, self._prefix = name, args, args["name_prefix"]
        self._child = pulumi.ResourceOptions(parent=self)
        self._logs = make_logs(
            name,
            function_name=pulumi.Output.concat(self._prefix, "-processor"),
            retention_days=args.get("log_retention_days", 14),
            key_arn=args.get("log_key_arn", ""),
            opts=self._child,
        )
        own = iam.own_place(
            self._logs.arn, stream_arn=args["stream_arn"], table_arn=args["table_arn"], bus_arn=args["bus_arn"]
        )
        self._account = iam.account(own)
        self._quarantine = make_bucket(
            f"{name}-quarantine",
            prefix=pulumi.Output.concat(self._prefix, "-quarantine-"),
            protect=args.get("protect", False),
            force_destroy=not args.get("protect", False),
            expiry_days=args.get("quarantine_expiry_days", 30),
            opts=self._child,
        )
        layer = self._make_layer()
        environment = self._common_environment()
        processor = self._make_processor(layer, environment)
        roll = self._make_roll(layer, environment)
        restrict(
            f"{name}-quarantine",
            self._quarantine,
            account=self._account,
            writer=processor.role.arn,
            opts=self._child,
        )
        mapping = self._make_mapping(processor)
        self.function_name, self.function_arn = processor.resource.name, processor.resource.arn
        self.roll_function_name, self.roll_function_arn = roll.resource.name, roll.resource.arn
        self.quarantine_bucket_name, self.mapping_uuid = self._quarantine.resource.bucket, mapping.uuid
        self.layer_arn, self.environment = layer.arn, pulumi.Output.all(**environment)
        self.register_outputs(
            {
                "function_name": self.function_name,
                "function_arn": self.function_arn,
                "roll_function_name": self.roll_function_name,
                "roll_function_arn": self.roll_function_arn,
                "quarantine_bucket_name": self.quarantine_bucket_name,
                "mapping_uuid": self.mapping_uuid,
                "layer_arn": self.layer_arn,
                "environment": self.environment,
            }
        )

    def _make_layer(self) -> aws.lambda_.LayerVersion:
        """The dependency layer. Polars exceeds the 50 MB of a direct upload, so the layer goes through S3."""
        name, args = self._name, self._args
        artifacts = make_bucket(
            f"{name}-artifacts", prefix=pulumi.Output.concat(self._prefix, "-artifacts-"), opts=self._child
        )
        restrict(f"{name}-artifacts", artifacts, account=self._account, opts=self._child)
        archive = aws.s3.BucketObjectv2(
            f"{name}-layer-object",
            bucket=artifacts.resource.bucket,
            key=f"layers/{args['layer_hash']}.zip",
            source=args["layer"],
            opts=self._child,
        )
        return aws.lambda_.LayerVersion(
            f"{name}-layer",
            layer_name=pulumi.Output.concat(self._prefix, "-dependencies"),
            s3_bucket=archive.bucket,
            s3_key=archive.key,
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[args.get("architecture", "x86_64")],
            opts=self._child,
        )

    def _common_environment(self) -> dict[str, Any]:
        """What the environments of the two functions have in common."""
        args = self._args
        thresholds = {
            variable.name: pulumi.Output.from_input(args.get(variable.name.lower(), variable.default)).apply(text_of)
            for variable in THRESHOLDS
        }
        return written(
            {
                "DYNAMODB_TABLE_NAME": args["table_name"],
                "STATE_TABLE_NAME": args["state_table_name"],
                "EVENT_BUS_NAME": args["bus_name"],
                "QUARANTINE_BUCKET_NAME": self._quarantine.resource.bucket,
                "ROLL_INTERVAL_MINUTES": str(args.get("roll_interval_minutes", 5)),
                "WAKE_LANES": pulumi.Output.from_input(args.get("lanes", 4)).apply(str),
                "FUTURE_TOLERANCE_SECONDS": str(60 * args.get("future_tolerance_minutes", 10)),
                **thresholds,
                "LOG_LEVEL": args.get("log_level", "INFO"),
                "POWERTOOLS_METRICS_NAMESPACE": self._prefix,
            }
        )

    def _make_function(
        self,
        part: str,
        service: str,
        layer: aws.lambda_.LayerVersion,
        environment: Mapping[str, Any],
        *,
        statements: Sequence[iam.Statement],
        service_statements: Sequence[iam.Statement],
    ) -> Function:
        """One of the two functions: they have code, layer, size and settings in common."""
        args = self._args
        return make_function(
            f"{self._name}{part}",
            function_name=pulumi.Output.concat(self._prefix, f"-{service}"),
            handler=f"functions.processor.{_HANDLERS[service]}.lambda_handler",
            statements=statements,
            service_statements=service_statements,
            environment={**environment, "POWERTOOLS_SERVICE_NAME": service},
            code=args["code"],
            memory_mb=args.get("memory_mb", 1024),
            timeout_seconds=args.get("timeout_seconds", 120),
            architecture=args.get("architecture", "x86_64"),
            log_retention_days=args.get("log_retention_days", 14),
            log_key_arn=args.get("log_key_arn", ""),
            reserved_concurrency=args.get("reserved_concurrency", -1) if service == "processor" else -1,
            tracing=args.get("tracing", False),
            layers=[layer.arn],
            logs=self._logs if service == "processor" else None,
            opts=self._child,
        )

    def _make_processor(self, layer: aws.lambda_.LayerVersion, environment: Mapping[str, Any]) -> Function:
        args, quarantine_arn = self._args, self._quarantine.resource.arn
        # A bucket of this name in another account is not written to.
        own_bucket = {"StringEquals": {"s3:ResourceAccount": self._account}}
        return self._make_function(
            "",
            "processor",
            layer,
            environment,
            statements=[
                *metrics_store.processor_statements(args["table_arn"], args["state_table_arn"]),
                *alert_bus.publish_statements(args["bus_arn"], alert_bus.PROCESSOR_SOURCE),
                iam.allow(["s3:PutObject"], [pulumi.Output.concat(quarantine_arn, "/records/*")], condition=own_bucket),
            ],
            # The mapping reads the stream and writes the batches that it gives up (Lambda developer guide, Kinesis,
            # on-failure destinations).
            service_statements=[
                *event_stream.read_statements(args["stream_arn"], args.get("stream_key_arn", "")),
                iam.allow(
                    ["s3:PutObject"], [pulumi.Output.concat(quarantine_arn, "/aws/lambda/*")], condition=own_bucket
                ),
                iam.allow(["s3:ListBucket"], [quarantine_arn], condition=own_bucket),
                *metrics_store.key_statements(args.get("table_key_arn", "")),
            ],
        )

    def _make_roll(self, layer: aws.lambda_.LayerVersion, environment: Mapping[str, Any]) -> Function:
        """The roll and its schedule."""
        args = self._args
        roll = self._make_function(
            "-roll",
            "roll",
            layer,
            environment,
            statements=[
                *metrics_store.roll_statements(args["table_arn"], args["state_table_arn"]),
                *alert_bus.publish_statements(args["bus_arn"], alert_bus.PROCESSOR_SOURCE),
            ],
            service_statements=metrics_store.key_statements(args.get("table_key_arn", "")),
        )
        make_schedule(
            f"{self._name}-roll-schedule",
            schedule_name=pulumi.Output.concat(self._prefix, "-roll-schedule"),
            function=roll.resource,
            minutes=args.get("roll_interval_minutes", 5),
            enabled=True,
            on_the_clock=True,
            opts=self._child,
        )
        return roll

    def _make_mapping(self, processor: Function) -> aws.lambda_.EventSourceMapping:
        args = self._args
        return aws.lambda_.EventSourceMapping(
            f"{self._name}-mapping",
            event_source_arn=args["stream_arn"],
            function_name=processor.resource.arn,
            # A replaced mapping starts again: LATEST would skip what arrived meanwhile; what comes twice counts once.
            starting_position="TRIM_HORIZON",
            batch_size=args.get("batch_size", 100),
            maximum_batching_window_in_seconds=args.get("batching_window_seconds", 0),
            parallelization_factor=args.get("parallelization_factor", 1),
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            maximum_retry_attempts=args.get("max_retry_attempts", 3),
            maximum_record_age_in_seconds=args.get("max_record_age_seconds", -1),
            destination_config={"on_failure": {"destination_arn": self._quarantine.resource.arn}},
            metrics_config={"metrics": ["EventCount"]},
            # Creating the mapping fails while its role may not yet read the stream.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[processor.policy], protect=args.get("protect", False)),
        )


def _check_interval(name: str, minutes: int) -> None:
    """Check that multiples of the roll's interval are the same minutes of every hour.

    Raises
    ------
    ValueError
        When they are not. Wakes are then due at moments at which no roll runs.
    """
    if minutes < 1 or 60 % minutes:
        raise ValueError(
            f"{name}: roll_interval_minutes is {minutes}: it must divide 60, since the roll runs at multiples of it"
        )
