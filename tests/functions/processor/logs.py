"""The structured logs that the functions write, line by line."""

import io
import json
from typing import Any


class Logs:
    """Stands where stdout does for the logger."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def lines(self) -> list[dict[str, Any]]:
        """Every line so far; each must be a JSON object."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def messages(self, level: str = "INFO") -> list[str]:
        """The messages of one level, in order."""
        return [line["message"] for line in self.lines() if line["level"] == level]
