"""What a rollup reads of a metrics item: the attributes to scan for, and their parsed form. Pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from functions.entities import fact_columns
from functions.entities.attribute_values import Attributes, from_attribute
from functions.entities.fact_columns import FactColumns
from functions.entities.item import OUTCOME_CODES, ROLLED_UP, entity_key, parse_totals, tail_generation
from functions.entities.totals import TOTALS_ATTRIBUTES, Totals
from functions.model import EntityKey

_SCANNED: Final = (
    "entity_id",
    "entity_type",
    "facts",
    "tail",
    ROLLED_UP,
    *(f"first_session.{name}" for name in ("time", "subject", "tutor_id", "outcome")),
    *dict.fromkeys(name for names in TOTALS_ATTRIBUTES.values() for name in names),
)
_PLACEHOLDERS: Final = {name: f"#{name}" for path in _SCANNED for name in path.split(".")}
"""Some names, such as `time`, are reserved words of DynamoDB's expressions."""
SCAN_PROJECTION: Final = {
    "ProjectionExpression": ", ".join(".".join(map(_PLACEHOLDERS.__getitem__, path.split("."))) for path in _SCANNED),
    "ExpressionAttributeNames": {placeholder: name for name, placeholder in _PLACEHOLDERS.items()},
}
"""The arguments of a Scan that reads only what a rollup needs. DynamoDB bills whole items, but sends less."""


class ScannedFirst(NamedTuple):
    """What a rollup reads of a student's first session."""

    time: int
    subject: str | None
    tutor_id: str | None
    outcome: int


class ScannedItem(NamedTuple):
    """What a rollup reads of an item."""

    key: EntityKey
    facts: FactColumns
    """The newest; the others are in the tail."""
    tail_generation: int
    first_session: ScannedFirst | None
    totals: Totals | None


def parse_scanned(attributes: Attributes) -> ScannedItem:
    """Parse an item that was scanned with `SCAN_PROJECTION`; other attributes are ignored.

    Raises
    ------
    KeyError, ValueError, TypeError, AttributeError
        When one of them is not what `attributes_of` writes.
    """
    key = entity_key(attributes)
    first = from_attribute(attributes["first_session"]) if "first_session" in attributes else None
    return ScannedItem(
        key,
        fact_columns.read(bytes(attributes["facts"]["B"])) if "facts" in attributes else fact_columns.NOTHING,
        tail_generation(attributes),
        None if first is None else _parse_scanned_first(first),
        parse_totals(key.entity_type, attributes),
    )


def _parse_scanned_first(stored: Mapping[str, Any]) -> ScannedFirst:
    return ScannedFirst(stored["time"], stored.get("subject"), stored.get("tutor_id"), OUTCOME_CODES[stored["outcome"]])
