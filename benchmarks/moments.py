"""``moments.apex``: how far from the true apex it is found, on synthetic sequences whose timing is known.

Blinks, talking, drifting poses and scanner's noise are in them; the apex found is never told a label.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from affect4d.parallel import EngineOptions
from affect4d.rendering.options import RenderOptions
from affect4d.rendering.render_corpus import render_corpus
from affect4d.scans.ingest import IngestOptions, ingest_source
from affect4d.scans.scan_source_and_corpus_folder import FileSource
from affect4d.store import ContentStore
from affect4d.synthetic.generate_scans import performance_of, sequence_name, takes
from affect4d.synthetic.performance import Performance
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import generate_corpus
from affect4d.views.apex_detection import detect_apex
from benchmarks.rows import Row

NAMES = ("moments.apex", "moments.onset")


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Mean absolute error in frames, beside the frame that moves most and the one in the middle."""
    subjects, frames = (2, 16) if quick else (8, 40)
    recipe = CorpusRecipe(subjects=subjects, seed=11, performances=PerformanceOptions(frames=frames))
    with tempfile.TemporaryDirectory() as folder:
        found = _found(recipe, ContentStore(Path(folder)))
    note = f"{len(found)} sequences of {frames} frames; the middle frame is {_error(found, 'middle'):.1f} off"
    if wanted("moments.apex"):
        ours, most = _error(found, "apex"), _error(found, "most_active")
        yield Row("moments.apex", ours, "frames off", "the most active frame", most, "", note)
    if wanted("moments.onset"):
        onset = float((found["onset"] - found["true_onset"]).abs().mean())
        yield Row("moments.onset", onset, "frames off", note="the true onset is the last frame before any movement")


def _error(found: pd.DataFrame, column: str) -> float:
    return float((found[column] - found["true_apex"]).abs().mean())


def _found(recipe: CorpusRecipe, store: ContentStore) -> pd.DataFrame:
    """One row a sequence: what was found, and what is true, as positions."""
    engine = EngineOptions()
    made = generate_corpus(recipe, store, engine)
    source = FileSource(Path(made["root"]), "bu4dfe")
    manifest = ingest_source(source, IngestOptions(), store, engine).manifest
    views = render_corpus(manifest, source, RenderOptions(channels=("normals",)), store, engine)
    truth = {sequence_name(recipe, take): performance_of(recipe, take) for take in takes(recipe)}
    columns = zip(views["sequence"], views["activity"], strict=True)
    return pd.DataFrame(_row(np.asarray(activity, float), truth[sequence]) for sequence, activity in columns)


def _row(activity: np.ndarray, truth: Performance) -> dict[str, float]:
    moments = detect_apex(activity)
    return {
        "apex": moments.apex,
        "onset": moments.onset,
        "most_active": int(np.argmax(activity)),
        "middle": (len(activity) - 1) / 2,
        "true_apex": truth.apex,
        "true_onset": truth.onset,
    }
