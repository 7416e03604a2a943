"""A person in the internal table: the tail, and the id in wakes.

Neither does harm without the item: the processor reads a tail only when an item names it, and a wake makes no item.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from functions.aws.state_table import StateTable
from functions.entities import wakes
from functions.entities.attribute_values import Attributes
from functions.entities.item import UNREADABLE
from functions.entities.tails import tail_key
from functions.entities.wakes import Rhythm, Wake
from functions.model import EntityKey
from ops.aws import SERVICE, UserError
from ops.health.due_wakes import lanes_of
from ops.wholes import NO_DEADLINE

_END_OF_TIME: Final = 10**12 - 2
"""Epoch seconds: every wake is due before."""


@dataclass(slots=True)
class Traces:
    """What the internal table holds of a person."""

    tail: bool = False
    wakes: list[Wake] = field(default_factory=list)
    """Those that name the person."""
    unreadable: list[str] = field(default_factory=list)
    """Wakes that cannot be parsed and hold the id. They stay."""

    def __bool__(self) -> bool:
        return self.tail or bool(self.wakes) or bool(self.unreadable)


def find(dynamodb: Any, state_table: str, rhythm: Rhythm, person: EntityKey) -> Traces:
    """Looks for a person's tail, and through every wake of every lane that was ever in use.

    Raises
    ------
    ClientError, BotoCoreError
        When the internal table cannot be read.
    """
    answer = dynamodb.get_item(TableName=state_table, Key=tail_key(person), ConsistentRead=True)
    found = Traces(tail="Item" in answer)
    table = StateTable(state_table)
    for lane in range(lanes_of(table, rhythm)):
        for stored in table.due_wakes(lane, _END_OF_TIME):
            try:
                wake = wakes.parse(stored)
            except UNREADABLE:
                if _holds(stored, person.entity_id):
                    found.unreadable.append(f"{stored['pk']['S']} {stored['sk']['S']}")
                continue
            if person in wake.entities:
                found.wakes.append(wake)
    return found


def _holds(stored: Attributes, entity_id: str) -> bool:
    return json.dumps(entity_id) in json.dumps(stored, default=str)


def forget(dynamodb: Any, state_table: str, person: EntityKey, found: Traces) -> Traces:
    """Removes what was found, once the item is gone; returns what was removed.

    A wake that names others too is written anew without the person before the old one is deleted: a wake too many does
    no harm, one too few would be a count that does not fall.

    Raises
    ------
    UserError
        When a wake could not be written or deleted.
    ClientError, BotoCoreError
        When the tail cannot be deleted.
    """
    old = dynamodb.delete_item(TableName=state_table, Key=tail_key(person), ReturnValues="ALL_OLD")
    table = StateTable(state_table)
    rest = [
        wake._replace(entities=others)
        for wake in found.wakes
        if (others := tuple(key for key in wake.entities if key != person))
    ]
    for reason in table.put_wakes(list(dict.fromkeys(rest)), NO_DEADLINE).values():
        raise UserError(f"{reason}; run the same command again", SERVICE)
    for reason in table.delete_wakes(found.wakes, NO_DEADLINE).values():
        raise UserError(f"{reason}; run the same command again", SERVICE)
    return Traces(tail=bool(old.get("Attributes")), wakes=found.wakes, unreadable=found.unreadable)
