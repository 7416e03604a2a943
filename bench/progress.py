"""How a measurement says what it is doing."""

from collections.abc import Callable

Progress = Callable[[str], None]
"""Called with what begins now."""
