"""Point-to-plane ICP (Chen and Medioni 1992) of downsampled points onto the mean surface, with Geman-McClure weights.

Many starts are iterated at once; a point's plane is looked up in a grid, so that a step costs no search.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from affect4d.scans.alignment.mean_face import mean_surface

Points = Float64[np.ndarray, "points 3"]

CUBE = 6.0
"""Side of the cubes, in mm, for all that is measured on a downsampled scan."""
MAX_SAMPLE = 12_000
MAX_EXTENT_FROM_MEDIAN = 450.0
"""Points farther than this from the middle of the scan along any axis, in mm, are left out."""


def voxel_downsample(points: Points, side: float = CUBE) -> Points:
    """Means of the points in every cube of that side, in mm; strays far from the middle are left out."""
    sample = points[:: max(1, -(-len(points) // MAX_SAMPLE))]
    if len(sample):
        sample = sample[(np.abs(sample - np.median(sample, axis=0)) < MAX_EXTENT_FROM_MEDIAN).all(axis=1)]
    if len(sample) == 0:
        return np.empty((0, 3))
    cube = ((sample - sample.min(axis=0)) / side).astype(np.int64)
    sizes = cube.max(axis=0) + 1
    numbers = (cube[:, 0] * sizes[1] + cube[:, 1]) * sizes[2] + cube[:, 2]
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place, sample[:, axis]) for axis in range(3)], axis=1)
    return np.asarray(sums / counts[:, None])


Rotations = Float64[np.ndarray, "starts 3 3"]
Shifts = Float64[np.ndarray, "starts 3"]
Moved = Float64[np.ndarray, "starts points 3"]

STIFFNESS = (10.0, 10.0, 10.0, 0.1, 0.1, 0.1)
"""Added to the equations of a step (three turns, in mm², three shifts): it stays put where nothing is seen."""
MAX_TURN = 0.3
"""Of one step and axis, radians."""


def point_to_plane_icp(
    points: Points, rotations: Rotations, shifts: Shifts, tolerances: Sequence[float]
) -> tuple[Rotations, Shifts]:
    """Move every start towards the mean surface.

    Args:
        points: A downsampled scan, mm.
        tolerances: One a step: the distance to the surface, in mm, at which a point weighs a quarter.
    """
    for tolerance in tolerances:
        moved = points @ rotations.transpose(0, 2, 1) + shifts[:, None]
        normals, distances = plane_distances(moved)
        slopes = np.concatenate([_cross(moved, normals), normals], axis=-1)
        weighted = (slopes * weights(distances, tolerance)[..., None]).transpose(0, 2, 1)
        step = np.linalg.solve(weighted @ slopes + np.diag(STIFFNESS), -(weighted @ distances[..., None]))[..., 0]
        turns = Rotation.from_rotvec(step[:, :3].clip(-MAX_TURN, MAX_TURN)).as_matrix()
        rotations, shifts = turns @ rotations, (turns @ shifts[..., None])[..., 0] + step[:, 3:]
    return rotations, shifts


def coverage(points: Points, rotations: Rotations, shifts: Shifts, tolerance: float) -> Float64[np.ndarray, " starts"]:
    """How many points lie on the mean face from each start, each by its weight at that tolerance."""
    _, distances = plane_distances(points @ rotations.transpose(0, 2, 1) + shifts[:, None])
    return np.asarray(weights(distances, tolerance).sum(axis=1))


def plane_distances(
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
