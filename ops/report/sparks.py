"""The small charts in the table of entities, as SVG, and by what its columns are sorted."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from functions.entities.alerts import SEVERITIES
from ops.report.data import DAYS, Entity
from ops.report.wording import figure_text, number_of, words

_SPARK_WIDTH: Final = 3 * DAYS
_SPARK_HEIGHT: Final = 22


def spark(entity: Entity) -> Markup:
    """Returns the small chart of an entity: sessions day by day, or two figures compared; empty without either."""
    if entity.daily:
        return _bars(entity.daily)
    for one, other in (("demand_score", "supply_score"), ("active_students", "available_tutors")):
        if one in entity.figures and other in entity.figures:
            return _pair((one, entity.figures[one]), (other, entity.figures[other]))
    return Markup()


def _bars(daily: Sequence[int]) -> Markup:
    most = max(*daily, 1)
    older, recent = (
        "".join(_bar(day, daily[day] / most) for day in days) for days in (range(DAYS - 7), range(DAYS - 7, DAYS))
    )
    label = (
        f"{number_of(sum(daily), 'session')} in {DAYS} days, {sum(daily[-7:]):,} in the last 7, "
        f"at most {max(daily):,} a day"
    )
    return _svg(label, Markup('<path class="older" d="{}"/><path class="recent" d="{}"/>').format(older, recent))


def _bar(day: int, share: float) -> str:
    if not share:
        return f"M{3 * day} {_SPARK_HEIGHT}h2v-1h-2z"
    height = max(2, round(share * _SPARK_HEIGHT))
    return f"M{3 * day} {_SPARK_HEIGHT}v-{height}h2v{height}z"


def _pair(one: tuple[str, float], other: tuple[str, float]) -> Markup:
    most = max(one[1], other[1], 1)
    widths = [max(1, round(value / most * _SPARK_WIDTH)) for _, value in (one, other)]
    label = ", ".join(f"{words(name)} {figure_text(value)}" for name, value in (one, other))
    return _svg(
        label,
        Markup('<path class="demand" d="M0 2h{}v8h-{}z"/><path class="supply" d="M0 12h{}v8h-{}z"/>').format(
            widths[0], widths[0], widths[1], widths[1]
        ),
    )


def _svg(label: str, content: Markup) -> Markup:
    return Markup('<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        _SPARK_WIDTH, _SPARK_HEIGHT, label, label, content
    )


def spark_order(entity: Entity) -> float | None:
    """Returns by what the column of small charts is sorted."""
    return sum(entity.daily) if entity.daily else None


def alert_order(entity: Entity) -> int:
    """Returns by what the column of alerts is sorted: the worst severity, then the number."""
    return len(entity.firing) + 100 * max((SEVERITIES.index(alert.severity) for alert in entity.firing), default=0)
