"""Meshes over the material plane: as with a real scanner, every sampling joins other points of the same skin."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32
from scipy.spatial import Delaunay

from affect4d.arrays import Faces
from affect4d.synthetic.anatomy import eye_opening, mouth_slit
from affect4d.synthetic.fields import (
    EYE_HALF,
    EYE_P,
    EYE_Q,
    LOWER_LID,
    MOUTH_HALF,
    MOUTH_LINE,
    SLIT_HALF,
    UPPER_LID,
    MaterialPoints,
    Scalars,
    mirrored,
)

WIDTH_HALF, HEIGHT_CENTRE, HEIGHT_HALF = 104.0, 2.0, 97.0
FINE, COARSE = 3.9, 7.6
"""Distance of neighbours at the features and elsewhere, mm, at spacing 1."""
LONGEST_EDGE = 16.0


@dataclass(frozen=True)
class MaterialMesh:
    """Points of the material plane, joined to triangles that leave eyes and mouth open."""

    points: MaterialPoints
    faces: Faces


def mesh_skin(rng: np.random.Generator, spacing: float = 1.0) -> MaterialMesh:
    """Lay rings around eyes and mouth and a jittered lattice elsewhere, and join them.

    Args:
        rng: Shifts every point.
        spacing: Factor on the distance of the lattice's points.
    """
    lattice = _lattice(rng, spacing)
    points = np.concatenate([*_eye_rings(rng), *_mouth_rings(rng), lattice[_clear(lattice)]])
    faces = join(points)
    return MaterialMesh(points, faces[~_in_a_hole(points[faces].mean(axis=1)) & _short(points, faces)])


def join(points: MaterialPoints) -> Int32[np.ndarray, "faces 3"]:
    """Delaunay triangles, counter-clockwise."""
    faces = Delaunay(points).simplices.astype(np.int32)
    first, second, third = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    one, two = second - first, third - first
    clockwise = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0] < 0
    faces[clockwise] = faces[clockwise][:, ::-1]
    return np.asarray(faces)


def on_head(points: MaterialPoints) -> Bool[np.ndarray, " points"]:
    """Whether a material point belongs to the scanned part of the head."""
    across = np.abs(points[:, 0]) / WIDTH_HALF
    along = np.abs(points[:, 1] - HEIGHT_CENTRE) / HEIGHT_HALF
    return np.asarray(across**2.4 + along**2.4 < 1.0)


def opening_ring(
    angles: Scalars, centre: tuple[float, float], half: float, upper: float, lower: float, outside: float
) -> MaterialPoints:
    """Points around an almond-shaped opening.

    Args:
        angles: Radians from the subject's left corner, upwards.
        centre: Of the opening, mm.
        half: Half its width.
        upper: Height of its upper edge over the corners.
        lower: Depth of its lower edge.
        outside: Distance from its edge.
    """
    sine = np.sin(angles)
    height = np.where(sine >= 0, upper, -lower) * sine**2 + outside * sine
    return np.stack([centre[0] + (half + outside) * np.cos(angles), centre[1] + height], axis=1)


def _lattice(rng: np.random.Generator, spacing: float) -> MaterialPoints:
    fine, coarse = _hexagons(FINE * spacing, rng), _hexagons(COARSE * spacing, rng)
    return np.concatenate([fine[_detailed(fine)], coarse[~_detailed(coarse)]])


def _hexagons(spacing: float, rng: np.random.Generator) -> MaterialPoints:
    """A jittered hexagonal lattice over the head."""
    columns, rows = np.arange(-WIDTH_HALF, WIDTH_HALF, spacing), np.arange(-96.0, 100.0, spacing * 0.866)
    p, q = np.meshgrid(columns, rows)
    p = p + 0.5 * spacing * (np.arange(len(rows)) % 2)[:, None]
    points = np.stack([p.ravel(), q.ravel()], axis=1) + rng.uniform(-0.5, 0.5, 2) * spacing
    points += rng.uniform(-0.22, 0.22, points.shape) * spacing
    return np.asarray(points[on_head(points)])


def _detailed(points: MaterialPoints) -> Bool[np.ndarray, " points"]:
    """The part of the face that moves: finer there."""
    return np.asarray((points[:, 0] / 56.0) ** 4 + ((points[:, 1] - 1.0) / 66.0) ** 4 < 1.0)


def _clear(points: MaterialPoints) -> Bool[np.ndarray, " points"]:
    """Far enough from the rings."""
    left, right = (_almond_distance(half, (EYE_P, EYE_Q), EYE_HALF, UPPER_LID) for half in (points, mirrored(points)))
    mouth = _almond_distance(points, (0.0, MOUTH_LINE), MOUTH_HALF, SLIT_HALF)
    return np.asarray((np.minimum(left, right) > 8.5) & (mouth > 9.5))


def _almond_distance(points: MaterialPoints, centre: tuple[float, float], half: float, height: float) -> Scalars:
    """Roughly how far outside an opening a point lies, mm."""
    p, q = np.abs(points - centre).T
    arch = np.clip(1.0 - (p / half) ** 2, 0.0, 1.0)
    return np.asarray(np.hypot(np.clip(p - half, 0.0, None), np.clip(q - height * arch, 0.0, None)))


def _eye_rings(rng: np.random.Generator) -> list[MaterialPoints]:
    rings = []
    for outside, count in ((0.0, 20), (1.6, 20), (3.6, 20), (6.3, 20)):
        ring = opening_ring(_turn(count, rng), (EYE_P, EYE_Q), EYE_HALF, UPPER_LID, LOWER_LID, outside)
        other = opening_ring(_turn(count, rng), (EYE_P, EYE_Q), EYE_HALF, UPPER_LID, LOWER_LID, outside)
        rings += [ring, mirrored(other)]
    return rings


def _mouth_rings(rng: np.random.Generator) -> list[MaterialPoints]:
    sizes = ((0.0, 30), (2.0, 30), (4.4, 30), (7.0, 30))
    return [
        opening_ring(_turn(count, rng), (0.0, MOUTH_LINE), MOUTH_HALF, SLIT_HALF, SLIT_HALF, outside)
        for outside, count in sizes
    ]


def _turn(count: int, rng: np.random.Generator) -> Scalars:
    """Angles of a ring; the two corners always belong to it, the others slide."""
    half = np.pi * np.arange(count // 2) / (count // 2)
    slide = rng.uniform(-0.3, 0.3, count // 2) * np.pi / (count // 2) * (np.arange(count // 2) > 0)
    return np.concatenate([half + slide, np.pi + half + slide[::-1] * (np.arange(count // 2) > 0)])


def _in_a_hole(centres: MaterialPoints) -> Bool[np.ndarray, " faces"]:
    left, right = eye_opening(centres) < -0.05, eye_opening(mirrored(centres)) < -0.05
    mouth = np.abs(centres[:, 1] - MOUTH_LINE) < mouth_slit(centres) - 0.02
    return np.asarray(left | right | mouth)


def _short(points: MaterialPoints, faces: Faces) -> Bool[np.ndarray, " faces"]:
    corners = points[faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    return np.asarray(edges.max(axis=1) < LONGEST_EDGE)
