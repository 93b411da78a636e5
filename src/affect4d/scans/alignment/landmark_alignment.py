"""Alignment by landmarks: any of the 83 that were tracked, each by how far it can be trusted."""

from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Float64

from affect4d.array_types import Landmarks, Pose
from affect4d.scans.alignment.mean_face import LANDMARK_TRUST, MEAN_LANDMARKS
from affect4d.scans.geometry import pose_of
from affect4d.scans.landmark_names import MIRROR

MIN_LANDMARKS = 4
MIN_TRUST = 2.0
"""Sum of :data:`LANDMARK_TRUST` below which landmarks fix no pose: two corners of the eyes and little else."""
GROSS_ERROR = 40.0
"""Distance from the mean face, in mm, at which a landmark counts for a quarter: people differ by less."""
HALF_CONFIDENCE = 15.0
"""Root mean square distance of landmarks to the mean face, in mm, at which confidence has fallen to one half."""
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class LandmarkFit:
    """How landmarks lie on the mean face.

    Attributes:
        pose: The scan's own frame, in mm, to the canonical one.
        residual: Their weighted root mean square distance to the mean face, mm.
    """

    pose: Pose
    residual: float
    mirrored: bool = False

    @property
    def confidence(self) -> float:
        """1 where the landmarks lie on the mean face, one half at ``HALF_CONFIDENCE``, towards 0 beyond."""
        return 1 / (1 + (self.residual / HALF_CONFIDENCE) ** 2)


def fit_landmarks(landmarks: Landmarks) -> LandmarkFit:
    """The rigid pose that brings landmarks onto the mean face, least squares of trusted ones (Kabsch 1976).

    Landmarks whose left and right are exchanged lie better on the mean face when they are exchanged back: the scan is
    mirrored, or its landmarks are named from the other side. It is left as it is and ``mirrored`` says so.

    Args:
        landmarks: [83, 3] in the scan's frame, mm; rows of NaN are ignored.

    Raises:
        ValueError: If too few are tracked to fix a pose, or if they lie on one line.
    """
    fit = _fit(landmarks)
    if fit.residual < HALF_CONFIDENCE:
        return fit
    exchanged = _fit(swap_sides(landmarks))
    return with_changes(exchanged, mirrored=True) if 2 * exchanged.residual < fit.residual else fit


def _fit(landmarks: Landmarks) -> LandmarkFit:
    tracked = ~np.isnan(landmarks).any(axis=1)
    trust = LANDMARK_TRUST[tracked]
    if len(trust) < MIN_LANDMARKS or trust.sum() < MIN_TRUST:
        raise ValueError(f"{len(trust)} landmarks are tracked: too few, or of too little trust, to fix a pose.")
    points = landmarks[tracked].astype(np.float64)
    targets = MEAN_LANDMARKS[tracked].astype(np.float64)
    weights = trust
    for _ in range(ROUNDS):
        rotation, shift = _rigid(points, targets, weights)
        squares = np.square(points @ rotation.T + shift - targets).sum(axis=1)
        weights = trust / (1 + squares / GROSS_ERROR**2) ** 2
    residual = float(np.sqrt((trust * squares).sum() / trust.sum()))
    return LandmarkFit(pose_of(rotation, shift), residual)


def _rigid(
    points: Float64[np.ndarray, "points 3"],
    targets: Float64[np.ndarray, "points 3"],
    weights: Float64[np.ndarray, " points"],
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
    """Rotation and shift of the least weighted squares."""
    shares = weights / weights.sum()
    middle, target_middle = shares @ points, shares @ targets
    covariance = (shares[:, None] * (points - middle)).T @ (targets - target_middle)
    left, strengths, right = np.linalg.svd(covariance)
    if strengths[1] <= 1e-9 * max(strengths[0], 1e-300):
        raise ValueError("The landmarks lie on one line: they fix no pose.")
    handedness = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left @ handedness @ right).T
    return rotation, target_middle - rotation @ middle


def swap_sides(landmarks: Landmarks) -> Landmarks:
    """The same points under the names of the other side."""
    return landmarks[list(MIRROR)]
