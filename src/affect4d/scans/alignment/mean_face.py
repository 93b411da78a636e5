"""The mean face, as landmarks and as a surface over the image plane: what scans are aligned to.

The depths are those of this project's procedural face with the mean identity, at rest, in the frame that its landmarks
give (:mod:`affect4d.scans.alignment.align`); no person's scan and no outside data went into them. A test
compares them with what the generator gives.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.ndimage import distance_transform_edt, map_coordinates

from affect4d.array_types import Landmarks
from affect4d.scans.landmark_names import LANDMARK_COUNT, MIRROR

_RIGHT_HALF: Mapping[int, tuple[tuple[float, float, float], ...]] = {
        0: (
            (-45, 38, -42), (-38, 42, -38), (-30, 43.5, -35.5), (-22, 41, -35),
            (-16, 36.5, -36), (-22, 34, -36), (-30, 32.5, -36), (-38, 33.5, -39),
        ),
        16: (
            (-56, 54, -44), (-46, 61, -34), (-36, 62.5, -28), (-25, 60, -24), (-14, 55, -22),
            (-14, 50, -23), (-25, 54, -26), (-36, 56, -30), (-46, 55, -36), (-55, 50, -45),
        ),
        36: ((-9, 36, -22), (-12, 16, -20), (-15, 4, -16), (-18, -5, -20), (-9, -10, -14), (0, -13, -17)),
        47: ((0, 0, 0),),
        48: ((-26, -36, -33), (-17, -30, -23), (-7, -26.5, -17), (0, -28, -16)),
        57: ((0, -48, -21), (-8, -47, -21.5), (-17, -43, -25)),
        60: ((-22, -36, -30), (-9, -35, -21), (0, -35.5, -20)),
        66: ((0, -37.5, -20.5), (-9, -37, -21)),
        68: (
            (-72, 30, -95), (-71, 10, -92), (-69, -10, -86), (-65, -30, -76),
            (-57, -50, -62), (-43, -67, -54), (-24, -79, -42), (0, -84, -36),
        ),
    }  # fmt: skip
"""First row → points of the subject's right half and of the middle line, in mm."""


def _mirror_landmarks() -> Landmarks:
    points = np.full((LANDMARK_COUNT, 3), np.nan)
    for first, places in _RIGHT_HALF.items():
        rows = np.arange(first, first + len(places))
        points[rows] = places
        points[np.array(MIRROR)[rows]] = np.array(places) * (-1, 1, 1)
    return points.astype(np.float32)


MEAN_LANDMARKS: Landmarks = _mirror_landmarks()
"""Mean landmarks [83, 3], mm, nose tip at the origin, mirror-symmetric; plain plausible numbers of no person [ours]."""


def _landmark_trust() -> Float64[np.ndarray, " landmarks"]:
    weights = np.zeros(LANDMARK_COUNT)
    for rows, weight in (
        (slice(0, 16), 0.5),  # lids
        ([0, 4, 8, 12], 1.0),  # corners of the eyes
        (slice(16, 36), 0.1),  # brows
        (slice(36, 48), 1.0),  # nose
        ([37, 45], 0.5),  # its sides, whose place along the nose is a matter of convention
        (slice(48, 68), 0.1),  # lips
        (slice(68, 83), 0.2),  # contour
        ([68, 69, 81, 82], 0.4),  # contour at the ears
        ([74, 75, 76], 0.05),  # chin
    ):
        weights[rows] = weight
    return weights


LANDMARK_TRUST: Float64[np.ndarray, " landmarks"] = _landmark_trust()
"""Weight of each landmark in an alignment, 0…1 [ours, decision 13]: 1 on bone, little where expressions move skin."""


TOP = 66.0  # height of the first row over the nose tip, mm
STEP = 6.0  # distance of rows, and of the depths in a row, mm

