"""Facts as tests write them, one entity's or several's as frames, and what arrives for Hypothesis."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import polars as pl
from hypothesis import strategies as st

from functions.entities import absorb, facts, open_facts, tails
from functions.entities.absorb import Stored
from functions.entities.fact_columns import NOTHING, FactColumns, Hour, facts_of, hours_of
from functions.entities.facts import CALL, FAILURE, SESSION, SUCCESS, UNKNOWN, Fact, NewFact
from functions.entities.tails import NO_TAIL, Head
from functions.model import DAY_MS, HOUR_MS
from tests.helpers.deployment import NOW

Row = dict[str, Any]

HALF_HOUR = HOUR_MS // 2
KEY = ["entity", "kind", "id"]

ROWS = pl.Schema(
    {
        "entity": pl.UInt32,
        "kind": pl.UInt64,  # SESSION or CALL
        "id": pl.UInt64,  # fact_id of kind and identity
        "time": pl.Int64,  # the earliest event, epoch ms
        "last": pl.Int64,  # the latest event, epoch ms
        "rating": pl.UInt64,  # ten-thousandths, or null
        "rating_time": pl.Int64,  # of the completion that gave the rating
        "outcome": pl.UInt64,  # UNKNOWN, FAILURE or SUCCESS
        "outcome_time": pl.Int64,  # of the completion that said so, or null
        "subject": pl.String,
        "subject_time": pl.Int64,  # of the earliest event that named the subject
        "tutor": pl.String,  # in a student's facts: who taught
        "tutor_time": pl.Int64,  # of the earliest event that named the tutor
    }
)

FOLDED = pl.Schema(
    {
        "entity": pl.UInt32,
        "kind": pl.UInt64,
        "time": pl.Int64,  # the hour's start, epoch ms
        "weight": pl.Int64,  # how many things
        "rating_sum": pl.Int64,  # ten-thousandths
        "rating_count": pl.Int64,
    }
)

NO_ROWS = pl.DataFrame(schema=ROWS)
NO_HOURS = pl.DataFrame(schema=FOLDED)
NO_FACTS = Stored(NOTHING, NO_TAIL)


def told(time: int, identity: int = 1, *, entity: int = 0, kind: int = SESSION, **said: Any) -> Row:
    """What one event says of one thing, as a row: `rating`, `outcome`, `subject`, `tutor` where they are given."""
    return {"entity": entity, **facts.told(kind, identity, time, **said)._asdict()}


def fact(row: Row) -> Fact:
    """A row without its entity."""
    return Fact(**{name: value for name, value in row.items() if name != "entity"})


def rows(*made: Row) -> pl.DataFrame:
    """Rows as a frame of `ROWS`, in the order given."""
    return pl.DataFrame(list(made), schema=ROWS)


def hours(*made: tuple[int, int, int, int, int]) -> pl.DataFrame:
    """Folded rows of entity 0: kind, time, weight, rating_sum, rating_count."""
    return pl.DataFrame([(0, *each) for each in made], schema=FOLDED, orient="row")


def pack(facts: pl.DataFrame, folded: pl.DataFrame, entities: Sequence[int]) -> dict[int, FactColumns]:
    """Frames of `ROWS` and `FOLDED` in stored form."""
    return {
        entity: open_facts.pack(
            map(fact, facts.filter(pl.col("entity") == entity).to_dicts()),
            (Hour(time, kind, *sums) for owner, kind, time, *sums in folded.rows() if owner == entity),
        )
        for entity in entities
    }


def unpack(parts: Iterable[tuple[int, FactColumns]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The inverse of `pack`, of entities' positions and some of their facts."""
    parts = list(parts)
    rows = [(entity, *each) for entity, packed in parts for each in facts_of(packed)]
    hours = [
        (entity, each.kind, each.time, each.weight, each.rating_sum, each.rating_count)
        for entity, packed in parts
        for each in hours_of(packed)
    ]
    return pl.DataFrame(rows, schema=ROWS, orient="row"), pl.DataFrame(hours, schema=FOLDED, orient="row")


def things_of(facts: pl.DataFrame, folded: pl.DataFrame = NO_HOURS) -> pl.DataFrame:
    """Frames of `ROWS` and `FOLDED` as `THINGS`."""
    session = (pl.col("kind") == SESSION).alias("session")
    rating_sum = pl.col("rating").fill_null(0).cast(pl.Int64)
    rating_count = pl.col("rating").is_not_null().cast(pl.Int64)
    rows = facts.select(
        "entity", session, "time", weight=pl.lit(1, pl.Int64), rating_sum=rating_sum, rating_count=rating_count
    )
    sums = ("weight", "rating_sum", "rating_count")
    return pl.concat([rows, folded.select("entity", session, "time", *sums)])


def head(other_bytes: int, writes: int) -> Head:
    """An item of so many bytes without its facts."""
    return Head({"a": {"S": "x" * (other_bytes - 1)}}, writes)


