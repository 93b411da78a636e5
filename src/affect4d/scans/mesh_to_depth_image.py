"""Depth images of triangle meshes: the nearest surface at every pixel, bit-identical on every machine."""

import numpy as np
from jaxtyping import Float32, Float64, Int32

from affect4d.array_types import Faces, Vertices
from affect4d.jit import Array, Number, compiled

NO_TRIANGLE = -1


def depth_image(vertices: Vertices, faces: Faces, size: int, half_width: float) -> Float32[np.ndarray, "size size"]:
    """Height over z = 0 seen from +z, NaN where nothing is: orthographic, +y up, in the unit of ``half_width``."""
    points = np.empty((len(vertices), 3))
    points[:, 0] = (vertices[:, 0] / half_width + 1.0) * 0.5 * size
    points[:, 1] = (1.0 - vertices[:, 1] / half_width) * 0.5 * size
    points[:, 2] = vertices[:, 2]
    visible, heights = nearest_triangles(points, faces, size, (-np.inf, np.inf))
    return np.where(visible == NO_TRIANGLE, np.nan, heights).astype(np.float32)


def nearest_triangles(
    points: Float64[np.ndarray, "vertices 3"], faces: Faces, size: int, bounds: tuple[float, float]
) -> tuple[Int32[np.ndarray, "size size"], Float64[np.ndarray, "size size"]]:
    """The triangle of the greatest nearness at every pixel centre, −1 where there is none, and that nearness.

    Args:
        points: Column and row in pixels from the upper left corner, and nearness, which is linear across the image.
        bounds: Least and greatest nearness of what is shown.
    """
    visible = np.full((size, size), NO_TRIANGLE, np.int32)
    nearness = np.full((size, size), -np.inf)
    _cover(points, faces, bounds[0], bounds[1], visible, nearness)
    return visible, nearness


@compiled
def _cover(points: Array, faces: Array, least: Number, most: Number, visible: Array, nearness: Array) -> None:
    """Edge functions (Pineda 1988) at pixel centres; two triangles leave no gap along a shared edge."""
    size = visible.shape[0]
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, bx, cx = points[a, 0], points[b, 0], points[c, 0]
        low, high = min(ax, bx, cx), max(ax, bx, cx)
        left, right = np.ceil(low - 0.5), np.floor(high - 0.5)
        if not (left <= right and right >= 0.0 and left < size):
            continue
        ay, by, cy = points[a, 1], points[b, 1], points[c, 1]
        low, high = min(ay, by, cy), max(ay, by, cy)
        top, bottom = np.ceil(low - 0.5), np.floor(high - 0.5)
        if not (top <= bottom and bottom >= 0.0 and top < size):
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        az, bz, cz = points[a, 2], points[b, 2], points[c, 2]
        if area == 0.0 or not np.isfinite(area + az + bz + cz):
            continue
        winding = 1.0 if area > 0.0 else -1.0
        for row in range(int(max(top, 0.0)), int(min(bottom, size - 1.0)) + 1):
            y = row + 0.5
            for column in range(int(max(left, 0.0)), int(min(right, size - 1.0)) + 1):
                x = column + 0.5
                first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * winding
                second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * winding
                third = ((ax - x) * (by - y) - (ay - y) * (bx - x)) * winding
                if first >= 0.0 and second >= 0.0 and third >= 0.0:
                    near = (first * az + second * bz + third * cz) / (area * winding)
                    if near > nearness[row, column] and least <= near <= most:
                        nearness[row, column] = near
                        visible[row, column] = face
