"""CPU rasteriser: triangles to pixels in compiled loops, bit-identical on every machine.

A triangle that covers no pixel centre costs a comparison, and most of a dense scan's do. First every pixel gets its
visible triangle, then each covered pixel is interpolated once (docs/decisions/0015).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8

from affect4d.array_types import Faces, Vertices
from affect4d.jit import Array, Number, compiled
from affect4d.rendering.cameras_and_render_backends import Camera, shrink_texture
from affect4d.rendering.channels import MISSING_TEXTURE, RenderBuffers
from affect4d.scans.geometry import vertex_normals
from affect4d.scans.mesh_to_depth_image import NO_TRIANGLE, nearest_triangles
from affect4d.scans.scan import FaceScan


class Rasteriser:
    """Renders the given surface attributes on one CPU thread; reduces textures to ``texels`` along the shorter side."""

    name = "CPU"

    def __init__(self, cameras: Sequence[Camera], size: int, attributes: Sequence[str], texels: int) -> None:
        self._cameras, self._size, self._attributes, self._texels = tuple(cameras), size, tuple(attributes), texels

    def render(self, scan: FaceScan) -> RenderBuffers:
        """Every view of a scan, one after another."""
        shape = (len(self._cameras), self._size, self._size)
        images = {name: np.zeros((*shape, 3), np.uint8) for name in self._attributes}
        face, depth = np.zeros(shape, np.bool_), np.zeros(shape, np.float32)
        vertices, faces = np.ascontiguousarray(scan.vertices, np.float32), np.ascontiguousarray(scan.faces, np.int32)
        texture = self._texture(scan) if "texture" in images else None
        normals = vertex_normals(vertices, faces) if "normals" in images else None
        for view, camera in enumerate(self._cameras):
            points = project(vertices, camera, self._size)
            visible, nearness = visible_triangles(points, faces, camera, self._size)
            face[view] = visible != NO_TRIANGLE
            depth[view] = _millimetres(nearness, face[view], camera)
            weights = np.empty((self._size, self._size, 3), np.float32)
            _barycentric_weights(points, faces, visible, camera.field_of_view > 0, weights)
            if texture is not None:
                _sample_texture(*texture, faces, visible, weights, images["texture"][view])
            if normals is not None:
                _interpolate_normals(normals, faces, visible, weights, images["normals"][view])
        return RenderBuffers(images, face, depth)

    def _texture(self, scan: FaceScan) -> tuple[UInt8[np.ndarray, "rows columns 3"], Float32[np.ndarray, "vertices 2"]]:
        if scan.texture is None or scan.texture_coordinates is None:
            return np.full((1, 1, 3), MISSING_TEXTURE, np.uint8), np.zeros((len(scan.vertices), 2), np.float32)
        texels = np.ascontiguousarray(shrink_texture(scan.texture, self._texels))
        return texels, np.ascontiguousarray(scan.texture_coordinates, np.float32)

    def close(self) -> None:
        """Nothing to release."""


def project(vertices: Vertices, camera: Camera, size: int) -> Float64[np.ndarray, "vertices 3"]:
    """Vertices in the image: column and row in pixels from the upper left corner, and nearness (NaN behind a camera).

    Nearness is linear across an image: for an orthographic camera the millimetres in front of its target, else one over
    the distance from the camera.
    """
    position, target = np.array(camera.position), np.array(camera.target)
    towards = (position - target) / camera.distance
    across = np.cross((0.0, 1.0, 0.0), towards)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(towards, across), towards])
    points = np.empty((len(vertices), 3))
    lens = camera.distance if camera.field_of_view else 0.0
    _project(vertices, axes, target, lens, camera.half_height, float(size), points)
    return points


def visible_triangles(
    points: Float64[np.ndarray, "vertices 3"], faces: Faces, camera: Camera, size: int
) -> tuple[Int32[np.ndarray, "size size"], Float64[np.ndarray, "size size"]]:
    """The nearest triangle at every pixel centre, −1 where there is none, and its nearness there."""
    near, far = camera.clipping_range
    bounds = (1.0 / far, 1.0 / near) if camera.field_of_view else (camera.distance - far, camera.distance - near)
    return nearest_triangles(points, faces, size, bounds)


def _millimetres(
    nearness: Float64[np.ndarray, "size size"], face: np.ndarray, camera: Camera
) -> Float32[np.ndarray, "size size"]:
    if not camera.field_of_view:
        return np.where(face, nearness, 0.0).astype(np.float32)
    return np.where(face, camera.distance - 1.0 / np.where(face, nearness, 1.0), 0.0).astype(np.float32)


@compiled
def _project(
    vertices: Array, axes: Array, target: Array, lens: Number, half: Number, size: Number, points: Array
) -> None:
    for vertex in range(len(vertices)):
        x, y, z = vertices[vertex, 0] - target[0], vertices[vertex, 1] - target[1], vertices[vertex, 2] - target[2]
        across = axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z
        up = axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z
        near = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
        if lens > 0.0:
            away = lens - near
            near = 1.0 / away if away > 1.0 else np.nan
            across *= lens * near
            up *= lens * near
        points[vertex, 0] = (across / half + 1.0) * 0.5 * size
        points[vertex, 1] = (1.0 - up / half) * 0.5 * size
        points[vertex, 2] = near


@compiled
def _barycentric_weights(points: Array, faces: Array, visible: Array, lens: Number, weights: Array) -> None:
    """Weights of the corners of the visible triangle at every pixel, perspective-correct with a lens."""
    for row in range(visible.shape[0]):
        y = row + 0.5
        for column in range(visible.shape[1]):
            face, x = visible[row, column], column + 0.5
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
            first = (bx - x) * (cy - y) - (by - y) * (cx - x)
            second = (cx - x) * (ay - y) - (cy - y) * (ax - x)
            third = (ax - x) * (by - y) - (ay - y) * (bx - x)
            if lens:
                first, second, third = first * points[a, 2], second * points[b, 2], third * points[c, 2]
            total = first + second + third
            weights[row, column, 0] = first / total
            weights[row, column, 1] = second / total
            weights[row, column, 2] = third / total


@compiled
def _sample_texture(
    texture: Array, coordinates: Array, faces: Array, visible: Array, weights: Array, image: Array
) -> None:
    """Bilinear, as GPUs do; clamped at the rim."""
    height, width = texture.shape[0], texture.shape[1]
    for row in range(visible.shape[0]):
        for column in range(visible.shape[1]):
            face = visible[row, column]
            if face < 0:
                continue
            u, v = 0.0, 0.0
            for corner in range(3):
                weight, vertex = weights[row, column, corner], faces[face, corner]
                u += weight * coordinates[vertex, 0]
                v += weight * coordinates[vertex, 1]
            across = min(max(u * width - 0.5, 0.0), width - 1.0)
            down = min(max((1.0 - v) * height - 0.5, 0.0), height - 1.0)
            left, top = int(across), int(down)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            across -= left
            down -= top
            for part in range(3):
                above = texture[top, left, part] * (1.0 - across) + texture[top, right, part] * across
                below = texture[bottom, left, part] * (1.0 - across) + texture[bottom, right, part] * across
                image[row, column, part] = np.uint8(above * (1.0 - down) + below * down + 0.5)


@compiled
def _interpolate_normals(normals: Array, faces: Array, visible: Array, weights: Array, image: Array) -> None:
    for row in range(visible.shape[0]):
        for column in range(visible.shape[1]):
            face = visible[row, column]
            if face < 0:
                continue
            x, y, z = 0.0, 0.0, 0.0
            for corner in range(3):
                weight, vertex = weights[row, column, corner], faces[face, corner]
                x += weight * normals[vertex, 0]
                y += weight * normals[vertex, 1]
                z += weight * normals[vertex, 2]
            scale = 127.0 / max(np.sqrt(x * x + y * y + z * z), 1e-6)
            image[row, column, 0] = np.uint8(x * scale + 128.5)
            image[row, column, 1] = np.uint8(y * scale + 128.5)
            image[row, column, 2] = np.uint8(z * scale + 128.5)
