"""What is stored in AWS in memory, as checks compare it."""

from typing import Any, Final

from functions.entities.attribute_values import from_attribute
from functions.entities.item import INTERNAL, State, parse, tail_generation
from functions.entities.tails import NO_TAIL, parse_tail, tail_key
from functions.model import EntityKey
from proof.memory_aws import FakeAws

_HIDDEN: Final = INTERNAL | {"entity_id", "entity_type", "last_updated"}


class Violation(AssertionError):
    """Something that must always be true is not."""


def public_items(aws: FakeAws) -> dict[tuple[str, str], dict[str, Any]]:
    """The table's public attributes, alerts as type to severity: in the form of the recomputation."""
    items = {}
    for key, stored in aws.items.items():
        item = {name: from_attribute(value) for name, value in stored.items() if name not in _HIDDEN}
        item["alerts"] = {alert_type: alert["severity"] for alert_type, alert in item["alerts"].items()}
        items[key] = item
    return items


def states(aws: FakeAws) -> dict[tuple[str, str], State]:
    """Return every entity's state: each item with its tail.

    Raises
    ------
    Violation
        When a tail is not of the generation that its item names.
    """
    found = {}
    for key, stored in aws.items.items():
        tail = aws.state.get(_tail_key(key)) if tail_generation(stored) else None
        try:
            found[key] = parse(stored, parse_tail(tail) if tail else NO_TAIL)
        except ValueError as error:
            raise Violation(f"{key}: {error}") from error
    return found


def _tail_key(key: tuple[str, str]) -> tuple[str, str]:
    attributes = tail_key(EntityKey(*key))  # type: ignore[arg-type]
    return attributes["pk"]["S"], attributes["sk"]["S"]
