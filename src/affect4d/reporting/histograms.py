"""Small histograms drawn by the page itself, as SVG: no script, no library, the page's own colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

BARS = 24
NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        low: From here,
        high: to there.
        count: How many values.
        height: 0 to 1, 1 for the highest.
        doubted: Whether it lies below the line the histogram warns of.
    """

    low: float
    high: float
    count: int
    height: float
    doubted: bool


@dataclass(frozen=True)
class Histogram:
    """How values are spread.

    Attributes:
        title: What they are.
        unit: What they are measured in.
        bars: From the least to the largest.
        note: What a reader should know.
    """

    title: str
    unit: str
    bars: Sequence[Bar]
    note: str

    @property
    def ends(self) -> tuple[float, float]:
        """Where the first bar begins and the last one ends."""
        return self.bars[0].low, self.bars[-1].high


def histogram(
    title: str,
    values: Float64[np.ndarray, " values"],
    unit: str = "",
    note: str = "",
    bounds: tuple[float, float] | None = None,
    doubt_below: float = -np.inf,
) -> Histogram | None:
    """Sort values into bars of round widths.

    Args:
        title: What the values are.
        values: Missing ones are left out.
        unit: What they are measured in.
        note: What a reader should know.
        bounds: Ends of the histogram; those of the values where there are none.
        doubt_below: Bars wholly below this are marked.

    Returns:
        None where there is no value.
    """
    there = values[np.isfinite(values)]
    if len(there) == 0:
        return None
    edges = _edges(*(bounds or (float(there.min()), float(there.max()))))
    counts = np.histogram(there, edges)[0]
    highest = max(int(counts.max()), 1)
    bars = [
        Bar(float(low), float(high), int(count), int(count) / highest, bool(high <= doubt_below + 1e-9))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return Histogram(title, unit, bars, note)


def _edges(low: float, high: float) -> Float64[np.ndarray, " edges"]:
    """At most ``BARS`` bars of a round width that hold everything from ``low`` to ``high``."""
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    rough = (high - low) / BARS
    magnitude = 10.0 ** np.floor(np.log10(rough))
    step = next(nice * magnitude for nice in NICE_STEPS if nice * magnitude >= rough * (1 - 1e-9))
    first = np.floor(low / step + 1e-9)
    return np.asarray(step * np.arange(first, max(np.ceil(high / step - 1e-9), first + 1) + 1))
