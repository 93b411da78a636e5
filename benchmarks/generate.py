"""Making synthetic faces: scans a second, and whether memory stays flat as a corpus grows."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from affect4d.malloc_and_peak_memory import peak_memory
from affect4d.parallel import EngineOptions
from affect4d.store import ContentStore
from affect4d.synthetic.frozen_benchmarks import benchmark, changed
from affect4d.synthetic.generated_scan_source import GeneratedSource
from affect4d.synthetic.write_corpus import generate_corpus
from benchmarks.rows import Row

NAMES = ("generate.scans", "generate.stream", "generate.memory")
RECIPE = "open-4dfer-s"
GROWTH = 10


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Raw scans written and streamed a second; peak memory of ten times the subjects over once."""
    subjects = 4 if quick else 16
    if wanted("generate.scans"):
        yield _written(4 if quick else benchmark(RECIPE).recipe.subjects)
    if wanted("generate.stream"):
        yield _streamed(subjects)
    if wanted("generate.memory"):
        yield _memory(2 if quick else 6)


def _written(subjects: int) -> Row:
    """Raw files of the embedded recipe, written, hashed and counted, on all cores; the cluster's start included."""
    recipe = changed(benchmark(RECIPE).recipe, {"subjects": subjects})
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        made = generate_corpus(recipe, ContentStore(Path(folder)), EngineOptions())
        seconds = time.perf_counter() - begun
    note = f"{RECIPE}, {made['scans']} scans: .wrl, .jpg, .bnd; start of the processes included"
    return Row("generate.scans", made["scans"] / seconds, "scans/s", target="≥60 scans/s on 2 cores", note=note)


def _streamed(subjects: int) -> Row:
    """Raw scans made for a reader in this process, one after the other; the first of each subject paints a skin."""
    source = GeneratedSource(changed(benchmark(RECIPE).recipe, {"subjects": subjects}))
    table = source.table().to_dict("records")
    source.read(table[0])
    begun, used = time.perf_counter(), time.process_time()
    for row in table:
        source.read(row)
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    note = f"no files, one process; {1000 * used / len(table):.1f} ms of CPU a scan"
    target = "≥60 scans/s on 2 cores"
    return Row("generate.stream", len(table) / seconds, "scans/s", target=target, note=note, cores=1)


def _memory(subjects: int) -> Row:
    """Peak memory of a process that makes and sums up every scan, for few subjects and for ten times as many."""
    small, large = (_peak(count) for count in (subjects, GROWTH * subjects))
    note = f"{subjects} and {GROWTH * subjects} subjects, a process each, streamed; {large:.0f} against {small:.0f} MB"
    return Row("generate.memory", large, "MB", "a tenth of the subjects", small, "≤1.1", note)


def _peak(subjects: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", f"from benchmarks.generate import make; make({subjects})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def make(subjects: int) -> None:
    """Make a corpus without raw files in this process; print its peak memory, MB."""
    recipe = changed(benchmark(RECIPE).recipe, {"subjects": subjects})
    with tempfile.TemporaryDirectory() as folder:
        generate_corpus(recipe, ContentStore(Path(folder)), raw_files=False)
    print(peak_memory() / 2**20)
