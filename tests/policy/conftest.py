"""The recorded runs of the repository's program, as tests/components makes them."""

from tests.components.conftest import built_layer, either, program

__all__ = ["built_layer", "either", "program"]
