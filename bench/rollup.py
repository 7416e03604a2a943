"""The rollup over tables of many students: time for each 100,000 items, and peak memory, which must not grow with them.

Method. The real function in a process of its own before the endpoint, which answers Scan with pages made beforehand, as
large and as mixed as DynamoDB's would be: decoding them is in the figures, making them is not. Each student has 20
facts, 18 sessions and 2 calls; one session in twelve is shared by two students; 50 students take a tutor's time, whose
item holds the same sessions, some 825. First sessions' figures are stored already but for one tutor in a hundred, as
between two rollups. What is found of subjects is compared with what was made.
"""

import tempfile
import threading
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import polars as pl

from bench.endpoint import Endpoint
from bench.progress import Progress
from bench.store import Item
from bench.worker import TABLE, Worker, environment
from bench.workload import DAY_MS, NOW
from functions.entities.fact_columns import FACTS, NOTHING, FactColumns, assemble, table
from functions.entities.facts import CALL, SESSION, SUCCESS, UNKNOWN
from functions.simulator.marketplace import SUBJECTS

SIZES: Final = (10_000, 100_000, 1_000_000)
_QUICK: Final = (2_000, 10_000)

_SESSIONS: Final = 18
_SHARED: Final = 3
"""Of a student's sessions those that another student has too."""
_CALLS: Final = 2
_BLOCK: Final = 1_000
"""Students who have their tutors in common."""
_TUTORS: Final = 20
"""Of a block."""
_MINUTE_MS: Final = 60_000
_NAMES: Final = sorted(SUBJECTS)
_SUBJECTS: Final = 3
"""Of a student."""
_PAGE_BYTES: Final = 1_000_000  # Scan: 1 MB of whole items, whatever is projected of them
_REST_BYTES: Final = 1_400
"""What an item has beside its facts: figures, registers, alerts."""


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Seconds and peak memory by number of students, in processes of their own."""
    sizes = _QUICK if quick else SIZES
    return {str(students): _measure(students, progress) for students in sizes}


def _measure(students: int, progress: Progress) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-rollup-") as directory, Endpoint() as endpoint:
        pages, temporary = (Path(directory, name) for name in ("pages", "temporary"))
        pages.mkdir()
        temporary.mkdir()
        progress(f"rollup: making {students:,} students")
        made = make(pages, students)
        endpoint.pages(pages, made.items, made.bytes)
        progress(f"rollup: {students:,} students")
        variables = environment(endpoint.url) | {"TMPDIR": str(temporary)}
        with Worker("functions.rollup.handler", variables) as rollup, _Watched(temporary) as watched:
            cost = rollup.invoke(b"{}", NOW)
        used = endpoint.used()
        _compare(endpoint.items_of(TABLE), made)
        return {
            "items": made.items,
            "facts": made.facts,
            "table_mb": made.bytes / 1e6,
            "pages": used.calls["Scan"],
            "wall_seconds": cost.wall,
            "cpu_seconds": cost.cpu,
            "wall_seconds_per_100k_items": cost.wall / made.items * 100_000,
            "cpu_seconds_per_100k_items": cost.cpu / made.items * 100_000,
            "peak_mb": cost.peak_mb,
            "temporary_mb": watched.most / 1e6,
            "written": cost.answer["written"],
        }


class _Watched:
    """How many bytes of files there are at most in a directory while the `with` block lasts, looked at by the way."""

    def __init__(self, directory: Path) -> None:
        self.most = 0
        self._directory = directory
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            with suppress(FileNotFoundError):  # what is no longer there when it is its turn
                self.most = max(self.most, sum(each.stat().st_size for each in self._directory.rglob("*.parquet")))


@dataclass(slots=True)
class Made:
    """What a made table holds."""

    items: int = 0
    facts: int = 0
    bytes: int = 0
    sessions: Counter[str] = field(default_factory=Counter)
    """Distinct sessions of the last 30 days, by subject."""
    active: Counter[str] = field(default_factory=Counter)
    """Students active in the last 30 days, by subject."""


def make(directory: Path, students: int) -> Made:
    """Writes a table's items, page by page, as Scan returns them: `00000000.json` and so on."""
    made, size, pages = Made(), 0, 0
    page: list[Item] = []
    for begin in range(0, students, _BLOCK):
        for item, whole in _block(begin, min(_BLOCK, students - begin), made):
            if size + whole > _PAGE_BYTES:
                _write(directory, pages, page)
                page, size, pages = [], 0, pages + 1
            page.append(item)
            size += whole
            made.items += 1
            made.bytes += whole
    for name in _NAMES:
        page.append({"entity_id": {"S": name}, "entity_type": {"S": "subject"}})
        made.items += 1
    _write(directory, pages, page)
    return made


def _write(directory: Path, number: int, page: Sequence[Item]) -> None:
    (directory / f"{number:08d}.json").write_bytes(msgspec.json.encode(page))


