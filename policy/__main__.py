"""Starts the policy pack, as `pulumi preview --policy-pack policy` does. It serves until the CLI ends it."""

# The CLI puts this directory on the path, and a published pack is this directory alone.
from checks import POLICIES  # type: ignore[import-not-found]
from pulumi_policy import EnforcementLevel, PolicyPack

PolicyPack("iops-dashboard", POLICIES, enforcement_level=EnforcementLevel.MANDATORY)
