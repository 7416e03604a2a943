"""What DynamoDB bills for what the endpoint did: the arithmetic of `proof.metered` over items as JSON has them.

Amazon DynamoDB developer guide, "DynamoDB item sizes and formats" and "DynamoDB read and write operations".
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from functions.entities.attribute_values import size_of
from functions.model import ceil_div
from proof import metered

Attributes = Mapping[str, Mapping[str, Any]]
"""An item as it is on the wire: binaries are base64."""


class WriteUnits(NamedTuple):
    """The units of one write."""

    table: int
    indexes: int


def read_units(item: Attributes | None, *, consistent: bool) -> float:
    """Of reading one item: 4 KB a unit, half of it when eventually consistent; what is missing costs the least."""
    units = max(1, ceil_div(size_of(_decoded(item)), 4 * metered.KB))
    return units if consistent else units / 2


def write_units(before: Attributes | None, after: Attributes) -> WriteUnits:
    """Of one write that succeeds."""
    units = metered.write_units(None if before is None else _decoded(before), _decoded(after))
    return WriteUnits(units[metered.TABLE], units.total() - units[metered.TABLE])


def state_units(before: Attributes | None, after: Attributes | None) -> int:
    """Of one put or delete in the internal table: as much as the larger of what was there and what is there now."""
    return max(1, *(ceil_div(size_of(_decoded(item)), metered.KB) for item in (before, after)))


def page_units(page: Sequence[Attributes]) -> float:
    """Of one page of a query that is eventually consistent: half a unit for 4 KB of its items together."""
    return max(1, ceil_div(sum(size_of(_decoded(item)) for item in page), 4 * metered.KB)) / 2


def refused_units(before: Attributes | None) -> int:
    """Of one conditional write that is refused: as much as the item that is there is large."""
    return max(1, ceil_div(size_of(_decoded(before)), metered.KB))


def _decoded(item: Attributes | None) -> dict[str, dict[str, Any]]:
    return {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else dict(value)
        for name, value in (item or {}).items()
    }
