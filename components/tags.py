"""The stack's tags, put on every resource that takes tags from this one place.

A transformation rather than a provider of our own: the default provider keeps what users configure
(region, profile, role, endpoints), and a preview shows the tags on each resource.
"""

from collections.abc import Mapping
from typing import Any

import pulumi


def tag_everything(tags: Mapping[str, str]) -> None:
    """Add `tags` to each resource that the stack registers from now on; a resource's own tags win."""

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("aws:") or "tags" not in args.props:
            return None
        props: dict[str, Any] = {**args.props}
        props["tags"] = {**tags, **(props["tags"] or {})}
        return pulumi.ResourceTransformationResult(props, args.opts)

    pulumi.runtime.register_stack_transformation(transform)
