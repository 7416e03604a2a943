"""The components as a plugin for other languages: the schema, built in process and by the plugin, and the docs."""

import ast
import inspect
import json
import pkgutil
import re
import socket
import subprocess
import sys
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
import yaml
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.experimental.util import camel_case
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

import components
from components.__main__ import COMPONENTS, NAME
from tests.helpers.recorded_program import ROOT, arn, record

DIRECTORY = ROOT / "components"
EXPECTED = {"EventStream", "MetricsStore", "AlertBus", "StreamProcessor", "Rollup", "Observability", "Simulator"}
EACH = pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The package's schema, as Pulumi's own analyzer makes it of the classes."""
    made: dict[str, Any] = json.loads(ComponentProvider(COMPONENTS, NAME).schema or "")
    return made


def arguments_of(component: type[pulumi.ComponentResource]) -> Any:
    """The TypedDict of a component's arguments."""
    return inspect.get_annotations(component.__init__)["args"]


def outputs_of(component: type[pulumi.ComponentResource]) -> dict[str, Any]:
    """The types of a component's outputs."""
    hints = inspect.get_annotations(component)
    return {name: typing.get_args(hint)[0] for name, hint in hints.items() if not name.startswith("_")}


def type_of(annotation: Any) -> dict[str, Any]:
    """What the schema must say of a Python type."""
    if typing.get_origin(annotation) is typing.NotRequired:
        return type_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Union:  # pulumi.Input: the value, or what will be it
        return type_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": type_of(typing.get_args(annotation)[1])}
    if typing.get_origin(annotation) is list:
        return {"type": "array", "items": type_of(typing.get_args(annotation)[0])}
    if annotation is pulumi.Archive:
        return {"$ref": "pulumi.json#/Archive"}
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean"}[annotation]}


def shape(property_: dict[str, Any]) -> dict[str, Any]:
    """Of a property in the schema, its type alone."""
    kept = {key: property_[key] for key in ("type", "$ref") if property_.get(key)}
    return kept | {key: shape(property_[key]) for key in ("items", "additionalProperties") if property_.get(key)}


