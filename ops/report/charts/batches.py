"""What the figures of the processor's batches share: time steps, and the words for what they cover."""

from collections.abc import Sequence
from typing import Final

from functions.model import SECOND_MS
from ops.report.data import Batch, Throughput
from ops.report.wording import moment

_MOST_BINS: Final = 60


_WIDTHS_MS: Final = tuple(
    seconds * SECOND_MS
    for seconds in (1, 2, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 86_400, 604_800, 2_592_000)
)


def covered(throughput: Throughput) -> str:
    """Returns from when on the page has read batches, for notes."""
    text = f"from batches taken in since {moment(throughput.since_ms)} UTC"
    if throughput.since_ms > throughput.asked_ms:
        text += f" (asked for since {moment(throughput.asked_ms)}, but there are more than a page reads)"
    return text


def binned(batches: Sequence[Batch]) -> tuple[dict[int, list[Batch]], int]:
    """Returns the batches by the start of their time step, and the width of a step, both in ms."""
    span = batches[-1].at_ms - batches[0].at_ms
    width = next((width for width in _WIDTHS_MS if span < _MOST_BINS * width), _WIDTHS_MS[-1])
    bins: dict[int, list[Batch]] = {}
    for batch in batches:
        bins.setdefault(batch.at_ms - batch.at_ms % width, []).append(batch)
    return bins, width
