"""The metrics table: reads items in hundreds, writes them in batches of 25 conditional statements, each on its own.

The only module that reads or writes items. It decides nothing about their content.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.parallel import chunks, in_parallel
from functions.aws.retry import attempts
from functions.entities.attribute_values import Attributes
from functions.entities.item import State, entity_key, key_attributes, parse
from functions.entities.plan import Write
from functions.model import EntityKey

_KEYS_A_READ: Final = 100  # BatchGetItem
STATEMENTS_A_WRITE: Final = 25  # BatchExecuteStatement
_ATTEMPTS: Final = 6
_MOST_REMEMBERED_BYTES: Final = 16_000_000

_LOST_RACE: Final = frozenset({"ConditionalCheckFailed", "DuplicateItem"})
_TRY_AGAIN: Final = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)


class _Remembered:
    """The states that this process has written last, so that an item that is read as it was written needs no parsing.

    A state is a function of its item alone, and an item is compared as a whole: what others have written meanwhile is
    never taken for what is remembered.
    """

    def __init__(self) -> None:
        self._states: dict[EntityKey, State] = {}
        self._bytes = 0

    def parsed(self, key: EntityKey, attributes: Attributes) -> State:
        """The item's state; raises what `parse` does."""
        known = self._states.get(key)
        return known if known is not None and known.stored == attributes else parse(attributes)

    def keep(self, states: Iterable[State]) -> None:
        """Remembers states that are in the table now, and forgets the oldest that there is no room for."""
        for state in states:
            self._drop(state.key)
            self._states[state.key] = state
            self._bytes += _remembered_bytes(state)
        while self._bytes > _MOST_REMEMBERED_BYTES:
            self._drop(next(iter(self._states)))

    def _drop(self, key: EntityKey) -> None:
        if (state := self._states.pop(key, None)) is not None:
            self._bytes -= _remembered_bytes(state)


def _remembered_bytes(state: State) -> int:
    return 2 * len(state.facts.blob) + 8_000


_remembered: Final = _Remembered()


@dataclass(slots=True)
class Read:
    """What a read brought."""

    states: dict[EntityKey, State] = field(default_factory=dict)
    failed: dict[EntityKey, str] = field(default_factory=dict)
    """Entities that could not be read, with the reason."""


@dataclass(slots=True)
class Written:
    """What became of writes; one that is in neither set was committed."""

    lost: set[int] = field(default_factory=set)
    """Positions of writes that lost a race: the item is no longer what was read."""
    failed: dict[int, str] = field(default_factory=dict)


class MetricsTable:
    """The table under its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, keys: Sequence[EntityKey], deadline: Deadline) -> Read:
        """The states of these entities, consistently read; version 0 where there is no item."""
        read = Read()
        for part in in_parallel(lambda chunk: self._read(chunk, deadline), chunks(keys, _KEYS_A_READ)):
            read.states |= part.states
            read.failed |= part.failed
        return read

    def _read(self, keys: Sequence[EntityKey], deadline: Deadline) -> Read:
        read = Read()
        wanted = [key_attributes(key) for key in keys]
        for _ in attempts(_ATTEMPTS, deadline):
            try:
                answer = client("dynamodb").batch_get_item(
                    RequestItems={self._name: {"Keys": wanted, "ConsistentRead": True}}
                )
            except (ClientError, BotoCoreError) as error:
                reason = f"reading from {self._name}: {error}"
                return Read(read.states, {key: reason for key in keys if key not in read.states})
            for attributes in answer["Responses"].get(self._name, []):
                self._take(attributes, read)
            wanted = answer.get("UnprocessedKeys", {}).get(self._name, {}).get("Keys", [])
            if not wanted:
                break
        for attributes in wanted:
            read.failed[entity_key(attributes)] = f"{self._name} did not answer for this item in time"
        for key in keys:
            if key not in read.states and key not in read.failed:
                read.states[key] = State(key)
        return read

    @staticmethod
    def _take(attributes: Attributes, read: Read) -> None:
        key = entity_key(attributes)
        try:
            state = _remembered.parsed(key, attributes)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            read.failed[key] = f"the stored item is not readable and is left as it is: {error!r}"
        else:
            read.states[key] = state

    def write(self, writes: Sequence[Write], deadline: Deadline) -> Written:
        """Makes the writes; positions in the answer are those in `writes`."""
        written = Written()
        numbered = list(enumerate(writes))
        parts = in_parallel(lambda chunk: self._write(chunk, deadline), chunks(numbered, STATEMENTS_A_WRITE))
        for part in parts:
            written.lost |= part.lost
            written.failed |= part.failed
        _remembered.keep(
            write.after
            for position, write in numbered
            if position not in written.lost and position not in written.failed
        )
        return written

    def _write(self, numbered: Sequence[tuple[int, Write]], deadline: Deadline) -> Written:
        written = Written()
        pending = list(numbered)
        for attempt in attempts(_ATTEMPTS, deadline):
            try:
                answer = client("dynamodb").batch_execute_statement(
                    Statements=[self._statement(write) for _, write in pending]
                )
            except (ClientError, BotoCoreError) as error:
                written.failed |= {position: f"writing to {self._name}: {error}" for position, _ in pending}
                return written
            again = []
            for (position, write), response in zip(pending, answer["Responses"], strict=True):
                problem = response.get("Error")
                if problem is None:
                    continue
                if problem["Code"] in _LOST_RACE:
                    written.lost.add(position)
                elif problem["Code"] in _TRY_AGAIN:
                    again.append((position, write))
                else:
                    written.failed[position] = f"{problem['Code']}: {problem.get('Message', '')}"
            pending = again
            if not pending:
                return written
            logger.warning("DynamoDB throttled writes", statements=len(pending), attempt=attempt)
        written.failed |= {position: f"{self._name} did not take the write in time" for position, _ in pending}
        return written

    def _statement(self, write: Write) -> dict[str, Any]:
        """An INSERT where there was no item, else an UPDATE on condition of the version that was read.

        Attribute names are the code's own; every value is a parameter.
        """
        before, after = write.before, write.after
        if not before.version:
            names = ", ".join(f"'{name}': ?" for name in after.stored)
            return {
                "Statement": f'INSERT INTO "{self._name}" VALUE {{{names}}}',
                "Parameters": list(after.stored.values()),
            }
        changes = write.changes
        sets = "".join(f' SET "{name}" = ?' for name in changes)
        removes = "".join(f' REMOVE "{name}"' for name in write.removals)
        where = ' WHERE "entity_id" = ? AND "entity_type" = ? AND "version" = ?'
        return {
            "Statement": f'UPDATE "{self._name}"{sets}{removes}{where}',
            "Parameters": [
                *changes.values(),
                *(before.stored[name] for name in ("entity_id", "entity_type", "version")),
            ],
        }
