"""Addresses of people in a stack: subscribed, and in no resource's name."""

from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.helpers.recorded_program import record_program

KEYS = ("alertEmailsCritical", "alertEmailsWarning", "alertEmailsInfo", "operationsEmails")


def test_no_resource_has_an_address_in_its_name(built_layer: Path) -> None:
    emails = {key: [f"a@{key.lower()}.org", "same@everywhere.org"] for key in KEYS}
    recorded = record_program("dev", layerDirectory=str(built_layer), **emails)
    subscribed = [r.inputs["endpoint"] for r in recorded.of_type("aws:sns/topicSubscription:TopicSubscription")]
    assert sorted(subscribed) == sorted(address for addresses in emails.values() for address in addresses)
    assert not [r.urn for r in recorded.resources if "@" in r.urn]
    assert len({r.urn for r in recorded.resources}) == len(recorded.resources)


def test_a_subscription_that_was_named_by_its_address_stays_the_same_one(
    built_layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliases: dict[str, Any] = {}
    subscription = pulumi.CustomResource.__init__

    def kept(self: Any, t: str, name: str, *args: Any, **more: Any) -> None:
        opts: Any = more.get("opts") or next(each for each in args if isinstance(each, pulumi.ResourceOptions))
        if t == "aws:sns/topicSubscription:TopicSubscription":
            aliases[name] = [alias.name for alias in opts.aliases]
        subscription(self, t, name, *args, **more)

    monkeypatch.setattr(pulumi.CustomResource, "__init__", kept)
    record_program("dev", layerDirectory=str(built_layer), operationsEmails=["o@d.org"])
    assert aliases == {"operations-email-c6036e77": ["operations-email-o@d.org"]}
