"""The simulator: a function that puts made-up traffic on the stream, on a schedule that is off at first."""

from typing import NotRequired, TypedDict

import pulumi

from components import event_stream
from components.functions import make_function, make_schedule, without_archives
from components.plain import check_plain


class SimulatorArgs(TypedDict):
    name_prefix: pulumi.Input[str]
    """Start of the function's name, `{name_prefix}-simulator`."""
    code: pulumi.Archive
    """The function's code, with functions/simulator/handler.py."""
    stream_arn: pulumi.Input[str]
    """The stream to write to."""
    stream_name: pulumi.Input[str]
    """Its name."""
    stream_key_arn: NotRequired[str]
    """The customer managed key of that stream. Default: none."""
    enabled: NotRequired[bool]
    """Whether it runs once a minute. Default False."""
    streams: NotRequired[int]
    """Concurrent streams of events a run. Default 50."""
    events_per_stream: NotRequired[int]
    """Events a stream. Default 10."""
    architecture: NotRequired[pulumi.Input[str]]
    """x86_64 or arm64. Default x86_64."""
    log_level: NotRequired[pulumi.Input[str]]
    """Lowest level logged. Default INFO."""
    log_retention_days: NotRequired[pulumi.Input[int]]
    """How long logs are kept. Default 14."""
    log_key_arn: NotRequired[pulumi.Input[str]]
    """ARN of the customer managed key that encrypts the logs, which CloudWatch Logs must be allowed to use. Default:
    none, CloudWatch's own key."""
    tracing: NotRequired[bool]
    """Whether invocations are traced with X-Ray. Default False."""


class Simulator(pulumi.ComponentResource):
    """Puts made-up traffic on the stream: iops:index:Simulator.

    Children: `{name}-function` with `-role`, `-policy`, `-logs`; `{name}-schedule` with `-role`, `-policy`, `-retries`.
    Arguments: see SimulatorArgs. Outputs: function_name, function_arn.
    """

    function_name: pulumi.Output[str]
    """The simulator."""
    function_arn: pulumi.Output[str]
    """Its ARN."""

    def __init__(self, name: str, args: SimulatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check_plain(name, SimulatorArgs, args)
        super().__init__("iops:index:Simulator", name, without_archives(args), opts)
        child = pulumi.ResourceOptions(parent=self)
        function = make_function(
            name,
            function_name=pulumi.Output.concat(args["name_prefix"], "-simulator"),
            handler="functions.simulator.handler.lambda_handler",
            code=args["code"],
            statements=event_stream.write_statements(args["stream_arn"]),
            service_statements=event_stream.write_key_statements(args.get("stream_key_arn", "")),
            environment={
                "EVENT_STREAM_NAME": args["stream_name"],
                "SIMULATOR_STREAMS": str(args.get("streams", 50)),
                "SIMULATOR_EVENTS_PER_STREAM": str(args.get("events_per_stream", 10)),
                "LOG_LEVEL": args.get("log_level", "INFO"),
            },
            memory_mb=256,
            timeout_seconds=60,
            architecture=args.get("architecture", "x86_64"),
            log_key_arn=args.get("log_key_arn", ""),
            log_retention_days=args.get("log_retention_days", 14),
            tracing=args.get("tracing", False),
            opts=child,
        ).resource
        make_schedule(
            f"{name}-schedule",
            schedule_name=pulumi.Output.concat(args["name_prefix"], "-simulator-schedule"),
            function=function,
            minutes=1,
            enabled=args.get("enabled", False),
            opts=child,
        )
        self.function_name, self.function_arn = function.name, function.arn
        self.register_outputs({"function_name": self.function_name, "function_arn": self.function_arn})
