"""What every chosen model makes of a recording, and where on the face it looks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from affect4d.inference.looking import relevance_on_mesh
from affect4d.inference.predictor import Predictor, Seen
from affect4d.inference.preparation import PreparedSequence
from affect4d.inference.reading import BETWEEN, Prediction
from affect4d.inference.uploads import Upload
from affect4d.scans.scan import FaceScan

Relevance = Float32[np.ndarray, " vertices"]


@dataclass(frozen=True)
class Answered:
    """A recording, and what one model makes of it.

    Attributes:
        title: Of the model.
        predictor: Who answered.
        prepared: What it was shown.
        prediction: What it says.
        seen: Its embeddings.
        looked: Relevance on the mesh of frames that were asked for, filled on demand.
    """

    title: str
    predictor: Predictor
    prepared: PreparedSequence
    prediction: Prediction
    seen: Seen
    looked: dict[int, Relevance] = field(default_factory=dict)

    def relevance(self, place: int) -> Relevance:
        """Where the model looks in a frame when it gives its answer; computed once."""
        if place not in self.looked:
            expression = self.prediction.expression or self.predictor.expressions[0]
            self.looked[place] = relevance_on_mesh(self.predictor, self.prepared, place, expression)
        return self.looked[place]

    def shares(self) -> Float32[np.ndarray, "frames expressions"]:
        """Probabilities of every usable frame."""
        return self.predictor.probabilities(self.seen.frames).astype(np.float32)


def ask(
    scans: Sequence[FaceScan], name: str, predictors: Mapping[str, Predictor], neutral: FaceScan | None = None
) -> list[Answered]:
    """Draw a recording once for all models that see alike, and ask each.

    Args:
        scans: Raw scans: one, or the frames of one sequence.
        name: Of the recording.
        predictors: By title.
        neutral: The same face at rest.

    Raises:
        ScanError: If no scan is usable.
    """
    answers: list[Answered] = []
    for title, predictor in predictors.items():
        drawn = next((other.prepared for other in answers if predictor.accepts(other.prepared)), None)
        prepared = drawn or predictor.prepare(scans, neutral=neutral, name=name, keep_faces=True)
        seen = predictor.look(prepared)
        answers.append(Answered(title, predictor, prepared, predictor.answer(prepared, seen), seen))
    return answers


def result_table(answers: Sequence[Answered], upload: Upload | None = None) -> pd.DataFrame:
    """One row a model, under the title it was chosen by: the columns of a prediction.

    Args:
        answers: To one recording.
        upload: Where it comes from: its files are named, its refused scans counted among the frames.
    """
    tables = [answer.prediction.table().assign(model=answer.title) for answer in answers]
    table = pd.concat(tables, ignore_index=True)
    if upload is None:
        return table
    files = BETWEEN.join(sent.name for sent in upload.usable)
    return table.assign(file=files, frames=table["frames"] + len(upload.scans) - len(upload.usable))


def result_timeline(answers: Sequence[Answered], upload: Upload | None = None) -> pd.DataFrame:
    """One row a model, under its title, and frame; of an upload with the names of files, and its refused scans last."""
    rows = [{**row, "model": answer.title} for answer in answers for row in _frame_rows(answer, upload)]
    return pd.DataFrame(rows).astype({"frame": "Int64"})


def _frame_rows(answer: Answered, upload: Upload | None) -> Iterator[dict[str, Any]]:
    if upload is None:
        yield from answer.prediction.frame_rows()
        return
    for row, sent in zip(answer.prediction.frame_rows(), upload.usable, strict=True):
        yield {**row, "file": sent.name}
    told = {"recording": answer.prediction.name, "activity": 0.0, "in_window": False, "status": "refused"}
    for sent in upload.scans:
        if sent.scan is None:
            yield {**told, "file": sent.name, "code": sent.code, "reason": sent.reason}
