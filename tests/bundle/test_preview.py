"""The program with the real layers: it starts nothing, fetches nothing, writes nothing, and declares the same again."""

import hashlib
import socket
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pulumi
import pytest

from bundle import layer
from tests.helpers.recorded_program import Recorded, record_program

each_architecture = pytest.mark.parametrize("architecture", ["x86_64", "arm64"])


def forbidden(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the program starts a process or opens a connection")


def as_pulumi_compares(value: Any) -> Any:
    """A resource's inputs with every archive and asset as the hashes of its files by their names."""
    match value:
        case pulumi.FileArchive():
            return layer.contents_hash(Path(value.path))
        case pulumi.FileAsset():
            return hashlib.sha256(Path(value.path).read_bytes()).hexdigest()
        case pulumi.AssetArchive():
            return as_pulumi_compares(value.assets)
        case dict():
            return {key: as_pulumi_compares(item) for key, item in value.items()}
        case list():
            return [as_pulumi_compares(item) for item in value]
    return value


def declared(recorded: Recorded) -> dict[str, Any]:
    return {resource.urn: as_pulumi_compares(resource.inputs) for resource in recorded.resources}


def test_the_real_archives_are_declared_with_their_contents() -> None:
    path = layer.build("arm64")
    recorded = record_program("dev", architecture="arm64")
    uploaded = recorded.one("aws:s3/bucketObjectv2:BucketObjectv2").inputs
    assert as_pulumi_compares(uploaded["source"]) == layer.contents_hash(path)
    assert uploaded["key"] == f"layers/{layer.input_hash('arm64')}.zip"
    for function in recorded.of_type("aws:lambda/function:Function"):
        assert all(len(digest) == 64 for digest in as_pulumi_compares(function.inputs["code"]).values())


@each_architecture
def test_a_preview_with_a_built_layer_builds_and_fetches_nothing_and_sees_no_difference(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = layer.build(architecture)
    before = {path: path.stat().st_mtime_ns for path in (built, built / "python")}
    first = declared(record_program("prod", architecture=architecture))
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    assert declared(record_program("prod", architecture=architecture)) == first
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_layer_of_other_requirements_stops_the_program(tmp_path: Path) -> None:
    (tmp_path / "layer-x86_64" / "python").mkdir(parents=True)
    (tmp_path / "layer-x86_64.stamp").write_text("x86_64 0123456789abcdef\n")
    with pytest.raises(pulumi.RunError, match=r"layer-x86_64 was not built from today's functions/requirements\.txt"):
        record_program("dev", layerDirectory=str(tmp_path / "layer-x86_64"))


def test_a_layer_for_the_other_architecture_stops_the_program() -> None:
    path = layer.build("x86_64")
    with pytest.raises(pulumi.RunError, match="is for x86_64: the setting architecture is arm64"):
        record_program("dev", layerDirectory=str(path), architecture="arm64")


def test_a_layer_that_is_too_large_stops_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    size = layer.size_of(layer.build("x86_64"))
    monkeypatch.setattr(layer, "LIMIT", size)
    with pytest.raises(pulumi.RunError, match=rf"has {size} bytes and the code \d+: Lambda allows {size} together"):
        record_program("dev", architecture="x86_64")
