"""The figures that are owed and aimed at, each with how its value is read from the results.

Figures are factors over the baseline or another engine unless a unit is named; whether more or less is better stands
with each. Decides nothing about how they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bench.growth import LINEAR


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table of figures."""

    part: str
    """The part whose results it needs."""
    name: str
    reach: float | None
    """Nothing where nothing is owed: the value stands beside another figure's."""
    aim: float | Callable[[Any], float] | None
    """A function of that part's results where the events decide it."""
    value: Callable[[Any], float]
    """From that part's results."""
    unit: str = "x"
    """`x` for a factor, `%` for a share, `MB`; `` for a plain number."""
    less_is_better: bool = False

    def reached(self, value: float, aim: float | None) -> str:
        """What a value reaches: aim, reach or no; `-` where nothing is owed."""
        if self.reach is None or aim is None:
            return "-"
        if self._meets(value, aim):
            return "aim"
        return "reach" if self._meets(value, self.reach) else "no"

    def wanted(self, results: Any) -> float | None:
        """The aim, given the part's results."""
        return self.aim(results) if callable(self.aim) else self.aim

    def _meets(self, value: float, wanted: float) -> bool:
        return value <= wanted if self.less_is_better else value >= wanted


def _ratio(size: int, name: str) -> Callable[[Any], float]:
    def value(results: Any) -> float:
        ratio: float = results["small"][str(size)]["ratio"][name]
        return ratio

    return value


def _windows(size: int, ours: str, theirs: str) -> Callable[[Any], float]:
    def value(results: Any) -> float:
        ratio: float = results[str(size)]["ratio"][ours][theirs]
        return ratio

    return value


def floor(results: Any, size: int) -> float:
    """How many times fewer writes, each as large as the baseline's, when a batch writes each changed entity once."""
    small = results["small"]
    named: float = small["entities_named"][str(size)]
    writes: float = small["baseline"]["items_written"]
    return writes / (named / size * 1_000)


def _batches(
    name: str, key: str, sizes: tuple[int, ...], reach: tuple[float, ...], aim: tuple[float, ...]
) -> list[Figure]:
    return [
        Figure("end-to-end", f"{name}, batch {size:,}", owed, wanted, _ratio(size, key))
        for size, owed, wanted in zip(sizes, reach, aim, strict=True)
    ]


_SIZES: Final = (100, 1_000, 6_800)

FIGURES: Final = (
    *_batches("AWS calls", "calls", _SIZES, (60, 180, 500), (80, 220, 750)),
    *_batches("CPU", "cpu_ms", _SIZES, (20, 60, 170), (40, 150, 450)),
    *_batches("wall time at 4 ms a call", "wall_ms_at_4_ms", _SIZES[:2], (50, 250), (90, 600)),
    *(
        Figure(
            "end-to-end", f"write units, batch {size:,}", owed, partial(floor, size=size), _ratio(size, "write_units")
        )
        for size, owed in zip(_SIZES, (2, 5, 18), strict=True)
    ),
    Figure(
        "share", "own code's share of the CPU, batch 100", 33.3, 20, lambda r: 100 * r["100"]["own_share"], "%", True
    ),
    Figure(
        "core", "decode and aggregate against json with dicts", 2.5, 3.5, lambda r: r["aggregate"]["ratio"]["columns"]
    ),
    Figure(
        "core",
        "decode, merge, pack and measure against the same",
        None,
        None,
        lambda r: r["aggregate"]["ratio"]["core"],
    ),
    Figure("peers", "windows in memory against bytewax at 1,000", 1, 3, _windows(1_000, "in memory", "bytewax")),
    Figure("peers", "windows in memory against DuckDB at 10,000", 1, 2, _windows(10_000, "in memory", "duckdb")),
    Figure("peers", "windows of packed state against bytewax at 1,000", None, None, _windows(1_000, "core", "bytewax")),
    Figure("peers", "windows of packed state against DuckDB at 10,000", None, None, _windows(10_000, "core", "duckdb")),
    Figure("cold-start", "import CPU against boto3 with two clients", 1.5, 1.2, lambda r: r["import_ratio"], "x", True),
    Figure(
        "cold-start",
        "resident memory after a batch of 6,800",
        256,
        160,
        lambda r: r["starts"]["processor"]["large_batch_mb"],
        "MB",
        True,
    ),
    Figure(
        "rollup",
        "peak memory of the largest rollup",
        1_024,
        512,
        lambda r: r[max(r, key=int)]["peak_mb"],
        "MB",
        True,
    ),
    Figure(
        "growth",
        "steepest growth of CPU (1 is linear)",
        LINEAR,
        1.0,
        lambda r: max(each["upper_slope"] for each in r.values()),
        "",
        True,
    ),
)
