"""Runs a Pulumi program, or one component, under mocks that record every registration; nothing is created anywhere.

Tests assert in plain Python on what was recorded, after the program has drained: an assertion inside `.apply` may
never run.
"""

import asyncio
import json
import runpy
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi_aws as aws
import yaml
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.stack import run_in_stack

with warnings.catch_warnings():
    # Loading these two modules warns of resources in them that nobody here uses; our own use must still be warned of.
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = aws.lambda_.Function, aws.s3.Bucket

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "iops-dashboard"
REGION, ACCOUNT = "eu-west-1", "123456789012"
_STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Registered:
    """One registration as the engine would see it; `inputs` has Pulumi's camelCase names, numbers are floats."""

    type: str
    name: str
    urn: str
    inputs: dict[str, Any]
    parent: str
    """The parent's URN."""
    dependencies: frozenset[str]
    """URNs of what must be there first, through outputs or depends_on."""
    property_dependencies: dict[str, frozenset[str]]
    """Of each input, the URNs of the resources whose outputs are in it."""
    protect: bool
    retain_on_delete: bool
    custom: bool
    before_update: tuple[str, ...] = ()
    """Names of the hooks that the engine calls before it updates the resource."""


@dataclass
class Recorded:
    """Everything that one run registered."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    """The stack's exports."""
    component_outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each component passed to register_outputs, by its name; several calls are an error."""
    calls: list[str] = field(default_factory=list)
    """Tokens of invoked functions."""
    hooks: dict[str, bool] = field(default_factory=dict)
    """Of each registered hook, by its name, whether a preview calls it too."""

    def of_type(self, type_: str) -> list[Registered]:
        return [resource for resource in self.resources if resource.type == type_]

    def one(self, type_: str, name: str = "") -> Registered:
        """The only resource of a type, or the one of a type and logical name."""
        found = [r for r in self.of_type(type_) if not name or r.name == name]
        assert len(found) == 1, f"{type_} {name}: {[r.name for r in found]}"
        return found[0]

    def policy_of(self, role: str) -> list[dict[str, Any]]:
        """The statements of all inline policies of the role of this physical name."""
        documents = [
            r.inputs["policy"] for r in self.of_type("aws:iam/rolePolicy:RolePolicy") if r.inputs["role"] == role
        ]
        return [statement for text in documents for statement in json.loads(text)["Statement"]]


def arn(service: str, rest: str) -> str:
    """An ARN of the mocked account."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


