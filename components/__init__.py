"""The system's parts as Pulumi components, one module each. None reads config, builds code or makes a provider."""

import platform
import sys

import pulumi

if sys.version_info < (3, 11):  # noqa: UP036 (whoever has an older one is told so, instead of what it can't import)
    raise pulumi.RunError(
        f"Python is {platform.python_version()}: it must be 3.11 or later. Put one first on PATH, remove the virtual "
        "environment that the program has, and run `pulumi install`."
    )
