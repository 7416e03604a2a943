"""Runs the engines over the same batches, checks that all metrics of all batches are equal, then compares their times.

Method. After batches that fill 30 days, each engine takes in the measured events; the figure is events a CPU second
over the median batch. Engines run one after the other in rounds; the ratio is the median of the rounds'. Like for like
with those that keep live state in memory is `in memory`; `core` unpacks and packs each entity's state in every batch,
as it must where state lives in a table. All run on one thread.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any, Final

from bench.peers.engines import ENGINES, Answers
from bench.peers.stream import POPULATION, Metrics, stream
from bench.progress import Progress

SIZES: Final = (1_000, 10_000)
OURS: Final = ("core", "in memory")


class Different(AssertionError):
    """Two engines say different things: their times can't be compared."""


def run(quick: bool, progress: Progress) -> dict[str, Any]:
    """Events a CPU second of each engine at each batch size, and the ratio of each of ours to each other."""
    result: dict[str, Any] = {
        "versions": {name: _version(name) for name in ("polars", "bytewax", "duckdb")},
        "students": POPULATION.students,
        "tutors": POPULATION.tutors,
    }
    for size in SIZES:
        warm, measured = stream((6 if quick else 12) * size if size > 1_000 else (20 if quick else 60) * size, size)
        rates: dict[str, list[float]] = {}
        for each in range(1 if quick else 3):
            expected: list[list[Metrics]] | None = None
            for name, engine in ENGINES.items():
                progress(f"windows in batches of {size:,}: {name}, round {each + 1}")
                answers = engine([*warm, *measured])
                expected = expected or answers.metrics
                _check(name, answers, expected)
                events = measured[0].events
                rates.setdefault(name, []).append(events / median(answers.cpu[len(warm) :]))
        result[str(size)] = {
            "batches": len(measured),
            "entities_named": sum(len(each) for each in expected[len(warm) :]) / len(measured) if expected else 0,
            "events_per_cpu_second": {name: median(each) for name, each in rates.items()},
            "ratio": {
                ours: {
                    name: median(one / other for one, other in zip(rates[ours], each, strict=True))
                    for name, each in rates.items()
                    if name not in OURS
                }
                for ours in OURS
            },
        }
    return result


def _check(name: str, answers: Answers, expected: Sequence[Sequence[Metrics]]) -> None:
    for position, (given, wanted) in enumerate(zip(answers.metrics, expected, strict=True)):
        for one, other in zip(given, wanted, strict=True):
            if one != other:
                raise Different(f"batch {position}: {name} says {one}, {OURS[0]} says {other}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
