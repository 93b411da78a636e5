"""Write the mean places and weights of the 478 detected landmarks, and how their distances to them turn a face.

PYTHONPATH=. python scripts/mean_landmarks.py       # procedural faces and, where ict_folder is given, ICT-FaceKit
"""

import argparse
import os
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from affect4d.scans.alignment import align
from affect4d.scans.alignment.align import UNITS
from affect4d.scans.alignment.pose_by_landmark_detection import (
    LARGEST_DISTANCE,
    MEAN_LANDMARKS_FILE,
    SIDE_YAWS,
    Similarity,
    fit_similarity,
    landmarks_from,
)
from affect4d.scans.geometry import apply_pose, transform
from affect4d.synthetic.frozen_benchmarks import benchmark
from affect4d.synthetic.generated_scan_source import GeneratedSource

ROUNDS = 4
SEED = 3001
BESIDE = 2.5
"""Spread of the turns (degrees) and shifts (mm) by which heads stand beside their true pose."""
RIDGE = 20.0
"""Of the regression, mm²: as good within the two generators as 5, and on a generator left out."""
RIGID = 3.0
"""Spread between faces and expressions, mm, at which a landmark has half its weight."""


def detected_landmarks(corpus: str, changes: dict[str, str], scans: int) -> np.ndarray:
    """Canonical landmarks [scans, 478, 3] of scans drawn from a benchmark, mm."""
    source = GeneratedSource(benchmark(corpus).recipe.model_copy(update=changes))
    table = source.table().sample(scans, random_state=0)
    found = []
    for row in table.to_dict("records"):
        scan = source.read(row)
        aligned = transform(scan, align(scan).pose)
        seen = landmarks_from(aligned.vertices, aligned.faces, 0.0)
        if seen is not None:
            found.append(seen)
    return np.array(found)


def mean_shape(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean landmarks [478, 3] and their variance [478], faces fitted to the mean (generalised Procrustes analysis)."""
    mean = np.nanmedian(faces, axis=0)
    for _ in range(ROUNDS):
        fits = [fit_similarity(face, mean, np.ones(len(mean))) for face in faces]
        fitted = np.array([fit.apply(face) for fit, face in zip(fits, faces, strict=True) if fit is not None])
        mean = np.nanmedian(fitted, axis=0)
    return mean, np.nanmean(np.square(fitted - mean).sum(axis=-1), axis=0)


@dataclass(frozen=True)
class Fits:
    """Fits of landmarks to the mean ones: rotation errors [fits, 3], degrees, and distances left [fits, 1434], mm."""

    errors: np.ndarray
    distances: np.ndarray


def fits_of_heads(generator: str, heads: int, ict: str | None, table: np.ndarray) -> Fits:
    """Fits of heads that stand up to a few degrees and mm beside their true pose, from one rendering and from three."""
    from benchmarks.heads import KINDS, heads_of

    rng = np.random.default_rng(SEED)
    kinds = [kind for kind in KINDS if kind.startswith(generator)]
    errors, distances = [], []
    for head in heads_of(heads, SEED, ict, kinds):
        turn = Rotation.from_rotvec(rng.normal(0, BESIDE, 3), degrees=True).as_matrix()
        beside = Similarity(turn, 1.0, rng.normal(0, BESIDE, 3))
        vertices = beside.apply(apply_pose(head.scan.vertices * np.float32(UNITS[head.unit]), head.truth))
        views = [landmarks_from(vertices, head.scan.faces, yaw) for yaw in (0.0, *SIDE_YAWS)]
        seen = [view for view in views if view is not None]
        for landmarks in (views[0], np.mean(seen, axis=0) if seen else None):
            fit = None if landmarks is None else fit_similarity(landmarks, table[:, :3], table[:, 3])
            if fit is not None:
                errors.append(Rotation.from_matrix(fit.rotation @ turn).as_rotvec(degrees=True))
                distances.append(np.nan_to_num(fit.apply(landmarks) - table[:, :3]).ravel())
    return Fits(np.array(errors), np.array(distances).clip(-LARGEST_DISTANCE, LARGEST_DISTANCE))


def turns_of_distances(found: list[Fits]) -> np.ndarray:
    """Ridge regression of rotation errors on distances [1434, 3]; what a generator's fits share is a convention."""
    errors = np.concatenate([fits.errors - np.median(fits.errors, axis=0) for fits in found])
    distances = np.concatenate([fits.distances - fits.distances.mean(axis=0) for fits in found])
    products = distances @ distances.T + RIDGE * len(distances) * np.eye(len(distances))
    return np.asarray(distances.T @ np.linalg.solve(products, errors))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ict-folder", default=os.environ.get("AFFECT4D_ICT"), help="clone of ICT-FaceKit")
    parser.add_argument("--scans", type=int, default=200, help="of each face model, for the means")
    parser.add_argument("--heads", type=int, default=600, help="of each face model, for the turns")
    given = parser.parse_args()
    corpora = {"open-4dfer-s": {}, **({"open-4dfer-ict": {"ict_folder": given.ict_folder}} if given.ict_folder else {})}
    shapes = [mean_shape(detected_landmarks(name, changes, given.scans)) for name, changes in corpora.items()]
    means, variances = (np.mean(values, axis=0) for values in zip(*shapes, strict=True))
    table = np.column_stack([means, 1 / (1 + (np.sqrt(variances) / RIGID) ** 4)])
    generators = ("procedural", *(("ict",) if given.ict_folder else ()))
    turns = turns_of_distances([fits_of_heads(name, given.heads, given.ict_folder, table) for name in generators])
    columns = ["x_mm,y_mm,z_mm,weight", *(f"turn_{axis}_by_{along}" for along in "xyz" for axis in "xyz")]
    rows = [[f"{value:.3f}" for value in row] for row in table]
    more = [[f"{1000 * value:.1f}" for value in row] for row in turns.reshape(len(table), 9)]
    lines = [
        ",".join(columns),
        *(",".join(both) for both in (one + other for one, other in zip(rows, more, strict=True))),
    ]
    MEAN_LANDMARKS_FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
