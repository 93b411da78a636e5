"""Search: recordings ranked by the similarity of a face and a sentence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from affect4d.inference.find_recordings import find_recordings
from affect4d.inference.preprocessing import PreparedSequence, ScanInput
from affect4d.scans.scan import FaceScan, ScanError

if TYPE_CHECKING:
    from affect4d.inference.predictor import Predictor

SEARCH_COLUMNS = ("rank", "recording", "file", "similarity", "expression", "status", "reason")


@dataclass(frozen=True)
class RecordingIndex:
    """Embedded recordings, to be searched by any number of sentences."""

    predictor: "Predictor"
    rows: pd.DataFrame  # one a recording: SEARCH_COLUMNS but rank and similarity; usable ones first
    fused: Float32[np.ndarray, "usable dim"]

    def search(self, sentence: str) -> pd.DataFrame:
        """Recordings by falling similarity (the cosine, −1…1), refused ones last; columns ``SEARCH_COLUMNS``.

        Remarks about the sentence come as warnings (:meth:`~affect4d.inference.Predictor.remarks`).

        Raises:
            ValueError: If the sentence is empty.
            PretrainedModelMissingError: If the model's sentence encoder is not installed.
        """
        cosines = self.fused @ self.predictor.embed_sentences([sentence])[0]
        similarity = pd.Series(cosines, index=self.rows.index[: len(cosines)]).reindex(self.rows.index)
        ranked = self.rows.assign(similarity=similarity.astype("float64"))
        ranked = ranked.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)
        ranked["rank"] = pd.array([*range(1, len(cosines) + 1), *[None] * (len(ranked) - len(cosines))], "Int64")
        return ranked[list(SEARCH_COLUMNS)]


def index_recordings(predictor: "Predictor", scans: ScanInput | Sequence[ScanInput]) -> RecordingIndex:
    """Embed every recording.

    Args:
        scans: A folder of scans or of sequence folders, as for the pipeline ``predict``; or several scans (files, or in
            memory) and folders of sequences, each a recording.

    Raises:
        FileNotFoundError: If there is no scan at the path.
    """
    usable: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    vectors = []
    for name, file, prepare in _recordings(predictor, scans):
        row = {"recording": name, "file": file}
        try:
            prepared = prepare()
        except ScanError as error:
            refused.append({**row, "expression": None, "status": "refused", "reason": str(error)})
            continue
        embedding = predictor.embed(prepared)
        answer = predictor.classify(prepared, embedding)
        usable.append({**row, "expression": answer.expression, "status": answer.status, "reason": answer.reason})
        vectors.append(embedding.fused)
    columns = [name for name in SEARCH_COLUMNS if name not in ("rank", "similarity")]
    rows = pd.DataFrame([*usable, *refused], columns=columns).astype("str")
    return RecordingIndex(predictor, rows, np.stack(vectors) if vectors else np.zeros((0, len(predictor.classes[0]))))


def _recordings(
    predictor: "Predictor", scans: ScanInput | Sequence[ScanInput]
) -> Iterator[tuple[str, str, Callable[[], PreparedSequence]]]:
    """Name, file and preparation of each recording."""
    if isinstance(scans, str | Path):
        for recording in find_recordings(Path(scans)):
            file = str(recording.root / recording.name)
            yield recording.name, file, partial(predictor.preprocessor.prepare_recording, recording)
        return
    for place, scan in enumerate([scans] if isinstance(scans, FaceScan) else scans):
        name = f"scan {place}" if isinstance(scan, FaceScan) else str(scan)
        yield name, "" if isinstance(scan, FaceScan) else name, partial(predictor.prepare, scan, name=name)