MEAN_DEPTHS: tuple[tuple[float, ...], ...] = (
    (-20.0, -20.3, -21.2, -22.7, -24.9, -27.8, -31.5, -36.1, -42.1, -50.1, -60.2),
    (-18.8, -18.9, -19.6, -20.8, -22.8, -25.5, -29.3, -34.1, -40.2, -48.4, -58.6),
    (-17.9, -18.0, -18.7, -19.8, -21.4, -24.2, -28.0, -32.8, -39.1, -47.3, -57.8),
    (-19.2, -19.9, -22.2, -24.6, -31.0, -32.9, -33.3, -36.6, -41.4, -48.8, -58.7),
    (-20.8, -22.8, -27.8, -35.6, -34.8, -33.3, -33.8, -36.8, -44.9, -51.6, -60.8),
    (-20.9, -23.8, -30.5, -37.7, -34.7, -33.2, -33.7, -37.0, -46.3, -53.2, -62.2),
    (-18.8, -22.8, -29.6, -35.1, -35.9, -34.9, -36.3, -40.8, -46.7, -53.5, -62.9),
    (-16.0, -21.1, -27.8, -30.7, -32.3, -35.1, -36.7, -40.4, -45.9, -53.6, -63.5),
    (-12.9, -18.6, -26.1, -29.3, -30.8, -32.5, -34.9, -38.8, -45.0, -53.5, -63.9),
    (-9.4, -15.4, -24.3, -28.6, -30.3, -31.8, -33.9, -37.8, -44.4, -53.5, -64.1),
    (-5.1, -11.0, -20.6, -27.4, -30.4, -31.9, -34.1, -38.1, -44.9, -54.1, -64.7),
    (-3.9, -7.7, -14.8, -24.8, -30.7, -32.8, -35.4, -39.7, -46.4, -55.2, -65.5),
    (-10.6, -11.8, -14.9, -25.4, -31.7, -34.0, -37.2, -41.8, -48.3, -56.5, -66.7),
    (-24.5, -23.8, -24.2, -29.5, -32.3, -34.5, -38.1, -42.9, -49.2, -57.2, -67.4),
    (-26.9, -26.0, -26.9, -29.8, -31.5, -34.0, -37.9, -43.0, -49.4, -57.6, -68.3),
    (-26.6, -24.1, -26.7, -30.0, -30.7, -34.1, -38.1, -43.4, -50.1, -58.7, -70.5),
    (-26.6, -22.0, -24.8, -26.7, -32.5, -34.6, -38.6, -44.2, -51.4, -60.7, -73.8),
    (-20.9, -21.4, -22.9, -26.4, -31.3, -35.5, -40.1, -46.1, -53.8, -64.1, -79.3),
    (-26.6, -26.5, -27.4, -29.7, -33.4, -37.3, -42.3, -48.7, -57.1, -68.5),
    (-26.9, -27.3, -28.5, -30.5, -33.4, -37.4, -42.7, -49.5, -58.5, -71.1),
    (-21.7, -22.5, -24.5, -27.3, -30.9, -35.4, -41.1, -48.7, -58.7, -73.4),
    (-21.1, -22.0, -24.5, -27.8, -31.9, -36.9, -43.4, -52.1, -64.1),
    (-23.3, -24.2, -26.7, -30.1, -34.4, -40.1, -47.7, -58.1),
    (-28.3, -29.1, -31.3, -34.8, -39.6, -46.2, -55.2),
    (-36.1, -36.9, -39.1, -42.8, -48.3, -56.1),
    (-46.4, -47.2, -49.7, -54.0, -60.5),
)
"""Depths in mm, rows from the forehead down to the chin; each row from the middle outwards, as far as the face goes."""

PLANES_PER_STEP = 3  # planes for every step of the depths
FAR = 1e6
"""Distance, in mm, of a point beside the face to it: far enough to weigh nothing."""
SEEN_CELL = 12.0
"""Side, in mm, of the cells in which a scan covers the face or not."""


