"""Blendshape scores of canonical faces: facial action as a detector trained on real people reads it from the front.

Each scan is rendered twice, as shaded depth and, where it has a texture, in its colours; the scores are the mean of
both. Either alone reads brows, lids and lips worse. [ours]
"""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from affect4d.left_out import MissingInputError
from affect4d.parallel import IN_PROCESS, EngineOptions, map_chunks
from affect4d.pretrained_files import PretrainedModelMissingError
from affect4d.rendering.cameras_and_render_backends import RenderError, shared_renderer
from affect4d.rendering.options import BlendshapeOptions, RenderOptions
from affect4d.scans.alignment.face_landmarker import BLENDSHAPES, detect_blendshapes, detector_version
from affect4d.scans.alignment.pose_by_landmark_detection import relief_image
from affect4d.scans.ingest import load_canonical_scan
from affect4d.scans.scan import FaceScan, ScanError
from affect4d.scans.scan_source_and_corpus_folder import ScanSource
from affect4d.store import ContentStore, cached, table_digest

LOGGER = logging.getLogger(__name__)
FRONT = RenderOptions(size=256, angles={"front": 0.0}, channels=("texture",))
SCORE_COLUMNS = ("sequence", "frame", *BLENDSHAPES)
Scores = Float64[np.ndarray, "51"]


def cached_scores(
    scan_manifest: pd.DataFrame,
    source: ScanSource,
    options: BlendshapeOptions,
    store: ContentStore,
    engine: EngineOptions = IN_PROCESS,
) -> pd.DataFrame:
    """:func:`score_scans`, computed once and then read from the store; MissingInputError if there is no detector."""
    score = partial(score_scans, scan_manifest, source, options, engine)
    scans = table_digest(scan_manifest[["sequence", "frame", "checksum", "pose", "crop_radius"]])
    try:
        return cached(store, "blendshapes", score, scans=scans, options=options, detector=detector_version())
    except PretrainedModelMissingError as error:
        raise MissingInputError(f"Blendshape scores need the face landmark detector. {error}") from error


def score_scans(
    scan_manifest: pd.DataFrame, source: ScanSource, options: BlendshapeOptions, engine: EngineOptions = IN_PROCESS
) -> pd.DataFrame:
    """Blendshape scores, 0…1, of the scans of a manifest (columns ``SCORE_COLUMNS``); NaN where no face is found.

    Raises:
        PretrainedModelMissingError: If there is no detector.
        CodeMismatchError: If a worker has other code than the driver.
    """
    ordered = scan_manifest.sort_values(["sequence", "frame"])
    chunks = [_spread(rows.to_dict("records"), options.frames) for _, rows in ordered.groupby("sequence")]
    outcomes = map_chunks(
        partial(_score_rows, source), chunks, "scoring blendshapes", engine, len, fatal=(PretrainedModelMissingError,)
    )
    rows = [row for chunk, outcome in outcomes for row in _rows(chunk, outcome)]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).sort_values(["sequence", "frame"], ignore_index=True)


def score_face(face: FaceScan) -> Scores:
    """Scores of a canonical face (mm); NaN where none is found in its images.

    Raises:
        PretrainedModelMissingError: If there is no detector.
    """
    images = [relief_image(face.vertices, face.faces)]
    if face.texture is not None:
        images.append(shared_renderer(FRONT).render(face)["texture"][0])
    found = [scores for image in images if (scores := detect_blendshapes(image)) is not None]
    return np.mean(found, axis=0) if found else np.full(len(BLENDSHAPES), np.nan)


def _spread(rows: list[Any], most: int) -> list[Any]:
    """At most so many rows, the first and the last among them, in even steps."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(int)
    return [rows[place] for place in places]


def _score_rows(source: ScanSource, rows: Sequence[Mapping[str, Any]]) -> list[Scores]:
    return [_score_row(source, row) for row in rows]


def _score_row(source: ScanSource, row: Mapping[str, Any]) -> Scores:
    try:
        return score_face(load_canonical_scan(source, row, shared_renderer(FRONT).texels))
    except (ScanError, RenderError):
        return np.full(len(BLENDSHAPES), np.nan)


def _rows(chunk: Sequence[Mapping[str, Any]], outcome: list[Scores] | Exception) -> list[list[Any]]:
    """Table rows of a sequence; a failed one has no scores."""
    if isinstance(outcome, Exception):
        LOGGER.warning("%s has no blendshape scores: %s", chunk[0]["sequence"], outcome)
        outcome = [np.full(len(BLENDSHAPES), np.nan)] * len(chunk)
    return [[row["sequence"], row["frame"], *scores] for row, scores in zip(chunk, outcome, strict=True)]
