"""A corpus in BU-4DFE's layout whose scans are as dense as a scanner's: generated, then resampled."""

import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import ConvexHull

from affect4d.scans.corpora.bu4dfe import FOLDERS, LANDMARK_FOLDER
from affect4d.scans.readers import read_scan
from affect4d.scans.scan import FaceScan
from affect4d.store import ContentStore
from affect4d.synthetic.corpus_layouts import write_bu4dfe_frame
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.write_corpus import generate_corpus
from benchmarks.dense_face import TEXTURE_SIZE

DISTINCT = 8
VERTICES = 35_000
STEEPEST = 6.0
"""Difference in depth, in mm, across which no triangle is spanned."""


def write_dense_corpus(folder: Path, sequences: int, frames: int, vertices: int = VERTICES) -> Path:
    """``sequences`` × ``frames`` scans; eight differ, the others have their geometry and bytes of their own.

    Returns:
        The corpus folder.
    """
    models = _dense_models(vertices)
    root = folder / "corpus"
    for number in range(sequences):
        sequence = f"F{number // len(FOLDERS) + 1:03d}/{list(FOLDERS.values())[number % len(FOLDERS)]}"
        for frame in range(frames):
            _copy(models[frame * DISTINCT // frames], root, sequence, frame, f"# {sequence} {frame}\n".encode())
    return root


@functools.cache
def _dense_models(vertices: int) -> list[dict[str, bytes]]:
    """Bytes of the scan, image and landmarks of eight dense frames; made once a process."""
    with tempfile.TemporaryDirectory() as folder:
        return _make_models(Path(folder), vertices)


def _make_models(folder: Path, vertices: int) -> list[dict[str, bytes]]:
    recipe = CorpusRecipe(subjects=1, seed=7, performances=PerformanceOptions(frames=DISTINCT))
    made = generate_corpus(recipe, ContentStore(folder / "store"))
    first = sorted((Path(made["root"]) / "F001").iterdir())[0]
    for frame in range(DISTINCT):
        stem = f"F001/{first.name}/{frame:03d}"
        scan = read_scan(first / f"{frame:03d}.wrl", first / f"{frame:03d}.jpg", _landmarks(Path(made["root"]), stem))
        write_bu4dfe_frame(folder, "dense", frame, _dense(scan, frame, vertices))
    kinds = {".wrl": folder / "dense", ".jpg": folder / "dense", ".bnd": folder / LANDMARK_FOLDER / "dense"}
    return [
        {suffix: (place / f"{frame:03d}{suffix}").read_bytes() for suffix, place in kinds.items()}
        for frame in range(DISTINCT)
    ]


def _landmarks(root: Path, stem: str) -> Path:
    return root / LANDMARK_FOLDER / f"{stem}.bnd"


def _dense(scan: FaceScan, frame: int, vertices: int) -> FaceScan:
    """The scan seen from the front on a fine grid, with noise of 0.05 mm, and a image of BU-4DFE's size."""
    assert scan.texture is not None
    assert scan.texture_coordinates is not None
    plane = scan.vertices[:, :2].astype(np.float64)
    step = np.sqrt(ConvexHull(plane).volume / vertices)
    low, high = plane.min(axis=0), plane.max(axis=0)
    across, up = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step))
    behind = np.column_stack([scan.vertices[:, 2], scan.texture_coordinates])
    found = LinearNDInterpolator(plane, behind)(across, up)
    noise = np.random.default_rng(frame).normal(0.0, 0.05, across.shape)
    corner = np.arange(across.size).reshape(across.shape)
    low_left, low_right, top_left, top_right = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    cells = np.stack([low_left, low_right, top_right, low_left, top_right, top_left])
    triangles = cells.reshape(2, 3, -1).transpose(2, 0, 1).reshape(-1, 3)
    kept = triangles[np.ptp(found[..., 0].ravel()[triangles], axis=1) < STEEPEST]  # NaN, outside, is never less
    used, faces = np.unique(kept, return_inverse=True)
    points = np.stack([across, up, found[..., 0] + noise], axis=-1).reshape(-1, 3)[used]
    return dataclasses.replace(
        scan,
        vertices=points.astype(np.float32),
        faces=faces.reshape(-1, 3).astype(np.int32),
        texture_coordinates=found[..., 1:].reshape(-1, 2)[used].astype(np.float32),
        texture=np.asarray(Image.fromarray(scan.texture).resize(TEXTURE_SIZE)),
    )


def _copy(model: dict[str, bytes], root: Path, sequence: str, frame: int, mark: bytes) -> None:
    for suffix, content in model.items():
        folder = root / LANDMARK_FOLDER / sequence if suffix == ".bnd" else root / sequence
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{frame:03d}{suffix}").write_bytes(content + mark if suffix == ".wrl" else content)
