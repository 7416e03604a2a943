"""The program in other partitions and regions, and two stacks in one account: names, ARNs and policies compared."""

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.recorded_program import ACCOUNT, REGION, ROOT, Recorded, arn, record, run_program, stack_config

Run = Callable[[str], Recorded]
PLACES = [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1"), ("aws", "ap-southeast-2")]
THEIRS = {
    "existingStreamArn": arn("kinesis", "stream/theirs"),
    "existingStreamKeyArn": arn("kms", "key/1"),
    "existingTableArn": arn("dynamodb", "table/theirs"),
    "existingTableKeyArn": arn("kms", "key/2"),
    "existingBusArn": arn("events", "event-bus/theirs"),
}


def moved(text: str, partition: str, region: str) -> str:
    """A text of the usual partition and region as it should be in another."""
    return text.replace("arn:aws:", f"arn:{partition}:").replace(REGION, region)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, at any depth; documents in JSON count as one text each."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def declared(recorded: Recorded) -> dict[str, list[str]]:
    """All texts that each resource declares, by its logical name."""
    return {r.name: list(texts(r.inputs)) for r in recorded.resources if r.custom}


@pytest.mark.parametrize("theirs", [{}, THEIRS], ids=["made", "adopted"])
@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_every_name_arn_and_policy_is_of_its_own_partition_and_region(
    built_layer: Path, partition: str, region: str, theirs: dict[str, str]
) -> None:
    options = {"layerDirectory": str(built_layer), "topicKeyEnabled": True, "tracingEnabled": True}

    def run(partition: str, region: str) -> Recorded:
        given = {key: moved(value, partition, region) for key, value in theirs.items()}
        config = stack_config("prod", **options, **given) | {"aws:region": region}
        return record(run_program, config, "prod", partition=partition, region=region)

    usual, elsewhere = run("aws", REGION), run(partition, region)
    assert declared(elsewhere) == {
        name: [moved(text, partition, region) for text in found] for name, found in declared(usual).items()
    }
    arns = [text for text in texts(elsewhere.outputs) if text.startswith("arn:")]
    assert len(arns) == 5
    assert all(text.startswith(f"arn:{partition}:") and f":{region}:" in text for text in arns)
    assert f"region={region}#" in elsewhere.outputs["DashboardUrl"]


def physical_names(recorded: Recorded) -> set[tuple[str, str]]:
    """The names that AWS takes once an account and region, with their types."""
    keys = ("name", "bucketPrefix", "layerName", "dashboardName")
    return {(r.type, r.inputs[key]) for r in recorded.resources for key in keys if r.custom and key in r.inputs}


def patterns(recorded: Recorded) -> Iterator[tuple[str, str]]:
    """Each ARN with a wildcard that some policy allows or expects, with the logical name of the policy's resource."""
    for name, found in declared(recorded).items():
        for text in found:
            if not text.startswith("{") or "Statement" not in json.loads(text):
                continue
            for statement in json.loads(text)["Statement"]:
                if statement["Effect"] == "Allow":
                    limits = [statement.get("Resource", []), statement.get("Condition", {})]
                    yield from ((name, each) for each in texts(limits) if each.startswith("arn:") and "*" in each)


def test_two_stacks_in_one_account_and_region_share_no_name(program: Run) -> None:
    dev, prod = physical_names(program("dev")), physical_names(program("prod"))
    assert len(dev) > 60
    assert dev & prod == set()


def test_no_policy_of_a_stack_reaches_into_one_whose_prefix_is_longer(program: Run) -> None:
    """`iops-dashboard-*` would be of `iops-dashboard-dev` too."""
    of_dev = {
        text
        for resource in program("dev").resources
        for text in texts(resource.inputs)
        if text.startswith("arn:") and "iops-dashboard-dev" in text and "*" not in text
    } | {f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:iops-dashboard-dev-dead-letters"}
    reached = {name for name, pattern in patterns(program("prod")) for other in of_dev if fnmatchcase(other, pattern)}
    # Alarms that somebody adds may publish to the operations topic if their names begin with the prefix. So may those
    # of a longer one, if somebody gives them that topic.
    assert reached == {"operations-topic-policy"}
    assert len(list(patterns(program("prod")))) > 10


def test_roles_are_of_the_account_so_a_second_region_wants_its_own_prefix(program: Run, built_layer: Path) -> None:
    config = stack_config("prod", layerDirectory=str(built_layer))
    elsewhere = record(run_program, config, "prod", region="ap-southeast-2")
    both = physical_names(program("prod")) & physical_names(elsewhere)
    assert {name for type_, name in both if type_ == "aws:iam/role:Role"}
    page = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    assert "in the same account wants a `namePrefix` of its own" in page
