"""Write the mean places and weights of the 478 detected landmarks, from synthetic faces with landmark files.

python scripts/mean_landmarks.py                    # procedural faces and, where ict_folder is given, ICT-FaceKit
"""

import argparse
import os

import numpy as np

from affect4d.scans.alignment import align
from affect4d.scans.alignment.pose_by_landmark_detection import (
    MEAN_LANDMARKS_FILE,
    TURNING_AXIS,
    detect_on_surface,
    fit_similarity,
)
from affect4d.scans.geometry import transform
from affect4d.synthetic.frozen_benchmarks import benchmark
from affect4d.synthetic.generated_scan_source import GeneratedSource

ROUNDS = 4
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
        seen = detect_on_surface(aligned.vertices - np.float32(TURNING_AXIS), aligned.faces)
        if seen is not None:
            found.append(seen + TURNING_AXIS)
    return np.array(found)


def mean_shape(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean landmarks [478, 3] and their variance [478], faces fitted to the mean (generalised Procrustes analysis)."""
    mean = np.nanmedian(faces, axis=0)
    for _ in range(ROUNDS):
        fits = [fit_similarity(face, mean, np.ones(len(mean))) for face in faces]
        fitted = np.array([fit.apply(face) for fit, face in zip(fits, faces, strict=True) if fit is not None])
        mean = np.nanmedian(fitted, axis=0)
    return mean, np.nanmean(np.square(fitted - mean).sum(axis=-1), axis=0)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ict-folder", default=os.environ.get("AFFECT4D_ICT"), help="clone of ICT-FaceKit")
    parser.add_argument("--scans", type=int, default=200, help="of each face model")
    given = parser.parse_args()
    corpora = {"open-4dfer-s": {}, **({"open-4dfer-ict": {"ict_folder": given.ict_folder}} if given.ict_folder else {})}
    shapes = [mean_shape(detected_landmarks(name, changes, given.scans)) for name, changes in corpora.items()]
    means, variances = (np.mean(values, axis=0) for values in zip(*shapes, strict=True))
    table = np.column_stack([means, 1 / (1 + (np.sqrt(variances) / RIGID) ** 4)])
    np.savetxt(MEAN_LANDMARKS_FILE, table, "%.3f", ",", header="x_mm,y_mm,z_mm,weight", comments="")


if __name__ == "__main__":
    main()
