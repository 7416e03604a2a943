"""What the functions write: structured logs, and metrics as documents of CloudWatch's embedded metric format."""

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


def emitted(text: str) -> dict[str, tuple[float, str]]:
    """Every metric in what was printed: value and unit by name, `Quarantined[reason=not_json]` where it has a dimension
    beside the service."""
    found: dict[str, tuple[float, str]] = {}
    for document in (json.loads(line) for line in text.splitlines() if '"_aws"' in line):
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "iops-dashboard"
        (dimensions,) = directive["Dimensions"]
        assert set(dimensions) <= document.keys()
        further = "".join(f"[{name}={document[name]}]" for name in dimensions if name != "service")
        assert "service" in dimensions
        for metric in directive["Metrics"]:
            assert metric["Name"] + further not in found
            found[metric["Name"] + further] = (document[metric["Name"]][0], metric["Unit"])
    return found
