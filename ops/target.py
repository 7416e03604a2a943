"""Where a command looks: a stack's outputs by name, and clients for its account.

The outputs come from the Pulumi CLI, from a file that it has written, or from the local AWS of the demo.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ops import aws
from ops.aws import UserError

ROOT: Final = Path(__file__).resolve().parent.parent
LOCAL: Final = ROOT / "build" / "local-aws.json"
"""The file in which the demo says how to reach the local AWS that it keeps running: `environment`, `outputs`, `pid`."""

OUTPUTS: Final[Mapping[str, str]] = {
    "bucket": "QuarantineBucketName",
    "bus": "AlertBusName",
    "dead-letter queue": "DeadLetterQueueUrl",
    "function": "ProcessFunctionName",
    "notifier": "NotifierFunctionName",
    "roll": "RollFunctionName",
    "rollup": "RollupFunctionName",
    "simulator": "SimulatorFunctionName",
    "stream": "EventStreamName",
    "table": "MetricsTableName",
}
"""The stack output that holds the name of each kind of thing."""
_SOURCES: Final = "--stack NAME, --stack-outputs FILE, or --local for a running demo"


class Target:
    """A deployed stack. Call `find` first."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        """The names that `name` has returned, by kind: an error message may need them."""
        self.outputs: Mapping[str, Any] = {}
        self._source = ""

    def find(
        self,
        *,
        stack: str | None = None,
        stack_outputs: Path | None = None,
        local: bool = False,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        """Reads the outputs from the source that one of the first three arguments names, and configures all clients.

        Raises
        ------
        UserError
            When more than one source is given, or its outputs cannot be read.
        """
        given = [
            option
            for option, value in (("--stack", stack), ("--stack-outputs", stack_outputs), ("--local", local))
            if value
        ]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)} exclude each other: give one of them", 2)
        if stack:
            self.outputs, self._source = _from_pulumi(stack), f"the stack {stack}"
        elif stack_outputs is not None:
            self.outputs, self._source = _from_file(stack_outputs), str(stack_outputs)
        elif local:
            self.outputs, self._source = _from_local(), "the local AWS"
        aws.configure(region or _region_of(self.outputs), profile, endpoint_url)

    def name(self, kind: str, given: str | None = None, option: str | None = None) -> str:
        """Returns the name of a thing of the stack, or a queue's URL: from its own option, or from the outputs.

        Raises
        ------
        UserError
            When there are no outputs, or they lack the name.
        """
        output = OUTPUTS[kind]
        value = given or self.outputs.get(output)
        if not isinstance(value, str) or not value:
            if not self._source:
                if option:
                    raise UserError(f"{option} is missing: give it, or {_SOURCES}", 2)
                raise UserError(f"no stack is given: give {_SOURCES}", 2)
            otherwise = f", or give {option}" if option else ""
            raise UserError(
                f"{self._source} has no output {output}: deploy this release of the program and read its outputs anew "
                f"(`pulumi stack output --json`){otherwise}",
                2,
            )
        self.names[kind] = value
        return value

    def known(self) -> bool:
        """Whether a stack was given."""
        return bool(self._source)

    def client(self, service: str, **options: int) -> Any:
        """Returns a client of boto3's kind; the options are those of `aws.client`."""
        return aws.client(service, **options)


def _from_pulumi(stack: str) -> Mapping[str, Any]:
    from pulumi import automation

    file = f"`pulumi stack output --json --stack {stack} > outputs.json` where it is, then --stack-outputs outputs.json"
    try:
        outputs = automation.LocalWorkspace(work_dir=str(ROOT)).stack_outputs(stack)
    except FileNotFoundError:
        raise UserError(
            f"--stack {stack} needs the Pulumi CLI, which is not on PATH: install it, or use {file}", 2
        ) from None
    except automation.StackNotFoundError:
        raise UserError(f"there is no stack {stack}: see `pulumi stack ls`", 2) from None
    except (automation.CommandError, RuntimeError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"the Pulumi CLI could not read the outputs of stack {stack}: {reason}; use {file}", 2
        ) from None
    return {name: output.value for name, output in outputs.items()}


def _from_file(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror or error}; write it with `pulumi stack output --json > {file}`", 2
        ) from None
    except ValueError as error:
        raise UserError(
            f"{file} is not JSON: {error}; write it with `pulumi stack output --json > {file}`", 2
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{file} is no JSON object: write it with `pulumi stack output --json > {file}`", 2)
    return content


def _from_local() -> Mapping[str, Any]:
    start = "start one with `make demo KEEP=1`"
    try:
        running = json.loads(LOCAL.read_bytes())
    except FileNotFoundError:
        raise UserError(f"no local AWS is running: {start}", 2) from None
    endpoint = running["environment"]["AWS_ENDPOINT_URL"]
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(endpoint, timeout=5).close()
    except urllib.error.HTTPError:
        pass  # an error status is an answer too
    except OSError:
        raise UserError(f"the local AWS at {endpoint} does not answer any more: {start}", 2) from None
    os.environ.update(running["environment"])
    return dict(running["outputs"])


def _region_of(outputs: Mapping[str, Any]) -> str | None:
    """Returns the stack's region, from the ARN of one of its topics; None without it."""
    parts = str(outputs.get("CriticalTopicArn", "")).split(":")
    return parts[3] if len(parts) > 3 else None
