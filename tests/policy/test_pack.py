"""The pack as the CLI runs it: a process of its own, asked over its protocol."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policy.checks import POLICIES
from tests.helpers.judging import UNKNOWN, changed
from tests.helpers.recorded_program import ROOT, Recorded, Registered

PACK = ROOT / "policy"


@pytest.fixture(scope="module")
def pack() -> Iterator[analyzer_pb2_grpc.AnalyzerStub]:
    """The running pack; it is ended with the tests, for by itself it serves for ever."""
    with socket.socket() as engine:  # nobody listens there, and the pack asks nobody
        engine.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{engine.getsockname()[1]}"
        command = [sys.executable, "-u", "-m", "pulumi.policy", address, str(PACK)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PACK) as process:  # noqa: S603 (our own)
            try:
                assert process.stdout is not None
                port = process.stdout.readline().decode().strip()
                assert port.isdigit(), "the pack did not start"
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    yield analyzer_pb2_grpc.AnalyzerStub(channel)
            finally:
                process.kill()


def request(resource: Registered) -> dict[str, Any]:
    """What the engine says of a resource; archives and assets are none of a policy's business."""
    properties = struct_pb2.Struct()
    properties.update({key: value for key, value in resource.inputs.items() if plain(value)})
    return {
        "type": resource.type,
        "urn": resource.urn,
        "name": resource.name,
        "properties": properties,
        "options": analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
    }


def plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(plain(part) for part in value.values())
    if isinstance(value, list):
        return all(plain(part) for part in value)
    return value is None or isinstance(value, str | bool | int | float)


def ask(pack: analyzer_pb2_grpc.AnalyzerStub, resources: Sequence[Registered]) -> list[tuple[str, str, int, str]]:
    """Of all diagnostics: policy, resource, level and message."""
    requests = [request(resource) for resource in resources]
    answers = [(said["urn"], pack.Analyze(analyzer_pb2.AnalyzeRequest(**said), timeout=30)) for said in requests]
    stack = [
        analyzer_pb2.AnalyzerResource(
            **said,
            dependencies=resource.dependencies,
            propertyDependencies={
                key: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
                for key, urns in resource.property_dependencies.items()
            },
        )
        for said, resource in zip(requests, resources, strict=True)
    ]
    answers.append(("", pack.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=stack), timeout=30)))
    return [
        (found.policyName, found.urn or urn, found.enforcementLevel, found.message)
        for urn, answer in answers
        for found in answer.diagnostics
    ]


def test_it_offers_all_policies_as_mandatory(pack: analyzer_pb2_grpc.AnalyzerStub) -> None:
    info = pack.GetAnalyzerInfo(empty_pb2.Empty(), timeout=30)
    assert (info.name, info.supportsConfig) == ("iops-dashboard", True)
    assert [policy.name for policy in info.policies] == [policy.name for policy in POLICIES]
    assert {policy.enforcementLevel for policy in info.policies} == {analyzer_pb2.MANDATORY}
    configurable = {policy.name for policy in info.policies if policy.configSchema.properties}
    assert configurable == {"encryption-at-rest", "deletion-protection"}


def test_the_program_passes_it(pack: analyzer_pb2_grpc.AnalyzerStub, either: Recorded) -> None:
    assert ask(pack, either.resources) == []


def test_a_violation_is_mandatory_and_names_the_resource(
    pack: analyzer_pb2_grpc.AnalyzerStub, program: Callable[[str], Recorded]
) -> None:
    resources = changed(program("prod").resources, "metrics-table", "deletionProtectionEnabled", False)
    ((policy, urn, level, message),) = ask(pack, resources)
    assert (policy, level) == ("deletion-protection", analyzer_pb2.MANDATORY)
    assert urn.endswith("::metrics-table")
    assert message.endswith("metrics-table: deletionProtectionEnabled is False: it must be True in production")


def test_what_a_preview_does_not_know_passes_quietly_and_what_it_knows_does_not(
    pack: analyzer_pb2_grpc.AnalyzerStub, program: Callable[[str], Recorded]
) -> None:
    resources = changed(program("dev").resources, "alerts-dlq-policy", "policy", UNKNOWN)
    assert ask(pack, resources) == []
    wrong = changed(resources, "events-stream", "encryptionType", "NONE")
    assert [(policy, level) for policy, _, level, _ in ask(pack, wrong)] == [
        ("encryption-at-rest", analyzer_pb2.MANDATORY)
    ]


def test_its_configuration_says_which_stacks_are_production(
    pack: analyzer_pb2_grpc.AnalyzerStub, program: Callable[[str], Recorded]
) -> None:
    resources = [resource for resource in program("dev").resources if resource.name == "events-stream"]
    config = analyzer_pb2.PolicyConfig(enforcementLevel=analyzer_pb2.MANDATORY)
    config.properties.update({"productionStacks": ["dev"]})
    pack.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig={"deletion-protection": config}), timeout=30)
    try:
        assert [message.rpartition("\n")[2] for *_, message in ask(pack, resources)] == [
            "events-stream: protect is False: it must be True in production"
        ]
    finally:
        pack.Configure(analyzer_pb2.ConfigureAnalyzerRequest(), timeout=30)
    assert ask(pack, resources) == []


def test_it_needs_the_programs_pulumi_and_pins_all() -> None:
    own, program = (
        dict(re.findall(r"^([a-z-]+)==(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (PACK / "requirements.txt", ROOT / "requirements.txt")
    )
    assert own.keys() == {"pulumi", "pulumi-policy"}
    assert own["pulumi"] == program["pulumi"]
    manifest = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8"))
    assert manifest["runtime"]["name"] == "python"
