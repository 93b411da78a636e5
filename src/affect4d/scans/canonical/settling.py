"""Moving thinned points onto the mean surface: iterated, reweighted least squares of the distances to its planes.

Point-to-plane ICP (Chen and Medioni 1992) with Geman-McClure weights, for many starts at once; a point's plane is
looked up in a grid, so that a step costs no search.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from affect4d.scans.canonical.mean_surface import mean_surface
from affect4d.scans.canonical.noses import Rotations, Shifts
from affect4d.scans.canonical.thinning import Points

Moved = Float64[np.ndarray, "starts points 3"]

STIFFNESS = (10.0, 10.0, 10.0, 0.1, 0.1, 0.1)
"""Added to the equations of a step (three turns, in mm², three shifts): it stays put where nothing is seen."""
LONGEST_TURN = 0.3
"""Of one step and axis, radians."""


def settle(
    points: Points, rotations: Rotations, shifts: Shifts, tolerances: Sequence[float]
) -> tuple[Rotations, Shifts]:
    """Move every start towards the mean surface.

    Args:
        points: A thinned scan, mm.
        rotations: One a start.
        shifts: Likewise.
        tolerances: One a step: the distance to the surface, in mm, at which a point weighs a quarter.
    """
    for tolerance in tolerances:
        moved = points @ rotations.transpose(0, 2, 1) + shifts[:, None]
        normals, distances = to_planes(moved)
        slopes = np.concatenate([_cross(moved, normals), normals], axis=-1)
        weighted = (slopes * weights(distances, tolerance)[..., None]).transpose(0, 2, 1)
        step = np.linalg.solve(weighted @ slopes + np.diag(STIFFNESS), -(weighted @ distances[..., None]))[..., 0]
        turns = Rotation.from_rotvec(step[:, :3].clip(-LONGEST_TURN, LONGEST_TURN)).as_matrix()
        rotations, shifts = turns @ rotations, (turns @ shifts[..., None])[..., 0] + step[:, 3:]
    return rotations, shifts


def covered(points: Points, rotations: Rotations, shifts: Shifts, tolerance: float) -> Float64[np.ndarray, " starts"]:
    """How many points lie on the mean face from each start, each by its weight at that tolerance."""
    _, distances = to_planes(points @ rotations.transpose(0, 2, 1) + shifts[:, None])
    return np.asarray(weights(distances, tolerance).sum(axis=1))


def to_planes(
    moved: Float64[np.ndarray, "*starts points 3"],
) -> tuple[Float64[np.ndarray, "*starts points 3"], Float64[np.ndarray, "*starts points"]]:
    """Normals of the planes that canonical points lie over, and their distances to them (huge beside the face)."""
    surface = mean_surface()
    planes = surface.planes[surface.cells(moved)]
    normals = planes[..., :3]
    return normals, np.einsum("...i,...i->...", normals, moved) + planes[..., 3]


def weights(distances: np.ndarray, tolerance: float) -> np.ndarray:
    """Geman-McClure weights: 1 on the surface, a quarter at the tolerance, next to nothing far away."""
    return np.asarray(1 / np.square(1 + np.square(distances / tolerance)))


def _cross(first: Moved, second: Moved) -> Moved:
    """Cross products; faster than ``np.cross`` on many small vectors."""
    a, b, c = (first[..., axis] for axis in range(3))
    x, y, z = (second[..., axis] for axis in range(3))
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=-1)
