"""Whether memory stays flat: predict many generated scans in one process, and say what it holds as it goes on.

    python scripts/soak_predict.py [SCANS] [MODEL]

SCANS is 10000 if not given. It fails if the second half of the run grew by more than a twentieth.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

from affect4d.inference import find_packaged_model
from affect4d.inference.batch import predict_recordings
from affect4d.inference.find_recordings import find_recordings
from affect4d.store import ContentStore
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import generate_corpus

RECIPE = CorpusRecipe(subjects=4, seed=11, performances=PerformanceOptions(frames=8))
READINGS = 40
LARGEST = 0.05
"""Share of what it holds by which the second half may grow."""


def main(scans: int = 10_000, model: str = "affect_vlm") -> None:
    """Print megabytes beside scans, then their slope."""
    console, held = Console(highlight=False), []
    with tempfile.TemporaryDirectory() as folder:
        corpus = generate_corpus(RECIPE, ContentStore(Path(folder)))
        found = find_recordings(Path(corpus["root"]), grouping="single")
        recordings = list(itertools.islice(itertools.cycle(found), scans))
        every = max(1, scans // READINGS)
        for number, _ in enumerate(predict_recordings(recordings, find_packaged_model(model)), start=1):
            if number % every == 0:
                held.append((number, psutil.Process().memory_info().rss / 1e6))
                console.print(f"{number:>8} scans {held[-1][1]:>8.1f} MB")
    later = np.array(held[len(held) // 2 :])
    slope, _ = np.polyfit(*later.T, deg=1)
    growth = slope * (later[-1, 0] - later[0, 0]) / later[:, 1].mean()
    console.print(f"Second half: {1000 * slope:+.2f} MB per 1000 scans, {growth:+.1%} in all.")
    if growth > LARGEST:
        sys.exit("Memory is not flat.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
