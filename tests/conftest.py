"""What tests of several directories share: a running local AWS, one for each worker that wants it."""

import os
import warnings
from collections.abc import Iterator

import pulumi_aws as aws
import pytest
from hypothesis import HealthCheck, settings

from local.ministack import LocalAws, LocalAwsError, ensure_python, running

with warnings.catch_warnings():
    # Loading these two modules warns of resources in them that nobody here uses; our own use must still be warned of.
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = aws.lambda_.Function, aws.s3.Bucket


# A delivery runs the whole handler, some ten milliseconds: few examples each time, others each time;
# HYPOTHESIS_PROFILE=thorough for many.
for profile, examples in (("quick", 25), ("thorough", 500)):
    settings.register_profile(
        profile, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def ministack() -> Iterator[LocalAws]:
    """An empty local AWS for the session; whoever uses it makes names of their own."""
    try:
        ensure_python()
    except LocalAwsError as error:
        pytest.skip(f"ministack cannot be installed here: {error}")
    with running("us-east-1") as local_aws:
        yield local_aws
