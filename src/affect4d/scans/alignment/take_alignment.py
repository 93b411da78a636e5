"""Poses of the frames of one take: the first well-detected frame's, kept by registration of the others onto it.

A take shows one head, so that frames are registered to its first well-detected frame by point-to-plane ICP: no frame
flips alone, and poses hardly jitter. Skin that moves weighs little, the lower face less than the upper.
"""

from dataclasses import dataclass
from dataclasses import replace as with_changes

import numpy as np

from affect4d.array_types import Faces, Pose, Vertices
from affect4d.scans.alignment.align import TRUSTED, UNITS, Alignment, align, aligned_at
from affect4d.scans.alignment.icp_alignment import plane_distances, point_to_plane_icp, voxel_downsample, weights
from affect4d.scans.alignment.mean_face import DepthSurface, surface_of
from affect4d.scans.alignment.pose_by_landmark_detection import smooth_depths
from affect4d.scans.geometry import apply_pose, pose_of
from affect4d.scans.mesh_to_depth_image import depth_image
from affect4d.scans.scan import FaceScan

HALF_WIDTH, SPACING = 80.0, 2.0
"""Half the side of the reference surface, and the distance of its depths, mm."""
LOWER_FACE, LOWER_WEIGHT = -12.0, 0.55
"""Height over the nose tip, mm, below which distances are counted less, by this factor: the jaw moves."""
CUBE = 4.0  # side of the cubes in which a frame's points are joined, mm
RADIUS = 110.0  # points farther from the nose tip, mm, take no part
BESIDE = 1e4  # distance, mm, from which on a point lies beside the reference
TOLERANCES = (8.0, 6.0, 4.0, 3.0, 2.0, *(1.5,) * 10)
MIN_COVERED, MIN_WEIGHT = 0.6, 0.45
"""Share of the reference that a tracked frame covers, and the mean weight of its points: frames of one take have 0.56
and more, upside down at most 0.37, other subjects at most 0.49."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The frame onto which the others of its take are registered."""

    surface: DepthSurface  # in the canonical frame
    alignment: Alignment


class TakeAligner:
    """Aligns the frames of one take, one after the other.

    Plausible landmarks tell where a frame's face is; the face is detected in the first of them. A frame that cannot be
    registered to the first well-detected one is aligned by itself.

    Args:
        find_landmarks: Whether landmarks are looked for on frames that have none.
    """

    def __init__(self, *, find_landmarks: bool = True) -> None:
        self._find_landmarks = find_landmarks
        self._reference: Reference | None = None
        self._last: Pose | None = None
        self._searched = False  # whether the face of a frame with plausible landmarks has been detected

    def align(self, scan: FaceScan) -> Alignment:
        """The alignment of the next frame.

        Raises:
            ValueError: If it has no face's size in any unit, or if no way finds a pose.
        """
        aligned = self._by_tracking(scan) if scan.landmarks is None else self._with_landmarks(scan)
        if self._reference is not None and aligned.confidence >= TRUSTED and aligned.method != "landmarks":
            self._last = aligned.pose
        return aligned

    def _by_tracking(self, scan: FaceScan) -> Alignment:
        """A frame without landmarks, registered to the reference, if there is one."""
        tracked = self._tracked(scan, self._last)
        if tracked is not None:
            return self._aligned_at(scan, *tracked)
        alone = align(scan, find_landmarks=self._find_landmarks)
        if alone.method != "detection" or alone.confidence < TRUSTED:
            return alone
        if self._reference is None:
            self._keep(scan, alone)
            return alone
        tracked = self._tracked(scan, alone.pose)
        return alone if tracked is None else self._aligned_at(scan, *tracked)

    def _with_landmarks(self, scan: FaceScan) -> Alignment:
        """A frame with landmarks: registered to the reference from the pose that plausible ones give."""
        given = align(scan, detect=not self._searched, find_landmarks=self._find_landmarks)
        if given.landmark_source != "given":
            return given
        self._searched = True
        if given.method == "detection":
            self._keep(scan, given)
            return given
        tracked = self._tracked(scan, self._last) or self._tracked(scan, given.pose)
        if tracked is None or not given.agrees_with(tracked[0]):
            return given
        assert self._reference is not None
        return given.moved_to(tracked[0], "tracking", self._reference.alignment.confidence, tracked[1])

    def _keep(self, scan: FaceScan, alignment: Alignment) -> None:
        """Make a detected frame the reference."""
        self._reference = Reference(reference_surface(apply_pose(scan.vertices, alignment.pose), scan.faces), alignment)

    def _aligned_at(self, scan: FaceScan, pose: Pose, residual: float) -> Alignment:
        assert self._reference is not None
        first = self._reference.alignment
        find = self._find_landmarks
        return aligned_at(scan, pose, "tracking", first.unit, first.confidence, residual, find_landmarks=find)

    def _tracked(self, scan: FaceScan, start: Pose | None) -> tuple[Pose, float] | None:
        """A frame's pose and residual, mm, registered to the reference from a pose; None where it lies elsewhere."""
        if self._reference is None or start is None:
            return None
        unit = self._reference.alignment.unit
        points = voxel_downsample(scan.vertices.astype(np.float64) * UNITS[unit], CUBE)
        points = points @ start[:3, :3].T / UNITS[unit] + start[:3, 3]
        points = points[np.square(points).sum(axis=1) < RADIUS**2]
        surface = self._reference.surface
        turns, shifts = point_to_plane_icp(points, np.eye(3)[None], np.zeros((1, 3)), TOLERANCES, surface)
        moved = points @ turns[0].T + shifts[0]
        _, distances = plane_distances(moved, surface)
        over = np.abs(distances) < BESIDE
        trust = weights(distances[over], TOLERANCES[-1])
        if trust.sum() <= MIN_WEIGHT * len(trust) or surface.share_covered(moved, TOLERANCES[-1]) < MIN_COVERED:
            return None
        residual = float(np.sqrt((trust * np.square(distances[over])).sum() / trust.sum()))
        return pose_of(turns[0], shifts[0]) @ start, residual


def reference_surface(vertices: Vertices, faces: Faces) -> DepthSurface:
    """The front of a canonical face as planes, mm."""
    size = round(2 * HALF_WIDTH / SPACING)
    depths = smooth_depths(depth_image(vertices, faces, size, HALF_WIDTH) / np.float32(SPACING)) * SPACING
    along = (np.arange(size) + 0.5) * SPACING - HALF_WIDTH
    surface = surface_of(depths[::-1].astype(np.float64), along, along)
    return with_changes(surface, planes=_less_below(surface))


def _less_below(surface: DepthSurface) -> np.ndarray:
    """Its planes, those of the lower face shortened."""
    heights = surface.corner[1] + (np.arange(surface.rows) + 0.5) * surface.spacing
    factors = np.where(heights < LOWER_FACE, LOWER_WEIGHT, 1.0)
    factors = np.repeat(factors, surface.columns)
    return np.asarray(surface.planes * factors[:, None])
