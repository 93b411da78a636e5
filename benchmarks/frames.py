"""``predict.frames.*``: time and memory of ``affect4d predict`` by the number of frames of one sequence.

Scans have about 10,000 vertices, textures of 1040 × 1392 and no landmark files. Times are of the whole command, start
included.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.dense_corpus import write_dense_corpus
from benchmarks.rows import Row

NAMES = ("predict.frames",)
COMMAND = Path(__file__).parent / "peers" / "our_command.py"
FRAMES, QUICK = (1, 10, 100, 1000), (1, 10)
VERTICES = 10_000


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Seconds and peak memory of each length beside those of one frame."""
    with tempfile.TemporaryDirectory() as folder:
        first: tuple[float, float] | None = None
        for frames in QUICK if quick else FRAMES:
            corpus = write_dense_corpus(Path(folder) / str(frames), 1, frames, VERTICES)
            sequence = next(file.parent for file in corpus.rglob("*.wrl"))
            runs = [_measured(sequence) for _ in range(1 if quick or frames == max(FRAMES) else 3)]
            seconds, busy, megabytes = map(statistics.median, zip(*runs, strict=True))
            first = first or (seconds, megabytes)
            note = f"of processor time {busy:.1f} s, start included; {len(runs)} runs; {VERTICES:,} vertices"
            yield Row(f"predict.frames.{frames}", seconds, "s", "one frame", first[0], note=note)
            note = "peak resident memory"
            yield Row(f"predict.frames.{frames}.memory", megabytes, "MB", "one frame", first[1], note=note)


def _measured(sequence: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak memory (MB) of the command."""
    source = os.pathsep.join(filter(None, [str(COMMAND.parents[2] / "src"), os.environ.get("PYTHONPATH")]))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(COMMAND), str(sequence)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": source},
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"affect4d predict ended with code {done.returncode}: {done.stderr[-800:]}")
    busy, megabytes = map(float, done.stdout.split()[-2:])
    return seconds, busy, megabytes
