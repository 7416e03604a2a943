"""Puts heads and tails together: for each item that was read, the tail of the generation that it names.

Nothing is written.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from functions.aws.batch_get import KEYS_A_CALL, batch_get
from functions.aws.deadline import Deadline
from functions.aws.parallel import chunks
from functions.aws.retry import back_off
from functions.aws.state_table import StateTable
from functions.entities.attribute_values import Attributes
from functions.entities.item import UNREADABLE, entity_key, key_attributes, tail_generation
from functions.entities.tails import NO_TAIL, Tail, ends_ms
from functions.model import EntityKey
from ops.aws import SERVICE, UserError

NO_DEADLINE: Final = Deadline(lambda: 2**31)
"""What a command has instead of the end of an invocation."""
_READS: Final = 3


class Whole(NamedTuple):
    """An item with its tail."""

    head: Attributes
    tail: Tail | None
    """None when it is missing or damaged."""
    problem: str = ""
    """What is wrong with the tail."""


class Tables(NamedTuple):
    """The names of the tables."""

    metrics: str
    state: str | None
    """The internal table; None where it is not known. Then an item with a tail cannot be read."""


def with_tails(heads: Sequence[Attributes], tables: Tables, now_ms: int) -> list[Whole]:
    """Returns items with their tails, in the items' order.

    A tail of another generation than its item names was changed in between: both are read again. Items that are gone
    by then are left out.

    Raises
    ------
    UserError
        When an item has a tail, and the internal table is not known or one of the tables cannot be read.
    """
    found: dict[EntityKey, Whole] = {}
    order = [entity_key(head) for head in heads]
    pending = dict(zip(order, heads, strict=True))
    for attempt in range(_READS):
        if attempt:
            back_off(attempt)
            pending = _read_again(list(pending), tables)
        wanted = _sort_out(pending, found, now_ms)
        pending = _read_tails(pending, wanted, found, tables) if wanted else {}
        if not pending:
            break
    for key, head in pending.items():
        found[key] = Whole(head, None, f"its tail of generation {tail_generation(head)} is not there")
    return [found[key] for key in order if key in found]


def _sort_out(
    heads: Mapping[EntityKey, Attributes], found: dict[EntityKey, Whole], now_ms: int
) -> dict[EntityKey, int]:
    """Adds items whose tails need no reading to `found`. Returns the generations of the others' tails."""
    wanted: dict[EntityKey, int] = {}
    for key, head in heads.items():
        try:
            generation = tail_generation(head)
        except UNREADABLE:
            found[key] = Whole(head, NO_TAIL)  # whoever parses the item meets the same error
            continue
        if now_ms >= ends_ms(generation):
            found[key] = Whole(head, Tail(generation))
        else:
            wanted[key] = generation
    return wanted


def _read_tails(
    heads: Mapping[EntityKey, Attributes],
    wanted: Mapping[EntityKey, int],
    found: dict[EntityKey, Whole],
    tables: Tables,
) -> dict[EntityKey, Attributes]:
    """Adds items with their tails to `found`. Returns the items whose tails are missing or of another generation."""
    if tables.state is None:
        kind, name = next(iter(wanted))
        raise UserError(
            f"the older facts of {kind} {name} are in the internal table, which the settings of the processor's "
            "function name: give --function, --stack, --stack-outputs or --local",
            2,
        )
    read = StateTable(tables.state).read_tails(list(wanted), NO_DEADLINE)
    for reason in read.failed.values():
        raise UserError(f"{reason}; once that is mended, run the same command again", SERVICE)
    for key, reason in read.unreadable.items():
        found[key] = Whole(heads[key], None, reason)
    for key, tail in read.tails.items():
        if tail.generation == wanted[key]:
            found[key] = Whole(heads[key], tail)
    return {key: heads[key] for key in wanted if key not in found}


def _read_again(keys: Sequence[EntityKey], tables: Tables) -> dict[EntityKey, Attributes]:
    again: dict[EntityKey, Attributes] = {}
    for part in chunks([key_attributes(key) for key in keys], KEYS_A_CALL):
        got = batch_get(tables.metrics, part, NO_DEADLINE)
        if got.unread:
            raise UserError(f"{got.reason}; once that is mended, run the same command again", SERVICE)
        again |= {entity_key(head): head for head in got.items}
    return again
