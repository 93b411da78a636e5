"""``live.*``: scans that a rig writes into a folder, and the answers of ``affect4d predict --watch``.

Scans have about 10,000 vertices, textures of 1040 × 1392 and no landmark files. A file is written beside the folder and
moved into it, as rigs do, or in place.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.dense_corpus import write_dense_corpus
from benchmarks.rows import Row

NAMES = ("live.rate", "live.latency", "live.memory")
VERTICES, PACE = 10_000, 25.0
"""Of a scan; scans a second that the rig writes."""


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Answers a second where all scans are there already; latency and memory where the rig writes 25 a second."""
    scans = 50 if quick else 500
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "written"
        corpus = write_dense_corpus(Path(folder), 1, scans, VERTICES)
        takes = sorted(path for path in corpus.rglob("*") if path.suffix in (".jpg", ".wrl"))
        if wanted("live.rate"):
            written.mkdir()
            for file in takes:
                shutil.copy(file, written)
            began, *_, ended = (moment for moment, _, _ in _answers(written, scans))
            note = f"{scans} scans of {VERTICES:,} vertices with textures, one process"
            yield Row("live.rate", (scans - 1) / (ended - began), "answers/s", target="≥25", note=note)
            shutil.rmtree(written)
        if wanted("live.latency") or wanted("live.memory"):
            written.mkdir()
            found = list(_answers(written, scans, takes))
            seconds = sorted(line["seconds"] for _, line, _ in found[scans // 10 :])
            tail = statistics.quantiles(seconds, n=20)[-1]
            note = f"p95 from the last change of files to the answer; p50 {1000 * statistics.median(seconds):.0f} ms"
            yield Row("live.latency", 1000 * tail, "ms", target="≤150", note=f"{note}; {PACE:.0f} scans a second")
            early, late = found[scans // 4][2], found[-1][2]
            note = f"resident memory after {scans} scans beside that after {scans // 4}"
            yield Row("live.memory", late, "MB", "a quarter of the scans", early, "≤1.05", note)


def _answers(
    folder: Path, scans: int, rig: list[Path] | None = None
) -> Iterator[tuple[float, dict[str, float], float]]:
    """Time, line and resident memory (MB) at each answer; a rig's files are written once the first scan is answered."""
    source = os.pathsep.join(filter(None, [str(Path(__file__).parents[1] / "src"), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "affect4d", "predict", "--watch", str(folder)]
    if rig:
        for file in rig[:2]:
            shutil.copy(file, folder)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": source}) as live:
        assert live.stdout is not None
        writing = None
        for _ in range(scans):
            line = live.stdout.readline()
            if not line:
                raise RuntimeError(f"affect4d predict --watch ended with code {live.wait()}")
            if rig and writing is None:
                writing = subprocess.Popen([sys.executable, "-c", RIG, str(folder), str(PACE), *map(str, rig[2:])])
            yield time.perf_counter(), json.loads(line), psutil.Process(live.pid).memory_info().rss / 2**20
        if writing is not None:
            writing.wait()
        live.terminate()


RIG = """
import pathlib, sys, time
folder, pace, *files = sys.argv[1:]
began = time.perf_counter()
for number, file in enumerate(files):  # an image, then its scan
    pause = began + (number // 2) / float(pace) - time.perf_counter()
    time.sleep(max(pause, 0.0))
    (pathlib.Path(folder) / pathlib.Path(file).name).write_bytes(pathlib.Path(file).read_bytes())
"""
"""Writes pairs of files at a steady pace, whatever the reader does."""
