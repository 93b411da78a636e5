"""``predict.*``: one raw scan to probabilities beside what a user would write; a folder of scans beside a tenth of it.

Scans have about 35,000 vertices and pictures of 1040 × 1392, as BU-4DFE's; the model is the package's AffectVLM.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from affect4d.inference import find_packaged_model
from benchmarks.dense_corpus import write_dense_corpus
from benchmarks.rows import Row

NAMES = ("predict.latency", "predict.throughput")
PEERS = Path(__file__).parent / "peers"
SIZE = 224
"""Of a naive user's pictures, pixels."""


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Latency and throughput."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = str(find_packaged_model("affect_vlm"))
        if wanted("predict.latency"):
            yield _latency(Path(folder) / "one", bundle, 4 if quick else 24)
        if wanted("predict.throughput"):
            yield from _throughput(Path(folder) / "many", bundle, *((4, 1, 1) if quick else (20, 5, 2)))


def _latency(folder: Path, bundle: str, scans: int) -> Row:
    """Median seconds of a scan, ours between two halves of the peer's."""
    files = sorted(map(str, write_dense_corpus(folder, 1, scans + 1).glob("F001/*/*.wrl")))
    half = len(files) // 2
    peer = _numbers("naive_predictions.py", bundle, str(SIZE), *files[: half + 1])
    *ours, busy = _numbers("our_predictions.py", "one", bundle, *files)
    peer += _numbers("naive_predictions.py", bundle, str(SIZE), *files[half:])
    tail = statistics.quantiles(ours, n=20)[-1]
    note = (
        f"p95 {1000 * tail:.0f} ms, of processor time {1000 * busy:.0f} ms; {len(ours)} scans, one process. The peer "
        f"draws one picture a view of {SIZE} px, aligns nothing, and asks the same model"
    )
    median, peers = statistics.median(ours), statistics.median(peer)
    return Row("predict.latency", 1000 * median, "ms", "a plotter a view", 1000 * peers, "≤0.2; p50 <150 ms", note)


def _throughput(folder: Path, bundle: str, tenth: int, repeats: int, rounds: int) -> Iterator[Row]:
    """Rate and memory of a folder beside those of a tenth of it, which is read as often as it takes to last as long.

    Half of the tenths come before the whole folder and half after it, each in a process of its own: a machine that
    slows down for some seconds slows both.

    Args:
        folder: For the scans.
        bundle: Of the model.
        tenth: Scans of the small folder.
        repeats: Times the small one is read before the large one, and after it.
        rounds: Of all that.
    """
    small, large = (str(write_dense_corpus(folder / str(scans), 1, scans)) for scans in (tenth, 10 * tenth))
    order = [*[small] * repeats, large, *[small] * repeats] * rounds
    seconds, scans, megabytes = (dict.fromkeys((small, large), 0.0) for _ in range(3))
    for place in order:
        took, read, held = _numbers("our_predictions.py", "many", bundle, place)
        seconds[place] += took
        scans[place] += read
        megabytes[place] = max(megabytes[place], held)
    many, few = (scans[place] / seconds[place] for place in (large, small))
    told = (
        f"{10 * tenth} scans beside {tenth} {2 * repeats} times, {rounds} times; one process, pictures for the page "
        "included"
    )
    yield Row("predict.throughput", many, "scans/s", "a tenth of the scans", few, "≥0.95", told)
    told = "peak resident memory"
    yield Row(
        "predict.throughput.memory", megabytes[large], "MB", "a tenth of the scans", megabytes[small], "≤1.1", told
    )


def _numbers(script: str, *arguments: str) -> list[float]:
    source = os.pathsep.join(filter(None, [str(PEERS.parents[1] / "src"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": source}
    command = [sys.executable, str(PEERS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{script} ended with code {done.returncode}: {done.stderr[-800:]}")
    return [float(word) for word in done.stdout.split()]
