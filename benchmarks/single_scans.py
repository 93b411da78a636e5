"""``predict.single``: what a model loses where a neutral frame, the other frames or the landmarks are missing.

Six people nobody trained on, drawn with another seed from the recipe of open-4dfer-m: 36 sequences of 12 scans. Needs
an ICT-FaceKit clone, named by AFFECT4D_ICT.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from affect4d.inference import Prediction, Predictor
from affect4d.inference.find_recordings import ScanRecording, find_recordings
from affect4d.scans.expression import parse_expression
from affect4d.store import ContentStore
from affect4d.synthetic.frozen_benchmarks import benchmark
from affect4d.synthetic.write_corpus import generate_corpus
from benchmarks.rows import Row

NAMES = ("predict.single",)
PEOPLE, SEED = 6, 777


def rows(quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Share of the sequences named rightly, each way beside the whole sequence with landmarks."""
    clone = os.environ.get("AFFECT4D_ICT")
    if quick or not clone:
        yield Row("predict.single", None, "", note="not quick, or no ICT-FaceKit clone: set AFFECT4D_ICT")
        return
    changes = {"subjects": PEOPLE, "seed": SEED, "ict_folder": clone}
    recipe = benchmark("open-4dfer-m").recipe.model_copy(update=changes)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(generate_corpus(recipe, ContentStore(Path(folder)))["root"])
        predictor, recordings = Predictor.load("affect_vlm"), find_recordings(root, "bu4dfe")
        hits: dict[str, int] = {}
        for recording in recordings:
            truth = parse_expression(recording.name.split("/")[1])
            for way, answer in _answers(predictor, recording):
                hits[way] = hits.get(way, 0) + (answer.expression == truth)
    whole = hits.pop("whole sequence")
    for way, count in hits.items():
        share, peer = count / len(recordings), whole / len(recordings)
        note = f"{count} and {whole} of {len(recordings)} sequences of {PEOPLE} people"
        yield Row(f"predict.single {way}", share, "share", "whole sequence", peer, note=note)


def _answers(predictor: Predictor, recording: ScanRecording) -> Iterator[tuple[str, Prediction]]:
    whole = predictor.classify(predictor.preprocessor.prepare_recording(recording))
    yield "whole sequence", whole
    bare = replace(recording, rows=tuple({**row, "landmark_file": None} for row in recording.rows))
    yield "without landmarks", predictor.classify(predictor.preprocessor.prepare_recording(bare))
    first, apex = (recording.root / str(recording.rows[place or 0]["scan"]) for place in (0, whole.apex))
    yield "apex and neutral, without landmarks", predictor.predict(apex, neutral=first)
    yield "apex alone, without landmarks", predictor.predict(apex)