KEEPS = head(500, writes=0)
"""A head that was moved just now, with room for some 500 bytes of facts: they stay while it holds."""
MOVES = head(1_019, writes=1_000_000)
"""A head without room, written often since the last move: all facts move but sessions that may be going on."""


@contextmanager
def always_moving() -> Iterator[None]:
    """Facts move to the tail in every write with news, few and new ones too."""
    with (
        mock.patch.object(tails, "MOST_RECENT_ROWS", 0),
        mock.patch.object(absorb, "_LEAST_TO_MOVE", 1),
    ):
        yield


@dataclass
class Taken:
    """What taking in has made of some entities: their stored facts, the same as sorted frames, and what was said."""

    stored: list[Stored]
    changed: set[int] = field(default_factory=set)
    too_late: list[tuple[int, int]] = field(default_factory=list)
    news: dict[int, list[NewFact]] = field(default_factory=dict)
    repeated: dict[int, int] = field(default_factory=dict)

    @property
    def parts(self) -> list[tuple[int, FactColumns]]:
        """Each head and each tail, with the position of its entity."""
        return [(entity, part) for entity, (recent, tail) in enumerate(self.stored) for part in (recent, tail.facts)]

    @property
    def folded_before(self) -> dict[int, int]:
        """By entity; only of those that have been folded."""
        edges = enumerate(tail.folded_before for _, tail in self.stored)
        return {entity: edge for entity, edge in edges if edge is not None}

    @property
    def rows(self) -> pl.DataFrame:
        """Of heads and tails together."""
        return unpack(self.parts)[0].sort("entity", "time", "kind", "id")

    @property
    def folded(self) -> pl.DataFrame:
        return unpack(self.parts)[1]


def take(before: Taken | None, made: Iterable[Row], as_of: int = NOW, entities: int = 1, head: Head = KEEPS) -> Taken:
    """`absorb` of what arrives, each from a record of its own, into what an earlier one left. All have this head."""
    before = before or Taken([])
    stored = [*before.stored, *[NO_FACTS] * (entities - len(before.stored))]
    arriving: dict[int, list[tuple[int, Fact]]] = defaultdict(list)
    for record, row in enumerate(made):
        arriving[row["entity"]].append((record, fact(row)))
    merged = absorb.absorb(stored, arriving, [as_of] * entities, [head] * entities)
    assert merged.unreadable == {}
    changed = {entity for entity, parts in enumerate(merged.facts) if parts != stored[entity]}
    repeated = {entity: count for entity, count in merged.repeated.items() if count}
    return Taken(merged.facts, changed, merged.too_late, merged.news, repeated)


def naive(made: list[Row]) -> list[Row]:
    """The table of merges (docs/state.md), one thing after the other: sorted rows."""
    by_key: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in made:
        by_key[tuple(row[name] for name in KEY)].append(row)
    merged = []
    for same in by_key.values():
        rated = max(((row["rating_time"], row["rating"]) for row in same if row["rating"] is not None), default=None)
        ended = max(((row["outcome_time"], row["outcome"]) for row in same if row["outcome"]), default=None)
        named = min(((row["subject_time"], row["subject"]) for row in same if row["subject"]), default=None)
        taught = min(((row["tutor_time"], row["tutor"]) for row in same if row["tutor"]), default=None)
        merged.append(
            {
                **{name: same[0][name] for name in KEY},
                "time": min(row["time"] for row in same),
                "last": max(row["last"] for row in same),
                "rating": rated and rated[1],
                "rating_time": rated and rated[0],
                "outcome": ended[1] if ended else 0,
                "outcome_time": ended and ended[0],
                "subject": named and named[1],
                "subject_time": named and named[0],
                "tutor": taught and taught[1],
                "tutor_time": taught and taught[0],
            }
        )
    return sorted(merged, key=lambda row: [row[name] for name in ("entity", "time", "kind", "id")])


def many(count: int, *, step: int = HALF_HOUR, first: int = 1, latest: int = NOW - HOUR_MS, **given: Any) -> list[Row]:
    """Rated sessions, one each `step` back from `latest`."""
    return [told(latest - number * step, first + number, rating=number % 50_001, **given) for number in range(count)]


def moments(*days: int) -> st.SearchStrategy[int]:
    """Times up to `NOW`, many of them within two milliseconds of the edge of a window of so many days."""
    edges = st.builds(lambda day, off: NOW - day * DAY_MS + off, st.sampled_from(days), st.integers(-2, 2))
    return st.one_of(edges, st.integers(NOW - 33 * DAY_MS, NOW))


things = st.builds(
    told,
    moments(0, 7, 14, 30, 32),
    st.integers(1, 4),
    entity=st.integers(0, 1),
    kind=st.sampled_from([SESSION, CALL]),
    rating=st.sampled_from([None, 0, 12_345, 50_000]),
    outcome=st.sampled_from([UNKNOWN, FAILURE, SUCCESS]),
    subject=st.sampled_from([None, "algebra", "biology", "Ökologie"]),
    tutor=st.sampled_from([None, "tut_1", "tut_2"]),
)
"""What one event says of one of a few things of two entities: few identities and times, so that everything meets."""
