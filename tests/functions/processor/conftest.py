"""Fixtures of the processor's tests; what they are made of stands in `deployment`."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from .deployment import Deployment, deployed

# A delivery runs the whole handler, some ten milliseconds: few examples each time, others each time;
# HYPOTHESIS_PROFILE=thorough for many.
for profile, examples in (("quick", 25), ("thorough", 500)):
    settings.register_profile(
        profile, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """The handler and the roll over AWS in memory, at `NOW`."""
    with deployed() as made:
        yield made
