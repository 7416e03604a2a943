"""Addresses that are subscribed to a topic. No resource's name has one in it: names are in previews and comments."""

import hashlib
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws


def subscribe(name: str, topic: aws.sns.Topic, addresses: Sequence[str], opts: pulumi.ResourceOptions) -> None:
    """Subscribe each address to the topic, as `{name}-email-{first 8 digits of the address's SHA-256}`."""
    for address in addresses:
        # A subscription that was named by its address stays the same one, confirmed as it is.
        former = pulumi.ResourceOptions(aliases=[pulumi.Alias(name=f"{name}-email-{address}")])
        aws.sns.TopicSubscription(
            f"{name}-email-{hashlib.sha256(address.encode()).hexdigest()[:8]}",
            topic=topic.arn,
            protocol="email",
            endpoint=address,
            opts=pulumi.ResourceOptions.merge(opts, former),
        )