@dataclass(frozen=True)
class DepthSurface:
    """A face as planes on a grid over x and y: a point is ``normal · point + offset`` mm outside."""

    planes: Float64[np.ndarray, "cells 4"]  # ``(normal, offset)``; beside the face 0 and :data:`FAR`
    columns: int
    rows: int
    corner: tuple[float, float]  # least x and y, mm
    spacing: float  # side of a cell, mm
    seen: np.ndarray  # coarse cell (:data:`SEEN_CELL`) of every cell; ``seen_cells`` beside the face
    seen_cells: int

    def cells(self, points: Float64[np.ndarray, "*batch 3"]) -> np.ndarray:
        """The cell each point lies over; points beside the grid fall on its edge, where no face is."""
        column = ((points[..., 0] - self.corner[0]) / self.spacing).clip(0, self.columns - 1).astype(np.int32)
        row = ((points[..., 1] - self.corner[1]) / self.spacing).clip(0, self.rows - 1).astype(np.int32)
        return np.asarray(row * self.columns + column)

    def share_covered(self, points: Float64[np.ndarray, "points 3"], near: float) -> float:
        """Share of the face that points lie on, within ``near`` mm: 0 to 1."""
        cells = self.cells(points)
        planes = self.planes[cells]
        on = np.abs((planes[:, :3] * points).sum(axis=1) + planes[:, 3]) < near
        counts = np.bincount(self.seen[cells[on]], minlength=self.seen_cells + 1)[: self.seen_cells]
        return float((counts > 0).mean())


@functools.cache
def mean_surface() -> DepthSurface:
    """The mean face, computed once a process from :data:`MEAN_DEPTHS`."""
    return surface_of(*fine_depths())


def surface_of(
    depths: Float64[np.ndarray, "rows columns"], x: Float64[np.ndarray, " columns"], y: Float64[np.ndarray, " rows"]
) -> DepthSurface:
    """The planes of depths on an even grid, mm, rows from below upwards; NaN where no face is."""
    spacing = float(x[1] - x[0])
    across, along = (np.gradient(depths, spacing, axis=axis) for axis in (1, 0))
    steepness = np.sqrt(1 + across**2 + along**2)
    normals = np.stack([-across, -along, np.ones_like(depths)], axis=-1) / steepness[..., None]
    places = np.stack([*np.meshgrid(x, y), depths], axis=-1)
    planes = np.concatenate([normals, -(normals * places).sum(axis=-1, keepdims=True)], axis=-1)
    face = np.isfinite(depths) & np.isfinite(planes).all(axis=-1)
    planes[~face] = (0, 0, 0, FAR)
    planes = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
    planes[[0, -1], :], planes[:, [0, -1]] = (0, 0, 0, FAR), (0, 0, 0, FAR)
    seen, seen_cells = _coarse_cells(np.pad(face, 1), spacing)
    return DepthSurface(
        planes=np.ascontiguousarray(planes.reshape(-1, 4)),
        columns=planes.shape[1],
        rows=planes.shape[0],
        corner=(float(x[0]) - 1.5 * spacing, float(y[0]) - 1.5 * spacing),
        spacing=spacing,
        seen=seen,
        seen_cells=seen_cells,
    )


def fine_depths() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both halves of the depths, rows from the chin up, by cubic splines on the fine grid; NaN beside the face."""
    half = np.full((len(MEAN_DEPTHS), len(MEAN_DEPTHS[0])), np.nan)
    for row, depths in enumerate(MEAN_DEPTHS[::-1]):
        half[row, : len(depths)] = depths
    whole = np.concatenate([half[:, :0:-1], half], axis=1)
    face = np.isfinite(whole)
    filled = whole[tuple(distance_transform_edt(~face, return_indices=True)[1])]
    rows, columns = (np.arange((length - 1) * PLANES_PER_STEP + 1) / PLANES_PER_STEP for length in whole.shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    fine = map_coordinates(filled, grid, order=3, mode="nearest")
    fine[map_coordinates(face.astype(float), grid, order=1) < 0.999] = np.nan
    width = half.shape[1] - 1
    return fine, (columns - width) * STEP, TOP + (rows - (len(half) - 1)) * STEP


def _coarse_cells(face: np.ndarray, spacing: float) -> tuple[np.ndarray, int]:
    """The coarse cell of every cell, numbered without gaps over those at least half full of face."""
    many = round(SEEN_CELL / spacing)
    row, column = np.indices(face.shape) // many
    coarse = (row * (column.max() + 1) + column).ravel()
    full = np.bincount(coarse, face.ravel()) >= many**2 / 2
    numbers = np.where(full, np.cumsum(full) - 1, full.sum())
    return np.where(face.ravel(), numbers[coarse], full.sum()), int(full.sum())
