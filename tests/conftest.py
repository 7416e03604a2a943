"""What tests of several directories share: a running local AWS, one for each worker that wants it; Lambda's Python."""

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pulumi_aws as aws
import pytest
from hypothesis import HealthCheck, settings

from bundle.layer import PYTHON, LayerError, with_bytecode
from local import runtime_api
from local.ministack import LocalAws, LocalAwsError, ensure_python, running

with warnings.catch_warnings():
    # Loading these two modules warns of resources in them that nobody here uses; our own use must still be warned of.
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = aws.lambda_.Function, aws.s3.Bucket


# Modules and cases, a million objects, stay to the end: collections that go through them take a quarter of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Moves them out of the collector's sight; it then looks after what tests make."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


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


@pytest.fixture(scope="session")
def lambda_python() -> str:
    """An interpreter of the version that the functions have in Lambda: this one, or the one on PATH."""
    for python in (sys.executable, f"python{PYTHON}"):
        try:
            with_bytecode("x86_64", python)
        except LayerError as error:
            reason = error
        else:
            command = [python, "-c", "import sys; print(sys.executable)"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    pytest.skip(f"no Python {PYTHON} here: {reason}")


@pytest.fixture(scope="session")
def runtime() -> Path:
    """What Lambda's runtime brings, the runtime interface client with it, for this interpreter."""
    try:
        return runtime_api.runtime_directory()
    except runtime_api.RuntimeApiError as error:
        pytest.skip(f"the runtime interface client cannot be installed here: {error}")