def _block(begin: int, students: int, made: Made) -> Iterator[tuple[Item, int]]:
    """The items of some students and of their tutors, mixed, each with the bytes that all of it would take."""
    rows = _rows(begin, students)
    sessions = rows.filter(pl.col("kind") == SESSION)
    recent = sessions.filter(pl.col("time") > NOW - 30 * DAY_MS)
    made.sessions.update(_NAMES[each] for each in recent.unique("id")["subject"])
    made.active.update(_NAMES[each] for each in recent.unique(["student", "subject"])["subject"])
    made.facts += rows.height

    tutors = [f"tut_{begin // _BLOCK * _TUTORS + each:07d}".encode() for each in range(_TUTORS)]
    begun = Counter(each % _TUTORS for each in range(begin, begin + students) if _is_new(each))
    taught = (
        sessions.unique("id").rename({"tutor": "owner"}).with_columns(tutor=pl.lit(0), subject=pl.col("subject") + 1)
    )
    of_tutors = []
    names = tuple(_NAMES)
    for tutor, facts in _stored(taught, [(names, ())] * _TUTORS):
        made.facts += facts.facts.rows
        blob = facts.blob
        first = begun[tutor] if (begin + tutor) % 100 else 0
        item = _item("tutor", tutors[tutor].decode(), blob) | {
            "first_sessions_30d": {"N": str(first)},
            "first_session_success_rate": {"N": "1" if first else "0"},
            "rolled_up": {"M": {"as_of": {"N": str(NOW - 900_000)}, "first_outcomes": {"N": str(first)}}},
        }
        of_tutors.append((item, len(blob) + _REST_BYTES))

    known = sessions.group_by("student").agg(pl.col("tutor").unique().sort()).sort("student")["tutor"].to_list()
    own = rows.rename({"student": "owner"}).with_columns(
        tutor=pl.when(pl.col("kind") == SESSION).then(pl.col("tutor")).rank("dense").over("owner").fill_null(0),
        subject=pl.when(pl.col("kind") == SESSION).then(pl.col("subject") - pl.col("base") + 1).otherwise(0),
    )
    bases = [_base(begin + student) for student in range(students)]
    taught_by = [tuple(tutors[each].decode() for each in known[student]) for student in range(students)]
    owned = [(names[base : base + _SUBJECTS], their) for base, their in zip(bases, taught_by, strict=True)]
    for student, facts in _stored(own, owned):
        number = begin + student
        subjects, blob = facts.subjects, facts.blob
        first_session: dict[str, dict[str, Any]] = {
            "time": {"N": str(NOW - (10 if _is_new(number) else 200) * DAY_MS)},
            "subject": {"S": subjects[0]},
            "tutor_id": {"S": tutors[number % _TUTORS].decode()},
            "outcome": {"S": "success"},
        }
        yield (
            _item("student", f"stu_{number:08d}", blob) | {"first_session": {"M": first_session}},
            len(blob) + _REST_BYTES,
        )
        if student % (_BLOCK // _TUTORS) == 0:
            yield of_tutors.pop()
    yield from of_tutors


def _rows(begin: int, students: int) -> pl.DataFrame:
    """The facts of some students, 20 each."""
    student, which = pl.col("student"), pl.col("which")
    session = which < _SESSIONS
    number = (pl.when(which < _SHARED).then(student // 2 * 2).otherwise(student) + begin) * 100 + which
    return (
        pl.DataFrame({"student": range(students)}, schema={"student": pl.Int64})
        .join(pl.DataFrame({"which": range(_SESSIONS + _CALLS)}, schema={"which": pl.Int64}), how="cross")
        .with_columns(number=number, base=(student + begin) // 2 % (len(_NAMES) - _SUBJECTS + 1))
        .with_columns(
            kind=pl.when(session).then(SESSION).otherwise(CALL),
            id=_chance(0),
            time=NOW - (_chance(1) % (32 * DAY_MS)).cast(pl.Int64),
            lasts=pl.when(session).then((20 + _chance(2) % 40) * _MINUTE_MS).otherwise(0).cast(pl.Int64),
            tutor=(_chance(3) % _TUTORS).cast(pl.Int64),
            subject=pl.col("base") + (_chance(4) % _SUBJECTS).cast(pl.Int64),
            outcome=pl.when(session).then(SUCCESS).otherwise(UNKNOWN),
            rating=pl.when(session & (_chance(5) % 5 < 3)).then(10_000 + _chance(6) % 5 * 10_000).cast(pl.Int64),
        )
    )


def _chance(seed: int) -> pl.Expr:
    return pl.col("number").hash(seed)


def _stored(
    rows: pl.DataFrame, names: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]
) -> Iterator[tuple[int, FactColumns]]:
    """Each owner's rows and names in stored form; `subject` and `tutor` are positions in the owner's names."""
    rows = rows.sort("owner", "time", "kind", "id").rename({"lasts": "lasted"})
    rows = rows.with_columns(rating=pl.col("rating").fill_null(-1) + 1)
    columns = {name: array("Q", rows[name].to_list()) for name in FACTS}
    counts = dict(rows.group_by("owner").len().iter_rows())
    begin = 0
    for owner, of_owner in enumerate(names):
        end = begin + counts.get(owner, 0)
        facts = table(0, {name: column[begin:end] for name, column in columns.items()})
        yield owner, assemble(facts, NOTHING.hours, {}, of_owner, NOTHING)
        begin = end


def _item(entity_type: str, entity_id: str, blob: bytes) -> Item:
    figures = ("sessions_7d", "sessions_14d", "sessions_30d", "session_velocity", "avg_rating", "ratings_30d")
    return {
        "entity_id": {"S": entity_id},
        "entity_type": {"S": entity_type},
        "facts": {"B": blob},
        **{name: {"N": "17"} for name in figures},
    }


def _base(student: int) -> int:
    """The first of the student's three subjects."""
    return student // 2 % (len(_NAMES) - _SUBJECTS + 1)


def _is_new(student: int) -> bool:
    """Whether the student's first session is of these 30 days."""
    return student % 33 == 0


def _compare(items: Sequence[Item], made: Made) -> None:
    """Raises when what was found is not what was made."""
    found = {
        item["entity_id"]["S"]: (int(item["sessions_30d"]["N"]), int(item["active_students_30d"]["N"]))
        for item in items
        if item["entity_type"]["S"] == "subject"
    }
    expected = {name: (made.sessions[name], made.active[name]) for name in made.sessions}
    if found != expected:
        raise AssertionError(f"the rollup says {found}, what was made is {expected}")
