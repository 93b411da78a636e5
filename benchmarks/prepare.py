"""``prepare.*``: raw .wrl and .jpg to stored views, end to end, beside VTK's importer and a plotter a view.

Scans have about 35,000 vertices and pictures of 1040 × 1392, as BU-4DFE's. Every figure comes from a process and a
store of its own. Ours draws two pictures a view (colours and normals), three views of 224 px; the peer draws one.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from affect4d.parallel import available_cores
from benchmarks.dense_corpus import write_dense_corpus
from benchmarks.rows import Row

NAMES = ("prepare.scans", "prepare.rerun", "prepare.scaling", "prepare.memory")
PEERS = Path(__file__).parent / "peers"
SIZE = 224
BU4DFE_FRAMES = 60_600


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Rate, rerun, scaling and memory."""
    with tempfile.TemporaryDirectory() as folder:
        if wanted("prepare.scans") or wanted("prepare.rerun") or wanted("prepare.scaling"):
            many = write_dense_corpus(Path(folder) / "many", *((4, 6) if quick else (10, 100)))
            first = write_dense_corpus(Path(folder) / "first", 2, 2)
        if wanted("prepare.scans") or wanted("prepare.rerun"):
            yield from _scans(many, first, 3 if quick else 8)
        if wanted("prepare.scaling"):
            yield _scaling(many, first, 1 if quick else 2)
        if wanted("prepare.memory"):
            yield _memory(Path(folder), frames=4 if quick else 20)


def _scans(corpus: Path, first: Path, peer_frames: int) -> Iterator[Row]:
    """Beside the peer in steady work: of both, what a process needs to start is told apart."""
    cores = available_cores()
    files = sorted(map(str, corpus.glob("F001/*/*.wrl")))[: peer_frames + 1]
    before = _peer(files)
    ours = _prepare(corpus, cores, first)
    peer = statistics.median([*before, *_peer(files)])
    seconds = ours["ingest"] + ours["render"]
    rate = ours["scans"] / seconds
    note = (
        f"{ours['scans']} scans, {cores} processes (the peer is one); start {ours['start']:.1f} s, ingest "
        f"{ours['ingest']:.1f} s, render {ours['render']:.1f} s; {BU4DFE_FRAMES:,} frames would take "
        f"{(BU4DFE_FRAMES / rate + ours['start']) / 60:.0f} min"
    )
    yield Row("prepare.scans", rate, "scans/s", "vtkVRMLImporter + a plotter a view", 1 / peer, "≥8", note)
    again = f"ingest and render of {ours['scans']} scans, nothing changed"
    yield Row("prepare.rerun", ours["again"], "s", "the first run", seconds, "≤0.02", again)


def _scaling(corpus: Path, first: Path, rounds: int) -> Row:
    """Turn by turn, the best of all rounds: another user's load is no part of it, nor is starting, once a run."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    busy, starts = [], []
    for _ in range(rounds):
        for workers, seconds in taken.items():
            found = _prepare(corpus, workers, first)
            starts.append(found["start"])
            seconds.append((found["ingest"] + found["render"]) / found["scans"])
            busy += [found["busy"] / found["scans"]] * (workers == 1)
    note = (
        f"two workers against one process alone; starting (up to {max(starts):.1f} s) not counted; one process needs "
        f"{1000 * min(busy):.0f} ms of a processor a scan: {min(busy) * BU4DFE_FRAMES / 120:.0f} min for BU-4DFE on two"
    )
    return Row("prepare.scaling", 1 / min(taken[2]), "scans/s", "1 worker", 1 / min(taken[1]), "≥1.8", note)


def _memory(folder: Path, frames: int) -> Row:
    once, ten_times = (
        _prepare(write_dense_corpus(folder / f"{sequences}", sequences, frames), 1)["peak"] for sequences in (2, 20)
    )
    note = f"peak resident memory in one process; 2 and 20 sequences of {frames} frames"
    return Row("prepare.memory", ten_times, "MB", "a tenth of the sequences", once, "≤1.1", note)


def _prepare(corpus: Path, workers: int, first: Path | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as store:
        arguments = (corpus, store, SIZE, workers, *([first] if first else []))
        return dict(json.loads(_run(*map(str, (PEERS / "our_preparation.py", *arguments))).splitlines()[-1]))


def _peer(files: list[str]) -> list[float]:
    return [float(word) for word in _run(str(PEERS / "importer_and_plotter.py"), str(SIZE), *files).split()]


def _run(*arguments: str) -> str:
    source = os.pathsep.join(filter(None, [str(PEERS.parents[1] / "src"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{Path(arguments[0]).name} ended with code {done.returncode}: {done.stderr[-800:]}")
    return done.stdout
