"""Synthetic faces to try, made on the spot: people who are in no corpus, each with the six expressions."""

import functools
from collections.abc import Callable

from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.scan import FaceScan
from affect4d.synthetic.benchmarks import benchmark, changed
from affect4d.synthetic.generated_source import GeneratedSource

PEOPLE, FRAMES = 6, 12
CHANGES = {
    "subjects": PEOPLE,
    "seed": 8501,
    "performances": {"frames": FRAMES},
    "actions": {"intensity_low": 0.75, "intensity_high": 1.0, "distractors": 0.6},
}
"""What differs from the default corpus: other people, stronger expressions, more frames."""


@functools.cache
def sample_source() -> GeneratedSource:
    """The generator of the samples."""
    return GeneratedSource(changed(benchmark("open-4dfer-s").recipe, CHANGES))


@functools.cache
def people() -> tuple[str, ...]:
    """Their names: F for a woman, M for a man, and a number."""
    return tuple(sorted(sample_source().table()["subject"].unique()))


def make_sample(person: str, expression: str, tell: Callable[[float], object]) -> tuple[FaceScan, ...]:
    """The scans of one sample, in order of time.

    Args:
        person: One of :func:`people`.
        expression: One of ``EXPRESSIONS``.
        tell: Called with the share that is done.

    Raises:
        ValueError: If there is no such person or expression.
    """
    table = sample_source().table()
    rows = table[(table["subject"] == person) & (table["expression"] == expression)].to_dict("records")
    if not rows:
        raise ValueError(f"There is no sample {person} {expression}: {', '.join(people())}; {', '.join(EXPRESSIONS)}.")
    scans = []
    for done, row in enumerate(rows):
        tell(done / len(rows))
        scans.append(sample_source().read({str(name): value for name, value in row.items()}))
    return tuple(scans)
