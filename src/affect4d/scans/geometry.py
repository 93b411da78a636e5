"""Mesh geometry of a scan: poses, crops, triangle orientation, vertex normals."""

from dataclasses import replace as with_changes

import numpy as np
from jaxtyping import Bool

from affect4d.array_types import Faces, Pose, Vertices
from affect4d.scans.scan import FaceScan
from affect4d.scans.triangles import all_corners, compact, facing, normal_sums


def pose_of(linear: np.ndarray, translation: np.ndarray) -> Pose:
    """The 4 × 4 pose of a linear part and a translation."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = linear, translation
    return pose


def apply_pose(points: Vertices, pose: Pose) -> Vertices:
    """Points moved by a pose; rows of NaN stay so."""
    moved: Vertices = (points.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
    return moved


def transform(scan: FaceScan, pose: Pose) -> FaceScan:
    """The scan with vertices and landmarks moved by a pose."""
    landmarks = None if scan.landmarks is None else apply_pose(scan.landmarks, pose)
    return with_changes(scan, vertices=apply_pose(scan.vertices, pose), landmarks=landmarks)


def crop(scan: FaceScan, radius: float) -> FaceScan:
    """The triangles wholly within a radius (mm) of the origin, the nose tip; vertices that none uses are dropped.

    Raises:
        ValueError: If no triangle is left.
    """
    inside = np.einsum("ij,ij->i", scan.vertices, scan.vertices) <= radius**2
    within = all_corners(inside, scan.faces)
    if not within.any():
        raise ValueError(f"No triangle lies within {radius:g} mm of the nose tip.")
    return keep_triangles(scan, within)


def keep_triangles(scan: FaceScan, kept: Bool[np.ndarray, " faces"]) -> FaceScan:
    """The scan with some of its triangles, in order; vertices that none uses are dropped."""
    faces, used = compact(scan.faces, kept, len(scan.vertices))
    coordinates = None if scan.texture_coordinates is None else scan.texture_coordinates[used]
    return with_changes(scan, vertices=scan.vertices[used], faces=faces, texture_coordinates=coordinates)


def turn_outward(scan: FaceScan) -> FaceScan:
    """The scan with its triangles counter-clockwise seen from +z, where most of them are not."""
    if facing(scan.vertices, scan.faces) >= 0:
        return scan
    return with_changes(
        scan, faces=np.ascontiguousarray(scan.faces[:, ::-1]), repairs=(*scan.repairs, "triangles turned outward")
    )


def vertex_normals(vertices: Vertices, faces: Faces) -> Vertices:
    """Unit normals at the vertices, each the area-weighted mean of its triangles'.

    Returns:
        ``float32`` [vertices, 3]; a vertex without area has the normal (0, 0, 1).
    """
    sums = normal_sums(vertices, faces)
    lengths = np.linalg.norm(sums, axis=1)
    sums[lengths < 1e-12], lengths[lengths < 1e-12] = (0, 0, 1), 1
    normals: Vertices = (sums / lengths[:, None]).astype(np.float32)
    return normals
