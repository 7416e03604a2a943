"""The deployer refuses what it cannot create, and the comparison with what exists finds what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from local import deploy as deploy_module
from local.deploy import deploy, stack_settings
from local.ministack import LocalAws, LocalAwsError
from local.readback import STORED_ONLY, read_back
from local.resources import KINDS, archive_bytes


def test_an_unhandled_resource_type_is_an_error_that_names_it(ministack: LocalAws) -> None:
    def program() -> None:
        aws.sns.PlatformApplication("other", platform="GCM", platform_credential="x")

    with pytest.raises(LocalAwsError, match=r"other has the type aws:sns/platformApplication:PlatformApplication"):
        deploy(ministack, program=program)


def test_what_aws_refuses_is_an_error_that_names_the_resource(ministack: LocalAws) -> None:
    def program() -> None:
        aws.cloudwatch.EventRule("orphan", name="orphan", event_bus_name="no-such-bus", event_pattern="{}")

    with pytest.raises(
        LocalAwsError, match=r"resource orphan \(aws:cloudwatch/eventRule:EventRule\) cannot be created"
    ):
        deploy(ministack, program=program)


def test_what_the_program_raises_passes_through(ministack: LocalAws) -> None:
    def program() -> None:
        raise pulumi.RunError("a setting is wrong")

    with pytest.raises(pulumi.RunError, match="a setting is wrong"):
        deploy(ministack, program=program)


def queue(name: str, **more: Any) -> Callable[[], None]:
    def program() -> None:
        made = aws.sqs.Queue(
            name, name=name, message_retention_seconds=3600, sqs_managed_sse_enabled=True, tags={"a": "b"}, **more
        )
        pulumi.export("Url", made.url)

    return program


def test_outputs_are_those_of_the_real_resource_and_nothing_differs(ministack: LocalAws) -> None:
    deployment = deploy(ministack, program=queue("right"))
    readback = read_back(ministack, deployment)

    assert deployment.outputs == {"Url": ministack.client("sqs").get_queue_url(QueueName="right")["QueueUrl"]}
    assert (readback.resources, readback.properties, readback.differences) == (1, 4, [])


def test_a_property_that_is_not_as_declared_is_a_difference(ministack: LocalAws) -> None:
    deployment = deploy(ministack, program=queue("changed"))
    sqs, url = ministack.client("sqs"), deployment.outputs["Url"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    sqs.tag_queue(QueueUrl=url, Tags={"a": "c"})

    assert read_back(ministack, deployment).differences == [
        "changed.messageRetentionSeconds is 60, declared 3600.0",
        "changed.tags.a is 'c', declared 'b'",
    ]


def test_a_declared_property_that_nobody_creates_is_a_difference(ministack: LocalAws) -> None:
    deployment = deploy(ministack, program=queue("forgotten", delay_seconds=5))

    assert read_back(ministack, deployment).differences == ["forgotten.delaySeconds is None, declared 5.0"]


def test_lists_are_compared_in_any_order_and_documents_by_content(ministack: LocalAws) -> None:
    def program() -> None:
        policy = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["sqs:SendMessage", "sqs:Get*"],'
        )
        role = aws.iam.Role("reader", name="reader", assume_role_policy='{"Statement":[],  "Version":"2012-10-17"}')
        aws.iam.RolePolicy("policy", role=role.name, policy=f'{policy} "Resource": "*"}}]}}')

    deployment = deploy(ministack, program=program)
    assert read_back(ministack, deployment).differences == []

    document = (
        '{"Statement": [{"Resource": "*", "Action": ["sqs:Get*", "%s"], "Effect": "Allow"}], "Version": "2012-10-17"}'
    )
    put = ministack.client("iam").put_role_policy
    put(RoleName="reader", PolicyName="policy", PolicyDocument=document % "sqs:SendMessage")
    assert read_back(ministack, deployment).differences == []
    put(RoleName="reader", PolicyName="policy", PolicyDocument=document % "sqs:DeleteQueue")
    assert read_back(ministack, deployment).differences != []


def test_what_is_only_stored_is_named_after_handled_types() -> None:
    assert {token for token, _ in STORED_ONLY} <= KINDS.keys()


def test_stack_settings_are_defaults_then_the_stack_then_overrides() -> None:
    settings = stack_settings("dev", {"batchSize": "7", "aws:region": "eu-west-1"})

    assert settings["iops-dashboard:namePrefix"] == "iops-dashboard-dev"
    assert settings["iops-dashboard:lanes"] == "4"
    assert settings["iops-dashboard:alertEmailsInfo"] == "[]"
    assert (settings["iops-dashboard:batchSize"], settings["aws:region"]) == ("7", "eu-west-1")


def test_an_encrypted_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  shop:password:\n    secure: v1:abc\n")
    monkeypatch.setattr(deploy_module, "ROOT", tmp_path)

    with pytest.raises(LocalAwsError, match=r"shop:password in Pulumi.dev.yaml is encrypted"):
        stack_settings("dev")


def test_an_archive_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    def archive(order: list[str]) -> bytes:
        for name in order:
            (tmp_path / name).write_text(name)
        return archive_bytes(pulumi.AssetArchive({name: pulumi.FileAsset(str(tmp_path / name)) for name in order}))

    first = archive(["a.py", "b.py"])
    assert archive(["b.py", "a.py"]) == first
    assert archive_bytes(pulumi.FileArchive(str(tmp_path))) == first
