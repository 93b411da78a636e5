"""Ingest and render a corpus in a process of its own: ``python our_preparation.py CORPUS STORE SIZE WORKERS [FIRST]``.

FIRST is a small corpus that is prepared before: what starting processes and loading compiled loops takes is told apart.

Prints, as JSON: seconds of the start, of ingest, of render and of doing both again, scans rendered, processor seconds
of this process (all of them with one worker), and the most memory it held, in MB.
"""

import json
import sys
import time
from pathlib import Path

from affect4d.malloc_and_peak_memory import peak_memory
from affect4d.parallel import EngineOptions
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_corpus import render_corpus
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import ContentStore


def prepare(corpus: Path, store: ContentStore, size: int, engine: EngineOptions) -> tuple[float, float, int]:
    """Seconds of ingest and of render, and how many scans are in the images."""
    start = time.perf_counter()
    source = FileSource(corpus, "bu4dfe")
    ingest = ingest_source(source, IngestOptions(), store, engine)
    between = time.perf_counter()
    views = render_corpus(ingest.manifest, source, RenderOptions(size=size), store, engine)
    return between - start, time.perf_counter() - between, int(views["frames"].map(len).sum())


def main(corpus: str, store: str, size: int, workers: int, first: str | None = None) -> None:
    """Prepare the corpus twice."""
    engine = EngineOptions(workers=workers)
    start = sum(prepare(Path(first), ContentStore(Path(store)), size, engine)[:2]) if first else 0.0
    busy = time.process_time()
    ingest, render, scans = prepare(Path(corpus), ContentStore(Path(store)), size, engine)
    busy = time.process_time() - busy
    again = sum(prepare(Path(corpus), ContentStore(Path(store)), size, engine)[:2])
    peak = peak_memory() / 2**20
    found = {
        "start": start,
        "ingest": ingest,
        "render": render,
        "scans": scans,
        "again": again,
        "busy": busy,
        "peak": peak,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
