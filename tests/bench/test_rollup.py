"""The made tables of the rollup's benchmark are such as the processor could have written, and are rolled up exactly."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bench import rollup
from bench.workload import NOW
from functions.entities.fact_columns import facts_of, read
from functions.entities.facts import CALL, RETENTION_MS, SESSION, Fact
from functions.entities.folding import is_too_much

STUDENTS = 1_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[rollup.Made, list[list[dict[str, Any]]]]:
    """What was made, and its pages."""
    directory = tmp_path_factory.mktemp("pages")
    made = rollup.make(directory, STUDENTS)
    return made, [json.loads(page.read_bytes()) for page in sorted(directory.iterdir())]


def items(pages: list[list[dict[str, Any]]], entity_type: str) -> list[dict[str, Any]]:
    return [item for page in pages for item in page if item["entity_type"]["S"] == entity_type]


def facts(item: dict[str, Any]) -> list[Fact]:
    """An item's facts, of which none is due to leave, in the order in which they are stored."""
    packed = read(base64.b64decode(item["facts"]["B"]))
    found = list(facts_of(packed))
    assert found == sorted(found, key=lambda fact: (fact.time, fact.kind, fact.id))
    assert all(fact.last > NOW - RETENTION_MS for fact in found)
    assert not packed.exceptions
    assert not is_too_much(packed)
    return found


def test_each_student_has_20_facts_and_their_tutors_the_same_sessions(
    table: tuple[rollup.Made, list[list[dict[str, Any]]]],
) -> None:
    made, pages = table
    of_students = [facts(item) for item in items(pages, "student")]
    of_tutors = [facts(item) for item in items(pages, "tutor")]
    assert {(len(each), sum(fact.kind == CALL for fact in each)) for each in of_students} == {(20, 2)}
    assert len(of_students) == STUDENTS
    taught = [fact for each in of_tutors for fact in each]
    assert len(taught) == len({fact.id for fact in taught}) == STUDENTS * 33 // 2
    learned = {fact.id: fact for each in of_students for fact in each if fact.kind == SESSION}
    assert {fact.id: (fact.time, fact.subject, fact.rating) for fact in taught} == {
        fact.id: (fact.time, fact.subject, fact.rating) for fact in learned.values()
    }
    assert made.facts == 20 * STUDENTS + len(taught)
    assert made.items == sum(map(len, pages)) == STUDENTS + len(of_tutors) + len(items(pages, "subject"))


def test_students_and_tutors_are_mixed_in_pages_of_what_scan_reads_at_once(
    table: tuple[rollup.Made, list[list[dict[str, Any]]]],
) -> None:
    _, pages = table
    for page in pages:
        assert len({item["entity_type"]["S"] for item in page}) > 1
        assert sum(len(base64.b64decode(item["facts"]["B"])) for item in page if "facts" in item) < 1_000_000


def test_what_is_found_is_what_was_made() -> None:
    said: list[str] = []
    result = rollup._measure(STUDENTS, said.append)
    assert said
    assert result["written"] >= len(rollup._NAMES)
    assert 0 < result["peak_mb"] < 1_024
    assert result["temporary_mb"] >= 0


def test_what_is_not_what_was_made_is_said() -> None:
    made = rollup.Made()
    made.sessions["algebra"] = made.active["algebra"] = 2
    found = {"entity_type": {"S": "subject"}, "entity_id": {"S": "algebra"}}
    rollup._compare([{**found, "sessions_30d": {"N": "2"}, "active_students_30d": {"N": "2"}}], made)
    with pytest.raises(AssertionError, match="algebra"):
        rollup._compare([{**found, "sessions_30d": {"N": "3"}, "active_students_30d": {"N": "2"}}], made)


def test_files_are_watched_until_the_end(tmp_path: Path) -> None:
    with rollup._Watched(tmp_path) as watched:
        (tmp_path / "a.parquet").write_bytes(b"12345")
        while not watched.most:
            pass
        (tmp_path / "a.parquet").unlink()
    assert watched.most == 5
