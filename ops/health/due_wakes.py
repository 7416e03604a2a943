"""Reads the wakes that are due, and the outboxes of the entities that they name. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from functions.aws.parallel import chunks
from functions.aws.state_table import StateTable
from functions.entities import wakes
from functions.entities.item import UNREADABLE, key_attributes, parse_outbox
from functions.entities.wakes import Rhythm, Wake
from functions.model import HOUR_MS, SECOND_MS, EntityKey

MOST_WAKES: Final = 5_000
"""Of each lane no more wakes are read."""
MOST_OUTBOXES: Final = 500
_KEYS_A_READ: Final = 100  # BatchGetItem
_READS: Final = 5


@dataclass(frozen=True, slots=True)
class DueWakes:
    """What waits for the roll."""

    number: int
    """How many wakes are due."""
    entities: int
    """How many entities they name."""
    complete: bool
    """Whether all of them were counted."""
    since_ms: int | None
    """When the first of them was due, epoch ms; None when nothing is due."""
    unreadable: int
    """How many wakes cannot be parsed. The roll leaves them where they are."""
    suspects: Sequence[EntityKey]
    """Entities of which a notification may be unsent: those of due wakes, of put-off ones, of those due soon."""


def lanes_of(state_table: StateTable, rhythm: Rhythm) -> int:
    """Returns how many lanes may have wakes: as many as are in use, or as the roll has ever seen in use.

    Raises
    ------
    ClientError, BotoCoreError
        When the internal table cannot be read.
    """
    return max(rhythm.lanes, state_table.lanes_ever(0))  # nothing is kept for 0 lanes


def read(state_table: StateTable, rhythm: Rhythm, now_ms: int) -> DueWakes:
    """Reads every lane, each up to `MOST_WAKES` wakes, with what is due soon.

    A notification that the bus does not take is looked at again within an hour and an interval, so its wake need not
    be due yet.

    Raises
    ------
    ClientError, BotoCoreError
        When the internal table cannot be read.
    """
    now, soon = now_ms // SECOND_MS, (now_ms + HOUR_MS + rhythm.interval_ms) // SECOND_MS
    found: list[Wake] = []
    unreadable, complete = 0, True
    for lane in range(lanes_of(state_table, rhythm)):
        stored = list(islice(state_table.due_wakes(lane, soon), MOST_WAKES))
        complete = complete and (len(stored) < MOST_WAKES or _due_of(stored[-1]) > now)
        for attributes in stored:
            try:
                found.append(wakes.parse(attributes))
            except UNREADABLE:
                unreadable += 1
    found.sort(key=lambda wake: (wake.due > now, not wake.put_off, wake.due, wake.entities))
    due = [wake for wake in found if wake.due <= now]
    return DueWakes(
        number=len(due),
        entities=len({key for wake in due for key in wake.entities}),
        complete=complete,
        since_ms=min((wake.due for wake in due), default=0) * SECOND_MS if due else None,
        unreadable=unreadable,
        suspects=list(dict.fromkeys(key for wake in found for key in wake.entities))[:MOST_OUTBOXES],
    )


def _due_of(attributes: dict[str, Any]) -> int:
    """Returns when a stored wake is due, whatever else is in it, epoch seconds; 0 when its key does not say."""
    digits = str(attributes["sk"]["S"]).partition("#")[0]
    return int(digits) if digits.isdigit() else 0


def oldest_unsent(dynamodb: Any, table: str, keys: Sequence[EntityKey]) -> int | None:
    """Returns the time of the oldest notification in these entities' outboxes, epoch ms.

    Entities that wakes name are enough: a wake is written before an item with a notification in its outbox.
    """
    times: list[int] = []
    for part in chunks(keys, _KEYS_A_READ):
        wanted = [key_attributes(key) for key in part]
        for _ in range(_READS):
            answer = dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted, "ProjectionExpression": "outbox"}})
            for attributes in answer["Responses"].get(table, ()):
                times += [notification.made_at for notification in parse_outbox(attributes)]
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if not wanted:
                break
    return min(times, default=None)
