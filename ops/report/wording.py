"""How the report page writes names, times and numbers."""

from collections.abc import Sequence
from typing import Final

from functions.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, to_iso

NONE: Final = "\N{EN DASH}"
"""Where there is no number."""


def words(name: str) -> str:
    """Returns a name of the contract as words: `low_health_score` as `low health score`."""
    return name.replace("_", " ")


def moment(ms: int) -> str:
    """Returns a time to the second, in UTC: `2026-11-23 10:00:00`."""
    return to_iso(ms)[:19].replace("T", " ")


def duration(ms: float) -> str:
    """Returns a length of time in the largest unit of which there are at least two: `850 ms`, `12 s`, `5 days`."""
    for unit, size in ((" days", DAY_MS), (" h", HOUR_MS), (" min", MINUTE_MS), (" s", SECOND_MS)):
        if ms >= 2 * size:
            return f"{ms / size:,.0f}{unit}"
    return f"{ms:,.0f} ms"


def figure_text(value: float | None) -> str:
    """Returns a number with at most two decimals; a dash for None."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def number_of(count: int, one: str, many: str | None = None) -> str:
    """Returns a count and its noun: `1 record`, `2 records`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """Returns the parts as an enumeration: `a, b and c`."""
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)
