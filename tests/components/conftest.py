"""What the tests of the program share: a layer that looks built, and runs of the program, one a stack and change."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bundle.layer import LOCAL, write_stamp
from tests.helpers.recorded_program import Recorded, record_program


@pytest.fixture(scope="session")
def built_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that passes for a built layer of any architecture, without a download."""
    path = tmp_path_factory.mktemp("build") / "layer-local"
    (path / "python").mkdir(parents=True)
    (path / "python" / "dependency.py").write_text("")
    write_stamp(path, LOCAL)
    return path


@pytest.fixture(scope="session")
def program(built_layer: Path) -> Callable[[str], Recorded]:
    """The recorded run of the program with a stack's own config."""

    @cache
    def run(stack: str) -> Recorded:
        return record_program(stack, layerDirectory=str(built_layer))

    return run


@pytest.fixture(params=["dev", "prod"])
def either(request: pytest.FixtureRequest, program: Callable[[str], Recorded]) -> Recorded:
    """Both stacks, one after the other."""
    return program(request.param)
