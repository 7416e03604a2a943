"""The metrics table: reads items with their tails in hundreds; writes items, and those that move with their tails.

Most writes are conditional statements, 25 a call, each on its own. An item whose tail changes is written in one
transaction with it. The only module that reads or writes items. It decides nothing about their content.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from functions.aws.batch_get import KEYS_A_CALL, batch_get
from functions.aws.clients import client
from functions.aws.deadline import Deadline
from functions.aws.observability import logger
from functions.aws.parallel import chunks, in_parallel
from functions.aws.retry import attempts
from functions.aws.state_table import StateTable
from functions.entities.attribute_values import Attributes, size_of
from functions.entities.item import UNREADABLE, State, entity_key, key_attributes, parse, tail_generation
from functions.entities.plan import Write
from functions.entities.tails import Tail, ends_ms, tail_attributes
from functions.model import EntityKey

STATEMENTS_A_WRITE: Final = 25  # BatchExecuteStatement
_ATTEMPTS: Final = 6
_MOVES_A_CALL: Final = 25  # TransactWriteItems takes 100 actions, two a move, ...
_MOVED_BYTES_A_CALL: Final = 4_000_000  # ... and 4 MB of items
_MOST_REMEMBERED_BYTES: Final = 64_000_000

_UNREADABLE: Final = "the stored item is not readable and is left as it is: "
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
_REFUSED_MOVE: Final = "TransactionCanceledException"


class _Remembered:
    """The states that this process has written last, so that an item that is read as it was written needs no parsing.

    A state is a function of its item alone, and an item is compared as a whole: what others have written meanwhile is
    never taken for what is remembered.
    """

    def __init__(self) -> None:
        self._states: dict[EntityKey, State] = {}
        self._bytes = 0

    def state(self, key: EntityKey, attributes: Attributes) -> State | None:
        """Return the state of the item if it is in the table as it is remembered."""
        known = self._states.get(key)
        return known if known is not None and known.stored == attributes else None

    def tail(self, key: EntityKey, generation: int) -> Tail | None:
        """Return the tail if this generation of it is remembered."""
        known = self._states.get(key)
        return known.tail if known is not None and known.tail.generation == generation else None

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
    return 2 * len(state.facts.blob) + len(state.tail.facts.blob) + 8_000


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
    cancelled: int = 0
    """How many transactions DynamoDB cancelled."""


class MetricsTable:
    """The table under its name, and beside it the table of tails."""

    def __init__(self, name: str, state_table: StateTable) -> None:
        self._name = name
        self._state_table = state_table

    def read(self, keys: Sequence[EntityKey], now_ms: int, deadline: Deadline) -> Read:
        """Return the states of these entities, consistently read; version 0 where there is no item.

        Tails are read after their items. A tail of another generation than its item names was changed in between: both
        are read again.
        """
        read = Read()
        pending = list(keys)
        for _ in attempts(_ATTEMPTS, deadline):
            items = self._read_items(pending, read, deadline)
            pending = self._read_states(items, read, now_ms, deadline)
            if not pending:
                return read
        reason = f"{self._name} did not give the item, and its tail of the generation that the item names, in time"
        read.failed |= dict.fromkeys(pending, reason)
        return read

    def _read_items(self, keys: Sequence[EntityKey], read: Read, deadline: Deadline) -> dict[EntityKey, Attributes]:
        """Return the items that there are. What is not there or cannot be read goes to `read`."""
        items: dict[EntityKey, Attributes] = {}
        wanted = [key_attributes(key) for key in keys]
        for got in in_parallel(lambda chunk: batch_get(self._name, chunk, deadline), chunks(wanted, KEYS_A_CALL)):
            items |= {entity_key(attributes): attributes for attributes in got.items}
            read.failed |= {entity_key(key): got.reason for key in got.unread}
        read.states |= {key: State(key) for key in keys if key not in items and key not in read.failed}
        return items

    def _read_states(
        self, items: Mapping[EntityKey, Attributes], read: Read, now_ms: int, deadline: Deadline
    ) -> list[EntityKey]:
        """Parse items, with their tails. Return the entities whose tails are of another generation."""
        tails: dict[EntityKey, Tail] = {}
        wanted: dict[EntityKey, int] = {}
        for key, attributes in items.items():
            if (state := _remembered.state(key, attributes)) is not None:
                read.states[key] = state
                continue
            try:
                generation = tail_generation(attributes)
            except UNREADABLE as error:
                read.failed[key] = f"{_UNREADABLE}{error!r}"
                continue
            if now_ms >= ends_ms(generation):
                tails[key] = Tail(generation)
            elif (tail := _remembered.tail(key, generation)) is not None:
                tails[key] = tail
            else:
                wanted[key] = generation
        if wanted:
            found = self._state_table.read_tails(list(wanted), deadline)
            read.failed |= found.failed | found.unreadable
            tails |= {key: tail for key, tail in found.tails.items() if tail.generation == wanted[key]}
        for key, tail in tails.items():
            self._parse(key, items[key], tail, read)
        _remembered.keep(read.states[key] for key in wanted if key in read.states)
        return [key for key in wanted if key not in tails and key not in read.failed]

    @staticmethod
    def _parse(key: EntityKey, attributes: Attributes, tail: Tail, read: Read) -> None:
        try:
            read.states[key] = parse(attributes, tail)
        except UNREADABLE as error:
            read.failed[key] = f"{_UNREADABLE}{error!r}"

    def write(self, writes: Sequence[Write], deadline: Deadline) -> Written:
        """Make the writes; positions in the answer are those in `writes`."""
        written = Written()
        numbered = list(enumerate(writes))
        statements = [(position, write) for position, write in numbered if not write.moves]
        moves = [(position, write) for position, write in numbered if write.moves]
        calls = [
            *(partial(self._write, chunk, deadline) for chunk in chunks(statements, STATEMENTS_A_WRITE)),
            *(partial(self._move, group, deadline) for group in _in_groups(moves)),
        ]
        for part in in_parallel(lambda call: call(), calls):
            written.lost |= part.lost
            written.failed |= part.failed
            written.cancelled += part.cancelled
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
            problems = [response.get("Error") for response in answer["Responses"]]
            pending = self._sort_out(pending, problems, written)
            if not pending:
                return written
            logger.warning("DynamoDB throttled writes", statements=len(pending), attempt=attempt)
        written.failed |= {position: f"{self._name} did not take the write in time" for position, _ in pending}
        return written

    def _move(self, numbered: Sequence[tuple[int, Write]], deadline: Deadline) -> Written:
        """Write items with their tails in one transaction. When it is cancelled, the sound ones are tried again."""
        written = Written()
        pending = list(numbered)
        for attempt in attempts(_ATTEMPTS, deadline):
            try:
                client("dynamodb").transact_write_items(
                    TransactItems=[action for _, write in pending for action in self._actions(write)]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != _REFUSED_MOVE:
                    written.failed |= {position: f"writing to {self._name}: {error}" for position, _ in pending}
                    return written
                reasons: Any = error.response["CancellationReasons"]
                problems = [_worse(*reasons[first : first + 2]) for first in range(0, len(reasons), 2)]
                pending = self._sort_out(pending, problems, written, done=False)
                written.cancelled += 1
            except BotoCoreError as error:
                written.failed |= {position: f"writing to {self._name}: {error}" for position, _ in pending}
                return written
            else:
                return written
            if not pending:
                return written
            logger.warning("DynamoDB cancelled a transaction", moves=len(pending), attempt=attempt)
        written.failed |= {position: f"{self._name} did not take the write in time" for position, _ in pending}
        return written

    @staticmethod
    def _sort_out(
        pending: Sequence[tuple[int, Write]], problems: Sequence[Any], written: Written, *, done: bool = True
    ) -> list[tuple[int, Write]]:
        """Note which writes are lost or failed. Return those to try again.

        Those without a problem are among them unless they are `done`: a transaction does all or nothing.
        """
        again = []
        for (position, write), problem in zip(pending, problems, strict=True):
            if problem is None:
                again += [] if done else [(position, write)]
            elif problem["Code"] in _LOST_RACE:
                written.lost.add(position)
            elif problem["Code"] in _TRY_AGAIN:
                again.append((position, write))
            else:
                written.failed[position] = f"{problem['Code']}: {problem.get('Message', '')}"
        return again

    def _actions(self, write: Write) -> list[dict[str, Any]]:
        """Return the two actions of a move: the item, on condition of the version that was read, and its tail."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(entity_id)"}
        if write.before.version:
            condition = {
                "ConditionExpression": "version = :version",
                "ExpressionAttributeValues": {":version": write.before.stored["version"]},
            }
        item = {"Put": {"TableName": self._name, "Item": write.after.stored, **condition}}
        return [item, self._state_table.put_of_tail(write.after.key, write.after.tail)]

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


def _in_groups(moves: Iterable[tuple[int, Write]]) -> list[list[tuple[int, Write]]]:
    """Return moves in groups that one transaction takes."""
    groups: list[list[tuple[int, Write]]] = []
    left = 0
    for position, write in moves:
        size = size_of(write.after.stored) + size_of(tail_attributes(write.after.key, write.after.tail))
        if not groups or size > left or len(groups[-1]) == _MOVES_A_CALL:
            groups.append([])
            left = _MOVED_BYTES_A_CALL
        groups[-1].append((position, write))
        left -= size
    return groups


def _worse(item: dict[str, Any], tail: dict[str, Any]) -> dict[str, Any] | None:
    """Return why an item and its tail were refused; None when they were not the reason."""
    return next((reason for reason in (item, tail) if reason.get("Code", "None") != "None"), None)
