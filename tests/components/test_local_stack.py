"""Pulumi.local.yaml before the provider's own schema: the provider itself is not part of these tests."""

import inspect
from pathlib import Path
from typing import Any

import pulumi_aws as aws
import pytest
import yaml

from local.ministack import ACCESS_KEY
from tests.helpers.recorded_program import ROOT, record_program

CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text(encoding="utf-8"))["config"]
PROVIDER = {key.removeprefix("aws:"): value for key, value in CONFIG.items() if key.startswith("aws:")}

# Of each of the provider's modules, the service that the types in it call.
SERVICES = {
    "dynamodb": {"dynamodb"},
    "iam": {"iam"},
    "kinesis": {"kinesis"},
    "kms": {"kms"},
    "lambda": {"lambda"},
    "s3": {"s3"},
    "scheduler": {"scheduler"},
    "sfn": {"sfn"},
    "sns": {"sns"},
    "sqs": {"sqs"},
    "cloudwatch": {"cloudwatch", "events", "logs"},
}


def pulumi_names(function: Any) -> set[str]:
    """The parameters of a generated constructor in the spelling of config: `s3_use_path_style` is `s3UsePathStyle`."""
    names = (name.rstrip("_").split("_") for name in inspect.signature(function).parameters)
    return {first + "".join(part.title() for part in rest) for first, *rest in names}


def test_the_provider_knows_each_key() -> None:
    assert PROVIDER.keys() <= pulumi_names(aws.Provider._internal_init)
    (endpoints,) = PROVIDER["endpoints"]
    assert endpoints.keys() <= pulumi_names(aws.ProviderEndpointArgs.__init__)


@pytest.mark.parametrize("more", [{}, {"topicKeyEnabled": True}])
def test_every_service_that_the_program_uses_is_the_local_one(built_layer: Path, more: dict[str, Any]) -> None:
    recorded = record_program("local", layerDirectory=str(built_layer), **more)
    modules = {r.type.split(":")[1].partition("/")[0] for r in recorded.resources if r.custom}
    (endpoints,) = PROVIDER["endpoints"]
    # Of the identity itself the provider asks STS, whose answer is the account in all ARNs.
    assert endpoints.keys() >= set().union(*(SERVICES[module] for module in modules)) | {"sts"}
    assert set(endpoints.values()) == {"http://127.0.0.1:4566"}
    assert "skipRequestingAccountId" not in PROVIDER


def test_it_is_the_local_aws_that_the_page_starts() -> None:
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    assert "make demo KEEP=1 PORT=4566" in page
    assert {PROVIDER["accessKey"], PROVIDER["secretKey"]} == {ACCESS_KEY}
    assert CONFIG["iops-dashboard:layerDirectory"] == "build/layer-local"
