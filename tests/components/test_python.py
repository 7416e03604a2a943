"""A Python that is too old is named, before it fails at what it can't import."""

import importlib
import sys

import pulumi
import pytest

import components


def test_a_python_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    with pytest.raises(pulumi.RunError, match=r"^Python is 3\..*: it must be 3\.11 or later"):
        importlib.reload(components)
