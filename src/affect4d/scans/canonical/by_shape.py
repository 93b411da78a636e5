"""Alignment by shape alone: the mean face is laid onto the scan from several noses at once; the best fit stays.

Neck, hair and shoulders lie beside the mean face or far from it, and weigh nothing. Every fit is tried upside down as
well, and a scan that fits neither way is tried in the other positions of a cube.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Float64

from affect4d.arrays import Pose
from affect4d.scans.canonical.mean_surface import FAR, mean_surface
from affect4d.scans.canonical.noses import LEAST_POINTS, cube_positions, starts
from affect4d.scans.canonical.settling import covered, settle, to_planes, weights
from affect4d.scans.canonical.thinning import Points, thinned
from affect4d.scans.geometry import pose_of

COARSE_CUBE = 12.0
"""Side, in mm, of the cubes a scan is thinned to for the first steps."""
COARSE_TOLERANCES = (25.0, 15.0, 10.0, 8.0)
FINE_TOLERANCES = (8.0,) * 8
CLOSE = 4.0
"""Tolerance, in mm, at which outcomes are compared."""
HEAD_RADIUS = 130.0
"""Points farther from the nose than this, in mm, take no part in the last steps."""
UPSIDE_DOWN = np.diag([-1.0, -1.0, 1.0])
UPRIGHT_BONUS = 1.3
"""How much better another position must fit than the scan's own."""
LIKELY = 0.5
"""Confidence from which on the other positions of a cube are not tried."""
SEEN_WITHIN = 6.0
"""Distance to the mean face, in mm, within which a scan is said to cover it."""
RELIEF_WITHIN = 20.0
RELIEF_HALF_WIDTH, RELIEF_BOTTOM, RELIEF_TOP = 45.0, -60.0, 60.0
"""Part of the face, in mm round the nose tip, whose relief is compared."""


@dataclass(frozen=True, slots=True)
class ShapeFit:
    """How a scan lies on the mean face.

    Attributes:
        pose: The scan's own frame, in mm, to the canonical one.
        residual: Weighted root mean square distance to the mean surface, mm.
        seen: Share of the mean face on which the scan lies.
        likeness: Correlation of the scan's relief with the mean face's, the smooth (quadratic) part taken out: near 0
            for a ball or a box, 0.35 to 0.8 for a face.
    """

    pose: Pose
    residual: float
    seen: float
    likeness: float

    @property
    def quality(self) -> float:
        """What fits of one scan are compared by."""
        return max(self.likeness, 0.0) * self.seen**2

    @property
    def confidence(self) -> float:
        """0 (no face there) to 1 (all of it, near the surface, with its relief) [ours, set on tuning subjects]."""
        there, near, alike = (self.seen - 0.6) / 0.25, 3.5 - self.residual, (self.likeness - 0.2) / 0.25
        return float(np.prod(np.clip((there, near, alike), 0.0, 1.0)))


def fit_shape(points: Points) -> ShapeFit:
    """The rigid pose that lays a scan onto the mean face.

    Args:
        points: The whole scan, thinned, in its own frame but in mm.

    Raises:
        ValueError: If nothing on it stands out as a nose does.
    """
    if len(points) < LEAST_POINTS:
        raise ValueError(f"Only {len(points)} places are left of the scan when it is thinned: too few to align by.")
    middle = np.median(points, axis=0)
    fits = _fits(points - middle, (np.eye(3),), noses=8, finalists=2)
    if not fits or fits[0].confidence < LIKELY:
        fits += _fits(points - middle, cube_positions(), noses=2, finalists=6)
    if not fits:
        raise ValueError("Nothing on the scan stands out as a nose does: no face to align by.")
    best = max(fits, key=_upright_first)
    rotation, shift = best.pose[:3, :3], best.pose[:3, 3]
    return with_changes(best, pose=pose_of(rotation, shift - rotation @ middle))


def judge(points: Points, pose: Pose) -> ShapeFit:
    """How thinned points lie on the mean face when a pose has moved them."""
    moved = points @ pose[:3, :3].T + pose[:3, 3]
    normals, distances = to_planes(moved)
    trust = weights(distances, CLOSE)
    squares = np.square(np.minimum(np.abs(distances), FAR))
    return ShapeFit(
        pose=pose,
        residual=float(np.sqrt((trust * squares).sum() / max(trust.sum(), 1e-9))),
        seen=mean_surface().share_seen(moved, SEEN_WITHIN),
        likeness=_likeness(moved, normals, distances),
    )


def _fits(
    points: Points, positions: Sequence[Float64[np.ndarray, "3 3"]], noses: int, finalists: int
) -> list[ShapeFit]:
    """Fits from the most promising noses of all positions, each also upside down; the best first."""
    rotations, shifts = starts(points, positions, noses)
    if len(rotations) == 0:
        return []
    coarse = thinned(points, COARSE_CUBE)
    rotations, shifts = settle(coarse, rotations, shifts, COARSE_TOLERANCES)
    promising = np.argsort(-covered(coarse, rotations, shifts, CLOSE), kind="stable")[:finalists]
    fits = [fit for start in promising for fit in _finish(points, rotations[start], shifts[start])]
    return sorted(fits, key=_upright_first, reverse=True)


def _finish(
    points: Points, rotation: Float64[np.ndarray, "3 3"], shift: Float64[np.ndarray, "3"]
) -> Iterator[ShapeFit]:
    """The last steps from one place, and from the same place upside down."""
    head = points[np.square(points @ rotation.T + shift).sum(axis=1) < HEAD_RADIUS**2]
    both_ways = np.stack([np.eye(3), UPSIDE_DOWN])
    for place in zip(*settle(head, both_ways @ rotation, both_ways @ shift, FINE_TOLERANCES), strict=True):
        yield judge(head, pose_of(*place))


def _upright_first(fit: ShapeFit) -> float:
    """Quality, with a bonus for the position most scans stand in."""
    return fit.quality * (UPRIGHT_BONUS if min(fit.pose[1, 1], fit.pose[2, 2]) > 0 else 1.0)


def _likeness(
    moved: Points, normals: Float64[np.ndarray, "points 3"], distances: Float64[np.ndarray, " points"]
) -> float:
    """Correlation of reliefs, the quadratic part of both taken out by least squares."""
    x, y, z = moved.T
    inside = (np.abs(x) < RELIEF_HALF_WIDTH) & (y > RELIEF_BOTTOM) & (y < RELIEF_TOP)
    inside &= np.abs(distances) < RELIEF_WITHIN
    if inside.sum() < LEAST_POINTS:
        return 0.0
    x, y, z = x[inside], y[inside], z[inside]
    depths = np.stack([z, z - distances[inside] / normals[inside, 2]], axis=1)
    smooth = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    reliefs = depths - smooth @ np.linalg.lstsq(smooth, depths, rcond=None)[0]
    lengths = np.linalg.norm(reliefs, axis=0)
    return float(reliefs[:, 0] @ reliefs[:, 1] / max(lengths.prod(), 1e-12))
