"""What waits in the quarantine, by reason."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from ops.report.charts.figure import ROW_PIXELS, Figure, Legend, colour, spec
from ops.report.data import Quarantine, Reason
from ops.report.wording import moment, number_of, words

_KINDS: Final[Legend] = (("quarantined record", "c1"), ("given up batch", "c3"))


def draw(quarantine: Quarantine) -> Figure:
    """Bars: quarantined records by reason."""
    name, title = "quarantine", "Quarantine by reason"
    note = ""
    if quarantine.objects > quarantine.read:
        at_least = "at least " if quarantine.more else ""
        note = f"Of {at_least}{quarantine.objects:,} objects the latest {quarantine.read:,} were read. "
    if quarantine.unreadable:
        note += f"{number_of(quarantine.unreadable, 'object')} could not be read."
    reasons = quarantine.reasons
    if not reasons:
        return Figure(name, title, "The quarantine is empty.", wide=True, note=note)
    records = sum(reason.records for reason in reasons)
    summary = (
        f"{number_of(records, 'record')} for {number_of(len(reasons), 'reason')}, most often "
        f"{words(reasons[0].reason)} ({reasons[0].records:,})."
    )
    values = [
        {
            "reason": words(reason.reason),
            "records": reason.records,
            "kind": _kind(reason),
            "detail": reason.detail,
        }
        for reason in reasons
    ]
    names = list(dict.fromkeys(words(reason.reason) for reason in reasons))
    kinds = {_kind(reason) for reason in reasons}
    return Figure(
        name,
        title,
        summary,
        ("reason", "kind", "records", "first (UTC)", "last (UTC)", "the latest says"),
        [_numbers(reason) for reason in reasons],
        [entry for entry in _KINDS if entry[0] in kinds],
        spec(_bars(names), values, max(3, len(names)) * ROW_PIXELS),
        wide=True,
        note=note,
    )


def _kind(reason: Reason) -> str:
    return _KINDS[reason.kind == "failed"][0]


def _numbers(reason: Reason) -> tuple[str, ...]:
    return (
        words(reason.reason),
        _kind(reason),
        f"{reason.records:,}",
        moment(reason.first_ms),
        moment(reason.last_ms),
        reason.detail,
    )


def _bars(names: Sequence[str]) -> Any:
    return (
        alt.Chart()
        .mark_bar()
        .encode(
            y=alt.Y("reason:N").sort(names).title(None).axis(labelColor="var(--ink)"),
            x=alt.X("records:Q").title("records").axis(grid=True, tickMinStep=1, tickCount=5),
            color=colour("kind", _KINDS),
            tooltip=[
                alt.Tooltip("reason:N"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("records:Q", format=","),
                alt.Tooltip("detail:N", title="the latest says"),
            ],
        )
    )
