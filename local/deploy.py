"""Deploys the program of `__main__.py` to a local AWS, without the Pulumi CLI, and checks what came of it.

The program runs as it is, with a stack's own settings; each resource that it registers is created at once by
`local.resources` and its real outputs go back into the program. Must not change what the program declares: where
ministack judges a policy otherwise than AWS does, policies.py says what it gets instead and why, and
`Deployment.replaced` tells.
"""

import asyncio
import json
import runpy
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import yaml
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.stack import run_in_stack

from local.ministack import ROOT, LocalAws, LocalAwsError
from local.policies import for_ministack
from local.resources import KINDS, Properties

STACK_TYPE = "pulumi:pulumi:Stack"
_ENFORCED_POLICIES = (
    "aws:iam/rolePolicy:RolePolicy",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
)
"""The types whose policies ministack enforces."""


@dataclass(frozen=True)
class Resource:
    """A created resource: its declared properties, and its outputs, which contain them."""

    token: str
    name: str
    id: str
    declared: Properties
    outputs: Properties


@dataclass(frozen=True)
class Replaced:
    """The policy that a resource has on ministack in place of the declared one."""

    policy: str
    reasons: list[str]


@dataclass
class Deployment:
    """What a run of the program made."""

    outputs: Properties = field(default_factory=dict)
    """The stack's outputs."""
    resources: list[Resource] = field(default_factory=list)
    """Every resource, in the order of creation."""
    replaced: dict[str, Replaced] = field(default_factory=dict)
    """Policies that are not as declared, by the resource's name."""


def stack_settings(stack: str, overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a stack's configuration as the CLI would hand it to the program.

    The defaults of Pulumi.yaml, then Pulumi.<stack>.yaml, then `overrides`; structured values become JSON. Raises
    LocalAwsError for an encrypted value: only the CLI can decrypt one.
    """
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    declared = project.get("config", {}).items()
    defaults = {key: setting["default"] for key, setting in declared if "default" in setting}
    own = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    values: dict[str, str] = {}
    for key, value in chain(defaults.items(), own.items(), (overrides or {}).items()):
        if isinstance(value, dict) and "secure" in value:
            raise LocalAwsError(f"{key} in Pulumi.{stack}.yaml is encrypted, and the local run cannot decrypt it")
        full_key = key if ":" in key else f"{project['name']}:{key}"
        values[full_key] = value if isinstance(value, str) else json.dumps(value)
    return values


class _Creator(mocks.Mocks):
    """Creates each registered resource for real; called by Pulumi on several threads, in dependency order."""

    def __init__(self, local_aws: LocalAws, deployment: Deployment, created: Callable[[Resource], None]) -> None:
        self._aws = local_aws
        self._deployment = deployment
        self._created = created
        self.failure: LocalAwsError | None = None
        """The first resource that could not be created."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, Properties]:
        try:
            return self._create(args)
        except LocalAwsError as error:
            self.failure = self.failure or error
            raise

    def _create(self, args: mocks.MockResourceArgs) -> tuple[str, Properties]:
        declared: Properties = {key: rpc.unwrap_rpc_secret(value) for key, value in args.inputs.items()}
        if not args.custom or args.typ.startswith("pulumi:providers:"):
            return args.name, declared
        kind = KINDS.get(args.typ)
        if kind is None:
            raise LocalAwsError(
                f"resource {args.name} has the type {args.typ}, which the local run does not handle: "
                "add it to local/resources/"
            )
        given = declared
        if args.typ in _ENFORCED_POLICIES:
            policy, reasons = for_ministack(declared["policy"])
            if reasons:
                given = {**declared, "policy": policy}
                self._deployment.replaced[args.name] = Replaced(policy, reasons)
        try:
            id_, more = kind.create(self._aws, declared.get("name") or args.name, given)
        except Exception as error:
            raise LocalAwsError(
                f"resource {args.name} ({args.typ}) cannot be created: {error}; see local/resources/"
            ) from error
        resource = Resource(args.typ, args.name, id_, declared, {**declared, **more})
        self._deployment.resources.append(resource)
        self._created(resource)
        return id_, resource.outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[Properties, None]:
        raise LocalAwsError(f"the program calls {args.token}, which the local run does not handle: extend {__name__}")


class _Monitor(mocks.MockMonitor):
    """Pulumi's mock engine, which also keeps the stack's outputs."""

    def __init__(self, creator: _Creator, deployment: Deployment) -> None:
        super().__init__(creator)
        self._deployment = deployment

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (the engine's name)
        # On a worker's thread Pulumi would make an event loop and leave it open.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 (the engine's name)
        if request.urn.split("::")[2] == STACK_TYPE:
            outputs = rpc.deserialize_properties(request.outputs)
            self._deployment.outputs = {key: rpc.unwrap_rpc_secret(value) for key, value in outputs.items()}
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def deploy(
    local_aws: LocalAws,
    stack: str = "dev",
    overrides: Mapping[str, str] | None = None,
    created: Callable[[Resource], None] = lambda _: None,
    program: Callable[[], None] | None = None,
) -> Deployment:
    """Run the program (`__main__.py`, unless another is given) with a stack's settings and create all it declares.

    Runs in a thread of its own, because Pulumi keeps its runtime per context: nothing of it remains here.
    Raises LocalAwsError, naming the resource, for a type that `local.resources` does not know and for whatever AWS
    refuses; what the program itself raises passes through.
    """
    config = stack_settings(stack, overrides)
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["name"]
    deployment = Deployment()
    creator = _Creator(local_aws, deployment, created)
    monitor = _Monitor(creator, deployment)
    failure: list[BaseException] = []

    async def run_program() -> None:
        # What failed is raised below; asyncio would tell again, on standard error, of each task that waited for it.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        settings.reset_options()
        set_all_config(config, [])
        mocks.set_mocks(creator, project, stack, preview=False, monitor=monitor)
        settings.ROOT.set(None)  # set_mocks leaves a finished stack, to which no output can be added
        await run_in_stack(program or _main)

    def run() -> None:
        try:
            asyncio.run(run_program())
        except BaseException as error:  # noqa: BLE001 handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="deploy", daemon=True)  # Ctrl-C does not wait for it
    thread.start()
    thread.join()
    if failure:
        raise creator.failure or failure[0]  # Pulumi wraps what its mocks raise, in cycles of causes
    return deployment


def _main() -> None:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