def docstrings_of(class_: type) -> dict[str, str]:
    """Under which annotated names of a class a docstring stands, read from its source."""
    (definition,) = ast.parse(inspect.getsource(class_)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = ast.literal_eval(following.value)
    return found


def test_it_serves_every_component_that_there_is() -> None:
    defined = {
        value
        for module in pkgutil.iter_modules(components.__path__)
        for value in vars(import_module(f"components.{module.name}")).values()
        if inspect.isclass(value) and issubclass(value, pulumi.ComponentResource)
    } - {pulumi.ComponentResource}
    assert {component.__name__ for component in defined} == EXPECTED
    assert set(COMPONENTS) == defined
    assert len(COMPONENTS) == len(defined)


def test_each_has_its_token_and_a_description(schema: dict[str, Any]) -> None:
    assert schema["name"] == NAME == "iops"
    assert schema["resources"].keys() == {f"iops:index:{name}" for name in EXPECTED}
    for token, resource in schema["resources"].items():
        assert resource["isComponent"] is True
        assert token in resource["description"]


@EACH
def test_its_arguments_are_typed_described_and_required_as_declared(
    schema: dict[str, Any], component: type[pulumi.ComponentResource]
) -> None:
    resource, args = schema["resources"][f"iops:index:{component.__name__}"], arguments_of(component)
    assert typing.is_typeddict(args)
    hints, described = inspect.get_annotations(args), docstrings_of(args)
    assert described.keys() == hints.keys(), "a field without a docstring"
    inputs = resource["inputProperties"]
    assert {name: shape(property_) for name, property_ in inputs.items()} == {
        camel_case(name): type_of(annotation) for name, annotation in hints.items()
    }
    assert {name: property_["description"] for name, property_ in inputs.items()} == {
        camel_case(name): text for name, text in described.items()
    }
    assert set(resource["requiredInputs"]) == {camel_case(name) for name in args.__required_keys__}
    for name in args.__optional_keys__:
        assert "Default" in described[name], f"{name} does not say its default"


@EACH
def test_its_outputs_are_typed_and_described(schema: dict[str, Any], component: type[pulumi.ComponentResource]) -> None:
    outputs = schema["resources"][f"iops:index:{component.__name__}"]["properties"]
    assert {name: shape(property_) for name, property_ in outputs.items()} == {
        camel_case(name): type_of(annotation) for name, annotation in outputs_of(component).items()
    }
    # An output that may be missing would be another type in each language.
    assert set(schema["resources"][f"iops:index:{component.__name__}"]["required"]) == outputs.keys()
    assert [name for name, property_ in outputs.items() if not property_["description"]] == []


def test_nothing_is_secret_and_nothing_needs_another_package(schema: dict[str, Any]) -> None:
    assert '"secret": true' not in json.dumps(schema)
    assert (schema["types"], schema["dependencies"]) == ({}, [])


def test_code_comes_as_archives_and_nothing_else_does(schema: dict[str, Any]) -> None:
    archives = {
        f"{token.rpartition(':')[2]}.{name}"
        for token, resource in schema["resources"].items()
        for name, property_ in resource["inputProperties"].items()
        if property_.get("$ref") == "pulumi.json#/Archive"
    }
    assert archives == {
        "StreamProcessor.code",
        "StreamProcessor.layer",
        "Rollup.code",
        "Simulator.code",
        "AlertBus.code",
    }


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.py")), ids=lambda path: path.name)
def test_no_component_reads_config_or_builds_code(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    forbidden = {"Config", "get_config", "get_stack", "get_project", "FileArchive", "FileAsset", "environ"}
    # The notifier's own texts are the one exception.
    assert not names & (forbidden if path.name == "notifier.py" else forbidden | {"AssetArchive"})
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules -= {"functions.environment"}  # data alone
    assert not {str(module).partition(".")[0] for module in modules} & {"settings", "bundle", "functions", "local"}


def sample(name: str, property_: dict[str, Any]) -> Any:
    """A value for a required argument, such as another language's program would send."""
    if property_.get("type") == "array":
        return [sample(name.removesuffix("s"), property_["items"])]
    if property_.get("$ref"):
        return pulumi.StringAsset("") if "Asset" in property_["$ref"] else pulumi.AssetArchive({})
    if property_.get("type") == "object":
        return {"NAME": "theirs"}
    return arn("kinesis", "stream/theirs") if name.endswith("Arn") else "theirs"


@EACH
def test_it_is_made_of_the_schemas_arguments_and_gives_the_schemas_outputs(
    schema: dict[str, Any], component: type[pulumi.ComponentResource]
) -> None:
    """As the plugin does for another language: camelCase in, camelCase out, required arguments alone."""
    resource, made = schema["resources"][f"iops:index:{component.__name__}"], []
    inputs = {name: sample(name, resource["inputProperties"][name]) for name in resource["requiredInputs"]}

    def construct() -> None:
        made.append(ComponentProvider(COMPONENTS, NAME).construct("one", f"iops:index:{component.__name__}", inputs))

    recorded = record(construct)
    assert set(made[0].state) == resource["properties"].keys()
    assert {camel_case(name) for name in recorded.component_outputs["one"]} == resource["properties"].keys()
    assert recorded.calls == []
    assert [r.type for r in recorded.resources if not r.custom] == [f"iops:index:{component.__name__}"]


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(Exception, match="Missing required input 'namePrefix' on 'MetricsStore'"):
        record(lambda: ComponentProvider(COMPONENTS, NAME).construct("one", "iops:index:MetricsStore", {}))


def test_the_plugin_itself_serves_this_schema(schema: dict[str, Any], tmp_path: Path) -> None:
    """Started as the CLI does, from another directory and without the repository's root on the path."""
    with socket.socket() as engine:  # nobody listens there, and a schema is made without asking
        engine.bind(("127.0.0.1", 0))
        command = [sys.executable, str(DIRECTORY), f"127.0.0.1:{engine.getsockname()[1]}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:  # noqa: S603 (our own)
            try:
                assert process.stdout is not None
                port = process.stdout.readline().decode().strip()
                assert port.isdigit(), "the plugin did not start"
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    stub = provider_pb2_grpc.ResourceProviderStub(channel)
                    served = stub.GetSchema(provider_pb2.GetSchemaRequest(version=0), timeout=30)
            finally:
                process.kill()
    assert json.loads(served.schema) == schema


def test_its_manifest_and_its_requirements() -> None:
    assert yaml.safe_load((DIRECTORY / "PulumiPlugin.yaml").read_text(encoding="utf-8")) == {
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}
    }  # .gitignore has .venv, and not the venv that the CLI would make
    assert pins(DIRECTORY / "requirements.txt") == pins(ROOT / "requirements.txt")


def pins(path: Path) -> set[str]:
    return {line for line in path.read_text(encoding="utf-8").splitlines() if "==" in line}


def block(language: str) -> str:
    """The one block of a language in docs/reuse.md."""
    text = (ROOT / "docs" / "reuse.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def uses(language: str) -> Iterator[tuple[str, str, set[str]]]:
    """Of each component in the docs' example: its variable, its token, the arguments it is given."""
    if language == "yaml":
        for name, resource in yaml.safe_load(block("yaml"))["resources"].items():
            yield name, resource["type"], set(resource["properties"])
        return
    for name, class_, arguments in re.findall(
        r'^const (\w+) = new iops\.(\w+)\("[\w-]+", \{\n(.*?)^\}\);$', block("typescript"), re.MULTILINE | re.DOTALL
    ):
        # Two spaces: what stands deeper is inside an argument.
        yield name, f"iops:index:{class_}", set(re.findall(r"^  (\w+)[:,]", arguments, re.MULTILINE))


@pytest.mark.parametrize("language", ["yaml", "typescript"])
def test_the_docs_examples_give_each_component_what_it_takes(schema: dict[str, Any], language: str) -> None:
    found = {name: (token, given) for name, token, given in uses(language)}
    tokens = {token.replace("iops:index:", "") for token, _ in found.values()}
    assert {"EventStream", "MetricsStore", "AlertBus", "StreamProcessor"} <= tokens
    for token, given in found.values():
        resource = schema["resources"][token]
        assert given <= resource["inputProperties"].keys(), token
        assert given >= set(resource["requiredInputs"]), token
    pattern = r"\$\{(\w+)\.(\w+)\}" if language == "yaml" else r"\b(\w+)\.(\w+)[,;]"
    read = [(name, output) for name, output in re.findall(pattern, block(language)) if name in found]
    assert len(read) > 5
    for name, output in read:
        assert output in schema["resources"][found[name][0]]["properties"], f"{name}.{output}"