# The ARN of each type, of its physical name. A type with an `arn` output that isn't here has one of its own.
_ARNS: dict[str, Callable[[str], str]] = {
    "aws:kinesis/stream:Stream": lambda n: arn("kinesis", f"stream/{n}"),
    "aws:dynamodb/table:Table": lambda n: arn("dynamodb", f"table/{n}"),
    "aws:cloudwatch/eventBus:EventBus": lambda n: arn("events", f"event-bus/{n}"),
    "aws:sns/topic:Topic": lambda n: arn("sns", n),
    "aws:sqs/queue:Queue": lambda n: arn("sqs", n),
    "aws:lambda/function:Function": lambda n: arn("lambda", f"function:{n}"),
    "aws:lambda/layerVersion:LayerVersion": lambda n: arn("lambda", f"layer:{n}:1"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": lambda n: arn("cloudwatch", f"alarm:{n}"),
    "aws:cloudwatch/logGroup:LogGroup": lambda n: arn("logs", f"log-group:{n}"),
    "aws:iam/role:Role": lambda n: f"arn:aws:iam::{ACCOUNT}:role/{n}",
    "aws:s3/bucket:Bucket": lambda n: f"arn:aws:s3:::{n}",
    "aws:kms/key:Key": lambda n: arn("kms", f"key/{n}"),
    "aws:sfn/stateMachine:StateMachine": lambda n: arn("states", f"stateMachine:{n}"),
    "aws:scheduler/schedule:Schedule": lambda n: arn("scheduler", f"schedule/default/{n}"),
}


class _Answers(mocks.Mocks):
    """Outputs as AWS would give them, so that wiring between resources shows in the inputs of the next ones."""

    def __init__(self, recorded: Recorded, partition: str, region: str) -> None:
        self._recorded, self._partition, self._region = recorded, partition, region

    def _here(self, text: str) -> str:
        """An ARN or URL of the usual partition and region as one of the run's own."""
        return text.replace("arn:aws:", f"arn:{self._partition}:").replace(REGION, self._region)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs: dict[str, Any] = dict(args.inputs)
        name = inputs.get("name") or inputs.get("layerName") or args.name
        outputs: dict[str, Any] = {}
        if args.typ == "aws:s3/bucket:Bucket":
            name = outputs["bucket"] = inputs["bucketPrefix"] + "0001"
        elif args.typ == "aws:cloudwatch/eventRule:EventRule":
            outputs["arn"] = arn("events", f"rule/{inputs['eventBusName']}/{name}")
        elif args.typ == "aws:sqs/queue:Queue":
            outputs["url"] = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
        elif args.typ == "aws:dynamodb/table:Table":
            outputs["streamArn"] = arn("dynamodb", f"table/{name}/stream/1")
        elif args.typ == "aws:kms/key:Key":
            outputs["keyId"] = name
        elif args.typ == "aws:lambda/eventSourceMapping:EventSourceMapping":
            outputs["uuid"] = f"uuid-of-{name}"
        if args.typ in _ARNS:
            outputs["arn"] = _ARNS[args.typ](name)
        return name, {**inputs, **{key: self._here(value) for key, value in outputs.items()}}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        self._recorded.calls.append(args.token)
        return {}, None


class _Recorder(mocks.MockMonitor):
    """The mock engine, keeping of each registration what the mocks alone don't see."""

    def __init__(self, answers: _Answers, recorded: Recorded) -> None:
        super().__init__(answers)
        self._recorded = recorded

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the engine's name)
        # On a worker's thread Pulumi would make an event loop and leave it open.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        if request.type != _STACK:
            resource = Registered(
                type=request.type,
                name=request.name,
                urn=response.urn,
                inputs=rpc.deserialize_properties(request.object),
                parent=request.parent,
                dependencies=frozenset(request.dependencies),
                property_dependencies={
                    key: frozenset(value.urns) for key, value in request.propertyDependencies.items()
                },
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                custom=request.custom,
                before_update=tuple(request.hooks.before_update),
            )
            self._recorded.resources.append(resource)
        return response

    def RegisterResourceHook(self, request: Any) -> Any:  # noqa: N802 (the engine's name)
        self._recorded.hooks[request.name] = request.on_dry_run
        return super().RegisterResourceHook(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 (the engine's name)
        outputs = rpc.deserialize_properties(request.outputs)
        *_, type_, name = request.urn.split("::")
        if type_ == _STACK:
            self._recorded.outputs = outputs
        else:
            assert name not in self._recorded.component_outputs, f"{name} registers its outputs twice"
            self._recorded.component_outputs[name] = outputs
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def record(
    program: Callable[[], object],
    config: Mapping[str, Any] | None = None,
    stack: str = "test",
    recorded: Recorded | None = None,
    partition: str = "aws",
    region: str = REGION,
) -> Recorded:
    """Run `program` in a stack of its own until every registration is done; what it raises is raised here.

    A test that wants to see what was registered before that gives `recorded`. The ARNs of what is made are of
    `partition` and `region`.
    """
    recorded = Recorded() if recorded is None else recorded
    answers = _Answers(recorded, partition, region)
    failures: list[BaseException] = []

    def call() -> None:
        program()

    async def run() -> None:
        settings.reset_options()
        set_all_config(_as_config(config or {}), [])
        mocks.set_mocks(answers, PROJECT, stack, preview=False, monitor=_Recorder(answers, recorded))
        settings.ROOT.set(None)  # set_mocks leaves a finished stack, to which no export can be added
        await run_in_stack(call)

    def guarded() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 (raised again by the caller's thread)
            failures.append(error)

    # Pulumi keeps its runtime per context: in a thread of its own, nothing of a run reaches the next.
    thread = threading.Thread(target=guarded)
    # Where in the program each resource is made costs a sixth of a run, and is no part of what is recorded.
    with mock.patch("pulumi.runtime.resource._get_stack_trace", source_pb2.StackTrace):
        thread.start()
        thread.join()
    if failures:
        raise failures[0]
    return recorded


def stack_config(stack: str, **changes: Any) -> dict[str, Any]:
    """The config of Pulumi.<stack>.yaml in the mocked region, with some of the project's keys changed."""
    values: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    return values | {"aws:region": REGION} | {f"{PROJECT}:{key}": value for key, value in changes.items()}


def run_program() -> None:
    """Run the repository's own program."""
    runpy.run_path(str(ROOT / "__main__.py"))


def record_program(stack: str, **changes: Any) -> Recorded:
    """Run the repository's own program with a stack's config."""
    return record(run_program, stack_config(stack, **changes), stack)


DECLARED: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
"""What Pulumi.yaml declares of each setting, by its key."""


def _as_config(values: Mapping[str, Any]) -> dict[str, str]:
    """Config as the CLI hands it over: text, and JSON for everything else."""
    keyed = {key if ":" in key else f"{PROJECT}:{key}": value for key, value in values.items()}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in keyed.items()}
