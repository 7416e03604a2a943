"""What several commands of the quarantine print: the outcomes of a redrive, and the entities that records name."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from functions.model import EntityKey, to_iso
from ops import printing
from ops.quarantine import browse, redrive
from ops.quarantine.stored_objects import StoredRecord

_NAMED_AT_MOST: Final = 3


def redriven_json(report: redrive.Report, bucket: str, stream: str, *, executed: bool, complete: bool) -> Any:
    """Returns a redrive's report as JSON values. Objects that were not selected are only counted."""
    counts: dict[str, int] = dict.fromkeys(("selected", "removed", "left", "skipped", "unmatched"), 0)
    for outcome in report.outcomes:
        counts[outcome.status] += 1
    return {
        "bucket": bucket,
        "stream": stream,
        "executed": executed,
        "complete": complete,
        "objects": counts,
        "records_put": report.put,
        "details": [
            {
                "key": outcome.key,
                "kind": outcome.kind,
                "status": outcome.status,
                "reason": outcome.reason,
                "records": outcome.records,
                "put": outcome.put,
                "first_arrival": printing.optional_iso(outcome.first_arrival_ms),
                "last_arrival": printing.optional_iso(outcome.last_arrival_ms),
                "detail": outcome.detail,
            }
            for outcome in report.outcomes
            if outcome.status != "unmatched"
        ],
    }


def print_redriven(report: redrive.Report, *, executed: bool) -> None:
    """Prints a redrive's report: a table by kind, reason and outcome, then why objects stay."""
    console = printing.output()
    groups: dict[tuple[str, str, str], list[redrive.Outcome]] = defaultdict(list)
    for outcome in report.outcomes:
        groups[outcome.kind, outcome.reason, outcome.status].append(outcome)
    if groups:
        rows = printing.table(
            "kind",
            "reason",
            "outcome",
            "objects",
            "records",
            "arrived (UTC)",
            right=("objects", "records"),
            whole=("kind", "reason", "outcome"),
        )
        for (kind, reason, status), outcomes in sorted(groups.items()):
            rows.add_row(
                kind,
                printing.cell(reason),
                status,
                f"{len(outcomes):,}",
                f"{sum(outcome.records for outcome in outcomes):,}",
                _arrived(outcomes),
            )
        console.print(rows)
    staying = report.objects("left", "skipped")
    printing.print_some(
        console, [f"{outcome.status} {outcome.key}: {outcome.detail}" for outcome in staying], "objects"
    )
    selected = report.objects("selected")
    if executed:
        removed = len(report.objects("removed"))
        console.print(f"{report.put:,} records put on the stream, {removed:,} objects removed.")
    elif selected:
        records = sum(outcome.records for outcome in selected)
        console.print(
            f"Dry run: {len(selected):,} objects with {records:,} records would be redriven; nothing was put or "
            "removed. Repeat with --execute to do it."
        )
    else:
        console.print("Dry run: no object is selected.")


def _arrived(outcomes: Sequence[redrive.Outcome]) -> str:
    """Returns the first and the last arrival, to the minute."""
    moments = [
        ms for outcome in outcomes for ms in (outcome.first_arrival_ms, outcome.last_arrival_ms) if ms is not None
    ]
    if not moments:
        return ""
    first, last = (printing.minute(to_iso(ms)) for ms in (min(moments), max(moments)))
    return first if first == last else f"{first} to {last}"


def named_in(records: Sequence[StoredRecord]) -> list[EntityKey]:
    """Returns the entities that the records name, each once, in the records' order."""
    return list(dict.fromkeys(name for record in records for name in browse.named(record.data)))


def names(entities: Sequence[EntityKey]) -> str:
    """Returns the first entities' types and ids, and how many more there are."""
    more = f" and {len(entities) - _NAMED_AT_MOST:,} more" if len(entities) > _NAMED_AT_MOST else ""
    return ", ".join(f"{entity.entity_type} {entity.entity_id}" for entity in entities[:_NAMED_AT_MOST]) + more
